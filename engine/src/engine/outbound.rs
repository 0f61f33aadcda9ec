//! Step 6: what goes to the network.

use std::num::NonZeroUsize;

use super::Engine;
use super::timed::TimerKey;
use crate::quic::ConnectionKey;
use crate::session::Session;

/// Packets in one segmented send. Measured: 1 → 1.1 Gbit/s, 10 → 3.5, 44 → 4.0; 44 full Ethernet packets are the 64 KB that one
/// send can carry.
const PACKETS_PER_SEND: usize = 44;
/// What one send carries at most, less than a full IPv4 packet.
const BYTES_PER_SEND: usize = 65_000;
/// Sends of one connection in one turn, so that the others come too.
const SENDS_PER_TURN: usize = 16;
/// Room for the largest send.
pub(super) const TRANSMIT_BYTES: usize = 64 << 10;

impl Engine {
    pub(super) fn send_out(&mut self) {
        self.sockets.resume();
        for _ in 0..self.work.len() {
            if self.sockets.is_stalled() {
                return;
            }
            let Some(key) = self.work.pop_front() else {
                return;
            };
            if let Some(link) = self.link_mut(key) {
                link.scheduled = false;
            }
            if self.send_out_of(key) {
                self.schedule(key);
            }
        }
    }

    /// Returns whether the connection has more to send than it may in one turn.
    fn send_out_of(&mut self, key: ConnectionKey) -> bool {
        if !self.endpoint.settle(key) {
            self.forget_link(key);
            return false;
        }
        self.write_control(key);
        let more = self.send_packets(key);
        self.go_on_leaving(key);
        self.endpoint.settle(key);
        let session = self
            .links
            .get(key)
            .and_then(Option::as_ref)
            .and_then(|link| link.session.as_ref());
        let timeout = session.and_then(Session::poll_timeout);
        self.timers.set(TimerKey::Session(key), timeout);
        more
    }

    /// Returns whether it ended before the connection had nothing to send.
    fn send_packets(&mut self, key: ConnectionKey) -> bool {
        let packets = self.packets_per_send(key);
        for _ in 0..SENDS_PER_TURN {
            self.feed_lanes(key);
            if !self.send_once(key, packets) {
                return false;
            }
            if self.sockets.is_stalled() {
                break;
            }
        }
        true
    }

    fn write_control(&mut self, key: ConnectionKey) {
        let Some(connection) = self.endpoint.connection(key) else {
            return;
        };
        let Some(session) = self
            .links
            .get_mut(key)
            .and_then(Option::as_mut)
            .and_then(|link| link.session.as_mut())
        else {
            return;
        };
        while let Some(bytes) = session.poll_transmit() {
            if let Some(rest) = connection.write_control(bytes) {
                session.return_unsent(rest);
                return;
            }
        }
    }

    fn feed_lanes(&mut self, key: ConnectionKey) {
        let Some(connection) = self.endpoint.connection(key) else {
            return;
        };
        let link = self.links.get_mut(key).and_then(Option::as_deref_mut);
        let Some(link) = link.filter(|link| link.carries_packets()) else {
            return;
        };
        let peer = link.peer.and_then(|index| self.peers.get_mut(index));
        if let Some(peer) = peer {
            connection.look_at_datagrams();
            link.lanes
                .feed(connection, self.now.instant, &mut peer.dropped);
            self.datagrams_refused += connection.take_datagrams_refused();
            if let Some(at) = link.lanes.wakes_at() {
                self.timers.set(TimerKey::Lanes(key), Some(at));
            }
        }
    }

    /// As many as the path's packets fill one send with.
    fn packets_per_send(&mut self, key: ConnectionKey) -> NonZeroUsize {
        let connection = self.endpoint.connection(key);
        let packet_bytes = connection.map_or(1, |connection| connection.packet_bytes().max(1));
        let fitting = BYTES_PER_SEND / usize::from(packet_bytes);
        NonZeroUsize::new(fitting.min(PACKETS_PER_SEND)).unwrap_or(NonZeroUsize::MIN)
    }

    /// One send; false when the connection has nothing to send.
    fn send_once(&mut self, key: ConnectionKey, packets: NonZeroUsize) -> bool {
        let Some(connection) = self.endpoint.connection(key) else {
            return false;
        };
        self.transmit.clear();
        let Some(transmit) =
            connection.poll_transmit(self.now.instant, packets, &mut self.transmit)
        else {
            return false;
        };
        let link = self.links.get(key).and_then(Option::as_ref);
        let interface = link.and_then(|link| link.interface(transmit.remote, transmit.source));
        self.send_udp(&transmit, interface);
        true
    }
}
