//! Which class a packet of the host belongs to: the first rule of the signed table that it matches.
//!
//! A rule can ask how fast its flow was lately, so that a flow moves to another class by what it does: a copy over SSH
//! is no terminal. For that the classifier counts bytes in a table of fixed size; two flows that meet in one place
//! are taken for one another until the newer has its own count, which costs a wrong class for a moment and nothing else.

use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rustc_hash::FxHasher;

use super::class::TrafficClass;
use crate::packet::{Headers, TransportKind};
use crate::socket::messages::{TrafficProtocol, TrafficRule};

/// Flows whose rate is known at once; a power of two. 16 bytes each.
const FLOWS: usize = 8_192;
/// A flow's rate is what it sent in this time, or at least that much when it sent it in less.
const PERIOD: Duration = Duration::from_millis(100);
const ICMP: [u8; 2] = [1, 58];

/// What a packet must be for `class`; `None` and empty match everything.
struct Rule {
    class: TrafficClass,
    protocol: Option<TrafficProtocol>,
    /// Of the source or the destination.
    ports: Vec<RangeInclusive<u16>>,
    /// Bit n stands for code point n.
    dscp: u64,
    max_packet_bytes: Option<u32>,
    below_bytes_per_second: Option<u64>,
}

impl From<&TrafficRule> for Rule {
    fn from(rule: &TrafficRule) -> Rule {
        let ports = rule.ports.iter().map(|range| range.from..=range.to);
        Rule {
            class: rule.class,
            protocol: rule.protocol,
            ports: ports.collect(),
            dscp: rule
                .dscp
                .iter()
                .fold(0, |bits, dscp| bits | 1 << (dscp & 63)),
            max_packet_bytes: rule.max_packet_bytes,
            below_bytes_per_second: rule.below_bytes_per_second,
        }
    }
}

fn is_of(protocol: TrafficProtocol, number: u8) -> bool {
    match protocol {
        TrafficProtocol::Tcp => number == TransportKind::TCP,
        TrafficProtocol::Udp => number == TransportKind::UDP,
        TrafficProtocol::Icmp => ICMP.contains(&number),
    }
}

impl Rule {
    fn matches(&self, headers: &Headers, packet_bytes: usize, rate: u64) -> bool {
        let port_matches = || {
            headers.transport.as_ref().is_some_and(|transport| {
                self.ports.iter().any(|range| {
                    range.contains(&transport.source_port)
                        || range.contains(&transport.destination_port)
                })
            })
        };
        self.protocol
            .is_none_or(|protocol| is_of(protocol, headers.protocol))
            && (self.dscp == 0 || self.dscp & 1 << headers.dscp != 0)
            && self
                .max_packet_bytes
                .is_none_or(|most| packet_bytes <= most as usize)
            && self.below_bytes_per_second.is_none_or(|below| rate < below)
            && (self.ports.is_empty() || port_matches())
    }
}

#[derive(Clone, Copy)]
struct Flow {
    tag: u32,
    /// Milliseconds since the classifier began, when the period began.
    since_ms: u32,
    bytes: u32,
    /// Of the period before, in bytes per second.
    rate: u32,
}

pub struct Classifier {
    rules: Vec<Rule>,
    flows: Box<[Flow]>,
    begun: Instant,
}

impl Classifier {
    pub fn new(now: Instant) -> Classifier {
        let none = Flow {
            tag: 0,
            since_ms: 0,
            bytes: 0,
            rate: 0,
        };
        Classifier {
            rules: Vec::new(),
            flows: vec![none; FLOWS].into_boxed_slice(),
            begun: now,
        }
    }

    pub fn set_rules(&mut self, rules: &[TrafficRule]) {
        self.rules = rules.iter().map(Rule::from).collect();
    }

    /// The class of a packet, and a hash of its flow. What no rule wants is bulk.
    pub fn classify(
        &mut self,
        headers: &Headers,
        packet_bytes: usize,
        now: Instant,
    ) -> (TrafficClass, u32) {
        let hash = flow_hash(headers);
        let rate = self.count(hash, packet_bytes, now);
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.matches(headers, packet_bytes, rate));
        (rule.map_or(TrafficClass::Bulk, |rule| rule.class), hash)
    }

    /// Adds to a flow's bytes and returns its rate.
    fn count(&mut self, hash: u32, packet_bytes: usize, now: Instant) -> u64 {
        let now_ms = now.saturating_duration_since(self.begun).as_millis() as u32;
        let flow = &mut self.flows[hash as usize % FLOWS];
        let period_ms = PERIOD.as_millis() as u32;
        let elapsed_ms = now_ms.wrapping_sub(flow.since_ms);
        if flow.tag != hash {
            *flow = Flow {
                tag: hash,
                since_ms: now_ms,
                bytes: 0,
                rate: 0,
            };
        } else if elapsed_ms >= period_ms {
            let rate = u64::from(flow.bytes) * 1000 / u64::from(elapsed_ms);
            flow.rate = u32::try_from(rate).unwrap_or(u32::MAX);
            flow.bytes = 0;
            flow.since_ms = now_ms;
        }
        flow.bytes = flow.bytes.saturating_add(packet_bytes as u32);
        let in_this_period = u64::from(flow.bytes) * 1000 / u64::from(period_ms);
        in_this_period.max(flow.rate.into())
    }
}

/// The same for all packets of a flow in one direction.
fn flow_hash(headers: &Headers) -> u32 {
    let mut hasher = FxHasher::default();
    headers.source.hash(&mut hasher);
    headers.destination.hash(&mut hasher);
    hasher.write_u8(headers.protocol);
    if let Some(transport) = &headers.transport {
        hasher.write_u16(transport.source_port);
        hasher.write_u16(transport.destination_port);
    }
    let hash = hasher.finish();
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::messages::PortRange;

    fn udp(port: u16, dscp: u8) -> Headers {
        let mut packet = vec![0x45, dscp << 2, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend([0x30, 0x39]);
        packet.extend(port.to_be_bytes());
        packet.extend([0, 8, 0, 0]);
        Headers::parse(&packet).expect("a packet")
    }

    fn classifier(rules: &[TrafficRule]) -> (Classifier, Instant) {
        let now = Instant::now();
        let mut classifier = Classifier::new(now);
        classifier.set_rules(rules);
        (classifier, now)
    }

    fn rule(class: TrafficClass) -> TrafficRule {
        TrafficRule {
            class,
            protocol: None,
            ports: vec![],
            dscp: vec![],
            max_packet_bytes: None,
            below_bytes_per_second: None,
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let dns = TrafficRule {
            protocol: Some(TrafficProtocol::Udp),
            ports: vec![PortRange { from: 53, to: 53 }],
            ..rule(TrafficClass::Dns)
        };
        let marked = TrafficRule {
            dscp: vec![46],
            ..rule(TrafficClass::Interactive)
        };
        let (mut classifier, now) = classifier(&[marked, dns]);
        let mut class = |port, dscp| classifier.classify(&udp(port, dscp), 28, now).0;
        assert_eq!(class(53, 0), TrafficClass::Dns);
        assert_eq!(class(53, 46), TrafficClass::Interactive);
        assert_eq!(class(54, 0), TrafficClass::Bulk);
    }

    #[test]
    fn a_flow_changes_class_by_what_it_does() {
        let slow = TrafficRule {
            below_bytes_per_second: Some(100_000),
            ..rule(TrafficClass::Interactive)
        };
        let (mut classifier, start) = classifier(&[slow]);
        let headers = udp(1, 0);
        // A packet of 1,000 bytes every 20 ms is half of it.
        let mut now = start;
        for _ in 0..50 {
            now += Duration::from_millis(20);
            assert_eq!(
                classifier.classify(&headers, 1_000, now).0,
                TrafficClass::Interactive
            );
        }
        // Thirty at once are too much; it takes a quiet period to be believed again.
        let last = (0..30)
            .map(|_| classifier.classify(&headers, 1_000, now).0)
            .last();
        assert_eq!(last, Some(TrafficClass::Bulk));
        now += PERIOD;
        assert_eq!(
            classifier.classify(&headers, 1_000, now).0,
            TrafficClass::Bulk
        );
        now += PERIOD;
        assert_eq!(
            classifier.classify(&headers, 1_000, now).0,
            TrafficClass::Interactive
        );
        // Another flow is not taken for it.
        assert_eq!(
            classifier.classify(&udp(2, 0), 1_000, now).0,
            TrafficClass::Interactive
        );
    }

    #[test]
    fn the_hash_is_one_for_a_flow_and_differs_between_flows() {
        assert_eq!(flow_hash(&udp(1, 0)), flow_hash(&udp(1, 46)));
        let shards: std::collections::HashSet<u32> =
            (0..64).map(|port| flow_hash(&udp(port, 0)) % 4).collect();
        assert_eq!(shards.len(), 4);
    }
}
