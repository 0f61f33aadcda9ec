//! The packet loop's end of the socket, and the two queues between it and the server thread.
//!
//! Bounds: commands by number, replies by the commands; events by number and bytes, after which they are dropped and one
//! `resync` stands for them.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    MAX_CLIENTS, MAX_IN_FLIGHT,
    messages::{Command, CommandError, CommandResult, Event},
    wake::Wake,
};

/// All that the clients may have in flight; more is left by clients that went away.
const MAX_COMMANDS: usize = MAX_CLIENTS * MAX_IN_FLIGHT;
/// A burst of every peer of a small cluster reconnecting at once, twice.
const MAX_EVENTS: usize = 1_024;
/// Payloads of sixteen greatest messages.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// Which request of which connection a reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub(super) connection: u64,
    pub(super) request: u32,
}

/// A command that waits for its reply.
#[derive(Debug)]
pub struct Submitted {
    pub ticket: Ticket,
    pub command: Command,
}

/// What the packet loop said, in order.
#[derive(Debug)]
pub(super) enum Outgoing {
    Reply(Ticket, Result<CommandResult, CommandError>),
    Event(Event),
    /// Events were dropped here.
    Lost,
}

#[derive(Default)]
struct OutgoingQueue {
    queue: VecDeque<Outgoing>,
    events: usize,
    event_bytes: usize,
    losing: bool,
}

struct Queues {
    commands: Mutex<VecDeque<Submitted>>,
    outgoing: Mutex<OutgoingQueue>,
    commands_wait: Wake,
    outgoing_waits: Wake,
}

/// The packet loop's end.
pub struct Port(Arc<Queues>);

/// The server thread's end.
#[derive(Clone)]
pub(super) struct ServerPort(Arc<Queues>);

pub(super) fn ports() -> std::io::Result<(Port, ServerPort)> {
    let queues = Arc::new(Queues {
        commands: Mutex::default(),
        outgoing: Mutex::default(),
        commands_wait: Wake::new()?,
        outgoing_waits: Wake::new()?,
    });
    Ok((Port(Arc::clone(&queues)), ServerPort(queues)))
}

impl AsFd for Port {
    /// Readable while commands wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.commands_wait.as_fd()
    }
}

impl Port {
    /// The next command; None when all were taken. Each must be answered by `reply` once.
    pub fn next_command(&mut self) -> Option<Submitted> {
        let mut commands = lock(&self.0.commands);
        if commands.is_empty() {
            self.0.commands_wait.clear();
        }
        commands.pop_front()
    }

    pub fn reply(&mut self, ticket: Ticket, outcome: Result<CommandResult, CommandError>) {
        let mut outgoing = lock(&self.0.outgoing);
        outgoing.queue.push_back(Outgoing::Reply(ticket, outcome));
        self.0.outgoing_waits.ring();
    }

    /// Tells every client; false when the event was dropped because the server thread is far behind.
    pub fn publish(&mut self, event: Event) -> bool {
        let mut outgoing = lock(&self.0.outgoing);
        let bytes = payload_bytes(&event);
        if outgoing.events == MAX_EVENTS || outgoing.event_bytes + bytes > MAX_EVENT_BYTES {
            if !outgoing.losing {
                outgoing.losing = true;
                outgoing.queue.push_back(Outgoing::Lost);
            }
            return false;
        }
        outgoing.events += 1;
        outgoing.event_bytes += bytes;
        outgoing.queue.push_back(Outgoing::Event(event));
        self.0.outgoing_waits.ring();
        true
    }
}

impl AsFd for ServerPort {
    /// Readable while something is to be sent, or the server is to stop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.outgoing_waits.as_fd()
    }
}

impl ServerPort {
    /// False: too many commands wait already.
    pub fn submit(&self, submitted: Submitted) -> bool {
        let mut commands = lock(&self.0.commands);
        if commands.len() == MAX_COMMANDS {
            return false;
        }
        commands.push_back(submitted);
        self.0.commands_wait.ring();
        true
    }

    /// Everything that the packet loop said since the last call.
    pub fn take_outgoing(&self) -> VecDeque<Outgoing> {
        self.0.outgoing_waits.clear();
        std::mem::take(&mut *lock(&self.0.outgoing)).queue
    }

    pub fn wake(&self) {
        self.0.outgoing_waits.ring();
    }
}

fn payload_bytes(event: &Event) -> usize {
    match event {
        Event::Message { payload, .. } => payload.len(),
        _ => 0,
    }
}

/// The queues stay consistent at every point where a holder could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(bytes: usize) -> Event {
        Event::Message {
            peer: "peer".into(),
            kind: "kind".into(),
            payload: Bytes::from(vec![0; bytes]),
        }
    }

    #[test]
    fn events_above_the_bound_are_dropped_and_leave_one_mark() {
        let (mut port, server) = ports().expect("descriptors");
        let kept = (0..MAX_EVENTS + 10)
            .filter(|_| port.publish(Event::Resync))
            .count();
        assert_eq!(kept, MAX_EVENTS);
        let taken = server.take_outgoing();
        assert_eq!(taken.len(), MAX_EVENTS + 1);
        assert!(matches!(taken.back(), Some(Outgoing::Lost)));
        assert!(port.publish(Event::Resync), "there is room again");
    }

    #[test]
    fn events_are_bounded_by_their_bytes_too() {
        let (mut port, server) = ports().expect("descriptors");
        let size = 1024 * 1024;
        let kept = (0..100).filter(|_| port.publish(message(size))).count();
        assert_eq!(kept * size, MAX_EVENT_BYTES);
        assert_eq!(server.take_outgoing().len(), kept + 1);
    }
}
