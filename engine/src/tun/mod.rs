//! The tunnel interface: its device, and its addresses, routes and MTU.
//!
//! The interface lives as long as its descriptor: closing it takes the addresses and routes with it, so an engine that dies
//! leaves nothing behind.

mod device;
mod interface;
pub(crate) mod vnet;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::{Buf, BytesMut};

use self::device::Device;
pub use self::device::TunOffloads;
use self::interface::Interface;
use self::vnet::{Undone, VNET_BYTES, VnetHeader};
use crate::lanes::{Packet, RECORD_HEADER_BYTES};
use crate::packet::{
    Headers, MAX_PACKET_BYTES, Offload, finish_checksum, finish_transport_checksum, split,
};
use crate::policy::Prefix;
use crate::udp::Arena;

/// What the interface shall look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelSettings {
    pub addresses: BTreeSet<(IpAddr, u8)>,
    pub routes: BTreeSet<Prefix>,
    pub mtu: u16,
}

/// What the host gave.
pub enum FromHost {
    Packet(Packet, Headers),
    /// Neither IPv4 nor IPv6, or not of the length it says.
    Malformed,
}

/// As many parts as one write takes (IOV_MAX is 1024); a packet in more is joined first.
const MAX_PARTS: usize = 256;

pub struct Tunnel {
    device: Device,
    interface: Interface,
    settings: TunnelSettings,
}

impl Tunnel {
    /// Makes the interface and brings it up.
    pub fn open(
        interface: &str,
        settings: &TunnelSettings,
        offloads: TunOffloads,
    ) -> io::Result<Tunnel> {
        let device = Device::open(interface, offloads)?;
        let interface = Interface::open(device.index())?;
        let empty = TunnelSettings {
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
            mtu: settings.mtu,
        };
        interface.bring_up(settings.mtu)?;
        let mut tunnel = Tunnel {
            device,
            interface,
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
            self.interface.bring_up(wanted.mtu)?;
            self.settings.mtu = wanted.mtu;
        }
        let present = self.settings.clone();
        for route in present.routes.difference(&wanted.routes) {
            self.interface.remove_route(route)?;
            self.settings.routes.remove(route);
        }
        for address in present.addresses.difference(&wanted.addresses) {
            self.interface.remove_address(address.0, address.1)?;
            self.settings.addresses.remove(address);
        }
        for address in wanted.addresses.difference(&present.addresses) {
            self.interface.add_address(address.0, address.1)?;
            self.settings.addresses.insert(*address);
        }
        for route in wanted.routes.difference(&present.routes) {
            self.interface.add_route(route)?;
            self.settings.routes.insert(*route);
        }
        Ok(())
    }

    /// Puts back what is missing: an interface that goes down loses its routes, and its IPv6 addresses.
    pub fn restore(&self) -> io::Result<()> {
        for (address, bits) in &self.settings.addresses {
            self.interface.add_address(*address, *bits)?;
        }
        for route in &self.settings.routes {
            match self.interface.add_route(route) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => done?,
            }
        }
        Ok(())
    }

    pub fn index(&self) -> u32 {
        self.device.index()
    }

    /// What the kernel does for us and we for it.
    pub fn offloads(&self) -> TunOffloads {
        self.device.offloads()
    }

    /// What the host sends next, or `None` when nothing waits.
    pub fn receive(&self, arena: &mut Arena) -> io::Result<Option<FromHost>> {
        const ROOM_BYTES: usize = VNET_BYTES + MAX_PACKET_BYTES;
        match self.device.read(arena.room(ROOM_BYTES)) {
            Ok(bytes) => Ok(Some(from_host(arena.take(bytes)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // The kernel had a packet which its header can't describe, and dropped it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Ok(Some(FromHost::Malformed))
            }
            Err(error) => Err(error),
        }
    }

    /// Gives one packet to the host. `parts` together are the packet with these headers.
    pub fn send(
        &self,
        headers: &Headers,
        parts: &[impl AsRef<[u8]>],
        offload: Offload,
    ) -> io::Result<()> {
        let offloads = self.device.offloads();
        let is_left_to_the_kernel = match (offload, headers.protocol) {
            (Offload::Complete, _) => true,
            (Offload::Checksum, _) => offloads.checksum,
            (Offload::Segments(_), 6) => offloads.tcp_segmentation,
            (Offload::Segments(_), _) => offloads.udp_segmentation,
        };
        if !is_left_to_the_kernel {
            return self.send_finished(headers, &joined(parts), offload);
        }
        let vnet = VnetHeader::of(headers, offload)
            .ok_or_else(|| io::Error::other("not what its sender says"))?
            .write();
        self.write(&vnet, parts)
    }

    fn write(&self, vnet: &[u8; VNET_BYTES], parts: &[impl AsRef<[u8]>]) -> io::Result<()> {
        if parts.len() >= MAX_PARTS {
            return self.write(vnet, &[joined(parts)]);
        }
        let mut slices = [IoSlice::new(&[]); MAX_PARTS];
        slices[0] = IoSlice::new(vnet);
        for (slice, part) in slices[1..].iter_mut().zip(parts) {
            *slice = IoSlice::new(part.as_ref());
        }
        self.device.write(&slices[..=parts.len()])
    }

    /// For a kernel without the offload.
    fn send_finished(&self, headers: &Headers, packet: &[u8], offload: Offload) -> io::Result<()> {
        let transport = headers
            .transport
            .ok_or_else(|| io::Error::other("not what its sender says"))?;
        let none = VnetHeader::default().write();
        let mut packets = Vec::new();
        match offload {
            Offload::Segments(segment) => {
                let mut memory = BytesMut::new();
                split(packet, &transport, segment, 0, &mut memory, |_, _, part| {
                    packets.push(part)
                });
            }
            _ => packets.push(BytesMut::from(packet)),
        }
        packets.into_iter().try_for_each(|mut packet| {
            if offload != Offload::Complete {
                finish_transport_checksum(&mut packet, &transport);
            }
            self.write(&none, &[&packet])
        })
    }
}

/// Reads the kernel's header and leaves the room of a record's in its place.
pub(crate) fn from_host(mut bytes: BytesMut) -> FromHost {
    let Some(vnet) = bytes.first_chunk::<VNET_BYTES>().map(VnetHeader::read) else {
        return FromHost::Malformed;
    };
    let headers = Headers::parse(&bytes[VNET_BYTES..]);
    let Some((headers, undone)) = headers.zip(vnet.undone(headers.as_ref())) else {
        return FromHost::Malformed;
    };
    let offload = match undone {
        Undone::Nothing => Offload::Complete,
        Undone::Known(offload) => offload,
        Undone::Checksum(start, at) => {
            finish_checksum(&mut bytes[VNET_BYTES..], start, at);
            // A sum belongs behind what we read.
            if Headers::parse(&bytes[VNET_BYTES..]) != Some(headers) {
                return FromHost::Malformed;
            }
            Offload::Complete
        }
    };
    bytes.advance(VNET_BYTES - RECORD_HEADER_BYTES);
    FromHost::Packet(Packet::new(bytes, offload), headers)
}

impl AsFd for Tunnel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn joined(parts: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut whole = Vec::new();
    for part in parts {
        whole.extend_from_slice(part.as_ref());
    }
    whole
}
