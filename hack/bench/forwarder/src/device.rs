//! TUN and TAP devices that carry superframes: each packet begins with a virtio_net_hdr that says how it is to be cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

/// struct virtio_net_hdr and the largest packet behind it.
pub const MAX_PACKET_BYTES: usize = 10 + 65_535 + 14;
/// IFNAMSIZ.
const NAME_BYTES: usize = 16;

const IFF_TUN: u16 = 0x0001;
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
/// CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6 of linux/if_tun.h.
const OFFLOADS: libc::c_ulong = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40;

#[derive(Clone, Copy)]
pub enum Kind {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
}

/// struct ifreq, as far as TUNSETIFF reads it.
#[repr(C)]
pub struct InterfaceRequest {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(
    set_interface,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    InterfaceRequest
);
nix::ioctl_write_int_bad!(
    set_offloads,
    nix::request_code_write!(b'T', 208, size_of::<libc::c_uint>())
);

/// Makes the device; it lives as long as the file. Reads and writes never block.
pub fn open(name: &str, kind: Kind) -> io::Result<File> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= NAME_BYTES {
        return Err(io::Error::other(format!("{name} is no interface name")));
    }
    let mut request = InterfaceRequest {
        name: [0; NAME_BYTES],
        flags: IFF_NO_PI
            | IFF_VNET_HDR
            | match kind {
                Kind::Tun => IFF_TUN,
                Kind::Tap => IFF_TAP,
            },
        rest: [0; 22],
    };
    request.name[..bytes.len()].copy_from_slice(bytes);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: the request is a whole ifreq of 40 bytes that outlives the call, and the name ends with a zero.
    unsafe { set_interface(file.as_raw_fd(), &raw const request) }?;
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    unsafe { set_offloads(file.as_raw_fd(), OFFLOADS as libc::c_int) }?;
    Ok(file)
}
