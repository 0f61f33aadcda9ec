//! From a connection to a session and back: who it is with, which of two stays, and what its end means.
//!
//! A connection we dialled is adopted when its handshake is done; one we accepted when the dialler speaks on the control
//! stream, because a dialler that raced several addresses speaks only on the one it keeps.

use std::time::Duration;

use super::Engine;
use super::link::{Link, Origin, newcomer_stays};
use super::peers::Peer;
use super::timed::TimerKey;
use crate::frames::CloseCode;
use crate::policy::PeerIndex;
use crate::quic::{Closed, ConnectionKey, Established, Rest};
use crate::session::{
    EXPORTER_BYTES, EXPORTER_LABEL, Event as SessionEvent, Phase, Role, Session, Setup,
};
use crate::socket::messages::{Authority, Event};

/// Both sides usually learn of each other at once. The higher id dials this much later, so that mostly one dials.
const SECOND_DIALS_AFTER: Duration = Duration::from_millis(100);

/// Connections of one peer on which it has not spoken yet: it may race every candidate.
const MAX_SILENT_CONNECTIONS: usize = 16;

impl Engine {
    /// The handshake is done: the session may begin, if the peer is still wanted.
    pub(super) fn on_established(&mut self, key: ConnectionKey, established: &Established) {
        self.timers.set(TimerKey::Handshake(key), None);
        let index = match self.wanted_peer(established) {
            Ok(index) => index,
            Err(code) => return self.close_link(key, code, "no longer wanted"),
        };
        let Some(session) = self.new_session(key, established) else {
            return self.close_link(key, CloseCode::AuthFailed, "no keying material");
        };
        let Some(link) = self.link_mut(key) else {
            return;
        };
        link.peer = Some(index);
        link.session = Some(session);
        let dialled = link.dialled;
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        peer.forget(key);
        if dialled {
            self.adopt(key);
        } else if peer.accepted.len() < MAX_SILENT_CONNECTIONS {
            peer.accepted.push(key);
        } else {
            self.close_link(key, CloseCode::Duplicate, "too many connections");
        }
    }

    /// The table may have changed while the handshake ran: why it would be refused now.
    fn wanted_peer(&self, established: &Established) -> Result<PeerIndex, CloseCode> {
        let plan = self.plan.as_ref().ok_or(CloseCode::GoingAway)?;
        if plan.revoked.contains(&established.fingerprint) {
            return Err(CloseCode::Revoked);
        }
        let index = self.peers.by_spiffe_id(&established.spiffe_id);
        let index = index.ok_or(CloseCode::UnknownPeer)?;
        let peer = self.peers.get(index).ok_or(CloseCode::UnknownPeer)?;
        if peer.expired {
            return Err(CloseCode::Expired);
        }
        if peer.plan.fingerprint != established.fingerprint {
            return Err(CloseCode::PinMismatch);
        }
        Ok(index)
    }

    fn new_session(&mut self, key: ConnectionKey, established: &Established) -> Option<Session> {
        let plan = self.plan.as_ref()?;
        let connection = self.endpoint.connection(key)?;
        let mut exporter = [0; EXPORTER_BYTES];
        if !connection.export_keying_material(EXPORTER_LABEL, &mut exporter) {
            return None;
        }
        let setup = Setup {
            role: if connection.was_dialled() {
                Role::Dialler
            } else {
                Role::Acceptor
            },
            node: plan.identity.spiffe_id.clone(),
            peer: established.spiffe_id.clone(),
            exporter,
            authority: plan.authority,
        };
        Some(Session::new(setup, self.now.instant))
    }

    /// Makes the connection the one in use with its peer, unless the one there is stays. False when it was closed.
    pub(super) fn adopt(&mut self, key: ConnectionKey) -> bool {
        let Some(link) = self.link_mut(key) else {
            return false;
        };
        if link.adopted {
            return true;
        }
        let Some(index) = link.peer else { return false };
        let newcomer = origin(link);
        let we_are_lower = self.we_are_lower(index);
        let in_use = self.peers.get(index).and_then(|peer| peer.link);
        if let Some(in_use) = in_use.and_then(|key| Some((key, origin(self.link_mut(key)?)))) {
            if !newcomer_stays(in_use.1, newcomer, we_are_lower, self.now.instant) {
                self.close_link(key, CloseCode::Duplicate, "another connection stays");
                return false;
            }
            self.give_way(index, in_use.0);
        }
        // The other side can't have finished a handshake that we have not, so it knows nothing of these.
        self.cancel_attempts(index);
        if let Some(link) = self.link_mut(key) {
            link.adopted = true;
        }
        if let Some(peer) = self.peers.get_mut(index) {
            peer.forget(key);
            peer.link = Some(key);
            peer.since_ms = self.now.unix_ms;
            peer.dialer.stop();
        }
        self.set_dial_timer(index);
        true
    }

    /// A connection that carries packets does so until the newcomer is ready; another ends at once.
    fn give_way(&mut self, index: PeerIndex, in_use: ConnectionKey) {
        let message = "a newer connection stays";
        if let Some(before) = self.peers.get(index).and_then(|peer| peer.before) {
            self.detach(before, CloseCode::Duplicate, message);
        }
        if self
            .link_mut(in_use)
            .is_some_and(|link| link.carries_packets())
        {
            if let Some(peer) = self.peers.get_mut(index) {
                peer.before = Some(in_use);
            }
        } else {
            self.detach(in_use, CloseCode::Duplicate, message);
        }
    }

    fn we_are_lower(&self, index: PeerIndex) -> bool {
        let ours = self
            .plan
            .as_ref()
            .map(|plan| plan.identity.spiffe_id.as_str());
        self.peers
            .get(index)
            .is_some_and(|peer| ours < Some(peer.plan.spiffe_id.as_str()))
    }

    pub(super) fn cancel_attempts(&mut self, index: PeerIndex) {
        let attempts = self
            .peers
            .get_mut(index)
            .map(|peer| std::mem::take(&mut peer.attempts))
            .unwrap_or_default();
        for attempt in attempts {
            self.detach(attempt, CloseCode::Duplicate, "another connection stays");
        }
    }

    // ---- what the session says

    pub(super) fn on_session_events(&mut self, key: ConnectionKey) {
        while let Some(event) = self.poll_session_event(key) {
            self.on_session_event(key, event);
        }
    }

    fn poll_session_event(&mut self, key: ConnectionKey) -> Option<SessionEvent> {
        self.link_mut(key)?.session.as_mut()?.poll_event()
    }

    fn on_session_event(&mut self, key: ConnectionKey, event: SessionEvent) {
        // A session that was let go of has nothing to tell any more, but it is closed when it has drained.
        if let SessionEvent::Drained { code, reason } = event {
            return self.close_link(key, code, &reason);
        }
        let Some(peer) = self.link_mut(key).and_then(|link| link.peer) else {
            return;
        };
        let Some(id) = self.peers.get(peer).map(|peer| peer.plan.id.clone()) else {
            return;
        };
        match event {
            SessionEvent::Ready { authority } => self.on_ready(key, peer, authority),
            SessionEvent::AuthorityChanged { authority } => {
                self.publish(Event::AuthorityChanged {
                    peer: id,
                    remote_authority: authority,
                });
            }
            SessionEvent::Message { kind, payload } => self.publish(Event::Message {
                peer: id,
                kind,
                payload,
            }),
            SessionEvent::GoingAway { code, reason } => {
                self.on_going_away(key, peer, code, reason);
            }
            SessionEvent::Drained { .. } => {}
        }
    }

    fn on_ready(&mut self, key: ConnectionKey, index: PeerIndex, remote_authority: Authority) {
        let now = self.now;
        if let Some(link) = self.link_mut(key) {
            link.ready_at = Some(now.instant);
        }
        self.replace(index, key);
        self.tell_lanes_of_path(key);
        let remote = self
            .endpoint
            .connection(key)
            .map(|connection| connection.remote());
        let remote = remote.map_or_else(String::new, |remote| self.name_of(remote));
        if let Some(peer) = self.peers.get_mut(index) {
            peer.since_ms = now.unix_ms;
            let event = Event::SessionReady {
                peer: peer.plan.id.clone(),
                remote,
                remote_authority,
            };
            self.publish(event);
        }
        self.spread(index);
    }

    /// The other side is ending the session in order; its end comes as the connection's.
    fn on_going_away(
        &mut self,
        key: ConnectionKey,
        index: PeerIndex,
        code: CloseCode,
        reason: String,
    ) {
        let now_ms = self.now.unix_ms;
        let peer = self.peers.get_mut(index);
        if let Some(peer) = peer.filter(|peer| peer.link == Some(key)) {
            peer.since_ms = now_ms;
            peer.fail(code, reason, now_ms);
        }
    }

    // ---- the end of a connection

    /// The other side, the network or the handshake ended it.
    pub(super) fn on_closed(&mut self, key: ConnectionKey, closed: &Closed) {
        if let Some(refusal) = &closed.refusal
            && let Some(remote) = self
                .endpoint
                .connection(key)
                .map(|connection| connection.remote())
        {
            let name = self.name_of(remote);
            self.refusals.note(remote.ip(), name, refusal);
            self.tell_refusals();
        }
        let peer = self.link_mut(key).and_then(|link| link.peer);
        self.unlink(key, closed.code, &closed.message, closed.was_reset);
        let failure = peer
            .and_then(|index| self.peers.get_mut(index))
            .and_then(|peer| peer.last_failure.as_mut());
        if let Some(failure) = failure {
            failure.refused_by_peer = closed.refused_by_peer;
        }
    }

    /// We end it, and the peer may be dialled again.
    pub(super) fn close_link(&mut self, key: ConnectionKey, code: CloseCode, message: &str) {
        self.end_connection(key, code, message);
        self.unlink(key, code, message, false);
    }

    /// We end it, and nothing follows for its peer.
    pub(super) fn detach(&mut self, key: ConnectionKey, code: CloseCode, message: &str) {
        self.end_connection(key, code, message);
        let Some(link) = self.link_mut(key) else {
            return;
        };
        link.session = None;
        let was_ready = link.ready_at.is_some() && !link.replaced;
        let Some(index) = link.peer.take() else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(index) {
            peer.forget(key);
        }
        if was_ready {
            self.publish_closed(index, code, message);
        }
    }

    /// Lets the other side know; nothing else.
    fn end_connection(&mut self, key: ConnectionKey, code: CloseCode, message: &str) {
        let now = self.now.instant;
        if let Some(connection) = self.endpoint.connection(key) {
            connection.close(now, code, message);
        }
        self.timers.set(TimerKey::Handshake(key), None);
        self.schedule(key);
    }

    /// Takes the connection from its peer and sees to what comes after.
    fn unlink(&mut self, key: ConnectionKey, code: CloseCode, message: &str, was_reset: bool) {
        let now = self.now;
        self.timers.set(TimerKey::Handshake(key), None);
        let Some(link) = self.link_mut(key) else {
            return;
        };
        let (ready_at, replaced) = (link.ready_at, link.replaced);
        let index = link.peer.take();
        link.session = None;
        let Some(index) = index else { return };
        let rest = self.rest();
        let links = &self.links;
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        if replaced {
            return peer.forget(key);
        }
        peer.fail(code, message, now.unix_ms);
        let in_use = peer.link == Some(key);
        peer.forget(key);
        let before = peer.before.filter(|before| {
            let before = links.get(*before).and_then(Option::as_ref);
            before.is_some_and(|link| !link.replaced)
        });
        if in_use && before.is_some() {
            // The newcomer failed: what it was to replace is still there.
            (peer.link, peer.before) = (before, None);
        } else if in_use {
            peer.since_ms = now.unix_ms;
            let lasted = ready_at.map_or(Duration::ZERO, |at| now.instant.duration_since(at));
            if was_reset {
                peer.dialer.start(now.instant);
            } else {
                peer.dialer.lost(now.instant, lasted, rest);
            }
        } else if peer.attempts.is_empty() && peer.link.is_none() {
            peer.dialer.attempts_ended(now.instant, rest);
        }
        self.set_dial_timer(index);
        if ready_at.is_some() {
            self.publish_closed(index, code, message);
        }
    }

    fn publish_closed(&mut self, index: PeerIndex, code: CloseCode, message: &str) {
        let Some(peer) = self.peers.get(index) else {
            return;
        };
        let event = Event::SessionClosed {
            peer: peer.plan.id.clone(),
            code: code.name().to_owned(),
            message: message.to_owned(),
        };
        self.publish(event);
    }

    /// The connection is gone from the endpoint; its key may be used again.
    pub(super) fn forget_link(&mut self, key: ConnectionKey) {
        self.timers.set(TimerKey::Session(key), None);
        self.timers.set(TimerKey::Handshake(key), None);
        self.timers.set(TimerKey::Lanes(key), None);
        self.unlink(key, CloseCode::GoingAway, "the connection is over", false);
        if let Some(slot) = self.links.get_mut(key) {
            *slot = None;
        }
    }

    // ---- peers come and go

    pub(super) fn rest(&mut self) -> Rest {
        Rest {
            jitter: self.random.fraction(),
            peers: self.peers.count(),
        }
    }

    /// Begins to dial a peer, the lower id first.
    pub(super) fn begin_dialing(&mut self, index: PeerIndex) {
        let after = if self.we_are_lower(index) {
            Duration::ZERO
        } else {
            SECOND_DIALS_AFTER
        };
        let at = self.now.instant + after;
        if let Some(peer) = self.peers.get_mut(index)
            && peer.link.is_none()
            && !peer.expired
        {
            peer.dialer.start(at);
        }
        self.set_dial_timer(index);
    }

    /// Ends everything with a peer at once.
    pub(super) fn cut_off(&mut self, index: PeerIndex, code: CloseCode, message: &str) {
        if let Some(peer) = self.peers.get_mut(index) {
            peer.dialer.stop();
        }
        let links = self.peers.get(index).map(Peer::links).unwrap_or_default();
        for key in links {
            self.detach(key, code, message);
        }
        if let Some(peer) = self.peers.get_mut(index) {
            peer.since_ms = self.now.unix_ms;
        }
        self.set_dial_timer(index);
    }

    /// Ends everything with a peer in order: the session says goodbye first.
    pub(super) fn say_goodbye(&mut self, index: PeerIndex, message: &str) {
        let now = self.now.instant;
        let ready = self.peers.get(index).and_then(|peer| peer.link);
        if let Some(key) = ready
            && let Some(link) = self.link_mut(key)
            && link.phase() == Some(Phase::Ready)
            && let Some(session) = link.session.as_mut()
        {
            session.goaway(CloseCode::GoingAway, message, now);
            link.peer = None;
            self.schedule(key);
            if let Some(peer) = self.peers.get_mut(index) {
                peer.forget(key);
            }
            self.publish_closed(index, CloseCode::GoingAway, message);
        }
        self.cut_off(index, CloseCode::GoingAway, message);
    }
}

fn origin(link: &Link) -> Origin {
    Origin {
        dialled: link.dialled,
        ready_at: link.ready_at,
    }
}
