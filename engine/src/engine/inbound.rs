//! Steps 1, 3 and 4: what comes from the network and from the host.

use bytes::{Bytes, BytesMut};
use serde_json::json;

use super::Engine;
use super::link::Link;
use crate::frames::CloseCode;
use crate::lanes::{Datagram, Packet, TrafficClass};
use crate::log;
use crate::packet::{Headers, MAX_HEADER_BYTES, Merge, Offload};
use crate::policy::{DropReason, PeerIndex};
use crate::quic::{ConnectionEvent, ConnectionKey, Received, StreamBytes, Transmit};
use crate::tun::FromHost;
use crate::udp::{self, MAX_RECEIVE_BYTES};

/// Merged receives of one turn and socket: a quarter of a megabyte at most. Twice as much makes urgent packets wait a tenth longer.
const RECEIVES_PER_TURN: usize = 4;
/// Packets of the host taken in one turn: what one round of sending carries.
const TUNNEL_PACKETS_PER_TURN: usize = 128;
/// And their bytes: four of the largest, for the same reason.
const TUNNEL_BYTES_PER_TURN: usize = 256 << 10;

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
            self.pace.moved(received.bytes);
            let mut packets = self.udp_memory.take(received.bytes);
            while !packets.is_empty() {
                let packet = packets.split_to(received.segment_bytes.min(packets.len()));
                let packet = self.udp_memory.apart(packet);
                self.receive_packet(&received, packet);
            }
        }
        self.pace.has_more();
    }

    fn receive_packet(&mut self, from: &udp::Received, packet: BytesMut) {
        let Some((remote, packet)) = self.unwrap(from.remote, packet) else {
            return;
        };
        self.transmit.clear();
        match self.endpoint.receive(
            self.now.instant,
            remote,
            from.local,
            from.ecn,
            packet,
            &mut self.transmit,
        ) {
            Received::Connection(key) => self.schedule(key),
            Received::Accepted(key) => {
                let link = Link::new(false, None, &self.budget, self.now.instant);
                self.add_link(key, link);
                self.set_handshake_timer(key);
            }
            Received::Answer(transmit) => self.answer(&transmit),
            Received::Nothing => {}
        }
    }

    /// An answer without a connection may be lost like any packet, so it is not kept when the socket is full.
    fn answer(&mut self, transmit: &Transmit) {
        if !self.sockets.is_stalled() {
            self.send_udp(transmit, None);
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
        let mut chunks = std::mem::take(&mut self.chunks);
        while let Some(read) = self
            .endpoint
            .connection(key)
            .and_then(|connection| connection.read(&mut chunks))
        {
            let bytes = chunks.drain(..);
            match read.from {
                StreamBytes::Control => {
                    bytes.for_each(|bytes| self.on_control_bytes(key, &bytes));
                    if read.ended {
                        self.close_link(key, CloseCode::ProtocolError, "the control stream ended");
                    }
                }
                StreamBytes::Lane(number) => {
                    self.on_lane_bytes(key, number, bytes);
                    if read.ended {
                        self.on_lane_end(key, number);
                    }
                }
            }
        }
        self.chunks = chunks;
        self.take_datagrams(key);
        self.on_session_events(key);
        self.on_path_changes(key);
    }

    fn take_datagrams(&mut self, key: ConnectionKey) {
        let link = self.link_mut(key).filter(|link| link.carries_packets());
        let Some((peer, mut rejoin)) =
            link.and_then(|link| Some((link.peer?, std::mem::take(&mut link.rejoin))))
        else {
            return self.refuse_datagrams(key);
        };
        while let Some(datagram) = self.next_datagram(key) {
            match Datagram::parse(datagram) {
                Some(Datagram::Packet(packet, offload)) => {
                    self.deliver(peer, None, &[&packet], offload)
                }
                Some(Datagram::Part(part, packet)) => {
                    let ready = rejoin.push(part, packet);
                    self.deliver_joined(peer, ready.joined);
                    if let Some(packet) = ready.single {
                        self.deliver(peer, None, &[&packet], Offload::Checksum);
                    }
                    self.deliver_joined(peer, ready.completed);
                }
                None => self.count_drop(peer, None, DropReason::Malformed),
            }
        }
        // What is not there yet may never come.
        self.deliver_joined(peer, rejoin.flush());
        if let Some(link) = self.link_mut(key) {
            link.rejoin = rejoin;
        }
    }

    fn next_datagram(&mut self, key: ConnectionKey) -> Option<Bytes> {
        self.endpoint.connection(key)?.receive_datagram()
    }

    fn refuse_datagrams(&mut self, key: ConnectionKey) {
        while self.next_datagram(key).is_some() {
            self.dropped.count(DropReason::NoSession);
        }
    }

    fn deliver_joined(&mut self, peer: PeerIndex, joined: Option<Merge>) {
        let Some(mut merge) = joined else { return };
        let (headers, payloads, offload) = merge.finish();
        let mut parts = Vec::with_capacity(1 + payloads.len());
        parts.push(headers);
        parts.extend(payloads.iter().map(|payload| &payload[..]));
        self.deliver(peer, None, &parts, offload);
    }

    fn on_lane_bytes(
        &mut self,
        key: ConnectionKey,
        number: u64,
        bytes: impl Iterator<Item = Bytes>,
    ) {
        let Some(link) = self.link_mut(key) else {
            return;
        };
        let carries_packets = link.carries_packets();
        let Some(peer) = link.peer else { return };
        let mut reader = link.readers.remove(&number).unwrap_or_default();
        bytes.for_each(|bytes| reader.push(bytes));
        let mut parts = std::mem::take(&mut self.parts);
        let malformed = loop {
            match reader.next(&mut parts) {
                Ok(Some((class, offload))) if carries_packets => {
                    self.deliver(peer, Some(class), &parts, offload);
                }
                // Read all the same, to stay in step with the stream.
                Ok(Some(_)) => self.dropped.count(DropReason::NoSession),
                Ok(None) => break None,
                Err(code) => break Some(code),
            }
        };
        parts.clear();
        self.parts = parts;
        if let Some(code) = malformed {
            return self.close_link(key, code, "a lane stream is malformed");
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

    /// Gives a packet of a peer to the host, if the policy lets it. Its class is known when it came on a lane stream.
    fn deliver(
        &mut self,
        index: PeerIndex,
        class: Option<TrafficClass>,
        parts: &[impl AsRef<[u8]>],
        offload: Offload,
    ) {
        match self.try_deliver(index, parts, offload) {
            Ok(bytes) => {
                // An answer may be there at once.
                self.ready.tunnel = true;
                if let Some(peer) = self.peers.get_mut(index) {
                    peer.traffic.count_received(class, bytes);
                }
            }
            Err(reason) => self.count_drop(index, class, reason),
        }
    }

    /// Returns the packet's length.
    fn try_deliver(
        &self,
        index: PeerIndex,
        parts: &[impl AsRef<[u8]>],
        offload: Offload,
    ) -> Result<usize, DropReason> {
        let total = parts.iter().map(|part| part.as_ref().len()).sum();
        let mut start = [0; MAX_HEADER_BYTES];
        let headers = Headers::parse_start(start_of(parts, &mut start), total)
            .filter(|headers| headers.allow(offload, total))
            .ok_or(DropReason::Malformed)?;
        self.policy.inbound(index, &headers)?;
        let tunnel = self.tunnel.as_ref().ok_or(DropReason::TunnelRefused)?;
        tunnel
            .send(&headers, parts, offload)
            .map_err(|_| DropReason::TunnelRefused)?;
        Ok(total)
    }

    /// Step 4.
    pub(super) fn receive_tunnel(&mut self) {
        // What an ending engine does not take, it has not accepted.
        if !self.ready.tunnel || self.stop_by.is_some() {
            return;
        }
        let mut bytes = 0;
        for _ in 0..TUNNEL_PACKETS_PER_TURN {
            let Some(tunnel) = &self.tunnel else { return };
            match tunnel.receive(&mut self.tunnel_memory) {
                Ok(Some(FromHost::Packet(packet, headers))) => {
                    bytes += packet.bytes().len();
                    self.pace.moved(packet.bytes().len());
                    self.route(packet, &headers);
                }
                Ok(Some(FromHost::Malformed)) => self.dropped.count(DropReason::Malformed),
                Ok(None) => return,
                Err(error) => return self.lose_tunnel(&error),
            }
            if bytes >= TUNNEL_BYTES_PER_TURN {
                break;
            }
        }
        self.pace.has_more();
    }

    /// Puts a packet of the host into the lanes of the peer that the policy names.
    fn route(&mut self, packet: Packet, headers: &Headers) {
        let index = match self.policy.outbound(headers) {
            Ok(index) => index,
            Err((reason, Some(index))) => return self.count_drop(index, None, reason),
            Err((reason, None)) => return self.dropped.count(reason),
        };
        let now = self.now.instant;
        let bytes = packet.bytes().len();
        let (class, flow) = self.classifier.classify(headers, bytes, now);
        if class.is_urgent()
            && let Some(priority) = &mut self.priority
        {
            priority.urgent(now);
        }
        let key = self.carrier_of(index);
        let link = key.and_then(|key| self.link_mut(key));
        let pushed = link.map_or(Err(DropReason::NoSession), |link| {
            link.lanes.push(class, packet, headers.transport, flow, now)
        });
        match pushed {
            Ok(()) => {
                if let Some(peer) = self.peers.get_mut(index) {
                    peer.traffic.count_sent(class, bytes);
                }
                if let Some(key) = key {
                    self.schedule(key);
                }
            }
            Err(reason) => self.count_drop(index, Some(class), reason),
        }
    }

    fn count_drop(&mut self, index: PeerIndex, class: Option<TrafficClass>, reason: DropReason) {
        match (self.peers.get_mut(index), class) {
            (Some(peer), Some(class)) => peer.dropped.count_of(class, reason, 1),
            (Some(peer), None) => peer.dropped.count(reason),
            (None, _) => self.dropped.count(reason),
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

/// The beginning of a packet in parts, in one piece.
fn start_of<'a>(parts: &'a [impl AsRef<[u8]>], buffer: &'a mut [u8; MAX_HEADER_BYTES]) -> &'a [u8] {
    if let Some(first) = parts.first().map(AsRef::as_ref)
        && (first.len() >= MAX_HEADER_BYTES || parts.len() == 1)
    {
        return first;
    }
    let mut filled = 0;
    for part in parts.iter().map(AsRef::as_ref) {
        let taken = part.len().min(MAX_HEADER_BYTES - filled);
        buffer[filled..filled + taken].copy_from_slice(&part[..taken]);
        filled += taken;
    }
    &buffer[..filled]
}
