//! The times of files: what is set to "now" is set to virtual now, and what the kernel dated during the run is shown at the
//! virtual moment that held then. All other times pass unchanged.

use super::{clocks, given, page, result_int};
use crate::page::Layout;
use crate::sys::{self, AT_FDCWD, CLOCK_REALTIME_COARSE, Timespec, Timeval, call, kernel_clock};
use core::ffi::{c_char, c_int, c_long, c_uint};
use core::sync::atomic::Ordering::SeqCst;

const NOW: i64 = (1 << 30) - 1;
const EPERM: isize = 1;
const EINVAL: isize = 22;
const AT_SYMLINK_NOFOLLOW: c_int = 0x100;

/// A time as the kernel has it, in virtual time if it fell into the run.
fn shown(page: &Layout, sec: i64, nsec: i64) -> Option<Timespec> {
    const SECOND: u64 = 1_000_000_000;
    let real = Timespec { sec, nsec }.ns()?;
    if real < page.started.load(SeqCst) || real > kernel_clock(CLOCK_REALTIME_COARSE) + SECOND {
        return None;
    }
    Some(Timespec::of(page.epoch.load(SeqCst) + page.moment(real)))
}

/// `struct stat`'s times stand together: access, change of content, change of status.
#[repr(C)]
pub struct Stat {
    /// Of `x86_64` and of the generic layout alike, 72 bytes.
    before: [u64; 9],
    times: [Timespec; 3],
}

fn show_stat(value: isize, stat: *mut Stat) -> c_int {
    // SAFETY: the program's own place, which the kernel has just written to.
    if let (0, Some(page), Some(stat)) = (value, page(), unsafe { stat.as_mut() }) {
        for time in &mut stat.times {
            *time = shown(page, time.sec, time.nsec).unwrap_or(*time);
        }
    }
    result_int(value)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstatat(at: c_int, path: *const c_char, stat: *mut Stat, flags: c_int) -> c_int {
    // SAFETY: the program's arguments, which the kernel checks.
    let value =
        unsafe { call(sys::NEWFSTATAT, [at as usize, path as usize, stat as usize, flags as usize, 0, 0]) };
    show_stat(value, stat)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(fd: c_int, stat: *mut Stat) -> c_int {
    // SAFETY: the program's arguments, which the kernel checks.
    show_stat(unsafe { call(sys::FSTAT, [fd as usize, stat as usize, 0, 0, 0, 0]) }, stat)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn stat(path: *const c_char, stat: *mut Stat) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { fstatat(AT_FDCWD as c_int, path, stat, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lstat(path: *const c_char, stat: *mut Stat) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { fstatat(AT_FDCWD as c_int, path, stat, AT_SYMLINK_NOFOLLOW) }
}

macro_rules! same {
    ($($name:ident = $to:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            // SAFETY: the program's arguments.
            unsafe { $to($($argument),*) }
        }
    )*};
}

same! {
    fstatat64 = fstatat(at: c_int, path: *const c_char, buffer: *mut Stat, flags: c_int);
    fstat64 = fstat(fd: c_int, buffer: *mut Stat);
    stat64 = stat(path: *const c_char, buffer: *mut Stat);
    lstat64 = lstat(path: *const c_char, buffer: *mut Stat);
}

/// What programs compiled against glibc before 2.33 call: the same with a version first.
macro_rules! versioned {
    ($($name:ident = $to:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(version: c_int, $($argument: $type),*) -> c_int {
            if !(0..=1).contains(&version) {
                return result_int(-EINVAL);
            }
            // SAFETY: the program's arguments.
            unsafe { $to($($argument),*) }
        }
    )*};
}

versioned! {
    __xstat = stat(path: *const c_char, buffer: *mut Stat);
    __xstat64 = stat(path: *const c_char, buffer: *mut Stat);
    __lxstat = lstat(path: *const c_char, buffer: *mut Stat);
    __lxstat64 = lstat(path: *const c_char, buffer: *mut Stat);
    __fxstat = fstat(fd: c_int, buffer: *mut Stat);
    __fxstat64 = fstat(fd: c_int, buffer: *mut Stat);
    __fxstatat = fstatat(at: c_int, path: *const c_char, buffer: *mut Stat, flags: c_int);
    __fxstatat64 = fstatat(at: c_int, path: *const c_char, buffer: *mut Stat, flags: c_int);
}

/// A time of `struct statx`.
#[repr(C)]
struct StatxTime {
    sec: i64,
    nsec: u32,
    reserved: i32,
}

/// `struct statx` as far as its times: access, birth, change of status, change of content.
#[repr(C)]
pub struct Statx {
    before: [u64; 8],
    times: [StatxTime; 4],
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statx(
    at: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    buffer: *mut Statx,
) -> c_int {
    // SAFETY: the program's arguments, which the kernel checks.
    let value = unsafe {
        call(sys::STATX, [at as usize, path as usize, flags as usize, mask as usize, buffer as usize, 0])
    };
    // SAFETY: the program's own place, which the kernel has just written to.
    if let (0, Some(page), Some(buffer)) = (value, page(), unsafe { buffer.as_mut() }) {
        for time in &mut buffer.times {
            if let Some(moment) = shown(page, time.sec, i64::from(time.nsec)) {
                (time.sec, time.nsec) = (moment.sec, moment.nsec as u32);
            }
        }
    }
    result_int(value)
}

fn set(at: c_int, path: *const c_char, times: Option<[Timespec; 2]>, flags: c_int) -> isize {
    let raw = |times: *const Timespec| {
        // SAFETY: the program's path, which the kernel checks; times of ours.
        unsafe { call(sys::UTIMENSAT, [at as usize, path as usize, times as usize, flags as usize, 0, 0]) }
    };
    let wanted = times.unwrap_or([Timespec { sec: 0, nsec: NOW }; 2]);
    let moves = |time: &Timespec| time.nsec == NOW;
    if page().is_none() || !wanted.iter().any(moves) {
        return raw(wanted.as_ptr());
    }
    let now = Timespec::of(clocks::realtime());
    let moved = wanted.map(|time| if moves(&time) { now } else { time });
    match raw(moved.as_ptr()) {
        // Whoever may only write to the file may set its times to now, but not to a moment: the kernel's now is shown as
        // virtual by `stat`.
        error if error == -EPERM => raw(wanted.as_ptr()),
        value => value,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimensat(
    at: c_int,
    path: *const c_char,
    times: *const [Timespec; 2],
    flags: c_int,
) -> c_int {
    if path.is_null() {
        return result_int(-EINVAL);
    }
    // SAFETY: the program's own place, or null.
    result_int(set(at, path, unsafe { given(times) }, flags))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimens(fd: c_int, times: *const [Timespec; 2]) -> c_int {
    // SAFETY: the program's own place, or null.
    result_int(set(fd, core::ptr::null(), unsafe { given(times) }, 0))
}

unsafe fn set_microseconds(
    at: c_int,
    path: *const c_char,
    times: *const [Timeval; 2],
    flags: c_int,
) -> c_int {
    // SAFETY: the program's own place, or null.
    let times = unsafe { given(times) };
    if times.iter().flatten().any(|time| !(0..1_000_000).contains(&time.usec)) {
        return result_int(-EINVAL);
    }
    let exact = times.map(|times| times.map(|time| Timespec { sec: time.sec, nsec: time.usec * 1_000 }));
    result_int(set(at, path, exact, flags))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn utimes(path: *const c_char, times: *const [Timeval; 2]) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { set_microseconds(AT_FDCWD as c_int, path, times, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lutimes(path: *const c_char, times: *const [Timeval; 2]) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { set_microseconds(AT_FDCWD as c_int, path, times, AT_SYMLINK_NOFOLLOW) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimes(fd: c_int, times: *const [Timeval; 2]) -> c_int {
    // SAFETY: the program's arguments; without a path it is the descriptor that is meant.
    unsafe { set_microseconds(fd, core::ptr::null(), times, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn futimesat(at: c_int, path: *const c_char, times: *const [Timeval; 2]) -> c_int {
    // SAFETY: the program's arguments.
    unsafe { set_microseconds(at, path, times, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn utime(path: *const c_char, times: *const [c_long; 2]) -> c_int {
    // SAFETY: the program's own place, or null.
    let times = unsafe { given(times) }.map(|times| times.map(|sec| Timespec { sec, nsec: 0 }));
    result_int(set(AT_FDCWD as c_int, path, times, 0))
}
