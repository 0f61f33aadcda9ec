//! The tunnel interface: its device, and its addresses, routes and MTU.
//!
//! The interface lives as long as its descriptor: closing it takes the addresses and routes with it, so an engine that dies
//! leaves nothing behind.

mod device;
mod netlink;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::BytesMut;

use self::device::Device;
use self::netlink::Netlink;
use crate::policy::Prefix;
use crate::udp::Arena;

/// What the interface shall look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelSettings {
    pub addresses: BTreeSet<(IpAddr, u8)>,
    pub routes: BTreeSet<Prefix>,
    pub mtu: u16,
}

pub struct Tunnel {
    device: Device,
    netlink: Netlink,
    settings: TunnelSettings,
}

impl Tunnel {
    /// Makes the interface and brings it up.
    pub fn open(interface: &str, settings: &TunnelSettings) -> io::Result<Tunnel> {
        let device = Device::open(interface)?;
        let netlink = Netlink::open(device.index())?;
        let empty = TunnelSettings {
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
            mtu: settings.mtu,
        };
        netlink.bring_up(settings.mtu)?;
        let mut tunnel = Tunnel {
            device,
            netlink,
            settings: empty,
        };
        tunnel.configure(settings)?;
        Ok(tunnel)
    }

    pub fn settings(&self) -> &TunnelSettings {
        &self.settings
    }

    /// Changes what differs, and remembers each change as it is made, so that a failure half-way can be gone back on.
    pub fn configure(&mut self, wanted: &TunnelSettings) -> io::Result<()> {
        if wanted.mtu != self.settings.mtu {
            self.netlink.bring_up(wanted.mtu)?;
            self.settings.mtu = wanted.mtu;
        }
        let present = self.settings.clone();
        for route in present.routes.difference(&wanted.routes) {
            self.netlink.remove_route(route)?;
            self.settings.routes.remove(route);
        }
        for address in present.addresses.difference(&wanted.addresses) {
            self.netlink.remove_address(address.0, address.1)?;
            self.settings.addresses.remove(address);
        }
        for address in wanted.addresses.difference(&present.addresses) {
            self.netlink.add_address(address.0, address.1)?;
            self.settings.addresses.insert(*address);
        }
        for route in wanted.routes.difference(&present.routes) {
            self.netlink.add_route(route)?;
            self.settings.routes.insert(*route);
        }
        Ok(())
    }

    /// One packet from the host, or `None` when none waits.
    pub fn receive(&self, arena: &mut Arena) -> io::Result<Option<BytesMut>> {
        // The kernel gives no packet larger than the MTU, which the limits keep below this.
        const ROOM_BYTES: usize = 16 << 10;
        match self.device.read(arena.room(ROOM_BYTES)) {
            Ok(bytes) => Ok(Some(arena.take(bytes))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives one packet to the host.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.write(packet)
    }
}

impl AsFd for Tunnel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
