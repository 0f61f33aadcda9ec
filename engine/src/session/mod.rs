//! The session of two nodes on the control stream of their QUIC connection, without I/O: bytes and time in, bytes and events
//! out.
//!
//! ```text
//!   dialler                          acceptor
//!   HELLO ──────────────────────────►            Opening → Hello: who are you, which version
//!         ◄────────────────────────── HELLO AUTH Hello → Auth: which authority, bound to this TLS session
//!   AUTH SESSION_READY ─────────────►            Auth → Confirming: I accept you, with these limits
//!         ◄────────────────────────── SESSION_READY
//!   PING PONG MESSAGE AUTH ◄────────► both       Ready
//!   GOAWAY ─────────────────────────►            Ready → Draining: no more messages from me
//!         ◄────────────────────────── GOAWAY     Draining → Closed
//! ```
//!
//! The caller: `on_bytes` with what the stream gave, `on_timeout` when `poll_timeout` is over, then `poll_event` and
//! `poll_transmit` until they are empty. An `Err` or `Event::Drained` ends the session: the caller closes the QUIC connection
//! with its code. Who the peer is was decided in the TLS handshake; the session only holds it to that.

mod binding;
mod heartbeat;
mod machine;
mod outbox;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod properties;

pub use binding::{EXPORTER_BYTES, EXPORTER_LABEL, Role};
pub use machine::{Event, Phase, SendError, Session, Setup};

/// A broken frame and a broken session end alike.
pub use crate::frames::FrameError as SessionError;
