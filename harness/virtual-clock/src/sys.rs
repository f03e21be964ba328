//! System calls, as the kernel has them: the preloaded library may not use the C library's, which it stands in for.
#![allow(missing_docs, reason = "the kernel's own names; see the manual's section 2")]

use core::arch::asm;

macro_rules! numbers {
    ($($name:ident = $x86:literal, $arm:literal;)*) => {
        $(#[cfg(target_arch = "x86_64")] pub const $name: usize = $x86;
          #[cfg(target_arch = "aarch64")] pub const $name: usize = $arm;)*
    };
}

numbers! {
    READ = 0, 63; WRITE = 1, 64; OPENAT = 257, 56; CLOSE = 3, 57; MMAP = 9, 222; MUNMAP = 11, 215; MPROTECT = 10, 226;
    RT_SIGACTION = 13, 134; RT_SIGPROCMASK = 14, 135; RT_SIGTIMEDWAIT = 128, 137; RT_SIGQUEUEINFO = 129, 138;
    PPOLL = 271, 73; PSELECT6 = 270, 72; EPOLL_PWAIT = 281, 22; EPOLL_PWAIT2 = 441, 441; FUTEX = 202, 98;
    FUTEX_WAITV = 449, 449; NANOSLEEP = 35, 101; CLOCK_NANOSLEEP = 230, 115; GETTID = 186, 178; GETPID = 39, 172;
    KILL = 62, 129; TGKILL = 234, 131; CLOCK_GETTIME = 228, 113; NEWFSTATAT = 262, 79; FSTAT = 5, 80; STATX = 332, 291;
    UTIMENSAT = 280, 88; SETSOCKOPT = 54, 208; GETSOCKOPT = 55, 209; RECVFROM = 45, 207; RECVMSG = 47, 212;
    SENDTO = 44, 206; SENDMSG = 46, 211; CONNECT = 42, 203; ACCEPT4 = 288, 242; FCNTL = 72, 25; READV = 19, 65;
    WRITEV = 20, 66; SETITIMER = 38, 103; GETITIMER = 36, 102; TIMERFD_CREATE = 283, 85; TIMERFD_SETTIME = 286, 86;
    TIMERFD_GETTIME = 287, 87; PIDFD_OPEN = 434, 434; PIDFD_GETFD = 438, 438; PREAD64 = 17, 67; SEMTIMEDOP = 220, 192;
    MQ_TIMEDSEND = 242, 182; MQ_TIMEDRECEIVE = 243, 183; IO_GETEVENTS = 208, 4; RECVMMSG = 299, 243;
    RESTART_SYSCALL = 219, 128; IO_URING_ENTER = 426, 426; PAUSE = 34, 0xffff; POLL = 7, 0xffff; SELECT = 23, 0xffff;
    EPOLL_WAIT = 232, 0xffff; CLOCK_SETTIME = 227, 112; SETTIMEOFDAY = 164, 170;
    WAIT4 = 61, 260; WAITID = 247, 95; ACCEPT = 43, 202; RT_SIGSUSPEND = 130, 133;
    SCHED_SETAFFINITY = 203, 122; SCHED_GETAFFINITY = 204, 123; SCHED_SETSCHEDULER = 144, 119; GETRANDOM = 318, 278;
}

pub const AT_FDCWD: isize = -100;
pub const EINTR: isize = 4;
pub const EAGAIN: isize = 11;
pub const ETIMEDOUT: isize = 110;

/// Makes a system call: its result, or the error negated.
///
/// # Safety
/// As the call's manual page says of its arguments.
#[inline]
pub unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's calling convention; the caller answers for the arguments.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the kernel's calling convention; the caller answers for the arguments.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
             in("x5") f, options(nostack));
    }
    result
}

/// A moment or a span, as the kernel and the C library have it on 64-bit systems.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timespec {
    pub sec: i64,
    pub nsec: i64,
}

impl Timespec {
    /// From nanoseconds.
    pub const fn of(ns: u64) -> Self {
        Timespec { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as i64 }
    }

    /// In nanoseconds, if it is one: neither negative nor with more than a second of them. As much as fits.
    pub const fn ns(self) -> Option<u64> {
        if self.sec < 0 || self.nsec < 0 || self.nsec > 999_999_999 {
            return None;
        }
        Some((self.sec as u64).saturating_mul(1_000_000_000).saturating_add(self.nsec as u64))
    }
}

/// A moment or a span in microseconds.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeval {
    pub sec: i64,
    pub usec: i64,
}

impl Timeval {
    /// From nanoseconds, rounded down.
    pub const fn of(ns: u64) -> Self {
        Timeval { sec: (ns / 1_000_000_000) as i64, usec: (ns % 1_000_000_000 / 1_000) as i64 }
    }

    /// In nanoseconds, if it is one.
    pub const fn ns(self) -> Option<u64> {
        if self.usec < 0 || self.usec > 999_999 {
            return None;
        }
        Timespec { sec: self.sec, nsec: self.usec * 1_000 }.ns()
    }
}

/// A timer's interval and its next expiry.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Itimerspec {
    pub interval: Timespec,
    pub value: Timespec,
}

/// The kernel's own clock, in nanoseconds.
pub fn kernel_clock(clock: i32) -> u64 {
    let mut time = Timespec::default();
    // SAFETY: the kernel writes one timespec into `time`.
    unsafe { call(CLOCK_GETTIME, [clock as usize, &raw mut time as usize, 0, 0, 0, 0]) };
    time.ns().unwrap_or(0)
}

/// The real-time clock in the grain of the kernel's timer tick: the one that dates files.
pub const CLOCK_REALTIME_COARSE: i32 = 5;

/// This thread's number.
pub fn gettid() -> u32 {
    // SAFETY: without arguments.
    unsafe { call(GETTID, [0; 6]) as u32 }
}

/// This process's number.
pub fn getpid() -> u32 {
    // SAFETY: without arguments.
    unsafe { call(GETPID, [0; 6]) as u32 }
}
