//! The one clock of the engine: a monotonic instant for timers and wall time for expiry, read together.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A reading of both clocks, taken once a turn of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub instant: Instant,
    /// Unix time in milliseconds.
    pub unix_ms: u64,
}

impl Now {
    pub fn read() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            instant: Instant::now(),
            unix_ms: since_epoch.as_millis() as u64,
        }
    }

    /// The instant at which the wall clock will show `unix_ms`, if nobody sets it meanwhile.
    pub fn instant_of(&self, unix_ms: u64) -> Instant {
        self.instant + Duration::from_millis(unix_ms.saturating_sub(self.unix_ms).min(MAX_AHEAD_MS))
    }
}

/// A wall clock may be set at any time, so nobody waits for it longer than this without looking again.
const MAX_AHEAD_MS: u64 = 1_000;
