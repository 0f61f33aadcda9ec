//! What the engine has to do with the paths of its sessions: say where they may lead, pass on what becomes of them, and notice when
//! this host's own addresses change. Choosing among them is the connection's business.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::json;

use super::Engine;
use crate::log;
use crate::os::{AddressChange, RouteMonitor, Uplinks};
use crate::policy::PeerIndex;
use crate::quic::{ConnectionKey, MAX_TARGETS, PathReason, PathReport, PathState};
use crate::relay::RelaySession;
use crate::socket::messages::{Event, PathStatus, PeerPath};
use crate::tun::Tunnel;
use crate::udp::Unreachable;

/// With two thousand remotes and eight interfaces a look takes some fifty milliseconds.
const ROUTES_INTERVAL: Duration = Duration::from_secs(3);

/// A way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// An address, or the key of a relay session.
    pub remote: SocketAddr,
    /// `None`: from whichever address the host chooses.
    pub local: Option<IpAddr>,
    /// Packets have to be sent to this interface, because the host would choose another.
    pub interface: Option<u32>,
}

impl Engine {
    /// Tells the connection in use with a peer where else the peer may be reached, best first.
    pub(super) fn spread(&mut self, index: PeerIndex) {
        let Some(peer) = self.peers.get(index) else {
            return;
        };
        let Some(key) = peer.link else { return };
        let dialled = self.link_mut(key).is_some_and(|link| link.dialled);
        let ways = self.ways(index, dialled);
        let targets: Vec<_> = ways.iter().map(|way| (way.remote, way.local)).collect();
        if let Some(connection) = self.endpoint.connection(key) {
            connection.set_targets(&targets);
        }
        let detours = ways.into_iter().filter(|way| way.interface.is_some());
        if let Some(link) = self.link_mut(key) {
            link.detours = detours.collect();
        }
        self.schedule(key);
    }

    /// To each candidate as the host goes there; for the dialler, who opens paths, also from its other addresses through their
    /// interfaces, as far as there is room.
    fn ways(&self, index: PeerIndex, dialled: bool) -> Vec<Way> {
        let candidates = self.peers.get(index).map(|peer| &peer.plan.candidates[..]);
        let candidates = self.reachable(candidates.unwrap_or_default());
        let mut room = MAX_TARGETS.saturating_sub(candidates.len());
        let mut ways = Vec::new();
        for remote in candidates {
            let Some(outer) = self.outer(remote) else {
                continue;
            };
            let way = |local, interface| Way {
                remote,
                local,
                interface,
            };
            ways.extend(self.sockets.sources(outer).map(|local| way(local, None)));
            if !dialled || !self.sockets.are_bound_to_all(outer) {
                continue;
            }
            let others = self.uplinks.others(outer.ip());
            let others = others.into_iter().take(room);
            room -= others.len();
            ways.extend(others.map(|uplink| way(Some(uplink.local), Some(uplink.interface))));
        }
        ways
    }

    pub(super) fn on_path_changes(&mut self, key: ConnectionKey) {
        let Some(connection) = self.endpoint.connection(key) else {
            return;
        };
        let changes = connection.take_path_changes();
        if changes.is_empty() {
            return;
        }
        let link = self.link_mut(key).filter(|link| link.ready_at.is_some());
        let peer = link.and_then(|link| link.peer);
        let Some(peer) = peer.and_then(|index| self.peers.get(index)) else {
            return;
        };
        let id = peer.plan.id.clone();
        for change in changes {
            self.publish(Event::PathChanged {
                peer: id.clone(),
                remote: self.name_of(change.remote),
                status: status(change.state),
                reason: change.reason.map(|reason| reason.name().to_owned()),
            });
        }
    }

    pub(super) fn report_paths(&mut self, key: ConnectionKey) -> Vec<PeerPath> {
        let now = self.now;
        let Some(connection) = self.endpoint.connection(key) else {
            return Vec::new();
        };
        let reports = connection.path_reports(now.instant).into_iter();
        reports
            .filter(|report| report.state != PathState::Closed)
            .map(|report| peer_path(&report, self.name_of(report.remote), now.unix_ms))
            .collect()
    }

    /// Sessions that used an address that is gone go on from another, and what failed is tried again.
    pub(super) fn take_address_changes(&mut self, changes: Option<&[AddressChange]>) {
        let changes = changes.map(|changes| self.outside(changes));
        if changes.as_ref().is_some_and(HashMap::is_empty) {
            return;
        }
        let count = changes.as_ref().map(HashMap::len);
        log::info("addresses of this host changed", json!({ "count": count }));
        // When the kernel had to leave something out, any may be gone.
        let is_gone = |local: IpAddr| match &changes {
            Some(changes) => changes.get(&local) == Some(&false),
            None => true,
        };
        let any_came = changes
            .as_ref()
            .is_none_or(|changes| changes.values().any(|is_there| *is_there));
        self.look_at_uplinks();
        let now = self.now.instant;
        for key in 0..self.links.len() {
            let Some(connection) = self.endpoint.connection(key) else {
                continue;
            };
            connection.addresses_gone(is_gone, now);
            if any_came {
                connection.try_again(now);
            }
            self.schedule(key);
        }
    }

    fn look_at_uplinks(&mut self) {
        let tunnel = self.tunnel.as_ref().map(Tunnel::index);
        let Ok(uplinks) = Uplinks::read(tunnel) else {
            return;
        };
        if std::mem::replace(&mut self.uplinks, uplinks) != self.uplinks {
            self.spread_all();
        }
    }

    /// A route that came or went may make another way out of this host. To look costs a question for each remote and interface, and
    /// some hosts' routes change all the time.
    pub(super) fn look_at_routes(&mut self) {
        let now = self.now.instant;
        if now.saturating_duration_since(self.routes_looked_at) < ROUTES_INTERVAL {
            return;
        }
        self.routes_looked_at = now;
        let changed = self.routes.as_ref().is_some_and(RouteMonitor::has_changed);
        if changed && self.uplinks.are_several() {
            self.spread_all();
        }
    }

    fn spread_all(&mut self) {
        for index in self.peers.indexes() {
            self.spread(index);
        }
    }

    /// What the kernel was told of remotes that can't be reached: a hint to the sessions with a path there.
    pub(super) fn take_unreachable(&mut self) {
        for (remote, why) in self.sockets.take_unreachable() {
            let reason = match why {
                Unreachable::Refused => PathReason::ConnectionRefused,
                Unreachable::NoRoute => PathReason::NoRouteToHost,
            };
            self.hint(remote, reason);
        }
    }

    /// To the sessions whose packets go to this address, also those of a relay there.
    fn hint(&mut self, outer: SocketAddr, reason: PathReason) {
        for key in 0..self.links.len() {
            let relays = &self.relays;
            let goes_there = |remote: SocketAddr| match RelaySession::of(remote) {
                Some(session) => relays.get(&session) == Some(&outer),
                None => remote == outer,
            };
            if let Some(connection) = self.endpoint.connection(key)
                && connection.hint(goes_there, reason)
            {
                self.schedule(key);
            }
        }
    }

    /// What became of each address, without those of the tunnel, which come and go with the intent.
    fn outside(&self, changes: &[AddressChange]) -> HashMap<IpAddr, bool> {
        let tunnel = self.tunnel.as_ref().map(|tunnel| tunnel.settings());
        let is_inside = |address: IpAddr| {
            let mut inside = tunnel.iter().flat_map(|settings| &settings.addresses);
            inside.any(|(of, _)| *of == address)
        };
        let outside = changes.iter().filter(|change| !is_inside(change.address));
        outside
            .map(|change| (change.address, change.is_there))
            .collect()
    }
}

fn status(state: PathState) -> PathStatus {
    match state {
        PathState::Opening => PathStatus::Opening,
        PathState::Active => PathStatus::Active,
        PathState::Backup => PathStatus::Backup,
        PathState::Suspect => PathStatus::Suspect,
        PathState::Closed => PathStatus::Closed,
    }
}

fn peer_path(report: &PathReport, remote: String, now_ms: u64) -> PeerPath {
    PeerPath {
        remote,
        local: report.local.map(|local| local.to_string()),
        status: status(report.state),
        rtt_micros: report.rtt.as_micros() as u64,
        jitter_micros: report.jitter.as_micros() as u64,
        lost_permille: report.lost_permille,
        bytes_per_second: report.delivered_bytes_per_second,
        last_heard_ms: report
            .heard_ago
            .map(|ago| now_ms.saturating_sub(ago.as_millis() as u64)),
        mtu: report.mtu.into(),
    }
}
