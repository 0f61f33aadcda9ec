//! The published test vectors (vectors/frames.json), which any other implementation of docs/wire/frames.md must pass too.

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Auth, Authority, Decoder, Frame, FrameError, Hello, MAX_FRAME_BYTES, NodePressure,
    SessionReady, StreamCredit, VERSION,
};

/// The file's `bindings` belong to the tests of `session`.
#[derive(Deserialize)]
struct Vectors {
    frames: Vec<Accepted>,
    skipped: Vec<Skipped>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    name: String,
    hex: String,
    frame: FrameVector,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    name: String,
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    name: String,
    hex: String,
    /// Accepted frame length; absent: the greatest.
    limit: Option<u32>,
    code: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
enum FrameVector {
    #[serde(rename = "HELLO")]
    Hello {
        min_version: u8,
        max_version: u8,
        capability: u16,
        node: String,
    },
    #[serde(rename = "AUTH")]
    Auth {
        term: u64,
        epoch: u64,
        binding: String,
    },
    #[serde(rename = "SESSION_READY")]
    SessionReady {
        max_frame_bytes: u32,
        term: u64,
        epoch: u64,
    },
    #[serde(rename = "PING")]
    Ping { id: u64 },
    #[serde(rename = "PONG")]
    Pong { id: u64 },
    #[serde(rename = "GOAWAY")]
    GoAway { code: u32, reason: String },
    #[serde(rename = "MESSAGE")]
    Message { kind: String, payload: String },
    #[serde(rename = "NODE_PRESSURE")]
    NodePressure { level: u8, score: u8, reasons: u16 },
    #[serde(rename = "STREAM_CREDIT")]
    StreamCredit { class: u8, bytes_per_second: u64 },
}

impl From<FrameVector> for Frame {
    fn from(vector: FrameVector) -> Self {
        match vector {
            FrameVector::Hello {
                min_version,
                max_version,
                capability,
                node,
            } => Self::Hello(Hello {
                min_version,
                max_version,
                capability,
                node,
            }),
            FrameVector::Auth {
                term,
                epoch,
                binding,
            } => Self::Auth(Auth {
                authority: Authority { term, epoch },
                binding: unhex(&binding).try_into().expect("32 bytes"),
            }),
            FrameVector::SessionReady {
                max_frame_bytes,
                term,
                epoch,
            } => Self::SessionReady(SessionReady {
                max_frame_bytes,
                authority: Authority { term, epoch },
            }),
            FrameVector::Ping { id } => Self::Ping { id },
            FrameVector::Pong { id } => Self::Pong { id },
            FrameVector::GoAway { code, reason } => Self::GoAway { code, reason },
            FrameVector::Message { kind, payload } => Self::Message {
                kind,
                payload: Bytes::from(payload),
            },
            FrameVector::NodePressure {
                level,
                score,
                reasons,
            } => Self::NodePressure(NodePressure {
                level,
                score,
                reasons,
            }),
            FrameVector::StreamCredit {
                class,
                bytes_per_second,
            } => Self::StreamCredit(StreamCredit {
                class,
                bytes_per_second,
            }),
        }
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../vectors/frames.json")).expect("vectors are valid")
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

/// The one frame in `bytes`; None when it is to be skipped.
fn read(bytes: &[u8], limit: u32) -> Result<Option<Frame>, FrameError> {
    let mut input = bytes;
    let raw = Decoder::new(limit)
        .next(&mut input)?
        .expect("a complete frame");
    assert!(input.is_empty(), "bytes after the frame");
    Frame::read(raw)
}

#[test]
fn each_frame_is_read_and_written_as_published() {
    for Accepted { name, hex, frame } in vectors().frames {
        let bytes = unhex(&hex);
        let frame = Frame::from(frame);
        assert_eq!(
            read(&bytes, MAX_FRAME_BYTES).as_ref(),
            Ok(&Some(frame.clone())),
            "{name}"
        );
        let mut chunks: Vec<Bytes> = Vec::new();
        frame.write(VERSION, &mut chunks);
        assert_eq!(chunks.concat(), bytes, "{name}");
    }
}

#[test]
fn unknown_types_that_are_not_critical_are_skipped() {
    for Skipped { name, hex } in vectors().skipped {
        assert_eq!(read(&unhex(&hex), MAX_FRAME_BYTES), Ok(None), "{name}");
    }
}

#[test]
fn each_broken_frame_is_refused_with_its_code() {
    for refused in vectors().refused {
        let limit = refused.limit.unwrap_or(MAX_FRAME_BYTES);
        let error = read(&unhex(&refused.hex), limit).expect_err(&refused.name);
        assert_eq!(error.code.name(), refused.code, "{}", refused.name);
    }
}
