package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// The death signal is a property of the thread that asks for it, so main's thread is kept for main.
func init() { runtime.LockOSThread() }

// endWithParent makes the kernel kill this process when its parent ends, even by SIGKILL. A parent that ended before
// the call is noticed by its id.
func endWithParent(parent int) error {
	if parent == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("set parent death signal: %w", err)
	}
	if os.Getppid() != parent {
		return fmt.Errorf("parent %d has ended", parent)
	}
	return nil
}
