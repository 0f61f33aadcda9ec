//! Whatever a client sends, parsing it neither panics nor lets a list or text pass its bound.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};

use super::{
    codec::{has_message, read_request, take_message},
    messages::*,
};
use crate::frames::properties::at_least;

fn text(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[!-~]{{1,{max}}}")).expect("a pattern")
}

fn peer() -> impl Strategy<Value = PeerIntent> {
    (
        text(MAX_PEER_ID_BYTES),
        text(80),
        text(FINGERPRINT_BYTES),
        vec(text(20), 0..MAX_CANDIDATES),
        vec(text(20), 0..4),
        any::<u64>(),
    )
        .prop_map(
            |(id, spiffe_id, fingerprint, candidates, prefixes, expires_at_ms)| PeerIntent {
                id,
                spiffe_id,
                fingerprint,
                candidates,
                remote_prefixes: prefixes.clone(),
                local_prefixes: prefixes,
                expires_at_ms,
            },
        )
}

fn traffic_rule() -> impl Strategy<Value = TrafficRule> {
    let class = prop_oneof![
        Just(TrafficClass::Control),
        Just(TrafficClass::Dns),
        Just(TrafficClass::Interactive),
        Just(TrafficClass::Reliable),
        Just(TrafficClass::Bulk),
        Just(TrafficClass::Droppable),
    ];
    let protocol = prop_oneof![
        Just(TrafficProtocol::Tcp),
        Just(TrafficProtocol::Udp),
        Just(TrafficProtocol::Icmp),
    ];
    let range = any::<(u16, u16)>().prop_map(|(from, to)| PortRange { from, to });
    (
        class,
        proptest::option::of(protocol),
        vec(range, 0..MAX_RULE_PORTS),
        vec(any::<u8>(), 0..MAX_RULE_DSCP),
        any::<Option<u32>>(),
        any::<Option<u64>>(),
    )
        .prop_map(
            |(class, protocol, ports, dscp, max_packet_bytes, below_bytes_per_second)| {
                TrafficRule {
                    class,
                    protocol,
                    ports,
                    dscp,
                    max_packet_bytes,
                    below_bytes_per_second,
                }
            },
        )
}

fn desired() -> impl Strategy<Value = Desired> {
    (
        any::<u64>(),
        text(60),
        (any::<u64>(), any::<u64>()),
        vec(peer(), 0..5),
        proptest::option::of(vec(text(20), 0..4)),
        vec(text(FINGERPRINT_BYTES), 0..5),
        vec(traffic_rule(), 0..5),
    )
        .prop_map(
            |(revision, trust_domain, (term, epoch), peers, tunnel, revoked, traffic_rules)| {
                Desired {
                    revision,
                    trust_domain: trust_domain.clone(),
                    expires_at_ms: revision,
                    authority: Authority { term, epoch },
                    identity: IdentityIntent {
                        spiffe_id: trust_domain.clone(),
                        certificate_chain_pem: vec![trust_domain.clone()],
                        ca_certificates_pem: vec![trust_domain],
                    },
                    tunnel: tunnel.map(|addresses| TunnelIntent {
                        routes: addresses.clone(),
                        addresses,
                        mtu: 1280,
                    }),
                    peers,
                    revoked,
                    traffic_rules,
                }
            },
        )
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        any::<u32>().prop_map(|protocol| Command::Hello(HelloCommand { protocol })),
        Just(Command::Describe),
        desired().prop_map(|desired| Command::Apply(Box::new(ApplyCommand { desired }))),
        (text(64), text(64), vec(any::<u8>(), 0..500)).prop_map(|(peer, kind, payload)| {
            Command::Send(SendCommand {
                peer,
                kind,
                payload: payload.into(),
            })
        }),
        Just(Command::Stop),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    (any::<u32>(), command()).prop_map(|(id, command)| Request { id, command })
}

fn encoded(request: &Request) -> Vec<u8> {
    rmp_serde::to_vec_named(request).expect("serializable")
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

proptest! {
    #![proptest_config(at_least(500))]

    #[test]
    fn a_request_is_read_as_it_was_written(request in request()) {
        prop_assert_eq!(read_request(&encoded(&request)), Ok(request));
    }

    #[test]
    fn a_damaged_request_is_read_or_refused(
        request in request(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&request);
        for (at, byte) in damages {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read_request(&bytes);
        let shorter = &bytes[..length.index(bytes.len())];
        let _ = read_request(shorter);
    }

    #[test]
    fn a_request_that_lacks_its_end_is_refused(request in request(), length in any::<prop::sample::Index>()) {
        let bytes = encoded(&request);
        prop_assert!(read_request(&bytes[..length.index(bytes.len())]).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_request(bytes in vec(any::<u8>(), 0..500)) {
        let _ = read_request(&bytes);
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        bodies in vec(vec(any::<u8>(), 0..100), 0..8),
        cut in 1usize..60,
    ) {
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        let mut input = BytesMut::new();
        let mut taken: Vec<Bytes> = Vec::new();
        for piece in bytes.chunks(cut) {
            input.extend_from_slice(piece);
            while let Some(message) = take_message(&mut input).expect("within bounds") {
                taken.push(message);
            }
            prop_assert!(!has_message(&input));
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(taken, bodies);
    }
}

fn widest_rule() -> TrafficRule {
    TrafficRule {
        class: TrafficClass::Interactive,
        protocol: Some(TrafficProtocol::Icmp),
        ports: vec![
            PortRange {
                from: u16::MAX,
                to: u16::MAX
            };
            MAX_RULE_PORTS
        ],
        dscp: vec![u8::MAX; MAX_RULE_DSCP],
        max_packet_bytes: Some(u32::MAX),
        below_bytes_per_second: Some(u64::MAX),
    }
}

#[test]
fn every_list_and_text_stops_at_its_bound() {
    let within = |desired: &Desired| {
        let desired = desired.clone();
        let command = Command::Apply(Box::new(ApplyCommand { desired }));
        read_request(&encoded(&Request { id: 1, command }))
            .map(drop)
            .map_err(|bad| bad.error.code)
    };
    let short = || "x".to_owned();
    let long = |bytes| "x".repeat(bytes + 1);
    let peer = PeerIntent {
        id: short(),
        spiffe_id: short(),
        fingerprint: short(),
        candidates: vec![short(); MAX_CANDIDATES],
        remote_prefixes: vec![short(); MAX_PREFIXES],
        local_prefixes: vec![],
        expires_at_ms: 0,
    };
    let good = Desired {
        revision: 1,
        trust_domain: short(),
        expires_at_ms: 1,
        authority: Authority::default(),
        identity: IdentityIntent {
            spiffe_id: short(),
            certificate_chain_pem: vec![short(); MAX_CERTIFICATES],
            ca_certificates_pem: vec![],
        },
        tunnel: None,
        peers: vec![peer; 2],
        revoked: vec![short(); MAX_REVOKED],
        traffic_rules: vec![widest_rule(); MAX_TRAFFIC_RULES],
    };
    assert_eq!(within(&good), Ok(()));
    type Break = fn(&mut Desired, &dyn Fn(usize) -> String);
    let breaks: [Break; 15] = [
        |desired, long| desired.trust_domain = long(MAX_TRUST_DOMAIN_BYTES),
        |desired, _| desired.revoked.push("x".into()),
        |desired, long| desired.revoked = vec![long(FINGERPRINT_BYTES)],
        |desired, _| desired.peers = vec![desired.peers[0].clone(); MAX_PEERS + 1],
        |desired, long| desired.peers[1].id = long(MAX_PEER_ID_BYTES),
        |desired, long| desired.peers[1].spiffe_id = long(MAX_SPIFFE_ID_BYTES),
        |desired, _| desired.peers[1].candidates.push("x".into()),
        |desired, long| desired.peers[1].candidates = vec![long(MAX_CANDIDATE_BYTES)],
        |desired, _| desired.peers[1].remote_prefixes.push("x".into()),
        |desired, long| desired.identity.spiffe_id = long(MAX_SPIFFE_ID_BYTES),
        |desired, _| desired.identity.certificate_chain_pem.push("x".into()),
        |desired, long| desired.identity.ca_certificates_pem = vec![long(MAX_CERTIFICATE_BYTES)],
        |desired, _| desired.traffic_rules.push(widest_rule()),
        |desired, _| desired.traffic_rules[1].dscp.push(0),
        |desired, _| {
            let ports = &mut desired.traffic_rules[1].ports;
            ports.push(ports[0]);
        },
    ];
    for (number, break_it) in breaks.into_iter().enumerate() {
        let mut bad = good.clone();
        // Keep the greatest case below the frame's bound.
        bad.peers
            .iter_mut()
            .for_each(|peer| peer.remote_prefixes.truncate(MAX_PREFIXES));
        break_it(&mut bad, &long);
        assert_eq!(
            within(&bad),
            Err(codes::LIMIT_EXCEEDED.into()),
            "case {number}"
        );
    }
}

/// What `MAX_FRAME_BYTES` was chosen for.
#[test]
fn a_desired_state_of_the_most_peers_with_all_their_candidates_fits_one_frame() {
    let address = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535".to_owned();
    let peer = PeerIntent {
        id: "5f0c2b8e-8f64-4f0e-9d0b-0d9b7c1d2a11".into(),
        spiffe_id: format!(
            "spiffe://{}/node/5f0c2b8e-8f64-4f0e-9d0b-0d9b7c1d2a11",
            "x".repeat(63)
        ),
        fingerprint: "0".repeat(FINGERPRINT_BYTES),
        candidates: vec![address; MAX_CANDIDATES],
        remote_prefixes: vec![
            "100.127.255.255/32".into(),
            "fd5a:ffff:ffff::ffff:ffff/128".into(),
        ],
        local_prefixes: vec![
            "100.127.255.255/32".into(),
            "fd5a:ffff:ffff::ffff:ffff/128".into(),
        ],
        expires_at_ms: u64::MAX,
    };
    let desired = Desired {
        revision: u64::MAX,
        trust_domain: "x".repeat(63),
        expires_at_ms: u64::MAX,
        authority: Authority::default(),
        identity: IdentityIntent {
            spiffe_id: peer.spiffe_id.clone(),
            certificate_chain_pem: vec!["x".repeat(MAX_CERTIFICATE_BYTES); MAX_CERTIFICATES],
            ca_certificates_pem: vec!["x".repeat(MAX_CERTIFICATE_BYTES); MAX_CERTIFICATES],
        },
        tunnel: None,
        peers: vec![peer; MAX_PEERS],
        revoked: vec!["0".repeat(FINGERPRINT_BYTES); MAX_REVOKED],
        traffic_rules: vec![widest_rule(); MAX_TRAFFIC_RULES],
    };
    let command = Command::Apply(Box::new(ApplyCommand { desired }));
    let request = Request { id: 1, command };
    let body = encoded(&request);
    assert!(body.len() < MAX_FRAME_BYTES, "{} bytes", body.len());
    assert_eq!(read_request(&body), Ok(request));
}

#[test]
fn a_header_of_four_gigabytes_is_not_believed() {
    // An array, a map, a text and binary data of 2^32-1 elements, of which none follows.
    for marker in [0xdd, 0xdf, 0xdb, 0xc6] {
        let bytes = [marker, 0xff, 0xff, 0xff, 0xff];
        assert!(read_request(&bytes).is_err());
        let nested = [&[0x82, 0xa2, b'i', b'd', 1, 0xa7][..], b"command", &bytes].concat();
        assert!(read_request(&nested).is_err());
    }
}
