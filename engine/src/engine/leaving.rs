//! Leaving a session in order: what was accepted for it goes out first, and what its peer still sends is taken.
//!
//! ```text
//!   leave ─► no new packets ─► lanes empty, all acknowledged ─► GOAWAY ─► the peer does the same ─► its GOAWAY ─► closed
//! ```

use std::time::{Duration, Instant};

use super::Engine;
use super::timed::TimerKey;
use crate::frames::CloseCode;
use crate::policy::PeerIndex;
use crate::quic::ConnectionKey;
use crate::session::Phase;
use crate::socket::messages::Event;

/// For what waits to go out: several round trips of a bad path, and less than an ending process has.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a session is left, and when at the latest.
pub struct Leaving {
    code: CloseCode,
    message: &'static str,
    by: Instant,
}

impl Engine {
    /// Begins to leave the session of a connection.
    pub(super) fn leave(&mut self, key: ConnectionKey, code: CloseCode, message: &'static str) {
        let by = self.now.instant + FLUSH_TIMEOUT;
        let Some(link) = self.link_mut(key) else {
            return;
        };
        link.leaving = Some(Leaving { code, message, by });
        link.lanes.end();
        self.timers.set(TimerKey::Lanes(key), Some(by));
        self.schedule(key);
    }

    /// After a connection sent what it could: says GOAWAY if that was all.
    pub(super) fn go_on_leaving(&mut self, key: ConnectionKey) {
        let now = self.now.instant;
        let Some(connection) = self.endpoint.connection(key) else {
            return;
        };
        let link = self.links.get_mut(key).and_then(Option::as_deref_mut);
        let Some(link) = link else { return };
        let Some(session) = link.session.as_mut() else {
            return;
        };
        if link.leaving.is_none() && !session.owes_goaway() {
            return;
        }
        link.lanes.end();
        let is_late = link
            .leaving
            .as_ref()
            .is_some_and(|leaving| leaving.by <= now);
        if link.lanes.is_empty() && connection.finish_lanes() && !is_late {
            return self.schedule(key);
        }
        let is_flushed = link.lanes.is_empty() && connection.is_flushed();
        if !is_flushed && !is_late {
            return;
        }
        if let Some(leaving) = link.leaving.take() {
            session.goaway(leaving.code, leaving.message, now);
        }
        session.flushed();
        self.schedule(key);
    }

    /// The peer's new session is ready: it takes what waits for the one it replaces, which is left.
    pub(super) fn replace(&mut self, index: PeerIndex, new: ConnectionKey) {
        let before = self.peers.get(index).and_then(|peer| peer.before);
        let Some(old) = before.filter(|old| self.link_mut(*old).is_some_and(|old| !old.replaced))
        else {
            return;
        };
        let Some(mut link) = self.links.get_mut(old).and_then(Option::take) else {
            return;
        };
        let now = self.now.instant;
        if let Some(new) = self.link_mut(new) {
            new.lanes.take_over(&mut link.lanes, now);
        }
        link.replaced = true;
        self.links[old] = Some(link);
        let message = "a newer connection stays";
        self.leave(old, CloseCode::Duplicate, message);
        if let Some(peer) = self.peers.get(index) {
            let event = Event::SessionClosed {
                peer: peer.plan.id.clone(),
                code: CloseCode::Duplicate.name().to_owned(),
                message: message.to_owned(),
            };
            self.publish(event);
        }
    }

    /// The connection that takes a packet for this peer: the one in use; until that is ready, the one it replaces; and when that
    /// one is being left already, the packet waits for the new one.
    pub(super) fn carrier_of(&self, index: PeerIndex) -> Option<ConnectionKey> {
        let peer = self.peers.get(index)?;
        let takes = |key: &ConnectionKey| {
            let link = self.links.get(*key).and_then(Option::as_ref);
            link.is_some_and(|link| link.takes_packets())
        };
        let in_use = peer.link?;
        if takes(&in_use) {
            return Some(in_use);
        }
        let before = peer.before?;
        Some(if takes(&before) { before } else { in_use })
    }

    /// A signal ends the process: every session is left, nothing is begun, nothing more is taken from the host.
    pub(super) fn leave_all(&mut self) {
        let message = "the engine stops";
        self.endpoint.set_identity(None);
        for index in self.peers.indexes() {
            let Some(peer) = self.peers.get_mut(index) else {
                continue;
            };
            peer.dialer.stop();
            let (links, in_use, before) = (peer.links(), peer.link, peer.before);
            for key in links {
                let is_session = in_use == Some(key) || before == Some(key);
                let link = self.link_mut(key).filter(|_| is_session);
                match link.map(|link| (link.phase(), link.takes_packets())) {
                    Some((_, true)) => self.leave(key, CloseCode::GoingAway, message),
                    // It is being left already.
                    Some((Some(Phase::Ready | Phase::Draining), false)) => {}
                    _ => self.detach(key, CloseCode::GoingAway, message),
                }
            }
            self.set_dial_timer(index);
        }
    }
}
