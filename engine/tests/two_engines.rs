//! Two real engines: whoever dials, there is one session; and one that is not wanted does not get in, however often it knocks.

mod support;

use std::time::{Duration, Instant};

use fabric_engine::socket::messages::{Authority, PeerFailure, PeerIntent, SessionState};

use support::authority::{Authority as CertificateAuthority, Node, now_ms};
use support::engine::{EngineProcess, desired};

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PATIENCE: Duration = Duration::from_secs(10);

struct Side {
    engine: EngineProcess,
    node: Node,
}

impl Side {
    fn new(authority: &CertificateAuthority, id: &str) -> Side {
        let node = authority.node(id);
        let engine = EngineProcess::start(&node);
        Side { engine, node }
    }

    /// As a peer that can be dialled.
    fn as_peer(&mut self) -> PeerIntent {
        PeerIntent {
            candidates: vec![self.engine.address().to_string()],
            ..self.node.as_peer()
        }
    }

    fn wants(&mut self, peers: Vec<PeerIntent>) {
        self.engine.apply(&self.node, AUTHORITY, peers);
    }

    fn is_ready(&mut self, peer: &str) -> bool {
        self.engine.peer(peer).session == SessionState::Ready
    }

    fn connections(&mut self) -> u64 {
        self.engine.state().counters["connections"]
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn when_both_dial_at_once_one_session_stays() {
    let authority = CertificateAuthority::new();
    let (mut a, mut b) = (Side::new(&authority, "a"), Side::new(&authority, "b"));
    let (peer_a, peer_b) = (a.as_peer(), b.as_peer());
    for round in 0..20 {
        let begun = Instant::now();
        // The higher id dials 100 ms later, so a lead of that order makes both dial at once.
        b.wants(vec![peer_a.clone()]);
        std::thread::sleep(Duration::from_millis(80 + round));
        a.wants(vec![peer_b.clone()]);
        wait_until("a session", || a.is_ready("b") && b.is_ready("a"));
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(1), "round {round}: {taken:?}");
        wait_until("one connection", || {
            a.connections() == 1 && b.connections() == 1
        });
        let since = (a.engine.peer("b").since_ms, b.engine.peer("a").since_ms);
        assert!(a.is_ready("b") && b.is_ready("a"), "round {round}");
        assert_eq!(
            since,
            (a.engine.peer("b").since_ms, b.engine.peer("a").since_ms)
        );
        a.wants(vec![]);
        b.wants(vec![]);
    }
}

/// The rogue knows the engine as a peer, has the address, and dials again and again; the engine dials nobody.
fn refused(
    rogue_authority: &CertificateAuthority,
    authority: &CertificateAuthority,
    refusals: u64,
    spoil: impl Fn(&mut Side, &Node),
) -> PeerFailure {
    let mut engine = Side::new(authority, "engine");
    let mut rogue = Side::new(rogue_authority, "rogue");
    spoil(&mut engine, &rogue.node);
    let target = engine.as_peer();
    rogue.wants(vec![target]);
    let mut failure = None;
    wait_until("refusals", || {
        failure = rogue.engine.peer("engine").last_failure;
        let refused = engine.engine.state().counters["handshakesRefused"];
        failure.is_some() && refused >= refusals
    });
    let state = engine.engine.state();
    assert!(
        state
            .peers
            .iter()
            .all(|peer| peer.session == SessionState::None),
        "no session"
    );
    failure.expect("a failure")
}

fn code_of(failure: PeerFailure) -> String {
    assert!(failure.refused_by_peer, "{failure:?}");
    failure.code
}

#[test]
fn a_revoked_peer_that_does_not_obey_is_refused_for_ever() {
    let authority = CertificateAuthority::new();
    let outcome = refused(&authority, &authority, 3, |engine, rogue| {
        let mut state = desired(&engine.node, AUTHORITY, vec![rogue.as_peer()]);
        state.revoked = vec![rogue.fingerprint.to_string()];
        engine.engine.apply_all(state).expect("a valid state");
    });
    assert_eq!(code_of(outcome), "REVOKED");
}

#[test]
fn a_node_that_nobody_approved_is_refused() {
    let authority = CertificateAuthority::new();
    let outcome = refused(&authority, &authority, 3, |engine, _| engine.wants(vec![]));
    assert_eq!(code_of(outcome), "UNKNOWN_PEER");
}

#[test]
fn another_key_under_a_known_name_is_refused() {
    let authority = CertificateAuthority::new();
    let outcome = refused(&authority, &authority, 3, |engine, rogue| {
        let mut peer = rogue.as_peer();
        peer.fingerprint = engine.node.fingerprint.to_string();
        engine.wants(vec![peer]);
    });
    assert_eq!(code_of(outcome), "PIN_MISMATCH");
}

#[test]
fn a_peer_whose_time_is_over_is_refused() {
    let authority = CertificateAuthority::new();
    let outcome = refused(&authority, &authority, 3, |engine, rogue| {
        let mut peer = rogue.as_peer();
        peer.expires_at_ms = now_ms() + 1;
        engine.wants(vec![peer]);
    });
    assert_eq!(code_of(outcome), "EXPIRED");
}

/// It refuses the engine first, as its chain is of another authority; so the engine never sees its certificate.
#[test]
fn a_peer_of_another_cluster_does_not_get_in() {
    let failure = refused(
        &CertificateAuthority::new(),
        &CertificateAuthority::new(),
        0,
        |engine, rogue| engine.wants(vec![rogue.as_peer()]),
    );
    assert_eq!(failure.code, "BAD_CHAIN");
}

#[test]
fn a_session_comes_back_after_each_of_twenty_kills() {
    let authority = CertificateAuthority::new();
    let mut a = Side::new(&authority, "a");
    let peer_a = a.as_peer();
    let node_b = authority.node("b");
    a.wants(vec![node_b.as_peer()]);
    for round in 0..20 {
        let mut b = EngineProcess::start(&node_b);
        b.apply(&node_b, AUTHORITY, vec![peer_a.clone()]);
        let begun = Instant::now();
        wait_until("a session", || {
            b.peer("a").session == SessionState::Ready && a.is_ready("b")
        });
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(1), "round {round}: {taken:?}");
        drop(b);
    }
    wait_until("the dead are forgotten", || a.connections() == 0);
}
