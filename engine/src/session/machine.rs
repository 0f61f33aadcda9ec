//! The state machine of one session; its phases are drawn in the module's header.

use std::{collections::VecDeque, time::Duration, time::Instant};

use bytes::Bytes;

use super::{
    EXPORTER_BYTES, Role, SessionError,
    binding::Binding,
    heartbeat::{Heartbeat, Silent},
    outbox::Outbox,
};
use crate::frames::{
    Auth, Authority, CAPABILITY, CloseCode, Decoder, Frame, Hello, KNOWS_PRESSURE, MAX_FRAME_BYTES,
    MAX_HANDSHAKE_FRAME_BYTES, MAX_PAYLOAD_BYTES, MAX_REASON_BYTES, NodePressure, SessionReady,
    StreamCredit, VERSION, valid_kind,
};
use crate::lanes::TrafficClass;

/// From the opened stream to SESSION_READY takes two round trips; 5 s allows for a bad path and still frees the place of a peer
/// that only pretends.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For messages on their way and one round trip. A restart should not wait longer for a peer that is gone.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Type, version, flags and length of the greatest frame.
const MESSAGE_OVERHEAD_BYTES: usize = 16;

/// What a peer said about its pressure and credit counts for so long: it says it again every second while there is any.
const PRESSURE_LASTS: Duration = Duration::from_secs(3);

/// What the caller knows when the TLS handshake is done.
pub struct Setup {
    pub role: Role,
    /// Our own SPIFFE id.
    pub node: String,
    /// The SPIFFE id of the peer's certificate.
    pub peer: String,
    /// Keying material of the TLS session for `EXPORTER_LABEL`.
    pub exporter: [u8; EXPORTER_BYTES],
    /// What we reflect now.
    pub authority: Authority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Acceptor: nothing came yet.
    Opening,
    /// HELLO sent, the peer's awaited.
    Hello,
    /// AUTH sent, the peer's awaited.
    Auth,
    /// SESSION_READY sent, the peer's awaited.
    Confirming,
    Ready,
    /// GOAWAY sent or heard; the other one, or the end of the connection, awaited.
    Draining,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Messages may be sent and come.
    Ready {
        authority: Authority,
    },
    /// The peer reflects a newer authority now.
    AuthorityChanged {
        authority: Authority,
    },
    Message {
        kind: String,
        payload: Bytes,
    },
    /// The peer ends the session. It is answered already.
    GoingAway {
        code: CloseCode,
        reason: String,
    },
    /// All is said: close the connection now with this code.
    Drained {
        code: CloseCode,
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Not ready, or draining.
    NoSession,
    /// Too much is waiting for this peer already.
    Backpressure,
    /// Above the bound of a payload, or above what this peer accepts.
    TooLarge,
    /// Not 1 to 64 visible ASCII characters.
    InvalidKind,
}

/// What the peer told about itself.
#[derive(Debug, Default)]
struct Remote {
    capability: u16,
    authority: Authority,
    max_frame_bytes: u32,
    /// The last of each, and when it came.
    pressure: Option<(NodePressure, Instant)>,
    credits: [Option<(u64, Instant)>; TrafficClass::COUNT],
}

/// Why and until when the session drains.
#[derive(Debug, Clone)]
struct Drain {
    code: CloseCode,
    reason: String,
    deadline: Instant,
    /// The peer said GOAWAY first, and waits for ours.
    owes_answer: bool,
}

pub struct Session {
    role: Role,
    node: String,
    peer: String,
    binding: Binding,
    phase: Phase,
    handshake_deadline: Instant,
    /// What we reflect; `announced` is what the peer was told of it.
    authority: Authority,
    announced: Authority,
    remote: Remote,
    decoder: Decoder,
    outbox: Outbox,
    events: VecDeque<Event>,
    heartbeat: Heartbeat,
    drain: Option<Drain>,
    goaway_received: bool,
    skipped_frames: u64,
}

impl Session {
    /// The dialler has its HELLO to transmit at once; the acceptor waits.
    pub fn new(setup: Setup, now: Instant) -> Self {
        let mut session = Self {
            role: setup.role,
            node: setup.node,
            peer: setup.peer,
            binding: Binding::new(&setup.exporter),
            phase: Phase::Opening,
            handshake_deadline: now + HANDSHAKE_TIMEOUT,
            authority: setup.authority,
            announced: Authority::default(),
            remote: Remote::default(),
            decoder: Decoder::new(MAX_HANDSHAKE_FRAME_BYTES),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            heartbeat: Heartbeat::new(now),
            drain: None,
            goaway_received: false,
            skipped_frames: 0,
        };
        if session.role == Role::Dialler {
            session.send_hello();
            session.phase = Phase::Hello;
        }
        session
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What the peer reflects; meaningful once ready.
    pub fn remote_authority(&self) -> Authority {
        self.remote.authority
    }

    /// The lower of the two capability numbers.
    pub fn capability(&self) -> u16 {
        self.remote.capability.min(CAPABILITY)
    }

    /// Of the last PING.
    pub fn rtt(&self) -> Option<Duration> {
        self.heartbeat.rtt()
    }

    pub fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Frames of unknown, not critical types.
    pub fn skipped_frames(&self) -> u64 {
        self.skipped_frames
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next bytes of the control stream. What the stream does not take goes back with `return_unsent`.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// The end of the chunk that `poll_transmit` gave last.
    pub fn return_unsent(&mut self, rest: Bytes) {
        self.outbox.unpop(rest);
    }

    /// When `on_timeout` is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            Phase::Draining => self.drain.as_ref().map(|drain| drain.deadline),
            Phase::Ready => Some(self.heartbeat.deadline()),
            _ => Some(self.handshake_deadline),
        }
    }

    /// Too early a call does nothing.
    pub fn on_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        let due = self.poll_timeout().is_some_and(|deadline| deadline <= now);
        if !due {
            return Ok(());
        }
        let outcome = match self.phase {
            Phase::Closed => Ok(()),
            Phase::Draining => {
                self.end_drain();
                Ok(())
            }
            Phase::Ready => self.beat(now),
            phase => Err(SessionError::new(
                CloseCode::HandshakeTimeout,
                format!("no session after {HANDSHAKE_TIMEOUT:?}, in phase {phase:?}"),
            )),
        };
        self.closed_on_error(outcome)
    }

    /// Takes what the control stream gave, in any portions. After an error the session is closed and takes nothing more.
    pub fn on_bytes(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), SessionError> {
        let outcome = self.take_frames(&mut bytes, now);
        self.closed_on_error(outcome)
    }

    /// Queues one envelope for the peer.
    pub fn send_message(&mut self, kind: &str, payload: Bytes) -> Result<(), SendError> {
        if self.phase != Phase::Ready {
            return Err(SendError::NoSession);
        }
        if !valid_kind(kind) {
            return Err(SendError::InvalidKind);
        }
        let fields_bytes = 1 + kind.len() + payload.len();
        if payload.len() > MAX_PAYLOAD_BYTES || fields_bytes > self.remote.max_frame_bytes as usize
        {
            return Err(SendError::TooLarge);
        }
        if !self
            .outbox
            .has_room_for(fields_bytes + MESSAGE_OVERHEAD_BYTES)
        {
            return Err(SendError::Backpressure);
        }
        let kind = kind.to_owned();
        self.send(Frame::Message { kind, payload });
        Ok(())
    }

    /// Tells the peer how hard it is here, and how much of some class it may send. A peer of before these frames is told nothing,
    /// and one that does not read neither: the next second has its own word.
    pub fn tell_pressure(&mut self, pressure: NodePressure, credit: Option<StreamCredit>) {
        let understands = self.capability() >= KNOWS_PRESSURE;
        if self.phase != Phase::Ready || !understands || self.outbox.queued_bytes() > 0 {
            return;
        }
        self.send(Frame::NodePressure(pressure));
        if let Some(credit) = credit {
            self.send(Frame::StreamCredit(credit));
        }
    }

    /// What the peer said of itself in the last seconds.
    pub fn remote_pressure(&self, now: Instant) -> Option<NodePressure> {
        self.remote.pressure.and_then(|told| lasting(told, now))
    }

    /// Bytes a second of this class that the peer takes, if it said so in the last seconds.
    pub fn remote_credit(&self, class: TrafficClass, now: Instant) -> Option<u64> {
        self.remote.credits[class as usize].and_then(|told| lasting(told, now))
    }

    /// From now on we reflect this authority; the peer is told if it is newer than what it knows.
    pub fn set_authority(&mut self, authority: Authority) {
        self.authority = authority;
        if self.phase == Phase::Ready {
            self.announce_newer();
        }
    }

    /// Ends the session in order; `Event::Drained` says when the connection may be closed. A `reason` above its bound is cut.
    pub fn goaway(&mut self, code: CloseCode, reason: &str, now: Instant) {
        match self.phase {
            Phase::Draining | Phase::Closed => {}
            Phase::Ready => self.begin_drain(code, reason, now),
            // Nothing was agreed on, so there is nothing to drain.
            _ => {
                self.begin_drain(code, reason, now);
                self.end_drain();
            }
        }
    }

    /// Whether the peer waits for our GOAWAY, which says that we have nothing more for it: see `flushed`.
    pub fn owes_goaway(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.owes_answer)
    }

    /// All that was to be sent beside the control stream has arrived.
    pub fn flushed(&mut self) {
        if let Some(drain) = self.drain.as_mut().filter(|drain| drain.owes_answer) {
            drain.owes_answer = false;
            let (code, reason) = (drain.code.number(), drain.reason.clone());
            self.send(Frame::GoAway { code, reason });
        }
    }

    fn take_frames(&mut self, bytes: &mut &[u8], now: Instant) -> Result<(), SessionError> {
        while self.phase != Phase::Closed {
            let Some(raw) = self.decoder.next(bytes)? else {
                break;
            };
            match Frame::read(raw)? {
                Some(frame) => self.on_frame(frame, now)?,
                None => self.skipped_frames += 1,
            }
        }
        Ok(())
    }

    fn closed_on_error(&mut self, outcome: Result<(), SessionError>) -> Result<(), SessionError> {
        if outcome.is_err() {
            self.phase = Phase::Closed;
        }
        outcome
    }

    /// Each frame in the phases where it may come; everything else is out of state.
    fn on_frame(&mut self, frame: Frame, now: Instant) -> Result<(), SessionError> {
        let live = matches!(self.phase, Phase::Ready | Phase::Draining);
        match (self.phase, frame) {
            (Phase::Opening | Phase::Hello, Frame::Hello(hello)) => self.on_hello(hello),
            (Phase::Auth, Frame::Auth(auth)) => self.on_auth(auth),
            (Phase::Confirming, Frame::SessionReady(ready)) => self.on_session_ready(ready, now),
            (_, Frame::Auth(auth)) if live => self.on_newer_auth(auth),
            (_, Frame::Ping { id }) if live => self.on_ping(id),
            (_, Frame::Pong { id }) if live => self.on_pong(id, now),
            (_, Frame::Message { kind, payload }) if live && !self.goaway_received => {
                self.events.push_back(Event::Message { kind, payload });
                Ok(())
            }
            (_, Frame::GoAway { code, reason }) if live && !self.goaway_received => {
                self.on_goaway(code, reason, now);
                Ok(())
            }
            (_, Frame::NodePressure(pressure)) if live && !self.goaway_received => {
                self.remote.pressure = Some((pressure, now));
                Ok(())
            }
            (_, Frame::StreamCredit(credit)) if live && !self.goaway_received => {
                if let Some(of_class) = self.remote.credits.get_mut(usize::from(credit.class)) {
                    *of_class = Some((credit.bytes_per_second, now));
                }
                Ok(())
            }
            (phase, frame) => Err(protocol_error(format!(
                "{} in phase {phase:?}",
                name_of(&frame)
            ))),
        }
    }

    fn on_hello(&mut self, hello: Hello) -> Result<(), SessionError> {
        let version = negotiate((VERSION, VERSION), (hello.min_version, hello.max_version))
            .ok_or_else(|| {
                SessionError::new(
                    CloseCode::VersionUnsupported,
                    format!(
                        "peer speaks versions {} to {}",
                        hello.min_version, hello.max_version
                    ),
                )
            })?;
        if hello.node != self.peer {
            return Err(auth_failed("HELLO names another node than the certificate"));
        }
        self.remote.capability = hello.capability;
        if self.role == Role::Acceptor {
            self.send_hello();
        }
        self.decoder.expect_version(version);
        self.send_auth();
        self.phase = Phase::Auth;
        Ok(())
    }

    fn on_auth(&mut self, auth: Auth) -> Result<(), SessionError> {
        self.verify(&auth)?;
        self.remote.authority = auth.authority;
        self.decoder.accept_frames_of(MAX_FRAME_BYTES);
        self.send(Frame::SessionReady(SessionReady {
            max_frame_bytes: MAX_FRAME_BYTES,
            authority: auth.authority,
        }));
        self.phase = Phase::Confirming;
        Ok(())
    }

    fn on_session_ready(&mut self, ready: SessionReady, now: Instant) -> Result<(), SessionError> {
        if ready.max_frame_bytes < MAX_HANDSHAKE_FRAME_BYTES {
            return Err(protocol_error(format!(
                "frames of {} bytes are too small to talk with",
                ready.max_frame_bytes
            )));
        }
        if ready.authority != self.announced {
            return Err(auth_failed("SESSION_READY accepts another authority"));
        }
        self.remote.max_frame_bytes = ready.max_frame_bytes;
        self.phase = Phase::Ready;
        self.heartbeat = Heartbeat::new(now);
        self.events.push_back(Event::Ready {
            authority: self.remote.authority,
        });
        self.announce_newer();
        Ok(())
    }

    fn on_newer_auth(&mut self, auth: Auth) -> Result<(), SessionError> {
        self.verify(&auth)?;
        if auth.authority <= self.remote.authority {
            return Err(protocol_error(format!(
                "AUTH goes back from {:?} to {:?}",
                self.remote.authority, auth.authority
            )));
        }
        self.remote.authority = auth.authority;
        self.events.push_back(Event::AuthorityChanged {
            authority: auth.authority,
        });
        Ok(())
    }

    fn verify(&self, auth: &Auth) -> Result<(), SessionError> {
        let sender = self.role.other();
        if !self
            .binding
            .holds(&auth.binding, sender, auth.authority, &self.peer)
        {
            return Err(auth_failed("AUTH is not bound to this TLS session"));
        }
        Ok(())
    }

    fn on_ping(&mut self, id: u64) -> Result<(), SessionError> {
        if !self.outbox.has_room_for_control() {
            return Err(protocol_error("peer asks faster than it reads"));
        }
        self.send(Frame::Pong { id });
        Ok(())
    }

    fn on_pong(&mut self, id: u64, now: Instant) -> Result<(), SessionError> {
        if !self.heartbeat.on_pong(id, now) {
            return Err(protocol_error(format!("PONG {id} was not asked for")));
        }
        Ok(())
    }

    fn on_goaway(&mut self, number: u32, reason: String, now: Instant) {
        self.goaway_received = true;
        // A code of a later capability still means an end.
        let code = CloseCode::from_number(number.into()).unwrap_or(CloseCode::GoingAway);
        let answered = self.phase == Phase::Draining;
        let told = reason.clone();
        self.events
            .push_back(Event::GoingAway { code, reason: told });
        if answered {
            self.end_drain();
        } else {
            // The peer closes the connection when it has our answer.
            self.drain(code, &reason, true, now);
        }
    }

    fn begin_drain(&mut self, code: CloseCode, reason: &str, now: Instant) {
        let reason = cut(reason, MAX_REASON_BYTES);
        self.send(Frame::GoAway {
            code: code.number(),
            reason: reason.to_owned(),
        });
        self.drain(code, reason, false, now);
    }

    fn drain(&mut self, code: CloseCode, reason: &str, owes_answer: bool, now: Instant) {
        let reason = reason.to_owned();
        self.phase = Phase::Draining;
        let deadline = now + DRAIN_TIMEOUT;
        self.drain = Some(Drain {
            code,
            reason,
            deadline,
            owes_answer,
        });
    }

    fn end_drain(&mut self) {
        self.phase = Phase::Closed;
        if let Some(Drain { code, reason, .. }) = self.drain.take() {
            self.events.push_back(Event::Drained { code, reason });
        }
    }

    fn beat(&mut self, now: Instant) -> Result<(), SessionError> {
        match self.heartbeat.on_timeout(now) {
            Ok(Some(id)) => self.send(Frame::Ping { id }),
            Ok(None) => {}
            Err(Silent) => {
                let message = "the peer answers no PING";
                return Err(SessionError::new(CloseCode::IdleTimeout, message));
            }
        }
        Ok(())
    }

    fn announce_newer(&mut self) {
        if self.authority > self.announced {
            self.send_auth();
        }
    }

    fn send_hello(&mut self) {
        let node = self.node.clone();
        self.send(Frame::Hello(Hello {
            min_version: VERSION,
            max_version: VERSION,
            capability: CAPABILITY,
            node,
        }));
    }

    fn send_auth(&mut self) {
        let authority = self.authority;
        let binding = self.binding.make(self.role, authority, &self.node);
        self.announced = authority;
        self.send(Frame::Auth(Auth { authority, binding }));
    }

    /// Every frame carries the version of this module: it is the only one there is to negotiate.
    fn send(&mut self, frame: Frame) {
        self.outbox.push(frame, VERSION);
    }
}

fn lasting<T>((told, at): (T, Instant), now: Instant) -> Option<T> {
    (now.saturating_duration_since(at) < PRESSURE_LASTS).then_some(told)
}

/// The highest version of both ranges.
pub(super) fn negotiate(ours: (u8, u8), theirs: (u8, u8)) -> Option<u8> {
    let highest = ours.1.min(theirs.1);
    let lowest = ours.0.max(theirs.0);
    (lowest <= highest).then_some(highest)
}

/// At most `bytes` of the text, at a character's border.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn name_of(frame: &Frame) -> &'static str {
    match frame {
        Frame::Hello(_) => "HELLO",
        Frame::Auth(_) => "AUTH",
        Frame::SessionReady(_) => "SESSION_READY",
        Frame::Ping { .. } => "PING",
        Frame::Pong { .. } => "PONG",
        Frame::GoAway { .. } => "GOAWAY",
        Frame::Message { .. } => "MESSAGE",
        Frame::NodePressure(_) => "NODE_PRESSURE",
        Frame::StreamCredit(_) => "STREAM_CREDIT",
    }
}

fn protocol_error(message: impl Into<String>) -> SessionError {
    SessionError::new(CloseCode::ProtocolError, message)
}

fn auth_failed(message: &str) -> SessionError {
    SessionError::new(CloseCode::AuthFailed, message)
}
