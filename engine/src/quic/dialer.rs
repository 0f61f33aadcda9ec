//! When to dial which address of a peer.
//!
//! One round tries the candidates in their order, each `STAGGER` after the one before, and all stay in the race until one wins
//! (RFC 8305). A round that failed is followed by a rest that doubles each time, with jitter so that nodes which lost the same
//! peer do not come back together.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An address on the same continent answers within this; a farther one is still in the race.
const STAGGER: Duration = Duration::from_millis(250);
/// A peer that restarts is back within this.
const FIRST_REST: Duration = Duration::from_millis(100);
/// A peer that is away for long costs one round in this time, and is seen again within it.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Unless there are more than a thousand peers: this long for each of them, so that all that are away together cost two hundred rounds a
/// second. One that comes back dials us itself.
const REST_PER_PEER: Duration = Duration::from_millis(5);

/// What a rest depends on besides the failures before it.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// A random number of 0..=1.
    pub jitter: f64,
    /// That there are in all.
    pub peers: usize,
}

impl Rest {
    fn longest(self) -> Duration {
        let peers = u32::try_from(self.peers).unwrap_or(u32::MAX);
        LONGEST_REST.max(REST_PER_PEER.saturating_mul(peers))
    }
}

#[derive(Debug)]
pub struct Dialer {
    candidates: Vec<SocketAddr>,
    state: State,
    rest: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A session is there, or nothing can be dialled.
    Idle,
    /// `next` is to be dialled at `at`.
    Round { next: usize, at: Instant },
    /// Every candidate has been dialled; the attempts are running.
    Waiting,
}

impl Dialer {
    pub fn new(candidates: Vec<SocketAddr>) -> Dialer {
        Dialer {
            candidates,
            state: State::Idle,
            rest: FIRST_REST,
        }
    }

    /// Takes other candidates; a round under way goes on with them from the start.
    pub fn set_candidates(&mut self, candidates: Vec<SocketAddr>, now: Instant) {
        if self.candidates == candidates {
            return;
        }
        self.candidates = candidates;
        if self.state != State::Idle {
            self.start(now);
        }
    }

    /// Starts a round at `at`, whatever the rest says: there is news, as after a stateless reset.
    pub fn start(&mut self, at: Instant) {
        self.state = if self.candidates.is_empty() {
            State::Idle
        } else {
            State::Round { next: 0, at }
        };
    }

    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// A connection stands: nothing is to be dialled as long as it does.
    pub fn stop(&mut self) {
        self.state = State::Idle;
    }

    /// The connection is gone: a round begins after a rest, the shortest when the session had lasted.
    pub fn lost(&mut self, now: Instant, lasted: Duration, rest: Rest) {
        if lasted > LONGEST_REST {
            self.rest = FIRST_REST;
        }
        self.start_after_rest(now, rest);
    }

    fn start_after_rest(&mut self, now: Instant, rest: Rest) {
        self.start(now + self.rest.mul_f64(0.5 + rest.jitter / 2.0));
        self.rest = (self.rest * 2).min(rest.longest());
    }

    /// The candidate to dial now, if any.
    pub fn poll(&mut self, now: Instant) -> Option<SocketAddr> {
        let State::Round { next, at } = self.state else {
            return None;
        };
        if at > now {
            return None;
        }
        let candidate = *self.candidates.get(next)?;
        self.state = if next + 1 < self.candidates.len() {
            State::Round {
                next: next + 1,
                at: now + STAGGER,
            }
        } else {
            State::Waiting
        };
        Some(candidate)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Round { at, .. } => Some(at),
            _ => None,
        }
    }

    /// No attempt is running any more. Ends the round, unless it has candidates left, which are then tried without waiting.
    pub fn attempts_ended(&mut self, now: Instant, rest: Rest) {
        match &mut self.state {
            State::Idle => {}
            State::Round { next: 0, .. } => {}
            State::Round { at, .. } => *at = now,
            State::Waiting => self.start_after_rest(now, rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Rest = Rest {
        jitter: 0.0,
        peers: 1,
    };

    fn dialer(count: u16) -> Dialer {
        Dialer::new(
            (0..count)
                .map(|index| SocketAddr::from(([192, 0, 2, 1], 1000 + index)))
                .collect(),
        )
    }

    #[test]
    fn staggers_the_candidates_of_a_round() {
        let start = Instant::now();
        let mut dialer = dialer(2);
        assert!(dialer.poll(start).is_none(), "idle until started");
        dialer.start(start);
        assert_eq!(dialer.poll(start).map(|address| address.port()), Some(1000));
        assert_eq!(dialer.poll(start), None);
        assert_eq!(dialer.poll_timeout(), Some(start + STAGGER));
        assert_eq!(
            dialer.poll(start + STAGGER).map(|address| address.port()),
            Some(1001)
        );
        assert_eq!(dialer.poll_timeout(), None);
    }

    #[test]
    fn a_failed_first_candidate_lets_the_second_go_at_once() {
        let start = Instant::now();
        let mut dialer = dialer(2);
        dialer.start(start);
        dialer.poll(start);
        let failed = start + Duration::from_millis(10);
        dialer.attempts_ended(failed, SHORTEST);
        assert!(dialer.poll(failed).is_some());
    }

    /// Milliseconds after each of nine failed rounds, and when the last is over.
    fn rests(dialer: &mut Dialer, mut now: Instant, peers: usize) -> (Vec<u128>, Instant) {
        dialer.start(now);
        let mut rests = Vec::new();
        for _ in 0..9 {
            assert!(dialer.poll(now).is_some());
            dialer.attempts_ended(now, Rest { jitter: 1.0, peers });
            let at = dialer.poll_timeout().expect("a next round");
            rests.push((at - now).as_millis());
            now = at;
        }
        (rests, now)
    }

    #[test]
    fn many_absent_peers_are_dialled_less_often() {
        let (rests, _) = rests(&mut dialer(1), Instant::now(), 3_000);
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000];
        assert_eq!(rests, expected);
    }

    #[test]
    fn rests_longer_after_each_failed_round_up_to_the_bound() {
        let mut dialer = dialer(1);
        let (rests, now) = rests(&mut dialer, Instant::now(), 1_000);
        assert_eq!(rests, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        dialer.stop();
        assert!(dialer.is_idle());
        dialer.lost(now, Duration::from_secs(1), SHORTEST);
        assert_eq!(
            dialer.poll_timeout(),
            Some(now + Duration::from_millis(2500)),
            "a short session is no success"
        );
        dialer.lost(now, Duration::from_secs(60), SHORTEST);
        assert_eq!(dialer.poll_timeout(), Some(now + Duration::from_millis(50)));
    }

    #[test]
    fn without_candidates_there_is_nothing_to_do() {
        let mut dialer = dialer(0);
        dialer.start(Instant::now());
        assert!(dialer.is_idle());
    }
}
