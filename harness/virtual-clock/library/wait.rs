//! A wait on the page: written down, then slept out in the kernel without a timeout, and ended by what is awaited, by a
//! signal of the program's, or by the driver's wake signal when the deadline has come.
//!
//! The wake may come before the thread sleeps; the driver sees it asleep with its deadline past, and wakes it again.

use super::timers;
use crate::page::{Layout, NEVER, RUNNING, Slot, WAIT_FUTEX, WAITING, WAKE_SIGNAL};
use crate::sys::{self, EINTR, ETIMEDOUT, call, gettid};
#[cfg(target_arch = "x86_64")]
use core::arch::global_asm;
use core::sync::atomic::Ordering::SeqCst;

/// How a wait ended.
pub(super) enum Ended {
    /// By the call's own result.
    Call(isize),
    /// By its deadline.
    Deadline,
}

/// The wake signal as a bit of a signal set.
pub(super) const WAKE_BIT: u64 = 1 << (WAKE_SIGNAL - 1);

#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

const SA_SIGINFO: u64 = 4;
const SA_RESTORER: u64 = 0x0400_0000;
const SA_ONSTACK: u64 = 0x0800_0000;
const SA_RESTART: u64 = 0x1000_0000;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".hidden virtual_clock_return",
    ".globl virtual_clock_return",
    ".type virtual_clock_return, @function",
    "virtual_clock_return:",
    "mov $15, %rax",
    "syscall",
    options(att_syntax)
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn virtual_clock_return();
}

/// Makes the process ready to be woken: after `exec`, and before each wait, since a program may reset every signal.
pub(super) fn ready(page: &'static Layout) {
    arm();
    let set = WAKE_BIT;
    const SIG_UNBLOCK: usize = 1;
    // SAFETY: a set of eight bytes.
    unsafe { call(sys::RT_SIGPROCMASK, [SIG_UNBLOCK, &raw const set as usize, 0, 8, 0, 0]) };
    own(page).state.store(RUNNING, SeqCst);
}

fn arm() {
    #[cfg(target_arch = "x86_64")]
    let (restorer, flag) = (virtual_clock_return as *const () as usize, SA_RESTORER);
    #[cfg(target_arch = "aarch64")]
    let (restorer, flag) = (0, 0 & SA_RESTORER);
    let action = KernelAction {
        handler: woken as *const () as usize,
        flags: SA_SIGINFO | SA_ONSTACK | SA_RESTART | flag,
        restorer,
        mask: u64::MAX,
    };
    // SAFETY: an action in the kernel's own layout, whose handler is one.
    unsafe { call(sys::RT_SIGACTION, [WAKE_SIGNAL as usize, &raw const action as usize, 0, 8, 0, 0]) };
}

/// This thread's slot.
pub(super) fn own(page: &'static Layout) -> &'static Slot {
    let tid = gettid();
    let slot = page.slot(tid);
    if slot.tid.load(SeqCst) != tid {
        slot.state.store(RUNNING, SeqCst);
        slot.tid.store(tid, SeqCst);
    }
    slot
}

/// The thread's mask as it is, without the wake signal.
fn mask() -> (u64, bool) {
    let mut set = 0_u64;
    // SAFETY: room for a set of eight bytes.
    unsafe { call(sys::RT_SIGPROCMASK, [0, 0, &raw mut set as usize, 8, 0, 0]) };
    (set & !WAKE_BIT, set & WAKE_BIT != 0)
}

/// Waits in the call `number`, which `sleep` makes without a timeout and with the signal mask that it is given, until it
/// has a result or the deadline has come. `wanted` is the mask that the program asked for, if it did.
pub(super) fn wait(
    page: &'static Layout,
    deadline: u64,
    number: usize,
    wanted: Option<u64>,
    mut sleep: impl FnMut(*const u64) -> isize,
) -> Ended {
    arm();
    let (own_mask, blocked) = mask();
    let mask = wanted.map_or(own_mask, |wanted| wanted & !WAKE_BIT);
    let mask = if blocked || wanted.is_some() { &raw const mask } else { core::ptr::null() };
    registered(page, deadline, number as u32, || sleep(mask))
}

/// The same for calls that take no mask: the wake signal is let through around them.
pub(super) fn wait_unblocked(
    page: &'static Layout,
    deadline: u64,
    number: u32,
    sleep: impl FnMut() -> isize,
) -> Ended {
    const SIG_BLOCK: usize = 0;
    const SIG_UNBLOCK: usize = 1;
    arm();
    let (_, blocked) = mask();
    let change = |how: usize| {
        let set = WAKE_BIT;
        // SAFETY: a set of eight bytes.
        unsafe { call(sys::RT_SIGPROCMASK, [how, &raw const set as usize, 0, 8, 0, 0]) };
    };
    if blocked {
        change(SIG_UNBLOCK);
    }
    let ended = registered(page, deadline, number, sleep);
    if blocked {
        change(SIG_BLOCK);
    }
    ended
}

fn registered(page: &'static Layout, deadline: u64, number: u32, mut sleep: impl FnMut() -> isize) -> Ended {
    let slot = own(page);
    // A handler's wait inside another's: that one goes on when this is over.
    let outer = (slot.state.load(SeqCst), slot.deadline.load(SeqCst), slot.call.load(SeqCst));
    let ended = loop {
        slot.woken.store(0, SeqCst);
        slot.deadline.store(deadline, SeqCst);
        slot.call.store(number, SeqCst);
        slot.state.store(WAITING, SeqCst);
        if deadline != NEVER && page.peek() >= deadline {
            break Ended::Deadline;
        }
        let value = sleep();
        if value != -EINTR {
            break Ended::Call(value);
        }
        if deadline != NEVER && page.peek() >= deadline {
            break Ended::Deadline;
        }
        if slot.woken.load(SeqCst) == 0 {
            break Ended::Call(value);
        }
    };
    slot.state.store(RUNNING, SeqCst);
    if outer.0 == WAITING {
        slot.deadline.store(outer.1, SeqCst);
        slot.call.store(outer.2, SeqCst);
        slot.state.store(WAITING, SeqCst);
    }
    ended
}

/// The kernel's `ucontext_t` of an interrupted thread, as far as needed.
#[cfg(target_arch = "x86_64")]
mod context {
    /// Index into the machine context, in words from the start of `ucontext_t`.
    const GREGS: usize = 5;
    const R10: usize = GREGS + 2;
    const RAX: usize = GREGS + 13;
    const RIP: usize = GREGS + 16;

    /// Whether the thread is about to go back into a timed futex wait, or out of one by a signal; and ends it.
    ///
    /// # Safety
    /// `context` is what the kernel gave a handler.
    pub(super) unsafe fn time_out_futex(context: *mut usize, futex: usize, interrupted: isize, out: isize) {
        // SAFETY: registers of an interrupted thread, at their places; the code around its instruction pointer.
        unsafe {
            let (result, at, timeout) =
                (context.add(RAX).read() as isize, context.add(RIP).read(), context.add(R10).read());
            let instruction = |at: usize| (at as *const [u8; 2]).read_unaligned() == [0x0f, 0x05];
            if timeout == 0 {
                return;
            }
            if result == interrupted && instruction(at - 2) {
                context.add(RAX).write(out as usize);
            } else if result == futex as isize && instruction(at) {
                context.add(RAX).write(out as usize);
                context.add(RIP).write(at + 2);
            }
        }
    }
}

/// The kernel's `ucontext_t` of an interrupted thread, as far as needed.
#[cfg(target_arch = "aarch64")]
mod context {
    /// `uc_mcontext` stands 176 bytes in: the fault's address, then the registers x0 to x30, sp, pc.
    const X0: usize = 176 / 8 + 1;
    const PC: usize = X0 + 32;

    /// Whether the thread is about to go back into a timed futex wait, or out of one by a signal; and ends it.
    ///
    /// # Safety
    /// `context` is what the kernel gave a handler.
    pub(super) unsafe fn time_out_futex(context: *mut usize, futex: usize, interrupted: isize, out: isize) {
        // SAFETY: registers of an interrupted thread, at their places; the code around its program counter.
        unsafe {
            let (result, at) = (context.add(X0).read() as isize, context.add(PC).read());
            let (timeout, number) = (context.add(X0 + 3).read(), context.add(X0 + 8).read());
            let instruction = |at: usize| (at as *const u32).read_unaligned() == 0xd400_0001;
            if timeout == 0 || number != futex {
                return;
            }
            if result == interrupted && instruction(at - 4) {
                context.add(X0).write(out as usize);
            } else if instruction(at) {
                context.add(X0).write(out as usize);
                context.add(PC).write(at + 4);
            }
        }
    }
}

/// The wake signal's handler. What it ends is a thread's wait in the kernel; a timed futex wait inside the C library is
/// told that its time is out, as the kernel would.
unsafe extern "C" fn woken(_: i32, information: *const SignalInformation, context: *mut usize) {
    let Some(page) = super::page() else { return };
    // SAFETY: the kernel's own information on this signal.
    let information = unsafe { &*information };
    const SI_QUEUE: i32 = -1;
    if information.code == SI_QUEUE {
        timers::fire(page, information.value as u32);
        return;
    }
    let slot = page.slot(gettid());
    slot.woken.store(1, SeqCst);
    if slot.state.load(SeqCst) == WAITING
        && slot.call.load(SeqCst) == WAIT_FUTEX
        && page.peek() >= slot.deadline.load(SeqCst)
    {
        // SAFETY: the context is the kernel's.
        unsafe { context::time_out_futex(context, sys::FUTEX, -EINTR, -ETIMEDOUT) };
    }
}

#[repr(C)]
struct SignalInformation {
    signal: i32,
    error: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    value: u64,
}
