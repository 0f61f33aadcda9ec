//! Anyone who can send UDP, without a certificate, against the running engine: it goes on, holds a bounded number of half-open
//! handshakes, and an honest peer still gets in.
//!
//! Topology: one engine process on loopback; an honest peer with a session; a stranger's sockets.

mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fabric_engine::session::Phase;
use fabric_engine::socket::messages::{Authority, SessionState};
use noq_proto::crypto::rustls::QuicClientConfig;
use noq_proto::{ClientConfig, Endpoint, EndpointConfig};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::EngineProcess;
use support::peer::{Peer, tls_config};

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
/// As many as the engine lets run at once without asking for more than a first packet.
const HALF_OPEN: u64 = 256;

struct Scene {
    engine: EngineProcess,
    engine_node: Node,
    honest: Node,
    stranger: Node,
}

impl Scene {
    fn new() -> Self {
        let authority = CertificateAuthority::new();
        let engine_node = authority.node("engine");
        let honest = authority.node("honest");
        let stranger = CertificateAuthority::new().node("stranger");
        let mut engine = EngineProcess::start(&engine_node);
        engine.apply(&engine_node, AUTHORITY, vec![honest.as_peer()]);
        Self {
            engine,
            engine_node,
            honest,
            stranger,
        }
    }

    fn honest_peer_gets_in(&mut self) {
        let address = self.engine.address();
        let mut peer = Peer::connect(&self.honest, &self.engine_node, address);
        let mut session = peer.session(AUTHORITY);
        peer.converse(&mut session, |session| session.phase() == Phase::Ready);
        assert_eq!(self.engine.peer("honest").session, SessionState::Ready);
    }

    fn connections(&mut self) -> u64 {
        self.engine.state().counters["connections"]
    }

    /// The first packets of as many handshakes, each of another connection.
    fn first_packets(&self, address: SocketAddr, count: usize) -> Vec<Vec<u8>> {
        let crypto = QuicClientConfig::try_from(tls_config(&self.stranger)).expect("TLS 1.3");
        let config = ClientConfig::new(Arc::new(crypto));
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true);
        let first_packet = |_| {
            let now = Instant::now();
            let (_, mut connection) = endpoint
                .connect(now, config.clone(), address, "fabric")
                .expect("dialled");
            let mut buffer = Vec::new();
            let sent = connection.poll_transmit(now, NonZeroUsize::MIN, &mut buffer);
            assert!(sent.is_some(), "a packet");
            buffer
        };
        (0..count).map(first_packet).collect()
    }
}

fn stranger_socket() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket")
}

#[test]
fn handshakes_begun_and_left_are_bounded_and_an_honest_peer_gets_in() {
    let mut scene = Scene::new();
    let address = scene.engine.address();
    let socket = stranger_socket();
    let before_kib = scene.engine.resident_kib();
    for packets in scene.first_packets(address, 3_000).chunks(100) {
        for packet in packets {
            socket.send_to(packet, address).expect("loopback");
        }
        assert!(scene.connections() <= HALF_OPEN);
    }
    let all_taken = Instant::now() + Duration::from_secs(10);
    while scene.connections() < HALF_OPEN {
        assert!(Instant::now() < all_taken, "fewer than it may hold");
    }
    assert_eq!(scene.connections(), HALF_OPEN);
    scene.honest_peer_gets_in();
    let grown_kib = scene.engine.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < 64 * 1024, "{grown_kib} KiB for strangers");
    // They are given up in the end.
    let give_up = Instant::now() + Duration::from_secs(15);
    while scene.connections() > 1 {
        assert!(Instant::now() < give_up, "half-open for ever");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(scene.engine.is_running());
}

#[test]
fn no_packet_however_damaged_harms_the_engine() {
    let mut scene = Scene::new();
    let address = scene.engine.address();
    let socket = stranger_socket();
    let good = scene.first_packets(address, 40);
    let damaged = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..40),
        0u8..4,
    );
    let config = Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&damaged, |(which, at, byte, noise, way)| {
            let mut packet = which.get(&good).clone();
            let index = at.index(packet.len());
            match way {
                0 => packet[index % 64] = byte,
                1 => packet.truncate(index),
                2 => packet = [&[byte | 0x40][..], &noise].concat(),
                _ => packet.extend_from_slice(&noise),
            }
            socket.send_to(&packet, address).expect("loopback");
            Ok(())
        })
        .expect("sent");
    assert!(scene.connections() <= HALF_OPEN);
    scene.honest_peer_gets_in();
    assert_eq!(scene.engine.state().counters["faultsContained"], 0);
}
