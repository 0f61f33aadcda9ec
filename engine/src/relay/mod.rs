//! Packets that go through a relay (docs/wire/relay.md): the way as an intent names it, the key that stands for it wherever an
//! address is expected, and the header in front of each packet. Nothing here opens or reads a packet: QUIC runs end to end.

mod header;
mod route;
mod session;

pub use header::{HEADER_BYTES, Outer, unwrap, wrap};
pub use route::{RelayRoute, RouteError};
pub use session::RelaySession;

/// What a session that begins through a relay tries to send at most, on any path: the UDP payload of Ethernet. Nobody can say what
/// the links behind the relay carry.
pub const LARGEST_PACKET: u16 = 1_500 - 28;
