//! A compromised agent, which owns the folder of the node's key and speaks to the socket: each of its tricks gets a coded error, and
//! packets go on.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fabric_engine::session::Phase;
use fabric_engine::socket::messages::{
    Authority, Desired, Event, PeerIntent, PortRange, SessionState, TrafficClass, TrafficRule,
    TunnelIntent,
};

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::{EngineProcess, desired};
use support::peer::Peer;

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    engine: EngineProcess,
    engine_node: Node,
    honest: Node,
    peer: Peer,
}

impl Scene {
    /// With a session that is ready.
    fn new() -> Self {
        let authority = CertificateAuthority::new();
        let (engine_node, honest) = (authority.node("engine"), authority.node("honest"));
        let mut engine = EngineProcess::start(&engine_node);
        engine.apply(&engine_node, AUTHORITY, vec![honest.as_peer()]);
        let mut peer = Peer::connect(&honest, &engine_node, engine.address());
        let mut session = peer.session(AUTHORITY);
        peer.converse(&mut session, |session| session.phase() == Phase::Ready);
        Self {
            engine,
            engine_node,
            honest,
            peer,
        }
    }

    fn desired(&self) -> Desired {
        desired(&self.engine_node, AUTHORITY, vec![self.honest.as_peer()])
    }

    fn refusal_of(&mut self, desired: Desired) -> String {
        let refusal = self.engine.apply_all(desired).expect_err("a refusal");
        refusal.code.into_owned()
    }

    fn is_unharmed(&mut self) {
        self.peer.step();
        assert_eq!(self.peer.closed, None);
        assert_eq!(self.engine.peer("honest").session, SessionState::Ready);
    }
}

#[test]
fn a_key_that_is_no_file_or_another_key_is_refused_at_once() {
    let mut scene = Scene::new();
    let key = scene.engine.dir().join("node.key");
    let desired = scene.desired();
    let (other, huge) = (key.with_extension("other"), vec![b'k'; 1 << 20]);
    fs::write(&other, CertificateAuthority::new().node("x").key_pem).expect("a key");

    fs::remove_file(&key).expect("the key");
    assert_eq!(scene.refusal_of(desired.clone()), "KEY_UNREADABLE", "none");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &key,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    assert_eq!(
        scene.refusal_of(desired.clone()),
        "KEY_UNREADABLE",
        "a pipe"
    );
    fs::remove_file(&key).expect("the pipe");
    symlink("/dev/zero", &key).expect("a link");
    assert_eq!(
        scene.refusal_of(desired.clone()),
        "KEY_UNREADABLE",
        "a link"
    );
    fs::remove_file(&key).expect("the link");
    fs::create_dir(&key).expect("a folder");
    assert_eq!(
        scene.refusal_of(desired.clone()),
        "KEY_UNREADABLE",
        "a folder"
    );
    fs::remove_dir(&key).expect("the folder");
    fs::write(&key, huge).expect("a file");
    assert_eq!(scene.refusal_of(desired.clone()), "KEY_UNREADABLE", "huge");
    fs::rename(&other, &key).expect("the other key");
    let code = scene.refusal_of(desired.clone());
    assert_eq!(code, "CERTIFICATE_KEY_MISMATCH");
    fs::write(&key, &scene.engine_node.key_pem).expect("the key");
    scene.engine.apply_all(desired).expect("all is well again");
    scene.is_unharmed();
}

/// As many as one state may hold, none of which is there.
#[test]
fn ten_thousand_absent_peers_leave_room_for_the_one_that_is_there() {
    let authority = CertificateAuthority::new();
    let (node, honest_node) = (authority.node("engine"), authority.node("honest"));
    let mut honest = EngineProcess::start(&honest_node);
    let mut engine = EngineProcess::start(&node);
    honest.apply(&honest_node, AUTHORITY, vec![node.as_peer()]);
    let there = PeerIntent {
        candidates: vec![honest.address().to_string()],
        ..honest_node.as_peer()
    };
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let candidate = nobody.local_addr().expect("an address").to_string();
    let absent = |number: usize| PeerIntent {
        id: format!("absent-{number}"),
        spiffe_id: format!("{}-{number}", honest_node.spiffe_id),
        fingerprint: format!("{number:064x}"),
        candidates: vec![candidate.clone()],
        ..honest_node.as_peer()
    };
    let alone = desired(&node, AUTHORITY, vec![there.clone()]);
    let mut crowded = desired(&node, AUTHORITY, (1..10_000).map(absent).collect());
    crowded.peers.push(there);
    let mut too_many = crowded.clone();
    too_many.peers.push(absent(10_000));
    let refusal = engine.apply_all(too_many).expect_err("one too many");
    assert_eq!(refusal.code, "LIMIT_EXCEEDED");

    let states = [alone.clone(), crowded.clone(), crowded, alone];
    for (number, state) in states.into_iter().enumerate() {
        engine.apply_all(state).expect("a valid state");
        let give_up = Instant::now() + PATIENCE;
        while engine.send("honest", "test", &[number as u8]).is_err() {
            assert!(Instant::now() < give_up, "{:?}", engine.peer("honest"));
            std::thread::sleep(Duration::from_millis(10));
        }
        let heard = honest.event(|event| match event {
            Event::Message { payload, .. } => Some(payload),
            _ => None,
        });
        assert_eq!(heard[..], [number as u8]);
    }
    let kib = engine.resident_kib();
    assert!(kib < 512 << 10, "{kib} KiB");
}

#[test]
fn an_engine_without_a_tunnel_gets_none_from_its_agent() {
    let mut scene = Scene::new();
    let mut desired = scene.desired();
    desired.tunnel = Some(TunnelIntent {
        addresses: vec!["10.0.0.1/32".to_owned()],
        routes: vec!["0.0.0.0/0".to_owned()],
        mtu: 1280,
    });
    assert_eq!(scene.refusal_of(desired), "PREFIX_FORBIDDEN");
    let mut desired = scene.desired();
    desired.peers[0].remote_prefixes = vec!["10.0.0.0/8".to_owned()];
    assert_eq!(scene.refusal_of(desired), "PREFIX_FORBIDDEN");
    scene.is_unharmed();
}

#[test]
fn traffic_rules_change_alone_and_only_to_ones_that_make_sense() {
    let mut scene = Scene::new();
    let mut desired = scene.desired();
    desired.expires_at_ms = u64::MAX;
    scene.engine.apply_all(desired.clone()).expect("valid");
    desired.traffic_rules = vec![TrafficRule {
        class: TrafficClass::Dns,
        protocol: None,
        ports: vec![PortRange { from: 53, to: 53 }],
        dscp: vec![],
        max_packet_bytes: None,
        below_bytes_per_second: Some(1_000_000),
    }];
    let changed = scene.engine.apply_all(desired.clone()).expect("valid");
    assert_eq!(changed, ["trafficRules"]);
    let changed = scene.engine.apply_all(desired.clone()).expect("valid");
    assert!(changed.is_empty());
    desired.traffic_rules[0].ports[0].from = 54;
    assert_eq!(scene.refusal_of(desired), "INVALID_ARGUMENT");
    scene.is_unharmed();
}

#[test]
fn a_client_that_dies_in_the_middle_of_a_frame_or_floods_disturbs_nobody() {
    let mut scene = Scene::new();
    let socket = scene.engine.dir().join("engine.sock");
    let connect = || UnixStream::connect(&socket).expect("the socket");
    for begun in [&[0u8, 0][..], &[0, 0x10, 0, 0, 0x82, 0xa2], &[]] {
        connect().write_all(begun).expect("written");
    }
    let mut oversized = connect();
    oversized.write_all(&[0xff; 4]).expect("written");
    oversized
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let mut answer = Vec::new();
    oversized
        .read_to_end(&mut answer)
        .expect("closed by the engine");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("FRAME_TOO_LARGE"), "{answer}");
    // Four megabytes of noise in frames, never read for answers.
    let mut flood = connect();
    flood
        .set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    let frame = [&1024u32.to_be_bytes()[..], &[0xc1; 1024]].concat();
    for _ in 0..4096 {
        if flood.write_all(&frame).is_err() {
            break; // not read any more, as it should be
        }
    }
    scene.is_unharmed();
}
