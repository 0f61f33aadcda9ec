//! Real-time priority for the packet thread, while urgent packets pass that would have to wait for a processor.
//!
//! Under load it is what keeps a ping at 0.3 ms instead of 1 or 2, and it has two prices. Without load an ordinary thread is woken on a
//! processor that is awake, a real-time one often on one that has to be woken first (measured: 0.20 ms of round trip against 0.14). Under
//! load it interrupts whoever makes the packets, and so gets them in smaller batches (a tenth more CPU for each byte): a transfer of
//! which nobody waits for a single packet goes faster without.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// Whoever types or talks, or sends a ping a second, does it again within this time.
const CONVERSATION: Duration = Duration::from_millis(1_200);
/// So long after the last load the thread is an ordinary one again.
const LINGER: Duration = Duration::from_millis(500);
/// Waiting this long for a processor each time it wants one, a thread needs priority.
const LONG_WAIT_NANOS: u64 = 100_000;

/// Of the thread that made it.
pub struct Priority {
    is_raised: bool,
    need: Need,
    waits: Option<Waits>,
}

impl Priority {
    /// Fails where the system does not allow real-time priority.
    pub fn new() -> io::Result<Priority> {
        set(libc::SCHED_FIFO, 1)?;
        set(libc::SCHED_OTHER, 0)?;
        Ok(Priority {
            is_raised: false,
            need: Need::default(),
            // A kernel without these statistics: load alone decides.
            waits: Waits::open().ok(),
        })
    }

    /// An urgent packet passed.
    pub fn urgent(&mut self, now: Instant) {
        self.need.urgent_at = Some(now);
    }

    /// The thread is under load.
    pub fn busy(&mut self, now: Instant) {
        match (self.need.busy(now), self.is_raised) {
            // What was allowed at the beginning may not be any more; then the thread stays ordinary.
            (true, false) => self.is_raised = set(libc::SCHED_FIFO, 1).is_ok(),
            (false, true) => self.give_back(),
            _ => {}
        }
    }

    /// To be called about once a second.
    pub fn look(&mut self, now: Instant) {
        let has_to_wait = self.waits.as_mut().and_then(Waits::average_nanos);
        if has_to_wait.is_some_and(|nanos| nanos > LONG_WAIT_NANOS) {
            self.busy(now);
        }
        if self.is_raised && self.need.is_over(now) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.is_raised = set(libc::SCHED_OTHER, 0).is_err();
    }
}

/// Both together: urgent packets, and a load beside which they would wait.
#[derive(Debug, Default)]
struct Need {
    urgent_at: Option<Instant>,
    busy_at: Option<Instant>,
}

impl Need {
    /// Under load: whether somebody is waiting for single packets.
    fn busy(&mut self, now: Instant) -> bool {
        let is_urgent = is_within(CONVERSATION, self.urgent_at, now);
        if is_urgent {
            self.busy_at = Some(now);
        }
        is_urgent
    }

    fn is_over(&self, now: Instant) -> bool {
        !is_within(LINGER, self.busy_at, now)
    }
}

fn is_within(time: Duration, at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) <= time)
}

/// `SCHED_FIFO` at the lowest real-time priority is enough to run before every ordinary thread.
fn set(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: priority,
    };
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: pid 0 means the calling thread, and `parameter` outlives the call.
    match unsafe { libc::sched_setscheduler(0, policy, &parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How long this thread waited for a processor (Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat).
struct Waits {
    file: File,
    waited_nanos: u64,
    times: u64,
}

impl Waits {
    fn open() -> io::Result<Waits> {
        Ok(Waits {
            file: File::open("/proc/thread-self/schedstat")?,
            waited_nanos: 0,
            times: 0,
        })
    }

    /// Since the last call.
    fn average_nanos(&mut self) -> Option<u64> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        (&self.file).take(128).read_to_string(&mut text).ok()?;
        let (waited_nanos, times) = parse(&text)?;
        let waited = waited_nanos.saturating_sub(self.waited_nanos);
        let since = times.saturating_sub(self.times);
        (self.waited_nanos, self.times) = (waited_nanos, times);
        waited.checked_div(since)
    }
}

/// Nanoseconds waited, and how often the thread ran.
fn parse(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().skip(1).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_needed_for_urgent_packets_under_load_and_over_when_either_ends() {
        let begun = Instant::now();
        let mut need = Need::default();
        assert!(!need.busy(begun), "nobody waits for a single packet");
        assert!(need.is_over(begun));
        need.urgent_at = Some(begun);
        assert!(need.is_over(begun), "there is no load");
        let last = begun + CONVERSATION;
        assert!(need.busy(last));
        assert!(!need.is_over(last + LINGER), "the load may go on");
        let later = last + LINGER + Duration::from_millis(1);
        assert!(!need.busy(later), "the conversation is over");
        assert!(need.is_over(later));
    }

    #[test]
    fn reads_the_statistics_of_the_kernel() {
        assert_eq!(parse("5 70 3\n"), Some((70, 3)));
        assert_eq!(parse("5 70"), None);
        assert_eq!(parse("a b c"), None);
        let mut waits = Waits::open().expect("statistics");
        std::thread::sleep(Duration::from_millis(1));
        assert!(waits.average_nanos().is_some());
    }
}
