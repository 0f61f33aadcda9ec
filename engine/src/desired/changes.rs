//! What a new plan changes.

use super::plan::{Plan, PlannedPeer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChange {
    Added(PlannedPeer),
    Removed(String),
    /// The same node by other ways or with other rights: its session goes on.
    Updated(PlannedPeer),
    /// Another node or another key under the same id: its session ends.
    Replaced(PlannedPeer),
}

impl PeerChange {
    pub fn describe(&self) -> String {
        match self {
            PeerChange::Added(peer) => format!("peer {} added", peer.id),
            PeerChange::Removed(id) => format!("peer {id} removed"),
            PeerChange::Updated(peer) => format!("peer {} updated", peer.id),
            PeerChange::Replaced(peer) => format!("peer {} replaced", peer.id),
        }
    }
}

/// The peers that differ, removals first so that what they held is free for others.
pub fn changes(old: Option<&Plan>, new: &Plan) -> Vec<PeerChange> {
    let mut changes = Vec::new();
    for id in old.into_iter().flat_map(|old| old.peers.keys()) {
        if !new.peers.contains_key(id) {
            changes.push(PeerChange::Removed(id.clone()));
        }
    }
    for (id, peer) in &new.peers {
        match old.and_then(|old| old.peers.get(id)) {
            None => changes.push(PeerChange::Added(peer.clone())),
            Some(before) if before == peer => {}
            Some(before)
                if before.spiffe_id == peer.spiffe_id && before.fingerprint == peer.fingerprint =>
            {
                changes.push(PeerChange::Updated(peer.clone()));
            }
            Some(_) => changes.push(PeerChange::Replaced(peer.clone())),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{desired, limits, peer};
    use super::*;
    use crate::socket::messages::PeerIntent;

    fn plan(peers: Vec<PeerIntent>) -> Plan {
        Plan::new(&desired(peers), Some(&limits()), 1_000).expect("a plan")
    }

    #[test]
    fn a_relay_that_listens_elsewhere_is_a_change() {
        let through = |address: &str| {
            let mut peer = peer("a", "100.96.0.2/32");
            peer.candidates = vec![format!("relay:00000000000000aa@{address}")];
            plan(vec![peer])
        };
        let (old, new) = (through("192.0.2.1:1"), through("[2001:db8::1]:1"));
        assert_eq!(described(&old, &new), ["peer a updated"]);
    }

    fn described(old: &Plan, new: &Plan) -> Vec<String> {
        changes(Some(old), new)
            .iter()
            .map(PeerChange::describe)
            .collect()
    }

    #[test]
    fn tells_exactly_what_differs() {
        let old = plan(vec![
            peer("a", "100.96.0.2/32"),
            peer("b", "100.96.0.3/32"),
            peer("c", "100.96.0.4/32"),
        ]);
        let mut replaced = peer("c", "100.96.0.4/32");
        replaced.fingerprint = "cd".repeat(32);
        let new = plan(vec![
            peer("b", "100.96.0.9/32"),
            replaced,
            peer("d", "100.96.0.2/32"),
        ]);
        assert_eq!(
            described(&old, &new),
            [
                "peer a removed",
                "peer b updated",
                "peer c replaced",
                "peer d added"
            ]
        );
        assert!(described(&new, &new).is_empty());
        assert_eq!(changes(None, &old).len(), 3);
    }
}
