//! The queues of all classes to one peer, and who of them is next.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::budget::Budget;
use super::class::TrafficClass;
use super::counters::Drops;
use super::forms::Packet;
use super::governor::{Governor, Told};
use super::queue::ClassQueue;
use super::records::preamble;
use crate::packet::{Transport, TransportKind};
use crate::policy::DropReason;

/// What is given to the carrier before it sends: one segmented send.
const FEED_BYTES: usize = 64 << 10;
/// Of what others send, bulk may have an eighth while it waits, so that it never starves.
const BULK_SHARE: usize = 8;
/// What it is owed at most: the largest packet.
const MAX_SHARE_BYTES: usize = 64 << 10;

/// What carries packets to the peer.
pub trait Carrier {
    /// The largest datagram it can send.
    fn max_datagram_bytes(&self) -> usize;
    /// Datagrams that wait in it, in bytes.
    fn waiting_datagram_bytes(&self) -> usize;
    /// Room for datagrams, in bytes.
    fn datagram_room(&self) -> usize;
    /// The caller has seen to it that it fits.
    fn send_datagram(&mut self, datagram: Bytes);
    /// Returns what the stream did not take. Bulk is taken only while little is in flight, so that others pass.
    fn write_stream(&mut self, stream: LaneStream, bytes: Bytes) -> Option<Bytes>;
    /// Whether bulk may be sent now.
    fn takes_bulk(&self) -> bool;
}

/// One of a class's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneStream {
    pub class: TrafficClass,
    pub shard: usize,
}

impl LaneStream {
    pub const COUNT: usize = TrafficClass::COUNT * LaneStream::MAX_SHARDS;
    /// Of any class.
    const MAX_SHARDS: usize = 4;

    pub fn index(self) -> usize {
        self.class as usize * LaneStream::MAX_SHARDS + self.shard
    }
}

#[derive(Default)]
struct Shard {
    begun: bool,
    /// The rest of a record that the stream did not take yet.
    unsent: Option<Bytes>,
}

pub struct Lanes {
    queues: [ClassQueue; TrafficClass::COUNT],
    shards: [Shard; LaneStream::COUNT],
    /// What bulk is owed of what others sent.
    share_bytes: usize,
    governor: Governor,
    /// Nothing joins any more, and what waits is not thinned out.
    ends: bool,
    cut: u16,
    memory: BytesMut,
}

/// What a packet still needs before it is gone.
enum Fed {
    Yes,
    /// The class has to wait.
    Blocked,
}

impl Lanes {
    pub fn new(budget: &Budget, now: Instant) -> Lanes {
        Lanes {
            queues: TrafficClass::ALL.map(|class| ClassQueue::new(class, budget.clone(), now)),
            shards: std::array::from_fn(|_| Shard::default()),
            share_bytes: 0,
            governor: Governor::new(now),
            ends: false,
            cut: 0,
            memory: BytesMut::new(),
        }
    }

    pub fn push(
        &mut self,
        class: TrafficClass,
        packet: Packet,
        transport: Option<Transport>,
        flow: u32,
        now: Instant,
    ) -> Result<(), DropReason> {
        self.queues[class as usize].push(packet, transport, flow, now)
    }

    /// Takes what waits in the lanes of another session with the same peer, which this one replaces.
    pub fn take_over(&mut self, older: &mut Lanes, now: Instant) {
        for (queue, older) in self.queues.iter_mut().zip(&mut older.queues) {
            queue.take_over(older, now);
        }
    }

    /// The session ends in order: all that waits goes.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Whether nothing waits, not even the rest of a record.
    pub fn is_empty(&self) -> bool {
        let is_done = |shard: &Shard| shard.unsent.is_none();
        self.queues.iter().all(ClassQueue::is_empty) && self.shards.iter().all(is_done)
    }

    /// Once a second: how much bulk may go from now on.
    pub fn review(&mut self, told: Told, now: Instant) {
        self.governor.review(told, now);
    }

    /// Bytes of bulk a second, where they are limited.
    pub fn bulk_rate(&self) -> Option<u64> {
        self.governor.rate()
    }

    /// When bulk that waits for nothing but its rate may go.
    pub fn wakes_at(&self) -> Option<Instant> {
        let waits = |class: TrafficClass| !self.queues[class as usize].is_empty();
        let is_waiting = waits(TrafficClass::Bulk) || waits(TrafficClass::Droppable);
        self.governor.opens_at().filter(|_| is_waiting)
    }

    pub fn queue(&self, class: TrafficClass) -> &ClassQueue {
        &self.queues[class as usize]
    }

    pub fn queued_bytes(&self) -> usize {
        self.queues.iter().map(ClassQueue::bytes).sum()
    }

    pub fn set_round_trip(&mut self, round_trip: Duration) {
        for queue in &mut self.queues {
            queue.set_round_trip(round_trip);
        }
    }

    /// Drops what waited too long.
    pub fn expire(&mut self, now: Instant, dropped: &mut Drops) {
        for (class, queue) in TrafficClass::ALL.into_iter().zip(&mut self.queues) {
            dropped.count_of(class, DropReason::Stale, queue.expire(now));
        }
    }

    /// Gives the carrier what it takes at once, the most urgent first.
    pub fn feed(&mut self, carrier: &mut impl Carrier, now: Instant, dropped: &mut Drops) {
        let mut blocked = [false; TrafficClass::COUNT];
        let mut fed = 0;
        self.governor.refill(now);
        self.finish_records(carrier);
        while fed < FEED_BYTES
            && let Some(class) = self.next_class(&blocked)
        {
            let queue = &mut self.queues[class as usize];
            if !self.ends {
                dropped.count_of(class, DropReason::Delayed, queue.make_ready(now));
            }
            let Some(bytes) = queue.front().map(|first| first.packet.bytes().len()) else {
                continue;
            };
            match self.feed_first(class, carrier) {
                Fed::Yes => {
                    fed += bytes;
                    self.settle_share(class, bytes);
                }
                Fed::Blocked => blocked[class as usize] = true,
            }
        }
    }

    fn next_class(&self, blocked: &[bool; TrafficClass::COUNT]) -> Option<TrafficClass> {
        let waits = |class: &TrafficClass| {
            !blocked[*class as usize] && !self.queues[*class as usize].is_empty()
        };
        let bulk = TrafficClass::Bulk;
        let first = self.queues[bulk as usize].front();
        if waits(&bulk) && first.is_some_and(|first| first.packet.bytes().len() <= self.share_bytes)
        {
            return Some(bulk);
        }
        TrafficClass::ALL.into_iter().find(waits)
    }

    fn settle_share(&mut self, class: TrafficClass, bytes: usize) {
        if class.is_patient() {
            self.governor.spend(bytes);
        }
        if class == TrafficClass::Bulk {
            self.share_bytes = self.share_bytes.saturating_sub(bytes);
        } else if !self.queues[TrafficClass::Bulk as usize].is_empty() {
            self.share_bytes = (self.share_bytes + bytes / BULK_SHARE).min(MAX_SHARE_BYTES);
        }
    }

    /// The first packet of a queue that has one.
    fn feed_first(&mut self, class: TrafficClass, carrier: &mut impl Carrier) -> Fed {
        let Some(first) = self.queues[class as usize].front() else {
            return Fed::Blocked;
        };
        let by_stream = goes_by_stream(class, &first.packet, first.transport.as_ref());
        if class.is_patient() && !self.ends && !self.governor.takes() {
            return Fed::Blocked;
        }
        if !class.is_urgent() && !carrier.takes_bulk() {
            return Fed::Blocked;
        }
        if !by_stream {
            if !class.is_urgent() && carrier.waiting_datagram_bytes() > FEED_BYTES {
                return Fed::Blocked;
            }
            // Cut packets repeat their headers.
            if carrier.datagram_room() < 2 * first.packet.bytes().len() {
                return Fed::Blocked;
            }
            self.cut = self.cut.wrapping_add(1);
            let most = carrier.max_datagram_bytes();
            let sent = first.packet.datagrams(
                most,
                first.transport.as_ref(),
                self.cut,
                &mut self.memory,
                |datagram| carrier.send_datagram(datagram),
            );
            if sent {
                self.queues[class as usize].pop();
                return Fed::Yes;
            }
        }
        self.feed_stream(class, carrier)
    }

    /// Writes the rests of records, which nothing on their streams may precede.
    fn finish_records(&mut self, carrier: &mut impl Carrier) {
        for class in TrafficClass::ALL {
            for shard in 0..class.shards() {
                let stream = LaneStream { class, shard };
                let shard = &mut self.shards[stream.index()];
                if let Some(unsent) = shard.unsent.take() {
                    shard.unsent = carrier.write_stream(stream, unsent);
                }
            }
        }
    }

    fn feed_stream(&mut self, class: TrafficClass, carrier: &mut impl Carrier) -> Fed {
        let queue = &mut self.queues[class as usize];
        let Some(first) = queue.front() else {
            return Fed::Blocked;
        };
        let stream = LaneStream {
            class,
            shard: first.flow as usize % class.shards(),
        };
        let shard = &mut self.shards[stream.index()];
        if shard.unsent.is_some() {
            return Fed::Blocked;
        }
        if !shard.begun {
            shard.begun = true;
            shard.unsent = carrier.write_stream(stream, preamble(class));
            if shard.unsent.is_some() {
                return Fed::Blocked;
            }
        }
        let record = first.packet.record();
        let length = record.len();
        match carrier.write_stream(stream, record) {
            // Nothing taken: it waits in the queue, where it can still be dropped.
            Some(rest) if rest.len() == length => Fed::Blocked,
            rest => {
                shard.unsent = rest;
                queue.pop();
                Fed::Yes
            }
        }
    }
}

/// FIN, SYN and RST.
const CHANGES_STATE: u8 = 0x07;

/// Loss on the path costs a TCP flow its speed unless somebody repairs it: on streams, QUIC does. The others want to be on time, or
/// repair by themselves. An acknowledgement alone is repaired by the next one.
fn goes_by_stream(class: TrafficClass, packet: &Packet, transport: Option<&Transport>) -> bool {
    let Some(transport) = transport else {
        return false;
    };
    match transport.kind {
        TransportKind::Tcp { flags } => {
            let is_acknowledgement =
                flags & CHANGES_STATE == 0 && packet.bytes().len() == transport.payload;
            !class.is_urgent() && class != TrafficClass::Droppable && !is_acknowledgement
        }
        TransportKind::Udp => false,
    }
}
