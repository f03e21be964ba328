//! Scenarios as tests of a relay's own project, by `cargo test`.
//!
//! In the project's `Cargo.toml`, `gauntlet` is a dev-dependency; beside it lies the relay's adapter, and a directory of scenarios.
//! Then this is all that there is to write:
//!
//! ```ignore
//! use gauntlet::{collection, testing};
//!
//! #[test]
//! fn our_relay_keeps_to_the_rfcs() {
//!     let runs = testing::on("our-relay.yaml")
//!         .program(env!("CARGO_BIN_EXE_our-relay"))         // as Cargo has just built it
//!         .scenarios("scenarios")                           // our own
//!         .scenarios(collection::ours().join("seeds"))      // and some that come with Gauntlet
//!         .run();
//!     runs.assert_pass();
//! }
//! ```
//!
//! With snapshots, where the project has the crate `insta`:
//!
//! ```ignore
//! for run in runs.iter() {
//!     if let Some(story) = run.story() {
//!         insta::assert_snapshot!(run.file_name(), story);
//!     }
//! }
//! ```
//!
//! A test of a real relay needs labs ([`lab_init`]). Where there can be none, it says `skipped: …` on standard error and there are no
//! runs; with `GAUNTLET_REQUIRE_LABS=1` it fails.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::collection;
use crate::relay::adapter::Adapter;
use crate::relay::{self, Chosen};
use crate::render;
use crate::report::terminal::{self, Style};
use crate::report::{Judged, Kind, NotJudged, Told};
use crate::run::{RunError, RunOptions, run_chosen};
use crate::scenario::{Diagnostics, Scenario};
use crate::verdict::{self, KnownFailures};

const PLAIN: Style = Style { colour: false };

/// Begins a trial of one relay: the path of an adapter (it has a `/` in it, or ends in `.yaml`; from where the test runs, which
/// `cargo test` has be the package's directory), or the name of a relay that comes with Gauntlet.
pub fn on(relay: impl Into<String>) -> Trial {
    Trial { relay: relay.into(), program: None, paths: Vec::new(), jobs: None, strict: false }
}

/// What is to be run.
#[derive(Debug, Clone)]
#[must_use = "nothing has run before `run`"]
pub struct Trial {
    relay: String,
    program: Option<PathBuf>,
    paths: Vec<PathBuf>,
    jobs: Option<NonZeroUsize>,
    strict: bool,
}

impl Trial {
    /// The relay's program, in place of what the adapter's `from:` says: Cargo tells a test where it has put it.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Adds a scenario file, or a directory with all below it.
    pub fn scenarios(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// So many runs at a time; without it, one for each processor.
    pub fn jobs(mut self, jobs: NonZeroUsize) -> Self {
        self.jobs = Some(jobs);
        self
    }

    /// A SHOULD that the relay does not follow counts as a failure, too.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Runs every scenario, and judges.
    ///
    /// # Panics
    /// Where the adapter or a scenario has a mistake, with all of them; where the relay is not there.
    #[track_caller]
    pub fn run(self) -> Runs {
        let relay = match relay::choose(&self.relay) {
            Ok(Chosen::Process(adapter)) => match &self.program {
                Some(program) => Chosen::Process(Adapter::clone(&adapter).with_program(program).into()),
                None => Chosen::Process(adapter),
            },
            Ok(relay) => relay,
            Err(error) => panic!("{error}"),
        };
        let found = collection::read(&self.paths).unwrap_or_else(|error| panic!("{error}"));
        let wrong: Vec<String> = found.wrong.iter().map(Diagnostics::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let mut runs = Runs { runs: Vec::new(), strict: self.strict };
        if let Chosen::Process(adapter) = &relay {
            if let Err(why) = relay::roots::root(adapter) {
                panic!("{}: {why}", adapter.name);
            }
            if !labs() {
                return runs;
            }
        }
        let jobs =
            self.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(found.scenarios.len()) {
                scope.spawn(|| {
                    while let Some(scenario) = found.scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let judged = judged(scenario, &self.relay, relay.clone(), &found.known);
                        done.lock().expect("nobody panics while holding the runs").push(Run { judged });
                    }
                });
            }
        });
        runs.runs = done.into_inner().expect("nobody panics while holding the runs");
        runs.runs.sort_by(|a, b| a.name().cmp(b.name()));
        runs
    }
}

fn judged(scenario: &Scenario, name: &str, relay: Chosen, known: &KnownFailures) -> Judged {
    let began = Instant::now();
    let result = match run_chosen(scenario, name, relay, &RunOptions::default()) {
        Ok(record) => {
            let mut verdict = verdict::judge(scenario, &record);
            known.apply(scenario, &record.relay.name, &mut verdict);
            Ok((record, verdict))
        }
        Err(RunError::Unsupported(reason)) => Err(NotJudged::Unsupported(reason.to_string())),
        Err(error) => Err(NotJudged::Failed(error.to_string())),
    };
    Judged {
        scenario: scenario.name.clone(),
        title: scenario.title.clone(),
        path: scenario.path.clone(),
        case: scenario.case.clone(),
        relay: name.to_owned(),
        result,
        told: Told::default(),
        took: began.elapsed(),
    }
}

/// Whether there can be labs; if not, says why.
#[track_caller]
fn labs() -> bool {
    match lab_init::check() {
        Ok(()) => true,
        Err(error) if error.is_missing_right() => {
            let required = std::env::var_os("GAUNTLET_REQUIRE_LABS").is_some_and(|value| value == "1");
            assert!(!required, "a lab is required, but {error}");
            eprintln!("skipped: {error}");
            false
        }
        Err(error) => panic!("a lab cannot be made: {error}"),
    }
}

/// What came of a trial.
#[derive(Debug)]
pub struct Runs {
    runs: Vec<Run>,
    strict: bool,
}

impl Runs {
    /// Each run, in the order of the scenarios' names. None where the trial was skipped.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// Nothing is held against the relay. What it is known to fail (`known-failures.yaml` beside the scenarios), and what it cannot
    /// do, is not (it is told on standard error), unless nothing else is left; a known failure that is none any more is.
    ///
    /// # Panics
    /// With each breach: its clause, what was seen, the lines that show it, and the command that runs it again alone.
    #[track_caller]
    pub fn assert_pass(&self) {
        let fails = |run: &&Run| match run.judged.kind() {
            Kind::Violates | Kind::PassesNow | Kind::Inconclusive => true,
            Kind::Deviates => self.strict,
            Kind::Pass | Kind::Known | Kind::Unsupported => false,
        };
        let unsupported = self.iter().filter(|run| run.judged.kind() == Kind::Unsupported);
        let unsupported: Vec<String> = unsupported
            .map(|run| format!("unsupported: {}: {}", run.name(), run.judged.reason().unwrap_or_default()))
            .collect();
        for line in &unsupported {
            eprintln!("{line}");
        }
        let all = !unsupported.is_empty() && unsupported.len() == self.runs.len();
        assert!(!all, "nothing was judged:\n{}", unsupported.join("\n"));
        let failed: Vec<String> =
            self.iter().filter(fails).map(|run| terminal::details(&run.judged, PLAIN)).collect();
        assert!(
            failed.is_empty(),
            "{} of {} runs failed\n\n{}",
            failed.len(),
            self.runs.len(),
            failed.join("\n")
        );
    }
}

/// One scenario, run and judged.
#[derive(Debug)]
pub struct Run {
    judged: Judged,
}

impl Run {
    /// The scenario's name: `seeds/domino-8bitmime`.
    pub fn name(&self) -> &str {
        &self.judged.scenario
    }

    /// The same as a file's name, for a snapshot: `seeds__domino-8bitmime`.
    pub fn file_name(&self) -> String {
        self.name().replace('/', "__")
    }

    /// All of it, for reports.
    pub fn judged(&self) -> &Judged {
        &self.judged
    }

    /// What happened and what it is worth, with names for what varies from run to run: two runs have the same text. `None` where it was
    /// not judged.
    pub fn story(&self) -> Option<String> {
        let (record, _) = self.judged.result.as_ref().ok()?;
        let judgement = terminal::judgement(&self.judged, PLAIN);
        let judgement = render::named(record, judgement.trim_end());
        Some(format!("{}\n\n{judgement}\n", render::story(record).trim_end()))
    }
}
