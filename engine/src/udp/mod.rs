//! UDP with what makes it fast and exact: segmentation offload both ways, the local address of every packet, big buffers.

mod address;
mod arena;
mod link_mtu;
mod socket;
mod sockets;

pub use arena::Arena;
pub use link_mtu::largest_packet;
pub use socket::{MAX_RECEIVE_BYTES, Received, UdpSocket, Unreachable};
pub use sockets::{Outgoing, UdpSockets};
