//! Each condition of a rule holds when it should, and not otherwise.

use std::time::Duration;

use rstest::rstest;

use super::bench::{Bench, Do, EHLO, on, reply, rule, run_both_ways, say, server, with};
use super::rules::{MAIL, RCPT, from, glob, one, refuses_when};
use crate::RunTime;
use crate::script::{Condition, On, Range, Script, Verb};
use crate::smtp::conversation::Output;
use crate::smtp::memory::ServerMemory;
use crate::smtp::session::Limits;
use crate::transcript::Recorder;

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
