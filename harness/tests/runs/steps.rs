//! Steps that meet a run in the middle: sessions that are held, checks, faults, queue runs.

use std::time::Duration;

use gauntlet::record::{Accepted, Ending, Record};
use gauntlet::render;
use gauntlet::run::{RunOptions, run};
use gauntlet::verdict::{self, Outcome, State, Verdict};

use crate::scenario;

/// One note to one server, by these steps, with more of the scenario below.
fn note(steps: &str, more: &str) -> (Record, Verdict) {
    let scenario = scenario(&format!(
        "
title: One note
servers:
  hub: {{ serves: [hub.example] }}
relay:
  queue: {{ retry: {{ first: 15m, at most: 15m }} }}
messages:
  note: {{ from: a@origin.example, to: b@hub.example }}
steps: {steps}
{more}"
    ));
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    let verdict = verdict::judge(&scenario, &record);
    (record, verdict)
}

const ONCE_OR_TWICE: &str = "expect: [{ delivered: { by: hub, times: 1..2 } }]\n";

#[test]
fn a_relay_is_killed_while_its_next_hop_has_the_mail_and_has_not_said_so() {
    let steps = "[send: note, at: { hub: end-of-data }, kill: relay, restart: relay, settle]";
    let (record, verdict) = note(steps, ONCE_OR_TWICE);
    assert_eq!((&record.end.how, verdict.outcome), (&Ending::Finished, Outcome::Pass));
    let acknowledged: Vec<bool> = record.deliveries.iter().map(|delivery| delivery.acknowledged).collect();
    assert_eq!(acknowledged, [false, true], "one that the relay cannot know of, and one that it does");
    let story = render::story(&record);
    let order = [
        "== +0s  at: { hub: end-of-data }",
        "*  hub is held at end-of-data",
        "== +0s  kill: relay",
        "*  hub is let go",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|line| story.find(line).unwrap_or_else(|| panic!("{line} is not in\n{story}")))
        .collect();
    assert!(places[0] < places[1] && places[1] < places[2], "{story}");
}

#[test]
fn a_held_session_does_not_stop_the_clock_and_the_relay_times_out() {
    let steps = "[send: note, at: { hub: end-of-data }, wait: 20m, check: [{ queued: note }, { wire: { at: hub, sessions: 1 } }], settle]";
    let (record, verdict) = note(steps, ONCE_OR_TWICE);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:?}", verdict.results);
    let checkpoint = &record.checkpoints[0].record;
    assert_eq!(checkpoint.end.at.since_start(), Duration::from_mins(20));
    assert!(checkpoint.deliveries.is_empty() && record.deliveries.len() == 2, "{}", render::story(&record));
}

#[test]
fn a_server_goes_away_while_a_session_is_held() {
    let steps = "[send: note, at: { hub: RCPT }, stop: hub, wait: 1h, start: hub, settle]";
    let (record, verdict) = note(steps, "expect: [{ delivered: { by: hub } }]\n");
    assert_eq!(verdict.outcome, Outcome::Pass, "{}", render::story(&record));
    assert_eq!(record.deliveries[0].at.since_start(), Duration::from_mins(75), "{}", render::story(&record));
}

#[test]
fn a_session_is_held_until_the_steps_end() {
    let (record, _) = note("[send: note, at: { hub: MAIL }]", ONCE_OR_TWICE);
    assert_eq!((record.end.how, record.deliveries.len()), (Ending::Finished, 0));
}

#[test]
fn a_session_that_came_there_before_the_step_does_not_count() {
    let steps = "[send: note, settle, send: note, at: { hub: connect }, check: [{ delivered: { times: 1 } }], settle]";
    let (_, verdict) = note(steps, "expect: [{ each: { of: note, delivered: {} } }]\n");
    let held: Vec<State> = verdict.results.iter().map(|result| result.state).collect();
    assert_eq!(
        held,
        [State::Held, State::Broken],
        "then the second one was still queued: {:?}",
        verdict.results
    );
}

#[test]
fn an_event_that_never_comes_leaves_the_scenario_unexercised() {
    // The second one comes to `QUIT` before it is waited for.
    for (steps, event) in [
        ("[send: note, at: { hub: VRFY }, settle]", "VRFY"),
        ("[send: note, settle, at: { hub: QUIT }]", "QUIT"),
    ] {
        let (record, verdict) = note(steps, "expect: [{ delivered: { attempt: 7 } }]\n");
        let what = format!("no session with hub came to {event}");
        assert_eq!(record.end.how, Ending::NeverCame { what: what.clone() });
        assert_eq!(verdict.outcome, Outcome::Unsupported { reason: format!("not exercised: {what}") });
        assert!(render::story(&record).contains(&what));
    }
}

#[test]
fn a_check_is_broken_at_its_step_whatever_comes_later() {
    let steps = "[stop: hub, send: note, wait: 1m, check: [{ must: RFC 5321 section 6.1, delivered: {} }], start: hub, settle]";
    let (_, verdict) = note(steps, "expect: [{ delivered: {} }]\n");
    assert_eq!(verdict.outcome, Outcome::Violates);
    let [finding] = verdict.findings.as_slice() else { panic!("{:?}", verdict.findings) };
    assert_eq!(finding.rule, "step 4: expectation 1");
    assert!(finding.it.starts_with("at step 4 (+1m): "), "{}", finding.it);
    assert!(finding.why.contains("still in the queue"), "{}", finding.why);
}

#[test]
fn a_scenario_may_have_checks_alone() {
    let (_, verdict) = note("[send: note, check: [delivered: { by: hub }]]", "");
    assert_eq!(
        verdict.outcome,
        Outcome::Pass,
        "all that happens at a moment has happened: {:?}",
        verdict.results
    );
}

#[test]
fn a_check_that_the_run_never_came_to_is_told_as_such() {
    let steps = "[send: note, at: { hub: VRFY }, check: [delivered: {}]]";
    let (_, verdict) = note(steps, "");
    assert_eq!(verdict.results[0].state, State::NotApplicable);
    assert_eq!(verdict.results[0].why, "the run ended before it");
}

#[test]
fn a_forced_queue_run_tries_everything_and_one_of_what_is_due_nothing_that_is_not() {
    let sessions = |run: &str| {
        let steps = format!(
            "[stop: hub, send: note, wait: 1m, start: hub, queue run: {run}, check: [{{ wire: {{ at: hub, sessions: 0 }} }}], settle]"
        );
        let (record, _) = note(&steps, "");
        (record.checkpoints[0].record.deliveries.len(), record.deliveries.len())
    };
    assert_eq!((sessions("force"), sessions("due")), ((1, 1), (0, 1)));
}

#[test]
fn a_full_disk_is_told_to_the_client_and_passes() {
    let steps = "[fault: { relay: disk full }, send: note, fault: { relay: none }, send: note, settle]";
    let (record, _) = note(steps, "expect: [{ delivered: {} }]\n");
    let fates: Vec<&Accepted> = record.submissions.iter().map(|s| &s.recipients[0].fate).collect();
    assert!(
        matches!(fates[0], Accepted::No { reply: Some(reply), .. } if reply.starts_with("452")),
        "RFC 5321 section 4.2.3: {fates:?}"
    );
    assert_eq!((fates[1], record.deliveries.len()), (&Accepted::Yes, 1));
}

#[test]
fn a_name_that_nobody_asked_for_leaves_the_scenario_unexercised() {
    let outcome = |decisive: &str| {
        let more = format!(
            "dns: {{ hub.example: {{ MX: [\"10 gone.example\"] }}, gone.example: nxdomain }}\nexpect: [{{ returned: {{}} }}]\ndecisive: {decisive}\n"
        );
        note("[send: note, settle]", &more).1.outcome
    };
    assert_eq!(outcome("{ dns: Hub.example, type: MX }"), Outcome::Pass);
    assert_eq!(outcome("[{ dns: hub.example }, { dns: gone.example }]"), Outcome::Pass);
    for (decisive, what) in [
        ("{ dns: gone.example, type: TXT }", "the relay never asked for the TXT of name gone.example"),
        ("[{ dns: hub.example }, hub]", "no session with hub came about"),
    ] {
        assert_eq!(outcome(decisive), Outcome::Unsupported { reason: format!("not exercised: {what}") });
    }
}

#[test]
fn the_same_steps_give_the_same_record() {
    let steps = "[send: note, at: { hub: data }, wait: 12m, check: [queued: note], kill: relay, restart: relay, settle]";
    assert_eq!(note(steps, ONCE_OR_TWICE), note(steps, ONCE_OR_TWICE));
}

#[test]
fn the_story_of_many_recipients_is_short() {
    for pipelining in ["offers: { drop: [PIPELINING] }, ", ""] {
        let scenario = scenario(&format!(
            "
title: Many recipients
servers:
  hub: {{ serves: [hub.example], {pipelining}on: {{ RCPT: {{ when: {{ to: \"u*\" }}, reply: \"250 2.1.5 OK\" }} }} }}
messages:
  list: {{ from: a@origin.example, to: [\"u{{1..250}}@hub.example\"] }}
expect:
  - delivered: {{}}
"
        ));
        let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
        let story = render::story(&record);
        assert!(story.contains("more like"), "{story}");
        assert!(story.lines().count() < 120, "{} lines:\n{story}", story.lines().count());
    }
}

#[test]
fn a_jump_has_what_was_due_on_the_way_come_due_once_at_its_end() {
    let (record, _) = note(
        "[stop: hub, send: note, jump: 5h, start: hub, settle]",
        "expect: [{ delivered: { by: hub } }]\n",
    );
    assert_eq!(record.end.how, Ending::Finished);
    let minutes: Vec<u64> =
        record.timelines[0].attempts.iter().map(|at| at.since_start().as_secs() / 60).collect();
    assert_eq!(minutes, [0, 300, 315], "every quarter of an hour it would be twenty");
    let story = render::story(&record);
    for words in [
        "== +0s  jump: 5h (at once to +5h)\n",
        "(the clock jumped from +0s to +5h: waits over that are not the relay's own)\n",
    ] {
        assert!(story.contains(words), "{words} is not in\n{story}");
    }
    assert!(!render::brief(&record).contains("retried"), "{}", render::brief(&record));
}

#[test]
fn nothing_jumps_over_a_session_that_is_open() {
    let steps = "[send: note, at: { hub: end-of-data }, jump: 2h, jump: 1h, settle, jump: 1h]";
    let (record, verdict) = note(steps, ONCE_OR_TWICE);
    assert_eq!((&record.end.how, verdict.outcome), (&Ending::Finished, Outcome::Pass));
    let story = render::story(&record);
    let words = "jump: 2h (time passed to +2h: a connection with 198.51.100.10 was open all the while)\n";
    assert!(story.contains(words), "{story}");
    assert!(story.contains("  jump: 1h (at once to +"), "once it is let go: {story}");
}

#[test]
fn a_jump_waits_for_an_answer_that_never_comes() {
    let more = "
dns: { hub.example: timeout }
expect: [{ none of: [delivered: { times: 1.. }] }]
";
    let (record, _) = note("[send: note, jump: 1h]", more);
    let Some(jumped) = &record.steps[1].jumped else { panic!("{:?}", record.steps) };
    assert_eq!(jumped.open.as_deref(), Some("a DNS query was open"));
    assert!(jumped.from.is_some_and(|from| from.since_start() < Duration::from_mins(5)), "{jumped:?}");
}
