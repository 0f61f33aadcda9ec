//! What the lanes see of a connection.

use bytes::Bytes;
use noq_proto::Dir;

use super::connection::Connection;
use crate::lanes::{Carrier, LaneStream, TrafficClass};

/// Bulk begins when as much as this is free, and may then go beyond the limit by it: so records go whole, and many packets in
/// one send. Measured: with 5 KB of a record at a time, each send carries half as many packets.
const RECORD_BYTES: u64 = 64 << 10;
/// Of what may be unacknowledged on streams, kept free of bulk so that a reliable record always finds room.
const RELIABLE_BYTES: u64 = 256 << 10;
/// The library counts each waiting datagram with its own bookkeeping on top.
const DATAGRAM_OVERHEAD_BYTES: usize = 64;

impl Carrier for Connection {
    fn max_datagram_bytes(&self) -> usize {
        self.max_datagram_bytes
    }

    fn waiting_datagram_bytes(&self) -> usize {
        super::transport::DATAGRAM_SEND_BYTES - self.datagram_room
    }

    fn datagram_room(&self) -> usize {
        self.datagram_room
    }

    fn send_datagram(&mut self, datagram: Bytes) {
        let needed = datagram.len() + DATAGRAM_OVERHEAD_BYTES;
        self.datagram_room = self.datagram_room.saturating_sub(needed);
        let sent = self
            .inner
            .call(|inner| inner.datagrams().send(datagram, false));
        // The caller looked at the room and the size before; what fails all the same is lost like a packet on the way.
        self.datagrams_refused += u64::from(!matches!(sent, Some(Ok(()))));
    }

    fn write_stream(&mut self, stream: LaneStream, bytes: Bytes) -> Option<Bytes> {
        let Some(id) = self.lane(stream) else {
            return Some(bytes);
        };
        let bulk = self.gauge.bulk_limit() + RECORD_BYTES;
        let limit = match stream.class {
            TrafficClass::Bulk | TrafficClass::Droppable => bulk,
            _ => bulk + RELIABLE_BYTES,
        };
        self.inner.call(|inner| inner.set_send_window(limit));
        self.write(id, bytes)
    }

    fn takes_bulk(&self) -> bool {
        let limit = self.gauge.bulk_limit();
        // Of a small window, a half is as much as there can be.
        self.gauge.in_flight() + RECORD_BYTES.min(limit / 2) < limit
    }
}

impl Connection {
    /// Reads once a turn what `Carrier` answers from.
    pub fn look_at_datagrams(&mut self) {
        let (most, room) = self
            .inner
            .call(|inner| {
                let datagrams = inner.datagrams();
                (datagrams.max_size(), datagrams.send_buffer_space())
            })
            .unwrap_or_default();
        self.max_datagram_bytes = most.unwrap_or(0);
        self.datagram_room = room;
    }

    /// Ends the lanes; each is forgotten when all of it was acknowledged. Says whether there is something to send now.
    pub fn finish_lanes(&mut self) -> bool {
        let mut any = false;
        for id in self.lanes.into_iter().flatten() {
            // It fails for a stream that was finished before, or that the other side stopped.
            let finished = self.inner.call(|inner| inner.send_stream(id).finish());
            any |= matches!(finished, Some(Ok(())));
        }
        any
    }

    pub(super) fn forget_lane(&mut self, id: noq_proto::StreamId) {
        for lane in &mut self.lanes {
            *lane = lane.filter(|lane| *lane != id);
        }
    }

    /// After `finish_lanes`: whether all that was sent has arrived.
    pub fn is_flushed(&mut self) -> bool {
        self.look_at_datagrams();
        let lanes_ended = self.lanes.iter().all(Option::is_none);
        // The library keeps room for the bookkeeping of one more.
        let no_datagrams = self.waiting_datagram_bytes() <= size_of::<Bytes>();
        lanes_ended && no_datagrams && self.gauge.in_flight() == 0
    }

    /// Datagrams that the library did not take, since the last call.
    pub fn take_datagrams_refused(&mut self) -> u64 {
        std::mem::take(&mut self.datagrams_refused)
    }

    /// The stream, opened when it is first used.
    fn lane(&mut self, stream: LaneStream) -> Option<noq_proto::StreamId> {
        if self.lanes[stream.index()].is_none() {
            let opened = self.open(Dir::Uni);
            self.lane_refused |= opened.is_none();
            let id = opened?;
            let priority = TrafficClass::COUNT as i32 - stream.class as i32;
            self.inner.call(|inner| {
                // It fails only for a stream that is over.
                let _ = inner.send_stream(id).set_priority(priority);
            });
            self.lanes[stream.index()] = Some(id);
        }
        self.lanes[stream.index()]
    }
}
