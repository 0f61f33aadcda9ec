//! A connection of the QUIC library whose faults end it and nothing else.
//!
//! The library asserts what it believes of its own state, and what the network sends has been seen to prove it wrong. So every
//! call into a connection that changes it goes through here; after a panic the connection is gone, as if it had drained.

use noq_proto::{Connection, EndpointEvent};

use crate::panics::contain;

pub(super) struct Contained {
    /// Boxed: it is large, and moves with its place in the table.
    connection: Option<Box<Connection>>,
    /// The endpoint and the owner are yet to be told that it broke.
    endpoint_told: bool,
    owner_told: bool,
}

impl Contained {
    pub fn new(connection: Connection) -> Contained {
        Contained {
            connection: Some(Box::new(connection)),
            endpoint_told: false,
            owner_told: false,
        }
    }

    /// `None` when it broke, now or before.
    pub fn call<T>(&mut self, work: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        let connection = self.connection.as_mut()?;
        let outcome = contain(|| work(connection));
        if outcome.is_none() {
            self.connection = None;
        }
        outcome
    }

    /// For what changes nothing and can't fail.
    pub fn look<T>(&self, work: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.connection.as_deref().map(work)
    }

    pub fn poll_endpoint_event(&mut self) -> Option<EndpointEvent> {
        let event = self.call(Connection::poll_endpoint_events).flatten();
        let broken = self.connection.is_none() && !self.endpoint_told;
        self.endpoint_told |= broken;
        event.or_else(|| broken.then(EndpointEvent::drained))
    }

    /// True once after it broke.
    pub fn take_fault(&mut self) -> bool {
        let broken = self.connection.is_none() && !self.owner_told;
        self.owner_told |= broken;
        broken
    }
}
