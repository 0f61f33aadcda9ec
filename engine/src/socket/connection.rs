//! One client: what it sent that is not a whole request yet, and what waits to be written to it. Both are bounded.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use bytes::{Buf, Bytes, BytesMut};

use super::{
    MAX_IN_FLIGHT,
    codec::{BadRequest, NO_REQUEST, has_message, read_request, take_message, write_message},
    messages::{CommandError, CommandResult, Event, MAX_FRAME_BYTES, Request, ServerMessage},
};

/// Read at once; a greater request comes in several turns, so that no client keeps the others waiting.
const CHUNK_BYTES: usize = 64 * 1024;
/// Events that wait for a slow client: eight greatest messages, or thousands of the usual size.
const MAX_WAITING_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Nothing more can be read from or written to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

struct Outbound {
    bytes: Bytes,
    is_reply: bool,
}

pub(super) struct Connection {
    stream: UnixStream,
    input: BytesMut,
    output: VecDeque<Outbound>,
    waiting_event_bytes: usize,
    /// Requests whose reply is not written yet.
    in_flight: usize,
    /// It said hello, so it gets events.
    greeted: bool,
    /// Events were dropped that no `resync` stands for yet.
    events_lost: bool,
    /// Its last words are queued.
    closing: bool,
}

impl Connection {
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: VecDeque::new(),
            waiting_event_bytes: 0,
            in_flight: 0,
            greeted: false,
            events_lost: false,
            closing: false,
        }
    }

    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    pub fn greet(&mut self) {
        self.greeted = true;
    }

    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// While false, what the client sends stays in its socket: that is how it feels our bounds.
    pub fn wants_to_read(&self) -> bool {
        !self.closing && self.in_flight < MAX_IN_FLIGHT
    }

    pub fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads once. Only called when every complete request was taken, so at most one incomplete frame and a chunk are kept.
    pub fn read(&mut self) -> Result<(), Gone> {
        debug_assert!(self.input.len() <= MAX_FRAME_BYTES + CHUNK_BYTES);
        let mut chunk = [0; CHUNK_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Gone),
            Ok(bytes) => {
                self.input.extend_from_slice(&chunk[..bytes]);
                Ok(())
            }
            Err(error) if is_transient(&error) => Ok(()),
            Err(_) => Err(Gone),
        }
    }

    /// Whether `next_request` has something to do.
    pub fn has_request(&self) -> bool {
        self.wants_to_read() && has_message(&self.input)
    }

    /// The next request that may be carried out now. Bad ones are answered here; an oversized one ends the connection.
    pub fn next_request(&mut self) -> Option<Request> {
        while self.wants_to_read() {
            let message = match take_message(&mut self.input) {
                Ok(message) => message?,
                Err(error) => {
                    self.close_with(error);
                    return None;
                }
            };
            self.in_flight += 1;
            match read_request(&message) {
                Ok(request) => return Some(request),
                Err(BadRequest { id, error }) => self.reply(id, Err(error)),
            }
        }
        None
    }

    /// Answers one request that `next_request` gave.
    pub fn reply(&mut self, id: u32, outcome: Result<CommandResult, CommandError>) {
        let message = match outcome {
            Ok(result) => ServerMessage::Result { id, result },
            Err(error) => ServerMessage::Failure { id, error },
        };
        let bytes = write_message(&message)
            .or_else(|error| write_message(&ServerMessage::Failure { id, error }))
            .expect("a failure is short");
        self.output.push_back(Outbound {
            bytes,
            is_reply: true,
        });
    }

    /// Queues an encoded event, if the client gets events and keeps up with them.
    pub fn publish(&mut self, event: &Bytes) {
        if !self.greeted || self.closing {
            return;
        }
        let waiting = self.waiting_event_bytes + event.len();
        if self.events_lost || waiting > MAX_WAITING_EVENT_BYTES {
            self.lose_events();
            return;
        }
        self.push_event(event.clone());
    }

    /// From here on the client must describe again.
    pub fn lose_events(&mut self) {
        self.events_lost = self.greeted;
        self.resync_when_drained();
    }

    /// Says why and takes nothing more.
    pub fn close_with(&mut self, error: CommandError) {
        self.closing = true;
        self.in_flight += 1;
        self.reply(NO_REQUEST, Err(error));
    }

    /// Writes as much as the client takes.
    pub fn write(&mut self) -> Result<(), Gone> {
        while let Some(front) = self.output.front_mut() {
            match self.stream.write(&front.bytes) {
                Ok(0) => return Err(Gone),
                Ok(bytes) => self.written(bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_transient(&error) => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    fn written(&mut self, bytes: usize) {
        let Some(front) = self.output.front_mut() else {
            return;
        };
        front.bytes.advance(bytes);
        if front.is_reply {
            self.in_flight -= usize::from(front.bytes.is_empty());
        } else {
            self.waiting_event_bytes -= bytes;
        }
        if front.bytes.is_empty() {
            self.output.pop_front();
            self.resync_when_drained();
        }
    }

    /// One `resync` stands for all events that were dropped, after those that were not.
    fn resync_when_drained(&mut self) {
        if self.events_lost && self.waiting_event_bytes == 0 {
            self.events_lost = false;
            let event = Event::Resync;
            self.push_event(write_message(&ServerMessage::Event { event }).expect("short"));
        }
    }

    fn push_event(&mut self, bytes: Bytes) {
        self.waiting_event_bytes += bytes.len();
        self.output.push_back(Outbound {
            bytes,
            is_reply: false,
        });
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
