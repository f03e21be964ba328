//! What a rule lets pass, and what it does not let pass for all that: each exception of the rules by one example.

use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Side};
use rstest::rstest;

use super::testing::{
    assert_found, assert_innocent, delivered, expecting, judge_with, of, rules, rules_of, scenario,
};
use super::{Outcome, State, judge};
use crate::record::testing::{
    Run, Talk, content, deferral, delivery, minutes, notice, notice_with, relayed, reply,
};
use crate::record::{Ending, Record, Role};
use crate::scenario::{Check, Level, Refused, Step, Tls};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";
const CAROL: &str = "carol@hub.example";
const INNOCENT: &[&str] = &[];

fn run() -> Run {
    Run::new().sent("note", &[BOB])
}

fn hub(ordinal: u32, at: RunTime) -> Talk {
    delivery("hub", ordinal, at, "note-1", &[BOB])
}

fn call(at: u64) -> Talk {
    Talk::server("hub", 1, minutes(at))
}

fn failed() -> Vec<u8> {
    notice("note-1", BOB, "failed", "5.1.1")
}

/// A submission to a relay that offers this.
fn sent_where(offered: &[&str], to: &[&str]) -> Run {
    let mut talk = Talk::client("sender", 1, minutes(0)).hello(offered).mail(ALICE, &[], "250 OK");
    for to in to {
        talk = talk.rcpt(to, &[], "250 OK");
    }
    let to: Vec<(&str, &[&str])> = to.iter().map(|to| (*to, &[][..])).collect();
    let content = content("note-1");
    Run::new().sent_by("note", ALICE, &to, talk.data(&content, "250 OK").quit(), content)
}

// Conservation

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

// Notifications

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

// Content

const RECEIVED: &str = "Received: from client by relay.origin.example; Mon, 11 Jun 2001 12:00:00 +0000\r\n";

#[rstest]
#[case("Hello.", "Hello.\r\n", Role::Relay)] // an empty line more at the end
#[case("one\0two", "onetwo", Role::Relay)]
#[case("From: <alice@origin.example>", "From: Alice <alice@origin.example>", Role::Submission)]
#[case("Bcc: carol@hub.example\r\n", "", Role::Relay)]
#[case("Subject: a", "ARC-Seal: i=1\r\nSubject: a", Role::Relay)]
#[case("Comments: Smörgås", "Comments: =?utf-8?q?Sm=C3=B6rg=C3=A5s?=", Role::Relay)]
fn some_changes_are_put_up_with(#[case] from: &str, #[case] to: &str, #[case] role: Role) {
    let sent = "From: <alice@origin.example>\r\nBcc: carol@hub.example\r\nSubject: a\r\nComments: Smörgås\r\n\
        X-Gauntlet-Token: note-1\r\n\r\none\0two\r\nHello.\r\n";
    // NUL excuses much: it is only there where it is the case
    let sent = if from.contains('\0') { sent.to_owned() } else { sent.replace('\0', "") };
    assert!(sent.contains(from));
    assert_eq!(changed(role, sent.as_bytes(), sent.replace(from, to).as_bytes()), INNOCENT);
}

#[test]
fn a_line_past_the_limit_that_is_cut_is_told_as_such() {
    let with = |line: &str| format!("X-Gauntlet-Token: note-1\r\n\r\n{line}\r\n").into_bytes();
    let cut = format!("{}\r\n{}", "x".repeat(990), "x".repeat(210));
    assert_eq!(changed(Role::Relay, &with(&"x".repeat(1200)), &with(&cut)), ["invariant: long line broken"]);
    assert_eq!(
        changed(Role::Relay, &with(&"x".repeat(900)), &with(&"x".repeat(899))),
        ["invariant: content changed"]
    );
}

fn changed(role: Role, sent: &[u8], got: &[u8]) -> Vec<String> {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&["8BITMIME"]);
    let talk = talk.mail(ALICE, &["BODY=8BITMIME"], "250 OK").rcpt(BOB, &[], "250 OK");
    let got = [RECEIVED.as_bytes(), got].concat();
    let hub = call(0).hello(&["8BITMIME"]).mail(ALICE, &["BODY=8BITMIME"], "250 OK");
    let hub = hub.rcpt(BOB, &[], "250 OK").data(&got, "250 OK").quit();
    let talk = talk.data(sent, "250 OK").quit();
    let mut run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, sent.to_vec()).talk(hub);
    run.raw.relay.role = role;
    rules(&run.record())
}

// The wire

fn alone(talk: Talk) -> Record {
    Run::new().talk(talk).record()
}

#[test]
fn who_gives_up_may_say_quit_at_any_time() {
    let before_greeting = call(0).c("QUIT").s("220 hub").s("221 bye").close(Side::Server, Close::Fin);
    assert_innocent(&alone(before_greeting));
    let while_due = call(0).hello(&[]).mail(ALICE, &[], "250 OK").c("RCPT TO:<bob@hub.example>").c("QUIT");
    assert_innocent(&alone(while_due.close(Side::Client, Close::Fin)));
}

#[test]
fn helo_is_no_choice_where_extensions_are_needed_or_nobody_listens() {
    let refused = || call(0).s("220 hub").c("EHLO relay.origin.example").s("500 no");
    assert_innocent(&alone(refused().close(Side::Server, Close::Fin)));
    let mut secure = scenario();
    secure.relay.tls = Some(Tls::Required);
    assert_eq!(judge_with(&secure, &alone(refused().quit())), INNOCENT);
}

#[test]
fn helo_takes_back_what_ehlo_offered() {
    let helo = call(0).hello(&["SIZE"]).c("HELO relay.origin.example").s("250 hub");
    assert_found(&alone(helo.mail(ALICE, &["SIZE=7"], "555 no").quit()), "wire: parameter not offered");
}

#[test]
fn binary_content_has_no_lines() {
    let binary = |parameters: &[&str]| {
        let talk = call(0).hello(&["8BITMIME", "BINARYMIME", "CHUNKING"]).mail("", parameters, "250 OK");
        rules(&alone(talk.rcpt(ALICE, &[], "250 OK").chunk(b"a: b\r\n\r\nc\nd\r\n", "451 no").quit()))
    };
    assert_eq!(binary(&["BODY=BINARYMIME"]), INNOCENT);
    assert_eq!(binary(&["BODY=8BITMIME"]), ["wire: bare CR or LF"]);
}

#[test]
fn a_server_that_takes_no_mail_at_all_is_left_or_leaves_at_once() {
    assert_innocent(&alone(call(0).s("521 no mail here").close(Side::Client, Close::Fin)));
    let turned_away = Talk::client("sub2", 1, minutes(0)).s("521 no mail here");
    assert_innocent(&alone(turned_away.close(Side::Server, Close::Fin)));
}

#[rstest]
#[case("220 relay", &[])]
#[case("554 no", &[])]
#[case("421 later", &[])]
#[case("250 hello", &["wire: reply class"])]
#[case("354 go on", &["wire: reply class"])]
fn a_greeting_is_220_or_a_refusal(#[case] greeting: &str, #[case] found: &[&str]) {
    assert_eq!(rules(&alone(Talk::client("sub2", 1, minutes(0)).s(greeting).quit())), found);
}

#[test]
fn the_first_word_after_a_good_ehlo_is_no_status_code() {
    let talk = |first: &str| {
        let text = format!("{first}\r\n250 ENHANCEDSTATUSCODES");
        let talk = Talk::client("sub2", 1, minutes(0)).s("220 relay").c("EHLO sub2.origin.example").s(&text);
        rules(&alone(talk.c("NOOP").s("250 2.0.0 OK").quit()))
    };
    assert_eq!(talk("250-relay"), INNOCENT);
    assert_eq!(talk("250-2.1.0 relay"), ["wire: enhanced status code"]);
}

#[test]
fn a_notification_has_no_8_bit_octets_for_who_does_not_offer_them() {
    let eight = String::from_utf8(failed()).unwrap().replace("It could", "Es könnte");
    let to = |offered: &[&str]| {
        let origin = Talk::server("origin", 1, minutes(1)).hello(offered).mail("", &[], "250 OK");
        rules(&run().talk(origin.rcpt(ALICE, &[], "250 OK").data(eight.as_bytes(), "250 OK").quit()).record())
    };
    assert_eq!(to(&["8BITMIME"]), INNOCENT);
    assert_eq!(to(&[]), ["wire: 8-bit content"]);
}

#[rstest]
#[case(10, 1200, &[], &["wire: long line"])]
#[case(1200, 1200, &[], &[])]
#[case(10, 1200, &["CHUNKING"], &[])]
#[case(10, 998, &[], &[])]
#[case(10, 999, &[], &["wire: long line"])]
fn no_line_grows_past_the_limit(
    #[case] was: usize,
    #[case] is: usize,
    #[case] offered: &[&str],
    #[case] found: &[&str],
) {
    let with = |n| format!("X-Gauntlet-Token: note-1\r\n\r\n{}\r\n", "x".repeat(n)).into_bytes();
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "250 OK").data(&with(was), "250 OK").quit();
    let hub = call(0).hello(offered).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, with(was));
    let run = run.talk(hub.data(&with(is), "451 no").quit());
    assert_eq!(rules(&run.queued(minutes(5), &[BOB], 1, Some(minutes(2000))).record()), found);
}

fn again_after_ten_minutes(run: Run, reply: &str, to: &str) -> Record {
    run.talk(deferral("hub", 1, minutes(0), BOB, reply))
        .talk(deferral("hub", 2, minutes(10), to, reply))
        .queued(minutes(1000), &[BOB], 2, Some(minutes(2000)))
        .record()
}

#[test]
fn some_that_come_back_soon_do_not_come_too_soon() {
    assert_found(&again_after_ten_minutes(run(), "451 later", BOB), "wire: retry too soon");
    assert_innocent(&again_after_ten_minutes(run(), "421 this session is over", BOB));
    let killed = run().step("kill: relay", minutes(5));
    assert_innocent(&again_after_ten_minutes(killed, "451 later", BOB));
    for step in [Step::QueueRunForce, Step::Jump(Duration::from_mins(5))] {
        let mut forced = scenario();
        forced.steps = vec![step];
        assert_eq!(judge_with(&forced, &again_after_ten_minutes(run(), "451 later", BOB)), INNOCENT);
    }
    let none_too_soon = |record: &Record| rules(record).iter().all(|rule| rule != "wire: retry too soon");
    let either_of_two = run().sent("note", &[BOB]);
    assert!(none_too_soon(&again_after_ten_minutes(either_of_two, "451 later", BOB)));
    let another = run().sent("other", &[CAROL]);
    assert!(none_too_soon(&again_after_ten_minutes(another, "451 later", CAROL)));
}

#[test]
fn the_same_breach_in_many_sessions_is_told_once() {
    let talk =
        |n| Talk::server("hub", n, minutes(60 * u64::from(n))).s("220 hub").c("EHLO sub2.").s("501 no");
    let record = Run::new().talk(talk(1).quit()).talk(talk(2).quit()).record();
    assert_found(&record, "wire: EHLO argument");
}

#[test]
fn a_name_with_u_labels_is_left_alone() {
    assert_innocent(&alone(call(0).s("220 hub").c("EHLO bücher.example").s("250 hub").quit()));
}

// Expectations and outcomes

#[test]
fn what_is_only_derived_does_not_outweigh_a_broken_expectation() {
    let wanted = expecting(Level::Must, Check::Delivered(delivered("note")));
    let verdict = judge(&wanted, &run().notified(1, minutes(1), &failed()).record());
    assert_eq!(verdict.outcome, Outcome::Violates);
    assert_eq!(rules_of(&verdict), ["expectation 1"]);
}

#[test]
fn one_way_that_does_not_apply_does_not_save_the_others() {
    let ways = vec![Check::Delivered(delivered("another")), Check::Delivered(delivered("note"))];
    let wanted = expecting(Level::Must, Check::AnyOf(ways));
    let verdict = judge(&wanted, &run().notified(1, minutes(1), &failed()).record());
    assert_eq!(verdict.results[0].state, State::Broken);
}

#[test]
fn a_refusal_may_be_for_now() {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "451 later").quit();
    let record = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1")).record();
    let wanted = expecting(Level::Must, Check::Refused(Refused { of: of("note"), at: None, reply: None }));
    assert_eq!(judge(&wanted, &record).results[0].state, State::Held);
}

// What the judgement rests on

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
    let back = Check::Returned(super::testing::returned("rawone"));
    let verdict = judge(&expecting(Level::Must, back), &record);
    assert_eq!((verdict.results[0].state, rules_of(&verdict)), (State::Unclear, Vec::new()));
    let Outcome::Unsupported { reason } = verdict.outcome else { panic!("{verdict:#?}") };
    assert!(reason.contains("it cannot be told which mail the notification is about"), "{reason}");
    let nothing = raw(raw(Run::new(), "one"), "two").emptied(minutes(1)).record();
    let back = Check::Returned(super::testing::returned("rawone"));
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
