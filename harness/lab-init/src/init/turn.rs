//! Process 1 among programs that run one after another: it comes when all of them wait.
//!
//! As an ordinary program it would get their processor now and then while they are busy, so that ordinary programs do not starve
//! (the "fair server" of Linux 6.12, or the limit `sched_rt_runtime_us`): what it then took for rest would be none. So where
//! it has to know, it is the last of those that run in turn. A program that never waits keeps it away for good; a thread of its
//! own, which goes first, then brings it forward.

use crate::error::{Doing, LabError};
use rustix::process::setpriority_process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use virtual_clock::turn::{self, Rank};

/// So long, in real time, programs may run without a pause before process 1 is brought forward.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lab's programs run in turn.
#[derive(Debug)]
pub(super) struct InTurn {
    /// Odd while process 1 is the last.
    waits: Arc<AtomicU64>,
    /// It was brought forward.
    brought: Arc<AtomicBool>,
}

impl InTurn {
    /// On this processor; None where that is not allowed.
    pub(super) fn on(processor: usize) -> Option<Self> {
        turn::bind(&[processor]).ok()?;
        turn::rank(0, Rank::InTurn).ok()?;
        turn::rank(0, Rank::Ordinary).ok()?;
        let main = rustix::thread::gettid().as_raw_nonzero().get();
        let waits = Arc::new(AtomicU64::new(0));
        let brought = Arc::new(AtomicBool::new(false));
        let (seen, bring) = (waits.clone(), brought.clone());
        let guard = move || {
            let mut last = 0;
            while turn::rank(0, Rank::First).is_ok() {
                std::thread::sleep(PATIENCE);
                let now = seen.load(Ordering::SeqCst);
                if now % 2 == 1 && now == last {
                    bring.store(turn::rank(main, Rank::First).is_ok(), Ordering::SeqCst);
                }
                last = now;
            }
        };
        std::thread::Builder::new().name("guard".to_owned()).stack_size(64 << 10).spawn(guard).ok()?;
        let in_turn = Self { waits, brought };
        in_turn.go_first_among_ordinary(true);
        Some(in_turn)
    }

    /// Does something as soon as every program of the lab waits, or has not for so long that process 1 was brought forward: then
    /// it is told `false`. Whoever is woken by it runs at once.
    pub(super) fn last<T>(&self, act: impl FnOnce(bool) -> Result<T, LabError>) -> Result<T, LabError> {
        self.brought.store(false, Ordering::SeqCst);
        self.waits.fetch_add(1, Ordering::SeqCst);
        let done = self.rank(Rank::Last).and_then(|()| {
            // Whoever is ready comes first.
            rustix::thread::sched_yield();
            act(!self.brought.load(Ordering::SeqCst))
        });
        self.waits.fetch_add(1, Ordering::SeqCst);
        self.rank(Rank::Ordinary)?;
        done
    }

    /// Does something, which starts programs: they run in turn.
    pub(super) fn starting<T>(&self, act: impl FnOnce() -> T) -> Result<T, LabError> {
        self.go_first_among_ordinary(false);
        self.rank(Rank::InTurn)?;
        let done = act();
        self.rank(Rank::Ordinary)?;
        self.go_first_among_ordinary(true);
        Ok(done)
    }

    /// What process 1 does for the harness does not wait for what else the machine does. Best effort.
    #[expect(clippy::unused_self, reason = "it is for labs whose programs run in turn")]
    fn go_first_among_ordinary(&self, on: bool) {
        let _ = setpriority_process(None, if on { -20 } else { 0 });
    }

    #[expect(clippy::unused_self, reason = "it is for labs whose programs run in turn")]
    fn rank(&self, rank: Rank) -> Result<(), LabError> {
        turn::rank(0, rank).doing(|| "taking process 1's turn".to_owned())
    }
}
