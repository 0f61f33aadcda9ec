//! Packets on a lane stream: one byte that says what the stream is, then records of a 16-bit length and an IP packet.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::frames::CloseCode;

/// The first byte of a lane stream: IP packets as records. Other values are reserved.
pub const LANE_PREAMBLE: [u8; 1] = [0x01];
/// No tunnel of ours has a larger MTU.
pub const MAX_RECORD_BYTES: usize = 9_000;
const LENGTH_BYTES: usize = 2;

/// The bytes of one record, behind `preamble`.
pub fn record(preamble: &[u8], packet: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(preamble.len() + LENGTH_BYTES + packet.len());
    bytes.put_slice(preamble);
    // A packet comes from the TUN, whose MTU fits sixteen bits.
    bytes.put_u16(packet.len() as u16);
    bytes.put_slice(packet);
    bytes.freeze()
}

/// Cuts one lane stream into packets. It never holds more than one record and what came with its end.
#[derive(Default)]
pub struct RecordReader {
    buffer: BytesMut,
    begun: bool,
}

impl RecordReader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet. An error ends the session with that code.
    #[allow(clippy::should_implement_trait)] // it can fail, and more may come after None
    pub fn next(&mut self) -> Result<Option<Bytes>, CloseCode> {
        if !self.begun {
            match self.buffer.first() {
                None => return Ok(None),
                Some(kind) if LANE_PREAMBLE == [*kind] => self.buffer.advance(1),
                Some(_) => return Err(CloseCode::ProtocolError),
            }
            self.begun = true;
        }
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_RECORD_BYTES {
            return Err(CloseCode::FrameTooLarge);
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_packets_in_any_portions_come_out_whole(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            portion in 1usize..50,
        ) {
            let mut stream = LANE_PREAMBLE.to_vec();
            for packet in &packets {
                stream.extend_from_slice(&record(&[], packet));
            }
            let mut reader = RecordReader::default();
            let mut read = Vec::new();
            for bytes in stream.chunks(portion) {
                reader.push(bytes);
                while let Some(packet) = reader.next().expect("a valid stream") {
                    read.push(packet.to_vec());
                }
            }
            prop_assert_eq!(read, packets);
        }
    }

    #[test]
    fn refuses_what_is_too_long_or_of_another_kind() {
        let mut reader = RecordReader::default();
        reader.push(&[0x02]);
        assert_eq!(reader.next(), Err(CloseCode::ProtocolError));
        let mut reader = RecordReader::default();
        reader.push(&[0x01, 0xff, 0xff]);
        assert_eq!(reader.next(), Err(CloseCode::FrameTooLarge));
    }
}
