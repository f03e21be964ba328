//! Timed waits of threads: conditions, semaphores, locks, joins, message queues. The C library's own function is called
//! with a deadline that never comes, and sleeps in the kernel; at the virtual deadline the wake signal's handler has that
//! sleep end as if its time were out, and the C library does the rest.

use super::wait::{Ended, wait_unblocked};
use super::{absolute, given, page, real};
use crate::page::WAIT_FUTEX;
use crate::sys::Timespec;
use core::ffi::{CStr, c_int, c_void};

const REALTIME: c_int = 0;
const MONOTONIC: c_int = 1;
const ENOSYS: c_int = 38;
/// Long after any program's end, and within what every kernel takes.
const FAR: Timespec = Timespec { sec: 1 << 40, nsec: 0 };
/// Long ago, and yet no error.
const PAST: Timespec = Timespec { sec: 0, nsec: 1 };

/// Calls `wait`, which is the C library's function, with a deadline that never comes while `at` on `clock` is still to
/// come; with one that is past when it is; and with the program's own where there is no page.
///
/// # Safety
/// `at` is null or the program's own place.
unsafe fn timed(clock: c_int, at: *const Timespec, mut wait: impl FnMut(*const Timespec) -> c_int) -> c_int {
    // SAFETY: by the caller.
    let moment = unsafe { given(at) }.and_then(Timespec::ns);
    let known = page().zip(moment).and_then(|(page, moment)| Some((page, absolute(page, clock, moment)?)));
    let Some((page, deadline)) = known else { return wait(at) };
    let mut value = 0;
    let ended = wait_unblocked(page, deadline, WAIT_FUTEX, || {
        value = wait(&FAR);
        // An interruption is told in the function's own way, and passed on as it is.
        0
    });
    match ended {
        Ended::Call(_) => value,
        // One whose time was out before may still get what it wants.
        Ended::Deadline => wait(&PAST),
    }
}

/// The clock of a condition is an attribute of it whose place differs between versions. The two clocks' readings lie far
/// apart: what is less than sixteen years is the monotonic one's.
unsafe fn clock_of(at: *const Timespec) -> c_int {
    // SAFETY: the program's own place.
    match unsafe { given(at) } {
        Some(Timespec { sec: ..500_000_000, .. }) => MONOTONIC,
        _ => REALTIME,
    }
}

macro_rules! timed {
    ($($name:ident($($argument:ident: $type:ty),*) on |$at:ident| $clock:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type,)* $at: *const Timespec) -> c_int {
            type Real = unsafe extern "C" fn($($type,)* *const Timespec) -> c_int;
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without zeros"),
            };
            // SAFETY: the C library's function of this signature, with the program's arguments.
            unsafe {
                let Some(real) = real::call::<Real>(NAME) else { return ENOSYS };
                timed($clock, $at, |at| real($($argument,)* at))
            }
        }
    )*};
}

timed! {
    pthread_cond_timedwait(condition: *mut c_void, mutex: *mut c_void) on |at| clock_of(at);
    cnd_timedwait(condition: *mut c_void, mutex: *mut c_void) on |at| REALTIME;
    pthread_cond_clockwait(condition: *mut c_void, mutex: *mut c_void, clock: c_int) on |at| clock;
    sem_timedwait(semaphore: *mut c_void) on |at| REALTIME;
    sem_clockwait(semaphore: *mut c_void, clock: c_int) on |at| clock;
    pthread_mutex_timedlock(mutex: *mut c_void) on |at| REALTIME;
    mtx_timedlock(mutex: *mut c_void) on |at| REALTIME;
    pthread_mutex_clocklock(mutex: *mut c_void, clock: c_int) on |at| clock;
    pthread_rwlock_timedrdlock(lock: *mut c_void) on |at| REALTIME;
    pthread_rwlock_timedwrlock(lock: *mut c_void) on |at| REALTIME;
    pthread_rwlock_clockrdlock(lock: *mut c_void, clock: c_int) on |at| clock;
    pthread_rwlock_clockwrlock(lock: *mut c_void, clock: c_int) on |at| clock;
    pthread_timedjoin_np(thread: usize, value: *mut *mut c_void) on |at| REALTIME;
    pthread_clockjoin_np(thread: usize, value: *mut *mut c_void, clock: c_int) on |at| clock;
}
