//! Giving up what the engine does not need, and waiting exactly.

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

/// Makes the calling thread's waits end when they should and not up to 50 µs later, as ordinary threads' do (prctl(2),
/// PR_SET_TIMERSLACK).
pub fn request_exact_waits() -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}
