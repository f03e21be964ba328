//! Every scenario is a test of its own, and so is every case of a template: judged, and compared with the snapshot of
//! everything that happened.
//!
//! A new file below `scenarios/` becomes a test by being there: the build script lists them. Its snapshot is reviewed with
//! `cargo insta review`.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gauntlet::scenario::{self, HistoricOutcome, Scenario};
use gauntlet::verdict::{Outcome, Verdict};
use gauntlet::{render, run, verdict};
use rstest::rstest;

/// The relays that `cargo test` runs everything on: `GAUNTLET_RELAY=iis-5,mcis`; without it the reference relay.
fn relays() -> Vec<String> {
    let chosen = std::env::var("GAUNTLET_RELAY").unwrap_or_else(|_| "reference".to_owned());
    chosen.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The relay under test passes; and the scenario proves that it can tell: on the relays of the past that had the defect
/// (`historic:`) it comes out as the file says.
fn judge(path: &str, case: Option<&str>) {
    let scenarios = load(path);
    let scenario = scenarios.into_iter().find(|scenario| scenario.case.as_deref() == case);
    let scenario = scenario.unwrap_or_else(|| panic!("{path} has no case {case:?}"));
    let past = scenario.historic.iter().map(|(relay, _)| relay.clone());
    let mut chosen = relays();
    chosen.extend(past.filter(|relay| !chosen.contains(relay)).collect::<Vec<_>>());
    for relay in chosen {
        let (story, verdict) = run_on(&scenario, &relay);
        snapshot(&scenario, &relay, &story, &verdict);
        let historic = scenario.historic.iter().find(|(name, _)| *name == relay).map(|(_, outcome)| *outcome);
        assert_comes_out(&scenario, &relay, historic.unwrap_or(HistoricOutcome::Passes), &verdict);
    }
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

fn run_on(scenario: &Scenario, relay: &str) -> (String, Verdict) {
    let record = run::run(scenario, relay, &run::RunOptions::default())
        .unwrap_or_else(|error| panic!("{} on {relay}: {error}", scenario.name));
    (render::story(&record), verdict::judge(scenario, &record))
}

fn snapshot(scenario: &Scenario, relay: &str, story: &str, verdict: &Verdict) {
    let (family, name) = scenario.name.rsplit_once('/').unwrap_or(("", &scenario.name));
    let mut settings = insta::Settings::clone_current();
    settings
        .set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(relay).join(family));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(&scenario.title);
    settings.bind(|| {
        insta::assert_snapshot!(name, format!("{}\n\n{}", story.trim_end(), common::told(verdict)));
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
