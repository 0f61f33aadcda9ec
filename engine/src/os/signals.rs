//! SIGTERM and SIGINT as a readable descriptor (signalfd(2)), so that the loop says goodbye in its own time.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

pub struct TerminationSignals(File);

impl TerminationSignals {
    /// Blocks both signals for this thread and every thread it starts later: call it before starting any.
    pub fn block() -> io::Result<Self> {
        // SAFETY: a sigset_t is plain data, and sigemptyset initialises it before any other use.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is a live sigset_t, and a null old mask is allowed.
        let fd = unsafe {
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
        Ok(TerminationSignals(File::from(unsafe {
            OwnedFd::from_raw_fd(fd)
        })))
    }

    /// Whether a signal has arrived since the last call.
    pub fn taken(&self) -> bool {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        matches!((&self.0).read(&mut info), Ok(read) if read > 0)
    }
}

impl AsFd for TerminationSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
