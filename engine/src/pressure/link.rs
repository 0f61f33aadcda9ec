//! The way to one peer, and each class on it.

use super::{Assessment, Reason};
use crate::lanes::TrafficClass;

#[derive(Clone, Copy, Debug, Default)]
pub struct ClassSample {
    /// Of what its queue may hold.
    pub fill_percent: u8,
    /// Its packets waited for too long lately.
    pub delayed: bool,
}

/// Of one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkSample {
    pub classes: [ClassSample; TrafficClass::COUNT],
    /// Bulk waits because as much is unacknowledged as may be.
    pub in_flight: bool,
    /// A stream could not be opened.
    pub streams: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkAssessment {
    pub whole: Assessment,
    /// The score of each class.
    pub classes: [u8; TrafficClass::COUNT],
}

/// That a transfer fills the path is its business, not trouble.
const IN_FLIGHT: u8 = 30;
/// What has no stream yet waits for the next session.
const STREAMS: u8 = 70;

pub fn assess_link(sample: &LinkSample) -> LinkAssessment {
    let of = |class: TrafficClass| {
        let ClassSample {
            fill_percent,
            delayed,
        } = sample.classes[class as usize];
        let (full, delay) = weights(class);
        let fill = u16::from(fill_percent.min(100)) * full / 100;
        let delay = if delayed { delay } else { 0 };
        [
            (Reason::Queue(class), fill as u8),
            (Reason::Delay(class), delay),
        ]
    };
    let flag = |reason, holds: bool, score| (reason, if holds { score } else { 0 });
    let whole = [
        flag(Reason::InFlight, sample.in_flight, IN_FLIGHT),
        flag(Reason::Streams, sample.streams, STREAMS),
    ];
    LinkAssessment {
        whole: Assessment::of(TrafficClass::ALL.into_iter().flat_map(of).chain(whole)),
        classes: TrafficClass::ALL.map(|class| Assessment::of(of(class)).score),
    }
}

/// What a full queue of the class is worth, and packets that wait in it for too long. A transfer that fills its queue is a
/// warning at most; urgent packets that wait are what the others must give way to.
fn weights(class: TrafficClass) -> (u16, u8) {
    match class {
        TrafficClass::Control | TrafficClass::Dns | TrafficClass::Interactive => (100, 85),
        TrafficClass::Reliable => (70, 50),
        TrafficClass::Bulk => (60, 40),
        TrafficClass::Droppable => (40, 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(class: TrafficClass, fill_percent: u8, delayed: bool) -> LinkSample {
        let mut sample = LinkSample::default();
        sample.classes[class as usize] = ClassSample {
            fill_percent,
            delayed,
        };
        sample
    }

    #[test]
    fn a_transfer_that_fills_its_queue_is_a_warning_at_most() {
        let mut full = sample(TrafficClass::Bulk, 100, true);
        full.in_flight = true;
        let assessment = assess_link(&full);
        assert_eq!(assessment.whole.score, 60);
        assert_eq!(
            assessment.whole.reasons,
            [
                (Reason::Queue(TrafficClass::Bulk), 60),
                (Reason::Delay(TrafficClass::Bulk), 40),
                (Reason::InFlight, 30)
            ]
        );
        assert_eq!(assessment.classes, [0, 0, 0, 0, 60, 0]);
    }

    #[test]
    fn urgent_packets_that_wait_are_critical() {
        let assessment = assess_link(&sample(TrafficClass::Interactive, 5, true));
        assert_eq!(assessment.whole.score, 85);
        assert_eq!(
            assessment.whole.reasons,
            [(Reason::Delay(TrafficClass::Interactive), 85)]
        );
    }

    #[test]
    fn saturation_of_the_streams_is_a_reason() {
        let assessment = assess_link(&LinkSample {
            streams: true,
            ..LinkSample::default()
        });
        assert_eq!(assessment.whole.reasons, [(Reason::Streams, 70)]);
    }

    #[test]
    fn reasons_are_bounded_and_sorted_whatever_happens() {
        let all = LinkSample {
            classes: [ClassSample {
                fill_percent: u8::MAX,
                delayed: true,
            }; TrafficClass::COUNT],
            in_flight: true,
            streams: true,
        };
        let reasons = assess_link(&all).whole.reasons;
        assert_eq!(reasons.len(), 2 * TrafficClass::COUNT + 2);
        assert!(reasons.is_sorted_by(|a, b| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)));
        assert!(reasons.iter().all(|(_, score)| *score <= 100));
    }
}
