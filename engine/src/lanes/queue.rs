//! The queue of one class of one peer: bounded in bytes, held short by CoDel.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::budget::Budget;
use super::class::TrafficClass;
use super::codel::CoDel;
use super::forms::Packet;
use crate::packet::Transport;
use crate::policy::DropReason;

/// A queue that is this old when something joins it stands still; what joins it is kept in memory of its own, so that it does
/// not hold a block of packet memory for as long.
const STANDING: Duration = Duration::from_millis(50);
/// Nobody waits for a packet any more that waited so long here: a peer that takes nothing.
const MAX_AGE: Duration = Duration::from_secs(1);

pub struct Waiting {
    pub packet: Packet,
    pub transport: Option<Transport>,
    pub flow: u32,
    since: Instant,
}

/// What a waiting packet takes besides its bytes: its place, and the memory's own bookkeeping. Counted, or a flood of small packets
/// would hold several times what it may.
pub const WAITING_BYTES: usize = size_of::<Waiting>() + 64;
/// Places that an empty queue keeps.
const KEPT_PLACES: usize = 1_024;

pub struct ClassQueue {
    class: TrafficClass,
    budget: Budget,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    max_bytes: usize,
    codel: CoDel,
    /// Of packets that join a queue that stands still.
    memory: BytesMut,
}

/// Bytes that may wait. The urgent ones are few and small. Reliable and bulk hold what one TCP window brings at once; how
/// long it stays, CoDel decides.
fn max_bytes(class: TrafficClass) -> usize {
    match class {
        TrafficClass::Control | TrafficClass::Dns => 128 << 10,
        TrafficClass::Interactive => 512 << 10,
        TrafficClass::Reliable => 2 << 20,
        TrafficClass::Bulk => 8 << 20,
        TrafficClass::Droppable => 256 << 10,
    }
}

impl ClassQueue {
    pub fn new(class: TrafficClass, budget: Budget, now: Instant) -> ClassQueue {
        ClassQueue {
            class,
            budget,
            waiting: VecDeque::new(),
            bytes: 0,
            max_bytes: max_bytes(class),
            codel: CoDel::new(now),
            memory: BytesMut::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// With `WAITING_BYTES` for each packet.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How full it is, from 0 to 100.
    pub fn fill_percent(&self) -> u8 {
        (self.bytes * 100 / self.max_bytes).min(100) as u8
    }

    /// Whether packets wait here for too long.
    pub fn is_dropping(&self) -> bool {
        !self.is_empty() && self.codel.is_dropping()
    }

    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.codel.set_round_trip(round_trip);
    }

    pub fn push(
        &mut self,
        packet: Packet,
        transport: Option<Transport>,
        flow: u32,
        now: Instant,
    ) -> Result<(), DropReason> {
        let bytes = packet.bytes().len() + WAITING_BYTES;
        if self.bytes + bytes > self.max_bytes {
            return Err(DropReason::QueueFull);
        }
        if !self.budget.take(self.class, bytes) {
            return Err(DropReason::NodeFull);
        }
        let stands = self
            .waiting
            .front()
            .is_some_and(|first| now.saturating_duration_since(first.since) > STANDING);
        let packet = if stands {
            packet.compact(&mut self.memory)
        } else {
            packet
        };
        self.bytes += bytes;
        self.waiting.push_back(Waiting {
            packet,
            transport,
            flow,
            since: now,
        });
        Ok(())
    }

    pub fn front(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// Takes the first packet.
    pub fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        let bytes = first.packet.bytes().len() + WAITING_BYTES;
        self.bytes -= bytes;
        self.budget.give_back(bytes);
        Some(first)
    }

    /// Marks or drops at the front what CoDel wants slowed down, and returns how many were dropped; afterwards the first may be sent.
    pub fn make_ready(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        let mut is_last = self.waiting.len() == 1;
        while let Some(first) = self.waiting.front_mut() {
            let delay = now.saturating_duration_since(first.since);
            if !self.codel.drops(delay, is_last, now) || first.packet.mark_congested() {
                break;
            }
            is_last = self.waiting.len() == 2;
            dropped += 1;
            self.pop();
        }
        dropped
    }

    /// Takes what waits in an older queue of the same class and engine, ahead of what waits here. It begins to wait anew: that it
    /// waited is no fault of this queue's.
    pub fn take_over(&mut self, older: &mut ClassQueue, now: Instant) {
        for waiting in &mut older.waiting {
            waiting.since = now;
        }
        older.waiting.append(&mut self.waiting);
        std::mem::swap(&mut self.waiting, &mut older.waiting);
        self.bytes += std::mem::take(&mut older.bytes);
    }

    /// Drops what nobody waits for any more.
    pub fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        let is_old = |first: &Waiting| now.saturating_duration_since(first.since) > MAX_AGE;
        while self.waiting.front().is_some_and(is_old) {
            dropped += 1;
            self.pop();
        }
        if self.is_empty() {
            self.memory = BytesMut::new();
            if self.waiting.capacity() > KEPT_PLACES {
                self.waiting = VecDeque::new();
            }
        }
        dropped
    }
}

impl Drop for ClassQueue {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
