//! Whatever comes from a peer with a valid certificate, the session neither panics nor keeps more than its bounds.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::{Phase, Role, Session, Setup, binding::Binding};
use crate::frames::properties::at_least;
use crate::frames::{
    Auth, Authority, CloseCode, Frame, Hello, MAX_FRAME_BYTES, SessionReady, VERSION,
};

const EXPORTER: [u8; 32] = [1; 32];

fn setup(role: Role) -> Setup {
    let (node, peer) = match role {
        Role::Dialler => ("a", "b"),
        Role::Acceptor => ("b", "a"),
    };
    Setup {
        role,
        node: node.into(),
        peer: peer.into(),
        exporter: EXPORTER,
        authority: Authority { term: 1, epoch: 1 },
    }
}

/// Something that can happen to a session.
#[derive(Debug, Clone)]
enum Step {
    Give(Frame),
    GiveBytes(Vec<u8>),
    Wait(u64),
    Send(usize),
    GoAway,
    Authority(u64),
    Transmit,
}

fn small_authority() -> impl Strategy<Value = Authority> {
    (0u64..4, 0u64..4).prop_map(|(term, epoch)| Authority { term, epoch })
}

/// Frames that a session in some phase would take, most of them well bound.
fn likely_frame() -> impl Strategy<Value = Frame> {
    let auth = (small_authority(), any::<bool>()).prop_map(|(authority, dialler)| {
        let (role, node) = if dialler {
            (Role::Dialler, "a")
        } else {
            (Role::Acceptor, "b")
        };
        let binding = Binding::new(&EXPORTER).make(role, authority, node);
        Frame::Auth(Auth { authority, binding })
    });
    prop_oneof![
        prop_oneof![Just("a"), Just("b")].prop_map(|node| Frame::Hello(Hello {
            min_version: 1,
            max_version: 2,
            capability: 9,
            node: node.into(),
        })),
        auth,
        (0..=MAX_FRAME_BYTES).prop_map(|max_frame_bytes| Frame::SessionReady(SessionReady {
            max_frame_bytes,
            authority: Authority { term: 1, epoch: 1 },
        })),
        (0u64..3).prop_map(|id| Frame::Ping { id }),
        (0u64..3).prop_map(|id| Frame::Pong { id }),
        (0u32..64).prop_map(|code| Frame::GoAway {
            code,
            reason: String::new()
        }),
        vec(any::<u8>(), 0..50).prop_map(|payload| Frame::Message {
            kind: "k".into(),
            payload: payload.into(),
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => likely_frame().prop_map(Step::Give),
        1 => vec(any::<u8>(), 0..40).prop_map(Step::GiveBytes),
        2 => (0u64..10_000).prop_map(Step::Wait),
        2 => (0usize..2_000_000).prop_map(Step::Send),
        1 => Just(Step::GoAway),
        1 => (0u64..5).prop_map(Step::Authority),
        2 => Just(Step::Transmit),
    ]
}

/// Takes one step; whether the session ended with an error by it.
fn take(session: &mut Session, step: Step, now: &mut Instant) -> bool {
    match step {
        Step::Give(frame) => {
            let mut chunks: Vec<Bytes> = Vec::new();
            frame.write(VERSION, &mut chunks);
            session.on_bytes(&chunks.concat(), *now).is_err()
        }
        Step::GiveBytes(bytes) => session.on_bytes(&bytes, *now).is_err(),
        Step::Wait(ms) => {
            *now += Duration::from_millis(ms);
            session.on_timeout(*now).is_err()
        }
        Step::Send(bytes) => {
            let _ = session.send_message("k", Bytes::from(vec![0; bytes]));
            false
        }
        Step::GoAway => {
            session.goaway(CloseCode::GoingAway, "test", *now);
            false
        }
        Step::Authority(epoch) => {
            session.set_authority(Authority { term: 1, epoch });
            false
        }
        Step::Transmit => {
            while session.poll_transmit().is_some() {}
            false
        }
    }
}

proptest! {
    #![proptest_config(at_least(500))]

    #[test]
    fn no_order_of_steps_breaks_a_session(
        dialler in any::<bool>(),
        openings in 0usize..4,
        steps in vec(step(), 0..60),
    ) {
        let role = if dialler { Role::Dialler } else { Role::Acceptor };
        let mut now = Instant::now();
        let mut session = Session::new(setup(role), now);
        // Go some way into the handshake first, so that the later phases are met as often as the first.
        for step in handshake(role).into_iter().take(openings) {
            prop_assert!(!take(&mut session, step, &mut now));
        }
        for step in steps {
            let was_closed = session.phase() == Phase::Closed;
            let failed = take(&mut session, step, &mut now);
            prop_assert!(!(was_closed && failed), "a closed session fails no more");
            prop_assert!(!failed || session.phase() == Phase::Closed);
            prop_assert_eq!(session.poll_timeout().is_none(), session.phase() == Phase::Closed);
            prop_assert!(session.queued_bytes() <= 5 * 1024 * 1024);
            while session.poll_event().is_some() {}
        }
    }

    #[test]
    fn the_phases_are_reached_however_the_bytes_are_cut(cuts in vec(1usize..50, 1..50)) {
        let now = Instant::now();
        let mut dialler = Session::new(setup(Role::Dialler), now);
        let mut acceptor = Session::new(setup(Role::Acceptor), now);
        let mut cuts = cuts.into_iter().cycle();
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for forth in [true, false] {
                let (from, to) = if forth { (&mut dialler, &mut acceptor) } else { (&mut acceptor, &mut dialler) };
                if let Some(mut chunk) = from.poll_transmit() {
                    quiet = false;
                    let cut = cuts.next().unwrap_or(1).min(chunk.len());
                    let piece = chunk.split_to(cut);
                    if !chunk.is_empty() { from.return_unsent(chunk); }
                    prop_assert_eq!(to.on_bytes(&piece, now), Ok(()));
                }
            }
        }
        prop_assert_eq!(dialler.phase(), Phase::Ready);
        prop_assert_eq!(acceptor.phase(), Phase::Ready);
    }
}

/// What the other end of a handshake says.
fn handshake(role: Role) -> Vec<Step> {
    let sender = role.other();
    let node = match sender {
        Role::Dialler => "a",
        Role::Acceptor => "b",
    };
    let authority = Authority { term: 1, epoch: 1 };
    let binding = Binding::new(&EXPORTER).make(sender, authority, node);
    vec![
        Step::Give(Frame::Hello(Hello {
            min_version: 1,
            max_version: 1,
            capability: 1,
            node: node.into(),
        })),
        Step::Give(Frame::Auth(Auth { authority, binding })),
        Step::Give(Frame::SessionReady(SessionReady {
            max_frame_bytes: MAX_FRAME_BYTES,
            authority,
        })),
    ]
}
