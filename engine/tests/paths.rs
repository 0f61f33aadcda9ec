//! Two real engines with several ways to each other, which fail and come back: the session and what it carries go on.

mod support;

use std::time::{Duration, Instant};

use fabric_engine::relay::{HEADER_BYTES, RelaySession, wrap};
use fabric_engine::socket::messages::{
    Authority, Event, PathStatus, PeerIntent, PeerPath, SessionState,
};

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::EngineProcess;
use support::relay::Relay;
use support::wire::Wire;

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PATIENCE: Duration = Duration::from_secs(20);
const KIND: &str = "test";
const MESSAGE_INTERVAL: Duration = Duration::from_millis(5);

/// `a` dials `b` through wires, the first preferred.
struct Pair {
    a: EngineProcess,
    b: EngineProcess,
    node_a: Node,
    node_b: Node,
    wires: Vec<Wire>,
    /// The candidates of `b` that they make.
    ways: Vec<String>,
    sent: u32,
    received: u32,
    /// Bytes of a message behind its number.
    padding: usize,
}

impl Pair {
    /// All paths are there.
    fn new(wires: usize) -> Pair {
        let mut pair = Pair::apart(wires);
        pair.meet(vec![]);
        pair
    }

    /// The engines know nothing of each other yet.
    fn apart(wires: usize) -> Pair {
        let authority = CertificateAuthority::new();
        let (node_a, node_b) = (authority.node("a"), authority.node("b"));
        let (a, mut b) = (EngineProcess::start(&node_a), EngineProcess::start(&node_b));
        let target = b.address();
        let wires: Vec<Wire> = (0..wires).map(|_| Wire::to(target)).collect();
        let ways = wires.iter().map(|wire| wire.address.to_string()).collect();
        Pair {
            a,
            b,
            node_a,
            node_b,
            wires,
            ways,
            sent: 0,
            received: 0,
            padding: 0,
        }
    }

    /// Tells both of each other, `b` by these candidates of `a`, and waits until each way is a path.
    fn meet(&mut self, candidates_of_a: Vec<String>) {
        let peer = PeerIntent {
            candidates: candidates_of_a,
            ..self.node_a.as_peer()
        };
        self.b.apply(&self.node_b, AUTHORITY, vec![peer]);
        let order: Vec<usize> = (0..self.ways.len()).collect();
        self.prefer(&order);
        self.wait_for("every path", |pair| {
            let paths = pair.paths();
            let waiting = count(&paths, PathStatus::Backup);
            pair.sent > 0 && pair.active() == Some(0) && waiting == pair.ways.len() - 1
        });
    }

    /// A further way, the last preferred, through a relay; returns the candidate of `a` that `b` needs.
    fn add_relay(&mut self, relay: &Relay, session: RelaySession) -> String {
        let sides = [self.a.address(), self.b.address()];
        let route = relay.bind(session, sides).to_string();
        self.ways.push(route.clone());
        route
    }

    /// Tells the dialler in which order it prefers the ways.
    fn prefer(&mut self, order: &[usize]) {
        let peer = PeerIntent {
            candidates: order.iter().map(|way| self.ways[*way].clone()).collect(),
            ..self.node_b.as_peer()
        };
        self.a.apply(&self.node_a, AUTHORITY, vec![peer]);
    }

    fn paths(&mut self) -> Vec<PeerPath> {
        self.a.peer("b").paths
    }

    /// The way that carries packets.
    fn active(&mut self) -> Option<usize> {
        let paths = self.paths();
        let active = paths
            .iter()
            .find(|path| path.status == PathStatus::Active)?;
        self.ways.iter().position(|way| *way == active.remote)
    }

    fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&mut Pair) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < give_up, "{what}: {:?}", self.paths());
            self.exchange();
        }
    }

    /// One more message; there is one every few milliseconds as long as something is waited for.
    fn exchange(&mut self) {
        let mut message = self.sent.to_be_bytes().to_vec();
        message.resize(message.len() + self.padding, 0);
        if self.a.send("b", KIND, &message).is_ok() {
            self.sent += 1;
        }
        std::thread::sleep(MESSAGE_INTERVAL);
    }

    /// Every message that was sent arrives once and in its order.
    fn all_arrived(&mut self) {
        while self.received < self.sent {
            let payload = self.b.event(|event| match event {
                Event::Message { payload, .. } => Some(payload),
                Event::SessionClosed { .. } => panic!("the session ended"),
                _ => None,
            });
            assert_eq!(payload[..4], self.received.to_be_bytes());
            self.received += 1;
        }
    }

    /// Messages, each sent when the one before has arrived, until it holds: the longest time that one took.
    fn follow(&mut self, what: &str, mut holds: impl FnMut(&mut Pair) -> bool) -> Duration {
        let mut longest = Duration::ZERO;
        self.wait_for(what, |pair| {
            let begun = Instant::now();
            pair.all_arrived();
            longest = longest.max(begun.elapsed());
            holds(pair)
        });
        longest
    }

    /// Waits until the dialler tells that the path to there is closed.
    fn why_closed(&mut self, remote: &str) -> String {
        let reason = self.a.event(|event| match event {
            Event::PathChanged {
                remote: of,
                status: PathStatus::Closed,
                reason,
                ..
            } if of == remote => Some(reason),
            _ => None,
        });
        reason.expect("a reason")
    }

    fn session(&mut self) -> (SessionState, u64) {
        let peer = self.a.peer("b");
        (peer.session, peer.since_ms)
    }
}

fn count(paths: &[PeerPath], status: PathStatus) -> usize {
    paths.iter().filter(|path| path.status == status).count()
}

#[test]
fn the_order_of_the_candidates_says_which_path_is_taken() {
    let mut pair = Pair::new(3);
    let session = pair.session();
    for order in [[2, 1, 0], [1, 0, 2], [0, 1, 2]] {
        pair.prefer(&order);
        pair.wait_for("the preferred path", |pair| pair.active() == Some(order[0]));
    }
    pair.all_arrived();
    assert_eq!(pair.session(), session);
}

#[test]
fn a_path_that_fails_in_silence_is_left_and_taken_again_when_it_is_back() {
    let mut pair = Pair::new(2);
    let session = pair.session();
    for (there, back) in [(false, false), (false, true), (true, false)] {
        let begun = Instant::now();
        pair.wires[0].set(there, back);
        pair.wait_for("the other path", |pair| pair.active() == Some(1));
        pair.all_arrived();
        println!("there {there}, back {back}: {:?}", begun.elapsed());
        pair.wires[0].set(true, true);
        pair.wait_for("the first path again", |pair| pair.active() == Some(0));
        pair.all_arrived();
    }
    assert_eq!(pair.session(), session);
}

#[test]
fn a_failure_is_told_with_its_reason() {
    let mut pair = Pair::new(2);
    let remote = pair.wires[0].address.to_string();
    pair.wires[0].set(false, false);
    pair.wait_for("the other path", |pair| pair.active() == Some(1));
    // Whichever side notices first closes it, and the other is told; so here it need not have been suspected before.
    assert_eq!(pair.why_closed(&remote), "timeout");
}

#[test]
fn a_session_outlives_that_both_paths_are_dead_for_a_while() {
    let mut pair = Pair::new(2);
    let session = pair.session();
    for wire in &pair.wires {
        wire.set(false, false);
    }
    pair.wait_for("no path", |pair| {
        let paths = pair.paths();
        count(&paths, PathStatus::Active) + count(&paths, PathStatus::Backup) == 0
    });
    // The second first: it need not be the same that comes back.
    pair.wires[1].set(true, true);
    pair.wait_for("the second path", |pair| pair.active() == Some(1));
    pair.all_arrived();
    pair.wires[0].set(true, true);
    pair.wait_for("the first path", |pair| pair.active() == Some(0));
    pair.all_arrived();
    assert_eq!(pair.session(), session);
}

/// Packets grow to what a link with jumbo frames carries (here the loopback's), and shrink when the way does not carry them any more.
#[test]
fn packets_are_as_large_as_the_path_takes_also_when_it_takes_less_than_before() {
    let mut pair = Pair::new(1);
    pair.wait_for("jumbo packets", |pair| pair.paths()[0].mtu >= 8_900);
    let session = pair.session();
    pair.wires[0].carries_up_to(1_400);
    pair.padding = 16 << 10;
    pair.wait_for("packets that pass", |pair| pair.paths()[0].mtu <= 1_400);
    pair.all_arrived();
    assert_eq!(pair.session(), session);
}

#[test]
fn a_candidate_that_nobody_answers_at_costs_the_session_nothing() {
    let mut pair = Pair::new(2);
    let session = pair.session();
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let peer = PeerIntent {
        candidates: vec![
            nobody.local_addr().expect("its address").to_string(),
            pair.wires[0].address.to_string(),
            pair.wires[1].address.to_string(),
        ],
        ..pair.node_b.as_peer()
    };
    pair.a.apply(&pair.node_a, AUTHORITY, vec![peer]);
    let remote = nobody.local_addr().expect("its address").to_string();
    assert_eq!(pair.why_closed(&remote), "peer_unavailable");
    assert_eq!(pair.active(), Some(0));
    assert_eq!(pair.session(), session);
}

#[test]
fn a_relay_is_left_for_a_direct_path_and_taken_when_that_fails() {
    let relay = Relay::start();
    let mut pair = Pair::apart(1);
    let route = pair.add_relay(&relay, RelaySession(0xfeed_beef_0000_0001));
    pair.wires[0].set(false, false);
    // The relay is all there is at first.
    let (direct, relayed) = (pair.ways.remove(0), route.clone());
    pair.meet(vec![route]);
    assert_eq!(pair.a.peer("b").remote, Some(relayed.clone()));
    assert!(relay.passed() > 0);
    let session = pair.session();

    pair.ways.insert(0, direct);
    pair.wires[0].set(true, true);
    pair.prefer(&[0, 1]);
    let longest = pair.follow("the direct path", |pair| pair.active() == Some(0));
    println!("from the relay to the direct path: {longest:?}");
    pair.wires[0].set(false, false);
    let longest = pair.follow("the relay", |pair| pair.active() == Some(1));
    println!("from a dead direct path to the relay: {longest:?}");
    pair.wires[0].set(true, true);
    let longest = pair.follow("the direct path again", |pair| pair.active() == Some(0));
    println!("back from the relay: {longest:?}");
    assert_eq!(pair.session(), session);
    assert_eq!(pair.a.state().counters["udpPacketsRefused"], 0);
    let told = pair.a.event(|event| match event {
        Event::PathChanged { remote, status, .. } if remote == relayed => Some(status),
        _ => None,
    });
    assert_eq!(told, PathStatus::Backup, "first it had to give way");
}

/// Also packets as large as a path through Ethernet carries, several in one send.
#[test]
fn packets_through_a_relay_are_as_large_as_it_carries() {
    let relay = Relay::start();
    let mut pair = Pair::apart(0);
    let route = pair.add_relay(&relay, RelaySession(2));
    pair.padding = 64 << 10;
    pair.meet(vec![route]);
    pair.wait_for("full packets", |pair| pair.paths()[0].mtu > 1_400);
    pair.all_arrived();
}

#[test]
fn a_relay_session_is_believed_from_its_relay_alone() {
    let relay = Relay::start();
    let mut pair = Pair::apart(0);
    let session = RelaySession(3);
    let route = pair.add_relay(&relay, session);
    pair.meet(vec![route]);
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut packets = [session, RelaySession(4)].map(|session| {
        let mut packet = Vec::new();
        wrap(session, &[0xc0; 1_200], 1_200, &mut packet);
        packet
    });
    // Of an unknown type.
    packets[1][0] = 0x3f;
    let target = pair.b.address();
    for packet in &packets {
        assert_eq!(packet.len(), 1_200 + HEADER_BYTES);
        stranger.send_to(packet, target).expect("sent");
    }
    pair.wait_for("both are refused", |pair| {
        pair.b.state().counters["udpPacketsRefused"] == 2
    });
    pair.all_arrived();
    // Who is removed is told so, through the relay; then what comes through it is refused.
    pair.b.apply(&pair.node_b, AUTHORITY, vec![]);
    let code = pair.a.event(|event| match event {
        Event::SessionClosed { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(code, "REVOKED");
    let give_up = Instant::now() + PATIENCE;
    while pair.b.state().counters["udpPacketsRefused"] <= 2 {
        assert!(Instant::now() < give_up, "it still comes in");
        std::thread::sleep(MESSAGE_INTERVAL);
    }
}
