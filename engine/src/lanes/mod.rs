//! Inner packets on their way to and from one peer.
//!
//! A packet waits in our own queue, where it is bounded and counted, until QUIC has room; the library's queue stays short. It
//! goes as one datagram if the path carries it whole, else as a record on a lane stream (docs/wire/lanes.md): small-MTU paths
//! work at once, and slower, and the TUN's MTU need not follow the path's.

mod queue;
mod records;

pub use queue::{Carrier, Lane};
pub use records::{MAX_RECORD_BYTES, RecordReader, record};
