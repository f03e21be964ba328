//! Waking what is due: waits, alarms, timers.

use crate::page::{Layout, NEVER, TimerKind, WAKE_SIGNAL, timer_parts};
use crate::sys::{self, Itimerspec, Timespec, call};
use std::sync::atomic::Ordering::SeqCst;

/// Sends the wake signal to a thread. It may have gone.
pub(crate) fn wake(pid: i32, tid: i32) {
    // SAFETY: numbers alone.
    unsafe { call(sys::TGKILL, [pid as usize, tid as usize, WAKE_SIGNAL as usize, 0, 0, 0]) };
}

/// Fires each timer whose deadline has come, and arms it again if it repeats.
pub(crate) fn fire_timers(page: &Layout) -> usize {
    let now = page.peek();
    let mut fired = 0;
    for timer in page.timers() {
        let key = timer.key.load(SeqCst);
        let deadline = timer.deadline.load(SeqCst);
        if key == 0 || deadline > now {
            continue;
        }
        let interval = timer.interval.load(SeqCst);
        // As the kernel does, the next expiry is a whole number of intervals from the first.
        let missed = (now - deadline).checked_div(interval).unwrap_or(0);
        let next = if interval == 0 {
            NEVER
        } else {
            deadline.saturating_add((missed + 1).saturating_mul(interval))
        };
        if timer.deadline.compare_exchange(deadline, next, SeqCst, SeqCst).is_err() {
            continue;
        }
        fired += 1;
        let (kind, pid, number) = timer_parts(key);
        let there = match kind {
            kind if kind == TimerKind::Alarm as u32 => alarm(pid),
            kind if kind == TimerKind::Descriptor as u32 => descriptor(pid, number),
            _ => posix(pid, number),
        };
        if !there {
            timer.deadline.store(NEVER, SeqCst);
            timer.key.store(0, SeqCst);
        }
    }
    fired
}

/// Whether a wake signal would be handled, rather than end the program.
pub(crate) fn handles_wakes(status: &str) -> bool {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set >> (WAKE_SIGNAL - 1) & 1 == 1)
}

/// Whether the process is there.
pub(crate) fn alive(pid: u32) -> bool {
    // SAFETY: numbers alone; signal 0 asks.
    unsafe { call(sys::KILL, [pid as usize, 0, 0, 0, 0, 0]) == 0 }
}

fn alarm(pid: u32) -> bool {
    const SIGALRM: usize = 14;
    // SAFETY: numbers alone.
    unsafe { call(sys::KILL, [pid as usize, SIGALRM, 0, 0, 0, 0]) == 0 }
}

/// Makes the process's timer descriptor readable, by a copy of it.
fn descriptor(pid: u32, number: u32) -> bool {
    // SAFETY: numbers alone, and places of ours for what the kernel tells.
    unsafe {
        let process = call(sys::PIDFD_OPEN, [pid as usize, 0, 0, 0, 0, 0]);
        if process < 0 {
            return false;
        }
        let fd = call(sys::PIDFD_GETFD, [process as usize, number as usize, 0, 0, 0, 0]);
        call(sys::CLOSE, [process as usize, 0, 0, 0, 0, 0]);
        if fd < 0 {
            return false;
        }
        let soon = Itimerspec { value: Timespec::of(1), ..Itimerspec::default() };
        let done = call(sys::TIMERFD_SETTIME, [fd as usize, 0, &raw const soon as usize, 0, 0, 0]) == 0;
        let mut left = soon;
        // It fires by the processor's timer interrupt: a moment later, and what it wakes must not be missed.
        while done && left.value != Timespec::default() {
            call(sys::TIMERFD_GETTIME, [fd as usize, &raw mut left as usize, 0, 0, 0, 0]);
        }
        call(sys::CLOSE, [fd as usize, 0, 0, 0, 0, 0]);
        done
    }
}

/// Tells the process to fire its own timer.
fn posix(pid: u32, number: u32) -> bool {
    const SI_QUEUE: i32 = -1;
    if !handles_wakes(&format!("/proc/{pid}/status")) {
        return false;
    }
    let mut information = [0_u8; 128];
    information[..4].copy_from_slice(&WAKE_SIGNAL.to_ne_bytes());
    information[8..12].copy_from_slice(&SI_QUEUE.to_ne_bytes());
    information[24..28].copy_from_slice(&number.to_ne_bytes());
    let information = information.as_ptr() as usize;
    // SAFETY: a `siginfo_t` of 128 bytes.
    unsafe { call(sys::RT_SIGQUEUEINFO, [pid as usize, WAKE_SIGNAL as usize, information, 0, 0, 0]) == 0 }
}
