//! Packets on a lane stream: a preamble that says what the stream is and of which class, then records (`forms`).

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::class::TrafficClass;
use super::forms::{RECORD_HEADER_BYTES, RecordHeader};
use crate::frames::CloseCode;
use crate::packet::Offload;

/// The first byte of a lane stream: IP packets as records. Other values are reserved.
const RECORDS: u8 = 0x01;
/// Kind and class.
const PREAMBLE_BYTES: usize = 2;
/// Each chunk holds the memory of the packet that it came in. Smaller ones are copied, together: a peer that sends a record byte by
/// byte makes us hold the record, not as many packets.
const SMALL_BYTES: usize = 256;

pub fn preamble(class: TrafficClass) -> Bytes {
    Bytes::copy_from_slice(&[RECORDS, class.number()])
}

/// Cuts one lane stream into packets, without copying them. What it holds is bounded by one record and the chunks that were pushed
/// with its end, and by so many packets as that is of `SMALL_BYTES`.
#[derive(Default)]
pub struct RecordReader {
    chunks: VecDeque<Bytes>,
    /// Small chunks behind the others.
    small: BytesMut,
    available: usize,
    class: Option<TrafficClass>,
    header: Option<RecordHeader>,
}

impl RecordReader {
    pub fn push(&mut self, bytes: Bytes) {
        self.available += bytes.len();
        if bytes.len() < SMALL_BYTES {
            self.small.extend_from_slice(&bytes);
        } else {
            self.settle_small();
            self.chunks.push_back(bytes);
        }
    }

    /// Puts the small chunks where they belong.
    fn settle_small(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }

    /// Puts the next whole packet into `parts`, which is cleared before. An error ends the session with that code.
    pub fn next(
        &mut self,
        parts: &mut Vec<Bytes>,
    ) -> Result<Option<(TrafficClass, Offload)>, CloseCode> {
        let Some(class) = self.class()? else {
            return Ok(None);
        };
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        if self.available < header.bytes {
            return Ok(None);
        }
        self.header = None;
        parts.clear();
        self.take(header.bytes, |part| parts.push(part));
        Ok(Some((class, header.offload)))
    }

    fn class(&mut self) -> Result<Option<TrafficClass>, CloseCode> {
        if self.class.is_none() && self.available >= PREAMBLE_BYTES {
            let [kind, class] = self.take_array();
            if kind != RECORDS {
                return Err(CloseCode::ProtocolError);
            }
            self.class = Some(TrafficClass::from_number(class).ok_or(CloseCode::ProtocolError)?);
        }
        Ok(self.class)
    }

    fn header(&mut self) -> Result<Option<RecordHeader>, CloseCode> {
        if self.header.is_none() && self.available >= RECORD_HEADER_BYTES {
            self.header = Some(RecordHeader::parse(&self.take_array())?);
        }
        Ok(self.header)
    }

    fn take_array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let mut filled = 0;
        self.take(N, |part| {
            array[filled..filled + part.len()].copy_from_slice(&part);
            filled += part.len();
        });
        array
    }

    /// Gives the next `bytes` bytes, which are there, in parts.
    fn take(&mut self, mut bytes: usize, mut each: impl FnMut(Bytes)) {
        self.available -= bytes;
        while bytes > 0 {
            if self.chunks.is_empty() {
                self.settle_small();
            }
            let Some(front) = self.chunks.front_mut() else {
                return;
            };
            if front.len() > bytes {
                each(front.slice(..bytes));
                front.advance(bytes);
                return;
            }
            bytes -= front.len();
            self.chunks.pop_front().into_iter().for_each(&mut each);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::forms::packet_of;
    use super::*;

    proptest! {
        #[test]
        fn any_packets_in_any_portions_come_out_whole(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            segment in 0u16..3, portion in 1usize..50,
        ) {
            let offload = match segment {
                0 => Offload::Checksum,
                segment => Offload::Segments(segment),
            };
            let mut stream = preamble(TrafficClass::Bulk).to_vec();
            for packet in &packets {
                stream.extend_from_slice(&packet_of(packet, offload).record());
            }
            let mut reader = RecordReader::default();
            let (mut read, mut parts) = (Vec::new(), Vec::new());
            for bytes in stream.chunks(portion) {
                reader.push(Bytes::copy_from_slice(bytes));
                while let Some(found) = reader.next(&mut parts).expect("a valid stream") {
                    prop_assert_eq!(found, (TrafficClass::Bulk, offload));
                    read.push(parts.concat());
                }
            }
            prop_assert_eq!(read, packets);
        }

        #[test]
        fn anything_else_is_refused_or_waits(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut reader = RecordReader::default();
            reader.push(Bytes::from(bytes));
            let mut parts = Vec::new();
            while let Ok(Some(_)) = reader.next(&mut parts) {}
        }
    }

    #[test]
    fn refuses_what_is_too_long_or_of_another_kind() {
        let refusal = |bytes: &'static [u8]| {
            let mut reader = RecordReader::default();
            reader.push(Bytes::from_static(bytes));
            reader.next(&mut Vec::new()).expect_err("a refusal")
        };
        assert_eq!(refusal(&[2, 0]), CloseCode::ProtocolError);
        assert_eq!(refusal(&[1, 6]), CloseCode::ProtocolError);
        assert_eq!(refusal(&[1, 0, 1, 0, 0, 0, 0, 0]), CloseCode::FrameTooLarge);
        assert_eq!(
            refusal(&[1, 0, 0, 0, 9, 0, 0, 0x30]),
            CloseCode::ProtocolError
        );
    }

    #[test]
    fn a_record_byte_by_byte_is_held_once() {
        let mut reader = RecordReader::default();
        reader.push(preamble(TrafficClass::Bulk));
        reader.push(
            packet_of(&[7; 60_000], Offload::Complete)
                .record()
                .slice(..50_000),
        );
        let mut parts = Vec::new();
        let packet = Bytes::from(vec![7; 1_200]);
        for _ in 50_000..60_006 {
            assert_eq!(reader.next(&mut parts), Ok(None));
            reader.push(packet.slice(..1));
        }
        assert!(packet.is_unique(), "no packet is held for one byte of it");
        assert!(reader.chunks.len() < 3 && reader.small.capacity() < 40_000);
        let read = reader.next(&mut parts).expect("a record");
        assert_eq!(read, Some((TrafficClass::Bulk, Offload::Complete)));
        assert_eq!(parts.concat(), [7; 60_000]);
    }
}
