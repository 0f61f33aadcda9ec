//! Refused handshakes, told once a second for each kind: whoever knocks often must not flood the log or the socket.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::frames::CloseCode;
use crate::quic::Refusal;
use crate::socket::messages::Event;

/// Different refusals told in one second; more are only counted.
const MAX_KINDS: usize = 64;

#[derive(Default)]
pub struct Refusals {
    kinds: HashMap<(IpAddr, CloseCode, Option<String>), Told>,
    pub total: u64,
}

struct Told {
    remote: String,
    count: u64,
}

impl Refusals {
    pub fn note(&mut self, remote: std::net::SocketAddr, refusal: &Refusal) {
        self.total += 1;
        let key = (remote.ip(), refusal.code, refusal.spiffe_id.clone());
        if self.kinds.len() == MAX_KINDS && !self.kinds.contains_key(&key) {
            return;
        }
        let told = self.kinds.entry(key).or_insert_with(|| Told {
            remote: remote.to_string(),
            count: 0,
        });
        told.count += 1;
    }

    /// The events of what came since the last call.
    pub fn take(&mut self) -> Vec<Event> {
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
    fn counts_the_same_and_bounds_the_different() {
        let mut refusals = Refusals::default();
        let refusal = Refusal {
            code: CloseCode::Revoked,
            spiffe_id: None,
        };
        for port in 1..=5 {
            refusals.note(([192, 0, 2, 1], port).into(), &refusal);
        }
        let events = refusals.take();
        assert!(
            matches!(&events[..], [Event::Refused { count: 5, code, .. }] if code == "REVOKED")
        );
        for host in 0..200 {
            refusals.note(([192, 0, 2, host], 1).into(), &refusal);
        }
        assert_eq!(refusals.take().len(), MAX_KINDS);
        assert!(refusals.take().is_empty());
        assert_eq!(refusals.total, 205);
    }
}
