//! The TUN device (Documentation/networking/tuntap.rst): reads and writes IP packets behind a virtio header.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
/// IFF_TUN | IFF_NO_PI | IFF_VNET_HDR: IP packets behind a virtio header.
const FLAGS: libc::c_short = 0x0001 | 0x1000 | 0x4000;
/// TUN_F_CSUM.
const CHECKSUM: libc::c_ulong = 0x01;
/// TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN.
const TCP_SEGMENTATION: libc::c_ulong = 0x02 | 0x04 | 0x08;
/// TUN_F_USO4 | TUN_F_USO6: Linux 6.2 and newer.
const UDP_SEGMENTATION: libc::c_ulong = 0x20 | 0x40;

/// What a kernel may leave undone for us, and we for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunOffloads {
    pub checksum: bool,
    pub tcp_segmentation: bool,
    pub udp_segmentation: bool,
}

impl TunOffloads {
    pub const NONE: TunOffloads = TunOffloads {
        checksum: false,
        tcp_segmentation: false,
        udp_segmentation: false,
    };

    /// Segmentation needs the checksum's.
    fn flags(self) -> libc::c_ulong {
        let flag = |wanted: bool, flag| if wanted && self.checksum { flag } else { 0 };
        flag(true, CHECKSUM)
            | flag(self.tcp_segmentation, TCP_SEGMENTATION)
            | flag(self.udp_segmentation, UDP_SEGMENTATION)
    }
}

pub struct Device {
    file: File,
    index: u32,
    offloads: TunOffloads,
}

impl Device {
    /// `name` has at most 15 bytes (the configuration checks it). What the kernel does not grant of `wanted` is left out.
    pub fn open(name: &str, wanted: TunOffloads) -> io::Result<Device> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        // SAFETY: ifreq is plain data for which all zeroes is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request
            .ifr_name
            .iter_mut()
            .take(libc::IFNAMSIZ - 1)
            .zip(name.bytes())
        {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = FLAGS;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which is live.
        if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the name is zero-terminated: its last byte was never written.
        let index = unsafe { libc::if_nametoindex(request.ifr_name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let offloads = grant(&file, wanted)?;
        Ok(Device {
            file,
            index,
            offloads,
        })
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    pub fn offloads(&self) -> TunOffloads {
        self.offloads
    }

    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&self.file).write_vectored(parts).map(|_| ())
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Asks for as much of `wanted` as the kernel knows.
fn grant(file: &File, wanted: TunOffloads) -> io::Result<TunOffloads> {
    let without_udp = TunOffloads {
        udp_segmentation: false,
        ..wanted
    };
    let mut refused = None;
    for offloads in [wanted, without_udp, TunOffloads::NONE] {
        // SAFETY: TUNSETOFFLOAD takes its flags by value.
        if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, offloads.flags()) } == 0 {
            return Ok(offloads);
        }
        refused = Some(io::Error::last_os_error());
    }
    Err(refused.unwrap_or_else(io::Error::last_os_error))
}
