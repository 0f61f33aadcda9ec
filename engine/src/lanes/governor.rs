//! How much bulk goes to a peer while it, or what is urgent, suffers: half of what it was, half of that a second later, down to
//! a floor, and back in steps when it is over. Never what a failing peer looks like: it only gets less for a while.

use std::time::{Duration, Instant};

/// Bulk always gets this much, or a peer that is under pressure for good would get nothing more.
pub const MIN_BULK_BYTES_PER_SECOND: u64 = 1 << 20;
/// Of the rate, each second in which nobody suffers.
const RECOVERY_PART: u64 = 4;
/// What may go at once, as a part of a second's.
const BURST_PART: u64 = 20;
/// And at least a superframe.
const MIN_BURST_BYTES: i64 = 64 << 10;

/// What the last second brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// The peer is under critical pressure, or the urgent classes to it are.
    pub suffers: bool,
    /// Bytes a second that the peer takes.
    pub credit: Option<u64>,
}

#[derive(Debug)]
pub struct Governor {
    /// Bytes a second; `None`: whatever the path takes.
    rate: Option<u64>,
    /// What went before it was cut: reached again, the limit goes.
    before: u64,
    /// What our own steps came to, without the peer's credit.
    step: Option<u64>,
    tokens: i64,
    filled: Instant,
    /// Since the last review.
    sent: u64,
    reviewed: Instant,
}

impl Governor {
    pub fn new(now: Instant) -> Governor {
        Governor {
            rate: None,
            before: 0,
            step: None,
            tokens: 0,
            filled: now,
            sent: 0,
            reviewed: now,
        }
    }

    /// Bytes a second, where there is a limit.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    pub fn refill(&mut self, now: Instant) {
        let Some(rate) = self.rate else { return };
        let nanos = now.saturating_duration_since(self.filled).as_nanos();
        let gained = u128::from(rate) * nanos / 1_000_000_000;
        // Only the time that whole bytes took, so that frequent calls lose nothing.
        let taken = gained * 1_000_000_000 / u128::from(rate);
        self.filled += Duration::from_nanos(u64::try_from(taken).unwrap_or(u64::MAX));
        let burst = ((rate / BURST_PART) as i64).max(MIN_BURST_BYTES);
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(gained).min(burst);
    }

    /// Whether bulk may go now. A packet may take more than there is: what follows waits for longer.
    pub fn takes(&self) -> bool {
        self.rate.is_none() || self.tokens > 0
    }

    pub fn spend(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        if self.rate.is_some() {
            self.tokens -= bytes as i64;
        }
    }

    /// When it takes bulk again, if it does not now.
    pub fn opens_at(&self) -> Option<Instant> {
        let rate = self.rate.filter(|_| !self.takes())?;
        let missing = 1 + self.tokens.unsigned_abs();
        let nanos = u128::from(missing) * 1_000_000_000 / u128::from(rate);
        Some(self.filled + Duration::from_nanos(nanos as u64 + 1))
    }

    /// To be called once a second.
    pub fn review(&mut self, told: Told, now: Instant) {
        let elapsed = now.saturating_duration_since(self.reviewed).as_millis();
        let went = u128::from(std::mem::take(&mut self.sent)) * 1_000 / elapsed.max(1);
        self.reviewed = now;
        self.step = self.next_step(told.suffers, went as u64);
        let rate = match (self.step, told.credit) {
            (Some(step), Some(credit)) => Some(step.min(credit)),
            (step, credit) => step.or(credit),
        };
        let rate = rate.map(|rate| rate.max(MIN_BULK_BYTES_PER_SECOND));
        if self.rate.is_none() {
            (self.tokens, self.filled) = (0, now);
        }
        self.rate = rate;
    }

    fn next_step(&mut self, suffers: bool, went: u64) -> Option<u64> {
        match (suffers, self.step) {
            (true, None) => {
                self.before = went;
                Some((went / 2).max(MIN_BULK_BYTES_PER_SECOND))
            }
            (true, Some(step)) => Some((step / 2).max(MIN_BULK_BYTES_PER_SECOND)),
            (false, Some(step)) => {
                let more = step + step / RECOVERY_PART;
                (more < self.before).then_some(more)
            }
            (false, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFERS: Told = Told {
        suffers: true,
        credit: None,
    };

    /// Sends all that it takes in one second, at most `most`.
    fn second(governor: &mut Governor, now: &mut Instant, most: usize) -> usize {
        let mut sent = 0;
        for _ in 0..1_000 {
            *now += Duration::from_millis(1);
            governor.refill(*now);
            while governor.takes() && sent < most {
                governor.spend(10_000);
                sent += 10_000;
            }
        }
        sent
    }

    #[test]
    fn bulk_halves_while_the_peer_suffers_and_comes_back_in_steps() {
        let mut now = Instant::now();
        let mut governor = Governor::new(now);
        let full = 16 << 20;
        assert!(second(&mut governor, &mut now, full) >= full);
        let mut rates = Vec::new();
        for _ in 0..6 {
            governor.review(SUFFERS, now);
            let sent = second(&mut governor, &mut now, full) as u64;
            let rate = governor.rate().expect("a limit");
            assert!(sent.abs_diff(rate) < rate / 8, "{sent} of {rate}");
            rates.push(rate >> 20);
        }
        assert_eq!(rates, [8, 4, 2, 1, 1, 1]);
        let mut seconds = 0;
        while governor.rate().is_some() {
            governor.review(Told::default(), now);
            second(&mut governor, &mut now, full);
            seconds += 1;
        }
        assert!(
            (10..20).contains(&seconds),
            "{seconds} s until all is as before"
        );
    }

    #[test]
    fn obeys_the_credit_of_the_peer_but_for_the_floor() {
        let mut now = Instant::now();
        let mut governor = Governor::new(now);
        let credit = |credit| Told {
            suffers: false,
            credit,
        };
        governor.review(credit(Some(3 << 20)), now);
        let sent = second(&mut governor, &mut now, 16 << 20);
        assert!(sent.abs_diff(3 << 20) < 1 << 19, "{sent}");
        governor.review(credit(Some(0)), now);
        assert_eq!(governor.rate(), Some(MIN_BULK_BYTES_PER_SECOND));
        governor.review(credit(None), now);
        assert_eq!(governor.rate(), None);
    }

    #[test]
    fn says_when_it_opens_again() {
        let now = Instant::now();
        let mut governor = Governor::new(now);
        assert_eq!(governor.opens_at(), None);
        governor.review(SUFFERS, now);
        governor.spend(1 << 20);
        let opens = governor.opens_at().expect("closed");
        governor.refill(opens - Duration::from_millis(1));
        assert!(!governor.takes());
        governor.refill(opens);
        assert!(governor.takes());
    }
}
