//! A peer with a valid certificate and a ready session that sends inner packets it may not send: by datagram and by lane, none
//! reaches the host, and each is counted by its reason. Needs root: the test has a network namespace of its own.
//!
//! Topology: engine 100.96.0.1 with a tunnel; peer "hostile" is 100.96.0.2; 100.96.0.3 is somebody else's.

mod support;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::Command;

use bytes::Bytes;
use fabric_engine::session::Phase;
use fabric_engine::socket::messages::{Authority, PeerIntent, TunnelIntent};
use noq_proto::Dir;
use serde_json::json;

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::{EngineProcess, desired};
use support::network::leave_network;
use support::peer::Peer;

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PORT: u16 = 4242;

fn with_prefix(node: &Node, address: &str) -> PeerIntent {
    PeerIntent {
        remote_prefixes: vec![
            format!("{address}/32"),
            format!("fd00::{}/128", &address[9..]),
        ],
        local_prefixes: vec!["100.96.0.1/32".to_owned(), "fd00::1/128".to_owned()],
        ..node.as_peer()
    }
}

/// A UDP packet with `text` for PORT.
fn packet(source: [u8; 4], destination: [u8; 4], text: &str) -> Vec<u8> {
    let bytes = 28 + text.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(bytes.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend((8 + text.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(text.as_bytes());
    packet
}

fn packet6(source: u8, destination: [u8; 16], next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(fd00(source));
    packet.extend(destination);
    packet.extend(payload);
    packet
}

const COMPLETE: u8 = 0x00;
const UNFINISHED: u8 = 0x10;

fn record(packet: &[u8], segment: u16, form: u8) -> Vec<u8> {
    let length = (packet.len() as u32).to_be_bytes();
    let header = [
        length[1],
        length[2],
        length[3],
        (segment >> 8) as u8,
        segment as u8,
        form,
    ];
    [&header[..], packet].concat()
}

fn fd00(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[15]) = (0xfd, last);
    address
}

fn changed(mut packet: Vec<u8>, at: usize, to: u8) -> Vec<u8> {
    packet[at] = to;
    packet
}

const SELF: [u8; 4] = [100, 96, 0, 1];
const HOSTILE: [u8; 4] = [100, 96, 0, 2];
const OTHER: [u8; 4] = [100, 96, 0, 3];

/// Packets that no peer may send, with the reason for which each is dropped.
fn forbidden() -> Vec<(&'static str, Vec<u8>)> {
    let good = || packet(HOSTILE, SELF, "bad");
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    vec![
        ("sourceDenied", packet(OTHER, SELF, "bad")),
        ("sourceDenied", packet(SELF, SELF, "bad")),
        ("sourceDenied", packet([127, 0, 0, 1], SELF, "bad")),
        ("sourceDenied", packet([0; 4], SELF, "bad")),
        ("sourceDenied", packet6(3, fd00(1), 17, &[0; 8])),
        // a fragment behind the first, with another's source
        ("sourceDenied", changed(packet(OTHER, SELF, "bad"), 7, 9)),
        ("destinationDenied", packet(HOSTILE, OTHER, "bad")),
        ("destinationDenied", packet(HOSTILE, HOSTILE, "bad")),
        ("destinationDenied", packet(HOSTILE, [127, 0, 0, 1], "bad")),
        ("destinationDenied", packet(HOSTILE, [224, 0, 0, 1], "bad")),
        ("destinationDenied", packet(HOSTILE, [255; 4], "bad")),
        (
            "destinationDenied",
            packet(HOSTILE, [100, 96, 255, 255], "bad"),
        ),
        ("destinationDenied", packet6(2, all_nodes, 58, &[0; 8])),
        ("destinationDenied", packet6(2, link_local, 43, &[0; 24])),
        ("malformed", good()[..27].to_vec()),
        ("malformed", good()[..19].to_vec()),
        ("malformed", changed(good(), 3, 200)),
        ("malformed", changed(good(), 3, 20)),
        ("malformed", changed(good(), 0, 0x44)),
        ("malformed", changed(good(), 0, 0x4f)),
        ("malformed", changed(good(), 0, 0x55)),
        ("malformed", changed(packet6(2, fd00(1), 17, &[0; 8]), 5, 0)),
        ("malformed", packet6(2, fd00(1), 17, &[0; 8])[..39].to_vec()),
        ("malformed", vec![0x45]),
        ("malformed", vec![0; 100]),
    ]
}

#[test]
fn no_peer_sends_what_it_may_not_by_datagram_or_by_lane() {
    leave_network();
    let authority = CertificateAuthority::new();
    let (engine_node, hostile, other) = (
        authority.node("engine"),
        authority.node("hostile"),
        authority.node("other"),
    );
    let limits =
        json!({ "interface": "saft0", "prefixes": ["100.64.0.0/10", "fd00::/8"], "maxMtu": 1400 });
    let mut engine = EngineProcess::start_with(&engine_node, limits);
    let peers = vec![
        with_prefix(&hostile, "100.96.0.2"),
        with_prefix(&other, "100.96.0.3"),
    ];
    let mut state = desired(&engine_node, AUTHORITY, peers);
    state.tunnel = Some(TunnelIntent {
        addresses: vec!["100.96.0.1/32".to_owned(), "fd00::1/128".to_owned()],
        routes: vec!["100.96.0.0/16".to_owned(), "fd00::/64".to_owned()],
        mtu: 1280,
    });
    engine.apply_all(state).expect("a valid state");
    let host = UdpSocket::bind(("0.0.0.0", PORT)).expect("a socket");
    let mut peer = Peer::connect(&hostile, &engine_node, engine.address());
    let mut session = peer.session(AUTHORITY);
    peer.converse(&mut session, |session| session.phase() == Phase::Ready);

    let lane = peer.open(Dir::Uni);
    peer.say_on(lane, &[0x01, 0x03]);
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let send = |peer: &mut Peer, packet: &[u8]| {
        let bytes = Bytes::copy_from_slice(packet);
        peer.connection
            .datagrams()
            .send(bytes, false)
            .expect("room for it");
        peer.say_on(lane, &record(packet, 0, COMPLETE));
    };
    for (reason, packet) in forbidden() {
        send(&mut peer, &packet);
        *expected.entry(reason.to_owned()).or_default() += 2;
    }
    // Said to be unfinished, which changes nothing about whose it is.
    let unfinished = packet(OTHER, SELF, "bad");
    for datagram in [
        vec![0x10],
        vec![0x21, 0, 0, 1],
        vec![0x20, 0, 0, 2],
        vec![0x20, 1, 0, 2],
    ] {
        let bytes = Bytes::from([&datagram[..], &unfinished].concat());
        peer.connection
            .datagrams()
            .send(bytes, false)
            .expect("room for it");
        *expected.entry("sourceDenied".to_owned()).or_default() += 1;
    }
    // The last two are one packet again.
    *expected.entry("sourceDenied".to_owned()).or_default() -= 1;
    // More cuts than any kernel makes, and cuts of what is neither TCP nor UDP.
    let many = packet(HOSTILE, SELF, &"x".repeat(129));
    peer.say_on(lane, &record(&many, 1, UNFINISHED));
    let echo = changed(packet(HOSTILE, SELF, "bad"), 9, 1);
    peer.say_on(lane, &record(&echo, 100, UNFINISHED));
    *expected.entry("malformed".to_owned()).or_default() += 2;
    send(&mut peer, &packet(HOSTILE, SELF, "good"));
    peer.until(|_| engine.peer("hostile").rx_packets == 2);
    assert_eq!(engine.peer("hostile").dropped, expected);
    host.set_nonblocking(true).expect("a socket");
    let mut heard = Vec::new();
    let mut buffer = [0; 100];
    while let Ok((bytes, _)) = host.recv_from(&mut buffer) {
        heard.push(buffer[..bytes].to_vec());
    }
    assert_eq!(heard, [b"good", b"good"]);

    // The host's own packets: to nobody's address, and from an address that is not the tunnel's.
    let from_host = |to: &str| {
        host.send_to(b"out", (to, PORT))
            .expect("the route is there");
    };
    from_host("100.96.0.9");
    from_host("100.96.0.3");
    let elsewhere = Command::new("ip")
        .args(["address", "add", "192.0.2.7/32", "dev", "lo"])
        .status();
    assert!(elsewhere.expect("iproute2").success());
    let foreign = UdpSocket::bind(("192.0.2.7", 0)).expect("a socket");
    foreign
        .send_to(b"out", ("100.96.0.2", PORT))
        .expect("the route is there");
    peer.until(|_| {
        let state = engine.state();
        let no_route = state.counters.get("dropped.noRoute").copied();
        let dropped = |id: &str, reason: &str| {
            let mut peers = state.peers.iter();
            let peer = peers.find(|peer| peer.id == id).expect("a peer");
            peer.dropped.get(reason).copied()
        };
        // The kernel says something to all routers of its own accord, which is dropped as well.
        no_route >= Some(1)
            && dropped("other", "noSession") == Some(1)
            && dropped("hostile", "sourceDenied") == Some(expected["sourceDenied"] + 1)
    });
    assert_eq!(peer.closed, None, "only the packets were dropped");
}
