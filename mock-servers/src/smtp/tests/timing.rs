//! Waits, early talkers, idle clients.

use std::time::Duration;

use super::bench::{
    Do, EHLO, FIN, Run, always, on, pass, plain, reply, rule, run_both_ways, run_whole, say, server, wait,
    with,
};
use crate::script::{Condition, On, Rule, Script, Verb};
use crate::smtp::conversation::Output;
use crate::transcript::{Close, Side, What};

/// When the server's segments left.
fn times(run: &Run) -> Vec<u64> {
    let times = run.record.events.iter().filter_map(|event| match event.what {
        What::Bytes { from: Side::Server, .. } => Some(event.at.since_start().as_secs()),
        _ => None,
    });
    times.collect()
}

#[test]
fn a_wait_holds_the_reply_and_all_behind_it() {
    let script = with(on(Verb::Rcpt), always(vec![wait(30)]));
    let commands = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\nDATA\r\n";
    let run = run_both_ways(&script, &[say(EHLO), say(commands), pass(100)]);
    assert_eq!(run.codes()[2..], [250, 250, 250, 354]);
    assert_eq!(times(&run), [0, 0, 0, 30, 60], "what is ready leaves before the wait");
}

#[test]
fn bytes_that_come_during_a_wait_are_written_down_when_they_come() {
    let script = with(on(Verb::Data), always(vec![wait(60)]));
    let input = [
        say(EHLO),
        say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
        pass(10),
        say("x\r\n.\r\n"),
        pass(60),
    ];
    let run = run_both_ways(&script, &input);
    assert_eq!(run.codes()[2..], [250, 250, 354, 250]);
    let content = run.record.events.iter().find(|event| {
        matches!(&event.what, What::Bytes { from: Side::Client, part: crate::transcript::Part::Content, .. })
    });
    assert_eq!(content.map(|event| event.at.since_start().as_secs()), Some(10));
}

#[test]
fn actions_are_taken_in_order() {
    let actions = vec![wait(1), reply("421 4.3.0 one"), wait(2), reply("421 4.3.0 two"), wait(3), FIN];
    let run = run_both_ways(&with(On::Connect, always(actions)), &[pass(10)]);
    assert_eq!(run.codes(), [421, 421]);
    assert_eq!(times(&run), [1, 3]);
    assert_eq!(run.ending, Some(Output::CloseFin));
}

fn slow_banner(early: Vec<Rule>) -> Script {
    Script { rules: vec![(On::Connect, always(vec![wait(20)])), (On::Early, early)], ..plain() }
}

#[test]
fn whoever_talks_before_the_banner_is_told_so() {
    let script = slow_banner(always(vec![reply("554 5.5.0 Too soon"), FIN]));
    let run = run_both_ways(&script, &[pass(5), say("EHLO x\r\n"), pass(60)]);
    assert_eq!((run.codes(), times(&run)), (vec![554], vec![5]));
    assert_eq!(run.fired(), ["connect 0", "early 0"]);
    let patient = run_both_ways(&script, &[pass(20), say("EHLO x\r\n")]);
    assert_eq!(patient.codes(), [220, 250]);
}

#[test]
fn an_early_talker_that_is_not_cut_off_gets_503_to_what_follows() {
    let script = slow_banner(always(vec![reply("554 5.5.0 Too soon")]));
    let run = run_both_ways(&script, &[say("EHLO x\r\nMAIL FROM:<a@b>\r\nQUIT\r\n"), pass(60)]);
    assert_eq!(run.codes(), [554, 503, 503, 221]);
}

#[test]
fn without_a_rule_early_talk_waits_for_the_banner() {
    let run = run_both_ways(&slow_banner(Vec::new()), &[say("EHLO x\r\nNOOP\r\n"), pass(20)]);
    assert_eq!(run.codes(), [220, 250, 250]);
    let waits = slow_banner(always(vec![wait(5)]));
    let run = run_both_ways(&waits, &[pass(1), say("NOOP\r\n"), pass(60)]);
    assert_eq!(run.codes(), [220, 250]);
    assert_eq!(times(&run), [20, 20], "the interrupted wait is taken up again");
}

#[test]
fn pipelining_without_an_offer_is_early() {
    let early = vec![(On::Early, always(vec![reply("500 5.5.1 Pipelining not supported")]))];
    let script = |offers| Script { rules: early.clone(), ..server(offers) };
    let commands = [say(EHLO), say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\nRSET\r\n")];
    assert_eq!(run_whole(&script(&[]), &commands).codes()[2..], [250, 500, 500, 500]);
    // NOOP must be the last of a group (RFC 2920 section 3.1).
    assert_eq!(run_whole(&script(&["PIPELINING"]), &commands).codes()[2..], [250, 250, 250, 500]);
    let patient = [say(EHLO), say("MAIL FROM:<a@b>\r\n"), say("RCPT TO:<c@d>\r\n")];
    assert_eq!(run_both_ways(&script(&[]), &patient).codes()[2..], [250, 250]);
}

fn idle(seconds: u64, when: Vec<Condition>, actions: Vec<crate::script::Action>) -> Rule {
    Rule { after: Some(Duration::from_secs(seconds)), ..rule(when, actions) }
}

#[test]
fn a_client_that_is_silent_is_let_go() {
    let script = with(On::Idle, vec![idle(30, Vec::new(), vec![reply("421 4.4.2 Idle timeout"), FIN])]);
    let run = run_both_ways(&script, &[pass(29), say(EHLO), pass(29), say("NOOP\r\n"), pass(31)]);
    assert_eq!(run.codes(), [220, 250, 250, 421]);
    assert_eq!(times(&run)[3], 88);
    assert_eq!(run.ending, Some(Output::CloseFin));
}

#[test]
fn each_idle_rule_fires_once_in_a_silence_and_in_its_time() {
    let script = with(
        On::Idle,
        vec![
            idle(20, Vec::new(), vec![reply("250 second")]),
            idle(10, Vec::new(), vec![reply("250 first")]),
            idle(5, vec![Condition::Tls(true)], vec![reply("250 never")]),
        ],
    );
    let run = run_both_ways(&script, &[pass(100), say("NOOP\r\n"), pass(15)]);
    assert_eq!(times(&run), [0, 10, 20, 100, 110]);
    assert!(run.text().contains("first\r\n250 second\r\n250 2.0.0 OK\r\n250 first"), "{}", run.text());
}

#[test]
fn silence_within_the_body_counts_and_a_server_that_waits_is_not_silent() {
    let mut script = with(On::Idle, vec![idle(30, Vec::new(), vec![reply("421 4.4.2 Timeout")])]);
    script.rules.push((on(Verb::Data), always(vec![wait(60)])));
    let mail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let run = run_both_ways(&script, &[say(EHLO), say(mail), pass(60), say("x\r\n"), pass(60)]);
    assert_eq!(run.codes()[4..], [354, 421]);
    assert_eq!(times(&run).last(), Some(&90));
}

#[test]
fn a_client_that_gave_up_does_not_undo_what_the_server_is_about_to_do() {
    // RFC 1047: the reply to the dot comes too late, and the mail is taken all the same.
    let script = with(On::EndOfData, always(vec![wait(660)]));
    let mail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let input = [say(EHLO), say(mail), say("x\r\n.\r\n"), pass(600), Do::Close(Close::Fin), pass(100)];
    let run = run_both_ways(&script, &input);
    assert_eq!(run.codes()[5..], [250]);
    assert!(run.transaction().taken);
    let broken = [say(EHLO), say(mail), say("x\r\n.\r\n"), pass(600), Do::Close(Close::Reset), pass(100)];
    let run = run_both_ways(&script, &broken);
    assert!(!run.transaction().taken && run.transaction().ended, "nothing can be written any more");
}

#[test]
fn dates_are_of_the_run() {
    let script = with(On::Connect, always(vec![wait(90), reply("220 {host} at {date}")]));
    let run = run_both_ways(&script, &[pass(90)]);
    assert_eq!(run.text(), "220 hub.example at Thu, 1 Jan 1970 00:01:30 +0000\r\n");
}

#[test]
fn a_servers_pace_cuts_everything_from_the_greeting_on() {
    let run = run_both_ways(&Script { pace: Some(7), ..plain() }, &[say(EHLO)]);
    let segments: Vec<usize> = run
        .record
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Bytes { from: Side::Server, bytes, .. } => Some(bytes.len()),
            _ => None,
        })
        .collect();
    assert!(segments.len() > 2 && segments.iter().all(|length| *length <= 7), "{segments:?}");
    assert_eq!(run.codes(), [220, 250]);
}
