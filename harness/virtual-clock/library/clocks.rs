//! What the time is. Processor clocks stay the kernel's.

use super::{give, given, page, real, result_int, set_errno};
use crate::page::{Layout, MONOTONIC_AT_START, told};
use crate::sys::{self, Timespec, Timeval, call};
use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::Ordering::SeqCst;

const REALTIME: c_int = 0;
const EPERM: c_int = 1;

/// What a clock shows at the run's start; None: a clock that is not carried.
pub(super) fn base(page: &Layout, clock: c_int) -> Option<u64> {
    match clock {
        // REALTIME, its COARSE and ALARM ones, TAI (which the kernel keeps equal unless told otherwise)
        0 | 5 | 8 | 11 => Some(page.epoch.load(SeqCst)),
        // MONOTONIC, RAW, COARSE, BOOTTIME, its ALARM one
        1 | 4 | 6 | 7 | 9 => Some(MONOTONIC_AT_START),
        _ => None,
    }
}

/// The virtual time of day in nanoseconds since 1970, or the real one.
pub(super) fn realtime() -> u64 {
    page().map_or_else(|| sys::kernel_clock(REALTIME), |page| page.epoch.load(SeqCst) + page.read())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    if let Some(page) = page()
        && let Some(base) = base(page, clock)
    {
        // SAFETY: the program's own place for the time.
        unsafe { give(time, Timespec::of(base + page.read())) };
        return 0;
    }
    // SAFETY: the program's arguments, which the kernel checks.
    result_int(unsafe { call(sys::CLOCK_GETTIME, [clock as usize, time as usize, 0, 0, 0, 0]) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut Timeval, zone: *mut [c_int; 2]) -> c_int {
    // SAFETY: the program's own places for the time and the zone.
    unsafe {
        give(time, Timeval::of(realtime()));
        give(zone, [0, 0]);
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(time: *mut c_long) -> c_long {
    let now = (realtime() / 1_000_000_000) as c_long;
    // SAFETY: the program's own place for the time, or null.
    unsafe { give(time, now) };
    now
}

/// C11, 7.27.2.5.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timespec_get(time: *mut Timespec, base: c_int) -> c_int {
    const TIME_UTC: c_int = 1;
    if base != TIME_UTC {
        return 0;
    }
    // SAFETY: the program's own place for the time.
    unsafe { give(time, Timespec::of(realtime())) };
    base
}

#[repr(C)]
pub struct Timeb {
    time: c_long,
    millitm: u16,
    timezone: i16,
    dstflag: i16,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftime(time: *mut Timeb) -> c_int {
    let now = realtime() / 1_000_000;
    // SAFETY: the program's own place for the time.
    unsafe {
        give(
            time,
            Timeb { time: (now / 1_000) as c_long, millitm: (now % 1_000) as u16, timezone: 0, dstflag: 0 },
        );
    }
    0
}

/// Nobody sets the run's clock but the run; that a program asked is told.
fn refuse(page: &Layout) -> c_int {
    page.told.fetch_or(told::SET_CLOCK, SeqCst);
    set_errno(EPERM);
    -1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_settime(clock: c_int, time: *const Timespec) -> c_int {
    // SAFETY: the program's arguments, which the kernel checks.
    page().map_or_else(
        || result_int(unsafe { call(sys::CLOCK_SETTIME, [clock as usize, time as usize, 0, 0, 0, 0]) }),
        refuse,
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn settimeofday(time: *const Timeval, zone: *const c_void) -> c_int {
    // SAFETY: the program's arguments, which the kernel checks.
    page().map_or_else(
        || result_int(unsafe { call(sys::SETTIMEOFDAY, [time as usize, zone as usize, 0, 0, 0, 0]) }),
        refuse,
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn stime(time: *const c_long) -> c_int {
    // SAFETY: the program's own place for the time.
    let at = Timespec { sec: unsafe { given(time) }.unwrap_or_default(), nsec: 0 };
    // SAFETY: a timespec of ours.
    unsafe { clock_settime(REALTIME, &raw const at) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adjtime(change: *const Timeval, left: *mut Timeval) -> c_int {
    match page() {
        Some(page) if !change.is_null() => refuse(page),
        Some(_) => {
            // SAFETY: the program's own place for what is left of an adjustment: nothing.
            unsafe { give(left, Timeval::default()) };
            0
        }
        // SAFETY: the C library's function of this signature.
        None => unsafe {
            real::call::<unsafe extern "C" fn(*const Timeval, *mut Timeval) -> c_int>(c"adjtime")
                .map_or(-1, |adjtime| adjtime(change, left))
        },
    }
}
