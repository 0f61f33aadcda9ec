//! The addresses of this host as they come and go, and its links that come up, told by the kernel (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::netlink::{Netlink, attributes, ip, u32_at};

/// Reads in one turn; a host that changes more at once is looked at again in the next.
const MAX_READS: usize = 16;
/// ifaddrmsg: family, prefix length, flags, scope, index.
pub(super) const ADDRESS_HEADER_BYTES: usize = 8;
/// ifinfomsg: family, padding, type, index, flags, change.
const LINK_HEADER_BYTES: usize = 16;

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
    netlink: Netlink,
}

impl HostMonitor {
    pub fn open() -> io::Result<HostMonitor> {
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        let netlink = Netlink::subscribe(groups as u32)?;
        Ok(HostMonitor { netlink })
    }

    /// What changed since the last call. `None` when the kernel had to leave something out.
    pub fn read(&self) -> Option<HostChanges> {
        let mut changes = HostChanges::default();
        let is_all = self
            .netlink
            .read(MAX_READS, |kind, body| changes.take(kind, body));
        is_all.then_some(changes)
    }
}

impl AsFd for HostMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

impl HostChanges {
    fn take(&mut self, kind: u16, body: &[u8]) {
        match kind {
            libc::RTM_NEWADDR => self.addresses.extend(address_change(body, true)),
            libc::RTM_DELADDR => self.addresses.extend(address_change(body, false)),
            libc::RTM_NEWLINK => self.links_up.extend(link_up(body)),
            _ => {}
        }
    }
}

fn address_change(body: &[u8], is_there: bool) -> Option<AddressChange> {
    let address = address_of(body.get(ADDRESS_HEADER_BYTES..)?)?;
    Some(AddressChange { address, is_there })
}

fn link_up(body: &[u8]) -> Option<u32> {
    let header = body.get(..LINK_HEADER_BYTES)?;
    let is_up = u32_at(header, 8)? & libc::IFF_UP as u32 != 0;
    is_up.then(|| u32_at(header, 4))?
}

/// The interface's own address in an RTM_NEWADDR's attributes: IFA_LOCAL, or IFA_ADDRESS where both ends are one.
pub(super) fn address_of(body: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for (kind, value) in attributes(body) {
        if kind == libc::IFA_LOCAL || (kind == libc::IFA_ADDRESS && found.is_none()) {
            found = ip(value).or(found);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::{Message, messages};
    use super::*;

    fn of_address(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = Message::new(kind, 0);
        message.put(&[0; ADDRESS_HEADER_BYTES]);
        for (kind, value) in attributes {
            message.attribute(*kind, value);
        }
        message.told()
    }

    fn of_link(body: &[&[u8]]) -> Vec<u8> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        message.put(&body.concat());
        message.told()
    }

    fn link(index: u32, flags: i32) -> Vec<u8> {
        of_link(&[&[0; 4], &index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]])
    }

    fn take(bytes: &[u8]) -> HostChanges {
        let mut changes = HostChanges::default();
        for (kind, body) in messages(bytes) {
            changes.take(kind, body);
        }
        changes
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
        bytes.extend(link(7, libc::IFF_UP | libc::IFF_RUNNING));
        bytes.extend(link(8, libc::IFF_BROADCAST));
        bytes.extend(of_link(&[&[0; 4]]));
        bytes.extend(of_address(
            libc::RTM_DELADDR,
            &[(libc::IFA_ADDRESS, &[1; 16])],
        ));
        let changes = take(&bytes);
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
            take(&bytes);
        }
    }
}
