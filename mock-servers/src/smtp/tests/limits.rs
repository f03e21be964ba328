//! Peers without end: what they say is counted and cut, and what they wait for is bounded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt;

use super::bench::{Bench, Do, plain, say, server, wait};
use super::bench::{always, with};
use super::sockets::Unacknowledged;
use crate::RunTime;
use crate::environment::real::RealClock;
use crate::script::{Dialogue, Line, On, Pattern, Script, Speech, Verb};
use crate::smtp::conversation::{Conversation, Input, Output};
use crate::smtp::dialogue::DialogueRunner;
use crate::smtp::memory::ServerMemory;
use crate::smtp::session::{Limits, ServerSession};
use crate::smtp::shell::{Ends, Shell};
use crate::smtp::tls::TlsMaterial;
use crate::transcript::{EVENT, Recorder, Room, Session, Side, What};

/// A session with little room in its transcript.
fn bench_with(script: &Script, room: Room, limits: Limits) -> Bench {
    let recorder = Recorder::with_room(room);
    Bench::at(script, &ServerMemory::new(script), &recorder, RunTime::ZERO, limits)
}

/// What a session holds, as the transcript counts it, and what was omitted: events and octets.
fn held(session: &Session) -> (u64, (u64, u64)) {
    let (mut octets, mut omitted) = (0, (0, 0));
    for event in &session.events {
        match &event.what {
            What::Bytes { bytes, .. } => octets += EVENT + bytes.len() as u64,
            What::Omitted { events, octets, .. } => omitted = (*events, *octets),
            _ => octets += EVENT,
        }
    }
    // The content of transactions is of the same bytes, and recipients count as events.
    let recipients: usize = session.transactions.iter().map(|t| t.recipients.len()).sum();
    (octets + EVENT * recipients as u64, omitted)
}

#[test]
fn endless_commands_are_answered_and_counted() {
    let room = Room { session: 10_000, ..Room::default() };
    let mut bench = bench_with(&plain(), room, Limits::default());
    for _ in 0..1000 {
        bench.act(&say("NOOP\r\n"), usize::MAX);
    }
    let run = bench.finish();
    assert_eq!(run.codes().len(), 1001);
    let (held, (events, octets)) = held(&run.record);
    assert!(held <= 10_000 && held > 9_000, "{held}");
    assert!(events > 1800 && octets > 6 * 900, "{events} {octets}");
}

#[test]
fn endless_content_is_measured_and_cut() {
    let room = Room { session: 10_000, ..Room::default() };
    let mut bench = bench_with(&server(&[]), room, Limits::default());
    bench.act(&say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), usize::MAX);
    for _ in 0..1000 {
        bench.act(&say("x".repeat(98) + "\r\n"), usize::MAX);
    }
    bench.act(&say(".\r\n"), usize::MAX);
    let run = bench.finish();
    assert_eq!(run.codes().last(), Some(&250));
    let (held, (_, octets)) = held(&run.record);
    assert!(held <= 10_000 && octets > 90_000, "{held} {octets}");
    assert!(run.transaction().taken && run.transaction().ended);
}

#[test]
fn an_endless_line_is_thrown_away_as_it_comes() {
    let mut bench = Bench::new(&plain());
    for _ in 0..1000 {
        bench.act(&say("x".repeat(10_000)), usize::MAX);
        assert!(!bench.session.is_full());
    }
    bench.act(&say("\r\nNOOP\r\n"), usize::MAX);
    assert_eq!(bench.finish().codes(), [220, 500, 250]);
}

#[test]
fn a_flood_during_a_wait_is_left_unread_until_the_session_goes_on() {
    let script = with(On::Command(Verb::Ehlo), always(vec![wait(60)]));
    let limits = Limits { inbox: 1000, ..Limits::default() };
    let mut bench = bench_with(&script, Room::default(), limits);
    bench.act(&say("EHLO a\r\n"), usize::MAX);
    while !bench.session.is_full() {
        bench.act(&say("NOOP\r\n"), usize::MAX);
    }
    bench.act(&Do::Pass(Duration::from_mins(1)), usize::MAX);
    assert!(!bench.session.is_full());
    assert_eq!(bench.finish().codes().len(), 2 + 167);
}

#[test]
fn endless_sessions_are_served_and_counted() {
    let recorder = Recorder::with_room(Room { sessions: 2, ..Room::default() });
    let (script, memory) = (Arc::new(plain()), ServerMemory::new(&plain()));
    let here = "198.51.100.9:2525".parse().unwrap();
    for ordinal in 1..=5 {
        let record = recorder.open("hub", Side::Server, here, here, RunTime::ZERO);
        assert_eq!(record.ordinal(), ordinal);
        let limits = Limits::default();
        let mut session =
            ServerSession::new(script.clone(), &memory, record, here, SystemTime::UNIX_EPOCH, limits);
        session.handle(Input::Connected, RunTime::ZERO);
        let mail = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n";
        let replies = session.handle(Input::Bytes(mail), RunTime::ZERO);
        let said: Vec<u8> = replies
            .into_iter()
            .flat_map(|output| if let Output::Send(bytes) = output { bytes } else { Vec::new() })
            .collect();
        assert!(String::from_utf8_lossy(&said).contains("250 2.0.0 Message accepted"), "{ordinal}");
    }
    let sessions = recorder.sessions();
    assert_eq!(sessions.len(), 2);
    let last = sessions[1].events.last().map(|event| event.what.clone());
    assert_eq!(last, Some(What::Omitted { events: 0, octets: 0, sessions: 3 }));
    assert!(!sessions[0].events.iter().any(|event| matches!(event.what, What::Omitted { .. })));
}

#[test]
fn all_sessions_together_have_a_limit_too() {
    let recorder = Recorder::with_room(Room { run: 5_000, ..Room::default() });
    let script = plain();
    let memory = ServerMemory::new(&script);
    for _ in 0..3 {
        let mut bench = Bench::at(&script, &memory, &recorder, RunTime::ZERO, Limits::default());
        for _ in 0..10 {
            bench.act(&say("NOOP\r\n"), usize::MAX);
        }
    }
    let held: u64 = recorder.sessions().iter().map(|session| held(session).0).sum();
    assert!(held <= 5_000 && held > 4_000, "{held}");
}

#[tokio::test]
async fn a_client_that_never_reads_its_replies_is_read_no_more() {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let recorder = Recorder::default();
    let here = "198.51.100.9:2525".parse().unwrap();
    let record = recorder.open("hub", Side::Server, here, here, RunTime::ZERO);
    let script = Arc::new(plain());
    let memory = ServerMemory::new(&script);
    let epoch = SystemTime::UNIX_EPOCH;
    let mut session = ServerSession::new(script, &memory, record.clone(), here, epoch, Limits::default());
    let ends = Ends::Server { tls: Arc::new(TlsMaterial::new(epoch)), hostname: "hub.example".to_owned() };
    let connection = Box::new(Unacknowledged::new(near));
    let clock = Arc::new(RealClock::start());
    tokio::spawn(async move { Shell::new(connection, clock, record, ends).converse(&mut session).await });
    let flood = "NOOP\r\n".repeat(1000);
    let mut written = 0;
    loop {
        // Either the write goes on, or the server has had every chance to read more and did not.
        let chances = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            outcome = far.write_all(flood.as_bytes()) => outcome.unwrap(),
            () = chances => break,
        }
        written += flood.len();
        assert!(written < 4_000_000, "it reads without end");
    }
}

fn runner(lines: Vec<Speech>) -> DialogueRunner {
    let here = "198.51.100.9:2525".parse().unwrap();
    let record = Recorder::default().open("mock", Side::Server, here, here, RunTime::ZERO);
    let lines = lines.into_iter().map(|what| Line { within: None, what }).collect();
    DialogueRunner::new(&Dialogue { mock_is: Side::Server, lines }, record)
}

#[test]
fn a_dialogue_that_waits_lets_the_other_side_wait_too() {
    let mut dialogue = runner(vec![Speech::Wait(Duration::from_mins(1)), Speech::HearContent]);
    dialogue.handle(Input::Connected, RunTime::ZERO);
    let flood = "x".repeat(998) + "\r\n";
    let mut pieces = 0;
    while !dialogue.is_full() {
        dialogue.handle(Input::Bytes(flood.as_bytes()), RunTime::ZERO);
        pieces += 1;
    }
    assert!(pieces < 2_000, "{pieces}");
    dialogue.handle(Input::Timer, RunTime::new(Duration::from_mins(1)));
    assert!(!dialogue.is_full(), "content is heard as it comes");
}

#[test]
fn a_line_without_end_is_no_line_of_a_dialogue() {
    let mut dialogue = runner(vec![Speech::Hear(Pattern("EHLO *".to_owned()))]);
    dialogue.handle(Input::Connected, RunTime::ZERO);
    let flood = vec![b'x'; 256 * 1024];
    let outputs: Vec<Output> =
        (0..5).flat_map(|_| dialogue.handle(Input::Bytes(&flood), RunTime::ZERO)).collect();
    let told = outputs.iter().any(|output| {
        matches!(output, Output::Record(What::Mismatch { got, .. }) if got.contains("without a line's end"))
    });
    assert!(told, "{outputs:?}");
}
