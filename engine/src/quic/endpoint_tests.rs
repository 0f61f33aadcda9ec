//! Two endpoints in memory: packets are carried by hand and time is passed in.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

use super::*;
use crate::frames::CloseCode;
use crate::lanes::{Carrier, LaneStream, TrafficClass};

pub(super) const LANE: LaneStream = LaneStream {
    class: TrafficClass::Reliable,
    shard: 0,
};
const DIALLER: &str = "spiffe://test/node/dialler";
pub(super) const ACCEPTOR: &str = "spiffe://test/node/acceptor";

/// One side: an endpoint at an address, and what its connections said.
pub(super) struct Side {
    pub endpoint: Endpoint,
    trust: Trust,
    pub address: SocketAddr,
    identity: Arc<Identity>,
    pub established: Vec<(ConnectionKey, Established)>,
    pub closed: Vec<Closed>,
    datagrams: Vec<Bytes>,
    streams: Vec<(StreamBytes, Bytes)>,
}

pub(super) struct Pair {
    pub now: Instant,
    pub dialler: Side,
    pub acceptor: Side,
}

fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as u64
}

fn identity(
    authority: &Issuer<'static, KeyPair>,
    ca_pem: &str,
    id: &str,
    trust: Trust,
) -> Arc<Identity> {
    let key = KeyPair::generate().expect("key");
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = vec![SanType::URI(id.try_into().expect("ascii"))];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let certificate = parameters.signed_by(&key, authority).expect("certificate");
    let key_pem = key.serialize_pem();
    let parts = IdentityParts {
        spiffe_id: id,
        trust_domain: "test",
        chain_pem: &[certificate.pem()],
        ca_pem: &[ca_pem.to_owned()],
        key_pem: key_pem.as_bytes(),
    };
    Arc::new(Identity::new(&parts, trust, unix_ms()).expect("identity"))
}

fn trusting(peer: &Identity) -> TrustTable {
    let trusted = TrustedPeer {
        fingerprint: peer.fingerprint(),
        expires_at_ms: u64::MAX,
    };
    TrustTable {
        trust_domain: "test".to_owned(),
        peers: HashMap::from([(peer.spiffe_id().to_owned(), trusted)]),
        ..TrustTable::default()
    }
}

/// Of a dialler and an acceptor who trust each other, and the tables by which they do.
pub(super) fn identities() -> [(Arc<Identity>, Trust); 2] {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("key");
    let ca_pem = parameters.self_signed(&key).expect("certificate").pem();
    let authority = Issuer::new(parameters, key);
    let (dialler_trust, acceptor_trust) = (Trust::default(), Trust::default());
    let dialler = identity(&authority, &ca_pem, DIALLER, dialler_trust.clone());
    let acceptor = identity(&authority, &ca_pem, ACCEPTOR, acceptor_trust.clone());
    dialler_trust.replace(trusting(&acceptor));
    acceptor_trust.replace(trusting(&dialler));
    [(dialler, dialler_trust), (acceptor, acceptor_trust)]
}

impl Side {
    fn new(identity: Arc<Identity>, trust: Trust, port: u16) -> Side {
        let mut endpoint = Endpoint::new(&ResetKey::for_test(port as u8), |_| 1_452);
        endpoint.set_identity(Some(identity.clone()));
        Side {
            endpoint,
            trust,
            address: SocketAddr::from(([192, 0, 2, 1], port)),
            identity,
            established: Vec::new(),
            closed: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// The same node after its process died: the same keys, no memory.
    fn restart(&mut self) {
        let port = self.address.port();
        self.endpoint = Endpoint::new(&ResetKey::for_test(port as u8), |_| 1_452);
        self.endpoint.set_identity(Some(self.identity.clone()));
    }

    /// Drives every connection and returns the packets to send.
    pub fn drive(&mut self, now: Instant) -> Vec<Vec<u8>> {
        while self.endpoint.next_due(now).is_some() {}
        let mut packets = Vec::new();
        for key in self.endpoint.keys() {
            let Some(connection) = self.endpoint.connection(key) else {
                continue;
            };
            while let Some(event) = connection.poll_event() {
                match event {
                    ConnectionEvent::Established(peer) => self.established.push((key, peer)),
                    ConnectionEvent::Closed(closed) => self.closed.push(closed),
                }
            }
            let mut chunks = Vec::new();
            while let Some(read) = connection.read(&mut chunks) {
                self.streams
                    .extend(chunks.drain(..).map(|bytes| (read.from, bytes)));
            }
            while let Some(datagram) = connection.receive_datagram() {
                self.datagrams.push(datagram);
            }
            self.endpoint.settle(key);
            let Some(connection) = self.endpoint.connection(key) else {
                continue;
            };
            let mut buffer = Vec::new();
            while let Some(transmit) = connection.poll_transmit(now, NonZeroUsize::MIN, &mut buffer)
            {
                packets.push(buffer[..transmit.bytes].to_vec());
                buffer.clear();
            }
            self.endpoint.settle(key);
        }
        packets
    }

    pub fn receive(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Option<Vec<u8>> {
        let mut answer = Vec::new();
        match self
            .endpoint
            .receive(now, from, None, 0, BytesMut::from(packet), &mut answer)
        {
            Received::Answer(transmit) => Some(answer[..transmit.bytes].to_vec()),
            _ => None,
        }
    }
}

impl Pair {
    /// Both trust each other.
    pub fn new() -> Pair {
        let [dialler, acceptor] = identities();
        Pair {
            now: Instant::now(),
            dialler: Side::new(dialler.0, dialler.1, 1),
            acceptor: Side::new(acceptor.0, acceptor.1, 2),
        }
    }

    pub fn dial(&mut self) -> ConnectionKey {
        self.dialler
            .endpoint
            .dial(self.now, self.acceptor.address, ACCEPTOR)
            .expect("dials")
    }

    /// Lets 100 ms pass in steps of one, both sides driven in each.
    pub fn run(&mut self) {
        for _ in 0..100 {
            self.now += Duration::from_millis(1);
            let (one, other) = (&mut self.dialler, &mut self.acceptor);
            carry(self.now, one, other);
            carry(self.now, other, one);
        }
    }
}

fn carry(now: Instant, from: &mut Side, to: &mut Side) {
    for packet in from.drive(now) {
        if let Some(answer) = to.receive(now, from.address, &packet) {
            from.receive(now, to.address, &answer);
        }
    }
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let mut pair = Pair::new();
    pair.dial();
    pair.run();
    let expected = |identity: &Identity| Established {
        spiffe_id: identity.spiffe_id().to_owned(),
        fingerprint: identity.fingerprint(),
    };
    assert_eq!(
        pair.dialler.established[0].1,
        expected(&pair.acceptor.identity)
    );
    assert_eq!(
        pair.acceptor.established[0].1,
        expected(&pair.dialler.identity)
    );
}

#[test]
fn control_bytes_lanes_and_datagrams_arrive_apart() {
    let mut pair = Pair::new();
    let key = pair.dial();
    pair.run();
    let connection = pair.dialler.endpoint.connection(key).expect("connection");
    assert_eq!(
        connection.write_control(Bytes::from_static(b"control")),
        None
    );
    let lane = Bytes::from_static(b"lane");
    assert_eq!(connection.write_stream(LANE, lane), None);
    connection.look_at_datagrams();
    assert!((1_000..9_000).contains(&connection.max_datagram_bytes()));
    connection.send_datagram(Bytes::from_static(b"datagram"));
    pair.run();
    assert_eq!(pair.acceptor.datagrams, ["datagram"]);
    pair.acceptor
        .streams
        .sort_by_key(|(_, bytes)| bytes.clone());
    assert_eq!(
        pair.acceptor.streams,
        [
            (StreamBytes::Control, Bytes::from_static(b"control")),
            (StreamBytes::Lane(0), Bytes::from_static(b"lane"))
        ]
    );
    let (one, other) = (
        keying_material(&mut pair.dialler),
        keying_material(&mut pair.acceptor),
    );
    assert_eq!(one, other);
}

fn keying_material(side: &mut Side) -> [u8; 32] {
    let key = side.established[0].0;
    let mut output = [0; 32];
    let connection = side.endpoint.connection(key).expect("connection");
    assert!(connection.export_keying_material(b"test", &mut output));
    output
}

#[test]
fn a_refusal_is_known_to_both_sides_by_its_code() {
    let mut pair = Pair::new();
    let dialler = pair.dialler.identity.fingerprint();
    let mut table = (*pair.acceptor.trust.current()).clone();
    table.revoked.insert(dialler);
    pair.acceptor.trust.replace(table);
    pair.dial();
    pair.run();
    assert!(pair.acceptor.established.is_empty());
    let refused = &pair.acceptor.closed[0];
    assert_eq!(
        refused.refusal,
        Some(Refusal {
            code: CloseCode::Revoked,
            spiffe_id: Some(DIALLER.to_owned())
        })
    );
    let told = &pair.dialler.closed[0];
    assert_eq!((told.code, &told.refusal), (CloseCode::Revoked, &None));
    assert!(told.refused_by_peer, "the acceptor had proved itself");
}

#[test]
fn the_dialler_refuses_as_well() {
    let mut pair = Pair::new();
    pair.dialler.trust.replace(TrustTable {
        trust_domain: "test".to_owned(),
        ..TrustTable::default()
    });
    pair.dial();
    pair.run();
    assert_eq!(
        pair.dialler.closed[0]
            .refusal
            .as_ref()
            .map(|refusal| refusal.code),
        Some(CloseCode::UnknownPeer)
    );
    assert_eq!(pair.acceptor.closed[0].code, CloseCode::UnknownPeer);
}

#[test]
fn a_close_carries_its_code_and_reason() {
    let mut pair = Pair::new();
    let key = pair.dial();
    pair.run();
    let now = pair.now;
    pair.dialler
        .endpoint
        .connection(key)
        .expect("connection")
        .close(now, CloseCode::Expired, "over");
    pair.run();
    let closed = &pair.acceptor.closed[0];
    assert_eq!(
        (closed.code, closed.message.as_str(), closed.was_reset),
        (CloseCode::Expired, "over", false)
    );
}

#[test]
fn a_restarted_side_is_noticed_by_its_reset() {
    let mut pair = Pair::new();
    let key = pair.dial();
    pair.run();
    pair.acceptor.restart();
    let connection = pair.dialler.endpoint.connection(key).expect("connection");
    connection.send_datagram(Bytes::from(vec![0; 500]));
    pair.run();
    assert!(pair.dialler.closed[0].was_reset);
    assert!(
        pair.dialler.endpoint.keys().is_empty(),
        "nothing is left of the connection"
    );
}

#[test]
fn without_an_identity_nothing_is_dialled_and_nobody_accepted() {
    let mut pair = Pair::new();
    pair.acceptor.endpoint.set_identity(None);
    pair.dial();
    pair.run();
    assert!(pair.acceptor.endpoint.keys().is_empty());
    pair.dialler.endpoint.set_identity(None);
    let refused = pair
        .dialler
        .endpoint
        .dial(pair.now, pair.acceptor.address, ACCEPTOR);
    assert!(matches!(refused, Err(DialError::NoIdentity)));
}
