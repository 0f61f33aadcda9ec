//! One QUIC connection as the engine sees it: a control stream, datagrams, and lane streams.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use noq_proto::rustls::pki_types::CertificateDer;
use noq_proto::{
    ConnectionError, ConnectionEvent as LibraryEvent, Dir, EndpointEvent, Event, ReadError,
    StreamEvent, StreamId, VarInt,
};
use webpki::EndEntityCert;

use super::congestion::Gauge;
use super::contained::Contained;
use super::paths::Steering;
use super::trust::Fingerprint;
use super::verifier::{Refusal, only_uri};
use crate::frames::CloseCode;
use crate::lanes::LaneStream;

/// A packet, or several of one size, to be sent; the bytes are in the buffer that was given.
#[derive(Debug, Clone, Copy)]
pub struct Transmit {
    pub remote: SocketAddr,
    pub source: Option<IpAddr>,
    pub bytes: usize,
    pub segment_bytes: Option<usize>,
    /// The last two bits of the outer traffic class.
    pub ecn: u8,
}

impl From<noq_proto::Transmit> for Transmit {
    fn from(transmit: noq_proto::Transmit) -> Self {
        Transmit {
            remote: transmit.destination,
            source: transmit.src_ip,
            bytes: transmit.size,
            segment_bytes: transmit.segment_size,
            ecn: transmit.ecn.map_or(0, |codepoint| codepoint as u8),
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
    /// The other side, having proved who it is, refused this side in the handshake, with this code. Otherwise the code of a
    /// handshake that failed is a hint: anyone who sees its first packets can forge the end of it.
    pub refused_by_peer: bool,
    /// The other side lost its state: dial again at once.
    pub was_reset: bool,
}

#[derive(Debug)]
pub enum ConnectionEvent {
    /// The handshake is done and the other side verified.
    Established(Established),
    Closed(Closed),
}

/// What is known of the path in use.
#[derive(Debug, Clone, Copy)]
pub struct PathFacts {
    pub remote: SocketAddr,
    pub rtt: Duration,
    pub mtu: u16,
}

pub struct Connection {
    pub(super) inner: Contained,
    /// What its paths have in flight.
    pub(super) gauge: Arc<Gauge>,
    dialled: bool,
    /// The address first spoken to.
    remote: SocketAddr,
    control: Option<StreamId>,
    pub(super) lanes: [Option<StreamId>; LaneStream::COUNT],
    /// As the library said at the beginning of this turn, less what was sent since.
    pub(super) max_datagram_bytes: usize,
    pub(super) datagram_room: usize,
    pub(super) datagrams_refused: u64,
    /// The other side let no further lane be opened.
    pub(super) lane_refused: bool,
    /// Streams of the other side that may have something to read.
    readable: VecDeque<StreamId>,
    handshaking: bool,
    handshake_end: bool,
    /// Sends that a closed connection may still make before it is given something again.
    closing_sends: u8,
    /// A dialler's: packets that anyone could have made are not read any more.
    past_initial: bool,
    /// A dialler's: it made its part of the handshake.
    answered: bool,
    /// What came last can only have been sent by the other side, whose identity is verified.
    proven: bool,
    /// Sends made ahead of their turn, oldest first: see `answer_handshake`.
    ahead: VecDeque<(Transmit, Vec<u8>)>,
    /// Its paths: see connection_paths.rs.
    pub(super) steering: Steering,
}

/// As many as two superframes have.
const CHUNKS_PER_READ: usize = 128;

/// A close goes out once in each packet space that has keys.
const CLOSING_SENDS: u8 = 3;

/// A client's part of the handshake is two packets; with a long certificate chain, four.
const MAX_AHEAD: usize = 8;

impl Connection {
    pub(super) fn dialled(
        inner: noq_proto::Connection,
        gauge: Arc<Gauge>,
        remote: SocketAddr,
        now: Instant,
    ) -> Connection {
        Connection::new(Contained::new(inner), gauge, true, remote, now)
    }

    pub(super) fn accepted(
        inner: noq_proto::Connection,
        gauge: Arc<Gauge>,
        remote: SocketAddr,
        now: Instant,
    ) -> Connection {
        Connection::new(Contained::new(inner), gauge, false, remote, now)
    }

    fn new(
        inner: Contained,
        gauge: Arc<Gauge>,
        dialled: bool,
        remote: SocketAddr,
        now: Instant,
    ) -> Connection {
        Connection {
            inner,
            gauge,
            dialled,
            remote,
            control: None,
            lanes: [None; LaneStream::COUNT],
            max_datagram_bytes: 0,
            datagram_room: 0,
            datagrams_refused: 0,
            lane_refused: false,
            readable: VecDeque::new(),
            handshaking: true,
            handshake_end: false,
            closing_sends: CLOSING_SENDS,
            past_initial: false,
            answered: false,
            proven: false,
            ahead: VecDeque::new(),
            steering: Steering::new(dialled, remote, now),
        }
    }

    /// Whether a lane could not be opened since this was last asked.
    pub fn take_lane_refused(&mut self) -> bool {
        std::mem::take(&mut self.lane_refused)
    }

    pub fn was_dialled(&self) -> bool {
        self.dialled
    }

    pub fn remote(&self) -> SocketAddr {
        self.path_facts().map_or(self.remote, |path| path.remote)
    }

    pub fn path_facts(&self) -> Option<PathFacts> {
        self.inner.look(|inner| {
            let path = self.steering.active();
            Some(PathFacts {
                remote: inner.network_path(path).ok()?.remote(),
                rtt: inner.rtt(path)?,
                mtu: inner.current_mtu(),
            })
        })?
    }

    /// UDP payload that the path in use carries.
    pub fn packet_bytes(&mut self) -> u16 {
        let path = self.steering.active();
        let mtu = self
            .inner
            .call(|inner| inner.path_stats(path).map(|stats| stats.current_mtu));
        mtu.flatten().unwrap_or(1_200)
    }

    // ---- what the endpoint does with it

    /// What the endpoint found for it in a received packet.
    pub(super) fn receive(&mut self, now: Instant, event: LibraryEvent) {
        self.steering.set_now(now);
        self.proven = self.past_initial && !self.is_handshaking();
        self.handle(event);
        self.answer_handshake(now);
    }

    pub(super) fn handle(&mut self, event: LibraryEvent) {
        self.closing_sends = CLOSING_SENDS;
        self.inner.call(|inner| inner.handle_event(event));
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.inner.call(|inner| inner.handle_timeout(now));
        self.steer(now);
    }

    /// A dialler makes its part of the handshake in the same moment in which the other side's is complete and verified, for two
    /// reasons. With it go the keys of the first packets, which everybody on the path can derive: what ends the connection from
    /// then on comes from the other side. And library 1.4.0 panics when its probe timer runs out between the two.
    fn answer_handshake(&mut self, now: Instant) {
        let answered = self.answered && self.past_initial;
        if !self.dialled || answered || self.is_handshaking() || self.is_closed() {
            return;
        }
        self.answered = true;
        while self.ahead.len() < MAX_AHEAD {
            let mut buffer = Vec::new();
            let Some(transmit) = self.transmit(now, NonZeroUsize::MIN, &mut buffer) else {
                return;
            };
            self.ahead.push_back((transmit, buffer));
        }
    }

    fn transmit(
        &mut self,
        now: Instant,
        max_packets: NonZeroUsize,
        buffer: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let begin = buffer.len();
        let send =
            |inner: &mut noq_proto::Connection| inner.poll_transmit(now, max_packets, buffer);
        let transmit = self.inner.call(send)??;
        // With its first Handshake packet a dialler forgets the Initial keys (RFC 9001 §4.9.1).
        if self.dialled && !self.past_initial {
            self.past_initial = has_handshake_packet(&buffer[begin..]);
        }
        Some(transmit.into())
    }

    fn is_handshaking(&self) -> bool {
        self.inner.look(noq_proto::Connection::is_handshaking) == Some(true)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner.look(noq_proto::Connection::is_closed) != Some(false)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let of_library = self.inner.look(noq_proto::Connection::poll_timeout)?;
        let of_paths = self.steering.next_timeout().filter(|_| !self.is_closed());
        of_library.into_iter().chain(of_paths).min()
    }

    pub(super) fn poll_endpoint_event(&mut self) -> Option<EndpointEvent> {
        self.inner.poll_endpoint_event()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.inner.look(noq_proto::Connection::is_drained) != Some(false)
    }

    /// True once, when an accepted connection's handshake has ended either way.
    pub(super) fn take_handshake_end(&mut self) -> bool {
        if self.handshaking && (!self.is_handshaking() || self.is_closed()) {
            self.handshaking = false;
            self.handshake_end = !self.dialled;
        }
        std::mem::take(&mut self.handshake_end)
    }

    /// As a fault of the library would.
    #[cfg(test)]
    pub(super) fn break_down(&mut self) {
        self.inner.call(|_| panic!("on purpose"));
    }

    // ---- events

    /// The next event, after the connection was given packets or time.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        while let Some(event) = self.inner.call(noq_proto::Connection::poll).flatten() {
            match event {
                Event::Connected => {
                    self.begin_steering();
                    return Some(self.established());
                }
                Event::Path(event) => self.on_path_event(event),
                Event::ConnectionLost { reason } => {
                    return Some(ConnectionEvent::Closed(closed(&reason, self.proven)));
                }
                Event::Stream(StreamEvent::Opened { dir }) => self.accept_streams(dir),
                Event::Stream(StreamEvent::Readable { id }) => self.note_readable(id),
                Event::Stream(StreamEvent::Finished { id }) => self.forget_lane(id),
                _ => {}
            }
        }
        let broken = self.inner.take_fault();
        broken.then(|| ConnectionEvent::Closed(Closed::for_fault("a fault in the QUIC library")))
    }

    fn established(&mut self) -> ConnectionEvent {
        if self.dialled {
            self.control = self.open(Dir::Bi);
        }
        match self.peer() {
            Some(peer) => ConnectionEvent::Established(peer),
            // The verifier demands a certificate with a name, so this is a fault of ours; say so and end.
            None => ConnectionEvent::Closed(Closed {
                code: CloseCode::BadChain,
                ..Closed::for_fault("the connection has no verified certificate")
            }),
        }
    }

    pub(super) fn open(&mut self, dir: Dir) -> Option<StreamId> {
        self.inner.call(|inner| inner.streams().open(dir))?
    }

    fn peer(&self) -> Option<Established> {
        let identity = self
            .inner
            .look(|inner| inner.crypto_session().peer_identity())??;
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
        Some(Established {
            spiffe_id: only_uri(&certificate)?.to_owned(),
            fingerprint: Fingerprint::of_public_key(&certificate.subject_public_key_info()),
        })
    }

    fn accept_streams(&mut self, dir: Dir) {
        let accept = |inner: &mut noq_proto::Connection| inner.streams().accept(dir);
        while let Some(id) = self.inner.call(accept).flatten() {
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
        self.inner.call(|inner| {
            let _ = inner.recv_stream(id).stop(code);
            let _ = inner.send_stream(id).reset(code);
        });
    }

    fn note_readable(&mut self, id: StreamId) {
        if !self.readable.contains(&id) {
            self.readable.push_back(id);
        }
    }

    // ---- control stream and lanes

    /// Puts the next bytes of a stream, in order, behind what is in `chunks`, and says whose they are.
    pub fn read(&mut self, chunks: &mut Vec<Bytes>) -> Option<StreamRead> {
        while let Some(id) = self.readable.front().copied() {
            let before = chunks.len();
            let rest = self.read_stream(id, chunks);
            if rest != StreamRest::More {
                self.readable.pop_front();
            }
            let from = if Some(id) == self.control {
                StreamBytes::Control
            } else {
                StreamBytes::Lane(id.index())
            };
            let ended = rest == StreamRest::Ended;
            if ended || chunks.len() > before {
                return Some(StreamRead { from, ended });
            }
        }
        None
    }

    fn read_stream(&mut self, id: StreamId, chunks: &mut Vec<Bytes>) -> StreamRest {
        let read = |inner: &mut noq_proto::Connection| {
            let mut stream = inner.recv_stream(id);
            let Ok(mut arrived) = stream.read(true) else {
                return StreamRest::Nothing;
            };
            for _ in 0..CHUNKS_PER_READ {
                match arrived.next(usize::MAX) {
                    Ok(Some(chunk)) => chunks.push(chunk.bytes),
                    Ok(None) | Err(ReadError::Reset(_)) => return StreamRest::Ended,
                    Err(ReadError::Blocked) => return StreamRest::Nothing,
                }
            }
            StreamRest::More
        };
        self.inner.call(read).unwrap_or(StreamRest::Nothing)
    }

    /// Writes to the control stream and returns what it did not take.
    pub fn write_control(&mut self, bytes: Bytes) -> Option<Bytes> {
        match self.control {
            Some(id) => self.write(id, bytes),
            None => Some(bytes),
        }
    }

    pub(super) fn write(&mut self, id: StreamId, bytes: Bytes) -> Option<Bytes> {
        let mut chunks = [bytes];
        // The stream keeps whole chunks and shortens the first that it did not take whole, also when it fails.
        self.inner.call(|inner| {
            let _ = inner.send_stream(id).write_chunks(&mut &mut chunks[..]);
        });
        let [rest] = chunks;
        (!rest.is_empty()).then_some(rest)
    }

    pub fn receive_datagram(&mut self) -> Option<Bytes> {
        self.inner.call(|inner| inner.datagrams().recv())?
    }

    /// Keying material of the TLS session (RFC 8446 §7.5).
    pub fn export_keying_material(&self, label: &[u8], output: &mut [u8]) -> bool {
        let exported = self.inner.look(|inner| {
            inner
                .crypto_session()
                .export_keying_material(output, label, b"")
        });
        matches!(exported, Some(Ok(())))
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
        if self.is_closed() {
            self.closing_sends = self.closing_sends.checked_sub(1)?;
        }
        let transmit = self.transmit(now, max_packets, buffer);
        if transmit.is_none() && self.steer(now) {
            return self.transmit(now, max_packets, buffer);
        }
        transmit
    }

    /// Ends the connection. Afterwards it only tells the other side, and no event comes.
    pub fn close(&mut self, now: Instant, code: CloseCode, message: &str) {
        let code = VarInt::from_u32(code.number());
        let message = Bytes::copy_from_slice(message.as_bytes());
        self.inner.call(|inner| inner.close(now, code, message));
    }
}

/// Whose bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamBytes {
    Control,
    /// The n-th lane that the other side opened.
    Lane(u64),
}

/// What `read` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRead {
    pub from: StreamBytes,
    /// The other side ended or reset it: nothing comes any more.
    pub ended: bool,
}

/// What a stream still has, after a part of it was read.
#[derive(PartialEq)]
enum StreamRest {
    More,
    Nothing,
    Ended,
}

/// Whether a UDP packet of ours holds a Handshake packet, alone or behind an Initial one (RFC 9000 §17.2).
fn has_handshake_packet(datagram: &[u8]) -> bool {
    match datagram.first() {
        Some(first) if first & 0xb0 == 0xa0 => true,
        Some(first) if first & 0xb0 == 0x80 => {
            after_initial(datagram).is_some_and(has_handshake_packet)
        }
        _ => false,
    }
}

/// What follows an Initial packet: flags and version, two connection ids, a token, and the rest by its length.
fn after_initial(packet: &[u8]) -> Option<&[u8]> {
    let mut rest = packet.get(5..)?;
    for _ in 0..2 {
        let (bytes, after) = rest.split_first()?;
        rest = after.get(usize::from(*bytes)..)?;
    }
    for _ in 0..2 {
        let (bytes, after) = split_length(rest)?;
        rest = after.get(bytes..)?;
    }
    Some(rest)
}

/// A varint (RFC 9000 §16), here not always in its shortest form, and what follows it.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_at_checked(1 << (bytes.first()? >> 6))?;
    let value = |value: usize, byte: &u8| value << 8 | usize::from(*byte);
    let first = usize::from(length[0] & 0x3f);
    Some((length[1..].iter().fold(first, value), rest))
}

impl Closed {
    fn for_fault(message: &str) -> Closed {
        Closed {
            code: CloseCode::ProtocolError,
            message: message.to_owned(),
            refusal: None,
            refused_by_peer: false,
            was_reset: false,
        }
    }
}

/// `proven`: it came from the other side, whose identity is verified.
fn closed(error: &ConnectionError, proven: bool) -> Closed {
    let mut closed = Closed::for_fault(&error.to_string());
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
                closed.refused_by_peer = proven;
                closed.message = if proven {
                    "the peer refused the handshake".to_owned()
                } else {
                    "the handshake was refused, by whom is not proven".to_owned()
                };
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
