//! Who is at the other end of a unix socket.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The user who connected. Asked of the kernel by `libc`: a peer in another PID namespace, such as the other container of a
/// pod, has no process id here, and `rustix` takes that 0 for an error.
pub fn peer_uid(stream: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: `ucred` is three integers, for which zero is a value.
    let mut credentials: libc::ucred = unsafe { zeroed() };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of the struct that the pointer is to.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(credentials.uid),
        _ => Err(io::Error::last_os_error()),
    }
}
