//! What must not be lost or doubled.

use super::*;

#[test]
fn an_entry_of_the_queue_is_that_of_the_submission_without_another_ending() {
    let twice = Run::new().sent("note", &[BOB]).sent("note", &[BOB]);
    let one = twice.delivered("hub", 1, minutes(0), "note-1", &[BOB]);
    assert_innocent(&one.queued(minutes(5), &[BOB], 1, Some(minutes(2000))).record());
}

#[test]
fn an_entry_of_the_queue_accounts_for_one_submission_only() {
    let twice = Run::new().sent("note", &[BOB]).sent("note", &[BOB]);
    assert_found(&twice.queued(minutes(5), &[BOB], 1, Some(minutes(2000))).record(), "invariant: lost");
}

#[test]
fn a_notification_that_was_tried_before_the_submission_is_about_another() {
    let tried = Talk::server("origin", 1, minutes(1)).hello(&[]).mail("", &[], "250 OK");
    let later = Talk::client("sender", 1, minutes(5)).hello(&[]).mail(ALICE, &[], "250 OK");
    let later = later.rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK").quit();
    let mut run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], later, content("note-1"));
    run.raw.sent[0].at = minutes(5);
    assert_found(&run.talk(tried.rcpt(ALICE, &[], "550 no").quit()).record(), "invariant: lost");
}

#[test]
fn a_notification_that_is_still_queued_has_been_issued() {
    let mut run = run().queued(minutes(5), &[ALICE], 1, Some(minutes(2000)));
    run.raw.queue[1].entries[0].from = String::new();
    assert_innocent(&run.record());
}

#[test]
fn a_copy_that_cannot_be_known_again_leaves_a_doubt() {
    let odd = Talk::client("odd", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let odd = odd.rcpt(BOB, &[], "250 OK").data(b"Subject: x\r\n\r\nNo token.\r\n", "250 OK").quit();
    let stray = call(0).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let stray = stray.data(b"Received: by relay\r\nSubject: x\r\n\r\nRewritten.\r\n", "250 OK").quit();
    let record = Run::new().talk(odd).talk(stray).record();
    assert_eq!(record.strays.len(), 1);
    assert_innocent(&record);
}

#[test]
fn a_notification_that_may_be_about_either_of_two_leaves_a_doubt() {
    let text = b"Subject: failure notice\r\n\r\n<bob@hub.example>: no such user\r\n";
    let twice = Run::new().sent("note", &[BOB]).sent("note", &[BOB]);
    assert_innocent(&twice.notified(1, minutes(1), text).record());
}

#[test]
fn a_copy_for_an_alias_of_several_recipients_leaves_a_doubt() {
    let both = Run::new().sent("note", &[BOB, CAROL]);
    assert_innocent(&both.delivered("hub", 1, minutes(0), "note-1", &["team@hub.example"]).record());
}

#[test]
fn of_a_relay_that_died_nothing_is_called_lost() {
    let died = Ending::RelayDied { why: "signal 11".to_owned() };
    assert_found(&run().end(minutes(1), died).record(), "invariant: the relay lives");
}

#[test]
fn a_relay_that_a_step_has_killed_may_be_dead() {
    let died = Ending::RelayDied { why: "signal 9".to_owned() };
    assert_innocent(&run().step("kill: relay", minutes(1)).end(minutes(1), died).record());
}

#[test]
fn a_kill_does_not_excuse_a_delivery_that_the_queue_had_noted() {
    let record = run()
        .queued(minutes(0), &[BOB], 0, None)
        .talk(hub(1, minutes(1)).at(minutes(5)).close(Side::Client, Close::Reset))
        .emptied(minutes(2))
        .step("kill: relay", minutes(5))
        .talk(hub(2, minutes(10)).quit());
    assert_found(&record.record(), "invariant: doubled");
}

#[test]
fn a_kill_also_excuses_that_the_mail_is_returned() {
    let record = run()
        .queued(minutes(0), &[BOB], 0, None)
        .step("kill: relay", minutes(5))
        .talk(hub(1, minutes(5)).close(Side::Client, Close::Reset))
        .notified(1, minutes(60), &failed())
        .emptied(minutes(61));
    assert_innocent(&record.record());
}

#[test]
fn a_notification_whose_2yz_never_came_may_come_again() {
    let first = Talk::server("origin", 1, minutes(1)).hello(&[]).mail("", &[], "250 OK");
    let first = first.rcpt(ALICE, &[], "250 OK").data_unanswered(&failed()).taken(true);
    let first = first.close(Side::Server, Close::Reset);
    assert_innocent(&run().talk(first).notified(2, minutes(40), &failed()).record());
}

#[test]
fn a_notification_that_names_nobody_is_not_about_who_was_refused() {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(CAROL, &[], "550 no").rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK");
    let to: [(&str, &[&str]); 2] = [(CAROL, &[]), (BOB, &[])];
    let run = Run::new().sent_by("note", ALICE, &to, talk.quit(), content("note-1"));
    let text = b"Subject: failed\r\n\r\nIt could not be delivered.\r\n\r\nX-Gauntlet-Token: note-1\r\n";
    assert_eq!(rules(&run.notified(1, minutes(1), text).record()), ["notification: form"]);
}

#[test]
fn expiry_is_looked_at_on_an_attempt() {
    let mut limited = scenario();
    limited.relay.lifetime = Some(Duration::from_hours(48));
    limited.relay.retry_at_most = Some(Duration::from_hours(4));
    let kept = run().queued(minutes(5), &[BOB], 9, None).end(minutes(51 * 60), Ending::Finished);
    assert_eq!(judge_with(&limited, &kept.record()), INNOCENT);
}

#[test]
fn who_asked_for_delays_alone_may_be_left_with_a_warning() {
    let sent = Run::new().sent_as("note", ALICE, &[(BOB, &["NOTIFY=DELAY"])]);
    let warned = sent.notified(1, minutes(240), &notice("note-1", BOB, "delayed", "4.4.1"));
    assert_innocent(&warned.emptied(minutes(300)).record());
}
