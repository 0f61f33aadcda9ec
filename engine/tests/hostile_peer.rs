//! A peer with a valid certificate against the running engine: whatever it says on its control stream ends its own session with
//! a code, and nothing else.
//!
//! Topology: one engine process on loopback; an honest peer with a session; a hostile peer that dials again for each attack.

mod support;

use std::time::Instant;

use bytes::Bytes;
use fabric_engine::frames::{Frame, Hello, MAX_FRAME_BYTES, SessionReady, VERSION};
use fabric_engine::session::{Event as SessionEvent, Phase, Session};
use fabric_engine::socket::messages::{Authority, Event, SessionState};
use noq_proto::Dir;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::EngineProcess;
use support::peer::Peer;

const ENGINES: Authority = Authority { term: 3, epoch: 7 };
const PEERS: Authority = Authority { term: 3, epoch: 6 };

struct Scene {
    engine: EngineProcess,
    engine_node: Node,
    hostile: Node,
    honest: Peer,
    honest_session: Session,
}

impl Scene {
    fn new() -> Self {
        let authority = CertificateAuthority::new();
        let engine_node = authority.node("engine");
        let hostile = authority.node("hostile");
        let honest_node = authority.node("honest");
        let mut engine = EngineProcess::start(&engine_node);
        engine.apply(
            &engine_node,
            ENGINES,
            vec![hostile.as_peer(), honest_node.as_peer()],
        );
        let address = engine.address();
        let mut honest = Peer::connect(&honest_node, &engine_node, address);
        let mut honest_session = honest.session(PEERS);
        honest.converse(&mut honest_session, |session| {
            session.phase() == Phase::Ready
        });
        Self {
            engine,
            engine_node,
            hostile,
            honest,
            honest_session,
        }
    }

    /// The hostile peer after its TLS handshake.
    fn attack(&mut self) -> Peer {
        let address = self.engine.address();
        Peer::connect(&self.hostile, &self.engine_node, address)
    }

    /// The hostile peer with a ready session.
    fn attack_when_ready(&mut self) -> Peer {
        let mut peer = self.attack();
        let mut session = peer.session(PEERS);
        peer.converse(&mut session, |session| session.phase() == Phase::Ready);
        peer
    }

    /// The engine lives, and the honest peer's session was never touched.
    fn is_unharmed(&mut self, ready_since_ms: u64) {
        assert!(self.engine.is_running());
        self.engine
            .send("honest", "ping", b"still there?")
            .expect("its session is ready");
        self.honest.converse(&mut self.honest_session, |session| {
            matches!(session.poll_event(), Some(SessionEvent::Message { .. }))
        });
        assert_eq!(self.honest.closed, None);
        let peer = self.engine.peer("honest");
        assert_eq!(peer.session, SessionState::Ready);
        assert_eq!(peer.since_ms, ready_since_ms);
    }
}

fn bytes_of(frame: Frame) -> Vec<u8> {
    let mut chunks: Vec<Bytes> = Vec::new();
    frame.write(VERSION, &mut chunks);
    chunks.concat()
}

fn hello(node: &str, min_version: u8, max_version: u8) -> Vec<u8> {
    bytes_of(Frame::Hello(Hello {
        min_version,
        max_version,
        capability: 1,
        node: node.into(),
    }))
}

fn message(payload: &[u8]) -> Vec<u8> {
    bytes_of(Frame::Message {
        kind: "test".into(),
        payload: Bytes::copy_from_slice(payload),
    })
}

/// HELLO and AUTH as an honest peer would say them on another connection.
fn carried_over(scene: &mut Scene) -> Vec<u8> {
    let mut session = scene.attack().session(PEERS);
    let engines_hello = hello(&scene.engine_node.spiffe_id, 1, 1);
    session
        .on_bytes(&engines_hello, Instant::now())
        .expect("a HELLO");
    std::iter::from_fn(|| session.poll_transmit())
        .flatten()
        .collect()
}

/// What the engine tells while `peer` keeps its connection going: sending takes acknowledgements.
fn heard_while<T: Send>(
    engine: &mut EngineProcess,
    peer: &mut Peer,
    wanted: impl Fn(Event) -> Option<T> + Send,
) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| engine.event(wanted));
        while !waiting.is_finished() {
            peer.step();
        }
        waiting.join().expect("an event")
    })
}

fn unasked_session_ready() -> Vec<u8> {
    bytes_of(Frame::SessionReady(SessionReady {
        max_frame_bytes: MAX_FRAME_BYTES,
        authority: ENGINES,
    }))
}

#[test]
fn an_honest_session_is_reported_and_carries_messages_both_ways() {
    let mut scene = Scene::new();
    let ready = scene.engine.event(|event| match event {
        Event::SessionReady {
            peer,
            remote_authority,
            ..
        } => Some((peer, remote_authority)),
        _ => None,
    });
    assert_eq!(ready, ("honest".to_owned(), PEERS));
    let large = Bytes::from(vec![0x5a; 1024 * 1024]);
    scene
        .honest_session
        .send_message("large", large.clone())
        .expect("room");
    scene.honest.converse(&mut scene.honest_session, |session| {
        session.queued_bytes() == 0
    });
    let received = heard_while(&mut scene.engine, &mut scene.honest, |event| match event {
        Event::Message {
            peer,
            kind,
            payload,
        } => Some((peer, kind, payload)),
        _ => None,
    });
    assert_eq!(received, ("honest".to_owned(), "large".to_owned(), large));
    let since_ms = scene.engine.peer("honest").since_ms;
    scene.is_unharmed(since_ms);
}

#[test]
fn each_attack_ends_the_attackers_session_with_its_code() {
    let mut scene = Scene::new();
    let since_ms = scene.engine.peer("honest").since_ms;
    let spiffe_id = scene.hostile.spiffe_id.clone();
    let good_hello = hello(&spiffe_id, 1, 1);
    let stolen = carried_over(&mut scene);
    let unknown_critical = vec![VERSION, 0x7f, 0x01, 0x00];
    let too_large = vec![VERSION, 0x07, 0x01, 0xc0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff];
    let before: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "garbage",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "PROTOCOL_ERROR",
        ),
        ("another version", vec![2, 1, 1, 0], "PROTOCOL_ERROR"),
        (
            "an unknown critical frame",
            unknown_critical.clone(),
            "UNKNOWN_FRAME",
        ),
        ("an oversized frame", too_large.clone(), "FRAME_TOO_LARGE"),
        ("a message first", message(b"x"), "PROTOCOL_ERROR"),
        (
            "SESSION_READY first",
            unasked_session_ready(),
            "PROTOCOL_ERROR",
        ),
        ("two HELLOs", good_hello.repeat(2), "PROTOCOL_ERROR"),
        (
            "versions of the future",
            hello(&spiffe_id, 2, 9),
            "VERSION_UNSUPPORTED",
        ),
        (
            "another node's HELLO",
            hello(&scene.engine_node.spiffe_id, 1, 1),
            "AUTH_FAILED",
        ),
        ("an AUTH of another connection", stolen, "AUTH_FAILED"),
        (
            "a message of the greatest size too early",
            [good_hello, message(&[0; 100_000])].concat(),
            "FRAME_TOO_LARGE",
        ),
    ];
    for (attack, bytes, code) in before {
        let mut peer = scene.attack();
        peer.say(&bytes);
        assert_eq!(peer.ends_with(), code, "{attack}");
    }
    let after: Vec<(&str, Vec<u8>, &str)> = vec![
        ("HELLO again", hello(&spiffe_id, 1, 1), "PROTOCOL_ERROR"),
        (
            "SESSION_READY again",
            unasked_session_ready(),
            "PROTOCOL_ERROR",
        ),
        (
            "an unasked PONG",
            bytes_of(Frame::Pong { id: 77 }),
            "PROTOCOL_ERROR",
        ),
        (
            "an unknown critical frame",
            unknown_critical,
            "UNKNOWN_FRAME",
        ),
        ("an oversized frame", too_large, "FRAME_TOO_LARGE"),
        (
            "a kind that is no text",
            vec![VERSION, 0x07, 0x01, 2, 1, 0x00],
            "PROTOCOL_ERROR",
        ),
        (
            "a broken frame after good ones",
            [message(b"x").repeat(50), vec![0xff]].concat(),
            "PROTOCOL_ERROR",
        ),
    ];
    for (attack, bytes, code) in after {
        let mut peer = scene.attack_when_ready();
        peer.say(&bytes);
        assert_eq!(peer.ends_with(), code, "{attack}");
        let closed = scene.engine.event(|event| match event {
            Event::SessionClosed { peer, code, .. } if peer == "hostile" && code != "DUPLICATE" => {
                Some(code)
            }
            _ => None,
        });
        assert_eq!(closed, code, "{attack}");
    }
    scene.is_unharmed(since_ms);
}

#[test]
fn a_control_stream_that_ends_ends_the_session() {
    let mut scene = Scene::new();
    for reset in [false, true] {
        let mut peer = scene.attack_when_ready();
        let control = peer.control();
        let mut stream = peer.connection.send_stream(control);
        if reset {
            stream.reset(7u32.into()).expect("it is open");
        } else {
            stream.finish().expect("it is open");
        }
        assert_eq!(peer.ends_with(), "PROTOCOL_ERROR");
    }
}

#[test]
fn a_lane_of_an_unknown_kind_or_with_an_oversized_record_ends_the_session() {
    let mut scene = Scene::new();
    for (bytes, code) in [
        (&[0x02, 0][..], "PROTOCOL_ERROR"),
        (&[0x01, 6], "PROTOCOL_ERROR"),
        (&[0x01, 3, 0, 0, 9, 0, 0, 0x30], "PROTOCOL_ERROR"),
        (&[0x01, 3, 1, 0, 0, 0, 0, 0], "FRAME_TOO_LARGE"),
    ] {
        let mut peer = scene.attack_when_ready();
        let lane = peer.open(Dir::Uni);
        peer.say_on(lane, bytes);
        assert_eq!(peer.ends_with(), code);
    }
}

/// Streams overtake each other: packets may come while the frame that makes the session ready is still on its way.
#[test]
fn a_lane_that_begins_before_the_session_is_ready_is_read_in_step_afterwards() {
    let mut scene = Scene::new();
    let mut peer = scene.attack();
    let lane = peer.open(Dir::Uni);
    let first = [0x01, 3, 0, 0, 4, 0, 0, 0];
    let records = [&first[..], &[0; 4], &[0, 0, 2, 0, 0, 0, 0x45]].concat();
    peer.say_on(lane, &records);
    let dropped = |engine: &mut EngineProcess, label: &str| {
        let counters = engine.state().counters;
        counters.get(&format!("dropped.{label}")).copied()
    };
    peer.until(|_| dropped(&mut scene.engine, "noSession") == Some(1));
    let mut session = peer.session(PEERS);
    peer.converse(&mut session, |session| session.phase() == Phase::Ready);
    peer.say_on(lane, &[0x00, 0, 0, 1, 0, 0, 0, 0xff]);
    let malformed = |engine: &mut EngineProcess| {
        let dropped = engine.peer("hostile").dropped;
        dropped.get("malformed").copied()
    };
    peer.until(|_| malformed(&mut scene.engine) == Some(2));
    assert_eq!(peer.closed, None);
}

#[test]
fn lanes_that_end_leave_nothing_behind() {
    let mut scene = Scene::new();
    let mut peer = scene.attack_when_ready();
    let unfinished_record = [&[0x01, 4, 0, 0x23, 0x28, 0, 0, 0][..], &[0x45; 8_900]].concat();
    let mut open_and_end = |count: usize| {
        for _ in 0..count {
            let lane = peer.open(Dir::Uni);
            peer.say_on(lane, &unfinished_record);
            peer.connection
                .send_stream(lane)
                .finish()
                .expect("it is open");
        }
    };
    open_and_end(50);
    let before_kib = scene.engine.resident_kib();
    open_and_end(600);
    let grown_kib = scene.engine.resident_kib().saturating_sub(before_kib);
    assert!(
        grown_kib < 3 * 1024,
        "5 MB in ended lanes left {grown_kib} KiB behind"
    );
    peer.say(&message(b"the session goes on"));
    heard_while(&mut scene.engine, &mut peer, |event| {
        matches!(event, Event::Message { .. }).then_some(())
    });
}

#[test]
fn frames_that_may_be_skipped_are_skipped_however_many() {
    let mut scene = Scene::new();
    let mut peer = scene.attack_when_ready();
    let skipped = [&[VERSION, 0x7f, 0x00, 0x20][..], &[0xee; 0x20]].concat();
    let before_kib = scene.engine.resident_kib();
    for _ in 0..200 {
        peer.say(&skipped.repeat(1_000));
    }
    peer.say(&message(b"after all that"));
    let heard = heard_while(&mut scene.engine, &mut peer, |event| match event {
        Event::Message { peer, payload, .. } => Some((peer, payload)),
        _ => None,
    });
    assert_eq!(
        heard,
        ("hostile".to_owned(), Bytes::from_static(b"after all that"))
    );
    let grown_kib = scene.engine.resident_kib().saturating_sub(before_kib);
    assert!(
        grown_kib < 5 * 1024,
        "7 MB of frames left {grown_kib} KiB behind"
    );
}

/// What a fuzzer would say: pieces of good frames, damaged ones, and noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..64),
        (0u8..0x18, 0u8..2, vec(any::<u8>(), 0..63)).prop_map(|(frame_type, flags, fields)| {
            [
                &[VERSION, frame_type, flags, fields.len() as u8][..],
                &fields,
            ]
            .concat()
        }),
        Just(hello("spiffe://test.internal/node/hostile", 1, 1)),
        Just(message(b"noise")),
    ];
    vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

#[test]
fn no_noise_harms_the_engine_or_another_peer() {
    let mut scene = Scene::new();
    let since_ms = scene.engine.peer("honest").since_ms;
    let config = Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    };
    let scene_cell = std::cell::RefCell::new(&mut scene);
    TestRunner::new(config)
        .run(&(any::<bool>(), noise()), |(ready, noise)| {
            let scene = &mut *scene_cell.borrow_mut();
            let mut peer = if ready {
                scene.attack_when_ready()
            } else {
                scene.attack()
            };
            peer.say(&noise);
            prop_assert!(scene.engine.is_running());
            Ok(())
        })
        .expect("it still runs");
    scene.is_unharmed(since_ms);
}
