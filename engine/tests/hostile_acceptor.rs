//! The running engine dials a peer whose certificate is good and whose manners are not.
//!
//! Topology: one engine process on loopback; a listener of the test, which the engine dials again after each failure.

mod support;

use fabric_engine::frames::{Frame, Hello, VERSION};
use fabric_engine::session::Phase;
use fabric_engine::socket::messages::{Authority, Event};
use noq_proto::Dir;

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::EngineProcess;
use support::peer::{Listener, Peer};

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };

struct Scene {
    engine: EngineProcess,
    engine_node: Node,
    listener: Listener,
}

impl Scene {
    fn new() -> Self {
        let authority = CertificateAuthority::new();
        let engine_node = authority.node("engine");
        let listener = Listener::new(authority.node("listener"));
        let mut engine = EngineProcess::start(&engine_node);
        engine.apply(&engine_node, AUTHORITY, vec![listener.as_peer()]);
        Self {
            engine,
            engine_node,
            listener,
        }
    }

    fn accept(&self) -> Peer {
        Peer::accept(&self.listener, &self.engine_node)
    }

    /// The engine's next dial is met honestly, and leads to a session.
    fn accept_honestly(&mut self) -> Peer {
        let mut peer = self.accept();
        let mut session = peer.session(AUTHORITY);
        peer.converse(&mut session, |session| session.phase() == Phase::Ready);
        self.engine.event(|event| {
            matches!(event, Event::SessionReady { peer, .. } if peer == "listener").then_some(())
        });
        peer
    }
}

fn hello_of(node: &str) -> Vec<u8> {
    let mut chunks: Vec<bytes::Bytes> = Vec::new();
    let frame = Frame::Hello(Hello {
        min_version: 1,
        max_version: 1,
        capability: 1,
        node: node.into(),
    });
    frame.write(VERSION, &mut chunks);
    chunks.concat()
}

#[test]
fn bad_answers_end_the_connection_with_their_code_and_the_engine_dials_again() {
    let mut scene = Scene::new();
    for (bytes, code) in [
        (b"garbage".to_vec(), "PROTOCOL_ERROR"),
        (hello_of("spiffe://test.internal/node/other"), "AUTH_FAILED"),
        (vec![VERSION, 0x7f, 0x01, 0x00], "UNKNOWN_FRAME"),
    ] {
        let mut peer = scene.accept();
        peer.say(&bytes);
        assert_eq!(peer.ends_with(), code);
        let failure = scene.engine.peer("listener").last_failure.expect("told");
        assert_eq!(failure.code, code);
    }
    scene.accept_honestly();
}

#[test]
fn a_second_control_stream_is_refused_and_harms_nothing() {
    let mut scene = Scene::new();
    let mut peer = scene.accept_honestly();
    let second = peer.open(Dir::Bi);
    peer.say_on(second, b"not for you");
    peer.until(|peer| peer.stopped.contains_key(&second));
    assert_eq!(peer.stopped[&second], "PROTOCOL_ERROR");
    assert_eq!(peer.closed, None);
    scene
        .engine
        .send("listener", "kind", b"payload")
        .expect("the session goes on");
    peer.until(|peer| peer.received.ends_with(b"payload"));
}

#[test]
fn a_peer_that_only_pretends_is_left_after_a_while() {
    let scene = Scene::new();
    let mut peer = scene.accept();
    assert_eq!(peer.ends_with(), "HANDSHAKE_TIMEOUT");
}
