//! The page: what the preloaded library and the driver share, without locks, so that a process that dies at any
//! moment leaves nothing but its own stale entries.
//!
//! One source, compiled into both. All times are nanoseconds since the run's start unless said otherwise.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// Marks the file as a page ("GauntClk").
pub const MAGIC: u64 = 0x6b6c_4374_6e75_6147;
/// The layout's version; a library and a driver of different versions leave each other alone.
pub const VERSION: u64 = 2;
/// Where the page stands in a lab's root.
pub const PAGE_PATH: &str = "/usr/lib/gauntlet/virtual-clock.page";
/// The page's file name, by which a process that has mapped it is known.
pub const PAGE_NAME: &str = "virtual-clock.page";
/// Names another page, for programs that are not set-user-id.
pub const PAGE_VARIABLE: &str = "GAUNTLET_CLOCK";
/// The monotonic clock's reading at the run's start: a machine that has been up for some time.
pub const MONOTONIC_AT_START: u64 = 1_000_000_000_000_000;
/// What each reading adds, so that two readings are never equal: programs divide by differences.
pub const TICK: u64 = 1_000;
/// A wait without end.
pub const NEVER: u64 = u64::MAX;
/// The signal that wakes a wait whose deadline has come: the highest real-time signal, which nothing else uses.
pub const WAKE_SIGNAL: i32 = 64;

/// Threads are kept by their number modulo this.
pub const SLOTS: usize = 65_536;
/// Alarms, interval timers, timer descriptors and POSIX timers that can be armed at once.
pub const TIMERS: usize = 1_024;
/// Jumps that are remembered for the times of files.
pub const JUMPS: usize = 65_536;

/// The system call that timed waits of threads sleep in.
pub const WAIT_FUTEX: u32 = crate::sys::FUTEX as u32;

/// The slot has never been used.
pub const UNUSED: u32 = 0;
/// The thread has mapped the page and is not in a wait of ours.
pub const RUNNING: u32 = 1;
/// The thread is in, or on its way into, the system call that the slot names.
pub const WAITING: u32 = 2;

/// One thread's wait.
#[repr(C)]
pub struct Slot {
    /// The thread's number; another's slot when it differs.
    pub tid: AtomicU32,
    /// [`UNUSED`], [`RUNNING`] or [`WAITING`].
    pub state: AtomicU32,
    /// When the wait ends, or [`NEVER`].
    pub deadline: AtomicU64,
    /// The number of the system call that it waits in: what a handler calls meanwhile is not this wait.
    pub call: AtomicU32,
    /// Set by the wake signal's handler.
    pub woken: AtomicU32,
    spare: AtomicU64,
}

/// What a timer is. Its owner is a process; the number tells it from the process's others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TimerKind {
    /// `alarm`, `setitimer(ITIMER_REAL)`: SIGALRM to the process.
    Alarm = 1,
    /// A timer descriptor; the number is the descriptor.
    Descriptor = 2,
    /// A POSIX timer; the number is where the process keeps it.
    Posix = 3,
}

/// A timer of a process.
#[repr(C)]
pub struct Timer {
    /// Kind, owner and number as one word by [`timer_key`]; zero: free.
    pub key: AtomicU64,
    /// When it fires next, or [`NEVER`] when it is not armed.
    pub deadline: AtomicU64,
    /// After which it fires again, or zero.
    pub interval: AtomicU64,
    /// The clock that it was made for, by its number in the manual.
    pub clock: AtomicU64,
}

/// A timer's kind, owner and number as one word.
pub const fn timer_key(kind: TimerKind, pid: u32, number: u32) -> u64 {
    ((kind as u64) << 60) | ((pid as u64 & 0x0fff_ffff) << 32) | number as u64
}

/// Kind (as its number), owner and number out of a word.
pub const fn timer_parts(key: u64) -> (u32, u32, u32) {
    ((key >> 60) as u32, (key >> 32) as u32 & 0x0fff_ffff, key as u32)
}

/// One jump: from this real moment on, files were written at this virtual one.
#[repr(C)]
pub struct Jump {
    /// By the kernel's coarse real-time clock, which is the one that dates files. Nanoseconds since 1970.
    pub real: AtomicU64,
    /// Virtual nanoseconds since the run's start.
    pub now: AtomicU64,
}

/// Something that a program did which the harness should know.
pub mod told {
    /// A program asked to set the clock; it was refused (EPERM).
    pub const SET_CLOCK: u64 = 1;
    /// In a process the C library's own waits (those of its resolver) could not be led to the clock.
    pub const RESOLVER_REAL: u64 = 2;
    /// More timers were armed than the page holds: some are real.
    pub const TIMERS_FULL: u64 = 4;
}

/// The page itself.
#[repr(C)]
pub struct Layout {
    /// [`MAGIC`], written last.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU64,
    /// What the real-time clock shows at the run's start. Nanoseconds since 1970.
    pub epoch: AtomicU64,
    /// The frozen time of this step: waits count from it, so that schedules do not drift.
    pub now: AtomicU64,
    /// What the next reading of a clock shows: `now`, and a tick for each reading since.
    pub reading: AtomicU64,
    /// The kernel's coarse real-time clock when the page was made. Nanoseconds since 1970.
    pub started: AtomicU64,
    /// How many jumps there were; the last [`JUMPS`] of them are in `journal`.
    pub jumps: AtomicU64,
    /// Timers beyond this index were never used.
    pub timers_used: AtomicU64,
    /// Bits of [`told`].
    pub told: AtomicU64,
    /// How many random numbers were drawn, counted from where the seed has the first one.
    pub drawn: AtomicU64,
    spare: [AtomicU64; 502],
    /// Alarms and timers.
    pub timers: [Timer; TIMERS],
    /// Waits.
    pub slots: [Slot; SLOTS],
    /// Jumps, as a ring.
    pub journal: [Jump; JUMPS],
}

/// What the page's file measures: it is sparse, and only what is used takes memory.
pub const SIZE: usize = core::mem::size_of::<Layout>();

impl core::fmt::Debug for Layout {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Layout")
            .field("now", &self.now)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

impl Layout {
    /// Whether this is a page of this version.
    pub fn is_ours(&self) -> bool {
        self.magic.load(SeqCst) == MAGIC && self.version.load(SeqCst) == VERSION
    }

    /// The slot where the thread's wait is, or would be.
    pub fn slot(&self, tid: u32) -> &Slot {
        &self.slots[tid as usize % SLOTS]
    }

    /// One reading of the clock: strictly later than any before it.
    pub fn read(&self) -> u64 {
        self.reading.fetch_add(TICK, SeqCst) + TICK
    }

    /// The next random number: SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
    /// OOPSLA 2014).
    pub fn draw(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let count = self.drawn.fetch_add(1, SeqCst) + 1;
        let z = GAMMA.wrapping_mul(count);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The clock's reading without a tick.
    pub fn peek(&self) -> u64 {
        self.reading.load(SeqCst)
    }

    /// The moment that is `after` nanoseconds from now. It is always to come: a wait, however short, lets others run.
    pub fn deadline(&self, after: u64) -> u64 {
        let exact = self.now.load(SeqCst).saturating_add(after);
        if exact > self.peek() { exact } else { self.peek().saturating_add(after.max(1)) }
    }

    /// The timers that may be armed.
    pub fn timers(&self) -> &[Timer] {
        &self.timers[..(self.timers_used.load(SeqCst) as usize).min(TIMERS)]
    }

    /// Finds a timer by its word.
    pub fn timer(&self, key: u64) -> Option<&Timer> {
        self.timers().iter().find(|timer| timer.key.load(SeqCst) == key)
    }

    /// Finds a timer, or takes a free place for it, not armed. None when all are taken.
    pub fn timer_or_new(&self, key: u64) -> Option<&Timer> {
        if let Some(found) = self.timer(key) {
            return Some(found);
        }
        for (index, timer) in self.timers.iter().enumerate() {
            if timer.key.compare_exchange(0, key, SeqCst, SeqCst).is_ok() {
                timer.deadline.store(NEVER, SeqCst);
                timer.interval.store(0, SeqCst);
                self.timers_used.fetch_max(index as u64 + 1, SeqCst);
                return Some(timer);
            }
        }
        self.told.fetch_or(told::TIMERS_FULL, SeqCst);
        None
    }

    /// The virtual moment (since the start) that held at a real moment of the run (since 1970), as file times tell it.
    ///
    /// Files are dated by a coarse clock: where several jumps share one of its ticks, the last of them is meant, so that
    /// nothing ever looks older than it is. What is older than the journal lies evenly between the start and its first.
    pub fn moment(&self, real: u64) -> u64 {
        let jumps = self.jumps.load(SeqCst);
        let first = jumps.saturating_sub(JUMPS as u64 - 1);
        let (mut low, mut high) = (first, jumps);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.journal[middle as usize % JUMPS].real.load(SeqCst) <= real {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low > first {
            return self.journal[(low - 1) as usize % JUMPS].now.load(SeqCst);
        }
        if first == 0 {
            return 0;
        }
        let oldest = &self.journal[first as usize % JUMPS];
        let (until, now) = (oldest.real.load(SeqCst), oldest.now.load(SeqCst));
        let started = self.started.load(SeqCst);
        let (part, whole) = (real.saturating_sub(started), until.saturating_sub(started).max(1));
        (u128::from(now) * u128::from(part.min(whole)) / u128::from(whole)) as u64
    }
}
