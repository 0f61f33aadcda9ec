//! Which inner packets may pass between which peers: default deny, in both directions.
//!
//! An inner packet names its own source and destination, and nothing but this check ties them to the peer whose
//! authenticated session carried it. So a packet from a peer passes only when the longest prefix that holds its source
//! belongs to that very peer and its destination is one the peer may reach; a packet to a peer passes only when the longest
//! prefix that holds its destination is that peer's and its source is one that may be sent there.

mod prefix;
mod prefix_table;

use crate::packet::Headers;
pub use prefix::{Prefix, PrefixError};
pub use prefix_table::PrefixTable;

/// Why a packet was dropped; each is a counter's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Not a well-formed IPv4 or IPv6 packet.
    Malformed,
    /// No peer holds a prefix with this destination.
    NoRoute,
    /// The source is not one this peer may use.
    SourceDenied,
    /// The destination is not one this peer may reach.
    DestinationDenied,
    /// The peer has no ready session.
    NoSession,
    /// The peer's queue is full.
    QueueFull,
    /// What waits for all peers together is as much as may.
    NodeFull,
    /// The queue held packets for too long, so its senders had to be told (RFC 8289).
    Delayed,
    /// It waited so long that nobody wants it any more.
    Stale,
    /// The kernel refused the packet at the TUN.
    TunnelRefused,
}

impl DropReason {
    pub const ALL: [DropReason; 10] = [
        DropReason::Malformed,
        DropReason::NoRoute,
        DropReason::SourceDenied,
        DropReason::DestinationDenied,
        DropReason::NoSession,
        DropReason::QueueFull,
        DropReason::NodeFull,
        DropReason::Delayed,
        DropReason::Stale,
        DropReason::TunnelRefused,
    ];

    pub fn label(self) -> &'static str {
        match self {
            DropReason::Malformed => "malformed",
            DropReason::NoRoute => "noRoute",
            DropReason::SourceDenied => "sourceDenied",
            DropReason::DestinationDenied => "destinationDenied",
            DropReason::NoSession => "noSession",
            DropReason::QueueFull => "queueFull",
            DropReason::NodeFull => "nodeFull",
            DropReason::Delayed => "delayed",
            DropReason::Stale => "stale",
            DropReason::TunnelRefused => "tunnelRefused",
        }
    }
}

/// Dropped packets by reason.
#[derive(Clone, Debug, Default)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl DropCounters {
    pub fn count(&mut self, reason: DropReason) {
        self.count_many(reason, 1);
    }

    pub fn count_many(&mut self, reason: DropReason, count: u64) {
        self.0[reason as usize] += count;
    }

    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// The reasons that happened at all, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.0[reason as usize]))
            .filter(|(_, count)| *count > 0)
    }
}

/// A peer's place in the engine's peer table; stable while the peer stays desired.
pub type PeerIndex = usize;

/// The prefixes of all peers that may carry packets now.
#[derive(Default)]
pub struct Policy {
    /// Who may use an address: sources accepted from a peer, destinations routed to it.
    remotes: PrefixTable<PeerIndex>,
    /// What each peer may reach here, by peer index.
    locals: Vec<Vec<Prefix>>,
}

impl Policy {
    /// Adds a peer's prefixes. A prefix that another peer already holds stays with the first: validation refuses such a desired
    /// state before it comes here.
    pub fn insert(&mut self, peer: PeerIndex, remote: &[Prefix], local: &[Prefix]) {
        for prefix in remote {
            self.remotes.insert(*prefix, peer);
        }
        if self.locals.len() <= peer {
            self.locals.resize_with(peer + 1, Vec::new);
        }
        self.locals[peer] = local.to_vec();
    }

    /// The peer to which a packet from the TUN goes.
    pub fn outbound(&self, packet: &Headers) -> Result<PeerIndex, (DropReason, Option<PeerIndex>)> {
        let peer = *self
            .remotes
            .lookup(packet.destination)
            .ok_or((DropReason::NoRoute, None))?;
        if !self.reaches(peer, packet.source) {
            return Err((DropReason::SourceDenied, Some(peer)));
        }
        Ok(peer)
    }

    /// Whether a packet that `peer`'s session carried may go to the TUN.
    pub fn inbound(&self, peer: PeerIndex, packet: &Headers) -> Result<(), DropReason> {
        if self.remotes.lookup(packet.source) != Some(&peer) {
            return Err(DropReason::SourceDenied);
        }
        if !self.reaches(peer, packet.destination) {
            return Err(DropReason::DestinationDenied);
        }
        Ok(())
    }

    fn reaches(&self, peer: PeerIndex, local: std::net::IpAddr) -> bool {
        self.locals
            .get(peer)
            .is_some_and(|prefixes| prefixes.iter().any(|prefix| prefix.contains(local)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("prefix")
    }

    fn packet(source: [u8; 4], destination: [u8; 4]) -> Headers {
        let mut bytes = vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0];
        bytes.extend(source);
        bytes.extend(destination);
        Headers::parse(&bytes).expect("a packet")
    }

    fn two_peers() -> Policy {
        let mut policy = Policy::default();
        policy.insert(0, &[prefix("10.0.0.0/8")], &[prefix("192.168.0.1/32")]);
        policy.insert(1, &[prefix("10.1.0.0/16")], &[prefix("192.168.0.0/24")]);
        policy
    }

    #[test]
    fn routes_to_the_longest_prefix() {
        let policy = two_peers();
        assert_eq!(
            policy.outbound(&packet([192, 168, 0, 1], [10, 1, 2, 3])),
            Ok(1)
        );
        assert_eq!(
            policy.outbound(&packet([192, 168, 0, 1], [10, 2, 2, 3])),
            Ok(0)
        );
    }

    #[test]
    fn denies_what_nobody_allowed() {
        let policy = two_peers();
        assert_eq!(
            policy.outbound(&packet([192, 168, 0, 1], [11, 0, 0, 1])),
            Err((DropReason::NoRoute, None))
        );
        assert_eq!(
            policy.outbound(&packet([192, 168, 0, 2], [10, 2, 0, 1])),
            Err((DropReason::SourceDenied, Some(0)))
        );
        assert_eq!(
            policy.inbound(0, &packet([10, 2, 0, 1], [192, 168, 0, 2])),
            Err(DropReason::DestinationDenied)
        );
        assert_eq!(
            policy.inbound(7, &packet([10, 2, 0, 1], [192, 168, 0, 2])),
            Err(DropReason::SourceDenied)
        );
    }

    #[test]
    fn no_peer_speaks_for_another() {
        let policy = two_peers();
        assert_eq!(
            policy.inbound(0, &packet([10, 2, 0, 1], [192, 168, 0, 1])),
            Ok(())
        );
        // Peer 0 holds 10.0.0.0/8, but 10.1.0.0/16 is peer 1's.
        assert_eq!(
            policy.inbound(0, &packet([10, 1, 0, 1], [192, 168, 0, 1])),
            Err(DropReason::SourceDenied)
        );
        assert_eq!(
            policy.inbound(1, &packet([10, 1, 0, 1], [192, 168, 0, 9])),
            Ok(())
        );
    }
}
