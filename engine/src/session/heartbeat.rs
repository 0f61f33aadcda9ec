//! PING and PONG: is the peer's session alive, and how long is the way.

use std::time::{Duration, Instant};

/// Short enough that interval and patience together stay below the 10 s in which a dead peer must be noticed; also keeps the
/// QUIC connection and the address mappings on its way alive.
pub(super) const INTERVAL: Duration = Duration::from_secs(3);
/// How long a PONG may take. A path that is this slow serves nobody.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);

/// Nothing came back for `PATIENCE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silent;

#[derive(Debug)]
pub(super) struct Heartbeat {
    next_id: u64,
    next_at: Instant,
    /// The one PING that has no PONG yet.
    waiting: Option<(u64, Instant)>,
    rtt: Option<Duration>,
}

impl Heartbeat {
    pub fn new(now: Instant) -> Self {
        Self {
            next_id: 0,
            next_at: now,
            waiting: None,
            rtt: None,
        }
    }

    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    pub fn deadline(&self) -> Instant {
        match self.waiting {
            Some((_, sent_at)) => sent_at + PATIENCE,
            None => self.next_at,
        }
    }

    /// The id of the PING to send now, if it is time for one.
    pub fn on_timeout(&mut self, now: Instant) -> Result<Option<u64>, Silent> {
        if now < self.deadline() {
            return Ok(None);
        }
        if self.waiting.is_some() {
            return Err(Silent);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.next_at = now + INTERVAL;
        self.waiting = Some((id, now));
        Ok(Some(id))
    }

    /// Whether this PONG was asked for.
    pub fn on_pong(&mut self, id: u64, now: Instant) -> bool {
        match self.waiting {
            Some((expected, sent_at)) if expected == id => {
                self.rtt = Some(now.saturating_duration_since(sent_at));
                self.waiting = None;
                true
            }
            _ => false,
        }
    }
}
