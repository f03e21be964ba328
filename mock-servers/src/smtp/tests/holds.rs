//! Sessions that are held at an event.

use rstest::rstest;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::bench::{
    Bench, Do, EHLO, Run, always, codes, on, pass, plain, reply, run_whole, say, server, wait, with,
};
use super::sockets::{Standing, hear, tell};
use crate::script::{On, Script, Verb};
use crate::smtp::conversation::{Input, Output};
use crate::smtp::gate::Gate;
use crate::transcript::{Close, Part, Side, What};

const MAIL: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

/// Runs a session that is held at an event for a minute, during which the client does something, and what was said
/// before it was let go.
fn held(script: &Script, at: On, before: &[Do], meanwhile: &[Do], after: &[Do]) -> (Run, Vec<u16>) {
    let gate = Gate::default();
    let mut held = gate.hold_next(at);
    let mut bench = Bench::behind(script, gate.clone());
    for what in before {
        bench.act(what, usize::MAX);
    }
    assert_eq!(held.try_recv(), Ok(()), "it came to the event");
    for what in meanwhile {
        bench.act(what, usize::MAX);
    }
    bench.act(&pass(60), usize::MAX);
    let said = codes(&bench.segments.concat());
    gate.open();
    bench.put(Input::Timer);
    for what in after {
        bench.act(what, usize::MAX);
    }
    (bench.finish(), said)
}

#[rstest]
#[case(On::Connect, "", 0)]
#[case(on(Verb::Ehlo), EHLO, 1)]
#[case(on(Verb::Rcpt), "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", 3)]
#[case(on(Verb::Data), "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", 4)]
#[case(On::Unknown, "EHLO a\r\nXYZZY\r\n", 2)]
#[case(On::EndOfData, "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n", 5)]
#[case(On::Data, "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n", 5)]
fn what_is_due_waits_and_what_was_due_before_does_not(
    #[case] at: On,
    #[case] input: &str,
    #[case] replies: usize,
) {
    let (run, said) = held(&plain(), at.clone(), &[say(input)], &[], &[]);
    assert_eq!(said.len(), replies, "{said:?}");
    let free = run_whole(&plain(), &[say(input)]);
    assert_eq!(run.text(), free.text(), "afterwards all is as if nothing had been");
    let marks: Vec<(u64, &What)> = run
        .record
        .events
        .iter()
        .filter(|event| matches!(event.what, What::Held { .. } | What::LetGo))
        .map(|event| (event.at.since_start().as_secs(), &event.what))
        .collect();
    assert_eq!(marks, [(0, &What::Held { event: at.to_string() }), (60, &What::LetGo)]);
}

#[test]
fn the_last_chunk_is_the_end_of_data() {
    let script = server(&["CHUNKING", "PIPELINING"]);
    let input = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\nxxBDAT 2 LAST\r\nyy";
    let (run, said) = held(&script, On::EndOfData, &[say(input)], &[], &[]);
    assert_eq!(said.len(), 5, "{said:?}");
    assert_eq!((run.codes().len(), run.taken()), (6, 1));
}

#[test]
fn a_rule_on_the_event_is_carried_out_once_the_session_is_let_go() {
    let script = with(On::EndOfData, always(vec![wait(10), reply("452 4.3.1 Full")]));
    let (run, said) =
        held(&script, On::EndOfData, &[say(EHLO), say(MAIL), say("x\r\n.\r\n")], &[], &[pass(20)]);
    assert_eq!(said.last(), Some(&354));
    assert_eq!(run.codes().last(), Some(&452));
    let replied = run
        .record
        .events
        .iter()
        .rev()
        .find(|event| matches!(event.what, What::Bytes { from: Side::Server, .. }));
    assert_eq!(replied.map(|event| event.at.since_start().as_secs()), Some(70), "then, and not before");
}

#[test]
fn what_the_client_says_meanwhile_is_written_down_when_it_comes() {
    let before = [say(EHLO), say(MAIL)];
    let script = plain();
    let (run, _) = held(&script, on(Verb::Data), &before, &[pass(20), say("x\r\n.\r\n")], &[]);
    let content = run
        .record
        .events
        .iter()
        .find(|event| matches!(&event.what, What::Bytes { from: Side::Client, part: Part::Content, .. }));
    assert_eq!(content.map(|event| event.at.since_start().as_secs()), Some(20));
    assert_eq!(run.codes().last(), Some(&250));
}

#[test]
fn a_client_that_resets_ends_the_session_and_one_that_closes_does_not() {
    let before = [say(EHLO), say(MAIL), say("x\r\n.\r\n")];
    let (run, _) = held(&plain(), On::EndOfData, &before, &[Do::Close(Close::Reset)], &[]);
    assert_eq!(
        (run.ending, run.record.transactions[0].taken),
        (Some(Output::CloseReset { at_once: true }), false)
    );
    let (run, _) = held(&plain(), On::EndOfData, &before, &[Do::Close(Close::Fin)], &[]);
    assert_eq!((run.taken(), run.ending), (1, Some(Output::CloseFin)), "the server still thinks it is asked");
}

#[test]
fn one_session_is_held_and_the_next_one_is_not() {
    let gate = Gate::default();
    let _held = gate.hold_next(On::Connect);
    let (first, second) = (Bench::behind(&plain(), gate.clone()), Bench::behind(&plain(), gate));
    assert_eq!((first.segments.len(), second.segments.len()), (0, 1));
}

#[test]
fn an_order_is_taken_back_when_the_gate_opens() {
    let gate = Gate::default();
    let mut held = gate.hold_next(On::Connect);
    gate.open();
    assert_eq!(held.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert_eq!(Bench::behind(&plain(), gate).segments.len(), 1);
}

#[tokio::test]
async fn the_shell_wakes_when_the_session_is_let_go_though_the_client_is_gone() {
    let standing = Standing::new(plain()).await;
    let held = standing.gate.hold_next(On::EndOfData);
    let mut stream = standing.dial().await;
    hear(&mut stream, 1).await;
    tell(&mut stream, EHLO).await;
    hear(&mut stream, 1).await;
    tell(&mut stream, MAIL).await;
    hear(&mut stream, 3).await;
    tell(&mut stream, "x\r\n.\r\n").await;
    stream.shutdown().await.unwrap();
    held.await.expect("held");
    let client_closed =
        |event: &crate::transcript::Event| event.what == What::Closed { by: Side::Client, how: Close::Fin };
    let session = standing.session_when(|session| session.events.iter().any(client_closed)).await;
    assert!(!session.transactions[0].taken);
    standing.gate.open();
    standing.session_when(|session| session.transactions[0].taken).await;
}
