//! Once a second: how hard the last one was, who is told, and how much bulk goes in the next.

use std::time::{Duration, Instant};

use super::Engine;
use super::link::Link;
use crate::frames::{NodePressure, StreamCredit};
use crate::lanes::{MAX_QUEUED_BYTES, MIN_BULK_BYTES_PER_SECOND, Told, TrafficClass};
use crate::policy::{DropReason, PeerIndex};
use crate::pressure::{
    Assessment, ClassSample, HostSample, LinkAssessment, LinkSample, Meter, PressureLevel, Reason,
    TURN_BUDGET, assess_host, assess_link,
};
use crate::quic::ConnectionKey;
use crate::session::Session;
use crate::socket::messages::{Event, Pressure, PressureReason, RemotePressure};

const PERIOD: Duration = Duration::from_secs(1);

/// Of the node.
#[derive(Default)]
pub struct HostPressure {
    meter: Meter,
    assessment: Assessment,
    classes: [PressureLevel; TrafficClass::COUNT],
    due: Option<Instant>,
    /// Spent in turns above the budget.
    late: Duration,
    send_stalls: u64,
    tunnel_refusals: u64,
    /// Whether the peers have to be told: there is pressure, or there was.
    tells: bool,
}

impl HostPressure {
    /// A turn of the loop took this long.
    pub fn turn(&mut self, took: Duration) {
        if took > TURN_BUDGET {
            self.late += took;
        }
    }
}

/// Of the way to one peer.
#[derive(Default)]
pub struct LinkPressure {
    meter: Meter,
    classes: [Meter; TrafficClass::COUNT],
    assessment: LinkAssessment,
    received_bulk: u64,
}

impl Engine {
    /// Step 2, from housekeeping.
    pub(super) fn review_pressure(&mut self) {
        let now = self.now.instant;
        if self.host_pressure.due.is_some_and(|due| now < due) {
            return;
        }
        self.host_pressure.due = Some(now + PERIOD);
        if self.review_host() {
            self.publish_pressure(None, self.report_host_pressure());
        }
        let mut classes = [PressureLevel::Nominal; TrafficClass::COUNT];
        for index in self.peers.indexes() {
            if let Some(key) = self.peers.get(index).and_then(|peer| peer.link) {
                self.tell_lanes_of_path(key);
                self.review_link(index, key, &mut classes);
            }
        }
        self.host_pressure.classes = classes;
        self.host_pressure.tells = self.host_pressure.meter.level() > PressureLevel::Nominal;
    }

    /// Says whether the level changed.
    fn review_host(&mut self) -> bool {
        let refusals = |peer: &super::peers::Peer| peer.dropped.all().of(DropReason::TunnelRefused);
        let tunnel_refusals = self
            .peers
            .iter()
            .map(|(_, peer)| refusals(peer))
            .sum::<u64>();
        let host = &mut self.host_pressure;
        let sample = HostSample {
            late: std::mem::take(&mut host.late),
            queued_percent: (self.budget.taken() * 100 / MAX_QUEUED_BYTES) as u8,
            send_stalls: self.sockets.send_stalls - host.send_stalls,
            // Peers come and go, and their counts with them.
            tunnel_refusals: tunnel_refusals.saturating_sub(host.tunnel_refusals),
        };
        (host.send_stalls, host.tunnel_refusals) = (self.sockets.send_stalls, tunnel_refusals);
        host.assessment = assess_host(&sample);
        let changed = host.meter.take(host.assessment.score);
        host.tells |= changed || host.meter.level() > PressureLevel::Nominal;
        changed
    }

    fn review_link(
        &mut self,
        index: PeerIndex,
        key: ConnectionKey,
        classes: &mut [PressureLevel; TrafficClass::COUNT],
    ) {
        let now = self.now.instant;
        let Some(connection) = self.endpoint.connection(key) else {
            return;
        };
        let link = self.links.get_mut(key).and_then(Option::as_deref_mut);
        let (Some(link), Some(peer)) = (link, self.peers.get(index)) else {
            return;
        };
        let waits = !link.lanes.queue(TrafficClass::Bulk).is_empty();
        let sample = LinkSample {
            classes: TrafficClass::ALL.map(|class| class_sample(link, class)),
            in_flight: waits && !crate::lanes::Carrier::takes_bulk(connection),
            streams: connection.take_lane_refused(),
        };
        let pressure = &mut link.pressure;
        pressure.assessment = assess_link(&sample);
        let changed = pressure.meter.take(pressure.assessment.whole.score);
        for (class, score) in pressure.assessment.classes.into_iter().enumerate() {
            pressure.classes[class].take(score);
            classes[class] = classes[class].max(pressure.classes[class].level());
        }
        let received =
            peer.traffic.received(TrafficClass::Bulk).bytes + peer.traffic.datagrams().bytes;
        let came = received.saturating_sub(pressure.received_bulk);
        pressure.received_bulk = received;
        let urgent_suffers = TrafficClass::ALL
            .into_iter()
            .filter(|class| class.is_urgent())
            .any(|class| pressure.classes[class as usize].level() == PressureLevel::Critical);
        let Some(session) = link.session.as_mut() else {
            return;
        };
        let peer_suffers = session
            .remote_pressure(now)
            .is_some_and(|told| told.level == PressureLevel::Critical as u8);
        let told = Told {
            suffers: peer_suffers || urgent_suffers,
            credit: session.remote_credit(TrafficClass::Bulk, now),
        };
        link.lanes.review(told, now);
        if self.host_pressure.tells {
            let (pressure, credit) = words(&self.host_pressure, came);
            session.tell_pressure(pressure, credit);
        }
        let event = changed.then(|| (peer.plan.id.clone(), report(&link.pressure)));
        self.schedule(key);
        if let Some((id, pressure)) = event {
            self.publish_pressure(Some(id), pressure);
        }
    }

    /// How long a queue may stand depends on how long an answer takes.
    pub(super) fn tell_lanes_of_path(&mut self, key: ConnectionKey) {
        let connection = self.endpoint.connection(key);
        let path = connection.and_then(|connection| connection.path_facts());
        if let Some((link, path)) = self.link_mut(key).zip(path) {
            link.lanes.set_round_trip(path.rtt);
        }
    }

    fn publish_pressure(&mut self, peer: Option<String>, pressure: Pressure) {
        self.publish(Event::Pressure {
            peer,
            level: pressure.level,
            score: pressure.score,
            reasons: pressure.reasons,
        });
    }

    pub(super) fn report_host_pressure(&self) -> Pressure {
        let host = &self.host_pressure;
        pressure_of(host.meter.level(), &host.assessment, host.classes)
    }

    pub(super) fn report_link_pressure(&self, key: ConnectionKey) -> Option<Pressure> {
        let link = self.links.get(key)?.as_deref()?;
        Some(report(&link.pressure))
    }
}

fn class_sample(link: &Link, class: TrafficClass) -> ClassSample {
    let queue = link.lanes.queue(class);
    ClassSample {
        fill_percent: queue.fill_percent(),
        delayed: queue.is_dropping(),
    }
}

/// What a peer is told that sent `came` bytes of bulk in the last second.
fn words(host: &HostPressure, came: u64) -> (NodePressure, Option<StreamCredit>) {
    let bit = |reason: &Reason| Reason::OF_NODE.iter().position(|of| of == reason);
    let reasons = host.assessment.reasons.iter();
    let bits = reasons.filter_map(|(reason, _)| bit(reason));
    let level = host.meter.level();
    let pressure = NodePressure {
        level: level as u8,
        score: host.assessment.score,
        reasons: bits.fold(0, |bits, bit| bits | 1 << bit),
    };
    let credit = (level == PressureLevel::Critical).then(|| StreamCredit {
        class: TrafficClass::Bulk.number(),
        bytes_per_second: (came / 2).max(MIN_BULK_BYTES_PER_SECOND),
    });
    (pressure, credit)
}

fn report(link: &LinkPressure) -> Pressure {
    let classes = link.classes.map(|meter| meter.level());
    pressure_of(link.meter.level(), &link.assessment.whole, classes)
}

fn pressure_of(
    level: PressureLevel,
    assessment: &Assessment,
    classes: [PressureLevel; TrafficClass::COUNT],
) -> Pressure {
    let reasons = assessment.reasons.iter();
    let classes = TrafficClass::ALL.into_iter().zip(classes);
    Pressure {
        level,
        score: assessment.score,
        reasons: reasons
            .map(|(reason, score)| PressureReason {
                reason: reason.label(),
                score: *score,
            })
            .collect(),
        classes: classes
            .filter(|(_, level)| *level > PressureLevel::Nominal)
            .collect(),
    }
}

/// What the peer of this session says of itself.
pub(super) fn remote_pressure(session: &Session, now: Instant) -> Option<RemotePressure> {
    let told = session.remote_pressure(now)?;
    let reasons = Reason::OF_NODE.into_iter().enumerate();
    Some(RemotePressure {
        level: match told.level {
            0 => PressureLevel::Nominal,
            1 => PressureLevel::Warning,
            _ => PressureLevel::Critical,
        },
        score: told.score,
        reasons: reasons
            .filter(|(bit, _)| told.reasons & 1 << bit != 0)
            .map(|(_, reason)| reason.label())
            .collect(),
    })
}
