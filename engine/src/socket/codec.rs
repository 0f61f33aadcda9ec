//! One message = length u32 big-endian + one MessagePack map of that length.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    bounded::LIMIT_PREFIX,
    messages::{
        ApplyCommand, Command, CommandError, HelloCommand, MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES,
        Request, SendCommand, ServerMessage, codes,
    },
};
use crate::frames::valid_kind;

const LENGTH_BYTES: usize = 4;
/// A desired state nests six deep; more is an attack on the stack.
const MAX_DEPTH: usize = 16;

/// A request that can't be carried out; its id where one could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRequest {
    pub id: u32,
    pub error: CommandError,
}

fn announced_bytes(input: &[u8]) -> Option<usize> {
    let length = input.first_chunk::<LENGTH_BYTES>()?;
    Some(u32::from_be_bytes(*length) as usize)
}

/// The id of failures that answer no request. Clients number theirs from 1.
pub(super) const NO_REQUEST: u32 = 0;

/// Whether `take_message` would give a message or an error.
pub(super) fn has_message(input: &[u8]) -> bool {
    announced_bytes(input)
        .is_some_and(|length| length > MAX_FRAME_BYTES || input.len() >= LENGTH_BYTES + length)
}

/// Takes one complete message from the front of `input`; None when more bytes are needed.
pub(crate) fn take_message(input: &mut BytesMut) -> Result<Option<Bytes>, CommandError> {
    let Some(length) = announced_bytes(input) else {
        return Ok(None);
    };
    if length > MAX_FRAME_BYTES {
        let message = format!("frame of {length} bytes, at most {MAX_FRAME_BYTES}");
        return Err(CommandError::new(codes::FRAME_TOO_LARGE, message));
    }
    if input.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    input.advance(LENGTH_BYTES);
    Ok(Some(input.split_to(length).freeze()))
}

/// Parses in two steps, the command's type first, so that nothing of unknown shape is ever kept in memory.
pub(crate) fn read_request(message: &[u8]) -> Result<Request, BadRequest> {
    let head: Head = parse(message).map_err(|error| BadRequest {
        id: parse::<OnlyId>(message).map_or(NO_REQUEST, |only| only.id),
        error,
    })?;
    let command = match head.command.kind.as_str() {
        "hello" => read_body::<HelloCommand>(message).map(Command::Hello),
        "describe" => Ok(Command::Describe),
        "apply" => read_body::<ApplyCommand>(message).map(|apply| Command::Apply(Box::new(apply))),
        "send" => read_body(message).and_then(checked_send).map(Command::Send),
        "stop" => Ok(Command::Stop),
        unknown => Err(CommandError::new(
            codes::UNKNOWN_COMMAND,
            format!("no command {unknown:.32?}"),
        )),
    };
    match command {
        Ok(command) => Ok(Request {
            id: head.id,
            command,
        }),
        Err(error) => Err(BadRequest { id: head.id, error }),
    }
}

/// A message with its length in front.
pub(super) fn write_message(message: &ServerMessage) -> Result<Bytes, CommandError> {
    let mut output = vec![0; LENGTH_BYTES];
    let mut serializer = rmp_serde::Serializer::new(&mut output).with_struct_map();
    message
        .serialize(&mut serializer)
        .expect("messages of this module are serializable");
    let length = output.len() - LENGTH_BYTES;
    if length > MAX_FRAME_BYTES {
        let message = format!("answer of {length} bytes, at most {MAX_FRAME_BYTES}");
        return Err(CommandError::new(codes::LIMIT_EXCEEDED, message));
    }
    output[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(output.into())
}

#[derive(Deserialize)]
struct OnlyId {
    id: u32,
}

#[derive(Deserialize)]
struct Head {
    id: u32,
    command: Kind,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// A request whose command is known to be a `T`.
#[derive(Deserialize)]
struct Body<T> {
    command: T,
}

fn read_body<T: DeserializeOwned>(message: &[u8]) -> Result<T, CommandError> {
    parse::<Body<T>>(message).map(|body| body.command)
}

fn checked_send(send: SendCommand) -> Result<SendCommand, CommandError> {
    if !valid_kind(&send.kind) {
        let message = "kind: 1 to 64 visible ASCII characters";
        return Err(CommandError::new(codes::INVALID_ARGUMENT, message));
    }
    if send.payload.len() > MAX_PAYLOAD_BYTES {
        let message = format!("payload: at most {MAX_PAYLOAD_BYTES} bytes");
        return Err(CommandError::new(codes::TOO_LARGE, message));
    }
    Ok(send)
}

fn parse<T: DeserializeOwned>(message: &[u8]) -> Result<T, CommandError> {
    let mut rest = message;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut deserializer).map_err(|error| refusal(&error))?;
    if !rest.is_empty() {
        let message = format!("{} bytes after the message", rest.len());
        return Err(CommandError::new(codes::MALFORMED, message));
    }
    Ok(value)
}

fn refusal(error: &rmp_serde::decode::Error) -> CommandError {
    let text = error.to_string();
    let code = match text.contains(LIMIT_PREFIX) {
        true => codes::LIMIT_EXCEEDED,
        false => codes::MALFORMED,
    };
    CommandError::new(code, text)
}
