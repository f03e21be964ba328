//! Rules: their conditions, their order, and what their actions do.

use std::time::Duration;

use rstest::rstest;

use super::bench::{
    Bench, Do, EHLO, FIN, RESET, always, on, plain, reply, rule, run_both_ways, run_whole, say, server, wait,
    with,
};
use crate::RunTime;
use crate::script::{Action, Condition, Glob, MeansFor, On, Range, ReplyText, Script, TlsAction, Verb};
use crate::smtp::conversation::Output;
use crate::smtp::memory::ServerMemory;
use crate::smtp::session::Limits;
use crate::transcript::{Recorder, What};

const MAIL: &str = "MAIL FROM:<a@origin.example>\r\n";
const RCPT: &str = "RCPT TO:<bob@hub.example>\r\n";

fn glob(pattern: &str) -> Glob {
    Glob(pattern.to_owned())
}

fn from<T>(value: T) -> Range<T> {
    Range { from: Some(value), to: None }
}

fn one(value: u64) -> Range<u64> {
    Range::exactly(value)
}

/// Refuses with 450 when the condition holds.
fn refuses_when(condition: Condition) -> Vec<crate::script::Rule> {
    vec![rule(vec![condition], vec![reply("450 4.0.0 rule")])]
}

/// Two transactions, the second one with parameters and another recipient; the codes behind EHLO.
fn codes_with(event: On, condition: Condition) -> Vec<u16> {
    let script = Script {
        rules: vec![(event, refuses_when(condition))],
        ..server(&["SIZE 1000", "8BITMIME", "AUTH PLAIN", "STARTTLS", "DSN"])
    };
    let input = [
        say("EHLO relay.example\r\n"),
        say(format!("{MAIL}{RCPT}DATA\r\n")),
        say("Subject: one\r\n\r\nshort\r\n.\r\n"),
        say(
            "MAIL FROM:<b@origin.example> SIZE=500\r\nRCPT TO:<amy@hub.example>\r\nRCPT TO:<eve@spare.example>\r\n",
        ),
        say("DATA\r\n"),
        say("Subject: two\r\n three\r\n\r\na much longer line\r\n.\r\n"),
    ];
    run_both_ways(&script, &input).codes()[2..].to_vec()
}

#[rstest]
#[case::from(on(Verb::Mail), Condition::From(glob("b@*")), [250, 250, 354, 250, 450, 503, 503])]
#[case::from_later(on(Verb::Rcpt), Condition::From(glob("A@*")), [250, 450, 554, 500, 500, 500, 500])]
#[case::transaction(on(Verb::Mail), Condition::Transaction(one(2)), [250, 250, 354, 250, 450, 503, 503])]
#[case::nth_mail(on(Verb::Mail), Condition::Nth(from(2)), [250, 250, 354, 250, 450, 503, 503])]
#[case::parameter(on(Verb::Mail), Condition::Parameter(glob("size=*")), [250, 250, 354, 250, 450, 503, 503])]
#[case::declares(on(Verb::Mail), Condition::Declares(from(500)), [250, 250, 354, 250, 450, 503, 503])]
#[case::to(on(Verb::Rcpt), Condition::To(glob("EVE@*")), [250, 250, 354, 250, 250, 250, 450])]
#[case::nth_rcpt(on(Verb::Rcpt), Condition::Nth(from(2)), [250, 250, 354, 250, 250, 250, 450])]
#[case::domains(on(Verb::Rcpt), Condition::Domains(from(2)), [250, 250, 354, 250, 250, 250, 450])]
#[case::declares_later(on(Verb::Rcpt), Condition::Declares(one(500)), [250, 250, 354, 250, 250, 450, 450])]
fn conditions_on_the_envelope(#[case] event: On, #[case] condition: Condition, #[case] codes: [u16; 7]) {
    assert_eq!(codes_with(event, condition)[..7], codes);
}

#[rstest]
#[case::to_any_accepted(Condition::To(glob("eve@*")), [250, 450])]
#[case::domains(Condition::Domains(one(1)), [450, 250])]
#[case::octets(Condition::Octets(from(40)), [250, 450])]
#[case::line(Condition::Line(one(18)), [250, 450])]
#[case::header(Condition::Header(glob("subject: two three")), [250, 450])]
#[case::parameter(Condition::Parameter(glob("SIZE=500")), [250, 450])]
#[case::seen(Condition::Seen(one(1)), [450, 450])]
fn conditions_at_the_end_of_data(#[case] condition: Condition, #[case] codes: [u16; 2]) {
    let all = codes_with(On::EndOfData, condition);
    assert_eq!([all[3], all[8]], codes);
}

#[rstest]
#[case::session(Condition::Session(one(1)), true)]
#[case::not_this_session(Condition::Session(from(2)), false)]
#[case::helo(Condition::Helo(glob("relay.*")), true)]
#[case::client(Condition::Client(glob("198.51.100.*")), true)]
#[case::not_encrypted(Condition::Tls(false), true)]
#[case::encrypted(Condition::Tls(true), false)]
#[case::authenticated(Condition::Authenticated(true), false)]
#[case::open_sessions(Condition::OpenSessions(one(1)), true)]
#[case::matches(Condition::Matches("^(?i)noop +x$".to_owned()), true)]
#[case::no_expression(Condition::Matches("(".to_owned()), false)]
#[case::second_noop(Condition::Nth(one(2)), true)]
#[case::no_sender(Condition::From(glob("*")), false)]
#[case::no_recipient(Condition::Seen(from(0)), false)]
#[case::no_first(Condition::SinceFirst(from(Duration::ZERO)), false)]
fn conditions_on_the_session(#[case] condition: Condition, #[case] holds: bool) {
    let script = with(on(Verb::Noop), refuses_when(condition));
    let run = run_both_ways(&script, &[say(EHLO), say("NOOP y\r\nNOOP x\r\n")]);
    assert_eq!(run.codes().last(), Some(if holds { &450 } else { &250 }));
}

#[test]
fn tls_and_authentication_are_seen() {
    let rules = vec![
        rule(vec![Condition::Authenticated(true)], vec![reply("251 authenticated")]),
        rule(vec![Condition::Tls(true)], vec![reply("252 encrypted")]),
    ];
    let offers = ["STARTTLS", "AUTH PLAIN"];
    let script = Script { rules: vec![(on(Verb::Noop), rules)], ..server(&offers) };
    let input =
        [say("EHLO a\r\nSTARTTLS\r\n"), Do::Tls, say("NOOP\r\nEHLO a\r\nAUTH PLAIN AGEAYg==\r\nNOOP\r\n")];
    assert_eq!(run_both_ways(&script, &input).codes()[3..], [252, 250, 235, 251]);
}

/// A session of its own at a server with a memory.
fn visit(script: &Script, memory: &ServerMemory, minutes: u64, lines: &str) -> Vec<u16> {
    let now = RunTime::ZERO + Duration::from_mins(minutes);
    let mut bench = Bench::at(script, memory, &Recorder::default(), now, Limits::default());
    bench.act(&say(EHLO), usize::MAX);
    bench.act(&say(lines), usize::MAX);
    bench.finish().codes()[2..].to_vec()
}

#[test]
fn greylisting_by_count_lets_the_second_try_pass() {
    let when = vec![Condition::To(glob("bob@*")), Condition::Seen(one(1))];
    let script = with(on(Verb::Rcpt), vec![rule(when, vec![reply("451 4.7.1 Greylisted")])]);
    let memory = ServerMemory::new(&script);
    let lines = format!("{MAIL}{RCPT}{RCPT}RCPT TO:<amy@hub.example>\r\n");
    assert_eq!(visit(&script, &memory, 0, &lines), [250, 451, 451, 250], "twice in one transaction is once");
    assert_eq!(visit(&script, &memory, 1, &lines), [250, 250, 250, 250]);
    let other = lines.replace("a@origin", "c@origin");
    assert_eq!(visit(&script, &memory, 2, &other), [250, 451, 451, 250], "another sender");
}

#[test]
fn greylisting_by_time_lets_a_late_try_pass() {
    let soon = Condition::SinceFirst(Range { from: None, to: Some(Duration::from_mins(5)) });
    for event in [Verb::Rcpt, Verb::Mail] {
        let script = with(on(event), refuses_when(soon.clone()));
        let memory = ServerMemory::new(&script);
        let lines = format!("{MAIL}{RCPT}");
        let code = |minutes| visit(&script, &memory, minutes, &lines)[usize::from(event == Verb::Rcpt)];
        assert_eq!([code(0), code(5), code(6)], [450, 450, 250], "{event:?}");
    }
}

#[test]
fn conditions_on_recipients_hold_for_one_and_the_same() {
    // Bob came before, Amy did not: no recipient is both Amy and known.
    let when = vec![Condition::To(glob("amy@*")), Condition::Seen(one(2))];
    let script = with(On::EndOfData, vec![rule(when, vec![reply("450 no")])]);
    let memory = ServerMemory::new(&script);
    let both = format!("{MAIL}{RCPT}RCPT TO:<amy@hub.example>\r\nDATA\r\n.\r\n");
    visit(&script, &memory, 0, &format!("{MAIL}{RCPT}"));
    assert_eq!(visit(&script, &memory, 1, &both)[4], 250);
    assert_eq!(visit(&script, &memory, 2, &both)[4], 450);
}

#[test]
fn sessions_are_counted_and_open_ones_known() {
    let rules = vec![
        rule(vec![Condition::OpenSessions(from(2))], vec![reply("421 4.3.2 Too many")]),
        rule(vec![Condition::Session(one(3))], vec![reply("554 5.3.2 Third")]),
    ];
    let script = with(On::Connect, rules);
    let memory = ServerMemory::new(&script);
    let recorder = Recorder::default();
    let open = || Bench::at(&script, &memory, &recorder, RunTime::ZERO, Limits::default());
    let first = open();
    let second = open();
    assert_eq!(first.finish().codes(), [220]);
    assert_eq!(second.ending, Some(Output::CloseFin));
    let third = open().finish();
    assert_eq!(third.codes(), [554], "the second one had closed, the first is gone");
    assert_eq!(third.record.ordinal, 3);
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
#[case::plain(vec![], Some(TlsAction::default()))]
#[case::its_own_words(vec![reply("220 go")], Some(TlsAction::default()))]
#[case::refused(vec![reply("454 4.7.0 no")], None)]
#[case::with_a_fault(
    vec![Action::Tls(TlsAction { clear_before: b"250 x\r\n".to_vec(), ..TlsAction::default() })],
    Some(TlsAction { clear_before: b"250 x\r\n".to_vec(), ..TlsAction::default() })
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
