//! The forms in which an inner packet crosses a session (docs/wire/lanes.md).
//!
//! ```text
//!   datagram   bare packet                                  complete; its first four bits are 4 or 6
//!              0x10 · packet                                its checksum covers the pseudo-header alone
//!              0x20 | last · number u8 · cut u16 · packet   one of a cut, the checksum as above
//!   record     length u24 · segment u16 · 0x00 · packet     complete
//!              length u24 · segment u16 · 0x10 · packet     unfinished; to be cut into segments unless segment is 0
//! ```
//!
//! A packet of the host is read into memory with room for a record's header in front of it, so that every form but a cut is a part
//! of the same bytes.

use bytes::{Bytes, BytesMut};

use crate::frames::CloseCode;
use crate::packet::{MAX_PACKET_BYTES, Offload, Transport, mark_congested, split};

/// Length, segment and form.
pub const RECORD_HEADER_BYTES: usize = 6;
const FORM: usize = RECORD_HEADER_BYTES - 1;
const COMPLETE: u8 = 0x00;
const UNFINISHED: u8 = 0x10;
const CUT: u8 = 0x20;
const LAST: u8 = 0x01;
/// In front of each packet of a cut.
const CUT_BYTES: usize = 4;
/// Packets that wait long are copied together into so much memory, if they are small: forty of 200 bytes. A queue may hold as much
/// unused.
const COMPACT_BYTES: usize = 8 << 10;
/// A larger one has memory of its own: a block has room for seven of these.
const SMALL_BYTES: usize = 1 << 10;
/// A cut's packets are numbered by one byte.
const MAX_CUT: usize = 256;

/// A packet of the host on its way to a peer.
#[derive(Clone, Debug)]
pub struct Packet {
    record: Bytes,
    offload: Offload,
}

impl Packet {
    /// `bytes` has the packet behind `RECORD_HEADER_BYTES` of anything.
    pub fn new(mut bytes: BytesMut, offload: Offload) -> Packet {
        let length = (bytes.len() - RECORD_HEADER_BYTES) as u32;
        let (segment, form) = match offload {
            Offload::Complete => (0, COMPLETE),
            Offload::Checksum => (0, UNFINISHED),
            Offload::Segments(segment) => (segment, UNFINISHED),
        };
        bytes[..3].copy_from_slice(&length.to_be_bytes()[1..]);
        bytes[3..5].copy_from_slice(&segment.to_be_bytes());
        bytes[FORM] = form;
        Packet {
            record: bytes.freeze(),
            offload,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.record[RECORD_HEADER_BYTES..]
    }

    pub fn record(&self) -> Bytes {
        self.record.clone()
    }

    /// A copy that holds no more memory than it needs; small ones are put together in `memory`.
    pub fn compact(&self, memory: &mut BytesMut) -> Packet {
        let record = if self.record.len() > SMALL_BYTES {
            Bytes::copy_from_slice(&self.record)
        } else {
            if memory.capacity() < self.record.len() {
                *memory = BytesMut::with_capacity(COMPACT_BYTES);
            }
            memory.extend_from_slice(&self.record);
            memory.split().freeze()
        };
        Packet {
            record,
            offload: self.offload,
        }
    }

    /// Marks it as having met congestion, if its sender can be told that way (RFC 3168).
    pub fn mark_congested(&mut self) -> bool {
        let mut record = BytesMut::from(&self.record[..]);
        let marked = mark_congested(&mut record[RECORD_HEADER_BYTES..]);
        if marked {
            self.record = record.freeze();
        }
        marked
    }

    pub fn offload(&self) -> Offload {
        self.offload
    }

    /// As datagrams of at most `most` bytes, given to `each`. `cut` numbers the cuts, `memory` is where they are built. Says
    /// false, and gives nothing, when it does not fit.
    pub fn datagrams(
        &self,
        most: usize,
        transport: Option<&Transport>,
        cut: u16,
        memory: &mut BytesMut,
        mut each: impl FnMut(Bytes),
    ) -> bool {
        let whole = match self.offload {
            Offload::Complete => RECORD_HEADER_BYTES,
            Offload::Checksum => FORM,
            Offload::Segments(segment) => {
                let Some(transport) = transport else {
                    return false;
                };
                let largest = CUT_BYTES + transport.payload + usize::from(segment);
                let payload = self.bytes().len() - transport.payload;
                if largest > most || payload.div_ceil(segment.into()) > MAX_CUT {
                    return false;
                }
                split(
                    self.bytes(),
                    transport,
                    segment,
                    CUT_BYTES,
                    memory,
                    |number, is_last, mut part| {
                        part[0] = CUT | u8::from(is_last);
                        part[1] = number as u8;
                        part[2..CUT_BYTES].copy_from_slice(&cut.to_be_bytes());
                        each(part.freeze());
                    },
                );
                return true;
            }
        };
        let datagram = self.record.slice(whole..);
        let fits = datagram.len() <= most;
        if fits {
            each(datagram);
        }
        fits
    }
}

/// A datagram of a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Datagram {
    Packet(Bytes, Offload),
    Part(Part, Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub cut: u16,
    pub number: u8,
    pub is_last: bool,
}

impl Datagram {
    /// `None` when it is of no form that we know.
    pub fn parse(mut bytes: Bytes) -> Option<Datagram> {
        let first = *bytes.first()?;
        match (first >> 4, first) {
            (4 | 6, _) => Some(Datagram::Packet(bytes, Offload::Complete)),
            (_, UNFINISHED) => Some(Datagram::Packet(bytes.split_off(1), Offload::Checksum)),
            (2, _) if bytes.len() > CUT_BYTES && first & !LAST == CUT => {
                let part = Part {
                    cut: u16::from_be_bytes([bytes[2], bytes[3]]),
                    number: bytes[1],
                    is_last: first & LAST != 0,
                };
                Some(Datagram::Part(part, bytes.split_off(CUT_BYTES)))
            }
            _ => None,
        }
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub bytes: usize,
    pub offload: Offload,
}

impl RecordHeader {
    pub fn parse(header: &[u8; RECORD_HEADER_BYTES]) -> Result<RecordHeader, CloseCode> {
        let bytes = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        if bytes > MAX_PACKET_BYTES {
            return Err(CloseCode::FrameTooLarge);
        }
        let offload = match (header[FORM], u16::from_be_bytes([header[3], header[4]])) {
            (COMPLETE, 0) => Offload::Complete,
            (UNFINISHED, 0) => Offload::Checksum,
            (UNFINISHED, segment) => Offload::Segments(segment),
            _ => return Err(CloseCode::ProtocolError),
        };
        Ok(RecordHeader { bytes, offload })
    }
}

#[cfg(test)]
pub fn packet_of(bytes: &[u8], offload: Offload) -> Packet {
    let mut buffer = BytesMut::zeroed(RECORD_HEADER_BYTES);
    buffer.extend_from_slice(bytes);
    Packet::new(buffer, offload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_is_the_same_in_both_forms() {
        for (offload, marked) in [(Offload::Complete, false), (Offload::Checksum, true)] {
            let packet = packet_of(&[0x45, 1, 2], offload);
            let mut datagrams = Vec::new();
            assert!(
                packet.datagrams(100, None, 0, &mut BytesMut::new(), |bytes| datagrams
                    .push(bytes))
            );
            assert_eq!(datagrams[0].len(), 3 + usize::from(marked));
            let Some(Datagram::Packet(bytes, read)) = Datagram::parse(datagrams[0].clone()) else {
                panic!("a packet");
            };
            assert_eq!((&bytes[..], read), (packet.bytes(), offload));
            let record = packet.record();
            let header =
                RecordHeader::parse(record.first_chunk().expect("a header")).expect("a header");
            assert_eq!(header, RecordHeader { bytes: 3, offload });
            assert!(!packet.datagrams(2, None, 0, &mut BytesMut::new(), |_| panic!("too large")));
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let length = bytes.len();
            match Datagram::parse(Bytes::from(bytes)) {
                Some(Datagram::Packet(packet, _)) => prop_assert!(packet.len() + 1 >= length),
                Some(Datagram::Part(_, packet)) => prop_assert_eq!(packet.len() + CUT_BYTES, length),
                None => {}
            }
        }

        #[test]
        fn any_record_header_is_read_or_refused(bytes: [u8; RECORD_HEADER_BYTES]) {
            if let Ok(header) = RecordHeader::parse(&bytes) {
                prop_assert!(header.bytes <= MAX_PACKET_BYTES);
                prop_assert!(header.offload != Offload::Segments(0));
            }
        }
    }
}
