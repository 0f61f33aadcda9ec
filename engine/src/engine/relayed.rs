//! Between the sockets and QUIC: a packet of a relay session has a header outside, and a key for a remote inside.

use std::collections::HashSet;
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

    /// Relays that nobody wants and no connection uses any more.
    pub(super) fn forget_relays(&mut self) {
        let peers = self.plan.iter().flat_map(|plan| plan.peers.values());
        let routes = peers.flat_map(|peer| &peer.relays);
        let wanted: HashSet<RelaySession> = routes.map(|route| route.session).collect();
        if self.relays.len() == wanted.len() {
            return;
        }
        let mut used = HashSet::new();
        for key in 0..self.links.len() {
            if let Some(connection) = self.endpoint.connection(key) {
                used.extend(
                    connection
                        .remotes()
                        .into_iter()
                        .filter_map(RelaySession::of),
                );
            }
        }
        self.relays
            .retain(|session, _| wanted.contains(session) || used.contains(session));
    }

    /// A remote as the outside writes it.
    pub(super) fn name_of(&self, remote: SocketAddr) -> String {
        match (RelaySession::of(remote), self.outer(remote)) {
            (Some(session), Some(relay)) => RelayRoute { session, relay }.to_string(),
            (Some(session), None) => format!("relay:{session}"),
            (None, _) => remote.to_string(),
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
        let Some(relay) = self.relays.get(&session).copied() else {
            self.sockets.send_errors += 1;
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
