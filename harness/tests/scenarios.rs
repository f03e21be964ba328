//! Every scenario file is a test of its own: judged, and compared with the snapshot of everything that happened.
//!
//! A new file below `scenarios/` becomes a test by being there. Its snapshot is reviewed with `cargo insta review`.

mod common;

use std::path::{Path, PathBuf};

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
#[rstest]
fn judged(
    #[files("scenarios/**/*.yaml")]
    #[exclude("known-failures")]
    path: PathBuf,
) {
    let scenario = load(&path);
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

fn load(path: &Path) -> Scenario {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shown = path.strip_prefix(root).unwrap_or(path);
    scenario::load(path, &root.join("scenarios"))
        .unwrap_or_else(|diagnostics| panic!("{} cannot be read:\n{diagnostics}", shown.display()))
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
    let mut record = run::run(&scenario, "reference", &run::RunOptions::default()).expect("it runs");
    assert!(verdict::judge(&scenario, &record).outcome.is_pass());
    // As if the relay had kept the report to itself.
    record.notifications.clear();
    record.sessions.retain(|session| session.mock != "origin");
    for state in &mut record.queue {
        state.entries.clear();
    }
    assert_eq!(verdict::judge(&scenario, &record).outcome, Outcome::Violates);
}
