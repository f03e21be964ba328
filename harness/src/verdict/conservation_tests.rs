//! Each invariant of conservation convicts the guilty, and each legal exception of JUDGEMENT.md acquits.

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Side};
use std::time::Duration;

use super::testing::{assert_found, assert_innocent, judge_with, rules_of, scenario};
use super::{Outcome, judge};
use crate::record::testing::{
    Run, Talk, content, deferral, delivery, minutes, notice, notice_with, relayed, reply,
};
use crate::record::{Ending, Record};

const BOB: &str = "bob@hub.example";
const ALICE: &str = "alice@origin.example";

fn run() -> Run {
    Run::new().sent("note", &[BOB])
}

fn hub(ordinal: u32, at: RunTime) -> Talk {
    delivery("hub", ordinal, at, "note-1", &[BOB])
}

#[test]
fn mail_that_was_delivered_once_is_in_order() {
    assert_innocent(&run().delivered("hub", 1, minutes(0), "note-1", &[BOB]).record());
}

#[test]
fn mail_that_was_returned_once_is_in_order() {
    assert_innocent(&run().notified(1, minutes(1), &notice("note-1", BOB, "failed", "5.1.1")).record());
}

#[test]
fn mail_that_is_queued_inside_its_lifetime_is_in_order() {
    assert_innocent(&run().queued(minutes(5), &[BOB], 1, Some(minutes(2000))).record());
}

#[test]
fn mail_without_any_ending_is_lost() {
    assert_found(&run().emptied(minutes(1)).record(), "invariant: lost");
}

#[test]
fn one_lost_recipient_of_two_is_lost() {
    let carol = "carol@hub.example";
    let record =
        Run::new().sent("note", &[BOB, carol]).delivered("hub", 1, minutes(0), "note-1", &[BOB]).record();
    assert_found(&record, "invariant: lost");
}

#[test]
fn what_a_queue_that_cannot_be_listed_holds_is_not_called_lost() {
    let mut run = run();
    run.raw.queue.clear();
    let verdict = judge(&scenario(), &run.record());
    assert!(matches!(verdict.outcome, Outcome::Inconclusive { .. }), "{verdict:?}");
}

#[test]
fn refused_mail_is_no_duty() {
    let talk =
        Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "550 no");
    assert_innocent(
        &Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk.quit(), content("note-1")).record(),
    );
}

#[test]
fn mail_refused_at_the_dot_must_not_be_delivered() {
    let record = refused_at_the_dot().delivered("hub", 1, minutes(0), "note-1", &[BOB]).record();
    assert_found(&record, "invariant: delivered though refused");
}

#[test]
fn mail_refused_at_the_dot_must_not_be_reported() {
    let record =
        refused_at_the_dot().notified(1, minutes(0), &notice("note-1", BOB, "failed", "5.1.1")).record();
    assert_found(&record, "invariant: returned though refused");
}

fn refused_at_the_dot() -> Run {
    let talk = Talk::client("sender", 1, minutes(0))
        .hello(&[])
        .mail(ALICE, &[], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data(&content("note-1"), "552 too big")
        .quit();
    Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"))
}

/// The lab's client is cut off before it reads the final reply.
fn in_doubt() -> Run {
    let talk = Talk::client("sender", 1, minutes(0))
        .hello(&[])
        .mail(ALICE, &[], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data_unanswered(&content("note-1"))
        .close(Side::Client, Close::Reset);
    Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"))
}

#[test]
fn mail_in_doubt_may_have_no_ending_or_one() {
    assert_innocent(&in_doubt().record());
    assert_innocent(&in_doubt().delivered("hub", 1, minutes(0), "note-1", &[BOB]).record());
}

#[test]
fn mail_in_doubt_may_not_have_two_endings() {
    let once = in_doubt().delivered("hub", 1, minutes(0), "note-1", &[BOB]);
    assert_found(&once.delivered("hub", 2, minutes(30), "note-1", &[BOB]).record(), "invariant: doubled");
}

#[test]
fn failed_mail_from_the_null_sender_may_be_dropped() {
    assert_innocent(&Run::new().sent_as("note", "", &[(BOB, &[])]).emptied(minutes(1)).record());
}

#[test]
fn failed_mail_that_asks_for_no_notification_may_be_dropped() {
    for notify in ["NOTIFY=NEVER", "NOTIFY=SUCCESS,DELAY"] {
        let record = Run::new().sent_as("note", ALICE, &[(BOB, &[notify])]).emptied(minutes(1)).record();
        assert_innocent(&record);
    }
}

#[test]
fn failed_mail_that_asks_for_a_notification_may_not_be_dropped() {
    let record = Run::new().sent_as("note", ALICE, &[(BOB, &["NOTIFY=DELAY,FAILURE"])]).record();
    assert_found(&record, "invariant: lost");
}

#[test]
fn a_notification_that_was_issued_is_an_ending_wherever_it_then_went() {
    let tried =
        Talk::server("origin", 1, minutes(1)).hello(&[]).mail("", &[], "250 OK").rcpt(ALICE, &[], "550 no");
    assert_innocent(&run().talk(tried.quit()).record());
}

#[test]
fn a_delay_notice_must_not_be_the_last_word() {
    let warned = run().notified(1, minutes(240), &notice("note-1", BOB, "delayed", "4.4.1"));
    assert_found(&warned.emptied(minutes(300)).record(), "invariant: the last word");
}

#[test]
fn a_delay_notice_before_the_ending_is_no_ending() {
    let warned = run().notified(1, minutes(240), &notice("note-1", BOB, "delayed", "4.4.1"));
    assert_innocent(&warned.delivered("hub", 1, minutes(300), "note-1", &[BOB]).record());
}

#[test]
fn what_was_not_delivered_must_not_be_called_relayed() {
    let told = run_with("NOTIFY=SUCCESS,FAILURE").notified(
        1,
        minutes(1),
        &notice("note-1", BOB, "relayed", "2.0.0"),
    );
    assert_found(&told.record(), "invariant: untrue notification");
}

fn run_with(notify: &str) -> Run {
    Run::new().sent_as("note", ALICE, &[(BOB, &[notify])])
}

#[test]
fn a_second_copy_after_an_acknowledged_one_is_doubled() {
    let record = run().talk(hub(1, minutes(0)).quit()).talk(hub(2, minutes(30)).quit()).record();
    assert_found(&record, "invariant: doubled");
}

#[test]
fn a_second_copy_is_permitted_when_the_2yz_never_came() {
    let first = Talk::server("hub", 1, minutes(0))
        .hello(&[])
        .mail(ALICE, &[], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data_unanswered(&relayed(&content("note-1")))
        .taken(true)
        .close(Side::Server, Close::Reset);
    assert_innocent(&run().talk(first).talk(hub(2, minutes(30)).quit()).record());
}

/// The relay gave up after ten minutes and came again after fifteen; the server took the first copy after twenty.
#[test]
fn a_copy_that_was_sent_first_and_taken_last_is_no_second_one() {
    let first =
        Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let first =
        first.data_unanswered(&relayed(&content("note-1"))).at(minutes(10)).close(Side::Client, Close::Fin);
    let mut first = first.at(minutes(20)).s("250 OK").taken(true).done();
    first.transactions[0].final_reply = Some(reply("250 OK"));
    first.transactions[0].finished = Some(minutes(20));
    let mut run = run().talk(hub(2, minutes(15)).quit());
    run.raw.sessions.push(first);
    assert_innocent(&run.record());
}

#[test]
fn a_second_copy_is_permitted_when_a_reset_overtook_the_2yz() {
    let first = hub(1, minutes(0)).close(Side::Server, Close::Reset);
    assert_innocent(&run().talk(first).talk(hub(2, minutes(30)).quit()).record());
}

#[test]
fn mail_that_was_taken_without_a_2yz_may_also_be_returned() {
    let first = hub(1, minutes(0)).close(Side::Server, Close::Reset);
    let failed = notice("note-1", BOB, "failed", "4.4.2");
    assert_innocent(&run().talk(first).notified(1, minutes(60), &failed).record());
}

#[test]
fn mail_that_was_acknowledged_must_not_be_returned() {
    let failed = notice("note-1", BOB, "failed", "4.4.2");
    let record = run().talk(hub(1, minutes(0)).quit()).notified(1, minutes(60), &failed).record();
    assert_found(&record, "invariant: delivered and returned");
}

#[test]
fn a_server_that_acknowledges_and_drops_has_taken_the_duty() {
    assert_innocent(&run().talk(hub(1, minutes(0)).taken(false).quit()).record());
}

#[test]
fn a_server_that_acknowledges_and_drops_must_not_be_tried_again() {
    let record = run().talk(hub(1, minutes(0)).taken(false).quit()).talk(hub(2, minutes(30)).quit()).record();
    assert_found(&record, "invariant: doubled");
}

#[test]
fn a_kill_excuses_a_transaction_that_was_open() {
    let first = hub(1, minutes(5)).close(Side::Client, Close::Reset);
    let second = hub(2, minutes(10)).quit();
    let record = run().queued(minutes(0), &[BOB], 0, None).step("kill: relay", minutes(5));
    assert_innocent(&record.talk(first).talk(second).emptied(minutes(11)).record());
}

#[test]
fn what_a_server_says_after_the_kill_is_read_by_nobody() {
    let held = Talk::server("hub", 1, minutes(0))
        .hello(&[])
        .mail(ALICE, &[], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .at(minutes(6))
        .data(&relayed(&content("note-1")), "250 OK")
        .quit();
    let record = run().talk(held).step("kill: relay", minutes(0)).step("restart: relay", minutes(5));
    let again = hub(2, minutes(5)).quit();
    assert_innocent(&record.talk(again).record());
    let third = run().talk(hub(1, minutes(1)).quit()).step("kill: relay", minutes(5));
    assert_found(&third.talk(hub(2, minutes(6)).quit()).record(), "invariant: doubled");
}

#[test]
fn a_kill_does_not_excuse_a_delivery_that_was_over() {
    let record = run()
        .talk(hub(1, minutes(1)).quit())
        .step("kill: relay", minutes(5))
        .talk(hub(2, minutes(10)).quit());
    assert_found(&record.record(), "invariant: doubled");
}

#[test]
fn a_restart_excuses_nothing() {
    let record = run()
        .talk(hub(1, minutes(1)).quit())
        .step("restart: relay", minutes(1))
        .talk(hub(2, minutes(10)).quit());
    assert_found(&record.record(), "invariant: doubled");
}

#[test]
fn the_same_address_twice_gives_one_copy_or_two() {
    let twice = || Run::new().sent("note", &[BOB, "bob@HUB.example"]);
    assert_innocent(&twice().talk(hub(1, minutes(0)).quit()).record());
    assert_innocent(&twice().talk(hub(1, minutes(0)).quit()).talk(hub(2, minutes(0)).quit()).record());
    let three = twice()
        .talk(hub(1, minutes(0)).quit())
        .talk(hub(2, minutes(0)).quit())
        .talk(hub(3, minutes(0)).quit());
    assert_found(&three.record(), "invariant: doubled");
}

#[test]
fn copies_are_known_by_their_tokens_whatever_became_of_the_address() {
    let record = Run::new().sent("note", &["@a.example:joe@HUB.example"]);
    assert_innocent(&record.delivered("hub", 1, minutes(0), "note-1", &["joe.smith@hub.example"]).record());
}

#[test]
fn after_partial_success_only_the_others_are_returned() {
    let carol = "carol@hub.example";
    let partial = || Run::new().sent("note", &[BOB, carol]).delivered("hub", 1, minutes(0), "note-1", &[BOB]);
    assert_innocent(&partial().notified(1, minutes(9), &notice("note-1", carol, "failed", "4.4.7")).record());
    let both = "Final-Recipient: rfc822; bob@hub.example\r\nAction: failed\r\nStatus: 4.4.7\r\n\r\n\
        Final-Recipient: rfc822; carol@hub.example\r\nAction: failed\r\nStatus: 4.4.7\r\n";
    let record = partial().notified(1, minutes(9), &notice_with("note-1", both)).record();
    assert_found(&record, "invariant: delivered and returned");
}

#[test]
fn mail_is_returned_once() {
    let failed = notice("note-1", BOB, "failed", "5.1.1");
    let record = run().notified(1, minutes(1), &failed).notified(2, minutes(2), &failed).record();
    assert_found(&record, "invariant: returned twice");
}

#[test]
fn a_notification_goes_to_the_sender() {
    let failed = notice("note-1", BOB, "failed", "5.1.1");
    let record = run().notified_to(1, minutes(1), "", "mallory@origin.example", &failed).record();
    let rules = rules_of(&judge(&scenario(), &record));
    assert!(rules.contains(&"invariant: returned to the wrong person".to_owned()), "{rules:?}");
}

#[test]
fn a_copy_to_the_postmaster_is_allowed() {
    let failed = notice("note-1", BOB, "failed", "5.1.1");
    let told = run().notified(1, minutes(1), &failed);
    assert_innocent(&told.notified_to(2, minutes(1), "", "Postmaster@origin.example", &failed).record());
}

#[test]
fn a_notification_in_plain_text_is_an_ending_too() {
    let text = b"Subject: failure notice\r\n\r\nHi. <bob@hub.example>: no such user.\r\n\r\nX-Gauntlet-Token: note-1\r\n";
    let rules = rules_of(&judge(&scenario(), &run().notified(1, minutes(1), text).record()));
    assert!(!rules.iter().any(|rule| rule.contains("lost")), "{rules:?}");
}

fn kept_for(days: u64) -> Record {
    run().queued(minutes(5), &[BOB], 9, None).end(minutes(days * 24 * 60), Ending::Finished).record()
}

#[test]
fn mail_may_be_kept_for_its_lifetime_and_one_wait() {
    let mut limited = scenario();
    limited.relay.lifetime = Some(Duration::from_hours(48));
    limited.relay.retry_at_most = Some(Duration::from_hours(4));
    assert_eq!(judge_with(&limited, &kept_for(2)), Vec::<String>::new());
    assert_eq!(judge_with(&limited, &kept_for(3)), ["invariant: stuck past its lifetime"]);
}

#[test]
fn a_relay_that_cannot_settle_is_not_convicted_for_it() {
    let record =
        run().queued(minutes(5), &[BOB], 1, None).talk(deferral("hub", 1, minutes(1), BOB, "451 later"));
    let record = record.end(minutes(60), Ending::Unsettled { because: "1 entry".to_owned() }).record();
    assert!(matches!(judge(&scenario(), &record).outcome, Outcome::Inconclusive { .. }));
}
