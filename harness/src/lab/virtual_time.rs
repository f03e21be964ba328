//! Run time around a real relay under the virtual clock: it stands still while anything happens, and moves to the next moment
//! that somebody waits for, the relay's or the harness's own, when all are known to wait (ARCHITECTURE decision 3).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lab_init::{InFlight, Jump, Lab, LabError, Look, Outside, Told, Underway};
use mock_servers::RunTime;
use tokio::sync::Notify;

use super::sim::{Elsewhere, Sim};
use super::ticker::Ticker;
use super::turns::Turns;
use crate::relay::Driver as _;
use crate::relay::process::Process;

/// Between two looks: at first, and at most.
const SOON: Duration = Duration::from_micros(40);
const LATER: Duration = Duration::from_millis(1);
/// Bytes that are not acknowledged, though nobody runs: those that a peer has no room for stay as they are; others come on.
const ON_THEIR_WAY: Duration = Duration::from_millis(5);
/// After so long they were lost, and the kernel sends them again in its own time: a connection to where nobody answers.
const LOST: Duration = Duration::from_millis(60);
/// Between a relay's own programs nothing is lost, but a small segment waits for the acknowledgement of the one before (Nagle), and that
/// for the kernel's timer: 40 ms, and more where the machine has much to do. A guard.
const WITHIN: Duration = Duration::from_secs(10);

/// A program that does not follow the clock is given up after so long in which nobody did anything.
const STRANGE: Duration = Duration::from_millis(300);
/// One that follows it, and sleeps by the kernel's own time all the same, after so long.
const ASLEEP: Duration = Duration::from_secs(5);

static STEPS: AtomicU64 = AtomicU64::new(0);

/// How many steps the clocks of real relays have made in this process. Benchmarks divide by it.
pub fn clock_steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// Who keeps the clock from moving, in words: for a run that its guard ends.
#[derive(Clone, Default)]
pub struct Holdup(Arc<Seen>);

#[derive(Default)]
struct Seen {
    now: Mutex<Option<String>>,
    /// What programs did that the clock does not carry, each kind once, and when.
    told: Mutex<BTreeMap<Told, RunTime>>,
    /// Why it never moves any more.
    hopeless: Mutex<Option<String>>,
    /// Who has been waiting outside the clock for long, as far as is seen now: a program of the relay's preparations may still end.
    outside: Mutex<Option<String>>,
    is_hopeless: Notify,
}

impl Holdup {
    /// The last that was seen.
    pub fn told(&self) -> Option<String> {
        locked(&self.0.now).clone()
    }

    /// What programs did that the clock does not carry, and when that was first seen.
    pub(super) fn noted(&self) -> Vec<(RunTime, Told)> {
        locked(&self.0.told).iter().map(|(told, at)| (*at, *told)).collect()
    }

    /// Completes when it is known that the clock does not move any more, or not as it should: why.
    pub async fn hopeless(&self) -> String {
        loop {
            let why = locked(&self.0.hopeless).clone().or_else(|| locked(&self.0.outside).clone());
            if let Some(why) = why {
                return why;
            }
            self.0.is_hopeless.notified().await;
        }
    }

    fn tell(&self, why: Option<String>) {
        *locked(&self.0.now) = why;
    }

    fn note(&self, look: &Look, at: RunTime) {
        for told in &look.told {
            locked(&self.0.told).entry(*told).or_insert(at);
            if *told != Told::SetsClock {
                self.give_up(format!("waits outside the clock: {told}"));
            }
        }
    }

    fn outside(&self, one: Option<&Outside>) {
        *locked(&self.0.outside) = one.map(waits_outside);
        if one.is_some() {
            self.0.is_hopeless.notify_one();
        }
    }

    fn give_up(&self, why: String) {
        locked(&self.0.hopeless).get_or_insert(why);
        self.0.is_hopeless.notify_one();
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
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
            sleep_on: on_before.is_none(),
            on_before: on_before.map(RunTime::since_start),
            log: self.log.map(Path::to_owned),
        };
        self.lab.jump(jump).map_or_else(
            |error| {
                self.failed.get_or_insert(error);
                to
            },
            |moved| {
                STEPS.fetch_add(moved.steps, Ordering::Relaxed);
                RunTime::new(moved.now)
            },
        )
    }

    fn open(&mut self) -> Option<String> {
        let underway = self.lab.underway().unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            Vec::new()
        });
        underway.first().map(|open| match open {
            Underway::Connection(with) => format!("a connection with {with} was open"),
            Underway::Query(_) => "a DNS query was open".to_owned(),
        })
    }
}

/// Moves the run's time until it is dropped, at the moments at which all is quiet. Returns when lab-init is gone, or without
/// a timer of the kernel's.
pub(super) async fn beat(sim: Sim, turns: Turns, process: Arc<Process>, holdup: Holdup) {
    let Ok(ticker) = Ticker::new() else { return };
    let (lab, log) = (process.lab(), process.log_file());
    let ahead = lab.ahead();
    let mut pause = SOON;
    // The last mark, and since when it has been the same.
    let mut last = (0, Instant::now());
    loop {
        let mut rested = None;
        if ahead.is_some() {
            rested = match let_all_through(&sim, &turns, &lab).await {
                Ok(rested) => rested,
                Err(error) => return holdup.give_up(error.to_string()),
            };
        }
        let first = match lab.look() {
            Ok(look) => look,
            Err(error) => return holdup.give_up(error.to_string()),
        };
        if last.0 != first.mark {
            last = (first.mark, Instant::now());
        }
        holdup.tell(busy_with(&first));
        holdup.note(&first, sim.now());
        holdup.outside(
            first.outside.first().filter(|one| last.1.elapsed() > if one.follows { ASLEEP } else { STRANGE }),
        );
        if sim.is_held() || !is_quiet(&first, last.1.elapsed()) {
            if ticker.wait(pause).await.is_err() {
                return;
            }
            pause = (pause * 3 / 2).min(LATER);
            continue;
        }
        // Nobody has run since all of them waited, and all that came of it here was done.
        let mut next = first.next;
        if rested != Some(first.ran) {
            // What has come to the harness's side is taken up when the thread parks the first time, and all that follows from it is
            // done when it parks the second time.
            for _ in 0..2 {
                if ticker.wait(Duration::ZERO).await.is_err() {
                    return;
                }
            }
            if sim.is_held() {
                continue;
            }
            let Ok(second) = lab.look() else { continue };
            // Nobody has run in between: everyone waits, and nobody is left who could wake another.
            if second.mark != first.mark || second.busy {
                continue;
            }
            next = second.next;
        }
        pause = SOON;
        if !turns.grant_next() {
            let log = log.as_deref();
            // What is logged from here on is seen to be.
            process.logged();
            let mut relay = Relay { lab: &lab, log, next: next.map(RunTime::new), failed: None };
            sim.step(true, &mut relay);
            if let Some(error) = relay.failed {
                return holdup.give_up(error.to_string());
            }
        }
        if ticker.wait(Duration::ZERO).await.is_err() {
            return;
        }
    }
}

/// Around a relay whose programs run in turn: gives each input its turn, until there is none left that has something. What the
/// programs had done by then; `None`: it does not come to that now.
async fn let_all_through(sim: &Sim, turns: &Turns, lab: &Lab) -> Result<Option<u64>, LabError> {
    loop {
        // Whoever had something to do here has done it, and whoever that woke.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        if sim.is_held() {
            return Ok(None);
        }
        let Some(ran) = lab.rests()? else { return Ok(None) };
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        if sim.is_held() {
            return Ok(None);
        }
        if !turns.grant_next() {
            return Ok(Some(ran));
        }
    }
}

/// Whether nothing happens by itself any more, when it has looked like this for so long.
fn is_quiet(look: &Look, since: Duration) -> bool {
    let settled = look.in_flight.map(|of| match of {
        InFlight::HeldUp => ON_THEIR_WAY,
        InFlight::Within => WITHIN,
        InFlight::Between => LOST,
    });
    !look.busy && look.outside.is_empty() && settled.is_none_or(|settled| since >= settled)
}

/// Why the clock does not move.
fn busy_with(look: &Look) -> Option<String> {
    let outside = look.outside.first().map(waits_outside);
    outside.or_else(|| look.running.as_ref().map(|program| format!("{program} does not rest")))
}

fn waits_outside(one: &Outside) -> String {
    format!("{} (process {}) waits outside the clock: {}", one.program, one.pid, one.how)
}
