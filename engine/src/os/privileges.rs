//! Giving up what the engine does not need, and asking for real-time priority.

use std::io;
use std::num::NonZeroU64;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_no_new_privs};

/// Keeps NET_ADMIN and SYS_NICE at most, of those the process has, and never lets an exec gain any. Capabilities belong to a
/// thread: call this before starting threads.
pub fn drop_privileges() -> io::Result<()> {
    set_no_new_privs(true)?;
    let kept = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_NICE;
    let mut sets = capabilities(None)?;
    sets.effective &= kept;
    sets.permitted &= kept;
    sets.inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, sets)?)
}

/// Puts the calling thread under `SCHED_FIFO` at the lowest real-time priority: enough to run before every ordinary
/// thread. Fails where the system does not allow it.
#[allow(unsafe_code)]
pub fn request_real_time() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: pid 0 means the calling thread, and `parameter` outlives the call.
    match unsafe { libc::sched_setscheduler(0, policy, &parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the calling thread's waits end when they should and not up to 50 µs later, as ordinary threads' do (prctl(2),
/// PR_SET_TIMERSLACK).
pub fn request_exact_waits() -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}
