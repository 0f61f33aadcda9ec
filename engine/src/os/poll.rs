//! Waiting for several descriptors with a timeout exact to the nanosecond (ppoll(2)).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The loop's: commands, signals, four sockets, the host's changes, the tunnel.
const MAX_INTERESTS: usize = 8;

/// What the loop waits for on one descriptor.
#[derive(Clone, Copy)]
pub struct Interest<'a> {
    pub fd: BorrowedFd<'a>,
    pub readable: bool,
    pub writable: bool,
}

/// Waits until a descriptor is ready or `timeout` has passed; `None` waits for ever. Tells of each, in order, whether there is
/// something to do: to read, or to find out about an error by reading. From one to `MAX_INTERESTS` are taken.
pub fn wait<'a>(
    interests: impl IntoIterator<Item = Interest<'a>>,
    timeout: Option<Duration>,
) -> io::Result<[bool; MAX_INTERESTS]> {
    let mut interests = interests.into_iter().peekable();
    let too = |what: &str| io::Error::other(format!("too {what} descriptors to wait for"));
    let Some(first) = interests.peek().copied() else {
        return Err(too("few"));
    };
    let mut count = 0;
    let mut fds: [PollFd<'_>; MAX_INTERESTS] = std::array::from_fn(|_| {
        let interest = interests.next();
        count += usize::from(interest.is_some());
        poll_fd(&interest.unwrap_or(first))
    });
    if interests.next().is_some() {
        return Err(too("many"));
    }
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(&mut fds[..count], timeout.as_ref()) {
        Ok(_) => Ok(fds.each_ref().map(is_readable)),
        Err(rustix::io::Errno::INTR) => Ok([false; MAX_INTERESTS]),
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn tells_in_order_who_has_something_to_read() {
        let sockets: Vec<UdpSocket> = (0..3)
            .map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket"))
            .collect();
        let interests = || {
            sockets.iter().map(|socket| Interest {
                fd: socket.as_fd(),
                readable: true,
                writable: false,
            })
        };
        let none = [false; MAX_INTERESTS];
        let soon = Some(Duration::from_millis(1));
        assert_eq!(wait(interests(), soon).expect("polls"), none);
        let second = sockets[1].local_addr().expect("its address");
        sockets[0].send_to(&[1], second).expect("sent");
        let ready = wait(interests(), Some(Duration::from_secs(5))).expect("polls");
        assert_eq!(ready[..4], [false, true, false, false]);
        assert!(wait(std::iter::empty(), soon).is_err());
        assert!(wait(interests().cycle().take(MAX_INTERESTS + 1), soon).is_err());
    }
}
