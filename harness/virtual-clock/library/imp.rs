//! What stands in for the C library's calls in a process that has the page, and leads to the kernel's in one without.
//!
//! Nothing here allocates, locks, or keeps anything per thread but in the page's slots: each call may run in a signal's
//! handler, between `fork` and `exec`, or in a thread that is about to end.

#![allow(unreachable_pub, reason = "what is public here are symbols of the library, for the dynamic linker")]

#[path = "attach.rs"]
mod attach;
#[path = "chance.rs"]
mod chance;
#[path = "clocks.rs"]
mod clocks;
#[path = "files.rs"]
mod files;
#[path = "ipc.rs"]
mod ipc;
#[path = "real.rs"]
mod real;
#[path = "sockets.rs"]
mod sockets;
#[path = "threads.rs"]
mod threads;
#[path = "timers.rs"]
mod timers;
#[path = "wait.rs"]
mod wait;
#[path = "waits.rs"]
mod waits;

use crate::page::Layout;
use attach::page;
use core::ffi::{c_int, c_long};

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Sets `errno`.
fn set_errno(error: c_int) {
    // SAFETY: the C library's own place for this thread's errno.
    unsafe { *__errno_location() = error }
}

/// A system call's result as the C library gives it: -1 with `errno`, or the value.
fn result(value: isize) -> c_long {
    if (-4095..0).contains(&value) {
        set_errno(-value as c_int);
        return -1;
    }
    value as c_long
}

/// The same for calls that return an `int`.
fn result_int(value: isize) -> c_int {
    result(value) as c_int
}

/// A copy of what a pointer from the program points to, if it is not null.
///
/// # Safety
/// The program says that it points to a `T`.
unsafe fn given<T: Copy>(pointer: *const T) -> Option<T> {
    // SAFETY: not null, and the caller answers for the rest.
    (!pointer.is_null()).then(|| unsafe { pointer.read_unaligned() })
}

/// Gives a value to the program, if it wants one.
///
/// # Safety
/// The program says that the pointer is null or has room for a `T`.
unsafe fn give<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: not null, and the caller answers for the rest.
        unsafe { pointer.write_unaligned(value) }
    }
}

/// An absolute time of a clock as a deadline on the page; None: the clock is not carried (a processor clock).
fn absolute(page: &Layout, clock: c_int, at: u64) -> Option<u64> {
    clocks::base(page, clock).map(|base| at.saturating_sub(base))
}
