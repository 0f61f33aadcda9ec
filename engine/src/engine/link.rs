//! What the engine keeps for one QUIC connection: the session on its control stream and the lanes of packets.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::leaving::Leaving;
use super::paths::Way;
use super::pressure::LinkPressure;
use crate::lanes::{Budget, Lanes, RecordReader, Rejoin};
use crate::policy::PeerIndex;
use crate::session::{Phase, Session};

/// Past this age two connections of one pair were not dialled at the same time: the older one is dead to the side that
/// dialled again.
const SIMULTANEOUS: Duration = Duration::from_secs(3);

pub struct Link {
    pub dialled: bool,
    /// Whose it is: known from the start when we dialled, else after the handshake. None once it is being closed.
    pub peer: Option<PeerIndex>,
    pub session: Option<Session>,
    /// The peer's connection in use is this one.
    pub adopted: bool,
    pub ready_at: Option<Instant>,
    pub lanes: Lanes,
    pub pressure: LinkPressure,
    /// Lane streams of the other side, by their number.
    pub readers: HashMap<u64, RecordReader>,
    pub rejoin: Rejoin,
    /// The ways to the peer that packets take only when they are sent to an interface of their own.
    pub detours: Vec<Way>,
    /// It is being left.
    pub leaving: Option<Leaving>,
    /// Another took its place, and its end is nobody's news any more.
    pub replaced: bool,
    /// It stands in the list of work.
    pub scheduled: bool,
}

impl Link {
    pub fn new(dialled: bool, peer: Option<PeerIndex>, budget: &Budget, now: Instant) -> Link {
        Link {
            dialled,
            peer,
            session: None,
            adopted: false,
            ready_at: None,
            lanes: Lanes::new(budget, now),
            pressure: LinkPressure::default(),
            readers: HashMap::new(),
            rejoin: Rejoin::default(),
            detours: Vec::new(),
            leaving: None,
            replaced: false,
            scheduled: false,
        }
    }

    pub fn phase(&self) -> Option<Phase> {
        self.session.as_ref().map(Session::phase)
    }

    /// Packets pass, both ways: also while it ends, of what was accepted before.
    pub fn carries_packets(&self) -> bool {
        self.adopted && matches!(self.phase(), Some(Phase::Ready | Phase::Draining))
    }

    /// The interface that packets from that address of ours to that remote have to be sent to; else the host chooses.
    pub fn interface(&self, remote: SocketAddr, source: Option<IpAddr>) -> Option<u32> {
        let same = |way: &&Way| way.remote == remote && way.local == source;
        self.detours.iter().find(same)?.interface
    }

    /// New packets may be given to it.
    pub fn takes_packets(&self) -> bool {
        self.adopted && self.phase() == Some(Phase::Ready) && self.leaving.is_none()
    }
}

/// How one of two connections between the same pair came to be.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub dialled: bool,
    pub ready_at: Option<Instant>,
}

/// Whether a new connection takes the place of the one in use. Both sides come to the same answer: whoever dialled twice gave up the
/// first; a side that dials while a settled session stands has lost it; of two dialled at once, the one that the lower SPIFFE id
/// dialled stays.
pub fn newcomer_stays(in_use: Origin, newcomer: Origin, we_are_lower: bool, now: Instant) -> bool {
    let settled = in_use
        .ready_at
        .is_some_and(|at| now.duration_since(at) > SIMULTANEOUS);
    in_use.dialled == newcomer.dialled || settled || newcomer.dialled == we_are_lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_dialled_at_once_the_one_of_the_lower_id_stays_whichever_came_first() {
        let now = Instant::now();
        let ours = Origin {
            dialled: true,
            ready_at: Some(now),
        };
        let theirs = Origin {
            dialled: false,
            ready_at: Some(now),
        };
        // We are lower: ours stays.
        assert!(!newcomer_stays(ours, theirs, true, now));
        assert!(newcomer_stays(theirs, ours, true, now));
        // The same two, seen by the other side.
        assert!(!newcomer_stays(theirs, ours, false, now));
        assert!(newcomer_stays(ours, theirs, false, now));
    }

    #[test]
    fn a_side_that_dials_again_has_lost_the_first() {
        let now = Instant::now();
        let theirs = Origin {
            dialled: false,
            ready_at: Some(now),
        };
        assert!(newcomer_stays(theirs, theirs, true, now));
        let settled = Origin {
            dialled: true,
            ready_at: Some(now),
        };
        assert!(newcomer_stays(
            settled,
            theirs,
            true,
            now + SIMULTANEOUS * 2
        ));
    }
}
