//! Relays that fail in the middle of a run.

use std::time::Duration;

use gauntlet::record::{Accepted, Ending, Record};
use gauntlet::render;
use gauntlet::run::{RunError, RunOptions};
use gauntlet::verdict::{self, Outcome};

use crate::{Own, SETTLE, START, assert_says, has_labs, note, parsed, printed};

fn outcome(record: &Record) -> Outcome {
    verdict::judge(&parsed(&note(SETTLE)), record).outcome
}

/// Why the first message was not taken.
fn refusal(record: &Record) -> String {
    match &record.submissions[0].recipients[0].fate {
        Accepted::No { reply: Some(reply), .. } => reply.clone(),
        fate => panic!("{fate:?}\n{}", render::story(record)),
    }
}

#[test]
fn one_that_dies_in_mid_session_violates() {
    if !has_labs() {
        return;
    }
    let own = Own::that("dies");
    let record = own.run(SETTLE, &RunOptions::default()).expect("there is a record");
    assert_eq!(record.end.how, Ending::RelayDied { why: "exit status: 7".to_owned() });
    assert_eq!(outcome(&record), Outcome::Violates);
    let output = own.command().output().expect("the command starts");
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    assert_says(&printed(&output), &["the relay ended by itself", "exit status: 7"]);
}

#[test]
fn one_that_forked_away_and_dies_violates() {
    if !has_labs() {
        return;
    }
    let background = format!("{} dies & sleep 0.01", START.replace("exec ", ""));
    let record = Own::relay(&[&background]).run(SETTLE, &RunOptions::default()).expect("there is a record");
    assert_eq!(record.end.how, Ending::RelayDied { why: "none of its processes is left".to_owned() });
    assert_eq!(outcome(&record), Outcome::Violates);
}

#[test]
fn a_listing_that_fails_as_the_relay_is_dead_does_not_hide_its_death() {
    if !has_labs() {
        return;
    }
    let start = format!("{START} dies");
    let list = "  list: kill -0 \"$(cat /run/own-relay.pid)\"";
    let own = Own::relay(&[&start, list]);
    let record = own.run(SETTLE, &RunOptions::default()).expect("there is a record");
    assert_eq!(record.end.how, Ending::RelayDied { why: "exit status: 7".to_owned() });
}

#[test]
fn a_queue_that_cannot_be_listed_is_told_of_with_the_commands_words() {
    if !has_labs() {
        return;
    }
    for (list, words) in [
        ("  list: echo 'no such file' >&2; exit 4", ["ended with exit status: 4", "no such file"]),
        ("  list: echo 'Mail queue is empty'", ["its queue's listing", "Mail queue is empty"]),
    ] {
        let error = Own::relay(&[list]).run(SETTLE, &RunOptions::default()).expect_err("no record");
        assert_says(
            &error.to_string(),
            &[&["cannot list the queue of own-relay"], words.as_slice()].concat(),
        );
    }
}

#[test]
fn one_that_never_rests_is_given_up_by_the_guard() {
    if !has_labs() {
        return;
    }
    let options = RunOptions { guard: Duration::from_secs(2), ..RunOptions::default() };
    let record = Own::that("never rests").run(SETTLE, &options).expect("there is a record");
    assert_eq!(record.end.how, Ending::Guard { waiting_for: "send: note".to_owned() });
    assert!(matches!(outcome(&record), Outcome::Inconclusive { .. }), "{:?}", outcome(&record));
}

#[test]
fn a_full_disk_comes_and_goes() {
    if !has_labs() {
        return;
    }
    let steps = "[fault: { relay: disk full }, send: note, fault: { relay: none }, send: note, settle]";
    let record = Own::that("").run(steps, &RunOptions::default()).expect("there is a record");
    assert!(refusal(&record).starts_with("452"), "{}", refusal(&record));
    assert_eq!((&record.end.how, record.deliveries.len()), (&Ending::Finished, 1));
    // Nothing to mend.
    let steps = "[fault: { relay: none }, send: note, settle]";
    let record = Own::that("").run(steps, &RunOptions::default()).expect("there is a record");
    assert_eq!((&record.end.how, record.deliveries.len()), (&Ending::Finished, 1));
}

#[test]
fn one_that_fills_its_disk_itself_hurts_nobody_else() {
    if !has_labs() {
        return;
    }
    let own = Own::that("hoards");
    let record = own.run(SETTLE, &RunOptions::default()).expect("there is a record");
    assert!(refusal(&record).starts_with("452"), "{}", refusal(&record));
    assert_eq!(record.end.how, Ending::Finished);
}

#[test]
fn one_that_ignores_its_stop_is_killed_and_starts_again() {
    if !has_labs() {
        return;
    }
    // It is at rest when it is told to stop: one that is ended between the server's reply and its own note of it sends twice.
    let steps = "[send: note, settle, restart: relay, send: note, settle]";
    for habit in ["ignores its stop", ""] {
        let record = Own::that(habit).run_in_haste(steps).expect("there is a record");
        assert_eq!((&record.end.how, record.deliveries.len()), (&Ending::Finished, 2), "{habit}");
    }
}

#[test]
fn a_queue_run_that_the_adapter_does_not_know_is_unsupported() {
    if !has_labs() {
        return;
    }
    let refused = Own::that("").run("[send: note, queue run: force, settle]", &RunOptions::default());
    let Err(RunError::Unsupported(why)) = refused else { panic!("{refused:?}") };
    assert_says(&why.to_string(), &["own-relay: its adapter does not say how to do `queue run: force`"]);
}
