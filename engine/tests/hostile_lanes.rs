//! A peer with a ready session whose packets are allowed, and made to harm whoever handles them: the kernel at the TUN, the joining
//! of cuts, the memory of lanes. What is wrong is dropped and counted; tunnel, session and engine stay as they are. Needs root: the
//! test has a network namespace of its own.
//!
//! Topology: engine 100.96.0.1 with a tunnel; peer "hostile" is 100.96.0.2.

mod support;

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_engine::session::{Phase, Session};
use fabric_engine::socket::messages::{Authority, PeerIntent, TunnelIntent};
use noq_proto::{Dir, StreamId, VarInt};
use serde_json::json;

use support::authority::{Authority as CertificateAuthority, Node};
use support::engine::{EngineProcess, desired};
use support::network::leave_network;
use support::peer::Peer;

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PORT: u16 = 4242;
const INTERFACE: &str = "saft1";
/// Of a good packet, each for so long.
const TRIES: u32 = 10;
const TRY: Duration = Duration::from_secs(2);
const COMPLETE: u8 = 0x00;
const UNFINISHED: u8 = 0x10;
const TCP: u8 = 6;
const UDP: u8 = 17;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("iproute2");
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn with_prefixes(node: &Node) -> PeerIntent {
    PeerIntent {
        remote_prefixes: vec!["100.96.0.2/32".to_owned(), "fd00::2/128".to_owned()],
        local_prefixes: vec!["100.96.0.1/32".to_owned(), "fd00::1/128".to_owned()],
        ..node.as_peer()
    }
}

/// From the hostile peer to the engine's host.
fn ipv4(protocol: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header_bytes = 20 + options.len();
    let mut packet = vec![0x40 | (header_bytes / 4) as u8, 0];
    packet.extend(((header_bytes + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 9]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 100, 96, 0, 2, 100, 96, 0, 1]);
    packet.extend(options);
    let words = packet.chunks(2);
    let sum: u32 = words
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    for last in [2, 1] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(PORT.to_be_bytes());
    header.extend(PORT.to_be_bytes());
    header.extend((8 + payload.len() as u16).to_be_bytes());
    header.extend([0, 0]);
    [&header[..], payload].concat()
}

/// With a header of so many words, the last of which are options.
fn tcp(words: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x10, 0x92, 0x10, 0x92, 0, 0, 0, 1, 0, 0, 0, 1];
    header.extend([words << 4, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    header.resize(usize::from(words.max(5)) * 4, 1);
    [&header[..], payload].concat()
}

fn record(packet: &[u8], segment: u16, form: u8) -> Vec<u8> {
    let length = (packet.len() as u32).to_be_bytes();
    let segment = segment.to_be_bytes();
    [&length[1..], &segment[..], &[form], packet].concat()
}

struct Scene {
    engine: EngineProcess,
    peer: Peer,
    session: Session,
    lane: StreamId,
    host: UdpSocket,
    heard: u64,
}

impl Scene {
    fn new(offloads: bool) -> Scene {
        leave_network();
        let authority = CertificateAuthority::new();
        let (node, hostile) = (authority.node("engine"), authority.node("hostile"));
        let limits = json!({ "interface": INTERFACE, "prefixes": ["100.64.0.0/10", "fd00::/8"], "maxMtu": 1400 });
        let offloads = json!({ "tunChecksum": offloads });
        let mut engine = EngineProcess::start_with_offloads(&node, limits, offloads);
        let mut state = desired(&node, AUTHORITY, vec![with_prefixes(&hostile)]);
        state.tunnel = Some(TunnelIntent {
            addresses: vec!["100.96.0.1/32".to_owned(), "fd00::1/128".to_owned()],
            routes: vec!["100.96.0.0/16".to_owned(), "fd00::/64".to_owned()],
            mtu: 1280,
        });
        engine.apply_all(state).expect("a valid state");
        let host = UdpSocket::bind(("0.0.0.0", PORT)).expect("a socket");
        host.set_nonblocking(true).expect("a socket");
        let mut peer = Peer::connect(&hostile, &node, engine.address());
        let mut session = peer.session(AUTHORITY);
        peer.converse(&mut session, |session| session.phase() == Phase::Ready);
        let lane = peer.open(Dir::Uni);
        peer.say_on(lane, &[0x01, 0x03]);
        Scene {
            engine,
            peer,
            session,
            lane,
            host,
            heard: 0,
        }
    }

    fn send(&mut self, packet: &[u8], segment: u16, form: u8) {
        let record = record(packet, segment, form);
        self.peer.say_on(self.lane, &record);
    }

    fn datagram(&mut self, bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        self.peer.until(|peer| {
            let sent = peer.connection.datagrams().send(bytes.clone(), false);
            sent.is_ok()
        });
    }

    /// What was sent before was handled, a good packet passes, and the interface is the one that was there.
    fn is_well(&mut self, interface: &str) {
        self.heard += 1;
        let text = format!("good {}", self.heard);
        let good = ipv4(UDP, &[], 0, &udp(text.as_bytes()));
        // Others may have filled the socket.
        let comes = (0..TRIES).any(|_| {
            self.send(&good, 0, COMPLETE);
            self.hears(text.as_bytes())
        });
        assert_eq!(self.peer.closed, None);
        assert!(comes, "{text} never came");
        assert!(self.engine.is_running());
        assert_eq!(link_number(), interface);
    }

    /// Whether the host gets this text within a try's time. The session goes on meanwhile.
    fn hears(&mut self, text: &[u8]) -> bool {
        let mut buffer = [0; 70_000];
        let give_up = Instant::now() + TRY;
        let mut heard = false;
        let Scene { peer, session, .. } = self;
        peer.converse(session, |_| {
            while let Ok(bytes) = self.host.recv(&mut buffer) {
                heard |= &buffer[..bytes] == text;
            }
            heard || Instant::now() > give_up
        });
        heard
    }

    /// Lets the session answer what it was asked.
    fn converse(&mut self) {
        let mut steps = 0..2;
        let Scene { peer, session, .. } = self;
        peer.converse(session, |_| steps.next().is_none());
    }

    fn dropped(&mut self, reason: &str) -> u64 {
        let dropped = self.engine.peer("hostile").dropped;
        dropped.get(reason).copied().unwrap_or(0)
    }
}

/// The interface's index, which a new one would not have.
fn link_number() -> String {
    let link = run("ip", &["-o", "link", "show", INTERFACE]);
    link.split(':').next().expect("its index").to_owned()
}

/// Its addresses and routes, without the link-local ones, which the kernel makes anew.
fn interface_state() -> String {
    let show = |family, what| run("ip", &[family, "-o", what, "show", "dev", INTERFACE]);
    let lines = ["-4", "-6"].map(|family| show(family, "address") + &show(family, "route"));
    let kept = lines.iter().flat_map(|text| text.lines());
    let kept = kept.filter(|line| !line.contains("fe80::") && !line.contains("linkdown"));
    kept.collect::<Vec<_>>().join("\n")
}

/// Small steps of a number series (xorshift), so that a failure can be had again.
fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

fn strange_packets() -> Vec<Vec<u8>> {
    let data = [7; 900];
    let extension = |next: u8| [&[next, 0, 1, 4, 0, 0, 0, 0], &udp(b"x")[..]].concat();
    let fragment = [&[UDP, 0, 0, 1, 0, 0, 0, 1], &udp(b"x")[..]].concat();
    let mut packets = vec![
        ipv4(UDP, &[1; 40], 0, &udp(&data)),
        ipv4(TCP, &[1; 40], 0, &tcp(15, &data)),
        // Source routes and a length beyond the options' end.
        ipv4(UDP, &[131, 7, 4, 100, 96, 0, 9, 0], 0, &udp(b"x")),
        ipv4(UDP, &[137, 255, 4, 100, 96, 0, 9, 0], 0, &udp(b"x")),
        ipv4(UDP, &[], 0x2000, &udp(b"first of more")),
        ipv4(UDP, &[], 0x1fff, &udp(b"beyond the end")),
        ipv4(UDP, &[], 0, &udp(&[7; 65_507])),
        ipv4(TCP, &[], 0, &tcp(5, &[7; 65_495])),
        ipv4(TCP, &[], 0, &tcp(4, &data)),
        ipv4(TCP, &[], 0, &tcp(15, &[])),
        ipv4(TCP, &[], 0, &tcp(5, &[])[..19]),
        ipv4(UDP, &[], 0, &udp(&[])),
        ipv4(UDP, &[], 0, &udp(&[])[..7]),
        ipv4(0, &[], 0, &[]),
        ipv4(255, &[], 0, &data),
        ipv6(UDP, &udp(&data)),
        ipv6(TCP, &tcp(5, &data)),
        ipv6(TCP, &tcp(15, &data)),
        ipv6(UDP, &udp(&[7; 65_000])),
        ipv6(44, &fragment),
        ipv6(59, &[]),
    ];
    // Hop by hop, routing, destination, and each of them again behind itself.
    for header in [0, 43, 60] {
        packets.push(ipv6(header, &extension(UDP)));
        packets.push(ipv6(header, &extension(header)));
    }
    packets
}

const SEGMENTS: [u16; 8] = [1, 20, 47, 48, 60, 1_240, 9_000, 65_535];

fn no_packet_loses_the_tunnel(offloads: bool) {
    let mut scene = Scene::new(offloads);
    let interface = link_number();
    for packet in strange_packets() {
        scene.send(&packet, 0, COMPLETE);
        scene.send(&packet, 0, UNFINISHED);
        for segment in SEGMENTS {
            scene.send(&packet, segment, UNFINISHED);
        }
        if packet.len() <= 1_000 {
            scene.datagram(packet.clone());
            scene.datagram([&[UNFINISHED], &packet[..]].concat());
        }
        scene.converse();
    }
    scene.is_well(&interface);
    // Each with some bytes behind the addresses changed, which the policy does not look at.
    let mut random = 1;
    let packets = strange_packets();
    for round in 0..2_000 {
        let mut packet = packets[next(&mut random) as usize % packets.len()].clone();
        packet.truncate(1_000);
        for _ in 0..3 {
            let at = next(&mut random) as usize % packet.len().min(80);
            let is_address = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
            if at > 0 && !is_address.contains(&at) {
                packet[at] = next(&mut random) as u8;
            }
        }
        let total = packet.len() as u16;
        match packet[0] >> 4 {
            4 => packet[2..4].copy_from_slice(&total.to_be_bytes()),
            _ => packet[4..6].copy_from_slice(&(total - 40).to_be_bytes()),
        }
        scene.send(&packet, SEGMENTS[round % SEGMENTS.len()], UNFINISHED);
        if round.is_multiple_of(32) {
            scene.converse();
        }
    }
    scene.is_well(&interface);
    assert!(scene.dropped("malformed") > 100, "what no kernel makes");
    assert_eq!(scene.dropped("sourceDenied"), 0);
}

#[test]
fn no_packet_loses_the_tunnel_or_the_session() {
    no_packet_loses_the_tunnel(true);
}

#[test]
fn no_packet_harms_an_engine_that_finishes_packets_itself() {
    no_packet_loses_the_tunnel(false);
}

#[test]
fn cuts_in_any_order_are_packets_or_dropped() {
    let mut scene = Scene::new(true);
    let interface = link_number();
    let part = |number: u8, last: u8, cut: u16, packet: &[u8]| {
        [&[0x20 | last, number], &cut.to_be_bytes()[..], packet].concat()
    };
    let one = ipv4(UDP, &[], 0, &udp(b"part"));
    // Beginnings only; the same number again; numbers beyond the end, and around; two cuts at once.
    for index in 0..600u16 {
        let number = index as u8;
        scene.datagram(part(0, 0, index, &one));
        scene.datagram(part(number, 0, 1, &one));
        scene.datagram(part(255, 1, index, &one));
        scene.datagram(part(number / 2, 0, index % 2, &one));
        scene.datagram(part(number, 0, 2, &one[..27]));
        scene.datagram(part(number, 0, 3, &[]));
        if number.is_multiple_of(32) {
            scene.converse();
        }
    }
    // One byte each, more than any packet of the kernel's has parts.
    let byte = ipv4(UDP, &[], 0, &udp(b"x"));
    for number in 0..1_000u16 {
        scene.datagram(part(number as u8, 0, 9, &byte));
    }
    scene.is_well(&interface);
    assert!(scene.dropped("malformed") >= 1_200);
}

#[test]
fn an_interface_that_is_down_costs_packets_and_nothing_else() {
    let mut scene = Scene::new(true);
    let interface = link_number();
    scene.is_well(&interface);
    let before = interface_state();
    assert!(before.contains("fd00::/64") && before.contains("100.96.0.0/16"));
    run("ip", &["link", "set", INTERFACE, "down"]);
    let packet = ipv4(UDP, &[], 0, &udp(b"lost"));
    for _ in 0..100 {
        scene.send(&packet, 0, COMPLETE);
        scene.datagram(packet.clone());
    }
    let Scene { engine, peer, .. } = &mut scene;
    peer.until(|_| {
        let dropped = engine.peer("hostile").dropped;
        dropped.get("tunnelRefused") == Some(&200)
    });
    assert_ne!(interface_state(), before);
    run("ip", &["link", "set", INTERFACE, "up"]);
    scene.is_well(&interface);
    let give_up = Instant::now() + TRY;
    while interface_state() != before && Instant::now() < give_up {
        std::thread::yield_now();
    }
    assert_eq!(interface_state(), before);
}

#[test]
fn records_that_never_end_and_streams_that_do_hold_little() {
    let mut scene = Scene::new(true);
    let interface = link_number();
    scene.is_well(&interface);
    let before = scene.engine.resident_kib();
    // All streams but the one in use: a record of the greatest length, most of it at once, then byte after byte.
    let lanes: Vec<StreamId> = (0..31).map(|_| scene.peer.open(Dir::Uni)).collect();
    for lane in &lanes {
        scene
            .peer
            .say_on(*lane, &[0x01, 0x04, 0, 0xff, 0xff, 0, 0, 0]);
        scene.peer.say_on(*lane, &[7; 60_000]);
    }
    for _ in 0..200 {
        for lane in &lanes {
            scene.peer.say_on(*lane, &[7]);
        }
        scene.converse();
    }
    scene.is_well(&interface);
    for lane in lanes {
        let mut stream = scene.peer.connection.send_stream(lane);
        stream.reset(VarInt::from_u32(0)).expect("an open stream");
    }
    // Many more, each begun and reset, or ended in the middle of a record.
    for index in 0..2_000 {
        let lane = scene.peer.open(Dir::Uni);
        scene
            .peer
            .say_on(lane, &[0x01, 0x04, 0, 0xff, 0xff, 0, 0, 0, 7]);
        let mut stream = scene.peer.connection.send_stream(lane);
        if index % 2 == 0 {
            stream.reset(VarInt::from_u32(0)).expect("an open stream");
        } else {
            stream.finish().expect("an open stream");
        }
        if index % 32 == 0 {
            scene.converse();
        }
    }
    scene.is_well(&interface);
    let grown = scene.engine.resident_kib().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more than before");
}
