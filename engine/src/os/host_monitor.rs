//! The addresses of this host as they come and go, and its links that come up, told by the kernel (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{RecvFlags, recv};

/// Messages of one read; the kernel sends one address or link in each.
const READ_BYTES: usize = 8 << 10;
/// Reads in one turn; a host that changes more at once is looked at again in the next.
const MAX_READS: usize = 16;
/// Of netlink(7).
const MESSAGE_HEADER_BYTES: usize = 16;
/// ifaddrmsg: family, prefix length, flags, scope, index.
const ADDRESS_HEADER_BYTES: usize = 8;
/// ifinfomsg: family, padding, type, index, flags, change.
const LINK_HEADER_BYTES: usize = 16;
/// Of rtnetlink(7).
const ATTRIBUTE_HEADER_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressChange {
    pub address: IpAddr,
    /// It is there now; else it is gone.
    pub is_there: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct HostChanges {
    pub addresses: Vec<AddressChange>,
    /// The numbers of interfaces of which the kernel said that they are up: perhaps again, perhaps still.
    pub links_up: Vec<u32>,
}

pub struct HostMonitor {
    fd: OwnedFd,
}

impl HostMonitor {
    pub fn open() -> io::Result<HostMonitor> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: sockaddr_nl is plain data for which all zeroes is a valid value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        address.nl_groups = groups as u32;
        // SAFETY: the address is a live sockaddr_nl of the length given, and the kernel only reads it.
        let bound = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(HostMonitor { fd })
    }

    /// What changed since the last call. `None` when the kernel had to leave something out.
    pub fn read(&self) -> Option<HostChanges> {
        let mut changes = HostChanges::default();
        let mut buffer = [0; READ_BYTES];
        for _ in 0..MAX_READS {
            match recv(&self.fd, &mut buffer, RecvFlags::empty()) {
                Ok((bytes, _)) => parse(&buffer[..bytes.min(READ_BYTES)], &mut changes),
                Err(rustix::io::Errno::NOBUFS) => return None,
                Err(_) => break,
            }
        }
        Some(changes)
    }
}

impl AsFd for HostMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn parse(mut messages: &[u8], changes: &mut HostChanges) {
    while let Some((header, _)) = messages.split_at_checked(MESSAGE_HEADER_BYTES) {
        let length = u32_at(header, 0) as usize;
        let Some(message) = messages
            .get(..length)
            .filter(|_| length >= MESSAGE_HEADER_BYTES)
        else {
            return;
        };
        let body = &message[MESSAGE_HEADER_BYTES..];
        match u16_at(header, 4) {
            libc::RTM_NEWADDR => changes.addresses.extend(address_change(body, true)),
            libc::RTM_DELADDR => changes.addresses.extend(address_change(body, false)),
            libc::RTM_NEWLINK => changes.links_up.extend(link_up(body)),
            _ => {}
        }
        messages = messages.get(aligned(length)..).unwrap_or_default();
    }
}

fn address_change(body: &[u8], is_there: bool) -> Option<AddressChange> {
    let address = address(body.get(ADDRESS_HEADER_BYTES..)?)?;
    Some(AddressChange { address, is_there })
}

fn link_up(body: &[u8]) -> Option<u32> {
    let header = body.get(..LINK_HEADER_BYTES)?;
    let is_up = u32_at(header, 8) & libc::IFF_UP as u32 != 0;
    is_up.then(|| u32_at(header, 4))
}

/// The interface's own address: IFA_LOCAL, or IFA_ADDRESS where both ends are one.
fn address(mut attributes: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    while let Some((header, _)) = attributes.split_at_checked(ATTRIBUTE_HEADER_BYTES) {
        let length = usize::from(u16_at(header, 0));
        let value = attributes.get(ATTRIBUTE_HEADER_BYTES..length)?;
        let kind = u16_at(header, 2);
        if kind == libc::IFA_LOCAL || (kind == libc::IFA_ADDRESS && found.is_none()) {
            found = ip(value).or(found);
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    found
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The callers made sure that the bytes are there.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_address(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0; ADDRESS_HEADER_BYTES];
        for (kind, value) in attributes {
            let length = (ATTRIBUTE_HEADER_BYTES + value.len()) as u16;
            body.extend(length.to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(aligned(body.len()), 0);
        }
        message(kind, &body)
    }

    fn of_link(index: u32, flags: i32) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        message(libc::RTM_NEWLINK, &body)
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(((MESSAGE_HEADER_BYTES + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    #[test]
    fn reads_what_came_and_what_went() {
        let mut bytes = of_address(
            libc::RTM_NEWADDR,
            &[
                (libc::IFA_ADDRESS, &[10, 0, 0, 2]),
                (libc::IFA_LOCAL, &[10, 0, 0, 1]),
            ],
        );
        bytes.extend(of_link(7, libc::IFF_UP | libc::IFF_RUNNING));
        bytes.extend(of_link(8, libc::IFF_BROADCAST));
        bytes.extend(message(libc::RTM_NEWLINK, &[0; 4]));
        bytes.extend(of_address(
            libc::RTM_DELADDR,
            &[(libc::IFA_ADDRESS, &[1; 16])],
        ));
        let mut changes = HostChanges::default();
        parse(&bytes, &mut changes);
        let expected = [
            ("10.0.0.1", true),
            ("101:101:101:101:101:101:101:101", false),
        ]
        .map(|(address, is_there)| AddressChange {
            address: address.parse().expect("address"),
            is_there,
        });
        assert_eq!(changes.addresses, expected);
        assert_eq!(changes.links_up, [7]);
    }

    #[test]
    fn opens_and_has_nothing_to_tell_at_first() {
        let monitor = HostMonitor::open().expect("opens");
        assert_eq!(monitor.read(), Some(HostChanges::default()));
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes, &mut HostChanges::default());
        }
    }
}
