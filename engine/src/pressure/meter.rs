//! From scores to a level that does not flap.

use super::PressureLevel;

/// From these scores on.
const WARNING: u8 = 60;
const CRITICAL: u8 = 85;
/// A level is left only so far below where it begins …
const MARGIN: u8 = 15;
/// … and so many seconds in a row, one level at a time.
const CALM: u8 = 3;

#[derive(Clone, Copy, Debug)]
pub struct Meter {
    level: PressureLevel,
    calm: u8,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            level: PressureLevel::Nominal,
            calm: 0,
        }
    }
}

impl Meter {
    pub fn level(&self) -> PressureLevel {
        self.level
    }

    /// Takes the score of the last second. Says whether the level changed.
    pub fn take(&mut self, score: u8) -> bool {
        let before = self.level;
        let reached = level_of(score);
        let held = level_of(score.saturating_add(MARGIN));
        if reached >= self.level || held >= self.level {
            self.calm = 0;
            self.level = self.level.max(reached);
        } else {
            self.calm += 1;
            if self.calm == CALM {
                self.calm = 0;
                self.level = one_below(self.level);
            }
        }
        self.level != before
    }
}

fn level_of(score: u8) -> PressureLevel {
    match score {
        CRITICAL.. => PressureLevel::Critical,
        WARNING.. => PressureLevel::Warning,
        _ => PressureLevel::Nominal,
    }
}

fn one_below(level: PressureLevel) -> PressureLevel {
    match level {
        PressureLevel::Critical => PressureLevel::Warning,
        _ => PressureLevel::Nominal,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PressureLevel::{Critical, Nominal, Warning};
    use super::*;

    fn levels(scores: &[u8]) -> Vec<PressureLevel> {
        let mut meter = Meter::default();
        let mut level = |score: &u8| {
            meter.take(*score);
            meter.level()
        };
        scores.iter().map(&mut level).collect()
    }

    #[test]
    fn rises_at_once_and_falls_step_by_step() {
        assert_eq!(
            levels(&[0, 59, 60, 85, 0, 0, 0, 0, 0, 0, 0]),
            [
                Nominal, Nominal, Warning, Critical, Critical, Critical, Warning, Warning, Warning,
                Nominal, Nominal
            ]
        );
    }

    #[test]
    fn holds_its_level_around_a_threshold() {
        assert_eq!(levels(&[60, 50, 60, 46, 59, 45, 45, 45, 45]), [Warning; 9]);
        assert_eq!(levels(&[85, 0, 0, 70, 0, 0, 70]), [Critical; 7]);
    }

    proptest! {
        #[test]
        fn no_sequence_makes_it_change_more_often_than_it_may(scores in prop::collection::vec(0u8..=100, 0..60)) {
            let mut meter = Meter::default();
            let (mut falls, mut before) = (0, Nominal);
            for score in &scores {
                let changed = meter.take(*score);
                prop_assert_eq!(changed, meter.level() != before);
                prop_assert!(meter.level() >= level_of(*score));
                falls += usize::from(meter.level() < before);
                before = meter.level();
            }
            prop_assert!(falls <= scores.len() / usize::from(CALM));
        }
    }
}
