//! Frames of the control stream: their layout (docs/wire/frames.md is the authority) and an incremental decoder.
//!
//! A frame is `version u8 | type u8 | flags u8 | length varint | fields`. This module knows bytes only; which frame may come
//! when is the business of `session`.

mod capability;
mod close_code;
mod decoder;
mod frame;
mod header;
mod varint;

#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod vectors;

pub use capability::{CAPABILITY, KNOWS_PRESSURE};
pub use close_code::CloseCode;
pub use decoder::{Decoder, RawFrame};
pub use frame::{Auth, Authority, Frame, Hello, NodePressure, SessionReady, StreamCredit};
pub use frame::{MAX_KIND_BYTES, MAX_NODE_BYTES, MAX_PAYLOAD_BYTES, MAX_REASON_BYTES, valid_kind};
pub use header::{FrameType, Header, MAX_HEADER_BYTES};

/// Why bytes are not a frame. The session that they came on ends with `code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    pub code: CloseCode,
    pub message: String,
}

impl FrameError {
    pub(crate) fn new(code: CloseCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn protocol(message: impl Into<String>) -> Self {
        Self::new(CloseCode::ProtocolError, message)
    }
}

/// The version whose layout this module implements. HELLO keeps this layout and this number in every later version.
pub const VERSION: u8 = 1;

/// The greatest frame length that this engine accepts: one message with its kind.
pub const MAX_FRAME_BYTES: u32 = 1 + MAX_KIND_BYTES as u32 + MAX_PAYLOAD_BYTES as u32;

/// The greatest frame length before SESSION_READY: nothing of the handshake is longer than a SPIFFE id and a few numbers.
pub const MAX_HANDSHAKE_FRAME_BYTES: u32 = 1_024;
