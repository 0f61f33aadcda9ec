//! The header of a frame: `version u8 | type u8 | flags u8 | length varint`.

use super::{
    FrameError,
    varint::{self, Varint},
};
use crate::frames::CloseCode;

const FIXED_BYTES: usize = 3;
pub const MAX_HEADER_BYTES: usize = FIXED_BYTES + varint::MAX_BYTES;

/// A receiver that doesn't know the type must end the session.
const CRITICAL: u8 = 0x01;

/// Types in use. Reserved for later rows of the mission: 0x08 ROUTE_UPDATE, 0x10 OPEN_STREAM, 0x11 DATA, 0x12 ACK,
/// 0x14 CLOSE_STREAM, 0x15 RESET_STREAM. Until they mean something they are unknown types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    Hello = 0x01,
    Auth = 0x02,
    SessionReady = 0x03,
    Ping = 0x04,
    Pong = 0x05,
    GoAway = 0x06,
    Message = 0x07,
    NodePressure = 0x09,
    StreamCredit = 0x13,
}

impl FrameType {
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0x01 => Self::Hello,
            0x02 => Self::Auth,
            0x03 => Self::SessionReady,
            0x04 => Self::Ping,
            0x05 => Self::Pong,
            0x06 => Self::GoAway,
            0x07 => Self::Message,
            0x09 => Self::NodePressure,
            0x13 => Self::StreamCredit,
            _ => return None,
        })
    }
}

/// A header that a receiver can act on: its type is known, or may be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// None: unknown and not critical.
    pub frame_type: Option<FrameType>,
    /// Bytes of the header itself.
    pub header_bytes: usize,
    /// Bytes of the fields after it.
    pub length: usize,
}

impl Header {
    /// Reads the header at the beginning of `input`; None when more bytes are needed. What can be refused is refused at its
    /// first byte, before anything is waited for or kept.
    pub fn read(input: &[u8], version: u8, limit: u32) -> Result<Option<Self>, FrameError> {
        if let Some(&found) = input.first()
            && found != version
        {
            return Err(FrameError::protocol(format!(
                "frame of version {found}, expected {version}"
            )));
        }
        let Some(&[_, number, flags]) = input.first_chunk::<FIXED_BYTES>() else {
            return Ok(None);
        };
        let frame_type = known_type(number, flags)?;
        let (length, length_bytes) = match varint::read(&input[FIXED_BYTES..]) {
            Varint::Incomplete => return Ok(None),
            Varint::NotShortest => {
                return Err(FrameError::protocol("frame length not in shortest form"));
            }
            Varint::Value { value, bytes } => (value, bytes),
        };
        if length > u64::from(limit) {
            return Err(FrameError::new(
                CloseCode::FrameTooLarge,
                format!("frame of {length} bytes, at most {limit}"),
            ));
        }
        Ok(Some(Self {
            frame_type,
            header_bytes: FIXED_BYTES + length_bytes,
            length: length as usize,
        }))
    }

    /// The header of a frame of a type in use; all of those are critical.
    pub fn write(frame_type: FrameType, version: u8, length: usize) -> Vec<u8> {
        let mut output = vec![version, frame_type as u8, CRITICAL];
        varint::write(length as u64, &mut output);
        output
    }
}

fn known_type(number: u8, flags: u8) -> Result<Option<FrameType>, FrameError> {
    if flags & !CRITICAL != 0 {
        return Err(FrameError::protocol(format!("reserved flags {flags:#04x}")));
    }
    let critical = flags & CRITICAL != 0;
    match FrameType::from_number(number) {
        None if critical => Err(FrameError::new(
            CloseCode::UnknownFrame,
            format!("unknown critical frame type {number:#04x}"),
        )),
        Some(known) if !critical => Err(FrameError::protocol(format!(
            "{known:?} not marked critical"
        ))),
        frame_type => Ok(frame_type),
    }
}
