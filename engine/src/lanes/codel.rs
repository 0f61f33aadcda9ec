//! When a queue has held packets for too long, for too long: CoDel (RFC 8289), with times that follow the path's.

use std::time::{Duration, Instant};

/// RFC 8289 §4.3 asks for the largest usual round trip. Ours knows the path's: four of them, so that a sender sees the answer to one
/// drop before the next.
const ROUND_TRIPS: u32 = 4;
/// Shorter than that, two busy hosts need for a round trip.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
/// Twice what the RFC takes, for paths by satellite.
const MAX_INTERVAL: Duration = Duration::from_millis(200);
/// RFC 8289 §4.2: a packet may wait for a twentieth to a tenth of it.
const TARGET_PART: u32 = 10;

#[derive(Debug)]
pub struct CoDel {
    interval: Duration,
    /// When the delay will have been above the target for an interval.
    above_until: Option<Instant>,
    dropping: bool,
    next_drop: Instant,
    count: u32,
    last_count: u32,
}

impl CoDel {
    pub fn new(now: Instant) -> CoDel {
        CoDel {
            interval: MIN_INTERVAL,
            above_until: None,
            dropping: false,
            next_drop: now,
            count: 0,
            last_count: 0,
        }
    }

    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.interval = (round_trip * ROUND_TRIPS).clamp(MIN_INTERVAL, MAX_INTERVAL);
    }

    /// Whether the queue is too long now.
    pub fn is_dropping(&self) -> bool {
        self.dropping
    }

    fn target(&self) -> Duration {
        self.interval / TARGET_PART
    }

    /// Whether the packet now taken, which waited for `delay`, is to be dropped (or marked). `is_last` when none waits behind it.
    pub fn drops(&mut self, delay: Duration, is_last: bool, now: Instant) -> bool {
        let too_long = self.has_been_too_long(delay, is_last, now);
        if !too_long {
            self.dropping = false;
            return false;
        }
        if !self.dropping {
            self.dropping = true;
            // A queue that was too long a moment ago goes on where it was.
            let recently = now.saturating_duration_since(self.next_drop) < self.interval * 16;
            let since = self.count - self.last_count;
            self.count = if recently && since > 1 { since } else { 1 };
            self.last_count = self.count;
            self.next_drop = now + self.spacing();
            return true;
        }
        if now < self.next_drop {
            return false;
        }
        self.count += 1;
        self.next_drop += self.spacing();
        true
    }

    fn has_been_too_long(&mut self, delay: Duration, is_last: bool, now: Instant) -> bool {
        if delay < self.target() || is_last {
            self.above_until = None;
            return false;
        }
        match self.above_until {
            None => {
                self.above_until = Some(now + self.interval);
                false
            }
            Some(until) => now >= until,
        }
    }

    fn spacing(&self) -> Duration {
        self.interval.div_f64(f64::from(self.count).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(1);

    /// Drops of each interval when every packet waits for `delay`.
    fn drops(codel: &mut CoDel, delay: Duration, intervals: u32, now: &mut Instant) -> Vec<u32> {
        let steps = MIN_INTERVAL.as_millis() as u32;
        let mut drop = || {
            *now += STEP;
            u32::from(codel.drops(delay, false, *now))
        };
        (0..intervals)
            .map(|_| (0..steps).map(|_| drop()).sum())
            .collect()
    }

    #[test]
    fn drops_more_and_more_often_while_the_queue_stays_long() {
        let mut now = Instant::now();
        let mut codel = CoDel::new(now);
        let counts = drops(&mut codel, Duration::from_millis(10), 20, &mut now);
        assert_eq!(counts[0], 0, "not before an interval is over");
        assert!(counts[19] > counts[1], "{counts:?}");
    }

    #[test]
    fn a_short_or_single_burst_is_none_of_its_business() {
        let mut now = Instant::now();
        let mut codel = CoDel::new(now);
        let counts = drops(&mut codel, Duration::from_millis(1), 20, &mut now);
        assert_eq!(counts.iter().sum::<u32>(), 0);
        for _ in 0..100 {
            now += STEP;
            assert!(!codel.drops(Duration::from_millis(50), true, now));
        }
    }

    #[test]
    fn takes_its_times_from_the_path() {
        let mut codel = CoDel::new(Instant::now());
        codel.set_round_trip(Duration::from_micros(200));
        assert_eq!(codel.interval, MIN_INTERVAL);
        codel.set_round_trip(Duration::from_millis(40));
        assert_eq!(codel.interval, Duration::from_millis(160));
        codel.set_round_trip(Duration::from_secs(2));
        assert_eq!(codel.interval, MAX_INTERVAL);
    }
}
