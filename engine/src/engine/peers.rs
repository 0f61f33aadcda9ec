//! The peers the engine was told of, each in a place that stays its own as long as it is desired.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::desired::PlannedPeer;
use crate::frames::CloseCode;
use crate::lanes::{Drops, Traffic};
use crate::policy::PeerIndex;
use crate::quic::{ConnectionKey, Dialer};
use crate::socket::messages::PeerFailure;

/// A session's traffic with one peer, and how it is reached.
pub struct Peer {
    pub plan: PlannedPeer,
    /// The intent for it is over: no session, no packets, until a newer one comes.
    pub expired: bool,
    pub dialer: Dialer,
    /// Connections we dialled that have not finished their handshake.
    pub attempts: Vec<ConnectionKey>,
    /// Connections it dialled on which it has not spoken yet.
    pub accepted: Vec<ConnectionKey>,
    /// The connection in use.
    pub link: Option<ConnectionKey>,
    /// The connection that the one in use replaces: it carries packets until that one is ready, and then ends in order.
    pub before: Option<ConnectionKey>,
    /// Since when its session state is what it is.
    pub since_ms: u64,
    pub traffic: Traffic,
    pub dropped: Drops,
    pub last_failure: Option<PeerFailure>,
}

impl Peer {
    pub fn new(plan: PlannedPeer, candidates: Vec<SocketAddr>, now_ms: u64) -> Peer {
        Peer {
            plan,
            expired: false,
            dialer: Dialer::new(candidates),
            attempts: Vec::new(),
            accepted: Vec::new(),
            link: None,
            before: None,
            since_ms: now_ms,
            traffic: Traffic::default(),
            dropped: Drops::default(),
            last_failure: None,
        }
    }

    /// Every connection there is with it.
    pub fn links(&self) -> Vec<ConnectionKey> {
        self.attempts
            .iter()
            .chain(&self.accepted)
            .chain(&self.link)
            .chain(&self.before)
            .copied()
            .collect()
    }

    /// Forgets a connection that is over.
    pub fn forget(&mut self, key: ConnectionKey) {
        self.attempts.retain(|attempt| *attempt != key);
        self.accepted.retain(|accepted| *accepted != key);
        self.link = self.link.filter(|link| *link != key);
        self.before = self.before.filter(|before| *before != key);
    }

    pub fn fail(&mut self, code: CloseCode, message: impl Into<String>, at_ms: u64) {
        self.last_failure = Some(PeerFailure {
            code: code.name().to_owned(),
            message: message.into(),
            refused_by_peer: false,
            at_ms,
        });
    }
}

#[derive(Default)]
pub struct Peers {
    slots: Vec<Option<Peer>>,
    free: Vec<PeerIndex>,
    by_id: HashMap<String, PeerIndex>,
    by_spiffe_id: HashMap<String, PeerIndex>,
}

impl Peers {
    pub fn insert(&mut self, peer: Peer) -> PeerIndex {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.by_id.insert(peer.plan.id.clone(), index);
        self.by_spiffe_id.insert(peer.plan.spiffe_id.clone(), index);
        self.slots[index] = Some(peer);
        index
    }

    pub fn remove(&mut self, index: PeerIndex) -> Option<Peer> {
        let peer = self.slots.get_mut(index)?.take()?;
        self.free.push(index);
        self.by_id.remove(&peer.plan.id);
        self.by_spiffe_id.remove(&peer.plan.spiffe_id);
        Some(peer)
    }

    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    pub fn get(&self, index: PeerIndex) -> Option<&Peer> {
        self.slots.get(index)?.as_ref()
    }

    pub fn get_mut(&mut self, index: PeerIndex) -> Option<&mut Peer> {
        self.slots.get_mut(index)?.as_mut()
    }

    pub fn by_id(&self, id: &str) -> Option<PeerIndex> {
        self.by_id.get(id).copied()
    }

    pub fn by_spiffe_id(&self, spiffe_id: &str) -> Option<PeerIndex> {
        self.by_spiffe_id.get(spiffe_id).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (PeerIndex, &Peer)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PeerIndex, &mut Peer)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| Some((index, slot.as_mut()?)))
    }

    pub fn indexes(&self) -> Vec<PeerIndex> {
        self.iter().map(|(index, _)| index).collect()
    }
}
