//! How much may be in flight, and how much is.
//!
//! The library asks its congestion controller alone; the lanes want to know as well, so that bulk waits in our queue and not in the
//! network. So every controller of a connection is wrapped in one that counts.

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

/// What the controllers of one connection know together. All of it is written and read by the packet thread; the atomics are
/// there because the library wants its controllers to be `Sync`.
#[derive(Debug, Default)]
pub struct Gauge {
    in_flight: AtomicU64,
    window: AtomicU64,
    /// Of the path that was acknowledged last.
    bytes_per_second: AtomicU64,
    min_rtt_nanos: AtomicU64,
}

impl Gauge {
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn bytes_per_second(&self) -> u64 {
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
    gauge: Arc<Gauge>,
    /// Of this path.
    in_flight: u64,
    delivered: u64,
    since: Instant,
}

impl Counted {
    fn new(inner: Box<dyn Controller>, gauge: Arc<Gauge>, now: Instant) -> Counted {
        gauge.window.store(inner.window(), Ordering::Relaxed);
        Counted {
            inner,
            gauge,
            in_flight: 0,
            delivered: 0,
            since: now,
        }
    }

    fn set_in_flight(&mut self, bytes: u64) {
        self.gauge.subtract(self.in_flight);
        self.gauge.add(bytes);
        self.in_flight = bytes;
    }

    fn measure(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= RATE_PERIOD {
            let rate = u128::from(self.delivered) * 1_000_000_000 / elapsed.as_nanos();
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            self.gauge.bytes_per_second.store(rate, Ordering::Relaxed);
            self.delivered = 0;
            self.since = now;
        }
    }

    fn publish_window(&self) {
        self.gauge
            .window
            .store(self.inner.window(), Ordering::Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.subtract(self.in_flight);
    }
}

impl Controller for Counted {
    fn on_sent(&mut self, now: Instant, bytes: u64, largest_pn: u64) {
        self.inner.on_sent(now, bytes, largest_pn);
    }

    fn on_packet_sent(&mut self, now: Instant, bytes: u16, pn: u64) {
        self.set_in_flight(self.in_flight + u64::from(bytes));
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
        self.delivered += bytes;
        let nanos = u64::try_from(rtt.min().as_nanos()).unwrap_or(u64::MAX);
        self.gauge.min_rtt_nanos.store(nanos, Ordering::Relaxed);
        self.set_in_flight(self.in_flight.saturating_sub(bytes));
        self.inner.on_ack(now, sent, bytes, pn, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.set_in_flight(in_flight);
        self.measure(now);
        self.inner
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
        self.publish_window();
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
        self.set_in_flight(self.in_flight.saturating_sub(lost_bytes));
        self.inner.on_congestion_event(
            now,
            sent,
            is_persistent_congestion,
            is_ecn,
            lost_bytes,
            largest_lost_pn,
        );
        self.publish_window();
    }

    fn on_packet_lost(&mut self, lost_bytes: u16, pn: u64, now: Instant) {
        self.inner.on_packet_lost(lost_bytes, pn, now);
    }

    fn on_spurious_congestion_event(&mut self) {
        self.inner.on_spurious_congestion_event();
        self.publish_window();
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
        self.publish_window();
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
        Box::new(Counted::new(
            self.inner.clone_box(),
            self.gauge.clone(),
            self.since,
        ))
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
