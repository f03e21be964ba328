//! Stories read by a person, and equal for equal runs.

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Part, RuleFired, Side, What};

use super::{excerpt, story};
use crate::record::testing::{Run, Talk, deferral, delivery, minutes, notice};
use crate::record::{Ending, Record, Varying};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

/// Two days of `451`, a warning after four hours, then the return.
fn two_days() -> Record {
    let mut run = Run::new().step("send: note", RunTime::ZERO).sent("note", &[BOB]);
    for attempt in 0..=48_u32 {
        let at = minutes(60 * u64::from(attempt));
        run = run.talk(deferral("hub", attempt + 1, at, BOB, "451 4.7.1 later"));
        run = run.queued(at, &[BOB], attempt + 1, Some(minutes(60 * u64::from(attempt) + 60)));
        if attempt == 4 {
            run = run.notified(1, at, &notice("note-1", BOB, "delayed", "4.7.1"));
        }
    }
    let end = minutes(48 * 60);
    run.notified(2, end, &notice("note-1", BOB, "failed", "4.4.7"))
        .emptied(end)
        .end(end, Ending::Finished)
        .record()
}

#[test]
fn two_days_of_retries_are_told_in_a_page_or_two() {
    let story = story(&two_days());
    assert!(story.lines().count() < 160, "{} lines", story.lines().count());
    let again = "+5h       relay → hub: the same as in session 1; again at +6h, +7h, +8h, +9h … +2d (44 times in all)";
    assert!(story.contains(again), "{story}");
    assert!(
        story.contains("+1h       relay → hub: the same as in session 1; again at +2h, +3h, +4h\n"),
        "{story}"
    );
}

#[test]
fn a_story_is_the_same_for_equal_runs() {
    assert_eq!(story(&two_days()), story(&two_days()));
}

#[test]
fn a_session_is_told_line_by_line() {
    let talk = Talk::server("hub", 1, minutes(15))
        .s("220-hub")
        .at(minutes(16))
        .s("220 hub")
        .c("EHLO relay.origin.example")
        .event(What::Rule(RuleFired { event: "EHLO".to_owned(), index: 0 }))
        .s("502 no")
        .close(Side::Client, Close::Reset);
    let told = story(&Run::new().talk(talk).record());
    let expected = "\n\
        +15m      relay → hub (session 1)\n            S: 220-hub\n+16m        S: 220 hub\n            \
        C: EHLO relay.origin.example\n            *  rule 1 on EHLO\n            S: 502 no\n            \
        *  relay resets\n";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_varies_has_a_name_and_the_same_value_the_same_name() {
    let mut run = Run::new().sent("note", &[BOB]).queued(minutes(0), &[BOB], 1, Some(minutes(15)));
    run = run.delivered("hub", 1, minutes(15), "note-1", &[BOB]);
    let told = story(&run.notified(1, minutes(15), &notice("note-1", BOB, "relayed", "2.0.0")).record());
    for text in [
        "S: 250 2.0.0 OK id <queue-id 1>",
        "C| →   id <queue-id 1>; <date +0s>",
        "queue: <queue-id 1> from <alice@origin.example> to bob@hub.example: 1 attempt, next +15m: 451 later",
        "C| Date: <date +15m>",
        "C| Message-ID: <message-id 1>",
        "boundary=\"<boundary 1>\"",
        "C| --<boundary 1>--",
        "C| Message-ID: <note-1@gauntlet.example>",
    ] {
        assert!(told.contains(text), "no `{text}` in:\n{told}");
    }
    for text in ["Q7F31A", "rb81", "20010611.9", "11 Jun 2001"] {
        assert!(!told.contains(text), "`{text}` in:\n{told}");
    }
}

#[test]
fn an_id_that_a_client_says_too_is_left_alone() {
    let content = b"Subject: x\r\n\r\nQ7F31A\r\n".to_vec();
    let talk =
        Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk.data(&content, "250 OK").quit(), content);
    assert!(story(&run.queued(minutes(0), &[BOB], 1, None).record()).contains("C| Q7F31A"));
}

#[test]
fn a_date_outside_of_the_run_is_content() {
    let old = b"Date: Mon, 1 Jan 1996 00:00:00 +0000\r\n\r\nx\r\n";
    let talk =
        Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").data(old, "250 OK").quit();
    assert!(story(&Run::new().talk(talk).record()).contains("Date: Mon, 1 Jan 1996 00:00:00 +0000"));
}

#[test]
fn long_content_is_cut_and_octets_are_shown() {
    let mut long = b"Subject: x\r\n\r\n".to_vec();
    long.extend_from_slice("ümlaut\r\n".as_bytes());
    long.extend_from_slice(b"\xFF\x01 odd\r\nbare\ncr\rlf\r\n");
    long.extend_from_slice(&b"line\r\n".repeat(130));
    let talk =
        Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK").data(&long, "250 OK").quit();
    let told = story(&Run::new().talk(talk).record());
    for text in [
        "C| ümlaut\n",
        "C| \\xFF\\x01 odd\n",
        "C| bare\\n\n",
        "C| cr\\rlf\n",
        "C| … 122 more lines\n            C| .\n",
    ] {
        assert!(told.contains(text), "no `{text}` in:\n{told}");
    }
}

#[test]
fn blanks_at_the_end_and_tabs_are_seen() {
    let content =
        b"Subject: x\r\n\tfolded\r\nDate: Mon, 11 Jun 2001 12:00:00 +0000 \r\n\r\n.. \r\n \r\n\r\nend \t\r\n";
    let talk = Talk::server("hub", 1, minutes(0)).s("220 ").c("EHLO x").raw(Side::Server, b"250\r\n");
    let told =
        story(&Run::new().talk(talk.mail(ALICE, &[], "250 OK").data(content, "250 OK").quit()).record());
    for text in [
        "S: 220·\n",
        "S: 250\n",
        "C| →   folded\n",
        "C| Date: <date +0s>·\n",
        "C|\n            C| ..·\n            C| ·\n            C|\n            C| end →\n",
    ] {
        assert!(told.contains(text), "no `{text}` in:\n{told}");
    }
}

#[test]
fn a_reply_in_single_octets_is_one_line() {
    let mut talk = Talk::server("hub", 1, minutes(0));
    for byte in b"220 hub\r\n" {
        talk = talk.raw(Side::Server, &[*byte]);
    }
    assert!(
        story(&Run::new().talk(talk.raw(Side::Server, b"421 cut")).record())
            .contains("            S: 220 hub\n            S: 421 cut (no line end)\n")
    );
}

fn rule(event: &str, index: usize) -> What {
    What::Rule(RuleFired { event: event.to_owned(), index })
}

#[test]
fn a_rule_is_told_behind_the_content_and_before_the_reply() {
    let content = b"Subject: x\r\n\r\nHello.\r\n";
    let talk = Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.data_unanswered(content).event(rule("end-of-data", 0)).s("451 later");
    let told = story(&Run::new().talk(talk).record());
    let expected =
        "C| Hello.\n            C| .\n            *  rule 1 on end-of-data\n            S: 451 later\n";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_rule_that_fires_within_a_line_is_told_after_it() {
    let bytes = |bytes: &[u8]| What::Bytes {
        from: Side::Client,
        bytes: bytes.to_vec(),
        tls: false,
        part: Part::Content,
    };
    let body = format!("ain\r\nand\r\n\r\n{}.\r\n", "more\r\n".repeat(30));
    let talk =
        Talk::server("hub", 1, minutes(0)).event(bytes(b"Subject: x\r\n\r\npl")).event(rule("data", 1));
    let told = story(&Run::new().talk(talk.event(bytes(body.as_bytes()))).record());
    let expected =
        "C| plain\n            *  rule 2 on data\n            C| and\n            C|\n            C| more\n";
    assert!(told.contains(expected), "{told}");
    assert!(told.contains("C| … 20 more lines\n            C| .\n"), "the body goes on: {told}");
    // a reply in segments, while the next command is taken up
    let talk = Talk::server("hub", 1, minutes(0)).raw(Side::Server, b"250 o").event(rule("RCPT", 0));
    let told = story(&Run::new().talk(talk.raw(Side::Server, b"k\r\n")).record());
    assert!(told.contains("S: 250 ok\n            *  rule 1 on RCPT\n"), "{told}");
}

#[test]
fn what_a_server_took_is_said_in_words() {
    let record = Run::new().sent("note", &[BOB]).delivered("hub", 1, minutes(0), "note-1", &[BOB]);
    let told = story(&record.notified(1, minutes(1), &notice("note-1", BOB, "failed", "5.1.1")).record());
    assert!(told.contains("*  hub takes note for bob@hub.example: attempt 1, 7-bit\n"), "{told}");
    assert!(told.contains("*  origin takes a notification about note for alice@origin.example\n"), "{told}");
    assert!(told.contains("*     bob@hub.example: failed 5.1.1\n"), "{told}");
}

#[test]
fn retries_without_a_connection_are_told_from_the_queue() {
    let mut run = Run::new().sent("note", &[BOB]);
    for attempt in 1..=5 {
        run = run.queued(
            minutes(60 * u64::from(attempt)),
            &[BOB],
            attempt,
            Some(minutes(60 * u64::from(attempt + 1))),
        );
    }
    let told = story(&run.record());
    assert!(
        told.contains("+2h       queue: <queue-id 1> tried again, no connection; again at +3h, +4h, +5h\n"),
        "{told}"
    );
}

#[test]
fn an_attempt_that_hung_was_a_connection_although_the_queue_was_listed_meanwhile() {
    let hub = Talk::server("hub", 2, minutes(30)).hello(&[]).mail(ALICE, &[], "250 OK");
    let run = Run::new().sent("note", &[BOB]).queued(minutes(0), &[BOB], 1, Some(minutes(30)));
    let run = run.queued(minutes(30), &[BOB], 1, None).talk(hub);
    let told = story(&run.queued(minutes(40), &[BOB], 2, Some(minutes(70))).record());
    assert!(!told.contains("no connection"), "{told}");
}

#[test]
fn the_log_is_told_where_it_is_about_no_queued_mail() {
    let run = Run::new().sent("note", &[BOB]).log(minutes(0), "Q7F31A: accepted");
    // an id that only the log knows, of a notification that never rested
    let run =
        run.log(minutes(0), "relay[7]: Q8: to=<a@b.example>, status=sent").log(minutes(0), "Q8: removed");
    let told = story(&run.log(minutes(1), "Event 4120").log(minutes(2), "Event 4120").record());
    assert!(told.ends_with("\n== log\nEvent 4120 (2 times)\n"), "{told}");
}

#[test]
fn an_excerpt_names_things_as_the_story_does() {
    let record = Run::new()
        .sent("note", &[BOB])
        .talk(delivery("hub", 1, minutes(0), "note-1", &[BOB]).quit())
        .record();
    let whole = excerpt(&record, 1, 0..usize::MAX);
    assert_eq!(whole[0], "+0s  relay → hub (session 1)");
    assert!(whole.contains(&"C| →   id <queue-id 1>; <date +0s>".to_owned()), "{whole:#?}");
    assert_eq!(excerpt(&record, 1, 1..2), ["+0s  relay → hub (session 1)", "C: EHLO relay.origin.example"]);
    assert!(excerpt(&record, 9, 0..1).is_empty());
}

#[test]
fn an_excerpt_after_the_handshake_says_that_it_is_encrypted() {
    let tls = What::TlsStarted { version: "TLSv1.3".to_owned(), server_name: None };
    let bytes = What::Bytes { from: Side::Client, bytes: b"NOOP\r\n".to_vec(), tls: true, part: Part::Lines };
    let talk = Talk::server("hub", 1, minutes(0)).event(tls).event(bytes);
    assert_eq!(excerpt(&Run::new().talk(talk).record(), 0, 1..2)[1..], ["*  over TLS", "C: NOOP"]);
}

#[test]
fn bytes_that_go_past_tls_are_told_as_such() {
    let tls = What::TlsStarted { version: "TLSv1.3".to_owned(), server_name: None };
    let clear =
        What::Bytes { from: Side::Server, bytes: b"250 clear\r\n".to_vec(), tls: false, part: Part::Lines };
    let talk = Talk::server("hub", 1, minutes(0)).s("220 go").event(tls).event(clear).c("EHLO relay.example");
    let told = story(&Run::new().talk(talk).record());
    let expected = "*  TLS from here on: TLSv1.3\n            *  in the clear, outside of TLS\n            \
        S: 250 clear\n            *  within TLS again\n            C: EHLO relay.example\n";
    assert!(told.contains(expected), "{told}");
}

/// A run on a relay whose adapter says this.
fn run_that_varies(values: &[(&str, &str, bool)]) -> Run {
    let mut run = Run::new();
    run.raw.relay.version = "Relay 4.96".to_owned();
    let varies = &mut run.raw.relay.varies;
    varies.values = values
        .iter()
        .map(|(name, pattern, in_place)| Varying {
            name: (*name).to_owned(),
            pattern: (*pattern).to_owned(),
            in_place: *in_place,
        })
        .collect();
    varies.side_by_side = true;
    run
}

#[test]
fn what_an_adapter_announces_is_named_wherever_it_stands() {
    let content = b"Received: by relay\r\n\twith ESMTP id abcdefgh;\r\n x\r\n\r\nabcdefgh\r\n";
    let talk = Talk::server("hub", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 abcdefgh OK");
    let talk = talk.data(content, "250 OK").quit();
    let values = [("queue id", r"with ESMTP id (\w+)", false), ("session id", r"session ([a-z]+) ", false)];
    let run = run_that_varies(&values).talk(talk).log(minutes(0), "session wxyz for alice");
    let told = story(&run.log(minutes(0), "wxyz ends").record());
    for text in ["id <queue-id 1>;", "C| <queue-id 1>\n", "S: 250 <queue-id 1> OK", "<session-id> ends\n"] {
        assert!(told.contains(text), "no `{text}` in:\n{told}");
    }
}

#[test]
fn what_varies_in_place_is_named_there_alone_and_has_no_number() {
    let talk = Talk::server("hub", 1, minutes(0)).s("220 hub").c("EHLO x").s("250 hub").quit();
    let run = run_that_varies(&[("pid", r"relay\[(\d+)\]: ", true)]).talk(talk);
    let told = story(&run.log(minutes(0), "relay[250]: up").record());
    assert!(told.contains("\nrelay[<pid>]: up\n") && told.contains("S: 250 hub"), "{told}");
}

#[test]
fn the_relays_version_is_named_and_an_address_like_it_is_not() {
    let talk = Talk::client("sender", 1, minutes(0)).s("220 relay 4.96, at 10.4.96 and 4.96.1").quit();
    let told = story(&run_that_varies(&[]).talk(talk).record());
    assert!(told.contains("S: 220 relay <version>, at 10.4.96 and 4.96.1\n"), "{told}");
}

#[test]
fn the_log_of_processes_side_by_side_is_a_set() {
    let log = |lines: [&str; 4]| {
        let mut run = run_that_varies(&[("pid", r"\[(\d+)\]", true)]);
        run.raw.relay.varies.chance.push("^cache".to_owned());
        story(&lines.iter().fold(run, |run, line| run.log(minutes(0), line)).record())
    };
    let told = log(["b[7]: two", "cache cleaned", "a[3]: one", "b[5]: two"]);
    assert!(
        told.contains("\n== log, in any order\na[<pid>]: one\nb[<pid>]: two (2 times)\n")
            && !told.contains("cache"),
        "{told}"
    );
    assert_eq!(told, log(["b[1]: two", "b[2]: two", "a[4]: one", "cache cleaned"]));
}

#[test]
fn a_reset_is_told_where_the_relay_had_the_last_word() {
    let greeted = || Talk::server("hub", 1, minutes(0)).s("220 hub").c("EHLO x").s("250 hub");
    let tells = |talk: Talk| story(&run_that_varies(&[]).talk(talk).record());
    let closed = tells(greeted().close(Side::Client, Close::Fin));
    assert!(closed.contains("*  relay closes\n"), "{closed}");
    assert_eq!(closed, tells(greeted().close(Side::Client, Close::Reset)));
    assert!(tells(greeted().c("RSET").close(Side::Client, Close::Reset)).contains("*  relay resets\n"));
}

#[test]
fn quit_is_told_before_its_own_reply_however_soon_it_was_read() {
    let tells = |talk: Talk| story(&run_that_varies(&[]).talk(talk).record());
    let begun = || Talk::server("hub", 1, minutes(0)).s("220 hub").c("RSET");
    let early = tells(begun().c("QUIT").s("250 reset").s("221 bye"));
    assert!(early.contains("S: 250 reset\n            C: QUIT\n            S: 221 bye\n"), "{early}");
    assert_eq!(early, tells(begun().s("250 reset").c("QUIT").s("221 bye")));
}

#[test]
fn recipients_without_an_order_are_told_by_name() {
    let tells = |to: [&str; 2]| {
        let mut run = run_that_varies(&[]);
        run.raw.relay.varies.recipient_order = true;
        let run = run.sent("note", &[BOB, "carol@hub.example"]);
        story(&run.delivered("hub", 1, minutes(0), "note-1", &to).record())
    };
    assert_eq!(tells([BOB, "carol@hub.example"]), tells(["carol@hub.example", BOB]));
}
