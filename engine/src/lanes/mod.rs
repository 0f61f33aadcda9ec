//! Inner packets on their way to and from one peer.
//!
//! A packet waits in our own queues, by class, where it is bounded and counted, until QUIC has room; the library's queues stay short,
//! so that what is urgent passes what is not. TCP goes as records on streams, whose losses QUIC repairs; the rest goes as
//! datagrams, and whatever is too large for one goes by stream too: small-MTU paths work at once, and slower, and the TUN's MTU
//! need not follow the path's.

mod budget;
mod class;
mod classifier;
mod codel;
mod counters;
mod forms;
mod governor;
#[allow(clippy::module_inception)]
mod lanes;
#[cfg(test)]
mod lanes_tests;
mod queue;
mod records;
mod rejoin;

pub use budget::{Budget, MAX_QUEUED_BYTES};
pub use class::TrafficClass;
pub use classifier::Classifier;
pub use counters::{Count, Drops, Traffic};
pub use forms::{Datagram, Packet, RECORD_HEADER_BYTES};
pub use governor::{MIN_BULK_BYTES_PER_SECOND, Told};
pub use lanes::{Carrier, LaneStream, Lanes};
pub use records::RecordReader;
pub use rejoin::Rejoin;
