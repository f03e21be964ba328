//! What a relay may do to a message, and what not.

use rstest::rstest;

use super::testing::{found, rules};
use crate::record::testing::{Run, Talk, minutes};
use crate::record::{Record, Role};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";
const RECEIVED: &str =
    "Received: from client by relay.origin.example with ESMTP id Q7; Mon, 11 Jun 2001 12:00:00 +0000\r\n";
const HEADER: &str = "Received: from older by client; Mon, 11 Jun 2001 11:00:00 +0000\r\nFrom: <alice@origin.example>\r\n\
    Subject: a\r\n folded one\r\nX-Gauntlet-Token: note-1\r\n";
const MIME: &str =
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ";

fn passed_on(role: Role, sent: &str, got: &str) -> Record {
    passed_on_as("BODY=8BITMIME", role, sent, got)
}

fn passed_on_as(body: &str, role: Role, sent: &str, got: &str) -> Record {
    let talk = Talk::client("sender", 1, minutes(0))
        .hello(&["8BITMIME", "BINARYMIME", "CHUNKING"])
        .mail(ALICE, &[body], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data(sent.as_bytes(), "250 OK")
        .quit();
    let hub = Talk::server("hub", 1, minutes(0))
        .hello(&["8BITMIME"])
        .mail(ALICE, &["BODY=8BITMIME"], "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data(got.as_bytes(), "250 OK")
        .quit();
    let mut run = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, sent.as_bytes().to_vec()).talk(hub);
    run.raw.relay.role = role;
    run.record()
}

fn judged(sent: &str, got: &str) -> Vec<String> {
    rules(&passed_on(Role::Relay, sent, got))
}

const INNOCENT: &[&str] = &[];

#[test]
fn a_trace_field_at_the_top_is_all_that_a_relay_adds() {
    let sent = format!("{HEADER}\r\nHello.\r\n");
    assert_eq!(judged(&sent, &format!("{RECEIVED}{sent}")), INNOCENT);
    assert_eq!(judged(&sent, &format!("Return-Path: <{ALICE}>\r\n{RECEIVED}{sent}")), INNOCENT);
    assert_eq!(judged(&sent, &sent), ["invariant: no trace"]);
}

#[test]
fn the_trace_field_stands_above_what_was_there() {
    let sent = "From: <alice@origin.example>\r\nX-Gauntlet-Token: note-1\r\n\r\nHello.\r\n";
    let below =
        format!("From: <alice@origin.example>\r\n{RECEIVED}X-Gauntlet-Token: note-1\r\n\r\nHello.\r\n");
    assert_eq!(judged(sent, &below), ["invariant: trace not at the top"]);
}

#[test]
fn older_trace_fields_stay_as_they_were() {
    let sent = format!("{HEADER}\r\nHello.\r\n");
    let got = format!("{RECEIVED}{}", sent.replace("from older", "from oldest"));
    assert_eq!(judged(&sent, &got), ["invariant: trace changed"]);
}

#[rstest]
#[case("Subject: a\r\n folded one", "Subject: a folded one", &[])]
#[case("Subject: a\r\n folded one", "Subject: another", &["invariant: header changed"])]
#[case("Subject: a\r\n folded one\r\n", "", &["invariant: header changed"])]
#[case("Subject:", "Date: Mon, 11 Jun 2001 12:00:00 +0000\r\nSubject:", &["invariant: header changed"])]
#[case("Subject:", "X-Virus-Scanned: yes\r\nSubject:", &[])]
fn a_relay_leaves_the_header_alone(#[case] from: &str, #[case] to: &str, #[case] found: &[&str]) {
    let sent = format!("{HEADER}\r\nHello.\r\n");
    assert_eq!(judged(&sent, &format!("{RECEIVED}{}", sent.replace(from, to))), found);
}

#[test]
fn a_submission_service_may_complete_the_header() {
    let sent = format!("{HEADER}\r\nHello.\r\n");
    let added = "Date: Mon, 11 Jun 2001 12:00:00 +0000\r\nMessage-ID: <1@relay.origin.example>\r\nSubject:";
    let got = format!("{RECEIVED}{}", sent.replace("Subject:", added));
    assert_eq!(rules(&passed_on(Role::Submission, &sent, &got)), INNOCENT);
}

#[test]
fn a_body_stays_as_it_was() {
    let sent = format!("{HEADER}\r\n..dots\r\nHello.\r\n");
    let got = format!("{RECEIVED}{}", sent.replace("..dots", ".dots"));
    assert_eq!(judged(&sent, &got), ["invariant: content changed"]);
    assert!(found(&passed_on(Role::Relay, &sent, &got))[0].why.contains("`.dots` where `..dots`"));
}

#[rstest]
#[case("quoted-printable", "Sm=C3=B6rg=C3=A5s\r\n", &[])]
#[case("base64", "U23DtnJnw6VzDQo=\r\n", &[])]
#[case("quoted-printable", "Sm?rg?s\r\n", &["invariant: content changed"])]
#[case("7bit", "Sm?rg?s\r\n", &["invariant: content changed"])]
fn a_conversion_loses_nothing(#[case] encoding: &str, #[case] body: &str, #[case] found: &[&str]) {
    let sent = format!("{HEADER}{MIME}8bit\r\n\r\nSmörgås\r\n");
    assert_eq!(judged(&sent, &format!("{RECEIVED}{HEADER}{MIME}{encoding}\r\n\r\n{body}")), found);
}

#[test]
fn a_multipart_is_converted_part_by_part() {
    let sent = format!(
        "{HEADER}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         --b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSmörgås\r\n--b\r\n\r\nplain\r\n--b--\r\n"
    );
    let converted =
        sent.replace("8bit", "7bit").replacen("Encoding: 7bit\r\n\r\nSm", "Encoding: base64\r\n\r\nSm", 1);
    let got = format!("{RECEIVED}{}", converted.replace("Smörgås", "U23DtnJnw6Vz"));
    assert_eq!(judged(&sent, &got), INNOCENT);
    assert_eq!(judged(&sent, &got.replace("plain", "other")), ["invariant: content changed"]);
}

#[test]
fn a_conversion_says_that_it_is_mime() {
    let sent = format!("{HEADER}\r\nSmörgås\r\n");
    let got = format!("{RECEIVED}{HEADER}Content-Transfer-Encoding: base64\r\n\r\nU23DtnJnw6VzDQo=\r\n");
    assert_eq!(judged(&sent, &got), ["invariant: conversion without MIME"]);
}

#[test]
fn bare_line_ends_may_be_mended() {
    let sent = format!("{HEADER}\r\none\ntwo\r\n");
    let got = format!("{RECEIVED}{}", sent.replace("one\n", "one\r\n"));
    assert_eq!(judged(&sent, &got), INNOCENT);
}

#[rstest]
#[case("one two three", INNOCENT)]
#[case("onetwo three", INNOCENT)]
#[case("one  two three", &["invariant: content changed"])]
#[case("onetwothree", &["invariant: content changed"])]
#[case("one two  three", &["invariant: content changed"])]
#[case("o ne\r\ntwo three", &["invariant: content changed"])]
fn a_space_may_stand_for_a_bare_line_end_and_nowhere_else(#[case] mended: &str, #[case] found: &[&str]) {
    let sent = format!("{HEADER}\r\none\rtwo three\r\n");
    let got = format!("{RECEIVED}{}", sent.replace("one\rtwo three", mended));
    assert_eq!(judged(&sent, &got), found);
}

#[rstest]
#[case("", INNOCENT)]
#[case("\r\n", &["invariant: long line broken"])]
#[case("\r\n ", &["invariant: long line broken"])]
#[case("!\r\n ", &["invariant: long line broken"])]
#[case("!", &["invariant: content changed"])]
#[case(" ", &["invariant: content changed"])]
fn a_line_past_the_limit_that_is_broken_is_a_loss_however_it_is_marked(
    #[case] between: &str,
    #[case] found: &[&str],
) {
    let (x, y) = ("x".repeat(990), "y".repeat(990));
    let sent = format!("{HEADER}\r\nshort\r\n{x}{y}\r\n");
    let got = format!("{RECEIVED}{HEADER}\r\nshort\r\n{x}{between}{y}\r\n");
    assert_eq!(judged(&sent, &got), found);
    let short = got.replace("short", " short");
    assert_eq!(judged(&sent, &short), ["invariant: content changed"]);
}

#[rstest]
#[case("BODY=8BITMIME", INNOCENT)]
#[case("BODY=BINARYMIME", &["invariant: content changed"])]
fn binary_content_keeps_each_octet(#[case] body: &str, #[case] broken: &[&str]) {
    let sent = format!("{HEADER}{MIME}binary\r\n\r\none\ntwo\0\r\n");
    let mended = sent.replace("one\n", "one\r\n");
    assert_eq!(rules(&passed_on_as(body, Role::Relay, &sent, &format!("{RECEIVED}{mended}"))), broken);
    // T25lCnR3b wA: the same octets
    let encoded = sent.replace("binary\r\n\r\none\ntwo\0", "base64\r\n\r\nb25lCnR3bwA=");
    assert_eq!(rules(&passed_on_as(body, Role::Relay, &sent, &format!("{RECEIVED}{encoded}"))), INNOCENT);
}

/// Parts of parts, and a message in a part: each part is encoded in its own way, and says the same.
#[test]
fn nested_parts_are_compared_one_by_one() {
    let sent = format!(
        "{HEADER}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         --a\r\nContent-Type: multipart/alternative; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         --b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--b\r\nContent-Type: text/html\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n<b>ü</b>\r\n--b--\r\n\r\n\
         --a\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Subject: in\r\nContent-Transfer-Encoding: 8bit\r\n\r\nß\r\n--a--\r\n"
    );
    let seven = sent
        .replace(
            "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße",
            "Content-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==",
        )
        .replace(
            "Content-Transfer-Encoding: 8bit\r\n\r\n<b>ü",
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n<b>=C3=BC",
        )
        .replace(
            "Content-Transfer-Encoding: 8bit\r\n\r\nß",
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=9F",
        )
        .replace("8bit", "7bit");
    assert!(seven.is_ascii());
    assert_eq!(judged(&sent, &format!("{RECEIVED}{seven}")), INNOCENT);
    for (part, other) in [("R3LDvMOfZQ==", "R3LDvMOfZg=="), ("<b>=C3=BC", "<b>=C3=BD"), ("=C3=9F", "=C3=9E")]
    {
        assert_ne!(seven.replace(part, other), seven);
        assert_eq!(
            judged(&sent, &format!("{RECEIVED}{}", seven.replace(part, other))),
            ["invariant: content changed"]
        );
    }
}
