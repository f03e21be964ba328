//! The processor that a lab's programs take turns on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use virtual_clock::turn::{self, Rank};

/// How many labs of this process are on each processor.
static TAKEN: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn taken() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lab's place on a processor, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) processor: usize,
}

impl Seat {
    /// On the processor with the fewest labs, of those that this process may use.
    pub(crate) fn take() -> Option<Self> {
        let all = turn::processors().ok()?;
        let mut taken = taken();
        // Several harnesses beside each other do not all begin with the first.
        let first = std::process::id() as usize % all.len().max(1);
        let (before, after) = all.split_at(first);
        let processor =
            after.iter().chain(before).min_by_key(|one| taken.get(one).copied().unwrap_or_default())?;
        *taken.entry(*processor).or_default() += 1;
        Some(Seat { processor: *processor })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(count) = taken().get_mut(&self.processor) {
            *count -= 1;
        }
    }
}

/// As long as this lives, the thread that it was made on has the lab's processor for itself whenever it is ready: what it does
/// before it waits, it does at once, and no program of the lab sees half of it.
#[derive(Debug)]
pub struct Ahead {
    before: Vec<usize>,
    thread: std::thread::ThreadId,
}

impl Ahead {
    pub(crate) fn of(seat: &Seat) -> Option<Self> {
        let before = turn::processors().ok()?;
        let ahead = Self { before, thread: std::thread::current().id() };
        turn::bind(&[seat.processor]).ok()?;
        turn::rank(0, Rank::First).ok()?;
        Some(ahead)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if std::thread::current().id() == self.thread {
            // What was allowed before is allowed still.
            let _ = turn::rank(0, Rank::Ordinary);
            let _ = turn::bind(&self.before);
        }
    }
}
