//! What came before what, and what was read of it.

use mock_servers::transcript::{Close, Event, Session, Side, What};

use super::testing::{Run, Talk, deferral, minutes};

const BOB: &str = "bob@hub.example";

#[test]
fn clients_of_one_moment_come_in_the_order_of_their_steps() {
    let dialogue = |name: &str| Talk::client(name, 1, minutes(0)).hello(&[]).quit();
    let mut run = Run::new().talk(dialogue("second")).talk(dialogue("first"));
    run.raw.sessions.reverse();
    run.raw.relay.varies.side_by_side = true;
    let run = run.step("client: second", minutes(0)).step("client: first", minutes(0));
    let record = run.record();
    let names: Vec<&str> = record.sessions.iter().map(|session| session.mock.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    assert_eq!(super::steps_among_sessions(&record), [0, 1]);
}

/// RFC 2920 section 3.1: QUIT may go with the last of what it ends.
#[test]
fn a_reply_to_content_with_which_quit_came_is_read() {
    let offered = || Talk::server("hub", 1, minutes(0)).hello(&["PIPELINING", "CHUNKING"]);
    let mail = |talk: Talk| {
        talk.mail("alice@origin.example", &[], "250 OK").rcpt(BOB, &[], "250 OK").data(b"x\r\n", "250 OK")
    };
    let mut talk = mail(offered()).done();
    let quit = |talk: &Session| {
        let mut quit = Talk::server("hub", 1, minutes(0)).c("QUIT").done();
        (talk.events.len() - 2, quit.events.remove(0))
    };
    let (before_the_reply, event) = quit(&talk);
    talk.events.insert(before_the_reply, event);
    assert!(super::turns::acknowledged(&talk, 0));
    let reset = What::Closed { by: Side::Server, how: Close::Reset };
    talk.events.push(Event { at: minutes(0), what: reset });
    assert!(!super::turns::acknowledged(&talk, 0), "the reset overtook it");
}

#[test]
fn one_that_is_told_of_a_failure_comes_behind_what_failed() {
    let told = Talk::server("a-mailbox", 1, minutes(0)).hello(&[]).mail("", &[], "250 OK");
    let told = told.rcpt("alice@origin.example", &[], "250 OK").quit();
    let mut run = Run::new().talk(told).talk(deferral("hub", 1, minutes(0), BOB, "550 no"));
    run.raw.relay.varies.side_by_side = true;
    let names: Vec<String> = run.record().sessions.into_iter().map(|session| session.mock).collect();
    assert_eq!(names, ["hub", "a-mailbox"]);
}

#[test]
fn an_attempt_that_is_going_on_is_not_counted_twice() {
    let mut run = Run::new().sent("note", &[BOB]).queued(minutes(0), &[BOB], 1, None);
    run.raw.queue.last_mut().unwrap().entries[0].reason = None;
    let run = run.delivered("hub", 1, minutes(5), "note-1", &[BOB]).emptied(minutes(5));
    assert_eq!(run.record().timelines[0].attempts, [minutes(5)]);
}
