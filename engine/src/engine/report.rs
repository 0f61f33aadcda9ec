//! `describe`: the whole state, as a client that just connected needs it.

use std::collections::BTreeMap;

use super::Engine;
use super::link::Link;
use super::peers::Peer;
use super::pressure::remote_pressure;
use crate::lanes::TrafficClass;
use crate::panics;
use crate::policy::DropCounters;
use crate::session::{Phase, Session};
use crate::socket::messages::{
    ClassState, IdentityState, OffloadState, PeerState, SessionState, State, TunnelState,
};
use crate::tun::{TunOffloads, Tunnel};
use crate::udp::UdpSocket;

impl Engine {
    pub(super) fn report(&mut self) -> State {
        let peers = self.peers.indexes();
        let peers = peers
            .into_iter()
            .filter_map(|index| self.report_peer_and_paths(index))
            .collect();
        State {
            instance_id: self.hello.instance_id.clone(),
            engine_version: self.hello.engine_version.clone(),
            started_at_ms: self.hello.started_at_ms,
            revision: self.plan.as_ref().map_or(0, |plan| plan.revision),
            identity: self.endpoint.identity().map(|identity| IdentityState {
                spiffe_id: identity.spiffe_id().to_owned(),
                fingerprint: identity.fingerprint().to_string(),
                not_after_ms: identity.not_after_ms(),
            }),
            tunnel: self.report_tunnel(),
            listen: self
                .sockets
                .iter()
                .map(|socket| socket.local().to_string())
                .collect(),
            peers,
            counters: self.report_counters(),
            pressure: self.report_host_pressure(),
            offloads: self.report_offloads(),
            notes: self.report_notes(),
        }
    }

    fn report_tunnel(&self) -> Option<TunnelState> {
        let settings = self.tunnel.as_ref()?.settings();
        Some(TunnelState {
            interface: self.config.tunnel.as_ref()?.interface.clone(),
            addresses: settings
                .addresses
                .iter()
                .map(|(address, bits)| format!("{address}/{bits}"))
                .collect(),
            routes: settings.routes.iter().map(ToString::to_string).collect(),
            mtu: settings.mtu.into(),
        })
    }

    fn report_peer_and_paths(&mut self, index: usize) -> Option<PeerState> {
        let mut state = self.report_peer(index)?;
        if let Some(key) = self.peers.get(index).and_then(|peer| peer.link) {
            state.paths = self.report_paths(key);
        }
        Some(state)
    }

    fn report_peer(&mut self, index: usize) -> Option<PeerState> {
        let peer = self.peers.get(index)?;
        let link = peer.link.and_then(|key| self.links.get(key)?.as_deref());
        let session = link.and_then(|link| link.session.as_ref());
        let state = session_state(peer, session);
        let authority = session
            .filter(|_| state == SessionState::Ready)
            .map(Session::remote_authority);
        let path = peer
            .link
            .and_then(|key| self.endpoint.connection(key)?.path_facts());
        let (sent, received) = (peer.traffic.all_sent(), peer.traffic.all_received());
        Some(PeerState {
            id: peer.plan.id.clone(),
            spiffe_id: peer.plan.spiffe_id.clone(),
            session: state,
            remote: path.map(|path| self.name_of(path.remote)),
            rtt_micros: path.map(|path| path.rtt.as_micros() as u64),
            since_ms: peer.since_ms,
            mtu: path.map(|path| path.mtu.into()),
            tx_packets: sent.packets,
            rx_packets: received.packets,
            tx_bytes: sent.bytes,
            rx_bytes: received.bytes,
            dropped: labels(peer.dropped.all()),
            classes: classes(peer, link),
            rx_datagrams: peer.traffic.datagrams().packets,
            rx_datagram_bytes: peer.traffic.datagrams().bytes,
            pressure: peer.link.and_then(|key| self.report_link_pressure(key)),
            remote_pressure: session.and_then(|session| remote_pressure(session, self.now.instant)),
            bulk_bytes_per_second: link.and_then(|link| link.lanes.bulk_rate()),
            last_failure: peer.last_failure.clone(),
            remote_authority: authority,
            paths: Vec::new(),
        })
    }

    fn report_offloads(&self) -> OffloadState {
        let tun = self.tunnel.as_ref().map(Tunnel::offloads);
        let tun = tun.unwrap_or(TunOffloads::NONE);
        OffloadState {
            tun_checksum: tun.checksum,
            tun_tcp_segmentation: tun.checksum && tun.tcp_segmentation,
            tun_udp_segmentation: tun.checksum && tun.udp_segmentation,
            udp_segmentation: self.sockets.iter().all(UdpSocket::segments),
            udp_coalescing: self.sockets.iter().all(UdpSocket::coalesces),
        }
    }

    fn report_notes(&self) -> Vec<String> {
        let (wanted, granted) = (self.config.offloads, self.report_offloads());
        let has_tunnel = self.tunnel.is_some();
        let offloads = [
            (
                "tunChecksum",
                has_tunnel,
                wanted.tun_checksum,
                granted.tun_checksum,
            ),
            (
                "tunTcpSegmentation",
                has_tunnel,
                wanted.tun_tcp_segmentation,
                granted.tun_tcp_segmentation,
            ),
            (
                "tunUdpSegmentation",
                has_tunnel,
                wanted.tun_udp_segmentation,
                granted.tun_udp_segmentation,
            ),
            (
                "udpSegmentation",
                true,
                wanted.udp_segmentation,
                granted.udp_segmentation,
            ),
            (
                "udpCoalescing",
                true,
                wanted.udp_coalescing,
                granted.udp_coalescing,
            ),
        ];
        let notes = offloads
            .into_iter()
            .filter(|(_, applies, _, granted)| *applies && !granted)
            .map(|(name, _, wanted, _)| {
                if wanted {
                    format!("offload {name} refused by the kernel or the network card")
                } else {
                    format!("offload {name} turned off by the configuration")
                }
            });
        self.notes.iter().cloned().chain(notes).collect()
    }

    fn report_counters(&self) -> BTreeMap<String, u64> {
        let dropped = self
            .dropped
            .iter()
            .map(|(reason, count)| (format!("dropped.{}", reason.label()), count));
        let own = [
            ("handshakesRefused".to_owned(), self.refusals.total),
            ("faultsContained".to_owned(), panics::contained()),
            ("udpSendErrors".to_owned(), self.sockets.send_errors),
            ("udpPacketsRefused".to_owned(), self.packets_refused),
            ("datagramsRefused".to_owned(), self.datagrams_refused),
            (
                "connections".to_owned(),
                self.links.iter().flatten().count() as u64,
            ),
        ];
        own.into_iter().chain(dropped).collect()
    }
}

fn session_state(peer: &Peer, session: Option<&Session>) -> SessionState {
    match session.map(Session::phase) {
        Some(Phase::Ready) => SessionState::Ready,
        Some(Phase::Draining | Phase::Closed) => SessionState::Draining,
        Some(_) => SessionState::Connecting,
        None if peer.attempts.is_empty() => SessionState::None,
        None => SessionState::Connecting,
    }
}

/// Those in which anything happened, so that thousands of silent peers cost nothing.
fn classes(peer: &Peer, link: Option<&Link>) -> BTreeMap<TrafficClass, ClassState> {
    let state = |class| {
        let (sent, received) = (peer.traffic.sent(class), peer.traffic.received(class));
        ClassState {
            tx_packets: sent.packets,
            tx_bytes: sent.bytes,
            rx_packets: received.packets,
            rx_bytes: received.bytes,
            dropped: labels(peer.dropped.of(class)),
            queued_bytes: link.map_or(0, |link| link.lanes.queue(class).bytes() as u64),
        }
    };
    let states = TrafficClass::ALL.map(|class| (class, state(class)));
    let quiet = ClassState::default();
    states
        .into_iter()
        .filter(|(_, state)| *state != quiet)
        .collect()
}

fn labels(counters: &DropCounters) -> BTreeMap<String, u64> {
    counters
        .iter()
        .map(|(reason, count)| (reason.label().to_owned(), count))
        .collect()
}
