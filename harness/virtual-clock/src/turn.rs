//! One program at a time: who runs next is decided by who was woken first, and by nothing else.
//!
//! Programs that are bound to one processor and scheduled in real time (sched(7)) run until they wait, and in the order in
//! which they were woken. What they do at one moment of a standing clock then comes in the same order each time, however busy
//! the machine is and however many processors it has. An ordinary program that is bound to the same processor gets it when all
//! of them wait. They go round (`SCHED_RR`): one that never waits leaves the others, and other labs on the same processor, their
//! share; who works for longer than a slice (100 ms) at a time is the only one whose place among the others is not certain.

use crate::sys::{self, call};
use std::io;

const SCHED_OTHER: usize = 0;
const SCHED_FIFO: usize = 1;
const SCHED_RR: usize = 2;
/// What the thread starts is ordinary again.
const RESET_ON_FORK: usize = 0x4000_0000;
/// Bits of a processor mask: as many as Linux can be built for.
const PROCESSORS: usize = 8192;

type Mask = [u64; PROCESSORS / 64];

/// Who goes first on a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Whoever the system chooses, when nobody below is ready.
    Ordinary,
    /// Ahead of those, and behind all below; what it starts is ordinary.
    Last,
    /// Ahead of those, and until it waits or a slice is over; so is all that it starts.
    InTurn,
    /// Ahead of all; what it starts is ordinary.
    First,
}

/// Ranks a thread by its number; 0 is this one.
///
/// # Errors
/// The system's: EPERM without the right `CAP_SYS_NICE` (or a limit RTPRIO that allows it).
pub fn rank(thread: i32, rank: Rank) -> io::Result<()> {
    let (policy, priority): (_, i32) = match rank {
        Rank::Ordinary => (SCHED_OTHER, 0),
        Rank::Last => (SCHED_FIFO | RESET_ON_FORK, 1),
        Rank::InTurn => (SCHED_RR, 2),
        Rank::First => (SCHED_FIFO | RESET_ON_FORK, 3),
    };
    let thread = thread.unsigned_abs() as usize;
    // SAFETY: `struct sched_param` is one int.
    told(unsafe { call(sys::SCHED_SETSCHEDULER, [thread, policy, &raw const priority as usize, 0, 0, 0]) })
        .map(drop)
}

/// The processors that this thread may run on.
///
/// # Errors
/// The system's.
pub fn processors() -> io::Result<Vec<usize>> {
    let mut mask: Mask = [0; PROCESSORS / 64];
    let arguments = [0, size_of::<Mask>(), mask.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: room for as many bytes as are told.
    told(unsafe { call(sys::SCHED_GETAFFINITY, arguments) })?;
    Ok((0..PROCESSORS).filter(|one| mask[one / 64] & (1 << (one % 64)) != 0).collect())
}

/// Binds this thread, and all that it starts from now on, to these processors.
///
/// # Errors
/// The system's: EINVAL when it may run on none of them.
pub fn bind(processors: &[usize]) -> io::Result<()> {
    let mut mask: Mask = [0; PROCESSORS / 64];
    for one in processors.iter().filter(|one| **one < PROCESSORS) {
        mask[one / 64] |= 1 << (one % 64);
    }
    let arguments = [0, size_of::<Mask>(), mask.as_ptr() as usize, 0, 0, 0];
    // SAFETY: as many bytes as are told.
    told(unsafe { call(sys::SCHED_SETAFFINITY, arguments) }).map(drop)
}

fn told(result: isize) -> io::Result<usize> {
    let error = |_| io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or_default());
    usize::try_from(result).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_and_let_go() {
        std::thread::spawn(|| {
            let all = processors().unwrap();
            bind(&all[..1]).unwrap();
            assert_eq!(processors().unwrap(), all[..1]);
            bind(&all).unwrap();
            assert_eq!(processors().unwrap(), all);
            assert!(bind(&[]).is_err());
        })
        .join()
        .unwrap();
    }
}
