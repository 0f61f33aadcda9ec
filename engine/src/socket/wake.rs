//! Wakes a thread that waits in poll(2), by an eventfd(2).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::{Errno, read, write},
};

pub(super) struct Wake(OwnedFd);

impl Wake {
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Makes the descriptor readable until `clear`.
    pub fn ring(&self) {
        match write(&self.0, &1u64.to_ne_bytes()) {
            // AGAIN: the counter is full, so it is readable anyway.
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => unreachable!("an eventfd takes 8 bytes: {error}"),
        }
    }

    pub fn clear(&self) {
        match read(&self.0, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => unreachable!("an eventfd gives 8 bytes: {error}"),
        }
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
