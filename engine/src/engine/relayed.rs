//! Between the sockets and QUIC: a packet of a relay session has a header outside, and a key for a remote inside.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};

use super::Engine;
use crate::quic::Transmit;
use crate::relay::{self, HEADER_BYTES, Outer, RelayRoute, RelaySession};
use crate::udp::{self, Outgoing};

/// What a path to there may carry at most.
pub(super) fn largest_packet(remote: SocketAddr) -> u16 {
    match RelaySession::of(remote) {
        Some(_) => relay::LARGEST_PACKET,
        None => udp::largest_packet(remote),
    }
}

impl Engine {
    /// Where packets to this remote go: to the relay, if it is a key.
    pub(super) fn outer(&self, remote: SocketAddr) -> Option<SocketAddr> {
        match RelaySession::of(remote) {
            Some(session) => self.relays.get(&session).copied(),
            None => Some(remote),
        }
    }

    /// The remotes that packets to this address may be meant for: itself, and the keys of sessions of a relay there.
    pub(super) fn inner(&self, outer: SocketAddr) -> Vec<SocketAddr> {
        let sessions = self.relays.iter().filter(|(_, relay)| **relay == outer);
        let keys = sessions.map(|(session, _)| session.key());
        std::iter::once(outer).chain(keys).collect()
    }

    /// A remote as the outside writes it.
    pub(super) fn name_of(&self, remote: SocketAddr) -> String {
        let session = RelaySession::of(remote);
        match session.zip(self.outer(remote)) {
            Some((session, relay)) => RelayRoute { session, relay }.to_string(),
            None => remote.to_string(),
        }
    }

    /// The QUIC packet in a UDP packet, with the remote that it comes from. A relay session is believed from its relay alone; no
    /// packet from outside may come from a key.
    pub(super) fn unwrap(
        &mut self,
        from: SocketAddr,
        mut packet: BytesMut,
    ) -> Option<(SocketAddr, BytesMut)> {
        match relay::unwrap(&packet) {
            Outer::Quic if RelaySession::of(from).is_none() => return Some((from, packet)),
            Outer::Relayed(session) if self.relays.get(&session) == Some(&from) => {
                packet.advance(HEADER_BYTES);
                return Some((session.key(), packet));
            }
            _ => {}
        }
        self.packets_refused += 1;
        None
    }

    /// Sends what is in `self.transmit`, through an interface if one is given.
    pub(super) fn send_udp(&mut self, transmit: &Transmit, interface: Option<u32>) {
        let outgoing = Outgoing {
            remote: transmit.remote,
            source: transmit.source,
            interface,
            segment_bytes: transmit.segment_bytes,
            ecn: transmit.ecn,
        };
        let packets = &self.transmit[..transmit.bytes];
        let Some(session) = RelaySession::of(transmit.remote) else {
            return self.sockets.send(outgoing, packets);
        };
        // A session that is not wanted any more has no relay to send to.
        let Some(relay) = self.relays.get(&session).copied() else {
            return;
        };
        let segment_bytes = transmit.segment_bytes.unwrap_or(transmit.bytes);
        self.wrapped.clear();
        relay::wrap(session, packets, segment_bytes, &mut self.wrapped);
        let outgoing = Outgoing {
            remote: relay,
            segment_bytes: transmit.segment_bytes.map(|bytes| bytes + HEADER_BYTES),
            ..outgoing
        };
        self.sockets.send(outgoing, &self.wrapped);
    }
}
