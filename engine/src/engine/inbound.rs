//! Steps 1, 3 and 4: what comes from the network and from the host.

use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use serde_json::json;

use super::Engine;
use super::link::Link;
use crate::frames::CloseCode;
use crate::log;
use crate::policy::{DropReason, PeerIndex};
use crate::quic::{ConnectionEvent, ConnectionKey, Received, StreamBytes, Transmit};
use crate::tun::Tunnel;
use crate::udp::{MAX_RECEIVE_BYTES, Outgoing};

/// Merged receives of one turn and socket: half a megabyte at most.
const RECEIVES_PER_TURN: usize = 8;
/// Packets of the host taken in one turn: what one round of sending carries.
const TUNNEL_PACKETS_PER_TURN: usize = 128;

impl Engine {
    /// Step 1.
    pub(super) fn receive_udp(&mut self) {
        for index in 0..self.sockets.count() {
            if self.ready.sockets.get(index) == Some(&true) {
                self.receive_from(index);
            }
        }
    }

    fn receive_from(&mut self, index: usize) {
        for _ in 0..RECEIVES_PER_TURN {
            let Some(socket) = self.sockets.get(index) else {
                return;
            };
            let received = match socket.receive(self.udp_memory.room(MAX_RECEIVE_BYTES)) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(error) => {
                    let problem = error.to_string();
                    log::error("receiving failed", json!({ "error": problem }));
                    return;
                }
            };
            let mut packets = self.udp_memory.take(received.bytes);
            while !packets.is_empty() {
                let packet = packets.split_to(received.segment_bytes.min(packets.len()));
                self.receive_packet(received.remote, received.local, packet);
            }
        }
    }

    fn receive_packet(&mut self, remote: SocketAddr, local: Option<IpAddr>, packet: BytesMut) {
        self.transmit.clear();
        match self
            .endpoint
            .receive(self.now.instant, remote, local, packet, &mut self.transmit)
        {
            Received::Connection(key) => self.schedule(key),
            Received::Accepted(key) => {
                self.add_link(key, Link::new(false, None));
                self.set_handshake_timer(key);
            }
            Received::Answer(transmit) => self.answer(&transmit),
            Received::Nothing => {}
        }
    }

    /// An answer without a connection may be lost like any packet, so it is not kept when the socket is full.
    fn answer(&mut self, transmit: &Transmit) {
        if !self.sockets.is_stalled() {
            self.sockets
                .send(outgoing(transmit), &self.transmit[..transmit.bytes]);
        }
    }

    /// Step 3. Closing one connection may schedule another, so the list may grow while it is walked.
    pub(super) fn take_in(&mut self) {
        let mut index = 0;
        while let Some(key) = self.work.get(index).copied() {
            self.take_in_of(key);
            index += 1;
        }
    }

    /// The connection stays in the endpoint until step 6, so that its last event is seen here.
    fn take_in_of(&mut self, key: ConnectionKey) {
        while let Some(event) = self
            .endpoint
            .connection(key)
            .and_then(|connection| connection.poll_event())
        {
            match event {
                ConnectionEvent::Established(peer) => self.on_established(key, &peer),
                ConnectionEvent::Closed(closed) => self.on_closed(key, &closed),
            }
        }
        while let Some((from, bytes)) = self
            .endpoint
            .connection(key)
            .and_then(|connection| connection.read())
        {
            match (from, bytes) {
                (StreamBytes::Control, Some(bytes)) => self.on_control_bytes(key, &bytes),
                (StreamBytes::Control, None) => {
                    self.close_link(key, CloseCode::ProtocolError, "the control stream ended");
                }
                (StreamBytes::Lane(number), Some(bytes)) => {
                    self.on_lane_bytes(key, number, &bytes);
                }
                (StreamBytes::Lane(number), None) => self.on_lane_end(key, number),
            }
        }
        self.take_datagrams(key);
        self.on_session_events(key);
    }

    fn take_datagrams(&mut self, key: ConnectionKey) {
        let peer = self
            .link_mut(key)
            .filter(|link| link.carries_packets())
            .and_then(|link| link.peer);
        while let Some(packet) = self
            .endpoint
            .connection(key)
            .and_then(|connection| connection.receive_datagram())
        {
            match peer {
                Some(peer) => self.deliver(peer, &packet),
                None => self.dropped.count(DropReason::NoSession),
            }
        }
    }

    fn on_lane_bytes(&mut self, key: ConnectionKey, number: u64, bytes: &Bytes) {
        let Some(link) = self.link_mut(key) else {
            return;
        };
        let carries_packets = link.carries_packets();
        let Some(peer) = link.peer else { return };
        let mut reader = link.readers.remove(&number).unwrap_or_default();
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(packet)) if carries_packets => self.deliver(peer, &packet),
                // Read all the same, to stay in step with the stream.
                Ok(Some(_)) => self.dropped.count(DropReason::NoSession),
                Ok(None) => break,
                Err(code) => return self.close_link(key, code, "a lane stream is malformed"),
            }
        }
        if let Some(link) = self.link_mut(key) {
            link.readers.insert(number, reader);
        }
    }

    /// The other side may open another instead, so nothing may be left of this one.
    fn on_lane_end(&mut self, key: ConnectionKey, number: u64) {
        if let Some(link) = self.link_mut(key) {
            link.readers.remove(&number);
        }
    }

    /// Gives a packet of a peer to the host, if the policy lets it.
    fn deliver(&mut self, index: PeerIndex, packet: &[u8]) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        match pass(
            self.policy.inbound(index, packet),
            self.tunnel.as_ref(),
            packet,
        ) {
            Ok(()) => {
                peer.traffic.rx_packets += 1;
                peer.traffic.rx_bytes += packet.len() as u64;
            }
            Err(reason) => peer.dropped.count(reason),
        }
    }

    /// Step 4.
    pub(super) fn receive_tunnel(&mut self) {
        if !self.ready.tunnel {
            return;
        }
        for _ in 0..TUNNEL_PACKETS_PER_TURN {
            let Some(tunnel) = &self.tunnel else { return };
            match tunnel.receive(&mut self.tunnel_memory) {
                Ok(Some(packet)) => self.route(packet.freeze()),
                Ok(None) => return,
                Err(error) => return self.lose_tunnel(&error),
            }
        }
    }

    /// Puts a packet of the host into the lane of the peer that the policy names.
    fn route(&mut self, packet: Bytes) {
        let index = match self.policy.outbound(&packet) {
            Ok(index) => index,
            Err((reason, Some(index))) => return self.count_drop(index, reason),
            Err((reason, None)) => return self.dropped.count(reason),
        };
        let key = self.peers.get(index).and_then(|peer| peer.link);
        let link = key
            .and_then(|key| self.link_mut(key))
            .filter(|link| link.carries_packets());
        let bytes = packet.len() as u64;
        match link.map_or(Err(DropReason::NoSession), |link| link.lane.push(packet)) {
            Ok(()) => {
                if let Some(peer) = self.peers.get_mut(index) {
                    peer.traffic.tx_packets += 1;
                    peer.traffic.tx_bytes += bytes;
                }
                if let Some(key) = key {
                    self.schedule(key);
                }
            }
            Err(reason) => self.count_drop(index, reason),
        }
    }

    fn count_drop(&mut self, index: PeerIndex, reason: DropReason) {
        match self.peers.get_mut(index) {
            Some(peer) => peer.dropped.count(reason),
            None => self.dropped.count(reason),
        }
    }

    fn on_control_bytes(&mut self, key: ConnectionKey, bytes: &[u8]) {
        if !self.adopt(key) {
            return;
        }
        let now = self.now.instant;
        let Some(session) = self.link_mut(key).and_then(|link| link.session.as_mut()) else {
            return;
        };
        if let Err(error) = session.on_bytes(bytes, now) {
            // What came before the fault still counts.
            self.on_session_events(key);
            self.close_link(key, error.code, &error.message);
        }
    }
}

fn pass(
    verdict: Result<(), DropReason>,
    tunnel: Option<&Tunnel>,
    packet: &[u8],
) -> Result<(), DropReason> {
    verdict?;
    let tunnel = tunnel.ok_or(DropReason::TunnelRefused)?;
    tunnel.send(packet).map_err(|_| DropReason::TunnelRefused)
}

pub(super) fn outgoing(transmit: &Transmit) -> Outgoing {
    Outgoing {
        remote: transmit.remote,
        source: transmit.source,
        segment_bytes: transmit.segment_bytes,
    }
}
