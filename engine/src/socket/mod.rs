//! The engine's local socket: commands in, replies and events out, no packets.
//!
//! ```text
//!   client ──► Connection ──► server thread ──► Port::next_command ┐
//!          ◄── (bounded   ◄── (poll loop)   ◄── Port::reply        ├ the packet loop
//!               queue)                          Port::publish      ┘
//! ```
//! The server thread does everything that costs: it checks who connects, cuts and parses frames, encodes answers. The packet
//! loop only moves values: it takes commands when the port's descriptor is readable and never waits for a client. Layout and
//! rules: docs/wire/engine-socket.md.

#[cfg(test)]
mod bindings;
mod bounded;
pub(crate) mod codec;
mod connection;
mod listener;
pub mod messages;
mod port;
mod server;
mod wake;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod server_tests;

pub use port::{Port, Submitted, Ticket};
pub use server::{Server, ServerConfig};

/// Commands of one client that have no written reply yet; a client that wants more waits.
const MAX_IN_FLIGHT: usize = 8;
/// An agent or operator, a CLI beside it, and room for both to reconnect.
const MAX_CLIENTS: usize = 8;
