//! Dialogues on both sides, without I/O.

use std::time::Duration;

use rstest::rstest;

use crate::RunTime;
use crate::script::{Choice, Dialogue, Line, Pattern, Speech};
use crate::smtp::conversation::{Conversation, Input, Output};
use crate::smtp::dialogue::DialogueRunner;
use crate::transcript::{Close, Part, Recorder, Reply, Session, Side, What};

use super::bench::{Do, pass, say};

fn says(text: &str) -> Line {
    Line { within: None, what: Speech::Say(format!("{text}\r\n").into_bytes()) }
}

fn hears(pattern: &str) -> Line {
    Line { within: None, what: Speech::Hear(Pattern(pattern.to_owned())) }
}

fn within(seconds: u64, line: Line) -> Line {
    Line { within: Some(Duration::from_secs(seconds)), ..line }
}

fn does(what: Speech) -> Line {
    Line { within: None, what }
}

/// What came of a dialogue: what the mock said, its record, and how it ended.
struct Run {
    said: String,
    record: Session,
    ending: Option<Output>,
}

impl Run {
    fn outcome(&self) -> String {
        let outcomes = self.record.events.iter().filter_map(|event| match &event.what {
            What::Completed => Some("completed".to_owned()),
            What::Mismatch { step, expected, got } => Some(format!("{step}: expected {expected}, got {got}")),
            _ => None,
        });
        outcomes.collect::<Vec<_>>().join("; ")
    }
}

fn run(mock_is: Side, lines: &[Line], input: &[Do]) -> Run {
    let (whole, single) = (run_in(mock_is, lines, input, usize::MAX), run_in(mock_is, lines, input, 1));
    assert_eq!(whole.said, single.said, "byte by byte");
    assert_eq!(whole.record.transactions, single.record.transactions, "byte by byte");
    assert_eq!(whole.ending, single.ending, "byte by byte");
    whole
}

fn run_in(mock_is: Side, lines: &[Line], input: &[Do], step: usize) -> Run {
    let recorder = Recorder::default();
    let here = "198.51.100.1:25".parse().unwrap();
    let record = recorder.open("mock", mock_is, here, here, RunTime::ZERO);
    let mut runner = DialogueRunner::new(&Dialogue { mock_is, lines: lines.to_vec() }, record.clone());
    let mut now = RunTime::ZERO;
    let (mut said, mut ending) = (String::new(), None);
    let mut put = |runner: &mut DialogueRunner, input: Input<'_>, now| {
        for output in runner.handle(input, now) {
            match output {
                Output::Send(bytes) => {
                    runner.sent(&bytes, now);
                    said += &String::from_utf8_lossy(&bytes);
                }
                Output::Record(what) => record.event(now, what),
                other => {
                    runner.closed(now);
                    ending = Some(other);
                }
            }
        }
    };
    put(&mut runner, Input::Connected, now);
    for what in input {
        match what {
            Do::Say(bytes) => bytes.chunks(step).for_each(|piece| put(&mut runner, Input::Bytes(piece), now)),
            Do::Pass(time) => {
                let until = now + *time;
                while let Some(at) = runner.deadline().filter(|&at| at <= until) {
                    now = at.max(now);
                    put(&mut runner, Input::Timer, now);
                }
                now = until;
            }
            Do::Close(how) => put(&mut runner, Input::PeerClosed(*how), now),
            Do::Tls => unreachable!("dialogues make no TLS"),
        }
    }
    Run { said, record: recorder.sessions().remove(0), ending }
}

fn submitter() -> Vec<Line> {
    vec![
        hears("220 *"),
        says("EHLO sub2."),
        does(Speech::OneOf(vec![
            Choice(vec![hears("250 *")]),
            Choice(vec![hears("501 *"), says("HELO sub2"), hears("250 *")]),
        ])),
        says("MAIL FROM:<a@origin.example>\r\nRCPT TO:<b@hub.example>\r\nDATA"),
        hears("250 *"),
        within(30, hears("250 *")),
        hears("354*"),
        says("x\r\n..y\r\n."),
        hears("250 *"),
        does(Speech::CloseReset),
    ]
}

#[test]
fn a_client_says_its_lines_and_matches_whole_replies() {
    let input = [
        say("220-relay\r\n220 ready\r\n"),
        say("250-relay\r\n250 SIZE 10\r\n"),
        say("250 a\r\n250 b\r\n354 c\r\n"),
        say("250 taken\r\n"),
    ];
    let run = run(Side::Client, &submitter(), &input);
    assert_eq!(run.outcome(), "completed");
    assert_eq!(run.ending, Some(Output::CloseReset { at_once: false }));
    let transaction = &run.record.transactions[0];
    assert_eq!(transaction.from, "a@origin.example");
    assert_eq!(transaction.helo.as_deref(), Some("sub2."));
    assert_eq!(transaction.recipients[0].reply.as_ref().map(|r| r.code), Some(250));
    assert_eq!(transaction.content, b"x\r\n.y\r\n");
    assert_eq!(transaction.final_reply.as_ref().map(Reply::text).as_deref(), Some("250 taken"));
    assert!(transaction.ended && !transaction.taken, "the relay took it, not the mock");
    assert_eq!(run.record.offers[0].keywords, ["SIZE 10"]);
    let content = run.record.events.iter().filter_map(|event| match &event.what {
        What::Bytes { bytes, part: Part::Content, .. } => Some(bytes.as_slice()),
        _ => None,
    });
    assert_eq!(content.collect::<Vec<_>>().concat(), b"x\r\n..y\r\n.\r\n");
}

#[test]
fn the_alternative_that_fits_is_followed_to_its_end() {
    let input = [say("220 x\r\n"), say("501 no\r\n"), say("250 x\r\n")];
    let run = run(Side::Client, &submitter(), &input);
    assert!(run.said.starts_with("EHLO sub2.\r\nHELO sub2\r\nMAIL FROM"), "{}", run.said);
    assert_eq!(run.outcome(), "");
}

#[rstest]
#[case::code(&[say("220 x\r\n"), say("500 no\r\n")], "3: expected one of: 250 *, 501 *, got 500 no")]
#[case::in_an_alternative(&[say("220 x\r\n"), say("501 no\r\n"), say("501 no\r\n")], "3: expected 250 *, got 501 no")]
#[case::closed(&[say("220 x\r\n250"), Do::Close(Close::Fin)], "3: expected one of: 250 *, 501 *, got the connection was closed, after \"250\"")]
#[case::reset(&[Do::Close(Close::Reset)], "1: expected 220 *, got the connection was closed")]
#[case::no_reply(&[say("SSH-2.0\r\n")], "1: expected 220 *, got SSH-2.0")]
#[case::late(&[say("220 x\r\n"), say("250 x\r\n"), say("250 x\r\n"), pass(31)], "6: expected 250 *, got nothing within 30s")]
fn what_does_not_fit_is_a_mismatch_and_closes(#[case] input: &[Do], #[case] outcome: &str) {
    let run = run(Side::Client, &submitter(), input);
    assert_eq!(run.outcome(), outcome);
    assert_eq!(run.ending, Some(Output::CloseFin));
}

#[test]
fn who_was_reset_has_not_said_its_lines() {
    let lines = [hears("EHLO *"), does(Speech::Wait(Duration::from_secs(9))), says("250 x")];
    let input = [say("EHLO x\r\n"), pass(1), Do::Close(Close::Reset)];
    assert_eq!(
        run(Side::Server, &lines, &input).outcome(),
        "3: expected to go on, got the connection was reset"
    );
    let lines = [hears("EHLO *"), does(Speech::Wait(Duration::from_secs(9))), does(Speech::HearClose)];
    assert_eq!(run(Side::Server, &lines, &input).outcome(), "completed");
}

#[test]
fn a_line_without_a_limit_waits_for_ever() {
    let run = run(Side::Client, &submitter(), &[pass(100_000)]);
    assert_eq!(run.outcome(), "");
}

fn server() -> Vec<Line> {
    vec![
        says("220 odd"),
        hears("EHLO *"),
        says("250-odd\r\n250 8BITMIME"),
        hears("MAIL FROM:<*>*"),
        says("250 a"),
        hears("RCPT TO:<b@*>"),
        does(Speech::Wait(Duration::from_secs(5))),
        says("250 b"),
        hears("DATA"),
        says("354 c"),
        does(Speech::HearContent),
        says("250 d"),
        hears("QUIT"),
        says("221 e"),
        does(Speech::HearClose),
    ]
}

#[test]
fn a_server_matches_commands_and_content() {
    let input = [
        say("ehlo relay.example\r\n"),
        say("mail from:<a@b> SIZE=3\r\nRCPT TO:<b@c>\r\nDATA\r\n"),
        pass(5),
        say("..x\r\n.\r\nQUIT\r\n"),
        Do::Close(Close::Fin),
    ];
    let run = run(Side::Server, &server(), &input);
    assert_eq!(run.outcome(), "completed");
    assert_eq!(
        run.said,
        "220 odd\r\n250-odd\r\n250 8BITMIME\r\n250 a\r\n250 b\r\n354 c\r\n250 d\r\n221 e\r\n"
    );
    let transaction = &run.record.transactions[0];
    assert_eq!(
        (transaction.parameters.as_slice(), transaction.content.as_slice()),
        (&["SIZE=3".to_owned()][..], &b".x\r\n"[..])
    );
    assert!(transaction.taken);
    let taken = run.record.events.iter().filter(|e| matches!(e.what, What::Taken { transaction: 0 }));
    assert_eq!(taken.count(), 1);
    assert_eq!(run.record.offers[0].keywords, ["8BITMIME"]);
}

#[rstest]
#[case::other_command(&[say("HELO x\r\n")], "2: expected EHLO *, got HELO x")]
#[case::content_breaks_off(
    &[say("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n"), pass(5), say("half"), Do::Close(Close::Fin)],
    "11: expected content up to the final dot, got the connection was closed"
)]
#[case::more_than_a_close(
    &[say("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n"), pass(5), say("x\r\n.\r\nQUIT\r\nNOOP\r\n")],
    "15: expected the other side to close, got NOOP"
)]
fn a_server_tells_what_came_instead(#[case] input: &[Do], #[case] outcome: &str) {
    let lines = server();
    assert_eq!(run_in(Side::Server, &lines, input, usize::MAX).outcome(), outcome);
}

#[test]
fn a_transaction_that_breaks_off_is_on_record() {
    let input = [
        say("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n"),
        pass(5),
        say("ha"),
        say("lf"),
        Do::Close(Close::Reset),
    ];
    let run = run(Side::Server, &server(), &input);
    let transaction = &run.record.transactions[0];
    assert_eq!(transaction.content, b"half");
    assert_eq!(transaction.finished, Some(RunTime::ZERO + Duration::from_secs(5)));
    assert!(!transaction.ended && !transaction.taken);
}

#[test]
fn refused_mails_and_pipelines_are_told_apart() {
    let lines = [
        hears("220 *"),
        says("HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<e@f>\r\nRCPT TO:<g@h>\r\nDATA"),
        hears("250 *"),
        hears("550 *"),
        hears("503 *"),
        hears("250 *"),
        hears("250 *"),
        hears("354 *"),
        says("."),
        hears("451 *"),
    ];
    let input =
        [say("220 x\r\n"), say("250 x\r\n550 x\r\n503 x\r\n250 x\r\n250 x\r\n354 x\r\n"), say("451 x\r\n")];
    let run = run(Side::Client, &lines, &input);
    assert_eq!(run.outcome(), "completed");
    let codes = run.record.transactions.iter().map(|t| {
        let reply = |r: &Option<Reply>| r.as_ref().map_or(0, |r| r.code);
        (reply(&t.mail_reply), reply(&t.recipients[0].reply), reply(&t.final_reply))
    });
    assert_eq!(codes.collect::<Vec<_>>(), [(550, 503, 0), (250, 250, 451)]);
}

#[test]
fn the_last_line_may_be_the_final_reply() {
    let mut lines = server();
    lines.truncate(12);
    let commands = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n";
    let run = run(Side::Server, &lines, &[say(commands), pass(5), say("x\r\n.\r\n")]);
    assert_eq!(run.outcome(), "completed");
    let transaction = &run.record.transactions[0];
    assert_eq!(transaction.final_reply.as_ref().map(|r| r.code), Some(250));
    assert!(transaction.taken);
}

#[test]
fn a_final_reply_while_the_body_comes_leaves_none_for_the_dot() {
    let mut lines = server();
    lines.truncate(10);
    lines.extend([says("552 early"), does(Speech::HearContent), hears("QUIT"), says("221 e")]);
    let commands = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n";
    let run =
        run(Side::Server, &lines, &[say(commands), pass(5), say("x\r\n.\r\n"), pass(3), say("QUIT\r\n")]);
    assert_eq!(run.outcome(), "completed");
    let transaction = &run.record.transactions[0];
    assert_eq!(transaction.final_reply.as_ref().map(Reply::text).as_deref(), Some("552 early"));
    assert_eq!(transaction.finished, Some(RunTime::ZERO + Duration::from_secs(5)));
    assert!(transaction.ended && !transaction.taken);
}

#[test]
fn chunks_of_a_client_are_content() {
    let lines = [
        hears("220 *"),
        says("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\na\nBDAT 3 LAST\r\nb"),
        hears("250 *"),
        hears("250 *"),
        hears("250 *"),
        hears("250 *"),
    ];
    let run = run(Side::Client, &lines, &[say("220 x\r\n"), say("250 x\r\n250 x\r\n250 x\r\n250 x\r\n")]);
    assert_eq!(run.record.transactions[0].content, b"a\nb\r\n");
    assert_eq!(run.record.transactions[0].data_reply, None);
}
