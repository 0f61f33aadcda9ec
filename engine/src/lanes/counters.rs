//! What became of the packets of one peer, by their class.
//!
//! A packet that goes is counted when it joins its queue, one that comes when it was given to the host. The class is named on
//! lane streams only: what comes as a datagram is counted apart.

use super::class::TrafficClass;
use crate::policy::{DropCounters, DropReason};

/// Inner packets as the host sees them: a superframe is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    fn plus(self, other: Count) -> Count {
        Count {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Packets passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    sent: [Count; TrafficClass::COUNT],
    received: [Count; TrafficClass::COUNT],
    datagrams: Count,
}

impl Traffic {
    pub fn count_sent(&mut self, class: TrafficClass, bytes: usize) {
        self.sent[class as usize].add(bytes);
    }

    /// `None`: it came as a datagram.
    pub fn count_received(&mut self, class: Option<TrafficClass>, bytes: usize) {
        match class {
            Some(class) => self.received[class as usize].add(bytes),
            None => self.datagrams.add(bytes),
        }
    }

    pub fn sent(&self, class: TrafficClass) -> Count {
        self.sent[class as usize]
    }

    pub fn received(&self, class: TrafficClass) -> Count {
        self.received[class as usize]
    }

    pub fn datagrams(&self) -> Count {
        self.datagrams
    }

    pub fn all_sent(&self) -> Count {
        self.sent.into_iter().fold(Count::default(), Count::plus)
    }

    pub fn all_received(&self) -> Count {
        self.received.into_iter().fold(self.datagrams, Count::plus)
    }
}

/// Packets dropped: all of them by reason, and those whose class was known by class too.
#[derive(Clone, Debug, Default)]
pub struct Drops {
    all: DropCounters,
    classes: [DropCounters; TrafficClass::COUNT],
}

impl Drops {
    pub fn count(&mut self, reason: DropReason) {
        self.all.count(reason);
    }

    pub fn count_of(&mut self, class: TrafficClass, reason: DropReason, count: u64) {
        self.all.count_many(reason, count);
        self.classes[class as usize].count_many(reason, count);
    }

    pub fn all(&self) -> &DropCounters {
        &self.all
    }

    pub fn of(&self, class: TrafficClass) -> &DropCounters {
        &self.classes[class as usize]
    }
}
