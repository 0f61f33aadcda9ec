//! Cuts a byte stream into frames. It keeps at most one frame that is not complete, so never more than a header and `limit`.

use bytes::{Buf, Bytes, BytesMut};

use super::{FrameError, FrameType, Header, MAX_HEADER_BYTES, VERSION};

/// A complete frame whose fields were not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// None: unknown, not critical, to be skipped.
    pub frame_type: Option<FrameType>,
    pub fields: Bytes,
}

#[derive(Debug)]
pub struct Decoder {
    version: u8,
    limit: u32,
    /// The beginning of the frame that is not complete yet.
    partial: BytesMut,
}

impl Decoder {
    pub fn new(limit: u32) -> Self {
        Self {
            version: VERSION,
            limit,
            partial: BytesMut::new(),
        }
    }

    /// The version that frames after this one carry.
    pub fn expect_version(&mut self, version: u8) {
        self.version = version;
    }

    /// The length that frames after this one may have.
    pub fn accept_frames_of(&mut self, limit: u32) {
        self.limit = limit;
    }

    pub fn buffered_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Takes from the front of `input` what belongs to the next frame; None when `input` is used up before its end.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<RawFrame>, FrameError> {
        loop {
            let header = Header::read(&self.partial, self.version, self.limit)?;
            let wanted = match header {
                Some(header) => header.header_bytes + header.length,
                // One byte more: a header is short, and its length is known only from its own bytes.
                None => self.partial.len() + 1,
            };
            debug_assert!(wanted <= MAX_HEADER_BYTES + self.limit as usize);
            let missing = wanted - self.partial.len();
            let taken = missing.min(input.len());
            self.partial.extend_from_slice(&input[..taken]);
            *input = &input[taken..];
            if taken < missing {
                return Ok(None);
            }
            if let Some(header) = header {
                return Ok(Some(self.complete(header)));
            }
        }
    }

    fn complete(&mut self, header: Header) -> RawFrame {
        let mut fields = self.partial.split().freeze();
        fields.advance(header.header_bytes);
        RawFrame {
            frame_type: header.frame_type,
            fields,
        }
    }
}
