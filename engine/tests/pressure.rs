//! What a peer says about its pressure, and what a real engine makes of it.

mod support;

use std::time::{Duration, Instant};

use fabric_engine::frames::{NodePressure, StreamCredit};
use fabric_engine::session::{Phase, Session};
use fabric_engine::socket::messages::{Authority, PeerState, PressureLevel, SessionState};

use support::authority::Authority as CertificateAuthority;
use support::engine::EngineProcess;
use support::peer::Peer;

const AUTHORITY: Authority = Authority { term: 1, epoch: 1 };
const PATIENCE: Duration = Duration::from_secs(20);
const FLOOR: u64 = 1 << 20;
const BULK: u8 = 4;

/// Lets both live until the engine sees the peer so.
fn until(
    engine: &mut EngineProcess,
    peer: &mut Peer,
    session: &mut Session,
    mut seen: impl FnMut(&PeerState) -> bool,
) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let state = engine.peer("peer");
        if seen(&state) {
            return;
        }
        assert!(Instant::now() < give_up, "{state:?}");
        let look_again = Instant::now() + Duration::from_millis(50);
        peer.converse(session, |_| Instant::now() >= look_again);
        assert_eq!(peer.closed, None, "pressure ends no session");
    }
}

#[test]
fn bulk_gives_way_to_a_peer_that_suffers_until_it_says_so_no_more() {
    let authority = CertificateAuthority::new();
    let (node, other) = (authority.node("engine"), authority.node("peer"));
    let mut engine = EngineProcess::start(&node);
    engine.apply(&node, AUTHORITY, vec![other.as_peer()]);
    let mut peer = Peer::connect(&other, &node, engine.address());
    let mut session = peer.session(AUTHORITY);
    peer.converse(&mut session, |session| session.phase() == Phase::Ready);
    until(&mut engine, &mut peer, &mut session, |state| {
        state.session == SessionState::Ready
    });
    let calm = engine.peer("peer");
    assert_eq!(
        (calm.remote_pressure, calm.bulk_bytes_per_second),
        (None, None)
    );
    assert_eq!(engine.state().pressure.level, PressureLevel::Nominal);

    let tell = |session: &mut Session, level, score, credit: Option<u64>| {
        let pressure = NodePressure {
            level,
            score,
            reasons: 0b1001,
        };
        let credit = credit.map(|bytes_per_second| StreamCredit {
            class: BULK,
            bytes_per_second,
        });
        session.tell_pressure(pressure, credit);
    };
    // A credit alone holds bulk to what it says.
    tell(&mut session, 1, 70, Some(7 * FLOOR));
    until(&mut engine, &mut peer, &mut session, |state| {
        state.bulk_bytes_per_second == Some(7 * FLOOR)
    });
    let told = engine.peer("peer").remote_pressure.expect("told");
    assert_eq!((told.level, told.score), (PressureLevel::Warning, 70));
    assert_eq!(told.reasons, ["loop", "tunnel"]);
    // Critical: as low as it goes, and no lower.
    tell(&mut session, 2, 95, Some(0));
    until(&mut engine, &mut peer, &mut session, |state| {
        state.bulk_bytes_per_second == Some(FLOOR)
    });
    let critical = engine.peer("peer");
    assert_eq!(critical.session, SessionState::Ready);
    let told = critical.remote_pressure.expect("told");
    assert_eq!(told.level, PressureLevel::Critical);
    // Not said again, it is over.
    let silent_since = Instant::now();
    until(&mut engine, &mut peer, &mut session, |state| {
        state.remote_pressure.is_none() && state.bulk_bytes_per_second.is_none()
    });
    assert!(silent_since.elapsed() < Duration::from_secs(6));
}
