//! One QUIC connection as the engine sees it: a control stream, datagrams, and lane streams.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use noq_proto::rustls::pki_types::CertificateDer;
use noq_proto::{
    ConnectionError, ConnectionEvent as LibraryEvent, Dir, EndpointEvent, Event, ReadError,
    SendDatagramError, StreamEvent, StreamId, VarInt,
};
use webpki::EndEntityCert;

use super::trust::Fingerprint;
use super::verifier::{Refusal, only_uri};
use crate::frames::CloseCode;

/// A packet, or several of one size, to be sent; the bytes are in the buffer that was given.
#[derive(Debug, Clone, Copy)]
pub struct Transmit {
    pub remote: SocketAddr,
    pub source: Option<IpAddr>,
    pub bytes: usize,
    pub segment_bytes: Option<usize>,
}

impl From<noq_proto::Transmit> for Transmit {
    fn from(transmit: noq_proto::Transmit) -> Self {
        Transmit {
            remote: transmit.destination,
            source: transmit.src_ip,
            bytes: transmit.size,
            segment_bytes: transmit.segment_size,
        }
    }
}

/// The other side, as its verified certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    pub spiffe_id: String,
    pub fingerprint: Fingerprint,
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub code: CloseCode,
    pub message: String,
    /// Set when it was this side's verifier that refused.
    pub refusal: Option<Refusal>,
    /// The other side lost its state: dial again at once.
    pub was_reset: bool,
}

#[derive(Debug)]
pub enum ConnectionEvent {
    /// The handshake is done and the other side verified.
    Established(Established),
    Closed(Closed),
}

#[derive(Debug)]
pub enum DatagramRefused {
    /// The library holds as much as it shall; the packet comes back.
    Full(Bytes),
    /// Larger than the path carries in one packet; it comes back too.
    TooLarge(Bytes),
    /// The other side takes no datagrams; it comes back.
    Unsupported(Bytes),
}

/// What is known of the path in use.
#[derive(Debug, Clone, Copy)]
pub struct PathFacts {
    pub remote: SocketAddr,
    pub rtt: Duration,
    pub mtu: u16,
}

pub struct Connection {
    inner: noq_proto::Connection,
    dialled: bool,
    /// The address first spoken to.
    remote: SocketAddr,
    control: Option<StreamId>,
    lane: Option<StreamId>,
    /// Streams of the other side that may have something to read.
    readable: VecDeque<StreamId>,
    handshaking: bool,
    handshake_end: bool,
    /// Sends that a closed connection may still make before it is given something again.
    closing_sends: u8,
    /// Both sides know that the handshake is over.
    confirmed: bool,
    /// Sends made ahead of their turn, oldest first: see `handle_timeout`.
    ahead: VecDeque<(Transmit, Vec<u8>)>,
}

/// A close goes out once in each packet space that has keys.
const CLOSING_SENDS: u8 = 3;

/// A client's part of the handshake is two packets; with a long certificate chain, four.
const MAX_AHEAD: usize = 8;

impl Connection {
    pub(super) fn dialled(inner: noq_proto::Connection, remote: SocketAddr) -> Connection {
        Connection::new(inner, true, remote)
    }

    pub(super) fn accepted(inner: noq_proto::Connection, remote: SocketAddr) -> Connection {
        Connection::new(inner, false, remote)
    }

    fn new(inner: noq_proto::Connection, dialled: bool, remote: SocketAddr) -> Connection {
        Connection {
            inner,
            dialled,
            remote,
            control: None,
            lane: None,
            readable: VecDeque::new(),
            handshaking: true,
            handshake_end: false,
            closing_sends: CLOSING_SENDS,
            confirmed: false,
            ahead: VecDeque::new(),
        }
    }

    pub fn was_dialled(&self) -> bool {
        self.dialled
    }

    pub fn remote(&self) -> SocketAddr {
        self.path_facts().map_or(self.remote, |path| path.remote)
    }

    pub fn path_facts(&self) -> Option<PathFacts> {
        let path = *self.inner.paths().first()?;
        Some(PathFacts {
            remote: self.inner.network_path(path).ok()?.remote(),
            rtt: self.inner.rtt(path)?,
            mtu: self.inner.current_mtu(),
        })
    }

    // ---- what the endpoint does with it

    pub(super) fn handle(&mut self, event: LibraryEvent) {
        self.closing_sends = CLOSING_SENDS;
        self.inner.handle_event(event);
    }

    /// Library 1.4.0 panics when a client's probe timer runs out after the server's last handshake packet came and before the
    /// client's answer to it is in flight: it then probes a packet space whose keys it has discarded. So a client answers before
    /// it is told the time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.dialled && !self.confirmed {
            self.send_ahead(now);
        }
        self.inner.handle_timeout(now);
    }

    fn send_ahead(&mut self, now: Instant) {
        while self.ahead.len() < MAX_AHEAD {
            let mut buffer = Vec::new();
            let Some(transmit) = self
                .inner
                .poll_transmit(now, NonZeroUsize::MIN, &mut buffer)
            else {
                return;
            };
            self.ahead.push_back((transmit.into(), buffer));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    pub(super) fn poll_endpoint_event(&mut self) -> Option<EndpointEvent> {
        self.inner.poll_endpoint_events()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.inner.is_drained()
    }

    /// True once, when an accepted connection's handshake has ended either way.
    pub(super) fn take_handshake_end(&mut self) -> bool {
        if self.handshaking && (!self.inner.is_handshaking() || self.inner.is_closed()) {
            self.handshaking = false;
            self.handshake_end = !self.dialled;
        }
        std::mem::take(&mut self.handshake_end)
    }

    // ---- events

    /// The next event, after the connection was given packets or time.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        while let Some(event) = self.inner.poll() {
            match event {
                Event::Connected => return Some(self.established()),
                Event::HandshakeConfirmed => self.confirmed = true,
                Event::ConnectionLost { reason } => {
                    return Some(ConnectionEvent::Closed(closed(&reason)));
                }
                Event::Stream(StreamEvent::Opened { dir }) => self.accept_streams(dir),
                Event::Stream(StreamEvent::Readable { id }) => self.note_readable(id),
                _ => {}
            }
        }
        None
    }

    fn established(&mut self) -> ConnectionEvent {
        if self.dialled {
            self.control = self.inner.streams().open(Dir::Bi);
        }
        match self.peer() {
            Some(peer) => ConnectionEvent::Established(peer),
            // The verifier demands a certificate with a name, so this is a fault of ours; say so and end.
            None => ConnectionEvent::Closed(Closed {
                code: CloseCode::BadChain,
                message: "the connection has no verified certificate".to_owned(),
                refusal: None,
                was_reset: false,
            }),
        }
    }

    fn peer(&self) -> Option<Established> {
        let identity = self.inner.crypto_session().peer_identity()?;
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
        Some(Established {
            spiffe_id: only_uri(&certificate)?.to_owned(),
            fingerprint: Fingerprint::of_public_key(&certificate.subject_public_key_info()),
        })
    }

    fn accept_streams(&mut self, dir: Dir) {
        while let Some(id) = self.inner.streams().accept(dir) {
            match dir {
                Dir::Bi if self.dialled || self.control.is_some() => self.refuse_stream(id),
                Dir::Bi => {
                    self.control = Some(id);
                    self.note_readable(id);
                }
                Dir::Uni => self.note_readable(id),
            }
        }
    }

    /// There is one control stream, opened by the dialler. Another is none of ours, and is told so.
    fn refuse_stream(&mut self, id: StreamId) {
        let code = VarInt::from_u32(CloseCode::ProtocolError.number());
        // Both fail only for a stream that is over already.
        let _ = self.inner.recv_stream(id).stop(code);
        let _ = self.inner.send_stream(id).reset(code);
    }

    fn note_readable(&mut self, id: StreamId) {
        if !self.readable.contains(&id) {
            self.readable.push_back(id);
        }
    }

    // ---- control stream and lanes

    /// The next bytes of a stream, in order; no bytes when the other side ended or reset it.
    pub fn read(&mut self) -> Option<(StreamBytes, Option<Bytes>)> {
        while let Some(id) = self.readable.front().copied() {
            let read = self.read_chunk(id);
            if !matches!(read, Ok(Some(_))) {
                self.readable.pop_front();
            }
            let from = if Some(id) == self.control {
                StreamBytes::Control
            } else {
                StreamBytes::Lane(id.index())
            };
            match read {
                Ok(bytes) => return Some((from, bytes)),
                Err(ReadError::Reset(_)) => return Some((from, None)),
                Err(ReadError::Blocked) => {}
            }
        }
        None
    }

    fn read_chunk(&mut self, id: StreamId) -> Result<Option<Bytes>, ReadError> {
        let mut stream = self.inner.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            return Err(ReadError::Blocked);
        };
        let chunk = chunks.next(usize::MAX);
        // Whether flow control has something to send: the caller polls for transmits anyway.
        let _ = chunks.finalize();
        Ok(chunk?.map(|chunk| chunk.bytes))
    }

    /// Writes to the control stream and returns what it did not take.
    pub fn write_control(&mut self, bytes: Bytes) -> Option<Bytes> {
        match self.control {
            Some(id) => self.write(id, bytes),
            None => Some(bytes),
        }
    }

    /// Writes to our lane stream, opened the first time, and returns what it did not take.
    pub fn write_lane(&mut self, bytes: Bytes) -> Option<Bytes> {
        if self.lane.is_none() {
            self.lane = self.inner.streams().open(Dir::Uni);
        }
        match self.lane {
            Some(id) => self.write(id, bytes),
            None => Some(bytes),
        }
    }

    fn write(&mut self, id: StreamId, bytes: Bytes) -> Option<Bytes> {
        let mut chunks = [bytes];
        // The stream keeps whole chunks and shortens the first that it did not take whole.
        match self
            .inner
            .send_stream(id)
            .write_chunks(&mut &mut chunks[..])
        {
            Ok(_) | Err(_) => {
                let [rest] = chunks;
                (!rest.is_empty()).then_some(rest)
            }
        }
    }

    pub fn send_datagram(&mut self, bytes: Bytes) -> Result<(), DatagramRefused> {
        let copy = bytes.clone();
        match self.inner.datagrams().send(bytes, false) {
            Ok(()) => Ok(()),
            Err(SendDatagramError::Blocked(bytes)) => Err(DatagramRefused::Full(bytes)),
            Err(SendDatagramError::TooLarge) => Err(DatagramRefused::TooLarge(copy)),
            Err(_) => Err(DatagramRefused::Unsupported(copy)),
        }
    }

    pub fn receive_datagram(&mut self) -> Option<Bytes> {
        self.inner.datagrams().recv()
    }

    /// Keying material of the TLS session (RFC 8446 §7.5).
    pub fn export_keying_material(&self, label: &[u8], output: &mut [u8]) -> bool {
        self.inner
            .crypto_session()
            .export_keying_material(output, label, b"")
            .is_ok()
    }

    // ---- sending and ending

    /// Appends up to `max_packets` packets to `buffer`.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        max_packets: NonZeroUsize,
        buffer: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if let Some((transmit, bytes)) = self.ahead.pop_front() {
            buffer.extend_from_slice(&bytes);
            return Some(transmit);
        }
        // Library 1.4.0 goes on for ever with a close that fits only some of its packet spaces, as in a handshake that may
        // send one packet at a time.
        if self.inner.is_closed() {
            self.closing_sends = self.closing_sends.checked_sub(1)?;
        }
        self.inner
            .poll_transmit(now, max_packets, buffer)
            .map(Transmit::from)
    }

    /// Ends the connection. Afterwards it only tells the other side, and no event comes.
    pub fn close(&mut self, now: Instant, code: CloseCode, message: &str) {
        self.inner.close(
            now,
            VarInt::from_u32(code.number()),
            Bytes::copy_from_slice(message.as_bytes()),
        );
    }
}

/// Whose bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamBytes {
    Control,
    /// The n-th lane that the other side opened.
    Lane(u64),
}

fn closed(error: &ConnectionError) -> Closed {
    let mut closed = Closed {
        code: CloseCode::ProtocolError,
        message: error.to_string(),
        refusal: None,
        was_reset: false,
    };
    match error {
        ConnectionError::TransportError(error) => {
            if let Some(error) = error.crypto.as_deref() {
                closed.refusal = Refusal::in_error(error).cloned();
                closed.code = CloseCode::BadChain;
            }
            if let Some(refusal) = &closed.refusal {
                closed.code = refusal.code;
                closed.message = "this engine refused the handshake".to_owned();
            }
        }
        ConnectionError::ConnectionClosed(close) => {
            let reason = String::from_utf8_lossy(&close.reason);
            if let Some(code) = Refusal::code_in_reason(&reason) {
                closed.code = code;
                closed.message = "the peer refused the handshake".to_owned();
            }
        }
        ConnectionError::ApplicationClosed(close) => {
            closed.code = CloseCode::from_number(close.error_code.into_inner())
                .unwrap_or(CloseCode::GoingAway);
            closed.message = String::from_utf8_lossy(&close.reason).into_owned();
        }
        ConnectionError::Reset => {
            closed.code = CloseCode::GoingAway;
            closed.message = "the peer restarted".to_owned();
            closed.was_reset = true;
        }
        ConnectionError::TimedOut => closed.code = CloseCode::IdleTimeout,
        ConnectionError::LocallyClosed => closed.code = CloseCode::GoingAway,
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => {}
    }
    closed
}
