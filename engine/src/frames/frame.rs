//! The fields of each frame. Numbers are big-endian and of fixed width; a text or payload at the end takes what is left.

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::{FrameError, FrameType, Header, RawFrame};

/// The SPIFFE id in HELLO; ours are below 128 bytes.
pub const MAX_NODE_BYTES: usize = 256;
/// The kind of a MESSAGE.
pub const MAX_KIND_BYTES: usize = 64;
/// The payload of a MESSAGE: a signed document with room to spare.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// The sentence in GOAWAY.
pub const MAX_REASON_BYTES: usize = 256;
/// An HMAC-SHA256.
pub const BINDING_BYTES: usize = 32;

/// A decision of the cluster's authority; ordered by term, then epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    #[cfg_attr(test, ts(type = "number"))]
    pub term: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub epoch: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Hello(Hello),
    Auth(Auth),
    SessionReady(SessionReady),
    /// Asks for a PONG with the same id.
    Ping {
        id: u64,
    },
    Pong {
        id: u64,
    },
    /// The sender sends no more messages and waits for the same from the receiver.
    GoAway {
        code: u32,
        reason: String,
    },
    /// An envelope of the layers above.
    Message {
        kind: String,
        payload: Bytes,
    },
    NodePressure(NodePressure),
    StreamCredit(StreamCredit),
}

/// How hard it is for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePressure {
    /// 0 nominal, 1 warning, 2 critical.
    pub level: u8,
    /// 0 to 100.
    pub score: u8,
    /// A bit for each; those that mean nothing yet are passed over.
    pub reasons: u16,
}

/// How much of a class the sender takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCredit {
    pub class: u8,
    pub bytes_per_second: u64,
}

/// Critical.
const MAX_LEVEL: u8 = 2;
/// A score is of a hundred.
const MAX_SCORE: u8 = 100;
/// Droppable, the last of the six traffic classes.
const MAX_CLASS: u8 = 5;

/// Who the sender is and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub min_version: u8,
    pub max_version: u8,
    pub capability: u16,
    /// SPIFFE id; must be the one of the sender's certificate.
    pub node: String,
}

/// Binds the authority that the sender reflects to this TLS session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub authority: Authority,
    pub binding: [u8; BINDING_BYTES],
}

/// The sender accepts this session, with these limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReady {
    /// The greatest frame length that the sender accepts from now on.
    pub max_frame_bytes: u32,
    /// The sender's authority, as in its AUTH.
    pub authority: Authority,
}

/// A kind is 1 to 64 visible ASCII characters.
pub fn valid_kind(kind: &str) -> bool {
    (1..=MAX_KIND_BYTES).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Frame {
    /// Reads the fields of a complete frame; None when its type is to be skipped.
    pub fn read(raw: RawFrame) -> Result<Option<Self>, FrameError> {
        let Some(frame_type) = raw.frame_type else {
            return Ok(None);
        };
        let mut fields = Fields {
            frame_type,
            rest: raw.fields,
        };
        let frame = match frame_type {
            FrameType::Hello => Self::Hello(read_hello(&mut fields)?),
            FrameType::Auth => Self::Auth(read_auth(&mut fields)?),
            FrameType::SessionReady => Self::SessionReady(read_session_ready(&mut fields)?),
            FrameType::Ping => Self::Ping { id: fields.u64()? },
            FrameType::Pong => Self::Pong { id: fields.u64()? },
            FrameType::GoAway => read_goaway(&mut fields)?,
            FrameType::Message => read_message(&mut fields)?,
            FrameType::NodePressure => Self::NodePressure(read_node_pressure(&mut fields)?),
            FrameType::StreamCredit => Self::StreamCredit(read_stream_credit(&mut fields)?),
        };
        fields.end()?;
        Ok(Some(frame))
    }

    /// Appends the frame to `output` as one or two chunks; a payload is not copied. Bounds of texts and payloads are the
    /// caller's duty: a longer one is a mistake of the program.
    pub fn write(self, version: u8, output: &mut impl Extend<Bytes>) {
        let (frame_type, fields, payload) = self.into_fields();
        let mut head = Header::write(frame_type, version, fields.len() + payload.len());
        head.extend_from_slice(&fields);
        output.extend([Bytes::from(head)]);
        if !payload.is_empty() {
            output.extend([payload]);
        }
    }

    fn into_fields(self) -> (FrameType, Vec<u8>, Bytes) {
        let mut fields = Vec::new();
        match self {
            Self::Hello(hello) => {
                assert!(hello.node.len() <= MAX_NODE_BYTES, "node id within bounds");
                fields.extend([hello.min_version, hello.max_version]);
                fields.extend(hello.capability.to_be_bytes());
                fields.extend(hello.node.as_bytes());
                (FrameType::Hello, fields, Bytes::new())
            }
            Self::Auth(auth) => {
                write_authority(auth.authority, &mut fields);
                fields.extend(auth.binding);
                (FrameType::Auth, fields, Bytes::new())
            }
            Self::SessionReady(ready) => {
                fields.extend(ready.max_frame_bytes.to_be_bytes());
                write_authority(ready.authority, &mut fields);
                (FrameType::SessionReady, fields, Bytes::new())
            }
            Self::Ping { id } => (FrameType::Ping, id.to_be_bytes().into(), Bytes::new()),
            Self::Pong { id } => (FrameType::Pong, id.to_be_bytes().into(), Bytes::new()),
            Self::GoAway { code, reason } => {
                assert!(reason.len() <= MAX_REASON_BYTES, "reason within bounds");
                fields.extend(code.to_be_bytes());
                fields.extend(reason.as_bytes());
                (FrameType::GoAway, fields, Bytes::new())
            }
            Self::Message { kind, payload } => {
                assert!(valid_kind(&kind), "kind within bounds");
                assert!(payload.len() <= MAX_PAYLOAD_BYTES, "payload within bounds");
                fields.push(kind.len() as u8);
                fields.extend(kind.as_bytes());
                (FrameType::Message, fields, payload)
            }
            Self::NodePressure(pressure) => {
                fields.extend([pressure.level, pressure.score]);
                fields.extend(pressure.reasons.to_be_bytes());
                (FrameType::NodePressure, fields, Bytes::new())
            }
            Self::StreamCredit(credit) => {
                fields.push(credit.class);
                fields.extend(credit.bytes_per_second.to_be_bytes());
                (FrameType::StreamCredit, fields, Bytes::new())
            }
        }
    }
}

fn write_authority(authority: Authority, output: &mut Vec<u8>) {
    output.extend(authority.term.to_be_bytes());
    output.extend(authority.epoch.to_be_bytes());
}

fn read_hello(fields: &mut Fields) -> Result<Hello, FrameError> {
    let [min_version, max_version] = fields.array()?;
    let capability = u16::from_be_bytes(fields.array()?);
    let node = fields.text(MAX_NODE_BYTES)?;
    if min_version == 0 || min_version > max_version {
        return Err(fields.bad("version range is empty"));
    }
    Ok(Hello {
        min_version,
        max_version,
        capability,
        node,
    })
}

fn read_auth(fields: &mut Fields) -> Result<Auth, FrameError> {
    Ok(Auth {
        authority: fields.authority()?,
        binding: fields.array()?,
    })
}

fn read_session_ready(fields: &mut Fields) -> Result<SessionReady, FrameError> {
    Ok(SessionReady {
        max_frame_bytes: u32::from_be_bytes(fields.array()?),
        authority: fields.authority()?,
    })
}

fn read_goaway(fields: &mut Fields) -> Result<Frame, FrameError> {
    Ok(Frame::GoAway {
        code: u32::from_be_bytes(fields.array()?),
        reason: fields.text(MAX_REASON_BYTES)?,
    })
}

fn read_message(fields: &mut Fields) -> Result<Frame, FrameError> {
    let [kind_bytes] = fields.array()?;
    let kind = fields.take(usize::from(kind_bytes))?;
    let kind = std::str::from_utf8(&kind).unwrap_or_default();
    if !valid_kind(kind) {
        return Err(fields.bad("kind is not 1 to 64 visible ASCII characters"));
    }
    let payload = fields.rest();
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(fields.bad("payload too long"));
    }
    Ok(Frame::Message {
        kind: kind.to_owned(),
        payload,
    })
}

fn read_node_pressure(fields: &mut Fields) -> Result<NodePressure, FrameError> {
    let [level, score] = fields.array()?;
    let reasons = u16::from_be_bytes(fields.array()?);
    if level > MAX_LEVEL || score > MAX_SCORE {
        return Err(fields.bad("level or score above its greatest"));
    }
    Ok(NodePressure {
        level,
        score,
        reasons,
    })
}

fn read_stream_credit(fields: &mut Fields) -> Result<StreamCredit, FrameError> {
    let [class] = fields.array()?;
    let bytes_per_second = fields.u64()?;
    if class > MAX_CLASS {
        return Err(fields.bad("no class has this number"));
    }
    Ok(StreamCredit {
        class,
        bytes_per_second,
    })
}

/// The fields of one frame that were not read yet.
struct Fields {
    frame_type: FrameType,
    rest: Bytes,
}

impl Fields {
    fn bad(&self, problem: &str) -> FrameError {
        FrameError::protocol(format!("{:?}: {problem}", self.frame_type))
    }

    fn take(&mut self, bytes: usize) -> Result<Bytes, FrameError> {
        if bytes > self.rest.len() {
            return Err(self.bad("shorter than its fields"));
        }
        Ok(self.rest.split_to(bytes))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut array = [0; N];
        self.take(N)?.copy_to_slice(&mut array);
        Ok(array)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_be_bytes)
    }

    fn authority(&mut self) -> Result<Authority, FrameError> {
        Ok(Authority {
            term: self.u64()?,
            epoch: self.u64()?,
        })
    }

    fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    fn text(&mut self, max_bytes: usize) -> Result<String, FrameError> {
        let bytes = self.rest();
        if bytes.len() > max_bytes {
            return Err(self.bad("text too long"));
        }
        String::from_utf8(bytes.into()).map_err(|_| self.bad("text is not UTF-8"))
    }

    fn end(&self) -> Result<(), FrameError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.bad("longer than its fields"))
    }
}
