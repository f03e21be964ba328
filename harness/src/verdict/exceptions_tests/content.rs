//! What may be changed in a mail.

use super::*;

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
