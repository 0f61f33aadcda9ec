//! A network of the test's own.

use std::process::Command;

/// This thread, and the processes it starts, in a network namespace of their own.
pub fn leave_network() {
    // SAFETY: unshare takes no pointers.
    let left = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(left, 0, "needs root: {}", std::io::Error::last_os_error());
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.expect("iproute2").success());
}
