//! The timed waits for System V semaphores and POSIX message queues.

use super::wait::{Ended, wait_unblocked};
use super::waits::poll_for;
use super::{absolute, given, page, result, result_int};
use crate::page::Layout;
use crate::sys::{self, EINTR, ETIMEDOUT, Timespec, call};
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::ptr::null;

const ZERO: Timespec = Timespec { sec: 0, nsec: 0 };

/// semop(2): `EAGAIN` at the deadline. The kernel never begins it again by itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semtimedop(
    set: c_int,
    operations: *mut c_void,
    count: usize,
    timeout: *const Timespec,
) -> c_int {
    let raw = |timeout: *const Timespec| {
        let timeout = timeout as usize;
        // SAFETY: the program's operations; a timeout of its or ours.
        unsafe { call(sys::SEMTIMEDOP, [set as usize, operations as usize, count, timeout, 0, 0]) }
    };
    // SAFETY: the program's own place.
    let span = unsafe { given(timeout) }.map(Timespec::ns);
    let (Some(page), Some(Some(ns @ 1..))) = (page(), span) else { return result_int(raw(timeout)) };
    result_int(match wait_unblocked(page, page.deadline(ns), sys::SEMTIMEDOP as u32, || raw(null())) {
        Ended::Call(value) => value,
        Ended::Deadline => raw(&ZERO),
    })
}

/// mq_receive(3), with a moment of the realtime clock: `ETIMEDOUT` when it has come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mq_timedreceive(
    queue: c_int,
    message: *mut c_char,
    room: usize,
    priority: *mut c_uint,
    at: *const Timespec,
) -> c_long {
    let raw = |at: *const Timespec| {
        let arguments = [queue as usize, message as usize, room, priority as usize, at as usize, 0];
        // SAFETY: the program's places; a moment of its or ours.
        unsafe { call(sys::MQ_TIMEDRECEIVE, arguments) }
    };
    const POLLIN: i16 = 1;
    // SAFETY: the program's own place.
    result(unsafe { until(queue, POLLIN, at, raw) })
}

/// mq_send(3), likewise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mq_timedsend(
    queue: c_int,
    message: *const c_char,
    length: usize,
    priority: c_uint,
    at: *const Timespec,
) -> c_int {
    let raw = |at: *const Timespec| {
        let arguments = [queue as usize, message as usize, length, priority as usize, at as usize, 0];
        // SAFETY: the program's message; a moment of its or ours.
        unsafe { call(sys::MQ_TIMEDSEND, arguments) }
    };
    const POLLOUT: i16 = 4;
    // SAFETY: the program's own place.
    result_int(unsafe { until(queue, POLLOUT, at, raw) })
}

/// Asks again and again with a moment that is long past, which never waits, and waits in between until the queue is ready: a
/// queue is a descriptor (mq_overview(7)), and the call itself would be begun again by the kernel after a wake.
///
/// # Safety
/// `at` is the program's, and null or a moment.
unsafe fn until(
    queue: c_int,
    events: i16,
    at: *const Timespec,
    raw: impl Fn(*const Timespec) -> isize,
) -> isize {
    const CLOCK_REALTIME: c_int = 0;
    // SAFETY: by the caller.
    let at_ns = unsafe { given(at) }.map(Timespec::ns);
    let (Some(page), Some(Some(ns))) = (page(), at_ns) else { return raw(at) };
    let Some(deadline) = absolute(page, CLOCK_REALTIME, ns) else { return raw(at) };
    loop {
        let value = raw(&ZERO);
        let left = left(page, deadline);
        if value != -ETIMEDOUT || left == 0 {
            return value;
        }
        let mut ready = PollDescriptor { queue, events, came: 0 };
        // SAFETY: one descriptor of ours.
        if unsafe { poll_for((&raw mut ready).cast(), 1, Some(left), None) } == -EINTR {
            return -EINTR;
        }
    }
}

fn left(page: &Layout, deadline: u64) -> u64 {
    deadline.saturating_sub(page.peek())
}

/// `struct pollfd`.
#[repr(C)]
struct PollDescriptor {
    queue: c_int,
    events: i16,
    came: i16,
}
