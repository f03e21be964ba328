//! The calls that wait for descriptors, for signals, or for time alone.

use super::wait::{Ended, WAKE_BIT, wait, wait_unblocked};
use super::{absolute, give, given, page, result, result_int};
use crate::page::Layout;
use crate::sys::{self, EAGAIN, EINTR, Timespec, Timeval, call};
use core::ffi::{c_int, c_uint, c_ulong, c_void};
use core::ptr::{from_ref, null, null_mut};

const EINVAL: isize = 22;
const ZERO: Timespec = Timespec { sec: 0, nsec: 0 };

fn span(timeout: Timespec) -> Result<u64, isize> {
    timeout.ns().ok_or(-EINVAL)
}

/// What is left of a wait.
fn left(page: &Layout, deadline: u64) -> u64 {
    deadline.saturating_sub(page.peek())
}

/// `ppoll` on the page; None: without end.
///
/// # Safety
/// As the manual says of `ppoll`.
pub(super) unsafe fn poll_for(
    fds: *mut c_void,
    count: usize,
    timeout: Option<u64>,
    wanted: Option<u64>,
) -> isize {
    let raw = |timeout: *const Timespec, mask: *const u64| {
        // SAFETY: the caller's descriptors; a timeout and a mask of ours.
        unsafe { call(sys::PPOLL, [fds as usize, count, timeout as usize, mask as usize, 8, 0]) }
    };
    let wanted_at = wanted.as_ref().map_or(null(), from_ref);
    match (page(), timeout) {
        (_, None) => raw(null(), wanted_at),
        (Some(page), Some(ns)) if ns > 0 => {
            match wait(page, page.deadline(ns), sys::PPOLL, wanted, |mask| raw(null(), mask)) {
                Ended::Call(value) => value,
                // What came at the very moment is seen, as the kernel's last look sees it.
                Ended::Deadline => raw(&ZERO, wanted_at),
            }
        }
        (_, Some(ns)) => raw(&Timespec::of(ns), wanted_at),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(fds: *mut c_void, count: c_ulong, timeout: c_int) -> c_int {
    let timeout = u64::try_from(timeout).ok().map(|ms| ms * 1_000_000);
    // SAFETY: the program's arguments.
    result_int(unsafe { poll_for(fds, count as usize, timeout, None) })
}

/// `poll` as the resolver calls it where that is a library of its own (glibc before 2.34).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll(fds: *mut c_void, count: c_ulong, timeout: c_int) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { poll(fds, count, timeout) }
}

/// `poll` as programs compiled with `_FORTIFY_SOURCE` call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll_chk(fds: *mut c_void, count: c_ulong, timeout: c_int, _: usize) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { poll(fds, count, timeout) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    fds: *mut c_void,
    count: c_ulong,
    timeout: *const Timespec,
    mask: *const u64,
) -> c_int {
    // SAFETY: the program's arguments.
    result_int(unsafe {
        match given(timeout).map(span).transpose() {
            Ok(timeout) => poll_for(fds, count as usize, timeout, given(mask)),
            Err(error) => error,
        }
    })
}

/// `ppoll` as programs compiled with `_FORTIFY_SOURCE` call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    fds: *mut c_void,
    count: c_ulong,
    timeout: *const Timespec,
    mask: *const u64,
    _: usize,
) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { ppoll(fds, count, timeout, mask) }
}

/// The three sets of `select`.
type Sets = [*mut c_void; 3];

/// `pselect6` on the page: its result, and what is left of the timeout.
unsafe fn select_for(count: c_int, sets: Sets, timeout: Option<u64>, wanted: Option<u64>) -> (isize, u64) {
    let raw = |timeout: Option<Timespec>, mask: *const u64| {
        let mut timeout = timeout;
        let timeout = timeout.as_mut().map_or(null_mut(), core::ptr::from_mut);
        let mask = [mask as usize, 8];
        let [read, write, except] = sets.map(|set| set as usize);
        let mask = &raw const mask as usize;
        // SAFETY: the caller's sets; a timeout and a mask of ours.
        unsafe { call(sys::PSELECT6, [count as usize, read, write, except, timeout as usize, mask]) }
    };
    let wanted_at = wanted.as_ref().map_or(null(), from_ref);
    match (page(), timeout) {
        (_, None) => (raw(None, wanted_at), 0),
        (Some(page), Some(ns)) if ns > 0 => {
            let deadline = page.deadline(ns);
            match wait(page, deadline, sys::PSELECT6, wanted, |mask| raw(None, mask)) {
                Ended::Call(value) => (value, left(page, deadline)),
                Ended::Deadline => (raw(Some(ZERO), wanted_at), 0),
            }
        }
        (_, Some(ns)) => (raw(Some(Timespec::of(ns)), wanted_at), 0),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(
    count: c_int,
    read: *mut c_void,
    write: *mut c_void,
    except: *mut c_void,
    timeout: *mut Timeval,
) -> c_int {
    // SAFETY: the program's arguments.
    unsafe {
        let wanted = given(timeout.cast_const());
        // More microseconds than a second has are allowed here.
        let ns = match wanted {
            Some(Timeval { sec, usec }) if sec < 0 || usec < 0 => return result_int(-EINVAL),
            Some(Timeval { sec, usec }) => Some(
                (sec as u64)
                    .saturating_mul(1_000_000_000)
                    .saturating_add((usec as u64).saturating_mul(1_000)),
            ),
            None => None,
        };
        let (value, left) = select_for(count, [read, write, except], ns, None);
        give(timeout, Timeval::of(left));
        result_int(value)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut c_void,
    write: *mut c_void,
    except: *mut c_void,
    timeout: *const Timespec,
    mask: *const u64,
) -> c_int {
    // SAFETY: the program's arguments.
    result_int(unsafe {
        match given(timeout).map(span).transpose() {
            Ok(timeout) => select_for(count, [read, write, except], timeout, given(mask)).0,
            Err(error) => error,
        }
    })
}

unsafe fn epoll_for(
    epoll: c_int,
    events: *mut c_void,
    most: c_int,
    timeout: Option<u64>,
    wanted: Option<u64>,
) -> isize {
    let raw = |ms: c_int, mask: *const u64| {
        let (epoll, most, ms) = (epoll as usize, most as usize, ms as usize);
        // SAFETY: the program's events; a mask of ours.
        unsafe { call(sys::EPOLL_PWAIT, [epoll, events as usize, most, ms, mask as usize, 8]) }
    };
    let wanted_at = wanted.as_ref().map_or(null(), from_ref);
    match (page(), timeout) {
        (_, None) => raw(-1, wanted_at),
        (Some(page), Some(ns)) if ns > 0 => {
            match wait(page, page.deadline(ns), sys::EPOLL_PWAIT, wanted, |mask| raw(-1, mask)) {
                Ended::Call(value) => value,
                Ended::Deadline => raw(0, wanted_at),
            }
        }
        (_, Some(ns)) => raw(c_int::try_from(ns.div_ceil(1_000_000)).unwrap_or(c_int::MAX), wanted_at),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    epoll: c_int,
    events: *mut c_void,
    most: c_int,
    timeout: c_int,
    mask: *const u64,
) -> c_int {
    let timeout = u64::try_from(timeout).ok().map(|ms| ms * 1_000_000);
    // SAFETY: the program's arguments.
    result_int(unsafe { epoll_for(epoll, events, most, timeout, given(mask)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(epoll: c_int, events: *mut c_void, most: c_int, timeout: c_int) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { epoll_pwait(epoll, events, most, timeout, null()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut c_void,
    most: c_int,
    timeout: *const Timespec,
    mask: *const u64,
) -> c_int {
    // SAFETY: the program's arguments.
    result_int(unsafe {
        match given(timeout).map(span).transpose() {
            Ok(timeout) => epoll_for(epoll, events, most, timeout, given(mask)),
            Err(error) => error,
        }
    })
}

/// Sleeps until a deadline: 0, or `-EINTR`.
fn sleep_until(page: &'static Layout, deadline: u64) -> isize {
    let sleep = |mask: *const u64| {
        // SAFETY: no descriptors, no timeout, and a mask of ours.
        unsafe { call(sys::PPOLL, [0, 0, 0, mask as usize, 8, 0]) }
    };
    match wait(page, deadline, sys::PPOLL, None, sleep) {
        Ended::Call(value) => value,
        Ended::Deadline => 0,
    }
}

/// Sleeps for a span: 0 or an error, and what is left of it.
fn sleep_for(ns: u64) -> (isize, u64) {
    let Some(page) = page() else {
        let (span, mut rest) = (Timespec::of(ns), ZERO);
        // SAFETY: two timespecs of ours.
        let value =
            unsafe { call(sys::NANOSLEEP, [&raw const span as usize, &raw mut rest as usize, 0, 0, 0, 0]) };
        return (value, rest.ns().unwrap_or(0));
    };
    if ns == 0 {
        return (0, 0);
    }
    let deadline = page.deadline(ns);
    match sleep_until(page, deadline) {
        0 => (0, 0),
        error => (error, left(page, deadline)),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(wanted: *const Timespec, rest: *mut Timespec) -> c_int {
    // SAFETY: the program's own places for both.
    unsafe {
        let Some(Ok(ns)) = given(wanted).map(span) else { return result_int(-EINVAL) };
        let (value, left) = sleep_for(ns);
        if value == -EINTR {
            give(rest, Timespec::of(left));
        }
        result_int(value)
    }
}

/// `nanosleep` on a clock: the error is its result, and `errno` is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: c_int,
    flags: c_int,
    wanted: *const Timespec,
    rest: *mut Timespec,
) -> c_int {
    const TIMER_ABSTIME: c_int = 1;
    // SAFETY: the program's own place.
    let at = unsafe { given(wanted) }.map(span);
    let (Some(page), Some(Ok(at))) = (page(), at) else {
        let (clock, flags) = (clock as usize, flags as usize);
        // SAFETY: the program's arguments, which the kernel checks.
        return -unsafe { call(sys::CLOCK_NANOSLEEP, [clock, flags, wanted as usize, rest as usize, 0, 0]) }
            as c_int;
    };
    let value = match absolute(page, clock, at) {
        Some(deadline) if flags & TIMER_ABSTIME != 0 => sleep_until(page, deadline),
        Some(_) => {
            let (value, left) = sleep_for(at);
            if value == -EINTR {
                // SAFETY: the program's own place, or null.
                unsafe { give(rest, Timespec::of(left)) };
            }
            value
        }
        // SAFETY: the program's arguments, which the kernel checks: a processor clock, or none.
        None => unsafe {
            call(sys::CLOCK_NANOSLEEP, [clock as usize, flags as usize, wanted as usize, rest as usize, 0, 0])
        },
    };
    -value as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sleep(seconds: c_uint) -> c_uint {
    let (_, left) = sleep_for(u64::from(seconds) * 1_000_000_000);
    // Rounded, as the C library does.
    ((left + 500_000_000) / 1_000_000_000) as c_uint
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn usleep(microseconds: c_uint) -> c_int {
    result_int(sleep_for(u64::from(microseconds) * 1_000).0)
}

/// C11, 7.26.5.7: 0, -1 when a signal came.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thrd_sleep(wanted: *const Timespec, rest: *mut Timespec) -> c_int {
    const CLOCK_REALTIME: c_int = 0;
    // SAFETY: the program's arguments.
    match unsafe { clock_nanosleep(CLOCK_REALTIME, 0, wanted, rest) } {
        0 => 0,
        error if error == EINTR as c_int => -1,
        _ => -2,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigtimedwait(
    set: *const u64,
    information: *mut c_void,
    timeout: *const Timespec,
) -> c_int {
    let raw = |set: *const u64, timeout: *const Timespec| {
        let timeout = timeout as usize;
        // SAFETY: the program's place for what is told; a set of eight bytes.
        unsafe { call(sys::RT_SIGTIMEDWAIT, [set as usize, information as usize, timeout, 8, 0, 0]) }
    };
    // SAFETY: the program's own places.
    let (wanted, span) = unsafe { (given(set), given(timeout).map(span)) };
    let (Some(page), Some(wanted), Some(Ok(ns @ 1..))) = (page(), wanted, span) else {
        return result_int(raw(set, timeout));
    };
    let wanted = wanted & !WAKE_BIT;
    let sleep = || raw(&raw const wanted, null());
    result(match wait_unblocked(page, page.deadline(ns), sys::RT_SIGTIMEDWAIT as u32, sleep) {
        Ended::Call(value) => value,
        Ended::Deadline => match raw(&raw const wanted, &ZERO) {
            error if error == -EINTR => -EAGAIN,
            value => value,
        },
    }) as c_int
}
