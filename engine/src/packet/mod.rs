//! Inner packets as they come from and go to the host: one IP packet, or one that the kernel left unfinished.
//!
//! A host with segmentation offload gives up to 64 KB of one flow at a time, with one header and a checksum that only covers the
//! pseudo-header; it takes the same. Such a packet crosses the fabric unfinished wherever it can, so that nobody pays for work
//! which the other end's kernel would undo again.

mod checksum;
mod ecn;
mod headers;
mod segments;

pub use checksum::{finish_checksum, finish_transport_checksum};
pub use ecn::mark_congested;
pub use headers::{Headers, Transport, TransportKind};
pub use segments::{Merge, MergeRefused, split};

/// The largest IP packet there is without jumbograms; IPv6 counts its header apart, which no host of ours makes use of.
pub const MAX_PACKET_BYTES: usize = 65_535;
/// IPv6 and the longest TCP header; IPv4 with all its options is as long.
pub const MAX_HEADER_BYTES: usize = 120;

/// What is left to do before a packet can go on a wire (virtio-v1.2 §5.1.6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    #[default]
    Complete,
    /// Its TCP or UDP checksum covers only the pseudo-header.
    Checksum,
    /// As above, and it is to be cut into packets whose payloads have this many bytes, the last one maybe fewer. Never 0.
    Segments(u16),
}
