//! One non-blocking UDP socket.
//!
//! Receive: one call may return many packets of one sender, all of one size but the last (UDP_GRO). Send: one call
//! may carry many packets of one size (UDP_SEGMENT). Both carry the local address (PKTINFO), because a host
//! with several addresses must answer from the one that was asked, and the bits of congestion notification (RFC 3168). Packets are never fragmented: path MTU is QUIC's business.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::config::Offloads;

use super::Outgoing;
use super::address::{RawAddress, in_addr, in6_addr, ip_of_in_addr, ip_of_in6_addr};

/// The largest UDP payload, which is also the most that one merged receive returns.
pub const MAX_RECEIVE_BYTES: usize = 65_535;
/// Measured: 208 KB loses packets in bursts and halves throughput, 1 MB is as good as 8 MB; 4 MB leaves room for slow turns.
const BUFFER_BYTES: libc::c_int = 4 << 20;
/// Below this a burst of one turn does not fit.
const ENOUGH_BUFFER_BYTES: libc::c_int = 1 << 20;
/// A send may be answered with the error of an earlier one, and then was not tried.
const SEND_ATTEMPTS: usize = 2;
/// Each asks every session whether it is about its path.
const MAX_ERRORS: usize = 4;
/// Of the traffic class (RFC 3168 §5).
const ECN_BITS: u8 = 0b11;
const UDP_SEGMENT: libc::c_int = 103;
const UDP_GRO: libc::c_int = 104;
/// Control messages need a cmsghdr's alignment; 128 bytes hold the three we use.
#[repr(C, align(8))]
struct Control([u8; 128]);

pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
    /// Bytes the kernel granted, when that is less than enough.
    limited_buffer_bytes: Option<usize>,
    /// Some drivers refuse segmented sends (EIO): remembered, and done one by one from then on.
    segments: bool,
    /// The kernel joins what one sender sent.
    coalesces: bool,
    /// The kernel has something to say about packets sent earlier.
    has_errors: Cell<bool>,
}

/// Why a packet did not arrive, by what a host on the way says. Nothing proves that it was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// Nobody listens at that port.
    Refused,
    /// There is no way to that host or network.
    NoRoute,
}

/// What one receive returned: `bytes` of the buffer, in packets of `segment_bytes` (the last may be shorter).
#[derive(Debug, Clone, Copy)]
pub struct Received {
    pub bytes: usize,
    pub segment_bytes: usize,
    pub remote: SocketAddr,
    pub local: Option<IpAddr>,
    /// The last two bits of the traffic class, the same of all.
    pub ecn: u8,
}

impl UdpSocket {
    pub fn bind(address: SocketAddr, offloads: Offloads) -> io::Result<UdpSocket> {
        let family = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes no pointers.
        let fd = unsafe { libc::socket(family, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        set_options(&fd, address.is_ipv4())?;
        let coalesces = offloads.udp_coalescing && set(&fd, libc::SOL_UDP, UDP_GRO, 1).is_ok();
        let limited_buffer_bytes = grow_buffers(&fd)?;
        let raw = RawAddress::from(address);
        // SAFETY: `raw` holds an address of the length it says, and outlives the call.
        if unsafe { libc::bind(fd.as_raw_fd(), raw.as_ptr().cast(), raw.length()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let local = local_address(&fd)?;
        Ok(UdpSocket {
            fd,
            local,
            limited_buffer_bytes,
            segments: offloads.udp_segmentation,
            coalesces,
            has_errors: Cell::new(false),
        })
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether several packets go in one send.
    pub fn segments(&self) -> bool {
        self.segments
    }

    /// Whether several packets come in one receive.
    pub fn coalesces(&self) -> bool {
        self.coalesces
    }

    pub fn limited_buffer_bytes(&self) -> Option<usize> {
        self.limited_buffer_bytes
    }

    /// Receives into `buffer`; `None` when nothing waits. An error the network left for us (an ICMP message) is passed over: see
    /// `read_errors`.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            match self.receive_once(buffer) {
                Ok(received) => return Ok(Some(received)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if is_report(&error) => self.has_errors.set(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// The remotes that packets sent earlier did not reach, at most `MAX_ERRORS` at once.
    pub fn read_errors(&self) -> Vec<(SocketAddr, Unreachable)> {
        let mut unreachable = Vec::new();
        if !self.has_errors.get() {
            return unreachable;
        }
        for _ in 0..MAX_ERRORS {
            match self.read_error() {
                Ok(error) => unreachable.extend(error),
                Err(_) => {
                    self.has_errors.set(false);
                    break;
                }
            }
        }
        unreachable
    }

    /// The next message of the error queue (ip(7), IP_RECVERR): the packet's remote, and why.
    fn read_error(&self) -> io::Result<Option<(SocketAddr, Unreachable)>> {
        let mut remote = RawAddress::empty();
        let mut control = Control([0; 128]);
        // SAFETY: msghdr is plain data for which all zeroes is a valid value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = remote.as_mut_ptr();
        message.msg_namelen = remote.length();
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: every pointer in `message` points to live memory of the length it says; there is no room for the packet itself.
        let bytes = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &mut message, libc::MSG_ERRQUEUE) };
        if bytes < 0 {
            return Err(io::Error::last_os_error());
        }
        let unreachable = match error_number(&message) {
            Some(libc::ECONNREFUSED) => Some(Unreachable::Refused),
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH) => Some(Unreachable::NoRoute),
            _ => None,
        };
        Ok(remote.read().zip(unreachable))
    }

    fn receive_once(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut remote = RawAddress::empty();
        let mut control = Control([0; 128]);
        let mut vector = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: msghdr is plain data for which all zeroes is a valid value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &mut vector;
        message.msg_iovlen = 1;
        message.msg_name = remote.as_mut_ptr();
        message.msg_namelen = remote.length();
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: every pointer in `message` points to live memory of the length it says.
        let bytes = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &mut message, 0) };
        if bytes < 0 {
            return Err(io::Error::last_os_error());
        }
        let bytes = bytes as usize;
        let remote = remote
            .read()
            .ok_or_else(|| io::Error::other("a packet without a sender"))?;
        let mut received = Received {
            bytes,
            segment_bytes: bytes.max(1),
            remote,
            local: None,
            ecn: 0,
        };
        read_control(&message, &mut received);
        Ok(received)
    }

    /// Sends `packets`, which are one packet or several of `segment_bytes` each. `WouldBlock` means the socket's buffer is full.
    pub fn send(&mut self, outgoing: &Outgoing, packets: &[u8]) -> io::Result<()> {
        let segments = outgoing.segment_bytes;
        let Some(segment) = segments.filter(|segment| *segment < packets.len()) else {
            return self.send_once(outgoing, packets, None);
        };
        if self.segments {
            match self.send_once(outgoing, packets, Some(segment)) {
                Err(error) if error.raw_os_error() == Some(libc::EIO) => self.segments = false,
                // More than one send carries: the path has become another while they were made.
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {}
                other => return other,
            }
        }
        packets
            .chunks(segment)
            .try_for_each(|packet| self.send_once(outgoing, packet, None))
    }

    fn send_once(
        &self,
        outgoing: &Outgoing,
        bytes: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        let remote = RawAddress::from(outgoing.remote);
        let mut control = Control([0; 128]);
        let mut vector = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: msghdr is plain data for which all zeroes is a valid value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &mut vector;
        message.msg_iovlen = 1;
        message.msg_name = remote.as_ptr().cast_mut();
        message.msg_namelen = remote.length();
        write_control(&mut message, &mut control, outgoing, segment);
        for _ in 0..SEND_ATTEMPTS {
            // SAFETY: every pointer in `message` points to live memory of the length it says, and the kernel only reads it.
            let sent = unsafe { libc::sendmsg(self.fd.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if !is_report(&error) {
                return Err(error);
            }
            self.has_errors.set(true);
        }
        Err(io::Error::last_os_error())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether the error is about a packet sent earlier, not about this call.
fn is_report(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EMSGSIZE
        )
    )
}

fn set_options(fd: &OwnedFd, ipv4: bool) -> io::Result<()> {
    // "Probe" sets don't-fragment and leaves finding the path's MTU to QUIC.
    if ipv4 {
        set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        set(
            fd,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        )?;
        set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
        set(fd, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;
    } else {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        set(
            fd,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        )?;
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
    }
    Ok(())
}

/// Grows both buffers past the system's limit where we may, else up to it. Returns what was granted if it is too little.
fn grow_buffers(fd: &OwnedFd) -> io::Result<Option<usize>> {
    let both = [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ];
    let mut limited = None;
    for (forced, plain) in both {
        if set(fd, libc::SOL_SOCKET, forced, BUFFER_BYTES).is_err() {
            set(fd, libc::SOL_SOCKET, plain, BUFFER_BYTES)?;
        }
        // The kernel reports twice the payload it grants (socket(7)).
        let granted = get(fd, libc::SOL_SOCKET, plain)? / 2;
        if granted < ENOUGH_BUFFER_BYTES {
            limited =
                Some(limited.map_or(granted as usize, |least: usize| least.min(granted as usize)));
        }
    }
    Ok(limited)
}

fn set(
    fd: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value pointed to is a live int of the size given.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn get(fd: &OwnedFd, level: libc::c_int, option: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes to a live int of that size.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_mut(&mut value).cast(),
            &mut size,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    let mut length = raw.length();
    // SAFETY: the kernel writes at most `length` bytes to the storage of that length.
    if unsafe { libc::getsockname(fd.as_raw_fd(), raw.as_mut_ptr().cast(), &mut length) } < 0 {
        return Err(io::Error::last_os_error());
    }
    raw.read()
        .ok_or_else(|| io::Error::other("the socket has no address"))
}

fn read_control(message: &libc::msghdr, received: &mut Received) {
    // SAFETY: the kernel filled the control buffer of `message` and set its length; the CMSG functions stay within it, and
    // each kind of message carries the type that its level and number name (read unaligned, as nothing promises alignment).
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(current) = header.as_ref() {
            let data = libc::CMSG_DATA(current);
            match (current.cmsg_level, current.cmsg_type) {
                (libc::SOL_UDP, UDP_GRO) => {
                    received.segment_bytes =
                        data.cast::<libc::c_int>().read_unaligned().max(1) as usize;
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    received.local = Some(ip_of_in_addr(
                        data.cast::<libc::in_pktinfo>()
                            .read_unaligned()
                            .ipi_spec_dst,
                    ));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    received.local = Some(ip_of_in6_addr(
                        data.cast::<libc::in6_pktinfo>().read_unaligned().ipi6_addr,
                    ));
                }
                // ip(7): one byte.
                (libc::IPPROTO_IP, libc::IP_TOS) => {
                    received.ecn = data.read_unaligned() & ECN_BITS;
                }
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    received.ecn = data.cast::<libc::c_int>().read_unaligned() as u8 & ECN_BITS;
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, current);
        }
    }
}

/// Of the message of an error queue.
fn error_number(message: &libc::msghdr) -> Option<libc::c_int> {
    // SAFETY: the kernel filled the control buffer of `message` and set its length; the CMSG functions stay within it, and
    // both kinds of message carry a sock_extended_err (read unaligned, as nothing promises alignment).
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(current) = header.as_ref() {
            if matches!(
                (current.cmsg_level, current.cmsg_type),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            ) {
                let data = libc::CMSG_DATA(current).cast::<libc::sock_extended_err>();
                return Some(data.read_unaligned().ee_errno as libc::c_int);
            }
            header = libc::CMSG_NXTHDR(message, current);
        }
    }
    None
}

fn write_control(
    message: &mut libc::msghdr,
    control: &mut Control,
    outgoing: &Outgoing,
    segment: Option<usize>,
) {
    let mut used = 0;
    if let Some(segment) = segment {
        used += append(control, used, libc::SOL_UDP, UDP_SEGMENT, segment as u16);
    }
    if outgoing.ecn != 0 {
        let (level, kind) = match outgoing.remote {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
        };
        used += append(control, used, level, kind, libc::c_int::from(outgoing.ecn));
    }
    // 0: whichever the host chooses.
    let interface = outgoing.interface.unwrap_or(0);
    match outgoing.source {
        Some(IpAddr::V4(source)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: interface as libc::c_int,
                ipi_spec_dst: in_addr(source),
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            used += append(control, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(IpAddr::V6(source)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: in6_addr(source),
                ipi6_ifindex: interface,
            };
            used += append(control, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        None => {}
    }
    if used > 0 {
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = used;
    }
}

/// Appends one control message at `offset` and returns the bytes it takes.
fn append<T>(
    control: &mut Control,
    offset: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    // SAFETY: these two only compute sizes.
    let (length, space) = unsafe {
        (
            libc::CMSG_LEN(size_of::<T>() as u32) as usize,
            libc::CMSG_SPACE(size_of::<T>() as u32) as usize,
        )
    };
    let room = &mut control.0[offset..offset + space];
    let header = room.as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: `room` is `space` bytes inside the control buffer, which is aligned for a cmsghdr, and every offset is a sum of
    // CMSG_SPACEs, which keep that alignment; the value lies within `space` and is written unaligned.
    unsafe {
        (*header).cmsg_len = length;
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
    }
    space
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::os::{Interest, wait};

    fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Received {
        let interest = Interest {
            fd: socket.as_fd(),
            readable: true,
            writable: false,
        };
        wait([interest], Some(Duration::from_secs(5))).expect("poll");
        socket.receive(buffer).expect("receive").expect("a packet")
    }

    fn to(remote: SocketAddr) -> Outgoing {
        Outgoing {
            remote,
            source: None,
            interface: None,
            segment_bytes: None,
            ecn: 0,
        }
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_and_costs_no_packet() {
        for host in ["127.0.0.1", "[::1]"] {
            let at = |port: u16| format!("{host}:{port}").parse().expect("address");
            let mut socket = UdpSocket::bind(at(0), Offloads::default()).expect("bind");
            let there = UdpSocket::bind(at(0), Offloads::default()).expect("bind");
            let nobody = UdpSocket::bind(at(0), Offloads::default())
                .expect("bind")
                .local();
            let mut buffer = vec![0; MAX_RECEIVE_BYTES];
            assert_eq!(socket.read_errors(), []);
            socket.send(&to(nobody), b"hello").expect("sent");
            // The answer is there, and the next send would be told it instead of being done.
            socket.send(&to(there.local()), b"hello").expect("sent");
            assert_eq!(receive(&there, &mut buffer).bytes, 5);
            assert!(socket.receive(&mut buffer).expect("receive").is_none());
            assert_eq!(socket.read_errors(), [(nobody, Unreachable::Refused)]);
            assert_eq!(socket.read_errors(), []);
        }
    }

    fn exchange(address: &str) {
        let mut one =
            UdpSocket::bind(address.parse().expect("address"), Offloads::default()).expect("bind");
        let other =
            UdpSocket::bind(address.parse().expect("address"), Offloads::default()).expect("bind");
        let packets: Vec<u8> = (0..2500u32).map(|index| index as u8).collect();
        let outgoing = Outgoing {
            source: Some(one.local().ip()),
            segment_bytes: Some(1000),
            ecn: 0b10,
            ..to(other.local())
        };
        one.send(&outgoing, &packets).expect("send");
        let mut buffer = vec![0; MAX_RECEIVE_BYTES];
        let mut all = Vec::new();
        while all.len() < packets.len() {
            let received = receive(&other, &mut buffer);
            assert_eq!(received.remote, one.local());
            assert_eq!(received.local, Some(other.local().ip()));
            assert_eq!(received.ecn, 0b10);
            assert!(received.segment_bytes == 1000 || received.bytes <= 1000);
            all.extend_from_slice(&buffer[..received.bytes]);
        }
        assert_eq!(all, packets);
        assert!(other.receive(&mut buffer).expect("receive").is_none());
    }

    #[test]
    fn carries_several_packets_at_once_over_ipv4() {
        exchange("127.0.0.1:0");
    }

    #[test]
    fn carries_several_packets_at_once_over_ipv6() {
        exchange("[::1]:0");
    }
}
