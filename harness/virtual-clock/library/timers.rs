//! Alarms, interval timers, timer descriptors, POSIX timers: their deadlines stand on the page, and the driver fires them.

use super::{absolute, clocks, give, given, page, real, result_int, set_errno};
use crate::page::{Layout, NEVER, Timer, TimerKind, timer_key, timer_parts};
use crate::sys::{self, Itimerspec, Timespec, Timeval, call, getpid};
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::{AtomicPtr, Ordering::SeqCst};

const EINVAL: isize = 22;
const ITIMER_REAL: c_int = 0;

/// A timer's interval and what is left until its next expiry, both in microseconds (`struct itimerval`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Itimerval {
    interval: Timeval,
    value: Timeval,
}

/// What is left of a timer, and its interval; a timer that is due but not yet fired has a moment left.
fn left(page: &Layout, timer: Option<&Timer>) -> (u64, u64) {
    let Some(timer) = timer else { return (0, 0) };
    match timer.deadline.load(SeqCst) {
        NEVER => (0, timer.interval.load(SeqCst)),
        deadline => (deadline.saturating_sub(page.peek()).max(1_000), timer.interval.load(SeqCst)),
    }
}

/// Arms a timer, or disarms it (`deadline` None): what was left, and its interval.
fn arm(page: &Layout, key: u64, deadline: Option<u64>, interval: u64) -> (u64, u64) {
    let before = left(page, page.timer(key));
    match deadline {
        Some(deadline) => {
            if let Some(timer) = page.timer_or_new(key) {
                timer.deadline.store(NEVER, SeqCst);
                timer.interval.store(interval, SeqCst);
                timer.deadline.store(deadline, SeqCst);
            }
        }
        None => release(page, key),
    }
    before
}

fn release(page: &Layout, key: u64) {
    if let Some(timer) = page.timer(key) {
        timer.deadline.store(NEVER, SeqCst);
        timer.interval.store(0, SeqCst);
        timer.key.store(0, SeqCst);
    }
}

/// After `exec`: POSIX timers are gone, the rest stays (timer_create(2), setitimer(2)).
pub(super) fn after_exec(page: &Layout) {
    for timer in page.timers() {
        let key = timer.key.load(SeqCst);
        let (kind, pid, _) = timer_parts(key);
        if kind == TimerKind::Posix as u32 && pid == getpid() {
            release(page, key);
        }
    }
}

fn alarm_key() -> u64 {
    timer_key(TimerKind::Alarm, getpid(), 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn alarm(seconds: c_uint) -> c_uint {
    let wanted = Itimerval { value: Timeval { sec: i64::from(seconds), usec: 0 }, ..Itimerval::default() };
    let mut before = Itimerval::default();
    // SAFETY: two values of ours.
    unsafe { setitimer(ITIMER_REAL, &raw const wanted, &raw mut before) };
    let Timeval { sec, usec } = before.value;
    // Rounded as the kernel does, and never to nothing.
    let rounded = sec + i64::from(usec >= 500_000 || (sec == 0 && usec > 0));
    rounded as c_uint
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ualarm(microseconds: c_uint, interval: c_uint) -> c_uint {
    let of = |value: c_uint| Timeval::of(u64::from(value) * 1_000);
    let wanted = Itimerval { interval: of(interval), value: of(microseconds) };
    let mut before = Itimerval::default();
    // SAFETY: two values of ours.
    unsafe { setitimer(ITIMER_REAL, &raw const wanted, &raw mut before) };
    (before.value.sec * 1_000_000 + before.value.usec) as c_uint
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setitimer(which: c_int, wanted: *const Itimerval, before: *mut Itimerval) -> c_int {
    let (Some(page), ITIMER_REAL) = (page(), which) else {
        // SAFETY: the program's arguments, which the kernel checks.
        return result_int(unsafe {
            call(sys::SETITIMER, [which as usize, wanted as usize, before as usize, 0, 0, 0])
        });
    };
    // SAFETY: the program's own places; null means nothing wanted, as the kernel has it.
    unsafe {
        let wanted = given(wanted).unwrap_or_default();
        let (Some(value), Some(interval)) = (wanted.value.ns(), wanted.interval.ns()) else {
            return result_int(-EINVAL);
        };
        let deadline = (value > 0).then(|| page.deadline(value));
        let (left, repeat) = arm(page, alarm_key(), deadline, interval);
        give(before, Itimerval { interval: Timeval::of(repeat), value: Timeval::of(left) });
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getitimer(which: c_int, now: *mut Itimerval) -> c_int {
    let (Some(page), ITIMER_REAL) = (page(), which) else {
        // SAFETY: the program's arguments, which the kernel checks.
        return result_int(unsafe { call(sys::GETITIMER, [which as usize, now as usize, 0, 0, 0, 0]) });
    };
    let (left, repeat) = left(page, page.timer(alarm_key()));
    // SAFETY: the program's own place.
    unsafe { give(now, Itimerval { interval: Timeval::of(repeat), value: Timeval::of(left) }) };
    0
}

/// The descriptor's clock is needed when it is set: it stands in the timer's entry, which is made with the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_create(clock: c_int, flags: c_int) -> c_int {
    // SAFETY: numbers alone.
    let fd = unsafe { call(sys::TIMERFD_CREATE, [clock as usize, flags as usize, 0, 0, 0, 0]) };
    if let (Some(page), 0..) = (page(), fd) {
        let key = timer_key(TimerKind::Descriptor, getpid(), fd as u32);
        release(page, key);
        if let Some(timer) = page.timer_or_new(key) {
            timer.clock.store(clock as u64, SeqCst);
        }
    }
    result_int(fd)
}

fn timerfd_raw(fd: c_int, flags: c_int, wanted: *const Itimerspec, before: *mut Itimerspec) -> isize {
    // SAFETY: the program's arguments or ours, which the kernel checks.
    unsafe {
        call(sys::TIMERFD_SETTIME, [fd as usize, flags as usize, wanted as usize, before as usize, 0, 0])
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_settime(
    fd: c_int,
    flags: c_int,
    wanted: *const Itimerspec,
    before: *mut Itimerspec,
) -> c_int {
    // SAFETY: the program's own place.
    let (page, given) = (page(), unsafe { given(wanted) });
    let (Some(page), Some(want)) = (page, given) else {
        return result_int(timerfd_raw(fd, flags, wanted, before));
    };
    let (Some(_), Some(_)) = (want.value.ns(), want.interval.ns()) else { return result_int(-EINVAL) };
    // Disarms the kernel's own, and takes back what it had to tell.
    let disarmed = timerfd_raw(fd, 0, &Itimerspec::default(), null_mut());
    if disarmed < 0 {
        return result_int(disarmed);
    }
    let key = timer_key(TimerKind::Descriptor, getpid(), fd as u32);
    let clock = page.timer(key).map_or(1, |timer| timer.clock.load(SeqCst));
    let Some(deadline) = deadline(page, clock as c_int, flags, want.value) else {
        return result_int(-EINVAL);
    };
    let (left, repeat) = left(page, page.timer(key));
    if let Some(timer) = page.timer_or_new(key) {
        timer.deadline.store(NEVER, SeqCst);
        timer.interval.store(want.interval.ns().unwrap_or(0), SeqCst);
        timer.clock.store(clock, SeqCst);
        timer.deadline.store(deadline, SeqCst);
    }
    // SAFETY: the program's own place, or null.
    unsafe { give(before, Itimerspec { interval: Timespec::of(repeat), value: Timespec::of(left) }) };
    0
}

/// When a timer is to fire; [`NEVER`]: disarmed. None: on a clock that is not carried.
fn deadline(page: &Layout, clock: c_int, flags: c_int, value: Timespec) -> Option<u64> {
    const ABSOLUTE: c_int = 1;
    match value.ns()? {
        0 => Some(NEVER),
        at if flags & ABSOLUTE != 0 => absolute(page, clock, at),
        span => clocks::base(page, clock).map(|_| page.deadline(span)),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_gettime(fd: c_int, now: *mut Itimerspec) -> c_int {
    // SAFETY: the program's arguments, which the kernel checks.
    let value = unsafe { call(sys::TIMERFD_GETTIME, [fd as usize, now as usize, 0, 0, 0, 0]) };
    let key = timer_key(TimerKind::Descriptor, getpid(), fd as u32);
    if let (Some(page), 0) = (page(), value)
        && let Some(timer) = page.timer(key)
    {
        let (left, repeat) = left(page, Some(timer));
        // SAFETY: the program's own place, which the kernel has just written to.
        unsafe { give(now, Itimerspec { interval: Timespec::of(repeat), value: Timespec::of(left) }) };
    }
    result_int(value)
}

/// POSIX timers of this process that are carried: the page's number is an index here.
static POSIX: [AtomicPtr<c_void>; 64] = [const { AtomicPtr::new(null_mut()) }; 64];
/// A `timer_t` may be zero; kept apart from a free place.
const OFFSET: usize = 1;

type SetTime = unsafe extern "C" fn(*mut c_void, c_int, *const Itimerspec, *mut Itimerspec) -> c_int;

fn posix_place(id: *mut c_void) -> Option<usize> {
    let wanted = id.wrapping_byte_add(OFFSET);
    POSIX.iter().position(|place| place.load(SeqCst) == wanted)
}

fn posix_key(place: usize) -> u64 {
    timer_key(TimerKind::Posix, getpid(), place as u32)
}

/// The wake signal said that a POSIX timer is due: the real one is fired, so that the program is told in its own way.
/// `timer_settime` is async-signal-safe (POSIX.1-2017, 2.4.3).
pub(super) fn fire(_: &Layout, number: u32) {
    let Some(place) = POSIX.get(number as usize) else { return };
    let kept = place.load(SeqCst);
    if kept.is_null() {
        return;
    }
    let soon = Itimerspec { value: Timespec::of(1), ..Itimerspec::default() };
    // SAFETY: the C library's function, and a timer of this process.
    unsafe {
        if let Some(set) = real::call::<SetTime>(c"timer_settime") {
            set(kept.wrapping_byte_sub(OFFSET), 0, &raw const soon, null_mut());
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timer_create(clock: c_int, event: *mut c_void, id: *mut *mut c_void) -> c_int {
    type Create = unsafe extern "C" fn(c_int, *mut c_void, *mut *mut c_void) -> c_int;
    // SAFETY: the C library's function with the program's arguments.
    let made = unsafe { real::call::<Create>(c"timer_create").map_or(-1, |create| create(clock, event, id)) };
    if let (Some(page), 0) = (page(), made)
        && clocks::base(page, clock).is_some()
        // SAFETY: written by the C library.
        && let Some(id) = unsafe { given(id) }
    {
        for (place, kept) in POSIX.iter().enumerate() {
            let wanted = id.wrapping_byte_add(OFFSET);
            if kept.compare_exchange(null_mut(), wanted, SeqCst, SeqCst).is_ok() {
                if let Some(timer) = page.timer_or_new(posix_key(place)) {
                    timer.clock.store(clock as u64, SeqCst);
                    return 0;
                }
                kept.store(without_provenance_mut(0), SeqCst);
                break;
            }
        }
    }
    made
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timer_settime(
    id: *mut c_void,
    flags: c_int,
    wanted: *const Itimerspec,
    before: *mut Itimerspec,
) -> c_int {
    // SAFETY: the program's own place.
    let want = unsafe { given(wanted) };
    let timer =
        page().zip(posix_place(id)).and_then(|(page, place)| Some((page, page.timer(posix_key(place))?)));
    let (Some((page, timer)), Some(want)) = (timer, want) else {
        // SAFETY: the C library's function with the program's arguments.
        return unsafe {
            real::call::<SetTime>(c"timer_settime").map_or(-1, |set| set(id, flags, wanted, before))
        };
    };
    let clock = timer.clock.load(SeqCst) as c_int;
    let (Some(deadline), Some(interval)) = (deadline(page, clock, flags, want.value), want.interval.ns())
    else {
        set_errno(EINVAL as c_int);
        return -1;
    };
    let (left, repeat) = left(page, Some(timer));
    timer.deadline.store(NEVER, SeqCst);
    timer.interval.store(interval, SeqCst);
    timer.deadline.store(deadline, SeqCst);
    // SAFETY: the program's own place, or null.
    unsafe { give(before, Itimerspec { interval: Timespec::of(repeat), value: Timespec::of(left) }) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timer_gettime(id: *mut c_void, now: *mut Itimerspec) -> c_int {
    type GetTime = unsafe extern "C" fn(*mut c_void, *mut Itimerspec) -> c_int;
    if let (Some(page), Some(place)) = (page(), posix_place(id))
        && let Some(timer) = page.timer(posix_key(place))
    {
        let (left, repeat) = left(page, Some(timer));
        // SAFETY: the program's own place.
        unsafe { give(now, Itimerspec { interval: Timespec::of(repeat), value: Timespec::of(left) }) };
        return 0;
    }
    // SAFETY: the C library's function with the program's arguments.
    unsafe { real::call::<GetTime>(c"timer_gettime").map_or(-1, |get| get(id, now)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timer_delete(id: *mut c_void) -> c_int {
    if let (Some(page), Some(place)) = (page(), posix_place(id)) {
        release(page, posix_key(place));
        POSIX[place].store(null_mut(), SeqCst);
    }
    // SAFETY: the C library's function with the program's arguments.
    unsafe {
        real::call::<unsafe extern "C" fn(*mut c_void) -> c_int>(c"timer_delete")
            .map_or(-1, |delete| delete(id))
    }
}
