//! Each rule of the session, by two machines joined in memory or one machine against hand-made frames.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;

use super::{Event, Phase, Role, SendError, Session, SessionError, Setup, binding::Binding};
use crate::frames::{
    Auth, Authority, CAPABILITY, CloseCode, Decoder, Frame, Hello, MAX_FRAME_BYTES,
    MAX_HANDSHAKE_FRAME_BYTES, MAX_PAYLOAD_BYTES, NodePressure, SessionReady, StreamCredit,
    VERSION,
};
use crate::lanes::TrafficClass;

const DIALLER: &str = "spiffe://test.internal/node/a";
const ACCEPTOR: &str = "spiffe://test.internal/node/b";
const EXPORTER: [u8; 32] = [7; 32];
const DIALLERS: Authority = Authority { term: 3, epoch: 10 };
const ACCEPTORS: Authority = Authority { term: 3, epoch: 12 };

fn session(role: Role, now: Instant) -> Session {
    let (node, peer, authority) = match role {
        Role::Dialler => (DIALLER, ACCEPTOR, DIALLERS),
        Role::Acceptor => (ACCEPTOR, DIALLER, ACCEPTORS),
    };
    let setup = Setup {
        role,
        node: node.into(),
        peer: peer.into(),
        exporter: EXPORTER,
        authority,
    };
    Session::new(setup, now)
}

fn transmitted(session: &mut Session) -> Vec<u8> {
    session.flushed();
    std::iter::from_fn(|| session.poll_transmit())
        .collect::<Vec<Bytes>>()
        .concat()
}

fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// Two sessions joined without delay.
struct Pair {
    now: Instant,
    dialler: Session,
    acceptor: Session,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            now,
            dialler: session(Role::Dialler, now),
            acceptor: session(Role::Acceptor, now),
        }
    }

    fn ready() -> Self {
        let mut pair = Self::new();
        pair.exchange();
        events(&mut pair.dialler);
        events(&mut pair.acceptor);
        pair
    }

    /// Carries bytes until both are silent.
    fn exchange(&mut self) {
        loop {
            let forth = transmitted(&mut self.dialler);
            let back = transmitted(&mut self.acceptor);
            if forth.is_empty() && back.is_empty() {
                return;
            }
            self.acceptor
                .on_bytes(&forth, self.now)
                .expect("dialler speaks well");
            self.dialler
                .on_bytes(&back, self.now)
                .expect("acceptor speaks well");
        }
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.dialler.on_timeout(self.now).expect("dialler lives");
        self.acceptor.on_timeout(self.now).expect("acceptor lives");
    }
}

/// An acceptor in some phase, and the frames of a dialler made by hand.
struct Puppet {
    now: Instant,
    session: Session,
}

impl Puppet {
    fn opening() -> Self {
        let now = Instant::now();
        let session = session(Role::Acceptor, now);
        Self { now, session }
    }

    fn auth() -> Self {
        Self::opening().after(hello())
    }

    fn confirming() -> Self {
        Self::auth().after(auth(DIALLERS))
    }

    fn ready() -> Self {
        let mut puppet = Self::confirming().after(session_ready());
        events(&mut puppet.session);
        transmitted(&mut puppet.session);
        puppet
    }

    fn after(mut self, frame: Frame) -> Self {
        self.give(frame).expect("a frame that belongs here");
        self
    }

    fn give(&mut self, frame: Frame) -> Result<(), SessionError> {
        let mut chunks: Vec<Bytes> = Vec::new();
        frame.write(VERSION, &mut chunks);
        self.session.on_bytes(&chunks.concat(), self.now)
    }

    #[track_caller]
    fn refuses(mut self, frame: Frame, code: CloseCode) {
        let error = self.give(frame).expect_err("must be refused");
        assert_eq!(error.code, code, "{}", error.message);
        assert_eq!(self.session.phase(), Phase::Closed);
        assert_eq!(self.session.poll_timeout(), None);
        // A closed session takes nothing more.
        self.give(Frame::Ping { id: 0 }).expect("ignored");
    }

    /// Frames that the session sent.
    fn sent(&mut self) -> Vec<Frame> {
        let bytes = transmitted(&mut self.session);
        let mut input = bytes.as_slice();
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        std::iter::from_fn(|| decoder.next(&mut input).expect("own frames are valid"))
            .map(|raw| Frame::read(raw).expect("valid").expect("known"))
            .collect()
    }
}

fn hello() -> Frame {
    hello_of(1, 1, DIALLER)
}

fn hello_of(min_version: u8, max_version: u8, node: &str) -> Frame {
    Frame::Hello(Hello {
        min_version,
        max_version,
        capability: CAPABILITY,
        node: node.into(),
    })
}

fn auth(authority: Authority) -> Frame {
    auth_by(Role::Dialler, authority, DIALLER, &EXPORTER)
}

fn auth_by(role: Role, authority: Authority, node: &str, exporter: &[u8; 32]) -> Frame {
    let binding = Binding::new(exporter).make(role, authority, node);
    Frame::Auth(Auth { authority, binding })
}

fn session_ready() -> Frame {
    Frame::SessionReady(SessionReady {
        max_frame_bytes: MAX_FRAME_BYTES,
        authority: ACCEPTORS,
    })
}

fn message(payload: &'static [u8]) -> Frame {
    Frame::Message {
        kind: "test".into(),
        payload: Bytes::from_static(payload),
    }
}

fn goaway() -> Frame {
    Frame::GoAway {
        code: CloseCode::GoingAway.number(),
        reason: "restart".into(),
    }
}

#[test]
fn both_become_ready_and_know_the_others_authority() {
    let mut pair = Pair::new();
    assert_eq!(pair.dialler.phase(), Phase::Hello);
    assert_eq!(pair.acceptor.phase(), Phase::Opening);
    pair.exchange();
    assert_eq!(pair.dialler.phase(), Phase::Ready);
    assert_eq!(pair.acceptor.phase(), Phase::Ready);
    assert_eq!(
        events(&mut pair.dialler),
        [Event::Ready {
            authority: ACCEPTORS
        }]
    );
    assert_eq!(
        events(&mut pair.acceptor),
        [Event::Ready {
            authority: DIALLERS
        }]
    );
    assert_eq!(pair.dialler.capability(), CAPABILITY);
}

#[test]
fn messages_pass_in_order_and_the_greatest_fits() {
    let mut pair = Pair::ready();
    let large = Bytes::from(vec![0xab; MAX_PAYLOAD_BYTES]);
    pair.dialler
        .send_message("first", Bytes::from_static(b"1"))
        .expect("room");
    pair.dialler
        .send_message("large", large.clone())
        .expect("room");
    pair.exchange();
    let message = |kind: &str, payload: Bytes| Event::Message {
        kind: kind.into(),
        payload,
    };
    assert_eq!(
        events(&mut pair.acceptor),
        [
            message("first", Bytes::from_static(b"1")),
            message("large", large)
        ]
    );
}

#[test]
fn what_the_stream_does_not_take_is_sent_later() {
    let mut pair = Pair::ready();
    pair.dialler
        .send_message("test", Bytes::from_static(b"payload"))
        .expect("room");
    let queued = pair.dialler.queued_bytes();
    let mut chunk = pair.dialler.poll_transmit().expect("a chunk");
    let taken = chunk.split_to(3);
    pair.acceptor.on_bytes(&taken, pair.now).expect("a part");
    pair.dialler.return_unsent(chunk);
    assert_eq!(pair.dialler.queued_bytes(), queued - 3);
    pair.exchange();
    assert_eq!(pair.dialler.queued_bytes(), 0);
    assert_eq!(events(&mut pair.acceptor).len(), 1);
}

#[test]
fn messages_are_refused_that_cannot_be_sent() {
    let mut pair = Pair::new();
    let payload = Bytes::from_static(b"x");
    assert_eq!(
        pair.dialler.send_message("test", payload.clone()),
        Err(SendError::NoSession)
    );
    pair.exchange();
    let kind = |length| "k".repeat(length);
    assert_eq!(
        pair.dialler.send_message("", payload.clone()),
        Err(SendError::InvalidKind)
    );
    assert_eq!(
        pair.dialler.send_message("a b", payload.clone()),
        Err(SendError::InvalidKind)
    );
    assert_eq!(
        pair.dialler.send_message(&kind(65), payload.clone()),
        Err(SendError::InvalidKind)
    );
    assert_eq!(
        pair.dialler.send_message(&kind(64), payload.clone()),
        Ok(())
    );
    let large = Bytes::from(vec![0; MAX_PAYLOAD_BYTES + 1]);
    assert_eq!(
        pair.dialler.send_message("test", large),
        Err(SendError::TooLarge)
    );
    pair.dialler.goaway(CloseCode::GoingAway, "", pair.now);
    assert_eq!(
        pair.dialler.send_message("test", payload),
        Err(SendError::NoSession)
    );
}

#[test]
fn a_peer_that_does_not_read_is_felt_as_backpressure() {
    let mut pair = Pair::ready();
    let payload = Bytes::from(vec![0; MAX_PAYLOAD_BYTES]);
    let sent = (0..100)
        .take_while(|_| pair.dialler.send_message("bulk", payload.clone()).is_ok())
        .count();
    assert_eq!(sent, 3);
    assert_eq!(
        pair.dialler.send_message("bulk", payload.clone()),
        Err(SendError::Backpressure)
    );
    pair.exchange();
    assert_eq!(pair.dialler.send_message("bulk", payload), Ok(()));
}

#[test]
fn the_peers_smaller_limit_is_kept() {
    let small = Frame::SessionReady(SessionReady {
        max_frame_bytes: MAX_HANDSHAKE_FRAME_BYTES,
        authority: ACCEPTORS,
    });
    let mut puppet = Puppet::confirming().after(small);
    let payload = |length| Bytes::from(vec![0; length]);
    let fitting = MAX_HANDSHAKE_FRAME_BYTES as usize - 1 - "k".len();
    assert_eq!(puppet.session.send_message("k", payload(fitting)), Ok(()));
    assert_eq!(
        puppet.session.send_message("k", payload(fitting + 1)),
        Err(SendError::TooLarge)
    );
}

#[test]
fn a_limit_too_small_to_talk_with_is_refused() {
    let tiny = Frame::SessionReady(SessionReady {
        max_frame_bytes: MAX_HANDSHAKE_FRAME_BYTES - 1,
        authority: ACCEPTORS,
    });
    Puppet::confirming().refuses(tiny, CloseCode::ProtocolError);
}

#[test]
fn the_highest_common_version_is_spoken_or_none() {
    assert_eq!(super::machine::negotiate((1, 3), (2, 5)), Some(3));
    assert_eq!(super::machine::negotiate((1, 1), (1, 9)), Some(1));
    assert_eq!(super::machine::negotiate((1, 2), (3, 4)), None);
    assert_eq!(super::machine::negotiate((3, 4), (1, 2)), None);
    Puppet::opening().after(hello_of(1, 7, DIALLER));
    Puppet::opening().refuses(hello_of(2, 7, DIALLER), CloseCode::VersionUnsupported);
}

#[test]
fn a_hello_that_names_another_node_than_the_certificate_is_refused() {
    let other = hello_of(1, 1, "spiffe://test.internal/node/c");
    Puppet::opening().refuses(other, CloseCode::AuthFailed);
}

#[test]
fn an_auth_is_bound_to_its_session_role_authority_and_node() {
    let authority = DIALLERS;
    let stolen = auth_by(Role::Dialler, authority, DIALLER, &[8; 32]);
    Puppet::auth().refuses(stolen, CloseCode::AuthFailed);
    let reflected = auth_by(Role::Acceptor, authority, ACCEPTOR, &EXPORTER);
    Puppet::auth().refuses(reflected, CloseCode::AuthFailed);
    let wrong_role = auth_by(Role::Acceptor, authority, DIALLER, &EXPORTER);
    Puppet::auth().refuses(wrong_role, CloseCode::AuthFailed);
    let wrong_node = auth_by(Role::Dialler, authority, ACCEPTOR, &EXPORTER);
    Puppet::auth().refuses(wrong_node, CloseCode::AuthFailed);
    let Frame::Auth(Auth { binding, .. }) = auth(authority) else {
        unreachable!()
    };
    for raised in [
        Authority {
            term: 4,
            ..authority
        },
        Authority {
            epoch: 11,
            ..authority
        },
    ] {
        let authority = raised;
        Puppet::auth().refuses(
            Frame::Auth(Auth { authority, binding }),
            CloseCode::AuthFailed,
        );
    }
}

#[test]
fn a_session_ready_for_another_authority_is_refused() {
    let other = Frame::SessionReady(SessionReady {
        max_frame_bytes: MAX_FRAME_BYTES,
        authority: DIALLERS,
    });
    Puppet::confirming().refuses(other, CloseCode::AuthFailed);
}

#[test]
fn every_frame_out_of_state_ends_the_session() {
    type MakePuppet = fn() -> Puppet;
    // A newer AUTH is the one of index 3.
    let ready_allows = &[3, 4, 6, 7][..];
    for (puppet, allowed) in [
        (Puppet::opening as MakePuppet, &[0][..]),
        (Puppet::auth, &[1]),
        (Puppet::confirming, &[2]),
        (Puppet::ready, ready_allows),
    ] {
        let newer = Authority { term: 9, epoch: 1 };
        let frames = [
            hello(),
            auth(DIALLERS),
            session_ready(),
            auth(newer),
            Frame::Ping { id: 1 },
            Frame::Pong { id: 1 },
            message(b"x"),
            goaway(),
        ];
        let phase = puppet().session.phase();
        for (index, frame) in frames.into_iter().enumerate() {
            // The very first AUTH may name any authority.
            let first_auth = phase == Phase::Auth && index == 3;
            if first_auth || allowed.contains(&index) {
                puppet().after(frame);
            } else {
                puppet().refuses(frame, CloseCode::ProtocolError);
            }
        }
    }
}

#[test]
fn an_unknown_critical_frame_ends_the_session_and_another_is_skipped() {
    let mut puppet = Puppet::ready();
    let skipped = [VERSION, 0x7f, 0x00, 2, 0xff, 0xff];
    puppet
        .session
        .on_bytes(&skipped, puppet.now)
        .expect("skipped");
    assert_eq!(puppet.session.skipped_frames(), 1);
    assert_eq!(events(&mut puppet.session), []);
    let critical = [VERSION, 0x7f, 0x01, 0];
    let error = puppet
        .session
        .on_bytes(&critical, puppet.now)
        .expect_err("critical");
    assert_eq!(error.code, CloseCode::UnknownFrame);
    assert_eq!(puppet.session.phase(), Phase::Closed);
}

#[test]
fn a_frame_above_the_limit_ends_the_session_at_its_header() {
    // Before SESSION_READY little is accepted …
    let header = |length: u32| {
        let [a, b, c, d] = (length | 0x8000_0000).to_be_bytes();
        [VERSION, 0x07, 0x01, a, b, c, d]
    };
    let mut early = Puppet::auth();
    let error = early
        .session
        .on_bytes(&header(20_000), early.now)
        .expect_err("too large");
    assert_eq!(error.code, CloseCode::FrameTooLarge);
    // … and after it one message.
    let mut late = Puppet::ready();
    late.session
        .on_bytes(&header(MAX_FRAME_BYTES), late.now)
        .expect("the rest may come");
    let mut late = Puppet::ready();
    let error = late
        .session
        .on_bytes(&header(MAX_FRAME_BYTES + 1), late.now)
        .expect_err("too large");
    assert_eq!(error.code, CloseCode::FrameTooLarge);
}

#[test]
fn messages_before_a_broken_frame_are_still_delivered() {
    let mut puppet = Puppet::ready();
    let mut chunks: Vec<Bytes> = Vec::new();
    message(b"x").write(VERSION, &mut chunks);
    let bytes = [&chunks.concat(), &b"garbage"[..]].concat();
    puppet
        .session
        .on_bytes(&bytes, puppet.now)
        .expect_err("garbage");
    assert_eq!(events(&mut puppet.session).len(), 1);
}

#[test]
fn a_handshake_has_a_deadline_in_every_phase() {
    for puppet in [Puppet::opening(), Puppet::auth(), Puppet::confirming()] {
        let Puppet { mut session, now } = puppet;
        let deadline = session.poll_timeout().expect("a deadline");
        assert!(deadline <= now + Duration::from_secs(5));
        session
            .on_timeout(deadline - Duration::from_millis(1))
            .expect("not yet");
        let error = session.on_timeout(deadline).expect_err("too late");
        assert_eq!(error.code, CloseCode::HandshakeTimeout);
        assert_eq!(session.phase(), Phase::Closed);
    }
}

#[test]
fn pings_keep_an_idle_session_alive_and_measure_it() {
    let mut pair = Pair::ready();
    for _ in 0..100 {
        pair.advance(Duration::from_secs(3));
        let ping = transmitted(&mut pair.dialler);
        pair.acceptor.on_bytes(&ping, pair.now).expect("a ping");
        pair.now += Duration::from_millis(20);
        let pong = transmitted(&mut pair.acceptor);
        pair.dialler.on_bytes(&pong, pair.now).expect("a pong");
        pair.exchange();
    }
    assert_eq!(pair.dialler.phase(), Phase::Ready);
    assert_eq!(pair.dialler.rtt(), Some(Duration::from_millis(20)));
}

#[test]
fn a_silent_peer_is_noticed_within_ten_seconds() {
    let mut pair = Pair::ready();
    // The worst case: the peer dies just after its last PONG.
    pair.advance(Duration::ZERO);
    pair.exchange();
    let died_at = pair.now;
    let mut session = pair.dialler;
    let error = loop {
        let deadline = session.poll_timeout().expect("a deadline");
        if let Err(error) = session.on_timeout(deadline) {
            break (deadline, error);
        }
    };
    assert_eq!(error.1.code, CloseCode::IdleTimeout);
    assert!(error.0 - died_at <= Duration::from_secs(10));
}

#[test]
fn a_peer_that_pings_without_reading_is_ended() {
    let mut puppet = Puppet::ready();
    let error = (0..1_000_000)
        .find_map(|id| puppet.give(Frame::Ping { id }).err())
        .expect("bounded");
    assert_eq!(error.code, CloseCode::ProtocolError);
    assert!(puppet.session.queued_bytes() < 5 * 1024 * 1024);
}

#[test]
fn a_newer_authority_is_announced_once() {
    let mut pair = Pair::ready();
    let newer = Authority { term: 3, epoch: 13 };
    pair.dialler.set_authority(newer);
    pair.dialler.set_authority(newer);
    pair.dialler.set_authority(DIALLERS);
    pair.exchange();
    assert_eq!(
        events(&mut pair.acceptor),
        [Event::AuthorityChanged { authority: newer }]
    );
    assert_eq!(pair.acceptor.remote_authority(), newer);
}

#[test]
fn an_authority_that_changes_during_the_handshake_is_announced_after_it() {
    let newer = Authority { term: 4, epoch: 1 };
    let mut puppet = Puppet::confirming();
    puppet.sent();
    puppet.session.set_authority(newer);
    assert_eq!(puppet.sent(), []);
    let mut puppet = puppet.after(session_ready());
    let binding = Binding::new(&EXPORTER).make(Role::Acceptor, newer, ACCEPTOR);
    assert_eq!(
        puppet.sent(),
        [Frame::Auth(Auth {
            authority: newer,
            binding
        })]
    );
}

#[test]
fn an_authority_never_goes_back() {
    Puppet::ready().refuses(auth(DIALLERS), CloseCode::ProtocolError);
    let older = Authority { term: 2, epoch: 99 };
    Puppet::ready().refuses(auth(older), CloseCode::ProtocolError);
}

#[test]
fn goaway_lets_what_is_on_its_way_arrive_then_both_end() {
    let mut pair = Pair::ready();
    let payload = Bytes::from_static(b"last words");
    pair.dialler
        .send_message("test", payload.clone())
        .expect("room");
    pair.acceptor
        .send_message("test", payload.clone())
        .expect("room");
    pair.dialler
        .goaway(CloseCode::GoingAway, "restart", pair.now);
    assert_eq!(pair.dialler.phase(), Phase::Draining);
    pair.exchange();
    let kind = String::from("test");
    let code = CloseCode::GoingAway;
    let reason = String::from("restart");
    assert_eq!(
        events(&mut pair.dialler),
        [
            Event::Message {
                kind: kind.clone(),
                payload: payload.clone()
            },
            Event::GoingAway {
                code,
                reason: reason.clone()
            },
            Event::Drained {
                code,
                reason: reason.clone()
            },
        ]
    );
    assert_eq!(pair.dialler.phase(), Phase::Closed);
    // The other end waits for the connection to be closed, but not for ever.
    assert_eq!(
        events(&mut pair.acceptor),
        [
            Event::Message { kind, payload },
            Event::GoingAway {
                code,
                reason: reason.clone()
            }
        ]
    );
    assert_eq!(pair.acceptor.phase(), Phase::Draining);
    pair.advance(Duration::from_secs(2));
    assert_eq!(
        events(&mut pair.acceptor),
        [Event::Drained { code, reason }]
    );
}

#[test]
fn goaway_from_both_sides_at_once_ends_both() {
    let mut pair = Pair::ready();
    pair.dialler.goaway(CloseCode::Duplicate, "", pair.now);
    pair.acceptor.goaway(CloseCode::GoingAway, "", pair.now);
    pair.exchange();
    assert_eq!(pair.dialler.phase(), Phase::Closed);
    assert_eq!(pair.acceptor.phase(), Phase::Closed);
}

#[test]
fn a_peer_that_does_not_answer_goaway_is_left_after_a_while() {
    let mut puppet = Puppet::ready();
    puppet
        .session
        .goaway(CloseCode::Revoked, "key lost", puppet.now);
    let deadline = puppet.session.poll_timeout().expect("a deadline");
    puppet.session.on_timeout(deadline).expect("an orderly end");
    let reason = String::from("key lost");
    assert_eq!(
        events(&mut puppet.session),
        [Event::Drained {
            code: CloseCode::Revoked,
            reason
        }]
    );
    assert_eq!(puppet.session.phase(), Phase::Closed);
}

#[test]
fn goaway_before_ready_ends_at_once() {
    let mut puppet = Puppet::auth();
    puppet.session.goaway(CloseCode::GoingAway, "", puppet.now);
    assert_eq!(puppet.session.phase(), Phase::Closed);
    assert_eq!(events(&mut puppet.session).len(), 1);
}

#[test]
fn nothing_but_answers_may_follow_a_goaway() {
    Puppet::ready().after(goaway()).after(Frame::Ping { id: 3 });
    Puppet::ready()
        .after(goaway())
        .refuses(message(b"late"), CloseCode::ProtocolError);
    Puppet::ready()
        .after(goaway())
        .refuses(goaway(), CloseCode::ProtocolError);
}

#[test]
fn a_goaway_of_an_unknown_code_and_a_long_reason_are_understood() {
    let mut puppet = Puppet::ready().after(Frame::GoAway {
        code: 0xdead,
        reason: "later".into(),
    });
    let code = CloseCode::GoingAway;
    let reason = String::from("later");
    assert_eq!(
        events(&mut puppet.session),
        [Event::GoingAway { code, reason }]
    );
    let mut puppet = Puppet::ready();
    puppet
        .session
        .goaway(CloseCode::GoingAway, &"é".repeat(400), puppet.now);
    let reason = "é".repeat(128);
    let code = CloseCode::GoingAway.number();
    assert_eq!(puppet.sent(), [Frame::GoAway { code, reason }]);
}

#[test]
fn the_binding_is_the_published_one() {
    #[derive(Deserialize)]
    struct Vectors {
        bindings: Vec<Vector>,
    }
    #[derive(Deserialize)]
    struct Vector {
        exporter: String,
        role: String,
        term: u64,
        epoch: u64,
        node: String,
        binding: String,
    }
    let unhex = |hex: &str| -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hex"))
    };
    let file = include_str!("../../vectors/frames.json");
    let vectors: Vectors = serde_json::from_str(file).expect("vectors are valid");
    assert!(!vectors.bindings.is_empty());
    for vector in vectors.bindings {
        let role = match vector.role.as_str() {
            "dialler" => Role::Dialler,
            _ => Role::Acceptor,
        };
        let authority = Authority {
            term: vector.term,
            epoch: vector.epoch,
        };
        let made = Binding::new(&unhex(&vector.exporter)).make(role, authority, &vector.node);
        assert_eq!(made, unhex(&vector.binding));
    }
}

const HARD: NodePressure = NodePressure {
    level: 2,
    score: 90,
    reasons: 1,
};
const CREDIT: StreamCredit = StreamCredit {
    class: 4,
    bytes_per_second: 1 << 20,
};

#[test]
fn pressure_and_credit_are_told_and_forgotten_when_nobody_renews_them() {
    let mut pair = Pair::ready();
    pair.acceptor.tell_pressure(HARD, Some(CREDIT));
    pair.exchange();
    let heard = |pair: &Pair| {
        let credit = |class| pair.dialler.remote_credit(class, pair.now);
        (
            pair.dialler.remote_pressure(pair.now),
            credit(TrafficClass::Bulk),
            credit(TrafficClass::Reliable),
        )
    };
    assert_eq!(heard(&pair), (Some(HARD), Some(1 << 20), None));
    pair.now += Duration::from_millis(2_900);
    assert_eq!(heard(&pair), (Some(HARD), Some(1 << 20), None));
    pair.now += Duration::from_millis(100);
    assert_eq!(heard(&pair), (None, None, None));
}

#[test]
fn a_peer_of_before_hears_nothing_of_pressure() {
    let mut old = Puppet::opening().after(Frame::Hello(Hello {
        min_version: 1,
        max_version: 1,
        capability: 1,
        node: DIALLER.into(),
    }));
    for frame in [auth(DIALLERS), session_ready()] {
        old.give(frame).expect("a frame that belongs here");
    }
    old.sent();
    old.session.tell_pressure(HARD, Some(CREDIT));
    assert_eq!(old.sent(), []);
}

#[test]
fn pressure_is_not_queued_for_a_peer_that_does_not_read() {
    let mut puppet = Puppet::ready();
    for _ in 0..1_000 {
        puppet.session.tell_pressure(HARD, Some(CREDIT));
    }
    let told = [Frame::NodePressure(HARD), Frame::StreamCredit(CREDIT)];
    assert_eq!(puppet.sent(), told);
}

#[test]
fn pressure_before_ready_or_after_goaway_is_out_of_state() {
    let hard = || Frame::NodePressure(HARD);
    Puppet::auth().refuses(hard(), CloseCode::ProtocolError);
    Puppet::ready()
        .after(hard())
        .after(goaway())
        .refuses(hard(), CloseCode::ProtocolError);
}

#[test]
fn a_goaway_is_answered_when_all_has_arrived() {
    let mut puppet = Puppet::ready().after(goaway());
    assert!(puppet.session.owes_goaway());
    assert_eq!(puppet.session.poll_transmit(), None);
    puppet.session.flushed();
    assert!(!puppet.session.owes_goaway());
    assert_eq!(puppet.sent(), [goaway()]);
    puppet.session.flushed();
    assert_eq!(puppet.sent(), [], "once");
}
