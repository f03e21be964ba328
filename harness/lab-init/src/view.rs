//! What is going on in a lab, as the kernel tells it.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One thread of one process in the lab, lab-init apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The process, numbered as the lab sees it.
    pub pid: u32,
    /// The thread; the same as `pid` for a process's first.
    pub tid: u32,
    /// The parent process; 1 for what was spawned by the harness and for orphans.
    pub parent: u32,
    /// The program's short name (at most 15 characters).
    pub comm: String,
    /// The kernel's letter: `R` running, `S` sleeping, `D` in the disk, `T` stopped, `Z` ended.
    pub state: char,
    /// Processor time so far, user and system, in clock ticks (100 a second).
    pub ticks: u64,
    /// How often it has left the processor, of its own will or not. Unchanged: it has not run meanwhile.
    pub switches: u64,
    /// The kernel function it waits in, when the kernel tells.
    pub waits_in: Option<String>,
}

/// One TCP socket with bytes on the way: unsent, unacknowledged or unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// In the relay's namespace, or else in the Internet's.
    pub of_relay: bool,
    /// This end.
    pub local: SocketAddr,
    /// The other end; port 0 for a listener.
    pub remote: SocketAddr,
    /// The kernel's number: 1 established, 2 SYN sent, 3 SYN received, 10 listening.
    pub state: u8,
    /// Bytes written and not yet acknowledged.
    pub unacknowledged: u32,
    /// Bytes received and not yet read; for a listener, connections not yet accepted.
    pub unread: u32,
}

/// Whether anything happens in a lab, in few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Of which threads there are, how often each has left the processor, and which bytes are on the way. Two that are the same
    /// mean that no thread has run in between.
    pub mark: u64,
    /// A thread runs or could run, waits for a disk, or has just ended.
    pub busy: bool,
    /// A thread sleeps for a set time (`nanosleep`) in place of waiting for an event. Only told when `mark` is that of the
    /// look before.
    pub naps: bool,
    /// Bytes of some connection are not acknowledged yet, or not even sent.
    pub in_flight: bool,
}

/// Who waits for what in a lab with a virtual clock: see [`crate::Lab::look`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Of which threads there are, how often each has run, and which bytes are on the way. Two that are the same mean that no
    /// thread has run in between.
    pub mark: u64,
    /// The same without the bytes: of threads alone.
    pub ran: u64,
    /// A thread runs or could run, waits for a disk, or has just ended.
    pub busy: bool,
    /// A program that runs, when one does.
    pub running: Option<String>,
    /// The earliest moment that a thread waits for, since the clock's start. One that has come already is the next all the same: whoever
    /// waits for it goes on at the next jump.
    pub next: Option<Duration>,
    /// Threads that sleep by the kernel's own timers, and those that do not follow the clock.
    pub outside: Vec<Outside>,
    /// Bytes of some connection are not acknowledged yet, or not even sent.
    pub in_flight: Option<InFlight>,
    /// What programs did since the look before that the clock cannot carry.
    pub told: Vec<Told>,
}

/// Where bytes are that have not arrived: of several connections the last of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum InFlight {
    /// The other end does not read what has come to it.
    HeldUp,
    /// Between the relay's own programs, on a network that nobody cuts: they will arrive, though perhaps only when the kernel has
    /// acknowledged what went before, for which it takes its time.
    Within,
    /// Between relay and Internet: on their way, or lost.
    Between,
}

/// Something that a program under the clock did, and that the clock does not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Told {
    /// It asked to set the clock.
    SetsClock,
    /// The C library's own waits, those of its resolver, are by the machine's clock in it.
    ResolverReal,
    /// It set more timers than the clock has room for.
    TimersFull,
}

impl std::fmt::Display for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Told::SetsClock => "a program asked to set the clock, and was refused (EPERM)",
            Told::ResolverReal => {
                "in one program the resolver's waits are by the machine's clock (a C library that the clock does not know)"
            }
            Told::TimersFull => "programs set more timers than the clock has room for; some are by the machine's clock",
        })
    }
}

/// A thread that is not on the lab's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Its process, numbered as the lab sees it.
    pub pid: u32,
    /// The program's short name.
    pub program: String,
    /// What it does.
    pub how: String,
    /// Whether its program follows the clock, and this wait alone does not.
    pub follows: bool,
}

/// Something of the relay's that is open, and whose other end is in the Internet: see [`crate::Lab::underway`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Underway {
    /// A connection (TCP) with this address that is being made, or that the relay has not closed.
    Connection(IpAddr),
    /// A socket (UDP) that is connected to a DNS server (port 53): a query without its answer.
    Query(IpAddr),
}

/// How a lab's clock is to move: see [`crate::Lab::jump`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// To this moment, since the clock's start.
    pub to: Duration,
    /// Whoever has waited for it sleeps on until the next jump, which may be to the same moment: something else comes first.
    pub sleep_on: bool,
    /// Before this moment it may go on to the next that a thread waits for, and to the one after that, as long as all is quiet each
    /// time, no packet has come from the Internet, gone there, or crossed between programs, and nothing was logged.
    pub on_before: Option<Duration>,
    /// The file that the relay logs to, apart from the system log.
    pub log: Option<PathBuf>,
}

/// How far a lab's clock has moved: see [`crate::Lab::jump`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The moment that it shows now, since its start.
    pub now: Duration,
    /// In how many steps it came there.
    pub steps: u64,
}
