//! Sessions that end in order, or give way to another, lose nothing that was accepted. Needs root: each engine has a network
//! namespace of its own.

mod support;

use std::collections::{BTreeSet, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_engine::session::Phase;
use fabric_engine::socket::messages::{
    Authority, PeerIntent, SessionState, TrafficClass, TrafficRule, TunnelIntent,
};
use noq_proto::ConnectionError;
use serde_json::json;

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::{EngineProcess, desired};
use support::network::leave_network;
use support::peer::Peer;

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PORT: u16 = 4242;
const PATIENCE: Duration = Duration::from_secs(10);
const SELF: &str = "100.96.0.1";
const OTHER: &str = "100.96.0.2";

fn start(node: &Node) -> EngineProcess {
    let limits = json!({ "interface": "saft0", "prefixes": ["100.64.0.0/10"], "maxMtu": 1400 });
    EngineProcess::start_with(node, limits)
}

/// `ours` is where the engine lives, and the peer at `theirs` has it for its neighbour.
fn apply(engine: &mut EngineProcess, node: &Node, ours: &str, peer: PeerIntent, theirs: &str) {
    let peer = PeerIntent {
        remote_prefixes: vec![format!("{theirs}/32")],
        local_prefixes: vec![format!("{ours}/32")],
        ..peer
    };
    let mut state = desired(node, AUTHORITY, vec![peer]);
    state.tunnel = Some(TunnelIntent {
        addresses: vec![format!("{ours}/32")],
        routes: vec!["100.96.0.0/16".to_owned()],
        mtu: 1280,
    });
    // Every UDP packet as bulk but these, so that both the urgent and the patient are seen.
    state.traffic_rules = vec![TrafficRule {
        class: TrafficClass::Interactive,
        protocol: None,
        ports: vec![],
        dscp: vec![],
        max_packet_bytes: Some(200),
        below_bytes_per_second: None,
    }];
    engine.apply_all(state).expect("a valid state");
}

/// A host behind an engine, which sends numbers and hears them.
struct Host {
    socket: UdpSocket,
    to: SocketAddr,
    sent: u32,
}

impl Host {
    fn new(to: &str) -> Host {
        let socket = UdpSocket::bind(("0.0.0.0", PORT)).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        hold_a_lot(&socket);
        let to = SocketAddr::new(to.parse().expect("an address"), PORT);
        Host {
            socket,
            to,
            sent: 0,
        }
    }

    fn send(&mut self, count: u32, bytes: usize) {
        for _ in 0..count {
            let mut packet = vec![0; bytes];
            packet[..4].copy_from_slice(&self.sent.to_be_bytes());
            self.socket.send_to(&packet, self.to).expect("a route");
            self.sent += 1;
        }
    }

    fn hear(&self, heard: &mut BTreeSet<u32>) {
        let mut buffer = [0; 2_000];
        while let Ok((bytes, _)) = self.socket.recv_from(&mut buffer) {
            assert!(bytes >= 4);
            heard.insert(number(&buffer));
        }
    }
}

/// The kernel counts a page and more for each packet, and drops what does not fit.
fn hold_a_lot(socket: &UdpSocket) {
    let bytes: libc::c_int = 4 << 20;
    // SAFETY: the value pointed to is a live int of the size given.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            std::ptr::from_ref(&bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
    assert_eq!(set, 0, "needs root");
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("a number"))
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < give_up, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Numbers of the packets that came over this connection as datagrams.
fn take_numbers(peer: &mut Peer, heard: &mut BTreeSet<u32>) {
    while let Some(datagram) = peer.connection.datagrams().recv() {
        // Where the checksum is unfinished the form says so in front.
        let packet = match datagram[0] {
            0x10 => &datagram[1..],
            _ => &datagram[..],
        };
        heard.insert(number(&packet[28..]));
    }
}

/// From the peer's address to the engine's host.
fn packet_with(number: u32) -> Bytes {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend([100, 96, 0, 2, 100, 96, 0, 1]);
    let words = packet.chunks(2);
    let sum: u32 = words
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend([0, 12, 0, 0]);
    packet.extend(number.to_be_bytes());
    packet.into()
}

#[test]
fn a_session_that_another_replaces_loses_no_packet_either_way() {
    leave_network();
    let authority = CertificateAuthority::new();
    let (node, other) = (authority.node("engine"), authority.node("other"));
    let mut engine = start(&node);
    apply(&mut engine, &node, SELF, other.as_peer(), OTHER);
    let mut host = Host::new(OTHER);
    let address = engine.address();
    let mut first = Peer::connect(&other, &node, address);
    let mut first_session = first.session(AUTHORITY);
    first.converse(&mut first_session, |session| {
        session.phase() == Phase::Ready
    });
    wait_until("a session", || {
        engine.peer("other").session == SessionState::Ready
    });
    let (mut heard, mut back, mut said) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut say = |peer: &mut Peer, count: u32| {
        for _ in 0..count {
            let sent = peer.connection.datagrams().send(packet_with(said), false);
            sent.expect("room for it");
            said += 1;
        }
        peer.look();
    };

    // It takes nothing for a while, so that packets queue up at the engine.
    let accepted = |engine: &mut EngineProcess| engine.peer("other").tx_packets;
    host.send(150, 1_000);
    wait_until("packets are taken in", || accepted(&mut engine) >= 150);
    assert!(
        engine.peer("other").classes[&TrafficClass::Bulk].queued_bytes > 0,
        "some wait"
    );
    // The same node dials again.
    let mut second = Peer::connect(&other, &node, address);
    let mut session = second.session(AUTHORITY);
    say(&mut first, 20);
    host.send(20, 100);
    second.converse(&mut session, |session| session.phase() == Phase::Ready);
    say(&mut first, 20);
    say(&mut second, 20);
    host.send(20, 100);
    host.send(20, 1_000);
    let mut has_heard_last_words = false;
    let give_up = Instant::now() + PATIENCE;
    // What CoDel drops, because a test is a slow peer, is counted and would be dropped without a new session too.
    let delayed = |engine: &mut EngineProcess| {
        let dropped = engine.peer("other").dropped;
        assert!(
            dropped.keys().all(|reason| reason == "delayed"),
            "{dropped:?}"
        );
        dropped.get("delayed").copied().unwrap_or(0) as usize
    };
    while first.closed.is_none() || heard.len() + delayed(&mut engine) < host.sent as usize {
        assert!(
            Instant::now() < give_up,
            "{} of {} heard, {} of 80 came, {:?}, {:?}",
            heard.len(),
            host.sent,
            back.len(),
            first.closed,
            engine.peer("other").dropped
        );
        if first.closed.is_none() {
            first.look();
            take_numbers(&mut first, &mut heard);
            let bytes = std::mem::take(&mut first.received);
            let now = Instant::now();
            first_session.on_bytes(&bytes, now).expect("good frames");
            if first_session.owes_goaway() && !has_heard_last_words {
                // After the engine's last word, and before ours.
                has_heard_last_words = true;
                say(&mut first, 20);
            }
            host.hear(&mut back);
            if has_heard_last_words && back.len() == 80 {
                first_session.flushed();
            }
            while let Some(bytes) = first_session.poll_transmit() {
                first.say(&bytes);
            }
        }
        second.look();
        take_numbers(&mut second, &mut heard);
    }
    let closed = first.closed.take();
    let code = match closed {
        Some(ConnectionError::ApplicationClosed(close)) => close.error_code.into_inner(),
        other => panic!("ended by {other:?}"),
    };
    assert_eq!(code, 3, "DUPLICATE");
    assert_eq!((said, back.len()), (80, 80));
    assert_eq!(heard.len() + delayed(&mut engine), host.sent as usize);
    assert_eq!(engine.peer("other").session, SessionState::Ready);
}

/// A path of this delay each way, between sockets of two namespaces.
fn pass_on(from: UdpSocket, to: UdpSocket, target: Option<SocketAddr>) {
    const DELAY: Duration = Duration::from_millis(10);
    from.set_nonblocking(true).expect("a socket");
    thread::spawn(move || {
        let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let mut buffer = vec![0; 65_535];
        loop {
            while let Ok((bytes, sender)) = from.recv_from(&mut buffer) {
                if target.is_none() {
                    // Whoever dials is answered.
                    let _ = from.connect(sender);
                }
                waiting.push_back((Instant::now() + DELAY, buffer[..bytes].to_vec()));
            }
            while waiting.front().is_some_and(|(at, _)| *at <= Instant::now()) {
                let Some((_, packet)) = waiting.pop_front() else {
                    break;
                };
                // An engine that ended hears nothing any more.
                let _ = to.send(&packet);
            }
            thread::sleep(Duration::from_micros(200));
        }
    });
}

/// An address in the present namespace that leads to `target` in the one that `inside` was made in.
fn tunnel_to(target: SocketAddr, inside: UdpSocket) -> SocketAddr {
    let outside = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = outside.local_addr().expect("its address");
    inside.connect(target).expect("an address");
    let clone = |socket: &UdpSocket| socket.try_clone().expect("a descriptor");
    pass_on(clone(&outside), clone(&inside), None);
    pass_on(inside, outside, Some(target));
    address
}

#[test]
fn an_engine_that_is_stopped_delivers_what_it_accepted_and_takes_what_was_accepted_for_it() {
    let authority = CertificateAuthority::new();
    let (node_a, node_b) = (authority.node("a"), authority.node("b"));
    leave_network();
    let mut a = start(&node_a);
    let target = a.address();
    let inside = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    apply(&mut a, &node_a, SELF, node_b.as_peer(), OTHER);
    let mut host_a = Host::new(OTHER);
    leave_network();
    let mut b = start(&node_b);
    let peer_a = PeerIntent {
        candidates: vec![tunnel_to(target, inside).to_string()],
        ..node_a.as_peer()
    };
    apply(&mut b, &node_b, OTHER, peer_a, SELF);
    let mut host_b = Host::new(SELF);
    wait_until("a session", || {
        a.peer("b").session == SessionState::Ready && b.peer("a").session == SessionState::Ready
    });

    for (count, bytes) in [(60, 100), (60, 1_000)] {
        host_b.send(count, bytes);
        host_a.send(count, bytes);
    }
    let (mut heard_a, mut heard_b) = (BTreeSet::new(), BTreeSet::new());
    wait_until("both took their packets in", || {
        host_a.hear(&mut heard_a);
        host_b.hear(&mut heard_b);
        b.peer("a").tx_packets == 120 && a.peer("b").tx_packets == 120
    });
    let waiting = b.peer("a").classes[&TrafficClass::Bulk].queued_bytes;
    let took = b.terminate();
    println!("stopped with {waiting} bytes waiting, in {took:?}");
    assert!(
        took < Duration::from_secs(1),
        "without being late: {took:?}"
    );
    host_b.hear(&mut heard_b);
    wait_until("the last packets", || {
        host_a.hear(&mut heard_a);
        heard_a.len() == 120
    });
    assert_eq!(heard_b, (0..120).collect());
    assert_eq!(a.peer("b").dropped.len(), 0, "{:?}", a.peer("b").dropped);
    let failure = a.peer("b").last_failure.expect("a reason");
    assert_eq!(failure.code, "GOING_AWAY");
}
