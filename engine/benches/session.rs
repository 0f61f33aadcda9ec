//! What a byte of bulk costs in a QUIC session: two endpoints in memory, a lane stream, no socket: `npm run bench:micro`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fabric_engine::lanes::{Carrier, LaneStream, TrafficClass};
use fabric_engine::quic::{
    ConnectionKey, Endpoint, Identity, IdentityParts, Received, ResetKey, StreamBytes, Trust,
    TrustTable, TrustedPeer,
};

#[path = "../tests/support/authority.rs"]
#[allow(dead_code)] // the part that tests need of it
mod authority;

use authority::{Authority, Node, TRUST_DOMAIN, now_ms};

/// A superframe.
static RECORD: [u8; 65_000] = [7; 65_000];
const RECORDS: usize = 4;
/// As many packets as one send of the engine holds.
const SEGMENTS: NonZeroUsize = NonZeroUsize::new(44).unwrap();
const PACKET_BYTES: u16 = 1_472;
const LANE: LaneStream = LaneStream {
    class: TrafficClass::Bulk,
    shard: 0,
};

struct Side {
    endpoint: Endpoint,
    address: SocketAddr,
    connection: Option<ConnectionKey>,
    chunks: Vec<Bytes>,
    lane_bytes: usize,
}

impl Side {
    fn new(node: &Node, peer: &Node, port: u16) -> Side {
        let trusted = TrustedPeer {
            fingerprint: peer.fingerprint,
            expires_at_ms: u64::MAX,
        };
        let trust = Trust::default();
        trust.replace(TrustTable {
            trust_domain: TRUST_DOMAIN.into(),
            peers: HashMap::from([(peer.spiffe_id.clone(), trusted)]),
            ..TrustTable::default()
        });
        let parts = IdentityParts {
            spiffe_id: &node.spiffe_id,
            trust_domain: TRUST_DOMAIN,
            chain_pem: &node.identity.certificate_chain_pem,
            ca_pem: &node.identity.ca_certificates_pem,
            key_pem: node.key_pem.as_bytes(),
        };
        let identity = Identity::new(&parts, trust, now_ms()).expect("an identity");
        let mut endpoint = Endpoint::new(&reset_key(), |_| PACKET_BYTES);
        endpoint.set_identity(Some(Arc::new(identity)));
        Side {
            endpoint,
            address: SocketAddr::from(([192, 0, 2, 1], port)),
            connection: None,
            chunks: Vec::new(),
            lane_bytes: 0,
        }
    }

    fn write(&mut self, bytes: Bytes) -> Option<Bytes> {
        let key = self.connection.expect("a session");
        let connection = self.endpoint.connection(key).expect("it lives");
        connection.write_stream(LANE, bytes)
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, ecn: u8, packet: BytesMut) {
        let mut answer = Vec::new();
        let endpoint = &mut self.endpoint;
        if let Received::Accepted(key) = endpoint.receive(now, from, None, ecn, packet, &mut answer)
        {
            self.connection = Some(key);
        }
    }

    /// Reads what came and gives what is to be sent to the other side.
    fn drive(&mut self, now: Instant, other: &mut Side, buffer: &mut Vec<u8>) {
        while self.endpoint.next_due(now).is_some() {}
        let Some(key) = self.connection else { return };
        let Some(connection) = self.endpoint.connection(key) else {
            return;
        };
        while connection.poll_event().is_some() {}
        while let Some(read) = connection.read(&mut self.chunks) {
            let bytes: usize = self.chunks.drain(..).map(|chunk| chunk.len()).sum();
            if matches!(read.from, StreamBytes::Lane(_)) {
                self.lane_bytes += bytes;
            }
        }
        while let Some(transmit) = connection.poll_transmit(now, SEGMENTS, buffer) {
            let mut packets = BytesMut::from(&buffer[..transmit.bytes]);
            buffer.clear();
            let segment = transmit.segment_bytes.unwrap_or(transmit.bytes);
            while !packets.is_empty() {
                let packet = packets.split_to(segment.min(packets.len()));
                other.receive(now, self.address, transmit.ecn, packet);
            }
        }
        self.endpoint.settle(key);
    }
}

fn reset_key() -> ResetKey {
    let directory = std::env::temp_dir().join(format!("fabric-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let key = ResetKey::load(&directory).expect("a key");
    std::fs::remove_dir_all(directory).expect("removes what it made");
    key
}

struct Pair {
    now: Instant,
    dialler: Side,
    acceptor: Side,
    buffer: Vec<u8>,
}

impl Pair {
    fn connected() -> Pair {
        let authority = Authority::new();
        let (dialler, acceptor) = (authority.node("dialler"), authority.node("acceptor"));
        let mut pair = Pair {
            now: Instant::now(),
            dialler: Side::new(&dialler, &acceptor, 1),
            acceptor: Side::new(&acceptor, &dialler, 2),
            buffer: Vec::new(),
        };
        let dialled =
            pair.dialler
                .endpoint
                .dial(pair.now, pair.acceptor.address, &acceptor.spiffe_id);
        pair.dialler.connection = Some(dialled.expect("dials"));
        for _ in 0..1_000 {
            pair.round_trip();
        }
        pair
    }

    fn round_trip(&mut self) {
        self.now += Duration::from_micros(200);
        let (one, other) = (&mut self.dialler, &mut self.acceptor);
        one.drive(self.now, other, &mut self.buffer);
        other.drive(self.now, one, &mut self.buffer);
    }

    /// Until all of it has arrived.
    fn send(&mut self, records: usize) {
        let wanted = self.acceptor.lane_bytes + records * RECORD.len();
        for _ in 0..records {
            let mut rest = Some(Bytes::from_static(&RECORD));
            while let Some(bytes) = rest {
                rest = self.dialler.write(bytes);
                if rest.is_some() {
                    self.round_trip();
                }
            }
        }
        while self.acceptor.lane_bytes < wanted {
            self.round_trip();
        }
    }
}

fn session(criterion: &mut Criterion) {
    let mut pair = Pair::connected();
    pair.send(100 * RECORDS);
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Bytes((RECORDS * RECORD.len()) as u64));
    group.bench_function("260,000 bytes of bulk, both sides", |bench| {
        bench.iter(|| pair.send(RECORDS));
    });
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
