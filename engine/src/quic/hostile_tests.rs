//! What someone without a certificate can do who sees packets, sends some of his own, loses others, and has time.

use std::time::Duration;

use noq_proto::rustls::Side as TlsSide;
use noq_proto::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use noq_proto::rustls::quic::{Keys, Version};
use proptest::prelude::*;

use super::endpoint_tests::{LANE, Pair, Side};
use crate::frames::CloseCode;
use crate::lanes::Carrier;

const TAG_BYTES: usize = 16;

/// The connection ids that a client's first packet shows: the one it sends to, and its own.
fn connection_ids(initial: &[u8]) -> (&[u8], &[u8]) {
    let (destination, rest) = prefixed(&initial[5..]);
    (destination, prefixed(rest).0)
}

fn prefixed(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[1..].split_at(usize::from(bytes[0]))
}

/// An Initial packet as the server's, that closes the connection with a reason (RFC 9000 §17.2.2, RFC 9001 §5). Its keys come
/// from the client's first packet, which everybody on the path has seen.
fn forged_close(initial: &[u8], reason: &str) -> Vec<u8> {
    let (destination, source) = connection_ids(initial);
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("TLS 1.3");
    let quic = suite.quic_suite().expect("usable for QUIC");
    let keys = Keys::initial(
        Version::V1,
        quic.suite,
        quic.quic,
        destination,
        TlsSide::Server,
    );
    // CONNECTION_CLOSE, a TLS alert (certificate_revoked), in frame CRYPTO, with a reason
    let mut payload = vec![0x1c, 0x41, 0x2c, 0x06, reason.len() as u8];
    payload.extend_from_slice(reason.as_bytes());
    payload.resize(1162, 0);
    let mut packet = vec![0xc3, 0, 0, 0, 1, source.len() as u8];
    packet.extend_from_slice(source);
    packet.extend_from_slice(&[0, 0]);
    let length = 4 + payload.len() + TAG_BYTES;
    packet.extend_from_slice(&(0x4000 | length as u16).to_be_bytes());
    let number_at = packet.len();
    let number = 7u32;
    packet.extend_from_slice(&number.to_be_bytes());
    let tag = keys
        .local
        .packet
        .encrypt_in_place(number.into(), &packet, &mut payload)
        .expect("sealed");
    packet.extend_from_slice(&payload);
    packet.extend_from_slice(tag.as_ref());
    let sample = packet[number_at + 4..number_at + 20].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    keys.local
        .header
        .encrypt_in_place(
            &sample,
            &mut first[0],
            &mut rest[number_at - 1..number_at + 3],
        )
        .expect("protected");
    packet
}

/// The dialler's first packet, and the acceptor's answer to it.
fn first_flights(pair: &mut Pair) -> (Vec<u8>, Vec<Vec<u8>>) {
    pair.dial();
    let first = pair.dialler.drive(pair.now).remove(0);
    let from = pair.dialler.address;
    pair.acceptor.receive(pair.now, from, &first);
    (first, pair.acceptor.drive(pair.now))
}

#[test]
fn a_forged_refusal_ends_an_attempt_and_proves_nothing() {
    let mut pair = Pair::new();
    let (first, _) = first_flights(&mut pair);
    let forged = forged_close(&first, "saf:REVOKED");
    let from = pair.acceptor.address;
    pair.dialler.receive(pair.now, from, &forged);
    pair.run();
    let closed = &pair.dialler.closed[0];
    assert_eq!(closed.code, CloseCode::Revoked, "the forgery was read");
    assert!(!closed.refused_by_peer);
}

#[test]
fn a_forged_refusal_behind_the_true_answer_proves_nothing_either() {
    let mut pair = Pair::new();
    let (first, mut flight) = first_flights(&mut pair);
    let forged = forged_close(&first, "saf:REVOKED");
    let last = flight.last_mut().expect("a packet");
    last.extend_from_slice(&forged);
    let from = pair.acceptor.address;
    for packet in &flight {
        pair.dialler.receive(pair.now, from, packet);
    }
    pair.run();
    assert!(
        pair.dialler
            .closed
            .iter()
            .all(|closed| !closed.refused_by_peer)
    );
}

#[test]
fn once_the_other_side_has_proved_itself_a_forged_refusal_is_not_even_read() {
    let mut pair = Pair::new();
    let (first, flight) = first_flights(&mut pair);
    let from = pair.acceptor.address;
    for packet in &flight {
        pair.dialler.receive(pair.now, from, packet);
    }
    pair.dialler
        .receive(pair.now, from, &forged_close(&first, "saf:REVOKED"));
    pair.run();
    assert_eq!(pair.dialler.closed, []);
    assert_eq!(pair.acceptor.established.len(), 1);
}

#[test]
fn time_that_passes_between_the_last_answer_and_ours_harms_nothing() {
    for seconds in [0.1, 0.3, 1.0, 3.0, 7.0] {
        let mut pair = Pair::new();
        let (_, flight) = first_flights(&mut pair);
        let from = pair.acceptor.address;
        for packet in &flight {
            pair.dialler.receive(pair.now, from, packet);
        }
        pair.now += Duration::from_secs_f64(seconds);
        pair.run();
        assert_eq!(pair.dialler.established.len(), 1);
        assert_eq!(pair.dialler.closed, [], "after {seconds} s");
    }
}

#[test]
fn a_fault_in_one_connection_ends_it_and_leaves_the_other() {
    let mut pair = Pair::new();
    pair.dial();
    pair.run();
    pair.dial();
    pair.run();
    let [(broken, _), (whole, _)] = &pair.acceptor.established[..] else {
        panic!("two connections")
    };
    let (broken, whole) = (*broken, *whole);
    let connection = pair.acceptor.endpoint.connection(broken).expect("it");
    connection.break_down();
    pair.run();
    assert_eq!(pair.acceptor.closed[0].code, CloseCode::ProtocolError);
    assert_eq!(pair.acceptor.endpoint.keys(), [whole]);
    // Its other end is told as after a restart, and its place is free again.
    pair.now += Duration::from_secs(5);
    pair.run();
    assert!(pair.dialler.closed[0].was_reset);
    pair.dial();
    pair.run();
    assert_eq!(pair.acceptor.established.len(), 3);
    assert_eq!(pair.acceptor.established[2].0, broken);
}

/// What happens to one packet on a hostile path.
#[derive(Debug, Clone)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Bits of one byte turned.
    Flipped(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    /// The forgery of a close comes before it.
    Forestalled,
    /// Made into one UDP packet with what came before.
    Coalesced,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Arrives),
        3 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        2 => (any::<prop::sample::Index>(), 1u8..).prop_map(|(at, bits)| Fate::Flipped(at, bits)),
        1 => any::<prop::sample::Index>().prop_map(Fate::Cut),
        1 => Just(Fate::Forestalled),
        1 => Just(Fate::Coalesced),
    ]
}

/// Carries packets by their fates, reordered within a turn by `rotation`.
fn hostile_carry(
    pair: &mut Pair,
    from_dialler: bool,
    fates: &mut impl Iterator<Item = (Fate, usize)>,
    seen: &mut Vec<Vec<u8>>,
) {
    let now = pair.now;
    let (from, to) = if from_dialler {
        (&mut pair.dialler, &mut pair.acceptor)
    } else {
        (&mut pair.acceptor, &mut pair.dialler)
    };
    let mut packets = from.drive(now);
    let deliver = |packet: &[u8], to: &mut Side, from: &mut Side| {
        if let Some(answer) = to.receive(now, from.address, packet) {
            from.receive(now, to.address, &answer);
        }
    };
    let shift = fates.next().map_or(0, |(_, shift)| shift);
    if !packets.is_empty() {
        let length = packets.len();
        packets.rotate_left(shift % length);
    }
    for mut packet in packets {
        let whole = packet.clone();
        match fates.next().map_or(Fate::Arrives, |(fate, _)| fate) {
            Fate::Arrives => deliver(&packet, to, from),
            Fate::Lost => {}
            Fate::Twice => {
                deliver(&packet, to, from);
                deliver(&packet, to, from);
            }
            Fate::Flipped(at, bits) => {
                let at = at.index(packet.len());
                packet[at] ^= bits;
                deliver(&packet, to, from);
            }
            Fate::Cut(at) => {
                packet.truncate(at.index(packet.len()));
                deliver(&packet, to, from);
            }
            Fate::Forestalled => {
                if let Some(first) = seen.iter().find(|packet| packet[0] & 0xf0 == 0xc0)
                    && !from_dialler
                {
                    deliver(&forged_close(first, "saf:REVOKED"), to, from);
                }
                deliver(&packet, to, from);
            }
            Fate::Coalesced => {
                let mut both = seen.last().cloned().unwrap_or_default();
                both.extend_from_slice(&packet);
                deliver(&both, to, from);
            }
        }
        seen.push(whole);
    }
}

/// The engine's own hunt is short; `PROPTEST_CASES` lengthens it.
#[test]
fn no_path_however_hostile_makes_the_library_fail() {
    let config = ProptestConfig {
        cases: ProptestConfig::default().cases.min(64).max(
            std::env::var("PROPTEST_CASES")
                .ok()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
        ),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let turn = (fate(), 0usize..4);
    let steps = prop::collection::vec(
        prop_oneof![Just(0u64), 1u64..30, 50u64..400, 1000u64..3000],
        60,
    );
    proptest!(config, |(fates in prop::collection::vec(turn, 200), steps in steps)| {
        let before = crate::panics::contained();
        let mut pair = Pair::new();
        pair.dial();
        let (mut fates, mut seen) = (fates.into_iter(), Vec::new());
        for (turn, step) in steps.into_iter().enumerate() {
            pair.now += Duration::from_millis(step);
            hostile_carry(&mut pair, turn % 2 == 0, &mut fates, &mut seen);
            for side in [&mut pair.dialler, &mut pair.acceptor] {
                for key in side.endpoint.keys() {
                    if let Some(connection) = side.endpoint.connection(key) {
                        let _ = connection.write_stream(LANE, vec![0; 3000].into());
                        connection.send_datagram(vec![0; 900].into());
                    }
                }
            }
        }
        prop_assert!(pair.dialler.closed.iter().all(|closed| !closed.refused_by_peer));
        prop_assert_eq!(crate::panics::contained(), before);
    });
}
