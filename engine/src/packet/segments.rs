//! Cutting an unfinished packet into the packets it stands for, and joining them again.
//!
//! Both work on headers alone: payloads are cut and joined in place. What is cut from one packet and joined by number at the other
//! end is that packet again, without a table of flows.

use bytes::{BufMut, Bytes, BytesMut};

use super::checksum::{write_ip_checksum, write_partial_checksum};
use super::headers::{Headers, Transport, TransportKind};
use super::{MAX_HEADER_BYTES, MAX_PACKET_BYTES, Offload};

const FIN: u8 = 0x01;
const PUSH: u8 = 0x08;
/// RFC 3168 §6.1.2.
const CWR: u8 = 0x80;

const IPV4_TOTAL: usize = 2;
const IPV4_ID: usize = 4;
const IPV4_CHECKSUM: usize = 10;
const IPV6_PAYLOAD: usize = 4;
const TCP_SEQUENCE: usize = 4;
const TCP_FLAGS: usize = 13;
const TCP_CHECKSUM: usize = 16;
const UDP_LENGTH: usize = 4;

/// Gives each packet that `packet` stands for to `each`, with its number, and whether it is the last; its checksum covers
/// the pseudo-header alone. `memory` is where the packets are built. `lead` bytes in front of each are left free.
///
/// # Panics
/// When `packet` is not of the length and headers that `headers` say, or `segment_bytes` is 0.
pub fn split(
    packet: &[u8],
    transport: &Transport,
    segment_bytes: u16,
    lead: usize,
    memory: &mut BytesMut,
    mut each: impl FnMut(usize, bool, BytesMut),
) {
    let segment_bytes = usize::from(segment_bytes);
    let (headers, payload) = packet.split_at(transport.payload);
    let count = payload.len().div_ceil(segment_bytes);
    for (number, part) in payload.chunks(segment_bytes).enumerate() {
        memory.reserve(lead + headers.len() + part.len());
        memory.put_bytes(0, lead);
        memory.put_slice(headers);
        memory.put_slice(part);
        let mut built = memory.split();
        let is_last = number + 1 == count;
        adapt(
            &mut built[lead..],
            transport,
            number,
            segment_bytes,
            is_last,
        );
        each(number, is_last, built);
    }
}

/// Makes the copied headers those of the packet `number`.
fn adapt(
    packet: &mut [u8],
    transport: &Transport,
    number: usize,
    segment_bytes: usize,
    is_last: bool,
) {
    if packet[0] >> 4 == 4 {
        add_u16(&mut packet[IPV4_ID..], number as u16);
    }
    let header = &mut packet[transport.offset..];
    if let TransportKind::Tcp { .. } = transport.kind {
        add_u32(&mut header[TCP_SEQUENCE..], (number * segment_bytes) as u32);
        if !is_last {
            header[TCP_FLAGS] &= !(FIN | PUSH);
        }
        if number > 0 {
            header[TCP_FLAGS] &= !CWR;
        }
    }
    write_lengths(packet, transport, packet.len());
}

/// Writes all that depends on a packet's length: the lengths themselves, the IPv4 checksum, the pseudo-header's.
fn write_lengths(headers: &mut [u8], transport: &Transport, total: usize) {
    let transport_bytes = total - transport.offset;
    if headers[0] >> 4 == 4 {
        headers[IPV4_TOTAL..IPV4_TOTAL + 2].copy_from_slice(&(total as u16).to_be_bytes());
        write_ip_checksum(headers);
    } else {
        let payload = total - 40;
        headers[IPV6_PAYLOAD..IPV6_PAYLOAD + 2].copy_from_slice(&(payload as u16).to_be_bytes());
    }
    if transport.kind == TransportKind::Udp {
        let at = transport.offset + UDP_LENGTH;
        headers[at..at + 2].copy_from_slice(&(transport_bytes as u16).to_be_bytes());
    }
    write_partial_checksum(headers, transport, transport_bytes);
}

fn add_u16(field: &mut [u8], value: u16) {
    let sum = u16::from_be_bytes([field[0], field[1]]).wrapping_add(value);
    field[..2].copy_from_slice(&sum.to_be_bytes());
}

fn add_u32(field: &mut [u8], value: u32) {
    let sum = u32::from_be_bytes([field[0], field[1], field[2], field[3]]).wrapping_add(value);
    field[..4].copy_from_slice(&sum.to_be_bytes());
}

/// Packets of one cut, being joined.
pub struct Merge {
    /// The headers of the whole, its lengths still those of the first packet.
    headers: BytesMut,
    transport: Transport,
    payloads: Vec<Bytes>,
    payload_bytes: usize,
    segment_bytes: usize,
}

/// The packet does not go on what there is: it comes back.
#[derive(Debug)]
pub struct MergeRefused(pub Bytes);

impl Merge {
    /// Begins with the first packet of a cut. `None` when there is nothing in it to join.
    pub fn begin(packet: &Bytes, headers: &Headers) -> Option<Merge> {
        let transport = headers.transport?;
        let segment_bytes = packet.len() - transport.payload;
        if segment_bytes == 0 || transport.payload > MAX_HEADER_BYTES {
            return None;
        }
        Some(Merge {
            headers: BytesMut::from(&packet[..transport.payload]),
            transport,
            payloads: vec![packet.slice(transport.payload..)],
            payload_bytes: segment_bytes,
            segment_bytes,
        })
    }

    /// Appends the next packet. It must be what `split` would have made: the same headers, the next sequence number, no longer
    /// payload, and a full one before it.
    pub fn push(&mut self, packet: Bytes) -> Result<(), MergeRefused> {
        if !self.takes(&packet) {
            return Err(MergeRefused(packet));
        }
        let payload = packet.slice(self.transport.payload..);
        if let TransportKind::Tcp { .. } = self.transport.kind {
            let at = self.transport.offset + TCP_FLAGS;
            self.headers[at] |= packet[at];
        }
        self.payload_bytes += payload.len();
        self.payloads.push(payload);
        Ok(())
    }

    fn takes(&self, packet: &[u8]) -> bool {
        let payload_bytes = packet.len().saturating_sub(self.transport.payload);
        let is_full = self.payload_bytes == self.payloads.len() * self.segment_bytes;
        let total = self.headers.len() + self.payload_bytes + payload_bytes;
        payload_bytes > 0
            && payload_bytes <= self.segment_bytes
            && is_full
            && total <= MAX_PACKET_BYTES
            && said_length(packet) == packet.len()
            && self.continues(&packet[..self.transport.payload])
    }

    /// Whether these headers are ours, but for what differs within one cut.
    fn continues(&self, headers: &[u8]) -> bool {
        let (ours_ip, ours) = self.headers.split_at(self.transport.offset);
        let (theirs_ip, theirs) = headers.split_at(self.transport.offset);
        let same_ip = if ours_ip[0] >> 4 == 4 {
            ours_ip[..IPV4_TOTAL] == theirs_ip[..IPV4_TOTAL]
                && ours_ip[6..IPV4_CHECKSUM] == theirs_ip[6..IPV4_CHECKSUM]
                && ours_ip[12..] == theirs_ip[12..]
        } else {
            ours_ip[..IPV6_PAYLOAD] == theirs_ip[..IPV6_PAYLOAD] && ours_ip[6..] == theirs_ip[6..]
        };
        let same_transport = match self.transport.kind {
            TransportKind::Udp => ours[..UDP_LENGTH] == theirs[..UDP_LENGTH],
            TransportKind::Tcp { .. } => {
                let sequence = |header: &[u8]| {
                    u32::from_be_bytes([header[4], header[5], header[6], header[7]])
                };
                let varying = FIN | PUSH | CWR;
                ours[..TCP_SEQUENCE] == theirs[..TCP_SEQUENCE]
                    && sequence(theirs) == sequence(ours).wrapping_add(self.payload_bytes as u32)
                    && ours[8..TCP_FLAGS] == theirs[8..TCP_FLAGS]
                    && ours[TCP_FLAGS] & !varying == theirs[TCP_FLAGS] & !varying
                    && ours[TCP_FLAGS + 1..TCP_CHECKSUM] == theirs[TCP_FLAGS + 1..TCP_CHECKSUM]
                    && ours[TCP_CHECKSUM + 2..] == theirs[TCP_CHECKSUM + 2..]
            }
        };
        same_ip && same_transport
    }

    /// The headers and payloads of the whole.
    pub fn finish(&mut self) -> (&[u8], &[Bytes], Offload) {
        let total = self.headers.len() + self.payload_bytes;
        write_lengths(&mut self.headers, &self.transport, total);
        let offload = match self.payloads.len() {
            1 => Offload::Checksum,
            // A payload fits sixteen bits, as the packet around it does.
            _ => Offload::Segments(self.segment_bytes as u16),
        };
        (&self.headers, &self.payloads, offload)
    }
}

/// What the IP header says of the packet's length.
fn said_length(packet: &[u8]) -> usize {
    let at = |index: usize| usize::from(packet[index]) << 8 | usize::from(packet[index + 1]);
    match packet[0] >> 4 {
        4 => at(IPV4_TOTAL),
        _ => at(IPV6_PAYLOAD) + 40,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::checksum::{finish_transport_checksum, is_right};
    use super::*;

    /// One packet as a kernel with offloads gives it.
    fn unfinished(six: bool, tcp: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = if six {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
            header.extend([0xfd; 16]);
            header.extend([0xfc; 16]);
            header
        } else {
            let mut header = vec![0x45, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, 0, 0, 0];
            header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            header
        };
        packet[if six { 6 } else { 9 }] = if tcp { 6 } else { 17 };
        if tcp {
            packet.extend([
                1, 2, 3, 4, 0xff, 0xff, 0xff, 0xf0, 9, 9, 9, 9, 0x80, flags, 5, 5,
            ]);
            packet.extend([0, 0, 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        } else {
            packet.extend([1, 2, 3, 4, 0, 0, 0, 0]);
        }
        let header_bytes = packet.len();
        packet.extend(payload);
        let total = packet.len();
        let offset = if six { 40 } else { 20 };
        let at = if six { IPV6_PAYLOAD } else { IPV4_TOTAL };
        let said = if six { total - 40 } else { total };
        packet[at..at + 2].copy_from_slice(&(said as u16).to_be_bytes());
        let transport = Headers::parse(&packet)
            .expect("a packet")
            .transport
            .expect("transport");
        assert_eq!(
            (transport.offset, transport.payload),
            (offset, header_bytes)
        );
        write_lengths(&mut packet, &transport, total);
        packet
    }

    fn cut(packet: &[u8], segment_bytes: u16) -> Vec<Bytes> {
        let transport = Headers::parse(packet)
            .expect("a packet")
            .transport
            .expect("transport");
        let mut parts = Vec::new();
        split(
            packet,
            &transport,
            segment_bytes,
            4,
            &mut BytesMut::new(),
            |number, is_last, part| {
                assert_eq!(number, parts.len());
                assert_eq!(part[..4], [0; 4]);
                parts.push((part.freeze().slice(4..), is_last));
            },
        );
        assert!(
            parts.iter().rev().skip(1).all(|(_, last)| !last) && parts.last().expect("parts").1
        );
        parts.into_iter().map(|(part, _)| part).collect()
    }

    fn joined(parts: &[Bytes]) -> Vec<u8> {
        let headers = Headers::parse(&parts[0]).expect("a packet");
        let mut merge = Merge::begin(&parts[0], &headers).expect("a payload");
        for part in &parts[1..] {
            merge.push(part.clone()).expect("the next part");
        }
        let (headers, payloads, _) = merge.finish();
        let mut packet = headers.to_vec();
        payloads
            .iter()
            .for_each(|payload| packet.extend_from_slice(payload));
        packet
    }

    proptest! {
        #[test]
        fn what_was_cut_and_joined_is_what_it_was(
            six: bool, tcp: bool, flags in prop::sample::select(vec![0x10u8, 0x18, 0x19, 0x90, 0x50]),
            payload in prop::collection::vec(any::<u8>(), 1..6000), segment_bytes in 1u16..1500,
        ) {
            let packet = unfinished(six, tcp, flags, &payload);
            let parts = cut(&packet, segment_bytes);
            prop_assert_eq!(joined(&parts), packet);
        }

        #[test]
        fn every_part_is_a_packet_of_its_own(
            six: bool, tcp: bool, payload in prop::collection::vec(any::<u8>(), 1..4000), segment_bytes in 1u16..1500,
        ) {
            let packet = unfinished(six, tcp, 0x19, &payload);
            let mut read = Vec::new();
            for part in cut(&packet, segment_bytes) {
                let transport = Headers::parse(&part).expect("a packet").transport.expect("transport");
                let mut complete = part.to_vec();
                finish_transport_checksum(&mut complete, &transport);
                prop_assert!(is_right(&complete));
                read.extend_from_slice(&part[transport.payload..]);
            }
            prop_assert_eq!(read, payload);
        }

        #[test]
        fn never_joins_what_was_changed(
            six: bool, tcp: bool, at in 0usize..60, bit in 0u32..8,
        ) {
            let parts = cut(&unfinished(six, tcp, 0x10, &[7; 300]), 100);
            let headers = Headers::parse(&parts[0]).expect("a packet");
            let transport = headers.transport.expect("transport");
            let mut merge = Merge::begin(&parts[0], &headers).expect("a payload");
            let mut changed = parts[1].to_vec();
            let at = at % transport.payload;
            changed[at] ^= 1 << bit;
            // These differ within one cut.
            let tcp_at = |field: usize| tcp && at == transport.offset + field;
            let free = (!six && [4, 5, 10, 11].contains(&at))
                || (transport.checksum_offset()..transport.checksum_offset() + 2).contains(&at)
                || (!tcp && (transport.offset + 4..transport.offset + 6).contains(&at))
                || (tcp_at(TCP_FLAGS) && (1u8 << bit) & (FIN | PUSH | CWR) != 0);
            prop_assert_eq!(merge.push(Bytes::from(changed)).is_ok(), free);
        }

        #[test]
        fn anything_can_be_pushed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let parts = cut(&unfinished(false, true, 0x10, &[7; 300]), 100);
            let mut merge = Merge::begin(&parts[0], &Headers::parse(&parts[0]).expect("a packet")).expect("a payload");
            let _ = merge.push(Bytes::from(bytes));
        }
    }

    #[test]
    fn nothing_follows_a_short_part() {
        let parts = cut(&unfinished(false, false, 0, &[7; 250]), 100);
        let headers = Headers::parse(&parts[0]).expect("a packet");
        let mut merge = Merge::begin(&parts[0], &headers).expect("a payload");
        merge.push(parts[2].clone()).expect("UDP has no numbers");
        assert!(merge.push(parts[1].clone()).is_err());
    }
}
