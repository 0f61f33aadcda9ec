//! How hard it is for this node, and for the way to each peer, to carry what is asked of them: a level with its score and reasons.
//!
//! Pressure is a soft signal: it says that less would be better, never that a peer has failed. What a second brought becomes a
//! score (`host`, `link`: pure functions of a sample), and scores become a level that rises at once and falls slowly (`Meter`).

mod host;
mod link;
mod meter;

pub use self::host::{HostSample, TURN_BUDGET, assess_host};
pub use self::link::{ClassSample, LinkAssessment, LinkSample, assess_link};
pub use self::meter::Meter;
use crate::lanes::TrafficClass;
pub use crate::socket::messages::PressureLevel;

/// Most that there can be at once.
pub const MAX_SCORE: u8 = 100;
/// Below it a reason is not worth a word.
const MIN_SCORE: u8 = 10;

/// What it is hard for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The packet loop is late.
    Loop,
    /// What waits for all peers together.
    Memory,
    /// The kernel had no room for what was to be sent.
    UdpSend,
    /// The host took no packets from the tunnel.
    Tunnel,
    /// A class's queue fills up.
    Queue(TrafficClass),
    /// A class's packets waited for too long, and some were dropped to say so.
    Delay(TrafficClass),
    /// As much is unacknowledged as may be, and more waits.
    InFlight,
    /// The peer lets no further stream be opened.
    Streams,
}

impl Reason {
    /// Of the node: the number of its bit in NODE_PRESSURE.
    pub const OF_NODE: [Reason; 4] = [
        Reason::Loop,
        Reason::Memory,
        Reason::UdpSend,
        Reason::Tunnel,
    ];

    pub fn label(self) -> String {
        match self {
            Reason::Loop => "loop".to_owned(),
            Reason::Memory => "memory".to_owned(),
            Reason::UdpSend => "udpSend".to_owned(),
            Reason::Tunnel => "tunnel".to_owned(),
            Reason::Queue(class) => format!("queue.{}", class.label()),
            Reason::Delay(class) => format!("delay.{}", class.label()),
            Reason::InFlight => "inFlight".to_owned(),
            Reason::Streams => "streams".to_owned(),
        }
    }
}

/// The score is that of the worst reason; the reasons stand worst first. There are no more of them than kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    pub score: u8,
    pub reasons: Vec<(Reason, u8)>,
}

impl Assessment {
    fn of(reasons: impl IntoIterator<Item = (Reason, u8)>) -> Assessment {
        let mut reasons: Vec<_> = reasons
            .into_iter()
            .map(|(reason, score)| (reason, score.min(MAX_SCORE)))
            .filter(|(_, score)| *score >= MIN_SCORE)
            .collect();
        reasons.sort_by_key(|(reason, score)| (std::cmp::Reverse(*score), *reason));
        Assessment {
            score: reasons.first().map_or(0, |(_, score)| *score),
            reasons,
        }
    }
}
