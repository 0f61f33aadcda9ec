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

/// Waits until a descriptor is ready or `timeout` has passed; `None` waits for ever. Tells of each, in order, whether there is
/// something to do: to read, or to find out about an error by reading.
pub fn wait(interests: &[Interest<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut fds: Vec<PollFd<'_>> = interests.iter().map(poll_fd).collect();
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => Ok(fds.iter().map(is_readable).collect()),
        Err(rustix::io::Errno::INTR) => Ok(vec![false; interests.len()]),
        Err(error) => Err(error.into()),
    }
}

fn is_readable(fd: &PollFd<'_>) -> bool {
    fd.revents().intersects(!PollFlags::OUT)
}

fn poll_fd<'a>(interest: &Interest<'a>) -> PollFd<'a> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.readable);
    flags.set(PollFlags::OUT, interest.writable);
    PollFd::from_borrowed_fd(interest.fd, flags)
}
