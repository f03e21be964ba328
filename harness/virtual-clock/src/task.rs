//! One thread as the kernel tells of it.

use crate::page::{Layout, WAITING};
use crate::sys;
use crate::wake;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

/// A thread that waits where the clock cannot reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Its process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// The program's name.
    pub name: String,
    /// How it waits.
    pub why: Why,
}

/// How a thread waits outside the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// In a system call of this name, with a timeout that the kernel keeps in real time.
    RealTimeout(&'static str),
    /// Its program has not mapped the page (static, Go, or in a root without the library). It may wait without end.
    NotAttached,
}

/// What a look found of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It has ended, or the kernel has taken it away.
    Gone,
    /// It runs, is about to, or has something to do that the kernel does for it.
    Busy,
    /// Asleep, without a time of its own.
    Quiet,
    /// Asleep until a deadline on the page.
    Until(u64),
    /// Asleep in a system call with a timeout in real time.
    Real(&'static str),
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) pid: i32,
    pub(crate) tid: i32,
    stat: File,
    schedstat: File,
    syscall: Option<File>,
    /// How often it had been put on a processor when it was last seen off it.
    pub(crate) turns: u64,
    verified: bool,
    call: Call,
    /// Which program image: where its code and its stack are.
    pub(crate) image: (u64, u64),
}

/// The system call that a thread is in: number and arguments. None: in none, or it cannot be known.
type Call = Option<(usize, [u64; 6])>;

impl Task {
    /// None: it has gone meanwhile.
    pub(crate) fn open(directory: &Path, pid: i32, tid: i32) -> io::Result<Option<Task>> {
        let open = |name: &str| match File::open(directory.join(name)) {
            Err(error) if [Some(2), Some(3)].contains(&error.raw_os_error()) => Ok(None),
            other => other.map(Some),
        };
        let (Some(stat), Some(schedstat)) = (open("stat")?, open("schedstat")?) else { return Ok(None) };
        let syscall = open("syscall").ok().flatten();
        Ok(Some(Task {
            pid,
            tid,
            stat,
            schedstat,
            syscall,
            turns: 0,
            verified: false,
            call: None,
            image: (0, 0),
        }))
    }

    /// How often the thread has been put on a processor, which tells whether it has run since.
    fn count_turns(&self) -> Option<u64> {
        let mut text = [0; 96];
        let length = self.schedstat.read_at(&mut text, 0).ok()?;
        number(text[..length].split(|byte| *byte == b' ').nth(2)?)
    }

    /// `in_turn`: see [`crate::Driver::in_turn`].
    pub(crate) fn look(&mut self, page: &Layout, in_turn: bool) -> Seen {
        let Some(turns) = self.count_turns() else { return Seen::Gone };
        let known = self.verified && turns == self.turns;
        // Had it been woken, it would have run.
        if known && in_turn {
            return self.asleep(page);
        }
        self.verified = false;
        self.turns = turns;
        // Shorter to read than its state, and of a thread that could run, running or not, it says just that.
        let call = match self.off_processor() {
            Ok(call) => call,
            Err(Running) => return Seen::Busy,
        };
        // One that is being woken for another processor (TASK_WAKING) has not run yet, and its call is told as if it slept: only its
        // state shows it.
        let mut text = [0; 512];
        let Some(stat) = self.read_stat(&mut text) else { return Seen::Gone };
        match stat.state {
            b'S' | b'T' | b't' => {}
            b'Z' | b'X' => return Seen::Gone,
            _ => return Seen::Busy,
        }
        // Who has not run since is still asleep in the same call.
        if !known {
            let image = stat.image();
            let is_served = call.is_none_or(|(number, _)| may_be_served(number)) && self.is_served();
            // Whatever was read is of one sleep, then.
            if is_served || self.count_turns() != Some(turns) {
                return Seen::Busy;
            }
            (self.image, self.call) = (image, call);
        }
        self.verified = true;
        self.asleep(page)
    }

    fn read_stat<'a>(&self, text: &'a mut [u8]) -> Option<Stat<'a>> {
        let length = self.stat.read_at(text, 0).ok()?;
        Stat::parse(&text[..length])
    }

    /// Makes sure that the thread is off its processor (the kernel tells of the call only then), and reads the call.
    fn off_processor(&self) -> Result<Call, Running> {
        let mut text = [0; 256];
        let Some(file) = &self.syscall else { return Ok(None) };
        let Ok(length) = file.read_at(&mut text, 0) else { return Ok(None) };
        let text = std::str::from_utf8(&text[..length]).unwrap_or_default().trim_end();
        if text == "running" {
            return Err(Running);
        }
        let mut words = text.split(' ');
        let Some(number) = words.next().and_then(|word| word.parse::<usize>().ok()) else { return Ok(None) };
        let mut arguments = [0; 6];
        for (argument, word) in arguments.iter_mut().zip(words) {
            *argument = u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap_or(0);
        }
        Ok(Some((number, arguments)))
    }

    fn asleep(&self, page: &Layout) -> Seen {
        let slot = page.slot(self.tid as u32);
        let waits = slot.tid.load(SeqCst) == self.tid as u32 && slot.state.load(SeqCst) == WAITING;
        let Some((number, arguments)) = self.call else {
            // Where the kernel does not tell of the call, the slot's word must do.
            return if waits { Seen::Until(slot.deadline.load(SeqCst)) } else { Seen::Quiet };
        };
        if waits && slot.call.load(SeqCst) as usize == number && (number != sys::FUTEX || arguments[3] != 0) {
            return Seen::Until(slot.deadline.load(SeqCst));
        }
        match real_timeout(number, &arguments) {
            Some(name) => Seen::Real(name),
            None => Seen::Quiet,
        }
    }

    /// Whether it sleeps until a program outside has served it a file (fuse(4)), as a container engine's storage may do: it is at
    /// work then, as one that waits for a disk is. A kernel that does not tell where threads sleep has them all be at rest.
    fn is_served(&self) -> bool {
        let place = std::fs::read(format!("/proc/{}/task/{}/wchan", self.pid, self.tid)).unwrap_or_default();
        place == b"request_wait_answer" || place.windows(4).any(|part| part == b"fuse")
    }

    /// Whether a wake signal would be handled, rather than end the program.
    pub(crate) fn can_be_woken(&self) -> bool {
        wake::handles_wakes(&format!("/proc/{}/task/{}/status", self.pid, self.tid))
    }

    /// The program's name, as the kernel keeps it.
    pub(crate) fn name(&self) -> String {
        let mut text = [0; 512];
        self.read_stat(&mut text)
            .map(|stat| String::from_utf8_lossy(stat.name).into_owned())
            .unwrap_or_default()
    }
}

/// Whether a thread in this system call may be waiting for a file: it looks a name up (connect(2) and sendto(2) do, for a socket's),
/// or reads. Those that daemons sleep in the most do not, and need not be looked into.
fn may_be_served(number: usize) -> bool {
    use sys::{
        ACCEPT, ACCEPT4, CLOCK_NANOSLEEP, EPOLL_PWAIT, EPOLL_PWAIT2, EPOLL_WAIT, FUTEX, NANOSLEEP, PAUSE,
        POLL, PPOLL, PSELECT6, RECVFROM, RECVMSG, RT_SIGSUSPEND, RT_SIGTIMEDWAIT, SELECT, WAIT4, WAITID,
    };
    #[rustfmt::skip]
    let waits = [
        POLL, PPOLL, SELECT, PSELECT6, EPOLL_WAIT, EPOLL_PWAIT, EPOLL_PWAIT2, FUTEX, WAIT4, WAITID, ACCEPT, ACCEPT4, RECVFROM,
        RECVMSG, NANOSLEEP, CLOCK_NANOSLEEP, PAUSE, RT_SIGSUSPEND, RT_SIGTIMEDWAIT,
    ];
    !waits.contains(&number)
}

struct Running;

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// `/proc/PID/stat`, proc(5).
pub(crate) struct Stat<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) state: u8,
    /// What follows the state, from field 4 on.
    rest: &'a [u8],
}

impl<'a> Stat<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Option<Stat<'a>> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        Some(Stat {
            name: &text[open + 1..close],
            state: *text.get(close + 2)?,
            rest: text.get(close + 4..)?,
        })
    }

    /// A field by its number in the manual, from 4 on.
    pub(crate) fn field(&self, field: usize) -> Option<u64> {
        number(self.rest.split(|byte| *byte == b' ').nth(field - 4)?)
    }

    fn image(&self) -> (u64, u64) {
        let mut fields = self.rest.split(|byte| *byte == b' ').skip(26 - 4);
        let mut next = || fields.next().and_then(number).unwrap_or(0);
        let start_code = next();
        next();
        (start_code, next())
    }
}

/// The name of a system call that is being slept in with a timeout which the kernel keeps; None: without one.
fn real_timeout(number: usize, arguments: &[u64; 6]) -> Option<&'static str> {
    let milliseconds = |at: usize| arguments[at] as i32 > 0;
    let pointer = |at: usize| arguments[at] != 0;
    let (name, timed) = match number {
        sys::POLL => ("poll", milliseconds(2)),
        sys::PPOLL => ("ppoll", pointer(2)),
        sys::SELECT => ("select", pointer(4)),
        sys::PSELECT6 => ("pselect6", pointer(4)),
        sys::EPOLL_WAIT => ("epoll_wait", milliseconds(3)),
        sys::EPOLL_PWAIT => ("epoll_pwait", milliseconds(3)),
        sys::EPOLL_PWAIT2 => ("epoll_pwait2", pointer(3)),
        sys::NANOSLEEP => ("nanosleep", true),
        sys::CLOCK_NANOSLEEP => ("clock_nanosleep", true),
        // WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2; the others' fourth argument is a number.
        sys::FUTEX => ("futex", pointer(3) && [0, 6, 9, 11, 13].contains(&(arguments[1] & 0x7f))),
        sys::FUTEX_WAITV => ("futex_waitv", pointer(3)),
        sys::RT_SIGTIMEDWAIT => ("rt_sigtimedwait", pointer(2)),
        sys::SEMTIMEDOP => ("semtimedop", pointer(3)),
        sys::MQ_TIMEDSEND => ("mq_timedsend", pointer(4)),
        sys::MQ_TIMEDRECEIVE => ("mq_timedreceive", pointer(4)),
        sys::IO_GETEVENTS => ("io_getevents", pointer(4)),
        sys::RECVMMSG => ("recvmmsg", pointer(4)),
        sys::RESTART_SYSCALL => ("restart_syscall", true),
        sys::IO_URING_ENTER => ("io_uring_enter", true),
        _ => return None,
    };
    timed.then_some(name)
}
