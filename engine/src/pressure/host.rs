//! The node as a whole.

use std::time::Duration;

use super::{Assessment, Reason};

/// A turn of the packet loop that takes longer makes packets wait noticeably.
pub const TURN_BUDGET: Duration = Duration::from_millis(10);

/// Of one second.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostSample {
    /// Spent in turns above the budget.
    pub late: Duration,
    /// Of what may wait for all peers together.
    pub queued_percent: u8,
    /// Sends for which the kernel had no room.
    pub send_stalls: u64,
    /// Packets that the host did not take from the tunnel.
    pub tunnel_refusals: u64,
}

pub fn assess_host(sample: &HostSample) -> Assessment {
    Assessment::of([
        (Reason::Loop, late_score(sample.late)),
        (Reason::Memory, sample.queued_percent),
        (
            Reason::UdpSend,
            rising(sample.send_stalls, 20, 10, UDP_MOST),
        ),
        (Reason::Tunnel, rising(sample.tunnel_refusals, 50, 10, 90)),
    ])
}

/// A full send buffer is also what a fast sender meets: never critical for itself.
const UDP_MOST: u8 = 80;

/// A slow turn now and then is nothing; a quarter of the time is a warning, two fifths are critical.
fn late_score(late: Duration) -> u8 {
    if late.is_zero() {
        return 0;
    }
    let permille = late.as_millis().min(1_000) as u64;
    (30 + permille * 140 / 1_000).min(100) as u8
}

/// `base` when it happened at all, and one more for each `step` times.
fn rising(count: u64, base: u64, step: u64, most: u8) -> u8 {
    match count {
        0 => 0,
        count => (base + count / step).min(most.into()) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_pressure() {
        assert_eq!(assess_host(&HostSample::default()), Assessment::default());
    }

    #[test]
    fn the_worst_reason_comes_first_and_makes_the_score() {
        let assessment = assess_host(&HostSample {
            late: Duration::from_millis(400),
            queued_percent: 70,
            send_stalls: 3,
            tunnel_refusals: 0,
        });
        assert_eq!(
            assessment.reasons,
            [
                (Reason::Loop, 86),
                (Reason::Memory, 70),
                (Reason::UdpSend, 20)
            ]
        );
        assert_eq!(assessment.score, 86);
    }

    #[test]
    fn one_slow_turn_is_no_warning_and_no_number_leaves_the_scale() {
        let late = |ms| late_score(Duration::from_millis(ms));
        assert!(late(20) < 60 && late(250) >= 60);
        assert_eq!(late(5_000), 100);
        assert_eq!(rising(u64::MAX, 20, 10, UDP_MOST), UDP_MOST);
    }
}
