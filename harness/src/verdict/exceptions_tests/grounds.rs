//! What the judgement rests on.

use super::*;

#[test]
fn a_2yz_that_was_written_after_the_client_had_gone_was_not_read() {
    let talk = call(0).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let talk = talk.data_unanswered(&relayed(&content("note-1"))).close(Side::Client, Close::Reset);
    let mut session = talk.s("250 OK").taken(true).done();
    session.transactions[0].final_reply = Some(reply("250 OK"));
    session.transactions[0].finished = Some(minutes(0));
    let mut run = run();
    run.raw.sessions.push(session);
    let record = run.talk(hub(2, minutes(30)).quit()).record();
    assert_eq!(record.deliveries.iter().map(|d| d.acknowledged).collect::<Vec<_>>(), [false, true]);
    assert!(!rules(&record).contains(&"invariant: doubled".to_owned()));
}

#[test]
fn a_report_is_no_copy_whoever_gets_it_and_whatever_its_reverse_path() {
    let record = run()
        .notified_to(
            1,
            minutes(1),
            "double-bounce@relay.origin.example",
            "postmaster@origin.example",
            &failed(),
        )
        .record();
    assert_eq!((record.deliveries.len(), record.notifications.len()), (0, 1));
}

#[test]
fn a_copy_for_the_sender_and_the_recipient_is_no_notification() {
    let both = || Run::new().sent("note", &[BOB, ALICE]);
    let body = b"Received: by relay\r\nSubject: x\r\n\r\nToken: note-1\r\n";
    let talk =
        call(0).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK").rcpt(ALICE, &[], "250 OK");
    let record = both().talk(talk.data(body, "250 OK").quit()).record();
    assert_eq!((record.deliveries.len(), record.notifications.len()), (1, 0));
}

#[test]
fn a_copy_is_for_the_recipients_that_were_accepted() {
    let talk =
        call(0).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(CAROL, &[], "550 no").rcpt(BOB, &[], "250 OK");
    let record = Run::new()
        .sent("note", &[BOB, CAROL])
        .talk(talk.data(&relayed(&content("note-1")), "250 OK").quit())
        .record();
    assert_eq!(record.deliveries[0].recipients, [BOB]);
}

#[test]
fn a_queue_entry_of_an_older_submission_counts_no_attempts_for_this_one() {
    let talk = Talk::client("sender", 1, minutes(600)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK").quit();
    let mut run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"));
    run.raw.sent[0].at = minutes(600);
    let run = run.queued(minutes(600), &[BOB], 5, Some(minutes(700)));
    assert_eq!(run.talk(hub(1, minutes(601)).quit()).record().deliveries[0].attempt, 1);
}

#[test]
fn a_smart_host_that_turns_the_relay_away_was_an_attempt() {
    let mut run = run().talk(call(0).s("421 busy").close(Side::Server, Close::Fin));
    run.raw.serves = vec![("hub".to_owned(), "*".to_owned())];
    assert_eq!(run.talk(hub(2, minutes(30)).quit()).record().deliveries[0].attempt, 2);
}

#[test]
fn a_notification_without_a_token_is_about_what_was_accepted() {
    let refused = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let refused = refused.rcpt(BOB, &[], "550 no").quit();
    let run =
        Run::new().sent_by("note", ALICE, &[(BOB, &[])], refused, content("note-1")).sent("note", &[BOB]);
    let text = b"Subject: failure notice\r\n\r\n<bob@hub.example>: no such user\r\n";
    assert_eq!(run.notified(1, minutes(1), text).record().notifications[0].submission, Some(1));
}

#[test]
fn a_notification_may_refer_to_its_message_by_id_alone() {
    let text = b"Subject: failure notice\r\nIn-Reply-To: <note-2@gauntlet.example>\r\n\r\nNo such user.\r\n";
    let twice = Run::new().sent("note", &[BOB]).sent("note", &[BOB]);
    assert_eq!(twice.notified(1, minutes(1), text).record().notifications[0].submission, Some(1));
}

#[test]
fn both_recipients_may_stand_in_one_notification() {
    let fields = "Final-Recipient: rfc822; bob@hub.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n\
        Final-Recipient: rfc822; carol@hub.example.\r\nAction: Failed\r\nStatus: 5.1.1\r\n";
    let both = Run::new().sent("note", &[BOB, CAROL]);
    assert_innocent(&both.notified(1, minutes(1), &notice_with("note-1", fields)).record());
}

/// Raw mail from alice to bob, with this body.
fn raw(run: Run, body: &str) -> Run {
    let ordinal = 1 + run.raw.sent.len() as u32;
    let content = format!("Subject: raw\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n");
    let content = content.into_bytes();
    let talk = Talk::client("sender", ordinal, minutes(0)).hello(&["DSN"]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "250 OK").data(&content, "250 OK").quit();
    let mut run = run.sent_by(&format!("raw{body}"), ALICE, &[(BOB, &[])], talk, content);
    run.raw.sent.last_mut().unwrap().token = None;
    run
}

/// The notification of its failure; what it returns is this part.
fn failure_returning(part: &str) -> Vec<u8> {
    let whole = String::from_utf8(failed()).unwrap();
    let (before, _) = whole.split_once("Content-Type: message/rfc822").unwrap();
    format!("{before}{part}\r\n--rb81--\r\n").into_bytes()
}

fn subject_of(notice: &[u8]) -> Option<String> {
    let run = raw(raw(Run::new(), "Gr\u{fc}\u{df}e"), "Dank").notified(1, minutes(1), notice);
    let record = run.record();
    record.notifications[0].submission.map(|at| record.submissions[at].message.clone())
}

#[rstest]
#[case::as_it_was(
    "Content-Type: message/rfc822\r\n\r\nSubject: raw\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\u{fc}\u{df}e\r\n",
    Some("rawGr\u{fc}\u{df}e")
)]
#[case::encoded_within(
    "Content-Type: message/rfc822\r\n\r\nSubject: raw\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n",
    Some("rawGr\u{fc}\u{df}e")
)]
#[case::encoded_without(
    "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogcmF3DQoNCkRhbms=\r\n",
    Some("rawDank")
)]
#[case::the_header_alone("Content-Type: text/rfc822-headers\r\n\r\nSubject: raw\r\n", None)]
#[case::another("Content-Type: message/rfc822\r\n\r\nSubject: raw\r\n\r\nThanks\r\n", None)]
#[case::another_subject("Content-Type: message/rfc822\r\n\r\nSubject: war\r\n\r\nDank\r\n", None)]
fn of_two_with_one_envelope_the_one_that_comes_back_is_meant(#[case] part: &str, #[case] of: Option<&str>) {
    assert_eq!(subject_of(&failure_returning(part)).as_deref(), of);
}

#[test]
fn a_notification_that_may_be_about_either_convicts_of_neither() {
    let notice = failure_returning("Content-Type: text/rfc822-headers\r\n\r\nSubject: raw\r\n");
    let run = raw(raw(Run::new(), "one"), "two").notified(1, minutes(1), &notice);
    let record = run.record();
    let back = Check::Returned(crate::verdict::testing::returned("rawone"));
    let verdict = judge(&expecting(Level::Must, back), &record);
    assert_eq!((verdict.results[0].state, rules_of(&verdict)), (State::Unclear, Vec::new()));
    let Outcome::Unsupported { reason } = verdict.outcome else { panic!("{verdict:#?}") };
    assert!(reason.contains("it cannot be told which mail the notification is about"), "{reason}");
    let nothing = raw(raw(Run::new(), "one"), "two").emptied(minutes(1)).record();
    let back = Check::Returned(crate::verdict::testing::returned("rawone"));
    assert_eq!(judge(&expecting(Level::Must, back), &nothing).outcome, Outcome::Violates);
}

#[test]
fn copies_of_the_same_raw_mail_are_counted_off() {
    let came = |run: Run, ordinal: u32| {
        let content = run.raw.sent[0].content.clone();
        let talk = Talk::server("hub", ordinal, minutes(u64::from(ordinal))).hello(&["8BITMIME"]);
        let talk = talk.mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
        run.talk(talk.data(&relayed(&content), "250 OK").quit())
    };
    let twice = || raw(raw(Run::new(), "same"), "same");
    assert_innocent(&came(came(twice(), 1), 2).record());
    assert_found(&came(twice(), 1).record(), "invariant: lost");
    assert_found(&came(came(came(twice(), 1), 2), 3).record(), "invariant: doubled");
    let whole = "Content-Type: message/rfc822\r\n\r\nSubject: raw\r\n\r\nsame\r\n";
    let back = |run: Run, ordinal: u32| run.notified(ordinal, minutes(1), &failure_returning(whole));
    assert_innocent(&back(back(twice(), 1), 2).record());
}

/// RFC 3461 section 4: without DSN a client may not ask, and so nobody is bound by what it would have asked.
#[test]
fn what_hangs_on_a_parameter_that_was_left_out_is_not_judged() {
    let told = || Check::Notified { of: of("note"), action: "relayed".to_owned(), times: at_least_one() };
    let delivered_to_bob = |left_out: &[&str]| {
        let mut run = run().talk(hub(1, minutes(0)).quit());
        run.raw.sent[0].left_out = left_out.iter().map(|&p| p.to_owned()).collect();
        run.record()
    };
    let verdict = judge(&expecting(Level::Must, told()), &delivered_to_bob(&["NOTIFY=SUCCESS"]));
    let Outcome::Unsupported { reason } = &verdict.outcome else { panic!("{verdict:#?}") };
    assert!(
        reason.contains("NOTIFY=SUCCESS was left out of note, for the relay does not offer it"),
        "{reason}"
    );
    assert_eq!(judge(&expecting(Level::Must, told()), &delivered_to_bob(&[])).outcome, Outcome::Violates);
    let delivered = Check::Delivered(delivered("note"));
    let held = judge(&expecting(Level::Must, delivered.clone()), &delivered_to_bob(&["NOTIFY=SUCCESS"]));
    assert_eq!(held.outcome, Outcome::Pass, "what holds without it, holds");
    let mut another = run().sent("other", &[CAROL]).talk(hub(1, minutes(0)).quit());
    another.raw.sent[1].left_out = vec!["NOTIFY=SUCCESS".to_owned()];
    let another = judge(&expecting(Level::Must, told()), &another.record());
    assert_eq!(another.results[0].state, State::Broken, "another message's parameter is no excuse");
}

fn at_least_one() -> mock_servers::script::Range<u64> {
    mock_servers::script::Range { from: Some(1), to: None }
}
