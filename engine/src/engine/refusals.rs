//! Refused handshakes: the first is told at once, what follows within a second together. Whoever knocks often must not flood the
//! log or the socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::frames::CloseCode;
use crate::quic::Refusal;
use crate::socket::messages::Event;

/// Different refusals told in one second; more are only counted.
const MAX_KINDS: usize = 64;
/// A little less than the interval of housekeeping, which asks again.
const QUIET: Duration = Duration::from_millis(900);

#[derive(Default)]
pub struct Refusals {
    kinds: HashMap<(IpAddr, CloseCode, Option<String>), Told>,
    last_told: Option<Instant>,
    pub total: u64,
}

struct Told {
    remote: String,
    count: u64,
}

impl Refusals {
    /// `name`: the remote's, as the outside writes it.
    pub fn note(&mut self, remote: IpAddr, name: String, refusal: &Refusal) {
        self.total += 1;
        let key = (remote, refusal.code, refusal.spiffe_id.clone());
        if self.kinds.len() == MAX_KINDS && !self.kinds.contains_key(&key) {
            return;
        }
        let told = self.kinds.entry(key).or_insert_with(|| Told {
            remote: name,
            count: 0,
        });
        told.count += 1;
    }

    /// The events of what came since the last call, if that is long enough ago.
    pub fn take_due(&mut self, now: Instant) -> Vec<Event> {
        if self.kinds.is_empty()
            || self
                .last_told
                .is_some_and(|at| now.duration_since(at) < QUIET)
        {
            return Vec::new();
        }
        self.last_told = Some(now);
        let event = |((_, code, spiffe_id), told): ((IpAddr, CloseCode, Option<String>), Told)| {
            Event::Refused {
                remote: told.remote,
                code: code.name().to_owned(),
                spiffe_id,
                count: told.count,
            }
        };
        self.kinds.drain().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_first_at_once_and_counts_the_same_and_bounds_the_different() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let refusal = Refusal {
            code: CloseCode::Revoked,
            spiffe_id: None,
        };
        let note = |refusals: &mut Refusals, host: u8, port: u16| {
            let remote = std::net::SocketAddr::from(([192, 0, 2, host], port));
            refusals.note(remote.ip(), remote.to_string(), &refusal);
        };
        note(&mut refusals, 1, 1);
        assert_eq!(refusals.take_due(start).len(), 1);
        for port in 1..=5 {
            note(&mut refusals, 1, port);
        }
        assert!(refusals.take_due(start + QUIET / 2).is_empty());
        let events = refusals.take_due(start + QUIET);
        assert!(
            matches!(&events[..], [Event::Refused { count: 5, code, .. }] if code == "REVOKED")
        );
        for host in 0..200 {
            note(&mut refusals, host, 1);
        }
        assert_eq!(refusals.take_due(start + QUIET * 2).len(), MAX_KINDS);
        assert!(refusals.take_due(start + QUIET * 3).is_empty());
        assert_eq!(refusals.total, 206);
    }
}
