//! The functions that every packet passes: `npm run bench:micro`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fabric_engine::lanes::{
    Budget, Carrier, Classifier, Drops, LaneStream, Lanes, Packet, RECORD_HEADER_BYTES,
    RecordReader, TrafficClass,
};
use fabric_engine::packet::{Headers, Merge, Offload, split};
use fabric_engine::policy::{Policy, Prefix};
use fabric_engine::socket::messages::{PortRange, TrafficProtocol, TrafficRule};
use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// The payload of a full QUIC packet on Ethernet.
const SEALED_BYTES: usize = 1_432;
const SEGMENT: u16 = 1_240;
const PEERS: u16 = 1_000;

fn tcp_packet(payload_bytes: usize) -> Vec<u8> {
    let total = (40 + payload_bytes) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 1, 0, 2]);
    packet.extend([0x9c, 0x40, 0x14, 0x51, 0, 0, 0, 1, 0, 0, 0, 1]);
    packet.extend([0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.resize(total.into(), 7);
    packet
}

fn as_packet(bytes: &[u8], offload: Offload) -> Packet {
    let mut buffer = BytesMut::zeroed(RECORD_HEADER_BYTES);
    buffer.extend_from_slice(bytes);
    Packet::new(buffer, offload)
}

fn headers(criterion: &mut Criterion) {
    let packet = tcp_packet(1_240);
    criterion.bench_function("headers: parse", |bench| {
        bench.iter(|| Headers::parse(black_box(&packet)));
    });
}

/// The table that a cluster has unless it says otherwise (DEFAULT_TRAFFIC_RULES of the protocol).
fn default_rules() -> Vec<TrafficRule> {
    use TrafficClass::{Bulk, Control, Dns, Droppable, Interactive, Reliable};
    let rule = |class, protocol, ports: &[(u16, u16)], dscp: &[u8], below| TrafficRule {
        class,
        protocol,
        ports: ports
            .iter()
            .map(|&(from, to)| PortRange { from, to })
            .collect(),
        dscp: dscp.to_vec(),
        max_packet_bytes: None,
        below_bytes_per_second: below,
    };
    let (tcp, udp, icmp) = (
        Some(TrafficProtocol::Tcp),
        Some(TrafficProtocol::Udp),
        Some(TrafficProtocol::Icmp),
    );
    let dns = [(53, 53), (853, 853), (5353, 5353)];
    let terminals = [(22, 23), (3389, 3389), (5900, 5900)];
    vec![
        rule(Control, None, &[], &[48, 56], Some(12_500_000)),
        rule(
            Interactive,
            None,
            &[],
            &[46, 44, 40, 32, 34, 36, 38],
            Some(12_500_000),
        ),
        rule(Droppable, None, &[], &[8, 1], None),
        rule(Bulk, None, &[], &[10, 12, 14], None),
        rule(Dns, None, &dns, &[], Some(1_000_000)),
        rule(Interactive, icmp, &[], &[], Some(1_000_000)),
        rule(Interactive, tcp, &terminals, &[], Some(250_000)),
        rule(Interactive, udp, &[], &[], Some(1_000_000)),
        rule(Reliable, tcp, &[], &[], Some(125_000)),
        rule(Bulk, None, &[], &[], None),
    ]
}

fn classifier(criterion: &mut Criterion) {
    let now = Instant::now();
    let mut classifier = Classifier::new(now);
    classifier.set_rules(&default_rules());
    let headers = Headers::parse(&tcp_packet(1_240)).expect("a packet");
    criterion.bench_function("classifier: bulk, the last of ten rules", |bench| {
        bench.iter(|| classifier.classify(black_box(&headers), 60_000, now));
    });
}

/// A superframe as it comes from the network: in as many chunks as packets carried it.
fn records(criterion: &mut Criterion) {
    let packet = as_packet(&tcp_packet(60_000), Offload::Segments(SEGMENT));
    let record = packet.record();
    let chunks: Vec<Bytes> = (0..record.len())
        .step_by(1_380)
        .map(|at| record.slice(at..record.len().min(at + 1_380)))
        .collect();
    let mut reader = RecordReader::default();
    reader.push(Bytes::from_static(&[1, 4]));
    let mut parts = Vec::new();
    let mut group = criterion.benchmark_group("records");
    group.throughput(Throughput::Bytes(record.len() as u64));
    group.bench_function("read one of 60,000 bytes", |bench| {
        bench.iter(|| {
            chunks.iter().for_each(|chunk| reader.push(chunk.clone()));
            let read = reader.next(&mut parts).expect("a record");
            assert!(read.is_some());
        });
    });
    group.finish();
}

fn segments(criterion: &mut Criterion) {
    let packet = tcp_packet(60_000);
    let transport = Headers::parse(&packet)
        .and_then(|headers| headers.transport)
        .expect("TCP");
    let mut memory = BytesMut::new();
    let mut group = criterion.benchmark_group("segments");
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("split 60,000 bytes and merge them", |bench| {
        bench.iter(|| {
            let mut merge: Option<Merge> = None;
            split(
                &packet,
                &transport,
                SEGMENT,
                4,
                &mut memory,
                |_, _, part| {
                    let part = part.freeze().slice(4..);
                    match &mut merge {
                        Some(merge) => merge.push(part).expect("the next"),
                        None => {
                            let headers = Headers::parse(&part).expect("a packet");
                            merge = Merge::begin(&part, &headers);
                        }
                    }
                },
            );
            let mut merge = merge.expect("a first one");
            black_box(merge.finish());
        });
    });
    group.finish();
}

fn policy(criterion: &mut Criterion) {
    let prefix = |text: String| text.parse::<Prefix>().expect("a prefix");
    let mut policy = Policy::default();
    for peer in 0..PEERS {
        let remote = prefix(format!("10.1.{}.{}/32", peer >> 8, peer & 0xff));
        let local = prefix("10.0.0.1/32".to_owned());
        policy.insert(peer.into(), &[remote], &[local]);
    }
    let out = Headers::parse(&tcp_packet(100)).expect("a packet");
    let back = Headers {
        source: out.destination,
        destination: out.source,
        ..out
    };
    criterion.bench_function("policy: outbound and inbound of 1,000 peers", |bench| {
        bench.iter(|| {
            let peer = policy.outbound(black_box(&out)).expect("allowed");
            policy.inbound(peer, black_box(&back)).expect("allowed");
        });
    });
}

/// Takes everything.
struct Sink;

impl Carrier for Sink {
    fn max_datagram_bytes(&self) -> usize {
        1_400
    }

    fn waiting_datagram_bytes(&self) -> usize {
        0
    }

    fn datagram_room(&self) -> usize {
        usize::MAX
    }

    fn send_datagram(&mut self, datagram: Bytes) {
        black_box(datagram);
    }

    fn write_stream(&mut self, _: LaneStream, bytes: Bytes) -> Option<Bytes> {
        black_box(bytes);
        None
    }

    fn takes_bulk(&self) -> bool {
        true
    }
}

fn queues(criterion: &mut Criterion) {
    let begin = Instant::now();
    let bytes = tcp_packet(1_240);
    let transport = Headers::parse(&bytes).expect("a packet").transport;
    let packet = as_packet(&bytes, Offload::Complete);
    let mut lanes = Lanes::new(&Budget::default(), begin);
    let mut dropped = Drops::default();
    criterion.bench_function("queue: push, CoDel and pop to a stream", |bench| {
        bench.iter(|| {
            lanes
                .push(TrafficClass::Bulk, packet.clone(), transport, 1, begin)
                .expect("room");
            lanes.feed(&mut Sink, begin + Duration::from_millis(1), &mut dropped);
        });
    });
}

fn ciphers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1,432 bytes");
    group.throughput(Throughput::Bytes(SEALED_BYTES as u64));
    for (name, algorithm) in [
        ("AES-128-GCM", &AES_128_GCM),
        ("ChaCha20-Poly1305", &CHACHA20_POLY1305),
    ] {
        let key = UnboundKey::new(algorithm, &vec![7; algorithm.key_len()]).expect("its length");
        let key = LessSafeKey::new(key);
        let nonce = || Nonce::assume_unique_for_key([7; 12]);
        let mut packet = [7; SEALED_BYTES];
        group.bench_function(format!("seal, {name}"), |bench| {
            bench.iter(|| {
                key.seal_in_place_separate_tag(nonce(), Aad::empty(), black_box(&mut packet))
                    .expect("sealed")
            });
        });
        let mut sealed = vec![7; SEALED_BYTES];
        key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed)
            .expect("sealed");
        group.bench_function(format!("open, {name}"), |bench| {
            bench.iter_batched_ref(
                || sealed.clone(),
                |sealed| key.open_in_place(nonce(), Aad::empty(), sealed).is_ok(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(
    hot, headers, classifier, records, segments, policy, queues, ciphers
);
criterion_main!(hot);
