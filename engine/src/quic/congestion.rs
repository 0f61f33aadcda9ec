//! How much may be in flight, and how much is.
//!
//! The library asks its congestion controller alone; the lanes want to know as well, so that bulk waits in our queue and not in the
//! network. So every controller of a connection is wrapped in one that counts.
//!
//! The wrapper also forgives loss that is no congestion. A controller that halves its window for every lost packet makes nothing of
//! a long path with a little noise (measured, 0.5 % at 20 ms: 12 Mbit/s). Loss is forgiven while it is rare, and while packets
//! take no longer than they must: a full queue, which is what the controller is to keep from happening, shows in both.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use noq_proto::RttEstimator;
use noq_proto::congestion::{Controller, ControllerFactory, ControllerMetrics};

/// Bulk in flight is at least this: what the hosts hold between two turns of their loops. Measured: less costs throughput.
const MIN_BULK_BYTES: u64 = 512 << 10;
/// A delivery rate is taken over at least this time.
const RATE_PERIOD: Duration = Duration::from_millis(10);

/// Loss up to this part of what was sent is noise: as BBRv3 has it (draft-ietf-ccwg-bbr, BBR.LossThresh = 2 %).
const NOISE_PER_MILLE: u64 = 20;
/// Over about this many bytes, of which the older count for less.
const NOISE_BYTES: u64 = 2 << 20;
/// A round trip longer than the shortest by less than this, or by less than half, has met no full queue: hosts alone take this long.
const QUEUE_DELAY: Duration = Duration::from_millis(5);
/// Hosts and radios pause about so long. What came meanwhile was late, without a queue.
const PAUSE: Duration = Duration::from_millis(20);

/// As much in flight makes no queue to speak of at 100 Mbit/s and more. A window that starts or has collapsed is within it: Cubic
/// keeps half of this where one packet in two hundred is lost.
const QUIET_BYTES: u64 = 64 << 10;
/// A path is believed to be longer when no packet was faster at so many moments one after the other, half a round trip apart: a host
/// that pauses makes one late. A window that starts has no more before it is beyond that.
const QUIET_MOMENTS: usize = 3;

/// What the controllers of one connection know together. All of it is written and read by the packet thread; the atomics are
/// there because the library wants its controllers to be `Sync`.
#[derive(Debug, Default)]
pub struct Gauge {
    in_flight: AtomicU64,
    window: AtomicU64,
    /// This and the others: of the path that has most in flight.
    bytes_per_second: AtomicU64,
    min_rtt_nanos: AtomicU64,
}

impl Gauge {
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// How much may be in flight for bulk to be sent: what the path holds twice over, of what the controller allows. More
    /// would only wait on the way, and make the others wait.
    pub fn bulk_limit(&self) -> u64 {
        let nanos = u128::from(self.min_rtt_nanos.load(Ordering::Relaxed));
        let held = u128::from(self.bytes_per_second()) * nanos / 1_000_000_000;
        let held = u64::try_from(held * 2).unwrap_or(u64::MAX);
        held.max(MIN_BULK_BYTES)
            .min(self.window.load(Ordering::Relaxed))
    }

    fn add(&self, bytes: u64) {
        let now = self.in_flight() + bytes;
        self.in_flight.store(now, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        let now = self.in_flight().saturating_sub(bytes);
        self.in_flight.store(now, Ordering::Relaxed);
    }
}

/// Makes the controllers of one connection's paths.
pub struct Counting<F> {
    pub inner: Arc<F>,
    pub gauge: Arc<Gauge>,
}

impl<F: ControllerFactory> ControllerFactory for Counting<F> {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let inner = self.inner.clone().build(now, current_mtu);
        Box::new(Counted::new(inner, self.gauge.clone(), now))
    }
}

#[derive(Debug)]
struct Counted {
    inner: Box<dyn Controller>,
    /// As the inner one was at its beginning.
    fresh: Box<dyn Controller>,
    /// When it last began: what was sent before is none of its business.
    begun: Instant,
    gauge: Arc<Gauge>,
    /// Of this path.
    in_flight: u64,
    /// The most that it was since the acknowledgements before.
    peak: u64,
    /// A packet of it has arrived. Before, it is none of those that the lanes send on, and what is in flight on it, and how little may
    /// be, must not hold them up.
    is_proven: bool,
    delivered: u64,
    since: Instant,
    /// Bytes per second.
    rate: u64,
    noise: Noise,
}

/// How much is lost, and how long packets take.
#[derive(Clone, Copy, Debug)]
struct Noise {
    delivered: u64,
    lost: u64,
    lately: Lately,
    /// What a round trip takes without a queue.
    shortest: Duration,
    quiet: Quiet,
    /// The longest that it was believed to be, and the losses were judged anew for.
    longest: Duration,
}

/// The fastest packet of the last round trip, or the last two of them. A pause makes some packets late, a full queue makes all.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    /// Of a period that goes on: its beginning, and its fastest.
    current: Option<(Instant, Duration)>,
    before: Option<Duration>,
}

impl Lately {
    /// A period is as long as `round_trip`, and no pause is longer.
    fn on_arrival(&mut self, took: Duration, now: Instant, round_trip: Duration) {
        let period = round_trip.max(PAUSE);
        match &mut self.current {
            Some((begun, least)) if now.saturating_duration_since(*begun) < period => {
                *least = took.min(*least);
            }
            current => {
                let is_recent = |begun| now.saturating_duration_since(begun) < 2 * period;
                let ended = current.replace((now, took));
                self.before = ended.and_then(|(begun, least)| is_recent(begun).then_some(least));
            }
        }
    }

    fn least(&self) -> Duration {
        let current = self.current.map(|(_, least)| least);
        current
            .into_iter()
            .chain(self.before)
            .min()
            .unwrap_or_default()
    }
}

/// The last moments at which a packet arrived that had met next to none of ours on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    /// Since when next to nothing is in flight.
    since: Option<Instant>,
    /// When they were, and how long the fastest packet took: the oldest first.
    moments: [Option<(Instant, Duration)>; QUIET_MOMENTS],
}

impl Quiet {
    fn on_in_flight(&mut self, bytes: u64, now: Instant) {
        if bytes > QUIET_BYTES {
            self.since = None;
        } else {
            self.since.get_or_insert(now);
        }
    }

    fn on_arrival(&mut self, sent: Instant, now: Instant) {
        if self.since.is_none_or(|since| sent < since) {
            return;
        }
        let took = now.saturating_duration_since(sent);
        match self.moments.last_mut() {
            Some(Some((at, least))) if now.saturating_duration_since(*at) < took / 2 => {
                *least = took.min(*least);
            }
            _ => {
                self.moments.rotate_left(1);
                self.moments[QUIET_MOMENTS - 1] = Some((now, took));
            }
        }
    }

    /// What a round trip takes, if that is certain enough.
    fn round_trip(&self) -> Option<Duration> {
        self.moments[0]?;
        self.moments.iter().flatten().map(|(_, took)| *took).min()
    }
}

impl Noise {
    fn new() -> Noise {
        Noise {
            // A new path is trusted: its first lost packet says nothing yet.
            delivered: NOISE_BYTES / 2,
            lost: 0,
            lately: Lately::default(),
            shortest: Duration::MAX,
            quiet: Quiet::default(),
            longest: Duration::ZERO,
        }
    }

    /// What was lost until now, was lost on another path.
    fn forget_losses(&mut self) {
        let new = Noise::new();
        (self.delivered, self.lost) = (new.delivered, new.lost);
    }

    fn on_delivered(&mut self, bytes: u64) {
        self.delivered += bytes;
        if self.delivered > NOISE_BYTES {
            self.delivered /= 2;
            self.lost /= 2;
        }
    }

    /// A path may become longer under way, and then its quiet moments say so: a round trip that is long because of what we have in
    /// flight must not count as what the path takes. Returns whether it became so much longer that until now every loss was taken
    /// for congestion; only once for the same length, because a slow link with a short queue is never quiet when we fill it.
    fn on_arrival(&mut self, sent: Instant, now: Instant) -> bool {
        let before = self.shortest;
        self.quiet.on_arrival(sent, now);
        self.shortest = self.quiet.round_trip().unwrap_or(before).max(before);
        let took = now.saturating_duration_since(sent);
        self.shortest = self.shortest.min(took);
        self.lately.on_arrival(took, now, self.shortest);
        let is_known = before != Duration::MAX;
        if !is_known {
            self.longest = self.shortest;
        }
        let is_longer = self.shortest >= self.longest + tolerated_queue(self.longest);
        if is_longer {
            self.longest = self.shortest;
        }
        is_longer && is_known
    }

    /// Whether what was lost now is noise.
    fn forgives(&mut self, lost_bytes: u64) -> bool {
        self.lost += lost_bytes;
        let sent = self.delivered + self.lost;
        let is_rare = self.lost * 1_000 <= sent * NOISE_PER_MILLE;
        let queued = self.lately.least().saturating_sub(self.shortest);
        is_rare && queued < tolerated_queue(self.shortest)
    }
}

fn tolerated_queue(shortest: Duration) -> Duration {
    QUEUE_DELAY.max(shortest / 2)
}

impl Counted {
    fn new(inner: Box<dyn Controller>, gauge: Arc<Gauge>, now: Instant) -> Counted {
        // The first of a connection is all there is.
        let (none, window) = (0, inner.window());
        let order = Ordering::Relaxed;
        let _ = gauge.window.compare_exchange(none, window, order, order);
        Counted {
            fresh: inner.clone_box(),
            begun: now,
            inner,
            gauge,
            in_flight: 0,
            peak: 0,
            is_proven: false,
            delivered: 0,
            since: now,
            rate: 0,
            noise: Noise::new(),
        }
    }

    fn set_in_flight(&mut self, bytes: u64, now: Instant) {
        if self.is_proven {
            self.gauge.subtract(self.in_flight);
            self.gauge.add(bytes);
        }
        self.in_flight = bytes;
        self.peak = self.peak.max(bytes);
        self.noise.quiet.on_in_flight(bytes, now);
    }

    /// The lanes keep a part of the window free of bulk, so that what is urgent finds room at once, and the library takes that for a lack
    /// of something to send. A window of which half was used may grow, or bulk would never have more (Linux has the same rule for one that starts).
    fn is_short_of_data(&self, app_limited: bool) -> bool {
        app_limited && self.peak * 2 < self.inner.window()
    }

    fn measure(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= RATE_PERIOD {
            let rate = u128::from(self.delivered) * 1_000_000_000 / elapsed.as_nanos();
            self.rate = u64::try_from(rate).unwrap_or(u64::MAX);
            self.delivered = 0;
            self.since = now;
        }
    }

    /// Of the paths of a connection, the one that has most in flight is the one that bulk takes.
    fn publish(&self) {
        if !self.is_proven || self.in_flight * 2 < self.gauge.in_flight() {
            return;
        }
        let nanos = u64::try_from(self.noise.shortest.as_nanos()).unwrap_or(u64::MAX);
        let set = |to: &AtomicU64, value| to.store(value, Ordering::Relaxed);
        set(&self.gauge.window, self.inner.window());
        set(&self.gauge.bytes_per_second, self.rate);
        set(&self.gauge.min_rtt_nanos, nanos);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.is_proven {
            self.gauge.subtract(self.in_flight);
        }
    }
}

impl Controller for Counted {
    fn on_sent(&mut self, now: Instant, bytes: u64, largest_pn: u64) {
        self.inner.on_sent(now, bytes, largest_pn);
    }

    fn on_packet_sent(&mut self, now: Instant, bytes: u16, pn: u64) {
        self.set_in_flight(self.in_flight + u64::from(bytes), now);
        self.inner.on_packet_sent(now, bytes, pn);
    }

    fn on_cwnd_limited(&mut self) {
        self.inner.on_cwnd_limited();
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        pn: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        if !self.is_proven {
            self.is_proven = true;
            self.gauge.add(self.in_flight);
        }
        self.delivered += bytes;
        self.noise.on_delivered(bytes);
        if self.noise.on_arrival(sent, now) {
            // What it learned, it learned of another path: where one packet in two hundred is lost it would take Cubic ten seconds
            // to fill the longer one.
            self.inner = self.fresh.clone_box();
            self.noise.forget_losses();
            self.begun = now;
        }
        self.set_in_flight(self.in_flight.saturating_sub(bytes), now);
        let app_limited = self.is_short_of_data(app_limited);
        self.inner.on_ack(now, sent, bytes, pn, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.set_in_flight(in_flight, now);
        self.measure(now);
        let app_limited = self.is_short_of_data(app_limited);
        self.inner
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
        self.peak = in_flight;
        self.publish();
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        is_ecn: bool,
        lost_bytes: u64,
        largest_lost_pn: u64,
    ) {
        self.set_in_flight(self.in_flight.saturating_sub(lost_bytes), now);
        let forgives = self.noise.forgives(lost_bytes);
        let is_of_another_path = sent < self.begun;
        if (forgives || is_of_another_path) && !is_ecn && !is_persistent_congestion {
            return;
        }
        self.inner.on_congestion_event(
            now,
            sent,
            is_persistent_congestion,
            is_ecn,
            lost_bytes,
            largest_lost_pn,
        );
    }

    fn on_packet_lost(&mut self, lost_bytes: u16, pn: u64, now: Instant) {
        self.inner.on_packet_lost(lost_bytes, pn, now);
    }

    fn on_spurious_congestion_event(&mut self) {
        self.inner.on_spurious_congestion_event();
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
        self.fresh.on_mtu_update(new_mtu);
    }

    fn on_ack_frequency_update(
        &mut self,
        ack_eliciting_threshold: u64,
        requested_max_ack_delay: Duration,
    ) {
        self.inner
            .on_ack_frequency_update(ack_eliciting_threshold, requested_max_ack_delay);
    }

    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    /// For a path that takes this one's place, with nothing in flight yet.
    fn clone_box(&self) -> Box<dyn Controller> {
        let inner = self.inner.clone_box();
        let mut counted = Counted::new(inner, self.gauge.clone(), self.since);
        counted.fresh = self.fresh.clone_box();
        Box::new(counted)
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noq_proto::{FourTuple, PathId, PathStatus};

    use super::super::network::{Bottleneck, Losses, Network, address};
    use super::super::transport::transport_config;
    use super::*;

    const PACKET: u64 = 1_400;

    /// Sends 2,000 packets with one lost in every `one_in`, and says how often that was forgiven in the second half.
    fn forgiven(one_in: u32, queued: impl Fn(u32) -> Duration) -> (u32, u32) {
        let start = Instant::now();
        let mut noise = Noise::new();
        let (mut losses, mut forgiven) = (0, 0);
        for number in 0..2_000 {
            let sent = start + number * Duration::from_micros(500);
            noise.quiet.on_in_flight(1 << 20, sent);
            if number % one_in == one_in - 1 {
                let is_forgiven = noise.forgives(PACKET);
                if number > 1_000 {
                    losses += 1;
                    forgiven += u32::from(is_forgiven);
                }
            } else {
                let queued = if number == 0 {
                    Duration::ZERO
                } else {
                    queued(number)
                };
                noise.on_arrival(sent, sent + Duration::from_millis(20) + queued);
                noise.on_delivered(PACKET);
            }
        }
        (forgiven, losses)
    }

    #[test]
    fn rare_loss_is_noise_until_packets_take_longer() {
        let (forgave, losses) = forgiven(200, |_| Duration::ZERO);
        assert_eq!(forgave, losses);
        assert_eq!(forgiven(200, |_| Duration::from_millis(11)).0, 0);
    }

    #[test]
    fn rare_loss_is_noise_while_only_some_packets_take_longer() {
        // Of 20 ms, 15 are a pause.
        let pauses = |number| {
            Duration::from_millis(15).saturating_sub(Duration::from_micros(500) * (number % 40))
        };
        let (forgave, losses) = forgiven(200, |number| 2 * pauses(number));
        assert_eq!(forgave, losses);
    }

    #[test]
    fn a_path_that_became_longer_is_believed_when_it_is_quiet() {
        let start = Instant::now();
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(40));
        let mut noise = Noise::new();
        // A packet each 20 ms, with so much in flight since it was sent.
        let mut number = 0;
        let mut after = |took: Duration, in_flight| {
            number += 1;
            let now = start + number * Duration::from_millis(20);
            noise.quiet.on_in_flight(in_flight, now - took);
            (noise.on_arrival(now - took, now), noise.shortest)
        };
        assert_eq!(after(short, 0), (false, short));
        for _ in 0..20 {
            assert_eq!(after(long, 1 << 20), (false, short), "a queue of ours");
        }
        let believed: Vec<_> = (0..10).map(|_| after(long, 0)).collect();
        assert_eq!(believed[1], (false, short), "too few moments");
        assert_eq!(believed.iter().filter(|(longer, _)| *longer).count(), 1);
        assert_eq!(believed[9], (false, long));
        assert_eq!(after(short, 1 << 20), (false, short));
    }

    #[test]
    fn a_window_of_which_half_was_used_may_grow() {
        let now = Instant::now();
        let cubic = Arc::new(noq_proto::congestion::CubicConfig::default());
        let mut counted = Counted::new(cubic.build(now, 1_200), Arc::default(), now);
        let half = counted.window() / 2;
        counted.set_in_flight(half - 1, now);
        assert!(counted.is_short_of_data(true));
        counted.set_in_flight(half, now);
        counted.set_in_flight(0, now);
        assert!(!counted.is_short_of_data(true));
        counted.on_end_acks(now, 0, true, None);
        assert!(counted.is_short_of_data(true));
        assert!(!counted.is_short_of_data(false));
    }

    #[test]
    fn frequent_loss_is_congestion() {
        assert_eq!(forgiven(20, |_| Duration::ZERO).0, 0);
    }

    const TRANSFER: Duration = Duration::from_secs(4);

    #[derive(Debug)]
    struct Transferred {
        /// Bytes.
        read: u64,
        /// Packets.
        sent: u64,
        lost: u64,
        /// What is believed of the path.
        round_trip: Duration,
    }

    /// Over a connection made on another path than this.
    fn transfer(prepare: impl FnOnce(&mut Network)) -> Transferred {
        let gauge = Arc::new(Gauge::default());
        let transport = Arc::into_inner(transport_config(&gauge, 1_472)).expect("ours alone");
        let mut network = Network::connected(1, transport);
        network.run(Duration::from_secs(1));
        prepare(&mut network);
        let bytes = Bytes::from(vec![7; 1 << 20]);
        let (id, _) = network.write(0, 1);
        let end = network.now + TRANSFER;
        while network.now < end {
            network.write_more(0, id, &bytes);
            network.step();
        }
        let stats = network.sides[0].connection().path_stats(PathId::ZERO);
        let stats = stats.expect("its path");
        Transferred {
            read: network.sides[1].read[&id],
            sent: stats.sent_packets,
            lost: stats.lost_packets,
            round_trip: Duration::from_nanos(gauge.min_rtt_nanos.load(Ordering::Relaxed)),
        }
    }

    #[test]
    fn a_path_that_is_tried_in_vain_holds_up_no_bulk_on_the_other() {
        let gauge = Arc::new(Gauge::default());
        let transport = Arc::into_inner(transport_config(&gauge, 1_472)).expect("ours alone");
        let mut network = Network::connected(2, transport);
        network.run(Duration::from_secs(1));
        let in_vain = address(1, 1);
        network.losses = Box::new(move |_, to, _| to == in_vain);
        let tuple = FourTuple::new(in_vain, None);
        let now = network.now;
        let connection = network.sides[0].connection();
        connection
            .open_path(tuple, PathStatus::Backup, now)
            .expect("tried");
        let end = now + Duration::from_secs(2);
        let (limit, mut most) = (gauge.bulk_limit(), 0);
        while network.now < end {
            network.step();
            assert_eq!(gauge.bulk_limit(), limit);
            most = most.max(gauge.in_flight());
        }
        assert!(most < 1_000, "{most} in flight");
    }

    fn loses_one_in(packets: u32) -> Losses {
        let mut number = 0;
        Box::new(move |_, _, _| {
            number += 1;
            number % packets == 0
        })
    }

    #[test]
    fn a_path_that_became_longer_is_filled_in_spite_of_noise() {
        let stats = transfer(|network| {
            network.delay = Duration::from_millis(20);
            network.losses = loses_one_in(200);
        });
        let round_trip = stats.round_trip.as_millis();
        assert!((40..44).contains(&round_trip), "{stats:?}");
        assert!(stats.read > 100 << 20, "{stats:?}");
    }

    /// Also where the queue is so short that next to nothing is in flight when it is full.
    #[test]
    fn a_queue_that_is_full_because_of_us_is_not_taken_for_a_longer_path_again_and_again() {
        for (bytes_per_second, queue_bytes, lost_percent) in
            [(2_500_000, 250_000, 4), (1_250_000, 64_000, 12)]
        {
            let stats = transfer(|network| {
                network.delay = Duration::from_millis(5);
                network.bottleneck = Some(Bottleneck {
                    bytes_per_second,
                    queue_bytes,
                    free_at: network.now,
                });
            });
            let capacity = u64::from(bytes_per_second) * TRANSFER.as_secs();
            assert!(stats.read > capacity * 8 / 10, "{stats:?}");
            assert!(stats.lost < stats.sent * lost_percent / 100, "{stats:?}");
        }
    }
}
