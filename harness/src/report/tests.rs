//! The matrix by runs made by hand: every kind of cell, cases that are alike and cases that are not.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::json::json;
use super::table::{Only, table};
use super::terminal::Style;
use super::{Effort, Judged, LeftOut, NotJudged, Runs, Told};
use crate::record::testing::{Run, deferral, minutes, notice};
use crate::verdict::{Finding, Outcome, Severity, Verdict};

const PLAIN: Style = Style { colour: false };
const BOB: &str = "bob@hub.example";

/// How each relay came out in a scenario, a letter each.
const RELAYS: [(&str, &str, &str); 4] = [
    ("reference", "reference", "0.1.0"),
    ("exim", "exim", "4.96"),
    ("container:postfix", "postfix", "3.7.11"),
    ("./ours/our-relay.yaml", "our-relay", "Our Relay 2.0-rc1 (77)"),
];
const SCENARIOS: [(&str, Option<&str>, &str); 10] = [
    ("connection/cut/DATA-fin", Some("DATA-fin"), "pppp"),
    ("connection/cut/DATA-reset", Some("DATA-reset"), "pppp"),
    ("connection/cut/RCPT-fin", Some("RCPT-fin"), "pdvp"),
    ("connection/cut/RCPT-reset", Some("RCPT-reset"), "pppp"),
    ("connection/slow/once", Some("once"), "pupp"),
    ("connection/slow/often", Some("often"), "pupp"),
    ("seeds/a-name-that-is-longer-than-a-narrow-terminal-has-room-for", None, "ppkn"),
    ("seeds/held", None, "pxpi"),
    ("seeds/plain", None, "pppp"),
    ("alone", None, "pppv"),
];

fn outcome(letter: char) -> Outcome {
    let reason = || "it is known to,\n  and told in two lines".to_owned();
    match letter {
        'p' => Outcome::Pass,
        'd' => Outcome::Deviates,
        'v' => Outcome::Violates,
        'k' => Outcome::KnownFailure { reason: reason() },
        'n' => {
            Outcome::KnownFailurePasses { reason: "a known failure passes: remove it (list:3)".to_owned() }
        }
        'x' => Outcome::Unsupported { reason: "not exercised: no session with hub came about".to_owned() },
        other => panic!("no outcome {other}"),
    }
}

fn findings(letter: char) -> Vec<Finding> {
    let finding = |severity, clause: &str, why: &str| Finding {
        severity,
        rule: "expectation 1".to_owned(),
        it: "delivers it once".to_owned(),
        clause: clause.to_owned(),
        why: why.to_owned(),
        evidence: Vec::new(),
    };
    let note = finding(Severity::Note, "RFC 5321 section 2.1", "is only told");
    let should = finding(Severity::Deviates, "RFC 6647 section 2", "came again after 3 attempts");
    let must = finding(Severity::Violates, "RFC 5321 section 6.1", "bob@hub.example got 2 copies");
    match letter {
        'd' | 'k' => vec![should, note],
        'v' => vec![must.clone(), must, should],
        _ => vec![note],
    }
}

fn judged(relay: usize, scenario: usize) -> Judged {
    let ((asked, name, version), (scenario, case, letters)) = (RELAYS[relay], SCENARIOS[scenario]);
    let letter = letters.chars().nth(relay).expect("one for each relay");
    let result = match letter {
        'u' => Err(NotJudged::Unsupported("no virtual clock".to_owned())),
        'i' => Err(NotJudged::Failed("the relay did not start:\nno such file".to_owned())),
        _ => {
            let run =
                Run::new().sent("note", &[BOB]).talk(deferral("hub", 1, minutes(0), BOB, "451 4.7.1 No"));
            let run = run.talk(deferral("hub", 2, minutes(30), BOB, "451 4.7.1 No"));
            let run = run.notified(1, minutes(240), &notice("note-1", BOB, "failed", "4.7.1"));
            let mut record = run.record();
            (record.relay.name, record.relay.version) = (name.to_owned(), version.to_owned());
            let none = Vec::new;
            let verdict = Verdict {
                outcome: outcome(letter),
                findings: findings(letter),
                results: none(),
                observed: none(),
            };
            Ok((record, verdict))
        }
    };
    let file = match case {
        Some(case) => scenario.trim_end_matches(case).trim_end_matches('/'),
        None => scenario,
    };
    let told =
        result.as_ref().map_or_else(|_| Told::default(), |(record, verdict)| Told::of(record, verdict));
    Judged {
        told,
        scenario: scenario.to_owned(),
        title: "A title".to_owned(),
        path: Path::new("scenarios").join(format!("{file}.yaml")),
        case: case.map(str::to_owned),
        relay: asked.to_owned(),
        result,
        took: Duration::from_millis(250 * (relay as u64 + 1)),
    }
}

/// The first `count` runs of all.
fn with_runs<T>(count: usize, look: impl FnOnce(&Runs<'_>) -> T) -> T {
    let cells =
        (0..SCENARIOS.len()).flat_map(|scenario| (0..RELAYS.len()).map(move |relay| (relay, scenario)));
    let done: Vec<Judged> = cells.take(count).map(|(relay, scenario)| judged(relay, scenario)).collect();
    let relays = RELAYS.map(|(asked, _, _)| asked.to_owned());
    let left_out = [LeftOut {
        relay: "sendmail".to_owned(),
        reason: "there is no prepared root; sudo ci/relay-roots.sh sendmail".to_owned(),
    }];
    let effort = Effort {
        took: Duration::from_secs(13),
        jobs: 2,
        processors: 2,
        processor_time: Some(Duration::from_secs(21)),
    };
    look(&Runs { judged: &done, relays: &relays, scenarios: SCENARIOS.len(), left_out: &left_out, effort })
}

fn all<T>(look: impl FnOnce(&Runs<'_>) -> T) -> T {
    with_runs(RELAYS.len() * SCENARIOS.len(), look)
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/matrix"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn without_a_terminal_cells_are_words_however_wide() {
    golden("words", &all(|runs| table(runs, Only::All, None, PLAIN)));
}

#[test]
fn where_words_do_not_fit_cells_are_marks() {
    golden("marks", &all(|runs| table(runs, Only::All, Some(110), PLAIN)));
}

#[test]
fn where_names_do_not_fit_either_relays_are_letters() {
    golden("letters", &all(|runs| table(runs, Only::All, Some(80), PLAIN)));
}

#[test]
fn only_what_differs_is_told_when_asked_for() {
    golden("different", &all(|runs| table(runs, Only::Different, None, PLAIN)));
}

#[test]
fn of_runs_that_were_interrupted_those_that_are_done_are_told() {
    golden("interrupted", &with_runs(10, |runs| table(runs, Only::All, None, PLAIN)));
}

#[test]
fn programs_get_every_cell() {
    golden("json", &all(json));
}

#[test]
fn a_colour_changes_no_letter() {
    let coloured = all(|runs| table(runs, Only::All, Some(100), Style { colour: true }));
    let plain = all(|runs| table(runs, Only::All, Some(100), PLAIN));
    assert!(coloured.contains("\x1b[32m"), "{coloured}");
    let mut letters = String::new();
    for (index, piece) in coloured.split("\x1b[").enumerate() {
        letters.push_str(if index == 0 { piece } else { piece.split_once('m').expect("a colour").1 });
    }
    assert_eq!(letters, plain);
}

#[test]
fn relays_of_one_name_are_told_by_what_was_asked_for() {
    let (mut ours, other) = (judged(3, 8), judged(3, 8));
    ours.relay = "./theirs/our-relay.yaml".to_owned();
    let relays = [ours.relay.clone(), other.relay.clone()];
    let done = [ours, other];
    let told = all(|runs| table(&Runs { judged: &done, relays: &relays, ..*runs }, Only::All, None, PLAIN));
    assert!(told.contains("./theirs/our-relay.yaml  ./ours/our-relay.yaml"), "{told}");
}

#[test]
fn nothing_at_all_has_a_table() {
    let told = with_runs(0, |runs| table(runs, Only::All, Some(80), PLAIN));
    assert!(told.contains("· not run") && !told.contains("open on"), "{told}");
    with_runs(0, |runs| assert!(json(runs).contains("\"complete\": false")));
}

proptest! {
    /// From a width on that a table of four columns must have.
    #[test]
    fn no_line_of_the_table_is_wider_than_the_terminal(width in 40_usize..200) {
        let told = all(|runs| table(runs, Only::All, Some(width), PLAIN));
        let wide = |line: &&str| {
            let is_sentence = line.starts_with("time: ") || line.starts_with("left out: ");
            !is_sentence && line.chars().count() > width
        };
        prop_assert_eq!(told.lines().find(wide), None);
    }
}
