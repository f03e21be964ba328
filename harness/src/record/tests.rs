//! What was seen becomes what happened.

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Session, Side};
use rstest::rstest;

use super::testing::{Run, Talk, content, deferral, delivery, minutes, notice, relayed};
use super::{Accepted, Clock, Ending, QueueState, Record};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

fn names(record: &Record) -> Vec<String> {
    record.sessions.iter().map(|s: &Session| format!("{} {}", s.mock, s.ordinal)).collect()
}

#[test]
fn sessions_of_one_moment_are_in_the_order_of_their_opening() {
    let run = Run::new()
        .sent("note", &[BOB])
        .delivered("hub", 2, minutes(1), "note-1", &[BOB])
        .delivered("spare", 1, minutes(0), "note-1", &[BOB])
        .delivered("hub", 1, minutes(0), "note-1", &[BOB]);
    assert_eq!(names(&run.record()), ["sender 1", "spare 1", "hub 1", "hub 2"]);
}

#[test]
fn sessions_of_one_moment_in_the_machines_time_are_in_the_order_of_their_names() {
    for turned in [false, true] {
        let mut run = Run::new()
            .delivered("spare", 1, minutes(0), "note-1", &[BOB])
            .delivered("hub", 2, minutes(0), "note-1", &[BOB])
            .delivered("hub", 1, minutes(0), "note-1", &[BOB])
            .sent("note", &[BOB]);
        run.raw.clock = Clock::Machine;
        if turned {
            run.raw.sessions.reverse();
        }
        assert_eq!(names(&run.record()), ["sender 1", "hub 1", "hub 2", "spare 1"]);
    }
}

#[test]
fn what_a_settled_step_saw_comes_before_the_next_step() {
    let run = || {
        Run::new()
            .step("send: note", RunTime::ZERO)
            .sent("note", &[BOB])
            .delivered("hub", 1, minutes(0), "note-1", &[BOB])
            .step("settle", RunTime::ZERO)
            .step("send: note", RunTime::ZERO)
            .sent("note", &[BOB])
            .delivered("hub", 2, minutes(0), "note-2", &[BOB])
    };
    for clock in [Clock::Run, Clock::Machine] {
        let mut run = run();
        run.raw.clock = clock;
        let record = run.record();
        assert_eq!(names(&record), ["sender 1", "hub 1", "sender 2", "hub 2"]);
        assert_eq!(super::steps_among_sessions(&record), [0, 1, 2]);
    }
}

/// A client has its session to the end before the next step begins.
#[test]
fn the_session_of_a_client_comes_after_its_step() {
    let client = |name: &str| Talk::client(name, 1, minutes(0)).hello(&[]).quit();
    let run = Run::new()
        .step("client: second", RunTime::ZERO)
        .talk(client("second"))
        .step("client: first", RunTime::ZERO)
        .talk(client("first"));
    let record = run.record();
    assert_eq!(names(&record), ["second 1", "first 1"]);
    assert_eq!(super::steps_among_sessions(&record), [0, 1]);
}

fn fate(talk: Talk) -> Accepted {
    let record = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1")).record();
    record.submissions[0].recipients[0].fate.clone()
}

fn no(at: &str, reply: Option<&str>) -> Accepted {
    Accepted::No { at: at.to_owned(), reply: reply.map(str::to_owned) }
}

#[test]
fn responsibility_begins_with_the_2yz_after_the_end_of_data() {
    let hello = || Talk::client("sender", 1, minutes(0)).hello(&[]);
    let rcpt = || hello().mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let body = content("note-1");
    assert_eq!(fate(rcpt().data(&body, "250 OK").quit()), Accepted::Yes);
    assert_eq!(fate(rcpt().data(&body, "451 later").quit()), no("end-of-data", Some("451 later")));
    assert_eq!(fate(rcpt().data_unanswered(&body).close(Side::Server, Close::Reset)), Accepted::InDoubt);
    assert_eq!(fate(rcpt().close(Side::Server, Close::Reset)), no("DATA", None));
    let refused = hello().mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "550 5.1.1 no");
    assert_eq!(fate(refused), no("RCPT", Some("550 5.1.1 no")));
    assert_eq!(fate(hello().mail(ALICE, &[], "550 no")), no("MAIL", Some("550 no")));
    let turned_away = Talk::client("sender", 1, minutes(0)).s("554 no service").quit();
    assert_eq!(fate(turned_away), no("connect", Some("554 no service")));
}

#[test]
fn a_dialogue_submits_too() {
    let talk = Talk::client("odd", 1, minutes(0))
        .hello(&[])
        .mail(ALICE, &[], "250 OK")
        .rcpt(BOB, &["NOTIFY=never"], "250 OK")
        .data(b"Subject: x\r\n\r\nNo token here.\r\n", "250 OK")
        .quit();
    let got = relayed(b"Subject: x\r\n\r\nNo token here.\r\n");
    let hub = Talk::server("hub", 1, minutes(0))
        .hello(&[])
        .mail(ALICE, &[], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data(&got, "250 OK")
        .quit();
    let record = Run::new().talk(talk).talk(hub).record();
    assert_eq!(record.submissions[0].message, "odd");
    assert_eq!(record.submissions[0].recipients[0].notify, ["NEVER"]);
    assert_eq!(record.deliveries[0].submission, 0, "known by envelope and body");
}

fn taken(from: &str, to: &str, content: &[u8]) -> Record {
    let hub = Talk::server("hub", 1, minutes(0)).hello(&[]).mail(from, &[], "250 OK").rcpt(to, &[], "250 OK");
    let eleven = (0..11).fold(Run::new(), |run, _| run.sent("note", &[BOB]));
    eleven.talk(hub.data(content, "250 OK").quit()).record()
}

#[rstest]
#[case("X-Gauntlet-Token: note-11\r\n\r\nx\r\n")]
#[case("Message-ID: <note-11@gauntlet.example>\r\n\r\nx\r\n")]
#[case("Subject: x\r\n\r\nToken: note-11\r\n")]
#[case("Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\nVG9rZW46IG5vdGUtMTENCg==\r\n")]
fn a_copy_is_known_by_whichever_token_survived(#[case] content: &str) {
    let record = taken(ALICE, BOB, content.as_bytes());
    assert_eq!(record.submissions[record.deliveries[0].submission].token.as_deref(), Some("note-11"));
}

#[rstest]
#[case("X-Gauntlet-Token: note-12\r\n\r\nx\r\n")]
#[case("Subject: x\r\n\r\nMy-Token: note-1\r\n")]
#[case("Message-ID: <note-1@elsewhere.example>\r\n\r\nx\r\n")]
fn what_has_no_token_of_ours_is_a_stray(#[case] content: &str) {
    let record = taken(ALICE, BOB, content.as_bytes());
    assert_eq!((record.deliveries.len(), record.strays.len()), (0, 1));
}

#[test]
fn a_notification_is_no_delivery_although_it_holds_the_token() {
    let record = taken("", ALICE, &notice("note-3", BOB, "failed", "5.1.1"));
    assert!(record.deliveries.is_empty());
    let notification = &record.notifications[0];
    assert_eq!(record.submissions[notification.submission.unwrap()].token.as_deref(), Some("note-3"));
    assert!(notification.well_formed);
    assert_eq!(notification.recipients[0].to, BOB);
    assert_eq!(
        (&*notification.recipients[0].action, &*notification.recipients[0].status),
        ("failed", "5.1.1")
    );
    assert_eq!(notification.text, "It could not be delivered.");
}

#[test]
fn a_bounce_that_keeps_its_sender_is_a_notification_too() {
    let text = b"Subject: failed\r\n\r\n<bob@hub.example> unknown\r\n\r\nToken: note-3\r\n";
    let record = taken("postmaster@relay.origin.example", ALICE, text);
    assert_eq!((record.deliveries.len(), record.notifications.len()), (0, 1));
}

#[test]
fn a_message_of_the_null_sender_is_a_delivery() {
    let hub = Talk::server("hub", 1, minutes(0)).hello(&[]).mail("", &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let run = Run::new().sent_as("note", "", &[(BOB, &[])]);
    let record = run.talk(hub.data(&relayed(&content("note-1")), "250 OK").quit()).record();
    assert_eq!((record.deliveries.len(), record.notifications.len()), (1, 0));
}

/// The attempt at which the last of these sessions delivers.
fn attempt(sessions: Vec<Talk>) -> u32 {
    let run = sessions.into_iter().fold(Run::new().sent("note", &[BOB]), Run::talk);
    run.record().deliveries[0].attempt
}

fn hub(ordinal: u32, at: RunTime) -> Talk {
    delivery("hub", ordinal, at, "note-1", &[BOB]).quit()
}

#[test]
fn a_retry_after_a_wait_is_another_attempt() {
    let deferred = |ordinal, at| deferral("hub", ordinal, at, BOB, "451 later");
    assert_eq!(attempt(vec![hub(1, minutes(0))]), 1);
    assert_eq!(attempt(vec![deferred(1, minutes(0)), hub(2, minutes(15))]), 2);
    assert_eq!(attempt(vec![deferred(1, minutes(0)), deferred(2, minutes(15)), hub(3, minutes(45))]), 3);
}

#[test]
fn a_try_after_a_kill_is_another_attempt() {
    let cut =
        Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let run = Run::new().step("send: note", RunTime::ZERO).sent("note", &[BOB]).talk(cut);
    let run = run.queued(minutes(0), &[BOB], 1, None).step("kill: {}", minutes(0));
    assert_eq!(run.talk(hub(2, minutes(0))).record().deliveries[0].attempt, 2);
}

#[test]
fn the_next_mx_and_a_reconnect_belong_to_the_attempt() {
    let mx = deferral("mx1", 1, minutes(0), BOB, "451 later");
    assert_eq!(attempt(vec![mx, hub(1, minutes(0))]), 1);
    let refused =
        Talk::server("hub", 1, minutes(0)).s("220 hub").c("EHLO relay.origin.example").s("502 no").quit();
    assert_eq!(attempt(vec![refused, hub(2, minutes(0))]), 1);
}

#[test]
fn a_session_that_never_came_to_mail_is_an_attempt_for_the_servers_domains() {
    let turned_away = Talk::server("hub", 1, minutes(0)).s("421 busy").close(Side::Server, Close::Fin);
    assert_eq!(attempt(vec![turned_away, hub(2, minutes(30))]), 2);
    let elsewhere = Talk::server("other", 1, minutes(0)).s("421 busy").close(Side::Server, Close::Fin);
    assert_eq!(attempt(vec![elsewhere, hub(1, minutes(30))]), 1);
}

#[test]
fn an_attempt_for_another_mail_does_not_count() {
    let other =
        Talk::server("hub", 1, minutes(0)).hello(&[]).mail("carol@origin.example", &[], "451 later").quit();
    assert_eq!(attempt(vec![other, hub(2, minutes(30))]), 1);
}

#[test]
fn an_attempt_without_any_connection_is_known_from_the_queue() {
    let run = Run::new().sent("note", &[BOB]).queued(minutes(0), &[BOB], 1, Some(minutes(15)));
    assert_eq!(run.talk(hub(1, minutes(15))).record().deliveries[0].attempt, 2);
}

#[test]
fn where_the_queue_says_that_nothing_waits_a_long_gap_is_one_attempt() {
    let mx = deferral("mx1", 1, minutes(0), BOB, "451 later");
    let run = Run::new().sent("note", &[BOB]).talk(mx).queued(minutes(0), &[BOB], 0, None);
    // the next host's address is filtered: five minutes until its connection times out
    let record =
        run.talk(hub(1, minutes(5))).queued(minutes(6), &["x@y.example"], 1, Some(minutes(9))).record();
    assert_eq!(record.deliveries[0].attempt, 1);
}

#[test]
fn only_changes_of_the_queue_are_kept() {
    let run = Run::new().emptied(minutes(1)).emptied(minutes(2)).queued(minutes(3), &[BOB], 1, None);
    let at: Vec<RunTime> = run.record().queue.iter().map(|state: &QueueState| state.at).collect();
    assert_eq!(at, [minutes(0), minutes(3)]);
}

#[test]
fn what_a_server_acknowledged_and_dropped_is_kept_apart() {
    let dropped = delivery("hub", 1, minutes(0), "note-1", &[BOB]).taken(false).quit();
    let record = Run::new().sent("note", &[BOB]).talk(dropped).record();
    assert_eq!((record.deliveries.len(), record.let_go.len()), (0, 1));
}

/// What Postfix, Exim and Sendmail make of a header that begins with a line of an mbox.
#[test]
fn a_mail_whose_header_became_body_is_known_again() {
    let own = b">From bob Mon Jan  5 00:00:00 2026\r\nSubject: x\r\n\r\nA body that is long enough to be known.\r\n";
    let mut run = Run::new().sent("note", &[BOB]);
    run.raw.sent[0].token = None;
    run.raw.sent[0].content = own.to_vec();
    let content = [&b"Received: from a\r\n\r\n"[..], own].concat();
    let copy =
        Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let record = run.talk(copy.data(&content, "250 OK").taken(true).quit()).record();
    assert_eq!((record.deliveries.len(), record.strays.len()), (1, 0));
}

#[test]
fn sessions_of_different_moments_may_be_listed_in_any_order() {
    let run = || Run::new().sent("note", &[BOB]).talk(hub(1, minutes(1))).end(minutes(2), Ending::Finished);
    let mut turned = run();
    turned.raw.sessions.reverse();
    assert_eq!(turned.record(), run().record());
}

/// Two mails that raced to one server, each over two sessions.
#[test]
fn sessions_that_raced_are_in_the_order_of_their_mails_and_those_of_one_mail_as_they_came() {
    let session = |ordinal: u32, to: &str, answer: &str| {
        let talk =
            Talk::server("hub", ordinal, minutes(0)).hello(&[]).mail("a@origin.example", &[], "250 OK");
        talk.rcpt(to, &[], answer).quit()
    };
    let said = |talks: [Talk; 4]| {
        let mut run = talks.into_iter().fold(Run::new(), Run::talk);
        run.raw.relay.varies.side_by_side = true;
        let of = |session: &Session| {
            let recipient = &session.transactions[0].recipients[0];
            (session.ordinal, recipient.to.clone(), recipient.reply.as_ref().map(|reply| reply.code))
        };
        run.record().sessions.iter().map(of).collect::<Vec<_>>()
    };
    let (bob, carol) = ("bob@hub.example", "carol@hub.example");
    let one = said([
        session(1, carol, "451 later"),
        session(2, bob, "451 later"),
        session(3, carol, "250 OK"),
        session(4, bob, "250 OK"),
    ]);
    let expected = [(1, bob, 451), (2, bob, 250), (3, carol, 451), (4, carol, 250)];
    assert_eq!(one, expected.map(|(ordinal, to, code)| (ordinal, to.to_owned(), Some(code))));
    let other = said([
        session(1, bob, "451 later"),
        session(2, bob, "250 OK"),
        session(3, carol, "451 later"),
        session(4, carol, "250 OK"),
    ]);
    assert_eq!(one, other);
}
