//! Each check holds, breaks, and says why; and how a verdict comes of it.

use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::script::{Action, Glob, On, Range, Rule, Verb};
use mock_servers::transcript::{RuleFired, What};

use super::testing::{delivered, expecting, judge_with, of, returned, scenario};
use super::{Outcome, State, judge};
use crate::record::testing::{Run, Talk, content, deferral, delivery, minutes, notice, relayed};
use crate::record::{Ending, Record, dkim};
use crate::scenario::{
    Canonicalization, Check, Decisive, Delivered, Level, Message, Octets, Of, Refused, Returned, Wire,
    WireThing,
};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

/// How a check came out, and why.
fn look(check: Check, record: &Record) -> (State, String) {
    let verdict = judge(&expecting(Level::Must, check), record);
    (verdict.results[0].state, verdict.results[0].why.clone())
}

#[track_caller]
fn holds(check: Check, record: &Record) {
    let (state, why) = look(check, record);
    assert_eq!(state, State::Held, "{why}");
}

#[track_caller]
fn breaks(check: Check, record: &Record, why: &str) {
    assert_eq!(look(check, record), (State::Broken, why.to_owned()));
}

fn at_attempt_2() -> Record {
    let first = deferral("hub", 1, minutes(0), BOB, "451 later");
    Run::new().sent("note", &[BOB]).talk(first).delivered("hub", 2, minutes(45), "note-1", &[BOB]).record()
}

fn lost() -> Record {
    Run::new().sent("note", &[BOB]).record()
}

fn bounced() -> Record {
    Run::new()
        .sent("note", &[BOB])
        .notified(1, minutes(1), &notice("note-1", BOB, "failed", "5.1.1"))
        .record()
}

#[test]
fn a_delivery_is_looked_at_with_all_that_is_said_of_it() {
    let wanted = || delivered("note");
    let check = |wanted: Delivered| Check::Delivered(wanted);
    let record = at_attempt_2();
    holds(check(wanted()), &record);
    holds(
        check(Delivered { by: Some("hub".to_owned()), attempt: Some(Range::exactly(2)), ..wanted() }),
        &record,
    );
    holds(check(Delivered { octets: Some(Octets::SevenBit), ..wanted() }), &record);
    breaks(
        check(Delivered { attempt: Some(Range::exactly(1)), ..wanted() }),
        &record,
        "note to bob@hub.example was delivered by hub at attempt 2 (+45m), 7-bit; required attempt 1",
    );
    breaks(
        check(Delivered { by: Some("spare".to_owned()), ..wanted() }),
        &record,
        "note to bob@hub.example was delivered by hub at attempt 2 (+45m), 7-bit; required 1 copy by spare",
    );
    breaks(
        check(Delivered {
            within: Some(Range { from: None, to: Some(Duration::from_mins(10)) }),
            ..wanted()
        }),
        &record,
        "note to bob@hub.example was delivered by hub at attempt 2 (+45m), 7-bit; required at most 10m after the submission",
    );
    breaks(
        check(Delivered { times: Range::exactly(0), ..wanted() }),
        &record,
        "note to bob@hub.example got 1 copy (by hub at attempt 2 (+45m), 7-bit); required no copy",
    );
}

#[test]
fn a_signature_is_looked_at_as_each_copy_has_it() {
    let signed = {
        let content = content("note-1");
        [dkim::signature(&content, "origin.example", false).as_bytes(), &content].concat()
    };
    let came = |got: Vec<u8>| {
        let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
        let talk = talk.rcpt(BOB, &[], "250 OK").data(&signed, "250 OK").quit();
        let hub = Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
        let hub = hub.rcpt(BOB, &[], "250 OK").data(&got, "250 OK").taken(true).quit();
        Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, signed.clone()).talk(hub).record()
    };
    let check = Check::Delivered(Delivered { dkim_intact: true, ..delivered("note") });
    let mut scenario = expecting(Level::Must, check);
    let mut note = Message { name: "note".to_owned(), from: ALICE.to_owned(), ..Message::default() };
    note.content.dkim = Some(Canonicalization::Relaxed);
    scenario.messages.push(note);
    let result = |got| judge(&scenario, &came(got)).results.remove(0);
    assert_eq!(result(relayed(&signed)).state, State::Held);
    let changed = String::from_utf8(relayed(&signed)).unwrap().replace("Subject:", "Subject: [list]");
    assert_ne!(changed.as_bytes(), relayed(&signed));
    let broken = result(changed.into_bytes());
    assert_eq!(broken.state, State::Broken);
    assert_eq!(
        broken.why,
        "note to bob@hub.example was delivered by hub at attempt 1 (+0s), 7-bit; required a DKIM signature of \
         origin.example that verifies: the header is not the one that was signed"
    );
}

#[test]
fn what_was_not_delivered_is_told_by_what_became_of_it() {
    let check = || Check::Delivered(delivered("note"));
    breaks(check(), &bounced(), "note to bob@hub.example was returned at +1m (5.1.1); required 1 copy");
    let queued = Run::new().sent("note", &[BOB]).queued(minutes(1), &[BOB], 3, Some(minutes(2000))).record();
    breaks(
        check(),
        &queued,
        "note to bob@hub.example is still in the queue after 3 attempts: 451 later; required 1 copy",
    );
    let (state, why) = look(check(), &lost());
    assert_eq!(state, State::Broken);
    assert!(why.contains("has no ending"), "{why}");
}

#[test]
fn each_recipient_is_looked_at_by_itself() {
    let to: Vec<String> = (1..=6).map(|n| format!("u{n}@hub.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let record = Run::new().sent("list", &to).delivered("hub", 1, minutes(0), "list-1", &to[..1]).record();
    let only = |glob: &str| {
        let of = Of { message: Some("list".to_owned()), to: Some(Glob(glob.to_owned())) };
        Check::Delivered(Delivered { of, ..delivered("list") })
    };
    holds(only("u1@*"), &record);
    let (state, why) = look(only("*"), &record);
    assert_eq!(state, State::Broken);
    assert!(why.starts_with("list to u2@hub.example") && why.ends_with("; and 1 more"), "{why}");
    assert_eq!(look(only("nobody@*"), &record).0, State::NotApplicable);
}

#[test]
fn a_return_has_its_status_time_and_text() {
    let check = |change: fn(&mut Returned)| {
        let mut wanted = returned("note");
        change(&mut wanted);
        Check::Returned(wanted)
    };
    let record = bounced();
    holds(check(|_| {}), &record);
    holds(check(|r| r.status = vec![Glob("4.*".to_owned()), Glob("5.*".to_owned())]), &record);
    holds(check(|r| r.text = Some("could NOT be delivered".to_owned())), &record);
    breaks(
        check(|r| r.status = vec![Glob("4.4.7".to_owned())]),
        &record,
        "note to bob@hub.example was returned at +1m with 5.1.1; required 4.4.7",
    );
    breaks(
        check(|r| r.text = Some("mailbox full".to_owned())),
        &record,
        "note to bob@hub.example was returned at +1m in a text that does not say `mailbox full`",
    );
    assert_eq!(look(check(|_| {}), &at_attempt_2()).0, State::Broken);
}

#[test]
fn delays_and_other_notices_are_counted() {
    let warned = Run::new()
        .sent_as("note", ALICE, &[(BOB, &["NOTIFY=DELAY,SUCCESS,FAILURE"])])
        .notified(1, minutes(240), &notice("note-1", BOB, "delayed", "4.4.1"))
        .delivered("hub", 1, minutes(300), "note-1", &[BOB])
        .notified(2, minutes(300), &notice("note-1", BOB, "relayed", "2.0.0"))
        .record();
    let delayed = |from: u64, to: Option<Duration>| Check::Delayed {
        of: of("note"),
        times: Range { from: Some(from), to: None },
        text: None,
        within: Range { from: None, to },
    };
    holds(delayed(1, None), &warned);
    assert_eq!(look(delayed(2, None), &warned).0, State::Broken);
    assert_eq!(look(delayed(1, Some(Duration::from_mins(9))), &warned).0, State::Broken);
    let times = Range { from: Some(1), to: None };
    holds(Check::Notified { of: of("note"), action: "relayed".to_owned(), times }, &warned);
    assert_eq!(
        look(Check::Notified { of: of("note"), action: "delivered".to_owned(), times }, &warned).0,
        State::Broken
    );
}

#[test]
fn a_refusal_has_its_place_and_reply() {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(
        BOB,
        &[],
        "550 5.1.1 no",
    );
    let record = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk.quit(), content("note-1")).record();
    let check = |at: Option<&str>, reply: Option<&str>| {
        let glob = |text: &str| Glob(text.to_owned());
        Check::Refused(Refused { of: of("note"), at: at.map(str::to_owned), reply: reply.map(glob) })
    };
    holds(check(Some("RCPT"), Some("5*")), &record);
    holds(check(None, Some("550")), &record);
    breaks(
        check(Some("MAIL"), None),
        &record,
        "note to bob@hub.example was refused at RCPT: 550 5.1.1 no; required at MAIL with 4yz or 5yz",
    );
    breaks(check(None, None), &lost(), "note to bob@hub.example was accepted");
}

#[test]
fn alternatives_are_tried_in_order() {
    let refused = || Check::Refused(Refused { of: of("note"), at: None, reply: None });
    let bounce = || Check::Returned(returned("note"));
    holds(Check::AnyOf(vec![refused(), bounce()]), &bounced());
    holds(Check::AllOf(vec![bounce(), Check::NoneOf(vec![refused()])]), &bounced());
    assert_eq!(look(Check::AnyOf(vec![refused(), bounce()]), &lost()).0, State::Broken);
    assert_eq!(look(Check::NoneOf(vec![bounce()]), &bounced()).0, State::Broken);
}

#[test]
fn each_submission_is_taken_by_itself() {
    let check = || Check::Each {
        message: "note".to_owned(),
        check: Box::new(Check::Returned(Returned { of: Of::default(), ..returned("note") })),
    };
    let twice = || Run::new().sent("note", &[BOB]).sent("note", &[BOB]);
    let first = notice("note-1", BOB, "failed", "5.1.2");
    let second = notice("note-2", BOB, "failed", "5.1.2");
    holds(check(), &twice().notified(1, minutes(0), &first).notified(2, minutes(0), &second).record());
    let (state, why) = look(check(), &twice().notified(1, minutes(0), &first).record());
    assert_eq!(state, State::Broken);
    assert!(why.starts_with("submission 2: to bob@hub.example has no ending"), "{why}");
    assert_eq!(look(check(), &Run::new().record()).0, State::NotApplicable);
}

#[test]
fn the_wire_is_looked_at() {
    let record = at_attempt_2();
    let wire = |change: fn(&mut Wire)| {
        let mut wanted = Wire { at: Some("hub".to_owned()), ..Wire::default() };
        change(&mut wanted);
        Check::Wire(wanted)
    };
    holds(wire(|w| w.first = Some("EHLO".to_owned())), &record);
    breaks(
        wire(|w| w.first = Some("HELO".to_owned())),
        &record,
        "hub, session 1: the first command is `EHLO relay.origin.example`; required HELO; \
         hub, session 2: the first command is `EHLO relay.origin.example`; required HELO",
    );
    holds(
        wire(|w| w.never = vec![WireThing::Command("BDAT".to_owned()), WireThing::EightBitContent]),
        &record,
    );
    breaks(
        wire(|w| w.never = vec![WireThing::Command("rcpt to:<bob@hub.example>".to_owned())]),
        &record,
        "hub, session 1: `RCPT TO:<bob@hub.example>`; hub, session 2: `RCPT TO:<bob@hub.example>`",
    );
    holds(wire(|w| w.once = vec![WireThing::CommandInClear("MAIL".to_owned())]), &record);
    breaks(
        wire(|w| w.once = vec![WireThing::Command("BDAT".to_owned())]),
        &record,
        "no session with hub has BDAT",
    );
    holds(wire(|w| w.sessions = Some(Range::exactly(2))), &record);
    holds(wire(|w| w.gap = Some(Range { from: Some(Duration::from_mins(30)), to: None })), &record);
    breaks(
        wire(|w| w.gap = Some(Range { from: Some(Duration::from_hours(1)), to: None })),
        &record,
        "hub, session 2 began 45m after session 1; required at least 1h",
    );
    // Relays reckon in whole seconds.
    holds(wire(|w| w.gap = Some(Range { from: Some(Duration::from_millis(2_700_800)), to: None })), &record);
    breaks(
        wire(|w| w.gap = Some(Range { from: Some(Duration::from_secs(2_701)), to: None })),
        &record,
        "hub, session 2 began 45m after session 1; required at least 45m1s",
    );
    holds(wire(|w| w.gap = Some(Range { from: None, to: Some(Duration::from_millis(2_699_200)) })), &record);
    holds(Check::Untouched("spare".to_owned()), &record);
    breaks(Check::Untouched("hub".to_owned()), &record, "2 sessions with hub, the first at +0s");
}

#[test]
fn dialogues_complete_or_say_where_they_stopped() {
    let whole = Talk::client("odd", 1, minutes(0)).hello(&[]).event(What::Completed).quit();
    holds(Check::Completed("odd".to_owned()), &Run::new().talk(whole).record());
    let mismatch = What::Mismatch { step: 3, expected: "250 *".to_owned(), got: "500 what".to_owned() };
    let broken = Talk::client("odd", 1, minutes(0)).hello(&[]).event(mismatch).quit();
    breaks(
        Check::Completed("odd".to_owned()),
        &Run::new().talk(broken).record(),
        "odd, session 1 at its line 3: waited for `250 *`, got `500 what`",
    );
    breaks(Check::Completed("odd".to_owned()), &Run::new().record(), "odd has no session");
}

#[test]
fn the_log_is_searched() {
    let record = Run::new().log(minutes(1), "Event 4120: notification aborted").record();
    holds(Check::Logged(Glob("*4120*".to_owned())), &record);
    breaks(Check::Logged(Glob("*4121*".to_owned())), &record, "no line of the log is `*4121*`");
}

fn outcome(level: Level, record: &Record) -> Outcome {
    let check = Check::Delivered(Delivered {
        by: Some("hub".to_owned()),
        attempt: Some(Range::exactly(1)),
        ..delivered("note")
    });
    judge(&expecting(level, check), record).outcome
}

#[test]
fn the_level_decides_the_outcome() {
    assert_eq!(outcome(Level::Must, &at_attempt_2()), Outcome::Violates);
    assert_eq!(outcome(Level::Should, &at_attempt_2()), Outcome::Deviates);
    assert_eq!(outcome(Level::May, &at_attempt_2()), Outcome::Pass);
    assert_eq!(outcome(Level::Should, &lost()), Outcome::Violates, "an invariant outweighs a SHOULD");
}

#[test]
fn a_guard_makes_it_inconclusive() {
    let guard = Ending::Guard { waiting_for: "the relay".to_owned() };
    let record = Run::new().sent("note", &[BOB]).end(minutes(1), guard).record();
    assert!(matches!(outcome(Level::Must, &record), Outcome::Inconclusive { .. }));
}

/// What was expected would have come later; what holds for every run was seen.
#[test]
fn without_a_clock_only_what_holds_for_every_run_is_held_against_it() {
    let no_clock = || Ending::NoClock { waits: "an entry".to_owned() };
    let kept = Run::new().sent("note", &[BOB]).queued(minutes(0), &[BOB], 1, None);
    let verdict = judge(
        &expecting(Level::Must, Check::Delivered(delivered("note"))),
        &kept.end(minutes(0), no_clock()).record(),
    );
    assert_eq!(verdict.outcome, Outcome::Unsupported { reason: "no virtual clock: an entry".to_owned() });
    assert!(verdict.findings.is_empty());
    let gone = Run::new().sent("note", &[BOB]).end(minutes(0), no_clock()).record();
    assert_eq!(outcome(Level::Must, &gone), Outcome::Violates, "it is lost all the same");
}

#[test]
fn a_relay_that_dies_violates_unless_it_was_killed() {
    let died = || Run::new().end(minutes(1), Ending::RelayDied { why: "signal 11".to_owned() });
    assert_eq!(judge_with(&scenario(), &died().record()), ["invariant: the relay lives"]);
    assert_eq!(
        judge_with(&scenario(), &died().step("kill: relay", minutes(1)).record()),
        Vec::<String>::new()
    );
}

#[test]
fn what_was_not_exercised_is_never_a_pass() {
    let mut wanted = scenario();
    let record = Run::new()
        .sent("note", &[BOB])
        .talk(delivery("hub", 1, minutes(0), "note-1", &[BOB]).quit())
        .record();
    assert_eq!(judge(&wanted, &record).outcome, Outcome::Pass);
    wanted.decisive =
        Some(Decisive::Rule { server: "hub".to_owned(), event: "BDAT".to_owned(), index: None });
    let reason = "not exercised: the rule on BDAT of hub never fired".to_owned();
    assert_eq!(judge(&wanted, &record).outcome, Outcome::Unsupported { reason });
    let fired = What::Rule(RuleFired { event: "BDAT".to_owned(), index: 0 });
    let talk = delivery("hub", 1, minutes(0), "note-1", &[BOB]).event(fired).quit();
    assert_eq!(judge(&wanted, &Run::new().sent("note", &[BOB]).talk(talk).record()).outcome, Outcome::Pass);
    assert_eq!(judge(&wanted, &lost()).outcome, Outcome::Violates, "an invariant outweighs it");
}

#[test]
fn a_rule_that_never_fires_is_found_without_being_named() {
    let mut wanted = scenario();
    let rule = Rule { when: Vec::new(), actions: vec![Action::Stall], after: None };
    wanted.servers[0].script.rules = vec![(On::Command(Verb::Bdat), vec![rule])];
    let record =
        Run::new().sent("note", &[BOB]).delivered("hub", 1, RunTime::ZERO, "note-1", &[BOB]).record();
    let reason =
        "not exercised: no rule of hub ever fired; where a good relay fires none, `decisive: hub` says so"
            .to_owned();
    assert_eq!(judge(&wanted, &record).outcome, Outcome::Unsupported { reason });
}

#[test]
fn findings_come_worst_first_with_their_evidence() {
    let verdict = judge(&expecting(Level::Should, Check::Delivered(delivered("note"))), &lost());
    let rules: Vec<&str> = verdict.findings.iter().map(|f| f.rule.as_str()).collect();
    assert_eq!(rules, ["invariant: lost", "expectation 1"]);
    assert!(verdict.findings.iter().all(|f| !f.evidence.is_empty()));
    assert_eq!(verdict.findings[1].it, "delivers note");
}
