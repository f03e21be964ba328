//! Every scenario is a test of its own, and so is every case of a template: judged, and compared with the snapshot of
//! everything that happened.
//!
//! A new file below `scenarios/` becomes a test by being there: the build script lists them. Its snapshot is reviewed with
//! `cargo insta review`.
//!
//! `GAUNTLET_RELAY=postfix,exim` runs the same on real relays. What a relay cannot do is told on standard error and passes; what
//! it is known to fail (`scenarios/known-failures.yaml`) passes as long as it fails. `GAUNTLET_RELAY=container:postfix` is one in a container,
//! with the same snapshots.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use gauntlet::record::Record;
use gauntlet::relay::adapter::Adapter;
use gauntlet::relay::{self, Chosen, container, roots};
use gauntlet::run::RunError;
use gauntlet::scenario::{self, HistoricOutcome, KNOWN_FAILURES, Scenario};
use gauntlet::verdict::{KnownFailures, Outcome, Verdict};
use gauntlet::{render, run, verdict};
use insta::internals::Content;
use rstest::rstest;

/// The relays that `cargo test` runs everything on: `GAUNTLET_RELAY=iis-5,postfix`; without it the reference relay.
fn relays() -> Vec<String> {
    let chosen = std::env::var("GAUNTLET_RELAY").unwrap_or_default();
    let names = chosen.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.is_empty() { vec!["reference".to_owned()] } else { names }
}

/// The relay under test passes; and the scenario proves that it can tell: on the relays of the past that had the defect
/// (`historic:`) it comes out as the file says. Where only real relays are asked for, that is not proved again.
fn judge(path: &str, case: Option<&str>) {
    let scenarios = load(path);
    let scenario = scenarios.into_iter().find(|scenario| scenario.case.as_deref() == case);
    let scenario = scenario.unwrap_or_else(|| panic!("{path} has no case {case:?}"));
    let (mut embedded, mut real) = (Vec::new(), Vec::new());
    for name in relays() {
        match relay::choose(&name) {
            Ok(Chosen::Embedded) => embedded.push(name),
            Ok(Chosen::Process(adapter)) => real.push((name, adapter)),
            Ok(Chosen::External(_)) => {
                panic!("GAUNTLET_RELAY: {name} runs elsewhere; `gauntlet run` judges it")
            }
            Err(error) => panic!("GAUNTLET_RELAY: {error}"),
        }
    }
    if !embedded.is_empty() {
        let past = scenario.historic.iter().map(|(relay, _)| relay.clone());
        embedded.extend(past.filter(|relay| !embedded.contains(relay)).collect::<Vec<_>>());
    }
    for relay in embedded {
        judge_embedded(&scenario, &relay);
    }
    for (name, adapter) in real {
        match can_run(&adapter) {
            Ok(()) => judge_real(&scenario, &name, &adapter),
            Err(why) => tell(&format!("skipped: {} on {name}: {why}", scenario.name)),
        }
    }
}

fn judge_embedded(scenario: &Scenario, relay: &str) {
    let record = run::run(scenario, relay, &run::RunOptions::default())
        .unwrap_or_else(|error| panic!("{} on {relay}: {error}", scenario.name));
    let verdict = verdict::judge(scenario, &record);
    snapshot(scenario, relay, &record, &verdict, None);
    let historic = scenario.historic.iter().find(|(name, _)| *name == relay).map(|(_, outcome)| *outcome);
    assert_comes_out(scenario, relay, historic.unwrap_or(HistoricOutcome::Passes), &verdict);
}

/// A real relay passes, cannot do it, or fails as it is known to. Only what was judged has a snapshot.
fn judge_real(scenario: &Scenario, name: &str, adapter: &Adapter) {
    let relay = &adapter.name;
    let unsupported = |why: &str| tell(&format!("unsupported: {} on {relay}: {why}", scenario.name));
    let record = match run::run(scenario, name, &run::RunOptions::default()) {
        Ok(record) => record,
        Err(RunError::Unsupported(reason)) => return unsupported(&reason.to_string()),
        Err(error) => panic!("{} on {relay}: {error}", scenario.name),
    };
    let mut verdict = verdict::judge(scenario, &record);
    known_failures().apply(scenario, relay, &mut verdict);
    match &verdict.outcome {
        Outcome::Unsupported { reason } => return unsupported(reason),
        Outcome::Inconclusive { reason } => panic!("{} on {relay} is inconclusive: {reason}", scenario.name),
        Outcome::KnownFailurePasses { reason } => panic!("{} on {relay}: {reason}", scenario.name),
        Outcome::Pass | Outcome::KnownFailure { .. } | Outcome::Deviates | Outcome::Violates => {}
    }
    // Of a relay whose conversations have not been looked at yet there is nothing to compare with.
    if snapshot_is_there(scenario, relay) || makes_snapshots() {
        snapshot(scenario, relay, &record, &verdict, Some(&record.relay.version));
    }
    assert!(
        matches!(verdict.outcome, Outcome::Pass | Outcome::KnownFailure { .. }),
        "{}\n{KNOWN_FAILURES} has no entry for this",
        common::findings(scenario, relay, &verdict)
    );
}

/// Tells why a test shows nothing. The test runner keeps what the macros print of a test that passes; this it cannot keep.
fn tell(line: &str) {
    // Where stderr is gone there is nobody left to tell.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Whether a real relay can be run here, and if not, why. `GAUNTLET_REQUIRE_RELAYS=1` makes that a failure, and
/// `GAUNTLET_REQUIRE_LABS=1` where it is for want of a lab, `GAUNTLET_REQUIRE_CONTAINERS=1` for want of a container.
fn can_run(adapter: &Adapter) -> Result<(), String> {
    static LABS: OnceLock<Result<(), String>> = OnceLock::new();
    let required = |what: &str| std::env::var_os(what).is_some_and(|value| value == "1");
    let relays = required("GAUNTLET_REQUIRE_RELAYS");
    let labs = LABS.get_or_init(|| match lab_init::check() {
        Err(error) if error.is_missing_right() => Err(error.to_string()),
        other => {
            other.unwrap_or_else(|error| panic!("a lab cannot be made: {error}"));
            Ok(())
        }
    });
    if let Err(why) = labs {
        assert!(!relays && !required("GAUNTLET_REQUIRE_LABS"), "a lab is required, but {why}");
        return Err(why.clone());
    }
    if let Some(image) = &adapter.container {
        let containers = relays || required("GAUNTLET_REQUIRE_CONTAINERS");
        let ready = container::ready(image).map_err(|error| error.to_string());
        if let Err(why) = &ready {
            assert!(!containers, "a container of {image} is required, but {why}");
        }
        return ready;
    }
    let root = roots::root(adapter).map(|_| ());
    if let Err(why) = &root {
        assert!(!relays, "{} is required, but {why}", adapter.name);
    }
    root
}

/// What real relays are known to fail.
fn known_failures() -> &'static KnownFailures {
    static KNOWN: OnceLock<KnownFailures> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let relays: Vec<&str> = relay::choices().iter().map(|choice| choice.name).collect();
        let (known, wrong) = KnownFailures::above(&[scenarios_folder().join(KNOWN_FAILURES)], &relays);
        assert!(wrong.is_empty(), "{}", wrong[0]);
        known
    })
}

fn scenarios_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn assert_comes_out(scenario: &Scenario, relay: &str, expected: HistoricOutcome, verdict: &Verdict) {
    let as_expected = match expected {
        HistoricOutcome::Passes => verdict.outcome.is_pass(),
        HistoricOutcome::Violates => matches!(verdict.outcome, Outcome::Violates),
        HistoricOutcome::Deviates => matches!(verdict.outcome, Outcome::Deviates),
    };
    assert!(
        as_expected,
        "{} should be {expected:?} on {relay}: {}",
        scenario.name,
        common::findings(scenario, relay, verdict)
    );
}

// `judged`: a `#[case]` for each scenario, which calls `judge`.
include!(concat!(env!("OUT_DIR"), "/scenario_tests.rs"));

/// The build script reads `for each:` by itself; it must see the cases that the loader sees.
#[test]
fn every_case_of_every_scenario_has_a_test() {
    const TESTS: &str = include_str!(concat!(env!("OUT_DIR"), "/scenario_tests.rs"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected = BTreeSet::new();
    for file in scenario::find(&[root.join("scenarios")]).expect("there are scenarios") {
        let path = file.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
        for scenario in load(&path) {
            expected.insert(format!("({path:?}, {:?})]", scenario.case));
        }
    }
    let listed: Vec<&str> = TESTS.lines().filter_map(|line| line.find('(').map(|at| &line[at..])).collect();
    let listed: BTreeSet<String> =
        listed.iter().filter(|line| line.ends_with(")]")).map(|line| (*line).to_owned()).collect();
    assert_eq!(listed, expected);
}

/// The scenarios of a file; a template of many cases is read once.
fn load(path: &str) -> Vec<Scenario> {
    static READ: Mutex<BTreeMap<String, Vec<Scenario>>> = Mutex::new(BTreeMap::new());
    // A file that cannot be read fails the tests of its own.
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = || {
        scenario::load(&root.join(path), &root.join("scenarios"))
            .unwrap_or_else(|diagnostics| panic!("{path} cannot be read:\n{diagnostics}"))
    };
    read.entry(path.to_owned()).or_insert_with(load).clone()
}

/// Compares with the snapshot. A real relay's version stands in its header, where a newer one is no difference.
fn snapshot_is_there(scenario: &Scenario, relay: &str) -> bool {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    snapshots.join(relay).join(format!("{}.snap", scenario.name)).is_file()
}

/// Whether insta is told to write snapshots (its `INSTA_UPDATE`): as `cargo insta` does, or by hand.
fn makes_snapshots() -> bool {
    std::env::var_os("INSTA_UPDATE")
        .is_some_and(|how| ["always", "new", "unseen", "force"].iter().any(|one| how == *one))
}

fn snapshot(scenario: &Scenario, relay: &str, record: &Record, verdict: &Verdict, version: Option<&str>) {
    let (family, name) = scenario.name.rsplit_once('/').unwrap_or(("", &scenario.name));
    let mut settings = insta::Settings::clone_current();
    settings
        .set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(relay).join(family));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(&scenario.title);
    if let Some(version) = version {
        let version = (Content::from("version"), Content::from(version));
        settings.set_raw_info(&Content::Map(vec![version]));
    }
    let story = render::story(record);
    settings.bind(|| {
        let verdict = render::named(record, &common::told(verdict));
        insta::assert_snapshot!(name, format!("{}\n\n{verdict}", story.trim_end()));
    });
}

/// The commonest loss: refused at the first attempt, and nobody told. The queue never showed the mail at any quiet moment.
#[test]
fn mail_that_vanishes_before_the_queue_was_ever_listed_is_lost() {
    let text = "
title: Refused at the first attempt
servers:
  hub: { serves: [hub.example], on: { RCPT: \"550 5.1.1 no\" } }
messages:
  note: { from: a@origin.example, to: b@hub.example }
observe:
  - delivered: { message: note }
";
    let scenario =
        scenario::parse(text, Path::new("lost.yaml"), "lost").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let scenario = &scenario[0];
    let mut record = run::run(scenario, "reference", &run::RunOptions::default()).expect("it runs");
    assert!(verdict::judge(scenario, &record).outcome.is_pass());
    // As if the relay had kept the report to itself.
    record.notifications.clear();
    record.sessions.retain(|session| session.mock != "origin");
    for state in &mut record.queue {
        state.entries.clear();
    }
    assert_eq!(verdict::judge(scenario, &record).outcome, Outcome::Violates);
}
