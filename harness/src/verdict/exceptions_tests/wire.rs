//! The wire.

use super::*;

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
