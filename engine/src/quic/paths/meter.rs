//! Loss and delivery rate of a path, over the last seconds.

use std::time::{Duration, Instant};

/// Long enough for a figure, short enough to be of now.
const WINDOW: Duration = Duration::from_secs(2);
/// How much of the loss before counts in the next window: what happened 10 s ago fades.
const MEMORY: f64 = 0.7;

/// What a path sent and lost since its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub packets: u64,
    pub lost_packets: u64,
    pub bytes: u64,
    pub lost_bytes: u64,
}

#[derive(Debug)]
pub struct Meter {
    at: Instant,
    counts: Counts,
    sent: f64,
    lost: f64,
    pub bytes_per_second: u64,
}

impl Meter {
    pub fn new(now: Instant) -> Meter {
        Meter {
            at: now,
            counts: Counts::default(),
            sent: 0.0,
            lost: 0.0,
            bytes_per_second: 0,
        }
    }

    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= WINDOW
    }

    pub fn take(&mut self, counts: Counts, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let before = std::mem::replace(&mut self.counts, counts);
        self.at = now;
        self.sent = self.sent * MEMORY + since(counts.packets, before.packets) as f64;
        self.lost = self.lost * MEMORY + since(counts.lost_packets, before.lost_packets) as f64;
        let delivered = since(counts.bytes, before.bytes)
            .saturating_sub(since(counts.lost_bytes, before.lost_bytes));
        self.bytes_per_second = (delivered as f64 / seconds) as u64;
    }

    /// Of a thousand packets, how many were lost.
    pub fn lost_permille(&self) -> u32 {
        if self.sent < 1.0 {
            return 0;
        }
        (self.lost / self.sent * 1_000.0).round().min(1_000.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_loss_and_the_rate_of_the_last_windows() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        assert!(!meter.is_due(start) && meter.is_due(start + WINDOW));
        let mut counts = Counts {
            packets: 1_000,
            lost_packets: 10,
            bytes: 1_000_000,
            lost_bytes: 10_000,
        };
        meter.take(counts, start + WINDOW);
        assert_eq!(
            (meter.lost_permille(), meter.bytes_per_second),
            (10, 495_000)
        );
        for window in 2..40 {
            counts.packets += 1_000;
            meter.take(counts, start + WINDOW * window);
        }
        assert_eq!((meter.lost_permille(), meter.bytes_per_second), (0, 0));
    }
}
