//! Step 2: what time brings.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Engine;
use super::link::Link;
use crate::frames::CloseCode;
use crate::log;
use crate::policy::PeerIndex;
use crate::quic::ConnectionKey;
use crate::socket::messages::Event;

/// A handshake is two round trips; whoever needs longer can try again.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);
/// A dial makes keys, a tenth of a millisecond: when thousands of peers are dialled at once, packets still come between.
const DIALS_PER_TURN: usize = 16;
const NEXT_TURN: Duration = Duration::from_millis(1);
/// Wall time can jump, so expiries are looked at this often whatever was computed before.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// The session of this connection wants to act.
    Session(ConnectionKey),
    /// This connection's handshake takes too long.
    Handshake(ConnectionKey),
    /// The next candidate of this peer is to be dialled.
    Dial(PeerIndex),
    /// The lanes of this connection want to act.
    Lanes(ConnectionKey),
    /// Expiries, and what is told once a second.
    Housekeeping,
}

impl Engine {
    pub(super) fn run_timers(&mut self) {
        while let Some(key) = self.endpoint.next_due(self.now.instant) {
            self.schedule(key);
        }
        let mut dials = 0;
        while let Some(timer) = self.timers.pop_due(self.now.instant) {
            match timer {
                TimerKey::Session(key) => self.on_session_timeout(key),
                TimerKey::Handshake(key) => {
                    self.close_link(key, CloseCode::IdleTimeout, "no answer to the handshake")
                }
                TimerKey::Dial(_) if dials == DIALS_PER_TURN => {
                    self.timers.set(timer, Some(self.now.instant + NEXT_TURN));
                }
                TimerKey::Dial(index) => {
                    dials += 1;
                    self.dial(index);
                }
                TimerKey::Lanes(key) => self.schedule(key),
                TimerKey::Housekeeping => self.keep_house(),
            }
        }
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        [
            self.endpoint.poll_timeout(),
            self.timers.next(),
            self.stop_by,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn on_session_timeout(&mut self, key: ConnectionKey) {
        let now = self.now.instant;
        let Some(session) = self.link_mut(key).and_then(|link| link.session.as_mut()) else {
            return;
        };
        match session.on_timeout(now) {
            Ok(()) => self.schedule(key),
            Err(error) => self.close_link(key, error.code, &error.message),
        }
    }

    pub(super) fn set_handshake_timer(&mut self, key: ConnectionKey) {
        self.timers.set(
            TimerKey::Handshake(key),
            Some(self.now.instant + HANDSHAKE_TIMEOUT),
        );
    }

    pub(super) fn set_dial_timer(&mut self, index: PeerIndex) {
        let at = self
            .peers
            .get(index)
            .and_then(|peer| peer.dialer.poll_timeout())
            .filter(|_| self.stop_by.is_none());
        self.timers.set(TimerKey::Dial(index), at);
    }

    fn dial(&mut self, index: PeerIndex) {
        let now = self.now;
        let rest = self.rest();
        while let Some(peer) = self.peers.get_mut(index) {
            let Some(candidate) = peer.dialer.poll(now.instant) else {
                break;
            };
            match self
                .endpoint
                .dial(now.instant, candidate, &peer.plan.spiffe_id)
            {
                Ok(key) => {
                    peer.attempts.push(key);
                    let link = Link::new(true, Some(index), &self.budget, now.instant);
                    self.add_link(key, link);
                    self.set_handshake_timer(key);
                }
                Err(error) => {
                    peer.fail(
                        CloseCode::ProtocolError,
                        format!("a candidate can't be dialled: {error:?}"),
                        now.unix_ms,
                    );
                    if peer.attempts.is_empty() {
                        peer.dialer.attempts_ended(now.instant, rest);
                    }
                }
            }
        }
        self.set_dial_timer(index);
    }

    pub(super) fn set_housekeeping_timer(&mut self) {
        let next_expiry = self.next_expiry_ms().map(|at| self.now.instant_of(at));
        let at = (self.now.instant + HOUSEKEEPING)
            .min(next_expiry.unwrap_or(self.now.instant + HOUSEKEEPING));
        self.timers.set(TimerKey::Housekeeping, Some(at));
    }

    fn next_expiry_ms(&self) -> Option<u64> {
        let peers = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.expired)
            .map(|(_, peer)| peer.plan.expires_at_ms);
        peers
            .chain(self.plan.as_ref().map(|plan| plan.expires_at_ms))
            .min()
    }

    fn keep_house(&mut self) {
        if self
            .plan
            .as_ref()
            .is_some_and(|plan| plan.expires_at_ms <= self.now.unix_ms)
        {
            self.expire_all();
        }
        self.expire_peers();
        self.expire_packets();
        self.review_pressure();
        self.restore_tunnel();
        self.look_at_routes();
        self.forget_relays();
        self.tell_refusals();
        if let Some(priority) = &mut self.priority {
            priority.look(self.now.instant);
        }
        self.set_housekeeping_timer();
    }

    /// What lies in the queues of peers that take nothing.
    fn expire_packets(&mut self) {
        let now = self.now.instant;
        for (index, peer) in self.peers.iter_mut() {
            let link = peer
                .link
                .and_then(|key| self.links.get_mut(key)?.as_deref_mut());
            if let Some(link) = link.filter(|link| link.peer == Some(index)) {
                link.lanes.expire(now, &mut peer.dropped);
            }
        }
    }

    pub(super) fn tell_refusals(&mut self) {
        for event in self.refusals.take_due(self.now.instant) {
            self.publish(event);
        }
    }

    /// Nobody renewed the intent: the engine stops by itself.
    fn expire_all(&mut self) {
        log::warn("the intent expired", json!({}));
        self.drop_intents(CloseCode::Expired, "the intent is over");
        self.publish(Event::Expired {
            what: "desired".to_owned(),
        });
    }

    pub(super) fn expire_peers(&mut self) {
        let now_ms = self.now.unix_ms;
        let over = |(index, peer): (PeerIndex, &super::peers::Peer)| {
            (!peer.expired && peer.plan.expires_at_ms <= now_ms).then_some(index)
        };
        let expired: Vec<PeerIndex> = self.peers.iter().filter_map(over).collect();
        if expired.is_empty() {
            return;
        }
        for index in expired {
            self.cut_off(
                index,
                CloseCode::Expired,
                "the intent for this peer is over",
            );
            if let Some(peer) = self.peers.get_mut(index) {
                peer.expired = true;
                let what = format!("peer {}", peer.plan.id);
                self.publish(Event::Expired { what });
            }
        }
        self.rebuild_policy();
    }
}
