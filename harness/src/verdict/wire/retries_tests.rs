//! Half an hour between retries: what is one, and from where it is counted.

use std::time::Duration;

use crate::record::OwnTime;
use crate::record::testing::{Run, Talk, content, deferral, delivery, minutes, relayed, reply};
use crate::verdict::testing::{assert_found, assert_innocent, judge_with, scenario};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

fn hub() -> Talk {
    Talk::server("hub", 1, minutes(0))
}

/// Deferred at the start, then tried again after so many minutes.
fn retried(again: Talk) -> Run {
    Run::new().sent("note", &[BOB]).talk(deferral("hub", 1, minutes(0), BOB, "451 later")).talk(again).queued(
        minutes(1000),
        &[BOB],
        2,
        Some(minutes(2000)),
    )
}

#[test]
fn the_same_host_is_left_alone_for_half_an_hour() {
    let after = |m| retried(deferral("hub", 2, minutes(m), BOB, "451 later")).record();
    assert_found(&after(10), "wire: retry too soon");
    assert_innocent(&after(30));
}

#[test]
fn a_scenario_may_ask_for_shorter_waits() {
    let mut quick = scenario();
    quick.relay.retry_first = Some(Duration::from_mins(5));
    let record = retried(deferral("hub", 2, minutes(5), BOB, "451 later")).record();
    assert_eq!(judge_with(&quick, &record), Vec::<String>::new());
}

#[test]
fn waits_that_a_relay_cannot_be_told_are_its_own() {
    let mut early = retried(deferral("hub", 2, minutes(7), BOB, "451 later"));
    let own = |setting: &str| {
        let why = format!("smtpd cannot be told `{setting}`: it is fixed");
        vec![OwnTime { setting: setting.to_owned(), why }]
    };
    early.raw.relay.own_times = own("end of data timeout");
    let mut other = retried(deferral("hub", 2, minutes(7), BOB, "451 later"));
    other.raw.relay.own_times = own("retry first");
    assert_found(&early.record(), "wire: retry too soon");
    assert_innocent(&other.record());
}

#[test]
fn a_wait_is_counted_from_where_the_relay_can_have_given_up() {
    let slow = hub().hello(&["8BITMIME"]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let slow = slow.data_unanswered(&relayed(&content("note-1"))).at(minutes(15)).s("451 later");
    let run = |again| {
        let talk = |talk: Talk| Run::new().sent("note", &[BOB]).talk(talk);
        let mut slow = slow.clone().done();
        slow.transactions[0].final_reply = Some(reply("451 later"));
        let mut run = talk(deferral("hub", 2, minutes(again), BOB, "451 later"));
        run.raw.sessions.insert(1, slow);
        run.queued(minutes(1000), &[BOB], 2, Some(minutes(2000))).record()
    };
    assert_innocent(&run(40));
    assert_found(&run(20), "wire: retry too soon");
}

#[test]
fn a_retry_is_found_behind_a_session_with_other_mail() {
    const CAROL: &str = "carol@hub.example";
    let run = |carol_at: u64, bob_at: u64| {
        let run = Run::new().sent("note", &[BOB]).sent("other", &[CAROL]);
        let run = run.talk(deferral("hub", 1, minutes(0), BOB, "451 later"));
        let other = delivery("hub", 2, minutes(carol_at), "other-2", &[CAROL]);
        let run = run.talk(other.quit()).talk(deferral("hub", 3, minutes(bob_at), BOB, "451 later"));
        run.queued(minutes(1000), &[BOB], 2, Some(minutes(2000))).record()
    };
    assert_innocent(&run(5, 35));
    assert_found(&run(5, 10), "wire: retry too soon");
}

#[test]
fn leftover_recipients_and_reconnects_are_no_retries() {
    let too_many = Run::new()
        .sent("note", &[BOB])
        .talk(deferral("hub", 1, minutes(0), BOB, "452 too many recipients"))
        .talk(deferral("hub", 2, minutes(0), BOB, "452 too many recipients"))
        .queued(minutes(1), &[BOB], 1, Some(minutes(2000)));
    assert_innocent(&too_many.record());
    let helo = Talk::server("hub", 2, minutes(0)).s("220 hub").c("HELO relay.origin.example").s("250 hub");
    let helo = helo.mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "451 later").quit();
    assert_innocent(&retried(helo).record());
}
