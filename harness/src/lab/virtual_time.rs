//! Run time around a real relay under the virtual clock: it stands still while anything happens, and moves to the next moment
//! that somebody waits for, the relay's or the harness's own, when all are known to wait (ARCHITECTURE decision 3).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lab_init::{Jump, Lab, LabError, Look};
use mock_servers::RunTime;

use super::sim::{Elsewhere, Sim};
use super::ticker::Ticker;

/// Between two looks: at first, and at most.
const SOON: Duration = Duration::from_micros(40);
const LATER: Duration = Duration::from_millis(1);
/// Bytes that are not acknowledged, though nobody runs: those that a peer has no room for stay as they are; others come on.
const ON_THEIR_WAY: Duration = Duration::from_millis(5);
/// After so long they were lost, and the kernel sends them again in its own time: a connection to where nobody answers.
const LOST: Duration = Duration::from_millis(60);

/// Who keeps the clock from moving, in words: for a run that its guard ends.
#[derive(Clone, Default)]
pub(super) struct Holdup(Arc<Mutex<Option<String>>>);

impl Holdup {
    /// The last that was seen.
    pub(super) fn told(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// The relay's time, at a quiet moment.
struct Relay<'a> {
    lab: &'a Lab,
    log: Option<&'a Path>,
    next: Option<RunTime>,
    failed: Option<LabError>,
}

impl Elsewhere for Relay<'_> {
    fn next(&self) -> Option<RunTime> {
        self.next
    }

    fn jump(&mut self, to: RunTime, on_before: Option<RunTime>) -> RunTime {
        let jump = Jump {
            to: to.since_start(),
            on_before: on_before.map(RunTime::since_start),
            log: self.log.map(Path::to_owned),
        };
        self.lab.jump(jump).map_or_else(
            |error| {
                self.failed.get_or_insert(error);
                to
            },
            RunTime::new,
        )
    }
}

/// Moves the run's time until it is dropped, at the moments at which all is quiet. Returns when lab-init is gone, or without
/// a timer of the kernel's. `log` is the file that the relay logs to, if it does not use the system log.
pub(super) async fn beat(sim: Sim, lab: Arc<Lab>, log: Option<PathBuf>, holdup: Holdup) {
    let Ok(ticker) = Ticker::new() else { return };
    let mut pause = SOON;
    // The last mark, and since when it has been the same.
    let mut last = (0, Instant::now());
    loop {
        if ticker.wait(pause).await.is_err() {
            return;
        }
        pause = (pause * 3 / 2).min(LATER);
        if sim.is_held() {
            continue;
        }
        let first = match lab.look() {
            Ok(look) => look,
            Err(error) => return holdup.tell(Some(error.to_string())),
        };
        if last.0 != first.mark {
            last = (first.mark, Instant::now());
        }
        holdup.tell(busy_with(&first));
        if !is_quiet(&first, last.1.elapsed()) {
            continue;
        }
        // Whatever the harness's own side has to do is done when this goes on, and what has come to it is taken up.
        tokio::task::yield_now().await;
        if sim.is_held() {
            continue;
        }
        let Ok(second) = lab.look() else { continue };
        // Nobody has run in between: everyone waits, and nobody is left who could wake another.
        if second.mark != first.mark || second.busy {
            continue;
        }
        let log = log.as_deref();
        let mut relay = Relay { lab: &lab, log, next: second.next.map(RunTime::new), failed: None };
        sim.step(true, &mut relay);
        if let Some(error) = relay.failed {
            return holdup.tell(Some(error.to_string()));
        }
        pause = SOON;
    }
}

/// Whether nothing happens by itself any more, when it has looked like this for so long.
fn is_quiet(look: &Look, since: Duration) -> bool {
    let settled = if look.held_up { ON_THEIR_WAY } else { LOST };
    !look.busy && look.outside.is_empty() && (!look.in_flight || since >= settled)
}

/// Why the clock does not move.
fn busy_with(look: &Look) -> Option<String> {
    if let Some(one) = look.outside.first() {
        return Some(format!("{} (process {}) waits outside the clock: {}", one.program, one.pid, one.how));
    }
    look.running.as_ref().map(|program| format!("{program} does not rest"))
}
