//! How large a packet the link towards an address carries.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Ethernet's, where the kernel does not say.
const ETHERNET_MTU: u16 = 1_500;
/// The headers of IP and UDP.
const HEADERS_BYTES: [u16; 2] = [28, 48];

/// The UDP payload of the largest packet to `remote` that leaves this host; the path may carry less.
pub fn largest_packet(remote: SocketAddr) -> u16 {
    let mtu = route_mtu(remote).unwrap_or(ETHERNET_MTU);
    mtu.saturating_sub(HEADERS_BYTES[usize::from(remote.is_ipv6())])
}

/// Of the route that the kernel takes: a connected socket knows it (ip(7), IP_MTU). Nothing is sent.
fn route_mtu(remote: SocketAddr) -> io::Result<u16> {
    let (any, level, option): (IpAddr, _, _) = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (
            Ipv6Addr::UNSPECIFIED.into(),
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU,
        ),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    let mut mtu: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes to a live int of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_mut(&mut mtu).cast(),
            &mut size,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // Loopback has 65,536.
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_carries_as_much_as_a_packet_can() {
        let local = |address: &str| largest_packet(address.parse().expect("an address"));
        assert_eq!(local("127.0.0.1:1"), u16::MAX - 28);
        assert_eq!(local("[::1]:1"), u16::MAX - 48);
    }

    #[test]
    fn where_there_is_no_route_ethernet_is_meant() {
        // Port 0 of no network: connecting fails or tells the MTU of a default route; both carry a QUIC packet.
        assert!(largest_packet("240.0.0.1:9".parse().expect("an address")) >= 1_200);
    }
}
