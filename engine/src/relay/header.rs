//! `type u8` · `session u64 big-endian`, in front of one QUIC packet.

use super::session::RelaySession;

pub const HEADER_BYTES: usize = 9;
/// The type of a packet that is passed on.
const DATA: u8 = 0x01;
/// A QUIC packet has one of its two first bits set (RFC 9000 §17); what has neither is the fabric's own.
const QUIC_BITS: u8 = 0xc0;

/// What came in a UDP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    Quic,
    /// A QUIC packet behind the header.
    Relayed(RelaySession),
    /// None of those.
    Unknown,
}

/// Looks at the first bytes of a UDP packet.
pub fn unwrap(packet: &[u8]) -> Outer {
    if is_quic(packet) {
        return Outer::Quic;
    }
    match packet.split_first_chunk::<HEADER_BYTES>() {
        Some((&[DATA, session @ ..], inner)) if is_quic(inner) => {
            Outer::Relayed(RelaySession(u64::from_be_bytes(session)))
        }
        _ => Outer::Unknown,
    }
}

fn is_quic(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first & QUIC_BITS != 0)
}

/// Puts the header in front of each packet of `packets`, which has packets of `segment_bytes` (the last may be shorter), and
/// appends them to `wrapped`.
pub fn wrap(session: RelaySession, packets: &[u8], segment_bytes: usize, wrapped: &mut Vec<u8>) {
    for packet in packets.chunks(segment_bytes.max(1)) {
        wrapped.push(DATA);
        wrapped.extend_from_slice(&session.0.to_be_bytes());
        wrapped.extend_from_slice(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: RelaySession = RelaySession(0x0102_0304_0506_0708);

    #[test]
    fn every_segment_has_its_header() {
        let mut wrapped = Vec::new();
        wrap(SESSION, &[0x40, 1, 2, 0x41, 3], 3, &mut wrapped);
        let first = [1, 1, 2, 3, 4, 5, 6, 7, 8, 0x40, 1, 2];
        let second = [1, 1, 2, 3, 4, 5, 6, 7, 8, 0x41, 3];
        assert_eq!(wrapped, [&first[..], &second[..]].concat());
        for packet in [&first[..], &second[..]] {
            assert_eq!(unwrap(packet), Outer::Relayed(SESSION));
        }
    }

    #[test]
    fn only_a_quic_packet_is_taken_from_behind_a_header() {
        let behind = |header: &[u8], inner: &[u8]| unwrap(&[header, inner].concat());
        let header = [1, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(behind(&header, &[]), Outer::Unknown);
        assert_eq!(behind(&header, &header), Outer::Unknown, "no header twice");
        assert_eq!(behind(&header, &[0xc0]), Outer::Relayed(SESSION));
        assert_eq!(behind(&header[..8], &[0x40]), Outer::Unknown, "too short");
        assert_eq!(
            behind(&[2, 1, 2, 3, 4, 5, 6, 7, 8], &[0x40]),
            Outer::Unknown
        );
        assert_eq!(unwrap(&[]), Outer::Unknown);
        assert_eq!(unwrap(&[0x40]), Outer::Quic);
    }
}
