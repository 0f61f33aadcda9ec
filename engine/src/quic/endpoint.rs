//! The QUIC endpoint of this process: finds the connection of each packet, makes connections, and keeps their timers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use noq_proto::{
    ClientConfig, ConnectError, ConnectionHandle, DatagramEvent, EcnCodepoint, FourTuple, Incoming,
    ServerConfig,
};

use super::congestion::Gauge;
use super::connection::{Connection, Transmit};
use super::identity::{Identity, IdentityError};
use super::reset_key::ResetKey;
use super::transport::{endpoint_config, transport_config};
use crate::panics::contain;
use crate::timers::Timers;

/// Handshakes that others began and that run at once. Beyond it a sender must first prove its address (Retry, RFC 9000 §8.1.2),
/// and beyond twice of it attempts are refused.
const MAX_HANDSHAKES: usize = 256;
/// TLS wants some name; who the other side is, the verifier decides by the SPIFFE id.
const SERVER_NAME: &str = "fabric";

/// Names a connection as long as it lives; used again afterwards.
pub type ConnectionKey = usize;

/// What became of a received packet.
pub enum Received {
    /// It was for this connection, which needs to be driven.
    Connection(ConnectionKey),
    /// It made this connection.
    Accepted(ConnectionKey),
    /// It is answered without a connection: the bytes are in the buffer given.
    Answer(Transmit),
    Nothing,
}

#[derive(Debug)]
pub enum DialError {
    NoIdentity,
    Failed(String),
}

impl From<IdentityError> for DialError {
    fn from(error: IdentityError) -> Self {
        DialError::Failed(format!("{error:?}"))
    }
}

impl From<ConnectError> for DialError {
    fn from(error: ConnectError) -> Self {
        DialError::Failed(error.to_string())
    }
}

pub struct Endpoint {
    endpoint: noq_proto::Endpoint,
    largest_packet: fn(SocketAddr) -> u16,
    identity: Option<Arc<Identity>>,
    connections: Vec<Option<Connection>>,
    timers: Timers<ConnectionKey>,
    handshakes: usize,
}

impl Endpoint {
    /// `largest_packet` says what the link to an address carries in one packet.
    pub fn new(key: &ResetKey, largest_packet: fn(SocketAddr) -> u16) -> Endpoint {
        Endpoint {
            endpoint: noq_proto::Endpoint::new(Arc::new(endpoint_config(key)), None, true),
            largest_packet,
            identity: None,
            connections: Vec::new(),
            timers: Timers::default(),
            handshakes: 0,
        }
    }

    /// From now on handshakes show this identity; without one nobody is accepted and nothing is dialled.
    pub fn set_identity(&mut self, identity: Option<Arc<Identity>>) {
        let server = identity.as_ref().map(|identity| {
            // Each connection gets its own transport when it is accepted.
            Arc::new(ServerConfig::with_crypto(identity.server_config()))
        });
        self.endpoint.set_server_config(server);
        self.identity = identity;
    }

    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// Dials `remote`, where the peer with the SPIFFE id `expected` must answer.
    pub fn dial(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        expected: &str,
    ) -> Result<ConnectionKey, DialError> {
        let identity = self.identity.as_ref().ok_or(DialError::NoIdentity)?;
        let mut config = ClientConfig::new(Arc::new(identity.client_config(expected)?));
        let gauge = Arc::new(Gauge::default());
        config.transport_config(transport_config(&gauge, (self.largest_packet)(remote)));
        let (handle, connection) = self.endpoint.connect(now, config, remote, SERVER_NAME)?;
        Ok(self.insert(handle, Connection::dialled(connection, gauge, remote, now)))
    }

    /// Takes one UDP packet, which came with these bits of ECN. `answer` is empty, and holds the bytes of `Received::Answer` afterwards.
    pub fn receive(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        local: Option<IpAddr>,
        ecn: u8,
        packet: BytesMut,
        answer: &mut Vec<u8>,
    ) -> Received {
        let network = FourTuple::new(remote, local);
        let ecn = EcnCodepoint::from_bits(ecn);
        match self.endpoint.handle(now, network, ecn, packet, answer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(connection) = self.connection(handle.0) else {
                    return Received::Nothing;
                };
                connection.heard(now, remote, local);
                connection.receive(now, event);
                Received::Connection(handle.0)
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.accept(now, incoming, answer),
            Some(DatagramEvent::Response(transmit)) => Received::Answer(transmit.into()),
            None => Received::Nothing,
        }
    }

    fn accept(&mut self, now: Instant, incoming: Incoming, answer: &mut Vec<u8>) -> Received {
        if self.handshakes >= 2 * MAX_HANDSHAKES {
            return Received::Answer(self.endpoint.refuse(incoming, answer).into());
        }
        if self.handshakes >= MAX_HANDSHAKES && !incoming.remote_address_validated() {
            return match self.endpoint.retry(incoming, answer) {
                Ok(transmit) => Received::Answer(transmit.into()),
                Err(error) => {
                    Received::Answer(self.endpoint.refuse(error.into_incoming(), answer).into())
                }
            };
        }
        let remote = incoming.remote_address();
        let gauge = Arc::new(Gauge::default());
        let config = self.identity.as_ref().map(|identity| {
            let mut config = ServerConfig::with_crypto(identity.server_config());
            config.transport_config(transport_config(&gauge, (self.largest_packet)(remote)));
            Arc::new(config)
        });
        let accepted = contain(|| self.endpoint.accept(incoming, now, answer, config));
        // After a fault the library knows a connection that we don't: its packets come to nothing.
        let Some(accepted) = accepted else {
            return Received::Nothing;
        };
        match accepted {
            Ok((handle, connection)) => {
                self.handshakes += 1;
                Received::Accepted(
                    self.insert(handle, Connection::accepted(connection, gauge, remote, now)),
                )
            }
            Err(error) => error.response.map_or(Received::Nothing, |transmit| {
                Received::Answer(transmit.into())
            }),
        }
    }

    fn insert(&mut self, handle: ConnectionHandle, connection: Connection) -> ConnectionKey {
        let key = handle.0;
        if self.connections.len() <= key {
            self.connections.resize_with(key + 1, || None);
        }
        self.connections[key] = Some(connection);
        key
    }

    pub fn connection(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.connections.get_mut(key)?.as_mut()
    }

    /// Exchanges what the connection and the endpoint have to tell each other, and notes when the connection wants to be woken;
    /// called whenever it was driven. Returns false when the connection is over and gone.
    pub fn settle(&mut self, key: ConnectionKey) -> bool {
        let Some(connection) = self.connections.get_mut(key).and_then(Option::as_mut) else {
            return false;
        };
        while let Some(event) = connection.poll_endpoint_event() {
            if let Some(answer) = self.endpoint.handle_event(ConnectionHandle(key), event) {
                connection.handle(answer);
            }
        }
        if connection.take_handshake_end() {
            self.handshakes -= 1;
        }
        let alive = !connection.is_drained();
        self.timers
            .set(key, connection.poll_timeout().filter(|_| alive));
        if !alive {
            self.connections[key] = None;
        }
        alive
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Lets the next due timer act and returns its connection, which needs to be driven.
    pub fn next_due(&mut self, now: Instant) -> Option<ConnectionKey> {
        let key = self.timers.pop_due(now)?;
        if let Some(connection) = self.connection(key) {
            connection.handle_timeout(now);
        }
        Some(key)
    }

    /// The connections there are.
    #[cfg(test)]
    pub fn keys(&self) -> Vec<ConnectionKey> {
        (0..self.connections.len())
            .filter(|key| self.connections[*key].is_some())
            .collect()
    }
}
