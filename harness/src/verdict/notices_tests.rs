//! What a notification must be, and to whom.

use super::testing::{assert_found, assert_innocent, rules};
use super::{Severity, testing};
use crate::record::testing::{Run, Talk, content, minutes, notice, notice_with};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

fn run() -> Run {
    Run::new().sent("note", &[BOB])
}

fn text(notice: &[u8]) -> String {
    String::from_utf8(notice.to_vec()).unwrap()
}

fn failed() -> String {
    text(&notice("note-1", BOB, "failed", "5.1.1"))
}

#[test]
fn its_reverse_path_is_null() {
    assert_innocent(&run().notified(1, minutes(1), failed().as_bytes()).record());
    let record = run()
        .notified_to(1, minutes(1), "postmaster@relay.origin.example", ALICE, failed().as_bytes())
        .record();
    assert_found(&record, "notification: reverse-path");
}

#[test]
fn none_is_sent_about_what_came_with_the_null_reverse_path() {
    let record =
        Run::new().sent_as("note", "", &[(BOB, &[])]).notified(1, minutes(1), failed().as_bytes()).record();
    assert_found(&record, "notification: about a notification");
    let postmaster = Run::new().sent_as("note", "", &[(BOB, &[])]);
    assert_innocent(
        &postmaster.notified_to(1, minutes(1), "", "postmaster@origin.example", failed().as_bytes()).record(),
    );
}

#[test]
fn it_is_not_called_auto_generated() {
    let generated = failed().replace("auto-replied", "auto-generated");
    assert_found(
        &run().notified(1, minutes(1), generated.as_bytes()).record(),
        "notification: Auto-Submitted",
    );
}

#[test]
fn its_form_is_a_must_for_who_offers_dsn_and_a_should_for_others() {
    let plain = format!("Subject: failed\r\n\r\n<{BOB}>: no such user\r\n\r\nX-Gauntlet-Token: note-1\r\n");
    let of = |run: Run| {
        let findings = testing::found(&run.notified(1, minutes(1), plain.as_bytes()).record());
        findings.into_iter().map(|f| (f.rule, f.severity)).collect::<Vec<_>>()
    };
    assert_eq!(of(run()), [("notification: form".to_owned(), Severity::Violates)]);
    let talk =
        Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let talk = talk.data(&content("note-1"), "250 OK").quit();
    let without = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"));
    assert_eq!(of(without), [("notification: form".to_owned(), Severity::Deviates)]);
}

#[test]
fn its_fields_are_there_and_have_a_meaning() {
    let found = |from: &str, to: &str| {
        rules(&run().notified(1, minutes(1), failed().replace(from, to).as_bytes()).record())
    };
    assert_eq!(found("Reporting-MTA: dns; relay.origin.example\r\n", ""), ["notification: fields"]);
    assert_eq!(found("Status: 5.1.1", "Status: 5.01.1"), ["notification: fields"]);
    assert_eq!(found("Status: 5.1.1", "Status: 2.1.1"), ["notification: fields"]);
    assert_eq!(found("Status: 5.1.1", "Status: 4.4.7"), Vec::<String>::new());
}

#[test]
fn notify_is_honoured() {
    let told = |notify: &[&str], action: &str, status: &str| {
        let sent = Run::new().sent_as("note", ALICE, &[(BOB, notify)]);
        let sent = sent.notified(1, minutes(1), &notice("note-1", BOB, action, status));
        rules(&sent.queued(minutes(2), &[BOB], 1, Some(minutes(2000))).record())
    };
    let innocent = Vec::<String>::new();
    assert_eq!(told(&["NOTIFY=NEVER"], "failed", "5.1.1"), ["notification: NOTIFY"]);
    assert_eq!(told(&["NOTIFY=SUCCESS"], "failed", "5.1.1"), ["notification: NOTIFY"]);
    assert_eq!(told(&["NOTIFY=FAILURE"], "delayed", "4.4.1"), ["notification: NOTIFY"]);
    assert_eq!(told(&["NOTIFY=failure,delay"], "delayed", "4.4.1"), innocent);
    assert_eq!(told(&[], "delayed", "4.4.1"), innocent);
    assert_eq!(told(&[], "relayed", "2.0.0"), ["notification: NOTIFY"]);
    assert_eq!(told(&["NOTIFY=SUCCESS"], "relayed", "2.0.0"), innocent);
}

#[test]
fn the_envelope_id_comes_back_decoded() {
    let sent = || {
        let talk =
            Talk::client("sender", 1, minutes(0)).hello(&["DSN"]).mail(ALICE, &["ENVID=Q+2B1"], "250 OK");
        let talk = talk.rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK").quit();
        Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"))
    };
    let back = failed().replace("Reporting-MTA", "Original-Envelope-Id: Q+1\r\nReporting-MTA");
    assert_innocent(&sent().notified(1, minutes(1), back.as_bytes()).record());
    assert_found(&sent().notified(1, minutes(1), failed().as_bytes()).record(), "notification: envelope id");
}

#[test]
fn the_original_recipient_is_the_orcpt_and_none_where_none_was_given() {
    let told = |orcpt: &'static [&'static str], original: &str| {
        let original =
            if original.is_empty() { String::new() } else { format!("Original-Recipient: {original}\r\n") };
        let back = failed().replace("Final-Recipient", &format!("{original}Final-Recipient"));
        rules(
            &Run::new()
                .sent_as("note", ALICE, &[(BOB, orcpt)])
                .notified(1, minutes(1), back.as_bytes())
                .record(),
        )
    };
    let innocent = Vec::<String>::new();
    let broken = ["notification: original recipient"];
    assert_eq!(told(&[], ""), innocent);
    assert_eq!(told(&[], "rfc822;bob@hub.example"), broken);
    let given: &[&str] = &["NOTIFY=FAILURE", "ORCPT=rfc822;Bob+2BOld@Was.example"];
    assert_eq!(told(given, ""), broken);
    assert_eq!(told(given, "rfc822; Bob+Old@Was.example"), innocent);
    assert_eq!(told(given, "RFC822;Bob+2BOld@Was.example"), innocent, "as it came");
    assert_eq!(told(given, "rfc822; bob@hub.example"), broken);
    assert_eq!(told(&["ORCPT=utf-8;b\\x{E4}r@hub.example"], "utf-8; b\u{e4}r@hub.example"), innocent);
}

/// What does not offer DSN is not bound by it.
#[test]
fn without_dsn_an_original_recipient_is_its_own_affair() {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK").quit();
    let sent = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"));
    let back =
        failed().replace("Final-Recipient", "Original-Recipient: rfc822;bob@hub.example\r\nFinal-Recipient");
    assert_innocent(&sent.notified(1, minutes(1), back.as_bytes()).record());
}

#[test]
fn fields_are_looked_at_in_one_that_is_not_in_the_form_too() {
    let mixed = failed().replace("multipart/report; report-type=delivery-status", "multipart/mixed");
    let found = |back: &str| {
        let talk = Talk::client("sender", 1, minutes(0)).hello(&["DSN"]).mail(ALICE, &["ENVID=Q"], "250 OK");
        let talk = talk.rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK").quit();
        let sent = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"));
        rules(&sent.notified(1, minutes(1), back.as_bytes()).record())
    };
    assert_eq!(found(&mixed), ["notification: form", "notification: envelope id"]);
    let other = mixed.replace("Reporting-MTA: dns", "Original-Envelope-Id: Q\r\nReporting: dns");
    assert_eq!(found(&other), ["notification: form", "notification: fields"]);
}

#[test]
fn after_a_refusal_it_says_who_refused_and_how() {
    let refused = || {
        let hub =
            Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "550 no");
        run().talk(hub.quit())
    };
    assert_found(&refused().notified(1, minutes(1), failed().as_bytes()).record(), "notification: diagnosis");
    let fields = "Final-Recipient: rfc822; bob@hub.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
        Remote-MTA: dns; mx.hub.example\r\nDiagnostic-Code: smtp; 550 no\r\n";
    assert_innocent(&refused().notified(1, minutes(1), &notice_with("note-1", fields)).record());
}

#[test]
fn no_more_of_the_mail_comes_back_than_was_asked_for() {
    let sent = |ret: &'static [&str]| {
        let talk = Talk::client("sender", 1, minutes(0)).hello(&["DSN"]).mail(ALICE, ret, "250 OK");
        let talk =
            talk.rcpt(BOB, &["NOTIFY=SUCCESS,FAILURE"], "250 OK").data(&content("note-1"), "250 OK").quit();
        Run::new().sent_by("note", ALICE, &[(BOB, &["NOTIFY=SUCCESS,FAILURE"])], talk, content("note-1"))
    };
    let whole = failed();
    let header =
        whole.replace("message/rfc822", "text/rfc822-headers").replace("Hello.\r\nToken: note-1\r\n", "");
    let empty = whole.replace("Hello.\r\nToken: note-1\r\n", "");
    let told = |ret: &'static [&str], notice: &str| {
        rules(&sent(ret).notified(1, minutes(1), notice.as_bytes()).record())
    };
    let innocent = Vec::<String>::new();
    assert_eq!(told(&["RET=hdrs"], &whole), ["notification: RET"]);
    assert_eq!(told(&["RET=hdrs"], &header), innocent);
    assert_eq!(told(&["RET=hdrs"], &empty), innocent);
    assert_eq!(told(&["RET=FULL"], &whole), innocent);
    assert_eq!(told(&["RET=FULL"], &header), innocent);
    assert_eq!(told(&[], &whole), innocent);
    // in a part that calls itself a header, and is a whole mail
    let in_disguise = whole.replace("message/rfc822", "text/rfc822-headers");
    assert_eq!(told(&["RET=hdrs"], &in_disguise), ["notification: RET"]);
    let relayed = whole.replace("Action: failed\r\nStatus: 5.1.1", "Action: relayed\r\nStatus: 2.0.0");
    let record = sent(&[]).notified(1, minutes(1), relayed.as_bytes()).record();
    assert!(rules(&record).contains(&"notification: RET".to_owned()));
}
