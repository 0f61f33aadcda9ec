use std::time::{Duration, Instant};

use bytes::Bytes;

use super::forms::packet_of;
use super::queue::WAITING_BYTES;
use super::records::RecordReader;
use super::*;
use crate::packet::{Headers, Offload, Transport};
use crate::policy::DropReason;

/// Takes datagrams of up to 100 bytes while there is room, and stream bytes likewise.
struct Fake {
    datagram_room: usize,
    stream_room: usize,
    takes_bulk: bool,
    datagrams: Vec<Bytes>,
    streams: Vec<(LaneStream, Vec<u8>)>,
}

impl Default for Fake {
    fn default() -> Fake {
        Fake {
            datagram_room: 1 << 20,
            stream_room: 1 << 20,
            takes_bulk: true,
            datagrams: Vec::new(),
            streams: Vec::new(),
        }
    }
}

impl Carrier for Fake {
    fn max_datagram_bytes(&self) -> usize {
        100
    }

    fn waiting_datagram_bytes(&self) -> usize {
        0
    }

    fn datagram_room(&self) -> usize {
        self.datagram_room
    }

    fn send_datagram(&mut self, datagram: Bytes) {
        self.datagram_room -= datagram.len();
        self.datagrams.push(datagram);
    }

    fn write_stream(&mut self, stream: LaneStream, mut bytes: Bytes) -> Option<Bytes> {
        let taken = bytes.split_to(self.stream_room.min(bytes.len()));
        self.stream_room -= taken.len();
        match self.streams.iter_mut().find(|(id, _)| *id == stream) {
            Some((_, written)) => written.extend_from_slice(&taken),
            None => self.streams.push((stream, taken.to_vec())),
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    fn takes_bulk(&self) -> bool {
        self.takes_bulk
    }
}

impl Fake {
    /// The packets that were written on all streams.
    fn records(&self) -> Vec<Vec<u8>> {
        let mut read = Vec::new();
        for (_, written) in &self.streams {
            let mut reader = RecordReader::default();
            reader.push(Bytes::from(written.clone()));
            let mut parts = Vec::new();
            while reader.next(&mut parts).expect("a valid stream").is_some() {
                read.push(parts.concat());
            }
        }
        read
    }
}

fn tcp(payload: usize, fill: u8) -> (Packet, Option<Transport>) {
    let total = 40 + payload;
    let mut bytes = vec![
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    bytes.extend([
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0,
    ]);
    bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    bytes.resize(total, fill);
    let headers = Headers::parse(&bytes).expect("a packet");
    (packet_of(&bytes, Offload::Checksum), headers.transport)
}

fn other(bytes: usize, fill: u8) -> Packet {
    packet_of(&vec![fill; bytes], Offload::Complete)
}

struct Stage {
    lanes: Lanes,
    now: Instant,
    dropped: Drops,
    budget: Budget,
}

impl Stage {
    fn new() -> Stage {
        let (now, budget) = (Instant::now(), Budget::default());
        Stage {
            lanes: Lanes::new(&budget, now),
            now,
            dropped: Drops::default(),
            budget,
        }
    }

    fn push(&mut self, class: TrafficClass, packet: Packet) -> Result<(), DropReason> {
        self.lanes.push(class, packet, None, 0, self.now)
    }

    fn push_tcp(&mut self, class: TrafficClass, payload: usize, fill: u8) {
        let (packet, transport) = tcp(payload, fill);
        self.lanes
            .push(class, packet, transport, 0, self.now)
            .expect("room");
    }

    fn feed(&mut self, carrier: &mut Fake) {
        self.lanes.feed(carrier, self.now, &mut self.dropped);
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped
            .all()
            .iter()
            .find(|(of, _)| *of == reason)
            .map_or(0, |(_, count)| count)
    }
}

#[test]
fn the_urgent_pass_the_others() {
    let mut stage = Stage::new();
    for (class, fill) in [
        (TrafficClass::Bulk, 1),
        (TrafficClass::Interactive, 2),
        (TrafficClass::Control, 3),
    ] {
        stage.push(class, other(10, fill)).expect("room");
    }
    let mut fake = Fake::default();
    stage.feed(&mut fake);
    let order: Vec<u8> = fake.datagrams.iter().map(|datagram| datagram[0]).collect();
    assert_eq!(order, [3, 2, 1]);
    assert_eq!(stage.lanes.queued_bytes(), 0);
}

#[test]
fn bulk_waits_while_enough_is_in_flight_and_the_urgent_do_not() {
    let mut stage = Stage::new();
    stage.push_tcp(TrafficClass::Bulk, 60, 1);
    stage
        .push(TrafficClass::Interactive, other(10, 2))
        .expect("room");
    let mut fake = Fake {
        takes_bulk: false,
        ..Fake::default()
    };
    stage.feed(&mut fake);
    assert_eq!((fake.datagrams.len(), fake.records().len()), (1, 0));
    fake.takes_bulk = true;
    stage.feed(&mut fake);
    assert_eq!(fake.records().len(), 1);
}

#[test]
fn bulk_gets_its_share_of_what_others_send() {
    let mut stage = Stage::new();
    let mut fake = Fake::default();
    for _ in 0..40 {
        stage.push_tcp(TrafficClass::Bulk, 20_000, 1);
    }
    for _ in 0..20 {
        for _ in 0..4 {
            stage.push_tcp(TrafficClass::Reliable, 20_000, 2);
        }
        stage.feed(&mut fake);
    }
    let of = |fill: u8| {
        fake.records()
            .iter()
            .filter(|packet| packet.last() == Some(&fill))
            .count()
    };
    assert!(of(1) >= 5, "an eighth of {} and {}", of(2), of(1));
    assert!(of(2) >= 4 * of(1), "{} and {}", of(2), of(1));
}

#[test]
fn a_large_packet_goes_as_a_record_however_slowly_the_stream_takes_it() {
    let mut stage = Stage::new();
    let mut fake = Fake::default();
    stage
        .push(TrafficClass::Interactive, other(200, 1))
        .expect("room");
    stage
        .push(TrafficClass::Interactive, other(300, 2))
        .expect("room");
    stage
        .push(TrafficClass::Interactive, other(10, 3))
        .expect("room");
    for _ in 0..600 {
        fake.stream_room = 1;
        stage.feed(&mut fake);
    }
    assert_eq!(fake.records(), [vec![1; 200], vec![2; 300]]);
    assert_eq!(fake.datagrams, [Bytes::from_static(&[3; 10])]);
}

#[test]
fn an_acknowledgement_alone_needs_no_stream() {
    let mut stage = Stage::new();
    let mut fake = Fake::default();
    stage.push_tcp(TrafficClass::Bulk, 0, 0);
    stage.push_tcp(TrafficClass::Bulk, 1, 0);
    stage.feed(&mut fake);
    assert_eq!((fake.datagrams.len(), fake.records().len()), (1, 1));
}

#[test]
fn a_cut_packet_crosses_whole() {
    let (packet, transport) = tcp(150, 7);
    let bytes = packet.bytes().to_vec();
    let cut = packet_of(&bytes, Offload::Segments(50));
    let mut stage = Stage::new();
    stage
        .lanes
        .push(TrafficClass::Interactive, cut, transport, 0, stage.now)
        .expect("room");
    let mut fake = Fake::default();
    stage.feed(&mut fake);
    assert_eq!(fake.datagrams.len(), 3);
    let mut rejoin = Rejoin::default();
    let mut completed = None;
    for datagram in fake.datagrams {
        let Some(Datagram::Part(part, packet)) = Datagram::parse(datagram) else {
            panic!("a part");
        };
        let ready = rejoin.push(part, packet);
        assert!(ready.joined.is_none() && ready.single.is_none());
        completed = ready.completed;
    }
    let mut merge = completed.expect("whole");
    let (headers, payloads, offload) = merge.finish();
    assert_eq!(offload, Offload::Segments(50));
    assert_eq!(
        headers.len() + payloads.iter().map(Bytes::len).sum::<usize>(),
        bytes.len()
    );
}

#[test]
fn a_missing_part_breaks_a_cut_in_two() {
    let (packet, transport) = tcp(150, 7);
    let cut = packet_of(packet.bytes(), Offload::Segments(50));
    let mut datagrams = Vec::new();
    cut.datagrams(
        1000,
        transport.as_ref(),
        1,
        &mut Default::default(),
        |bytes| datagrams.push(bytes),
    );
    let mut rejoin = Rejoin::default();
    let mut push = |index: usize| match Datagram::parse(datagrams[index].clone()) {
        Some(Datagram::Part(part, packet)) => rejoin.push(part, packet),
        _ => panic!("a part"),
    };
    push(0);
    let ready = push(2);
    let (mut first, mut last) = (ready.joined.expect("first"), ready.completed.expect("last"));
    assert_eq!(
        (first.finish().2, last.finish().2),
        (Offload::Checksum, Offload::Checksum)
    );
}

#[test]
fn drops_beyond_its_bound_and_what_grew_old() {
    let mut stage = Stage::new();
    let mut pushed = 0;
    while stage.push(TrafficClass::Dns, other(1000, 0)).is_ok() {
        pushed += 1;
    }
    assert_eq!(pushed, (128 << 10) / (1000 + WAITING_BYTES));
    stage.now += Duration::from_secs(2);
    let Stage {
        lanes,
        now,
        dropped,
        ..
    } = &mut stage;
    lanes.expire(*now, dropped);
    assert_eq!(
        (stage.dropped(DropReason::Stale), stage.lanes.queued_bytes()),
        (pushed as u64, 0)
    );
}

#[test]
fn a_standing_queue_is_thinned_out() {
    let mut stage = Stage::new();
    let mut fake = Fake::default();
    for _ in 0..500 {
        stage.now += Duration::from_millis(1);
        for _ in 0..3 {
            stage.push_tcp(TrafficClass::Bulk, 1000, 1);
        }
        fake.stream_room = 2 * 1046;
        stage.feed(&mut fake);
    }
    assert!(stage.dropped(DropReason::Delayed) > 10);
}

#[test]
fn who_can_be_told_of_congestion_loses_nothing() {
    let mut stage = Stage::new();
    let mut fake = Fake::default();
    const CAPABLE: u8 = 0b10;
    let mut bytes = tcp(1000, 1).0.bytes().to_vec();
    bytes[1] = CAPABLE;
    let transport = Headers::parse(&bytes).expect("a packet").transport;
    for _ in 0..500 {
        stage.now += Duration::from_millis(1);
        for _ in 0..3 {
            let packet = packet_of(&bytes, Offload::Checksum);
            let pushed = stage
                .lanes
                .push(TrafficClass::Bulk, packet, transport, 0, stage.now);
            pushed.expect("room");
        }
        fake.stream_room = 2 * 1046;
        stage.feed(&mut fake);
    }
    assert_eq!(stage.dropped(DropReason::Delayed), 0);
    let records = fake.records();
    let marked = records.iter().filter(|packet| packet[1] == 0b11).count();
    assert!(marked > 10 && marked < records.len() / 2, "{marked}");
    assert!(records.iter().all(|packet| packet[20..] == bytes[20..]));
}

#[test]
fn counts_drops_by_class() {
    let mut stage = Stage::new();
    for class in [TrafficClass::Dns, TrafficClass::Bulk, TrafficClass::Bulk] {
        stage.push(class, other(100, 0)).expect("room");
    }
    stage.now += Duration::from_secs(2);
    stage.lanes.expire(stage.now, &mut stage.dropped);
    let stale = |class| stage.dropped.of(class).of(DropReason::Stale);
    assert_eq!(
        TrafficClass::ALL.map(stale),
        [0, 1, 0, 0, 2, 0] as [u64; TrafficClass::COUNT]
    );
    assert_eq!(stage.dropped(DropReason::Stale), 3);
}

/// Takes nothing at all.
fn stalled() -> Fake {
    Fake {
        datagram_room: 0,
        stream_room: 0,
        takes_bulk: false,
        ..Fake::default()
    }
}

#[test]
fn a_thousand_stalled_peers_and_floods_of_small_packets_hold_no_more_than_their_bound() {
    let (now, budget) = (Instant::now(), Budget::default());
    let mut dropped = Drops::default();
    let mut peers: Vec<Lanes> = (0..1_000).map(|_| Lanes::new(&budget, now)).collect();
    let classes = [
        TrafficClass::Bulk,
        TrafficClass::Droppable,
        TrafficClass::Reliable,
    ];
    let packets = [other(40, 0), other(60_000, 0)];
    let mut offered = 0;
    for round in 0..40 {
        for lanes in &mut peers {
            for class in classes {
                offered += 1;
                if let Err(reason) = lanes.push(class, packets[round % 2].clone(), None, 0, now) {
                    dropped.count_of(class, reason, 1);
                }
            }
            lanes.feed(&mut stalled(), now, &mut dropped);
        }
        assert!(budget.taken() <= MAX_QUEUED_BYTES);
    }
    // Urgent packets still find room in what bulk may not have.
    for lanes in &mut peers {
        lanes
            .push(TrafficClass::Control, other(100, 0), None, 0, now)
            .expect("room for what is urgent");
    }
    let held: usize = peers.iter().map(Lanes::queued_bytes).sum();
    assert_eq!(held, budget.taken());
    assert!(held > 60 << 20, "the bound was reached: {held}");
    let full = |class| {
        let mut reasons = dropped.of(class).iter();
        reasons.find(|(reason, _)| *reason == DropReason::NodeFull)
    };
    for class in classes {
        assert!(full(class).is_some(), "{class:?} of {offered} packets");
    }
    for lanes in &mut peers {
        lanes.expire(now + Duration::from_secs(2), &mut dropped);
    }
    assert_eq!(budget.taken(), 0);
    drop(peers);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn a_flood_of_small_packets_to_one_peer_counts_what_it_holds() {
    let mut stage = Stage::new();
    let mut pushed = 0;
    while stage.push(TrafficClass::Bulk, other(28, 0)).is_ok() {
        pushed += 1;
    }
    assert_eq!(pushed, (8 << 20) / (28 + WAITING_BYTES));
    assert_eq!(stage.budget.taken(), stage.lanes.queued_bytes());
    // A session that ends gives back what it held.
    stage.lanes = Lanes::new(&stage.budget, stage.now);
    assert_eq!(stage.budget.taken(), 0);
}

#[test]
fn limited_bulk_waits_for_its_rate_and_the_others_do_not() {
    let mut stage = Stage::new();
    let told = Told {
        suffers: false,
        credit: Some(MIN_BULK_BYTES_PER_SECOND),
    };
    stage.lanes.review(told, stage.now);
    for _ in 0..4 {
        stage.push(TrafficClass::Bulk, other(100, 1)).expect("room");
        stage.push(TrafficClass::Dns, other(10, 2)).expect("room");
    }
    let mut fake = Fake::default();
    stage.feed(&mut fake);
    assert_eq!(fake.datagrams.len(), 4, "dns alone");
    stage.now = stage.lanes.wakes_at().expect("bulk waits for time alone");
    stage.feed(&mut fake);
    assert_eq!(fake.datagrams.len(), 5, "one packet into debt");
    assert!(stage.lanes.wakes_at().is_some_and(|at| at > stage.now));
}
