//! What is to be written to the control stream: bounded, so that a peer that does not read can't make us keep for ever.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::frames::Frame;

/// Messages that wait for a slow peer: four of the greatest.
const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// Room above that for the session's own small frames, some thousands of them.
const MAX_CONTROL_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Bytes>,
    queued_bytes: usize,
}

impl Outbox {
    /// Whether a message of this length may be queued.
    pub fn has_room_for(&self, message_bytes: usize) -> bool {
        self.queued_bytes + message_bytes <= MAX_QUEUED_BYTES
    }

    /// False: the peer makes us send faster than it reads.
    pub fn has_room_for_control(&self) -> bool {
        self.queued_bytes <= MAX_QUEUED_BYTES + MAX_CONTROL_BYTES
    }

    pub fn push(&mut self, frame: Frame, version: u8) {
        let before = self.chunks.len();
        frame.write(version, &mut self.chunks);
        self.queued_bytes += self.chunks.range(before..).map(Bytes::len).sum::<usize>();
    }

    pub fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.queued_bytes -= chunk.len();
        Some(chunk)
    }

    pub fn unpop(&mut self, rest: Bytes) {
        self.queued_bytes += rest.len();
        self.chunks.push_front(rest);
    }

    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }
}
