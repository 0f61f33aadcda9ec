//! Packets pass without an allocation for each: what memory they need is there, or is taken for many at once. The allocations of
//! this thread are counted; the QUIC library's are not among them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use fabric_engine::lanes::{
    Budget, Carrier, Classifier, Datagram, Drops, LaneStream, Lanes, Packet, RECORD_HEADER_BYTES,
    RecordReader,
};
use fabric_engine::packet::{Headers, Offload};
use fabric_engine::udp::Arena;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is left to the system's allocator, with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that it asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

const WARM_UP: usize = 2_000;
const PACKETS: usize = 10_000;

/// Allocations that a packet costs, once the first have passed.
fn allocations_each(mut packet: impl FnMut()) -> f64 {
    (0..WARM_UP).for_each(|_| packet());
    let before = ALLOCATIONS.get();
    (0..PACKETS).for_each(|_| packet());
    (ALLOCATIONS.get() - before) as f64 / PACKETS as f64
}

/// Takes so many and no more.
struct Sink {
    room: usize,
    taken: usize,
}

impl Sink {
    fn take(&mut self) {
        self.room -= 1;
        self.taken += 1;
    }
}

impl Carrier for Sink {
    fn max_datagram_bytes(&self) -> usize {
        1_400
    }

    fn waiting_datagram_bytes(&self) -> usize {
        0
    }

    fn datagram_room(&self) -> usize {
        if self.room == 0 { 0 } else { usize::MAX }
    }

    fn send_datagram(&mut self, _: Bytes) {
        self.take();
    }

    fn write_stream(&mut self, _: LaneStream, bytes: Bytes) -> Option<Bytes> {
        drop(bytes);
        self.take();
        None
    }

    fn takes_bulk(&self) -> bool {
        self.room > 0
    }
}

/// The way of a host's packets to the peer's connection.
struct Sender {
    arena: Arena,
    classifier: Classifier,
    lanes: Lanes,
    dropped: Drops,
    carrier: Sink,
    now: Instant,
}

impl Sender {
    fn new() -> Sender {
        let now = Instant::now();
        Sender {
            arena: Arena::default(),
            classifier: Classifier::new(now),
            lanes: Lanes::new(&Budget::default(), now),
            dropped: Drops::default(),
            carrier: Sink {
                room: usize::MAX,
                taken: 0,
            },
            now,
        }
    }

    fn push(&mut self, packet: &[u8], offload: Offload) {
        let room = self.arena.room(RECORD_HEADER_BYTES + packet.len());
        room[RECORD_HEADER_BYTES..].copy_from_slice(packet);
        let packet = self.arena.take(RECORD_HEADER_BYTES + packet.len());
        let packet = Packet::new(packet, offload);
        let headers = Headers::parse(packet.bytes()).expect("a packet");
        let bytes = packet.bytes().len();
        let (class, flow) = self.classifier.classify(&headers, bytes, self.now);
        // Without room it is dropped.
        let lanes = &mut self.lanes;
        let _ = lanes.push(class, packet, headers.transport, flow, self.now);
    }

    fn feed(&mut self) {
        let lanes = &mut self.lanes;
        lanes.feed(&mut self.carrier, self.now, &mut self.dropped);
    }
}

/// An IPv4 packet of this protocol with so many bytes in all.
fn packet(protocol: u8, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((bytes as u16).to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 1, 0, 2]);
    packet.extend([0x9c, 0x40, 0x14, 0x51]);
    match protocol {
        6 => packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]),
        _ => packet.extend([((bytes - 20) >> 8) as u8, (bytes - 20) as u8, 0, 0]),
    }
    packet.resize(bytes, 7);
    packet
}

#[test]
fn a_packet_of_the_host_costs_none() {
    let kinds = [
        (packet(6, 60_000), Offload::Segments(1_240)),
        (packet(6, 1_280), Offload::Complete),
        (packet(6, 40), Offload::Checksum),
        (packet(17, 200), Offload::Complete),
    ];
    for (bytes, offload) in kinds {
        let mut sender = Sender::new();
        let each = allocations_each(|| {
            sender.push(&bytes, offload);
            sender.feed();
        });
        assert!(sender.carrier.taken >= WARM_UP + PACKETS);
        assert!(each < 0.01, "{each} for {} bytes, {offload:?}", bytes.len());
    }
}

/// They are copied, so that they do not hold the memory that they came in.
#[test]
fn a_packet_of_a_flood_that_stands_in_a_queue_costs_a_part_of_one() {
    let mut sender = Sender::new();
    let small = packet(17, 200);
    let each = allocations_each(|| {
        sender.now += Duration::from_micros(100);
        sender.push(&small, Offload::Complete);
        sender.push(&small, Offload::Complete);
        sender.carrier.room = 1;
        sender.feed();
    });
    let waiting = sender.lanes.queued_bytes();
    assert!(waiting > 64 << 10, "{waiting} wait");
    assert!(each > 0.0, "they are copied");
    assert!(each < 0.2, "{each}");
}

#[test]
fn a_packet_of_a_peer_costs_none() {
    let mut sent = BytesMut::zeroed(RECORD_HEADER_BYTES);
    sent.extend_from_slice(&packet(6, 60_000));
    let record = Packet::new(sent, Offload::Segments(1_240)).record();
    let mut arena = Arena::default();
    let mut receive = |bytes: &[u8]| {
        arena.room(bytes.len()).copy_from_slice(bytes);
        arena.take(bytes.len()).freeze()
    };
    let mut reader = RecordReader::default();
    reader.push(Bytes::from_static(&[1, 4]));
    let mut parts = Vec::new();
    let each = allocations_each(|| {
        for chunk in record.chunks(1_380) {
            reader.push(receive(chunk));
        }
        assert!(reader.next(&mut parts).expect("a record").is_some());
        parts.clear();
    });
    assert!(each < 0.01, "{each} for a record");
    let small = packet(17, 200);
    let each = allocations_each(|| {
        assert!(matches!(
            Datagram::parse(receive(&small)),
            Some(Datagram::Packet(..))
        ));
    });
    assert!(each < 0.01, "{each} for a datagram");
}
