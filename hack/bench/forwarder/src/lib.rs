//! What the kernel's offloads allow, without a protocol: the ceilings that the bench measures tunnels against. One thread, one
//! peer, no handshake, no repair. Nothing here protects anything: the key is fixed.

pub mod device;
pub mod frames;
pub mod seal;
pub mod udp;
