//! When the loop pauses before it looks again, so that the next turn has a batch: a thread that runs for every packet spends its time
//! on being woken, and one with priority takes it from whoever makes the packets.

use std::time::{Duration, Instant};

/// A turn that moved this many bytes will have more to do in a moment; one that moved more has had its batch.
const BUSY_BYTES: std::ops::Range<usize> = (16 << 10)..(128 << 10);
/// Measured on two busy cores: a sixth less CPU for each byte and a tenth more of them, for 0.2 ms of round trip under load; twice as
/// long costs as much again and gains little.
const PAUSE: Duration = Duration::from_micros(50);
/// A wait shorter than this was hardly one.
const SHORT_WAIT: Duration = Duration::from_micros(25);
/// Turns in a row after short waits: more than a few conversations make, as many as a flood of small packets.
const HASTY_TURNS: u32 = 16;

#[derive(Debug, Default)]
pub struct Pace {
    /// In this turn.
    moved_bytes: usize,
    /// There is more to read than one turn may.
    has_more: bool,
    waits_since: Option<Instant>,
    /// In a row, that began after a short wait.
    hasty_turns: u32,
}

impl Pace {
    pub fn begin_turn(&mut self, now: Instant) {
        let is_hasty = self
            .waits_since
            .is_some_and(|since| now.saturating_duration_since(since) < SHORT_WAIT);
        self.hasty_turns = match is_hasty {
            true => self.hasty_turns.saturating_add(1),
            false => 0,
        };
    }

    pub fn moved(&mut self, bytes: usize) {
        self.moved_bytes += bytes;
    }

    /// A turn's bound was met before there was nothing left to read.
    pub fn has_more(&mut self) {
        self.has_more = true;
    }

    /// Whether this turn moved as much as only a load does.
    pub fn is_busy(&self) -> bool {
        self.moved_bytes >= BUSY_BYTES.start
    }

    /// How long to pause before the wait that ends the turn.
    pub fn pause(&self) -> Option<Duration> {
        let least = match self.hasty_turns >= HASTY_TURNS {
            true => 1,
            false => BUSY_BYTES.start,
        };
        let is_early = (least..BUSY_BYTES.end).contains(&self.moved_bytes);
        (is_early && !self.has_more).then_some(PAUSE)
    }

    /// The turn is over but for the wait.
    pub fn end_turn(&mut self, now: Instant) {
        self.moved_bytes = 0;
        self.has_more = false;
        self.waits_since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Loop {
        pace: Pace,
        now: Instant,
    }

    impl Loop {
        fn new() -> Loop {
            Loop {
                pace: Pace::default(),
                now: Instant::now(),
            }
        }

        /// One turn after a wait of `waited` that moves `bytes`; whether it pauses.
        fn turn(&mut self, waited: Duration, bytes: usize) -> bool {
            self.now += waited;
            self.pace.begin_turn(self.now);
            self.pace.moved(bytes);
            let pauses = self.pace.pause().is_some();
            self.pace.end_turn(self.now);
            pauses
        }
    }

    const LONG: Duration = Duration::from_micros(100);
    const SHORT: Duration = Duration::from_micros(5);

    #[test]
    fn a_small_batch_of_bulk_is_worth_a_pause_and_a_large_one_is_not() {
        let mut turns = Loop::new();
        assert!(!turns.turn(LONG, 1_400));
        assert!(turns.turn(LONG, 60_000));
        assert!(!turns.turn(LONG, 300_000));
    }

    #[test]
    fn nothing_is_put_off_that_is_there_already() {
        let mut turns = Loop::new();
        turns.pace.moved(60_000);
        turns.pace.has_more();
        assert!(turns.pace.is_busy());
        assert_eq!(turns.pace.pause(), None);
        turns.pace.end_turn(turns.now);
        assert!(turns.turn(LONG, 60_000), "the next turn is another");
    }

    #[test]
    fn a_flood_of_small_packets_is_taken_in_batches_and_a_conversation_is_not() {
        let mut turns = Loop::new();
        let pauses = (0..1_000).filter(|_| turns.turn(LONG, 100)).count();
        assert_eq!(pauses, 0, "one packet, one answer");
        let first = (0..1_000).position(|_| turns.turn(SHORT, 100));
        assert_eq!(first, Some(HASTY_TURNS as usize - 1));
        assert!(turns.turn(SHORT, 100), "as long as the flood goes on");
        assert!(!turns.turn(SHORT, 0), "a turn without packets is no flood");
        assert!(!turns.turn(LONG, 100), "it is over");
    }
}
