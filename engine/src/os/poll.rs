//! Waiting for several descriptors with a timeout exact to the nanosecond (ppoll(2)).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What the loop waits for on one descriptor.
pub struct Interest<'a> {
    pub fd: BorrowedFd<'a>,
    pub readable: bool,
    pub writable: bool,
}

/// Waits until a descriptor is ready or `timeout` has passed; `None` waits for ever. Which one is ready is not
/// told: all of them are non-blocking, and the loop tries each in its order anyway.
pub fn wait(interests: &[Interest<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = interests.iter().map(poll_fd).collect();
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn poll_fd<'a>(interest: &Interest<'a>) -> PollFd<'a> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.readable);
    flags.set(PollFlags::OUT, interest.writable);
    PollFd::from_borrowed_fd(interest.fd, flags)
}
