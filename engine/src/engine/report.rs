//! `describe`: the whole state, as a client that just connected needs it.

use std::collections::BTreeMap;

use super::Engine;
use super::peers::Peer;
use crate::panics;
use crate::policy::DropCounters;
use crate::session::{Phase, Session};
use crate::socket::messages::{IdentityState, PeerState, SessionState, State, TunnelState};

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
            notes: self.notes.clone(),
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
        Some(PeerState {
            id: peer.plan.id.clone(),
            spiffe_id: peer.plan.spiffe_id.clone(),
            session: state,
            remote: path.map(|path| path.remote.to_string()),
            rtt_micros: path.map(|path| path.rtt.as_micros() as u64),
            since_ms: peer.since_ms,
            mtu: path.map(|path| path.mtu.into()),
            tx_packets: peer.traffic.tx_packets,
            rx_packets: peer.traffic.rx_packets,
            tx_bytes: peer.traffic.tx_bytes,
            rx_bytes: peer.traffic.rx_bytes,
            dropped: labels(&peer.dropped),
            last_failure: peer.last_failure.clone(),
            remote_authority: authority,
            paths: Vec::new(),
        })
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

fn labels(counters: &DropCounters) -> BTreeMap<String, u64> {
    counters
        .iter()
        .map(|(reason, count)| (reason.label().to_owned(), count))
        .collect()
}
