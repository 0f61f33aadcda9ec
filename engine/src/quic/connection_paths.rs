//! The paths of a connection, as its user sees them.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use noq_proto::PathEvent;

use super::connection::Connection;
use super::paths::{Network, PathChange, PathReason, PathReport};

impl Connection {
    /// Where the peer may be reached, best first. A dialler keeps a path to each of the first few, and packets on the best
    /// that answers.
    pub fn set_targets(&mut self, targets: &[(SocketAddr, Option<IpAddr>)]) {
        let network = |(remote, local): &(SocketAddr, Option<IpAddr>)| Network {
            remote: *remote,
            local: *local,
        };
        self.steering
            .set_targets(targets.iter().map(network).collect());
    }

    /// The network of this host changed: what failed may work now.
    pub fn try_again(&mut self, now: Instant) {
        let steering = &mut self.steering;
        self.inner.call(|inner| steering.try_again(inner, now));
    }

    /// What became of the paths since the last call.
    pub fn take_path_changes(&mut self) -> Vec<PathChange> {
        self.steering.take_changes()
    }

    pub fn path_reports(&mut self, now: Instant) -> Vec<PathReport> {
        let steering = &self.steering;
        let reports = self.inner.call(|inner| steering.report(inner, now));
        reports.unwrap_or_default()
    }

    /// The network reports that some remotes can't be reached, which anyone may have made up. Returns whether a path leads there.
    pub fn hint(&mut self, is_meant: impl Fn(SocketAddr) -> bool, reason: PathReason) -> bool {
        self.steering.hint(is_meant, reason)
    }

    /// Where its paths lead.
    pub fn remotes(&self) -> Vec<SocketAddr> {
        let remotes = |inner: &noq_proto::Connection| {
            let paths = inner.paths().into_iter();
            let networks = paths.filter_map(|id| inner.network_path(id).ok());
            networks.map(|network| network.remote()).collect()
        };
        self.inner.look(remotes).unwrap_or_default()
    }

    /// Addresses of this host are gone: what used them goes on from another.
    pub fn addresses_gone(&mut self, is_gone: impl Fn(IpAddr) -> bool, now: Instant) {
        let steering = &mut self.steering;
        self.inner
            .call(|inner| steering.addresses_gone(is_gone, inner, now));
    }

    pub(super) fn heard(&mut self, now: Instant, remote: SocketAddr, local: Option<IpAddr>) {
        self.steering.heard(Network { remote, local }, now);
    }

    pub(super) fn begin_steering(&mut self) {
        let steering = &mut self.steering;
        self.inner.look(|inner| steering.begin(inner));
    }

    pub(super) fn on_path_event(&mut self, event: PathEvent) {
        let steering = &mut self.steering;
        self.inner.call(|inner| steering.on_event(event, inner));
    }

    /// Whether there may be something to send because of it.
    pub(super) fn steer(&mut self, now: Instant) -> bool {
        if self.is_closed() {
            return false;
        }
        let steering = &mut self.steering;
        self.inner
            .call(|inner| steering.steer(inner, now))
            .unwrap_or(false)
    }
}
