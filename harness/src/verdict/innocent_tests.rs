//! Innocent relays, which must not be convicted.

use mock_servers::transcript::{Close, Part, Side, What};

use super::Severity;
use super::testing::{assert_found, assert_innocent, found, rules};
use crate::record::Record;
use crate::record::testing::{Run, Talk, content, minutes, notice, relayed, reply};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

fn run() -> Run {
    Run::new().sent("note", &[BOB])
}

fn call() -> Talk {
    Talk::server("hub", 1, minutes(0))
}

fn alone(talk: Talk) -> Record {
    Run::new().talk(talk).record()
}

fn failed(token: &str) -> Vec<u8> {
    notice(token, BOB, "failed", "5.1.1")
}

/// RFC 5321 section 4.1.4: QUIT SHOULD be used "even when no session opening command was sent and accepted". OpenSMTPD
/// closes without it after a refused greeting or HELO.
#[test]
fn quit_is_a_should_where_no_session_was_opened() {
    let greeting = call().s("554 no").close(Side::Client, Close::Fin);
    let helo = call().s("220 hub").c("EHLO relay.origin.example").s("501 no").c("HELO relay.origin.example");
    for talk in [greeting, helo.s("501 no").close(Side::Client, Close::Fin)] {
        let worst = found(&alone(talk)).iter().map(|f| f.severity).min();
        assert_ne!(worst, Some(Severity::Violates));
    }
}

/// The reply comes after the client's timeout: it was due when the client closed.
#[test]
fn a_reply_that_comes_after_the_close_was_due() {
    let talk = call().hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let talk = talk.data_unanswered(&relayed(&content("note-1"))).at(minutes(10));
    let mut session = talk.close(Side::Client, Close::Fin).at(minutes(11)).s("250 OK").taken(true).done();
    session.transactions[0].final_reply = Some(reply("250 OK"));
    session.transactions[0].finished = Some(minutes(11));
    let mut run = run();
    run.raw.sessions.push(session);
    assert_innocent(&run.record());
}

/// RFC 8446 section 5: what is no TLS record ends the connection, and no QUIT can pass any more.
#[test]
fn no_quit_passes_where_the_server_spoke_in_the_clear_behind_the_handshake() {
    let talk = |tls| {
        let talk = call().s("220 hub").c("EHLO relay.origin.example").s("250-hub").s("250 STARTTLS");
        let talk = talk
            .c("STARTTLS")
            .s("220 go")
            .event(What::TlsStarted { version: "TLSv1.3".to_owned(), server_name: None });
        let talk = talk.event(What::Bytes {
            from: Side::Server,
            bytes: b"421 no\r\n".to_vec(),
            tls,
            part: Part::Lines,
        });
        alone(talk.close(Side::Client, Close::Reset))
    };
    assert_innocent(&talk(false));
}

/// RFC 5321 section 3.2 speaks of "command not recognized"; 502 is for a command that is recognized (section 4.2.4), and
/// scenarios/seeds/ehlo-refused-502.yaml calls HELO a choice there.
#[test]
fn after_502_helo_is_a_choice() {
    assert_innocent(&alone(call().s("220 hub").c("EHLO relay.origin.example").s("502 no").quit()));
}

/// RFC 4954 section 4: AUTH need not be the last of its group with an initial response and a one-round mechanism.
#[test]
fn auth_with_an_initial_response_may_be_followed_at_once() {
    let talk = call().hello(&["PIPELINING", "AUTH PLAIN"]);
    let talk = talk.c("AUTH PLAIN AHUAcA==\r\nMAIL FROM:<alice@origin.example>").s("235 OK").s("250 OK");
    assert_innocent(&alone(talk.quit()));
}

/// RFC 5321 section 6.1 leaves what is told locally to the relay. Postfix sends its copies from double-bounce@.
#[test]
fn what_a_postmaster_is_told_has_any_reverse_path() {
    let told = run().notified(1, minutes(1), &failed("note-1"));
    let copy = ("double-bounce@relay.origin.example", "postmaster@origin.example");
    assert_innocent(&told.notified_to(2, minutes(1), copy.0, copy.1, &failed("note-1")).record());
}

/// `wrong_person` lets an unqualified sender be completed; the ledger does not.
#[test]
fn a_sender_that_was_completed_has_been_told() {
    let sent = Run::new().sent_as("note", "alice", &[(BOB, &[])]);
    assert_innocent(&sent.notified(1, minutes(1), &failed("note-1")).record());
}

/// A client that comes back with the same mail after a 451, as a greylisting relay asks it to.
#[test]
fn the_same_mail_again_is_another_submission() {
    let mail = b"Subject: x\r\n\r\nToken: mine\r\n";
    let odd = Talk::client("odd", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let odd = odd.rcpt(BOB, &[], "250 OK").data(mail, "451 later").mail(ALICE, &[], "250 OK");
    let odd = odd.rcpt(BOB, &[], "250 OK").data(mail, "250 OK").quit();
    let hub = call().hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    assert_innocent(&Run::new().talk(odd).talk(hub.data(&relayed(mail), "250 OK").quit()).record());
}

/// A client whose timer is short hangs up before the 250, and comes again with the same mail, which has no token.
#[test]
fn each_of_two_that_are_alike_may_have_a_copy() {
    let mail = b"Subject: x\r\n\r\nHello.\r\n";
    let sent = |ordinal| {
        let odd = Talk::client("odd", ordinal, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
        odd.rcpt(BOB, &[], "250 OK").data_unanswered(mail).close(Side::Client, Close::Reset)
    };
    let copy = |ordinal| {
        let hub = Talk::server("hub", ordinal, minutes(u64::from(ordinal))).hello(&[]);
        let hub = hub.mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
        hub.data(&relayed(mail), "250 OK").quit()
    };
    let twice = || Run::new().talk(sent(1)).talk(sent(2)).talk(copy(1)).talk(copy(2));
    assert_innocent(&twice().record());
    assert_found(&twice().talk(copy(3)).record(), "invariant: doubled");
}

/// Postfix breaks lines past `smtp_line_length_limit` by CR LF SPACE: in the header that is folding.
#[test]
fn a_field_past_the_limit_may_be_folded_anywhere() {
    let long = "x".repeat(1200);
    let cut = format!("{}\r\n {}", "x".repeat(990), "x".repeat(210));
    let sent = format!("Comments: {long}\r\nX-Gauntlet-Token: note-1\r\n\r\nHello.\r\n");
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "250 OK").data(sent.as_bytes(), "250 OK").quit();
    let got = relayed(sent.replace(&long, &cut).as_bytes());
    let hub = call().hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, sent.into_bytes());
    assert_innocent(&run.talk(hub.data(&got, "250 OK").quit()).record());
}

/// RFC 5321 section 7.8: a server may defend itself. Postfix says 221 to `GET / HTTP/1.1`, Exim 554 after three errors of
/// syntax, and both close.
#[test]
fn a_server_under_attack_may_close() {
    let closed = |talk: Talk| rules(&alone(talk.close(Side::Server, Close::Fin)));
    let client = || Talk::client("odd", 1, minutes(0)).s("220 relay");
    let none = Vec::<String>::new();
    assert_eq!(
        closed(client().c("GET / HTTP/1.1").s("221 2.7.0 Error: I can break rules, too. Goodbye.")),
        none
    );
    let errors = ["FOO", "BAR"].iter().fold(client(), |talk, line| talk.c(line).s("500 what"));
    assert_eq!(closed(errors.c("BAZ").s("554 Too many syntax or protocol errors")), none);
}

/// RFC 5321 section 2.4: a relay SHOULD assume that content is valid and "relay it without inspecting that content".
#[test]
fn unlabelled_8_bit_content_may_be_passed_on() {
    let mut eight = content("note-1");
    eight.splice(eight.len() - 2.., "ü\r\n".bytes());
    let sent = Talk::client("sender", 1, minutes(0)).hello(&["8BITMIME"]).mail(ALICE, &[], "250 OK");
    let sent = sent.rcpt(BOB, &[], "250 OK").data(&eight, "250 OK").quit();
    let hub = call().hello(&[]).mail(ALICE, &[], "250 OK").rcpt(BOB, &[], "250 OK");
    let hub = hub.data(&relayed(&eight), "250 OK").quit();
    let record = Run::new().sent_by("note", ALICE, &[(BOB, &[])], sent, eight).talk(hub).record();
    assert_eq!(rules(&record), Vec::<String>::new());
}

/// RFC 4954 section 4: a challenge may have 12288 octets; the limit of 512 is not its own.
#[test]
fn a_challenge_may_be_long() {
    let talk = Talk::client("odd", 1, minutes(0)).hello(&["AUTH GSSAPI"]).c("AUTH GSSAPI");
    let talk = talk.s(&format!("334 {}", "A".repeat(1200))).c("*").s("501 cancelled");
    assert_innocent(&alone(talk.quit()));
}

/// RFC 3464 section 2.3.4: a comment MAY follow; nothing asks for a space (not a tab) before it.
#[test]
fn a_comment_may_follow_the_status_at_once() {
    for status in ["5.1.1(no such user)", "5.1.1\t(no such user)"] {
        assert_innocent(&run().notified(1, minutes(1), &notice("note-1", BOB, "failed", status)).record());
    }
}

/// RFC 3461 section 4.4: an ENVID may hold white space; the field's end is trimmed, and so must be what it is held to.
#[test]
fn an_envid_may_end_in_a_space() {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&["DSN"]).mail(ALICE, &["ENVID=Q1+20"], "250 OK");
    let talk = talk.rcpt(BOB, &[], "250 OK").data(&content("note-1"), "250 OK").quit();
    let sent = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1"));
    let back = String::from_utf8(failed("note-1")).unwrap();
    let back = back.replace("Reporting-MTA", "Original-Envelope-Id: Q1 \r\nReporting-MTA");
    assert_innocent(&sent.notified(1, minutes(1), back.as_bytes()).record());
}

/// What is not excused by the above.
#[test]
fn the_excuses_are_narrow() {
    let login = call().hello(&["PIPELINING", "AUTH LOGIN"]);
    let login = login.c("AUTH LOGIN YQ==\r\nMAIL FROM:<alice@origin.example>").s("535 no").s("250 OK");
    assert_eq!(rules(&alone(login.quit())), ["wire: pipelining past a change of state"]);
    let closed = Talk::client("odd", 1, minutes(0)).s("220 relay").c("FOO").s("500 what");
    assert_eq!(rules(&alone(closed.close(Side::Server, Close::Fin))), ["wire: server closes"]);
}
