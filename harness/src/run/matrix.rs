//! Relays × scenarios, several at a time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Cancel, RunError, RunOptions, run};
use crate::record::Record;
use crate::scenario::Scenario;

/// One scenario on one relay.
#[derive(Debug)]
pub struct Cell<T> {
    /// Index into the scenarios.
    pub scenario: usize,
    /// Index into the relays.
    pub relay: usize,
    /// What `finish` made of the run.
    pub result: T,
}

/// Runs every scenario on every relay, `jobs` at a time. `finish` makes a result of each run on the thread that ran it, and is
/// told how much real time it took; `done` hears of each as soon as those before it are done, so that what is told is the same every time. The cells come
/// back in the same order, by scenario, then relay; fewer of them when cancelled.
pub fn matrix<T: Send>(
    scenarios: &[Scenario],
    relays: &[String],
    jobs: NonZeroUsize,
    cancel: &Cancel,
    finish: impl Fn(&Scenario, &str, Result<Record, RunError>, Duration) -> T + Sync,
    mut done: impl FnMut(&Cell<T>),
) -> Vec<Cell<T>> {
    let total = scenarios.len() * relays.len();
    let next = AtomicUsize::new(0);
    let (results, finished) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(total) {
            let (results, next, finish) = (results.clone(), &next, &finish);
            scope.spawn(move || {
                loop {
                    let cell = next.fetch_add(1, Ordering::Relaxed);
                    if cell >= total || cancel.is_cancelled() {
                        return;
                    }
                    let (scenario, relay) = (cell / relays.len(), cell % relays.len());
                    let options = RunOptions { cancel: cancel.clone(), ..RunOptions::default() };
                    let began = Instant::now();
                    let outcome = run(&scenarios[scenario], &relays[relay], &options);
                    if matches!(outcome, Err(RunError::Cancelled)) {
                        return;
                    }
                    let result = finish(&scenarios[scenario], &relays[relay], outcome, began.elapsed());
                    if results.send(Cell { scenario, relay, result }).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut early = BTreeMap::new();
        let mut cells = Vec::with_capacity(total);
        for cell in finished {
            early.insert((cell.scenario, cell.relay), cell);
            let turn = |cells: &Vec<_>| (cells.len() / relays.len(), cells.len() % relays.len());
            while let Some(cell) = early.remove(&turn(&cells)) {
                done(&cell);
                cells.push(cell);
            }
        }
        // Cancelled: what came after a gap.
        cells.extend(early.into_values().inspect(|cell| done(cell)));
        cells
    })
}
