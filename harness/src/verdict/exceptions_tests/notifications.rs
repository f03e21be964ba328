//! Notifications.

use super::*;

#[test]
fn a_delay_is_no_success() {
    let told = run().notified(1, minutes(1), &notice("note-1", BOB, "delayed", "2.0.0"));
    assert_found(&told.queued(minutes(2), &[BOB], 1, Some(minutes(2000))).record(), "notification: fields");
}

#[test]
fn what_rfc_3461_asks_for_binds_only_who_offers_dsn() {
    let delivered = sent_where(&[], &[BOB]).delivered("hub", 1, minutes(0), "note-1", &[BOB]);
    let relayed = delivered.notified(1, minutes(1), &notice("note-1", BOB, "relayed", "2.0.0"));
    assert_innocent(&relayed.record());
    let refused = sent_where(&[], &[BOB]).talk(deferral("hub", 1, minutes(0), BOB, "550 no"));
    assert_innocent(&refused.notified(1, minutes(1), &failed()).record());
    let id = String::from_utf8(failed()).unwrap();
    let id = id.replace("Reporting-MTA", "Original-Envelope-Id: Q1\r\nReporting-MTA");
    assert_innocent(&sent_where(&[], &[BOB]).notified(1, minutes(1), id.as_bytes()).record());
}

#[test]
fn the_diagnosis_is_that_of_the_last_refusal() {
    let deferred = || run().talk(deferral("hub", 1, minutes(0), BOB, "451 later"));
    assert_innocent(&deferred().notified(1, minutes(90), &failed()).record());
    let refused = deferred().talk(deferral("hub", 2, minutes(60), BOB, "550 no"));
    assert_found(&refused.notified(1, minutes(90), &failed()).record(), "notification: diagnosis");
}

#[test]
fn the_case_of_auto_generated_does_not_matter() {
    let generated = String::from_utf8(failed()).unwrap().replace("auto-replied", "Auto-Generated");
    assert_found(
        &run().notified(1, minutes(1), generated.as_bytes()).record(),
        "notification: Auto-Submitted",
    );
}
