//! Rules: their conditions, their order, and what their actions do.

use std::time::Duration;

use rstest::rstest;

use super::bench::{
    EHLO, FIN, RESET, always, on, plain, reply, rule, run_both_ways, run_whole, say, server, wait, with,
};
use crate::RunTime;
use crate::script::{
    Action, Certificate, Condition, Glob, MeansFor, On, Range, ReplyText, Rule, Script, TlsAction, Verb,
};
use crate::smtp::conversation::Output;
use crate::transcript::What;

pub(super) const MAIL: &str = "MAIL FROM:<a@origin.example>\r\n";
pub(super) const RCPT: &str = "RCPT TO:<bob@hub.example>\r\n";

pub(super) fn glob(pattern: &str) -> Glob {
    Glob(pattern.to_owned())
}

pub(super) fn from<T>(value: T) -> Range<T> {
    Range { from: Some(value), to: None }
}

pub(super) fn one(value: u64) -> Range<u64> {
    Range::exactly(value)
}

/// Refuses with 450 when the condition holds.
pub(super) fn refuses_when(condition: Condition) -> Vec<Rule> {
    vec![rule(vec![condition], vec![reply("450 4.0.0 rule")])]
}

#[test]
fn a_rule_about_a_mail_needs_one() {
    let mut script = with(on(Verb::Mail), always(vec![reply("451 4.3.0 no")]));
    script.rules.push((on(Verb::Rcpt), refuses_when(Condition::To(glob("*")))));
    let run = run_both_ways(&script, &[say(EHLO), say(format!("{MAIL}{RCPT}DATA\r\n"))]);
    assert_eq!(run.codes()[2..], [451, 503, 503], "the state is kept");
}

#[test]
fn the_first_rule_that_fits_fires_and_any_comes_behind_it() {
    let mut script = plain();
    script.rules = vec![
        (On::Any, vec![rule(vec![Condition::Nth(from(4))], vec![reply("421 4.3.2 Enough")])]),
        (
            on(Verb::Noop),
            vec![
                rule(vec![Condition::Nth(one(2))], vec![reply("251 second")]),
                rule(vec![Condition::Nth(from(2))], vec![reply("252 later")]),
            ],
        ),
    ];
    script.profile.habits = vec![(on(Verb::Noop), always(vec![reply("253 habit")]))];
    let run = run_both_ways(&script, &[say("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nXYZ\r\nNOOP\r\n")]);
    assert_eq!(run.codes(), [220, 253, 251, 252, 252, 421]);
    assert_eq!(run.fired(), ["NOOP 0", "NOOP 1", "NOOP 1", "any 0"], "habits are not the scenario's");
    assert_eq!(run.ending, Some(Output::CloseFin), "the server closes after 421");
}

#[test]
fn a_rule_that_says_nothing_leaves_the_answer_to_the_profile() {
    let run = run_both_ways(&with(on(Verb::Mail), always(vec![Action::Pace(7)])), &[say(EHLO), say(MAIL)]);
    assert_eq!(run.codes(), [220, 250, 250]);
    assert_eq!(run.segments[run.segments.len() - 3..], ["250 2.1", ".0 Send", "er OK\r\n"]);
}

#[test]
fn a_multi_line_reply_has_its_code_on_every_line() {
    let text =
        ReplyText { code: 554, lines: vec!["5.0.0 {host}".to_owned(), "5.0.0 no {client}".to_owned()] };
    let run = run_both_ways(&with(on(Verb::Noop), always(vec![Action::Reply(text)])), &[say("NOOP\r\n")]);
    assert!(run.text().ends_with("554-5.0.0 hub.example\r\n554 5.0.0 no 198.51.100.9\r\n"), "{}", run.text());
}

#[test]
fn raw_bytes_are_segments_of_their_own_and_mean_what_is_said() {
    let send = |bytes: &str, means| Action::Send { bytes: bytes.as_bytes().to_vec(), means };
    let script = with(
        on(Verb::Mail),
        always(vec![send("250-o", None), send("dd\r\n25", Some(MeansFor::Accepted)), send("0 \r\n", None)]),
    );
    let run = run_both_ways(&script, &[say(EHLO), say(format!("{MAIL}{RCPT}"))]);
    assert_eq!(run.segments[2..5], ["250-o", "dd\r\n25", "0 \r\n"]);
    assert_eq!(run.codes()[3..], [250], "RCPT was accepted");
    let refused = always(vec![send("550#5.1.0 no\r\n", Some(MeansFor::Refused))]);
    let run = run_both_ways(&with(on(Verb::Mail), refused), &[say(EHLO), say(format!("{MAIL}{RCPT}"))]);
    assert_eq!(run.codes()[2..], [550, 503]);
    let nothing = always(vec![send("?\r\n", None)]);
    let run = run_both_ways(&with(on(Verb::Mail), nothing), &[say(EHLO), say(format!("{MAIL}{RCPT}"))]);
    assert_eq!(run.codes()[3..], [503]);
}

#[test]
fn a_raw_354_that_counts_as_accepted_begins_the_body() {
    let send = Action::Send { bytes: b"350 go\r\n".to_vec(), means: Some(MeansFor::Accepted) };
    let script = with(on(Verb::Data), always(vec![send]));
    let run = run_both_ways(&script, &[say(EHLO), say(format!("{MAIL}{RCPT}DATA\r\n")), say("x\r\n.\r\n")]);
    assert_eq!(run.codes()[4..], [350, 250]);
    assert_eq!(run.transaction().content, b"x\r\n");
}

#[test]
fn a_nested_mail_that_a_rule_accepts_begins_anew() {
    let script = with(on(Verb::Mail), always(vec![reply("250 2.1.0 again")]));
    let run = run_both_ways(
        &script,
        &[say(EHLO), say(format!("{MAIL}{RCPT}MAIL FROM:<x@y>\r\n{RCPT}DATA\r\n")), say(".\r\n")],
    );
    assert_eq!(run.codes()[2..], [250, 250, 250, 250, 354, 250]);
    let [first, second] = &run.record.transactions[..] else { panic!("two transactions") };
    assert!(first.finished.is_some() && !first.taken);
    assert_eq!((second.from.as_str(), second.recipients.len(), second.taken), ("x@y", 1, true));
}

#[test]
fn an_ehlo_reply_of_a_rule_is_what_is_offered() {
    let text = ReplyText { code: 250, lines: vec!["hub".to_owned(), "SIZE 10".to_owned()] };
    let script = with(on(Verb::Ehlo), always(vec![Action::Reply(text)]));
    let run = run_both_ways(
        &script,
        &[say(EHLO), say("MAIL FROM:<a@b> BODY=8BITMIME\r\nMAIL FROM:<a@b> SIZE=11\r\n")],
    );
    assert_eq!(run.codes()[2..], [555, 552]);
    assert_eq!(run.record.offers[0].keywords, ["SIZE 10"]);
}

#[test]
fn a_refused_ehlo_changes_nothing() {
    let script = with(on(Verb::Ehlo), vec![rule(vec![Condition::Nth(one(2))], vec![reply("501 no")])]);
    let run = run_both_ways(&script, &[say(EHLO), say(format!("{MAIL}EHLO sub2.\r\n{RCPT}"))]);
    assert_eq!(run.codes()[2..], [250, 501, 250]);
}

const TO_THE_DOT: [&str; 3] = [EHLO, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "x\r\n.\r\n"];

fn at_the_dot(actions: Vec<Action>) -> super::bench::Run {
    run_both_ways(&with(On::EndOfData, always(actions)), &TO_THE_DOT.map(say))
}

#[test]
fn a_mail_can_be_taken_without_a_reply() {
    let run = at_the_dot(vec![Action::Take(true), RESET]);
    assert_eq!(run.codes().last(), Some(&354));
    assert!(run.transaction().taken && run.transaction().final_reply.is_none());
    assert_eq!(run.taken(), 1);
    assert_eq!(run.ending, Some(Output::CloseReset { at_once: false }));
}

#[rstest]
#[case::said_and_not_kept(vec![Action::Take(false)], 250, false)]
#[case::kept_and_refused(vec![reply("451 4.3.0 no"), Action::Take(true)], 451, true)]
#[case::not_kept_after_the_reply(vec![reply("250 2.0.0 yes"), Action::Take(false)], 250, false)]
#[case::refused(vec![reply("554 5.7.1 no")], 554, false)]
#[case::odd(vec![reply("354 what")], 354, false)]
fn take_says_whether_the_mail_is_kept(#[case] actions: Vec<Action>, #[case] code: u16, #[case] taken: bool) {
    let run = at_the_dot(actions);
    let transaction = run.transaction();
    assert_eq!(transaction.final_reply.as_ref().map(|r| r.code), Some(code));
    assert_eq!((transaction.taken, run.taken()), (taken, usize::from(taken)));
}

#[test]
fn two_replies_for_one_count_once() {
    let run = run_both_ways(
        &with(On::EndOfData, always(vec![reply("250 2.0.0 one"), reply("451 4.0.0 two")])),
        &[say(EHLO), say(TO_THE_DOT[1]), say(TO_THE_DOT[2]), say("NOOP\r\n")],
    );
    assert_eq!(run.codes()[5..], [250, 451, 250]);
    assert_eq!(run.transaction().final_reply.as_ref().map(|r| r.code), Some(250));
}

#[test]
fn content_rules_fire_while_the_body_comes() {
    let rules = vec![rule(vec![Condition::Octets(from(8))], vec![reply("552 5.3.4 Too big"), FIN])];
    let run = run_both_ways(&with(On::Data, rules), &[say(EHLO), say(TO_THE_DOT[1]), say("12\r\n34\r\n")]);
    assert_eq!(run.codes()[5..], [552]);
    assert_eq!(run.ending, Some(Output::CloseFin));
    assert_eq!(run.transaction().final_reply.as_ref().map(|r| r.code), Some(552));
    assert!(!run.transaction().ended);
}

#[test]
fn a_body_answered_early_has_no_other_answer() {
    let rules = vec![rule(vec![Condition::Line(from(3))], vec![reply("550 5.7.1 spam")])];
    let run = run_both_ways(
        &with(On::Data, rules),
        &[say(EHLO), say(TO_THE_DOT[1]), say("12\r\n123\r\n4567\r\n.\r\n"), say("NOOP\r\n")],
    );
    assert_eq!(run.codes()[5..], [550, 250]);
    assert_eq!(run.fired(), ["data 0"]);
    assert!(run.transaction().ended && !run.transaction().taken);
}

#[test]
fn bdat_last_is_the_end_of_data_too() {
    let script = Script {
        rules: vec![
            (on(Verb::Bdat), vec![rule(vec![Condition::Nth(one(2))], vec![Action::Pace(100)])]),
            (On::EndOfData, always(vec![reply("451 4.3.0 later")])),
        ],
        ..server(&["CHUNKING"])
    };
    let run = run_both_ways(
        &script,
        &[say(EHLO), say(format!("{MAIL}{RCPT}BDAT 1\r\na")), say("BDAT 1 LAST\r\nb")],
    );
    assert_eq!(run.codes()[4..], [250, 451]);
    assert_eq!(run.fired(), ["BDAT 0", "end-of-data 0"]);
    assert_eq!(run.transaction().content, b"ab");
    assert!(!run.transaction().taken);
}

#[test]
fn a_rule_that_answers_bdat_comes_when_the_chunk_is_read() {
    let script = Script {
        rules: vec![(on(Verb::Bdat), always(vec![reply("500 5.5.2 What?")]))],
        ..server(&["CHUNKING"])
    };
    let run =
        run_both_ways(&script, &[say(EHLO), say(format!("{MAIL}{RCPT}BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"))]);
    assert_eq!(run.codes()[4..], [500, 250]);
}

#[rstest]
#[case::plain(vec![], Some(good()))]
#[case::its_own_words(vec![reply("220 go")], Some(good()))]
#[case::refused(vec![reply("454 4.7.0 no")], None)]
#[case::with_a_fault(
    vec![Action::Tls(TlsAction { clear_before: b"250 x\r\n".to_vec(), ..TlsAction::default() })],
    Some(TlsAction { clear_before: b"250 x\r\n".to_vec(), ..good() })
)]
fn starttls_begins_after_the_220(#[case] actions: Vec<Action>, #[case] tls: Option<TlsAction>) {
    let rules = if actions.is_empty() { Vec::new() } else { always(actions) };
    let script = Script { rules: vec![(on(Verb::StartTls), rules)], ..server(&["STARTTLS"]) };
    let run = run_both_ways(&script, &[say(EHLO), say("STARTTLS\r\n")]);
    let clear = tls.as_ref().is_some_and(|tls| !tls.clear_before.is_empty());
    assert_eq!(run.segments[2].ends_with("\r\n250 x\r\n"), clear, "in one segment with the 220");
    assert_eq!(run.ending, tls.map(Output::BeginTls));
}

#[test]
fn tls_is_not_begun_where_the_server_has_none() {
    let script = with(on(Verb::StartTls), always(vec![Action::Tls(TlsAction::default())]));
    let run = run_both_ways(&script, &[say(EHLO), say("STARTTLS\r\nNOOP\r\n")]);
    assert_eq!(run.codes()[2..], [502, 250]);
}

#[rstest]
#[case::fin(FIN, Output::CloseFin)]
#[case::reset(RESET, Output::CloseReset { at_once: false })]
#[case::stall(Action::Stall, Output::Stall)]
fn after_its_end_a_session_does_nothing_more(#[case] end: Action, #[case] ending: Output) {
    let script = with(on(Verb::Mail), always(vec![reply("550 5.7.1 no"), end]));
    let run = run_both_ways(&script, &[say(EHLO), say(format!("{MAIL}{RCPT}QUIT\r\n")), say("x")]);
    assert_eq!(run.codes()[2..], [550]);
    assert_eq!(run.ending, Some(ending));
}

#[test]
fn a_greeting_that_refuses_leaves_only_quit() {
    let script = with(On::Connect, always(vec![reply("554 5.3.2 No mail here")]));
    let run = run_both_ways(&script, &[say(format!("{EHLO}{MAIL}QUIT\r\n"))]);
    assert_eq!(run.codes(), [554, 503, 503, 221]);
}

#[test]
fn the_order_of_events_is_the_order_of_the_wire() {
    let script = with(On::EndOfData, always(vec![Action::Take(true)]));
    let run = run_whole(&script, &TO_THE_DOT.map(say));
    let kinds = run.record.events.iter().rev().take(4).map(|event| match &event.what {
        What::Bytes { .. } => "bytes",
        What::Rule(_) => "rule",
        What::Taken { .. } => "taken",
        _ => "other",
    });
    let kinds: Vec<_> = kinds.rev().collect();
    assert_eq!(kinds, ["bytes", "rule", "taken", "bytes"]);
    let late = with(On::EndOfData, always(vec![wait(5)]));
    let run =
        run_both_ways(&late, &[say(EHLO), say(TO_THE_DOT[1]), say(TO_THE_DOT[2]), super::bench::pass(9)]);
    assert_eq!(run.transaction().finished, Some(RunTime::ZERO + Duration::from_secs(5)));
}

/// What comes of saying nothing about the certificate: the server's own, which is a good one here.
fn good() -> TlsAction {
    TlsAction { certificate: Some(Certificate::Good), ..TlsAction::default() }
}
