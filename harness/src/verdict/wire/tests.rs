//! Each rule of the wire convicts the guilty and acquits the innocent.

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Part, Side, What};
use rstest::rstest;

use super::grammar::names_a_host;
use crate::record::testing::{Run, Talk, content, minutes, relayed};
use crate::record::{Ending, Record};
use crate::verdict::testing::{assert_found, assert_innocent, rules};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

/// A session of the relay with the hub, beside a run in which nothing else happens.
fn run(talk: Talk) -> Record {
    Run::new().talk(talk).record()
}

fn hub() -> Talk {
    Talk::server("hub", 1, minutes(0))
}

fn tls() -> What {
    What::TlsStarted { version: "TLSv1.3".to_owned(), server_name: None }
}

#[test]
fn parameters_go_only_to_servers_that_offer_them() {
    assert_innocent(&run(hub().hello(&["SIZE 1000"]).mail(ALICE, &["SIZE=7"], "250 OK").quit()));
    assert_found(
        &run(hub().hello(&["DSN"]).mail(ALICE, &["SIZE=7"], "555 no").quit()),
        "wire: parameter not offered",
    );
    let rcpt =
        hub().hello(&["SIZE"]).mail(ALICE, &[], "250 OK").rcpt(BOB, &["NOTIFY=NEVER"], "555 no").quit();
    assert_found(&run(rcpt), "wire: parameter not offered");
}

#[test]
fn addresses_beyond_ascii_go_to_servers_with_smtputf8_and_say_so() {
    const JOSE: &str = "jos\u{e9}@hub.example";
    let to = |offers: &[&str], parameters: &[&str]| {
        run(hub().hello(offers).mail(ALICE, parameters, "250 OK").rcpt(JOSE, &[], "250 OK").quit())
    };
    assert_innocent(&to(&["8BITMIME", "SMTPUTF8"], &["SMTPUTF8"]));
    assert_found(&to(&["8BITMIME", "SMTPUTF8"], &[]), "wire: no SMTPUTF8 at MAIL");
    assert_found(&to(&["8BITMIME"], &[]), "wire: UTF-8 address");
    let a_label =
        hub().hello(&[]).mail(ALICE, &[], "250 OK").rcpt("bob@xn--bcher-kva.example", &[], "250 OK").quit();
    assert_innocent(&run(a_label));
    let from = |offers: &[&str]| run(hub().hello(offers).mail(JOSE, &offers[1..], "250 OK").quit());
    assert_innocent(&from(&["8BITMIME", "SMTPUTF8"]));
    assert_found(&from(&["8BITMIME"]), "wire: UTF-8 address");
    let with_parameter = hub().hello(&["8BITMIME"]).mail(JOSE, &["SMTPUTF8"], "250 OK");
    assert_found(&run(with_parameter.rcpt(JOSE, &[], "250 OK").quit()), "wire: UTF-8 address");
    let parameter_alone = hub().hello(&["8BITMIME"]).mail(ALICE, &["SMTPUTF8"], "250 OK");
    assert_found(&run(parameter_alone.quit()), "wire: parameter not offered");
}

/// A mail whose header holds `Grüße`, submitted with and without SMTPUTF8, and relayed.
#[rstest]
#[case::offered(&["SMTPUTF8"], &["8BITMIME", "SMTPUTF8"], &["SMTPUTF8"], None)]
#[case::not_offered(&["SMTPUTF8"], &["8BITMIME"], &[], Some("wire: UTF-8 header"))]
#[case::said_all_the_same(&["SMTPUTF8"], &["8BITMIME"], &["SMTPUTF8"], Some("wire: UTF-8 header"))]
#[case::not_said(&["SMTPUTF8"], &["8BITMIME", "SMTPUTF8"], &[], Some("wire: no SMTPUTF8 at MAIL"))]
#[case::its_senders_fault(&[], &["8BITMIME"], &[], None)]
fn headers_beyond_ascii_go_to_servers_with_smtputf8(
    #[case] submitted: &[&str],
    #[case] offers: &[&str],
    #[case] parameters: &[&str],
    #[case] found: Option<&str>,
) {
    for mail in [
        "Subject: Gr\u{fc}\u{df}e\r\nX-Gauntlet-Token: t1\r\n\r\nhello\r\n",
        "X-Gauntlet-Token: t1\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Description: Gr\u{fc}\u{df}e\r\n\r\nhello\r\n--b--\r\n",
    ] {
        let client = Talk::client("author", 1, minutes(0));
        let client = client.hello(&["8BITMIME", "SMTPUTF8"]).mail(ALICE, submitted, "250 OK");
        let client = client.rcpt(BOB, &[], "250 OK").data(mail.as_bytes(), "250 OK").quit();
        let server = Talk::server("hub", 1, minutes(1)).hello(offers).mail(ALICE, parameters, "250 OK");
        let server = server.rcpt(BOB, &[], "250 OK").data(mail.as_bytes(), "250 OK").quit();
        let record = Run::new().talk(client).talk(server).record();
        let rules: Vec<_> = rules(&record).into_iter().filter(|rule| rule.contains("UTF")).collect();
        assert_eq!(rules, found.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_was_offered_before_tls_is_forgotten() {
    let upgraded = || hub().hello(&["STARTTLS", "SIZE"]).c("STARTTLS").s("220 go on").event(tls());
    let again = upgraded().hello(&["SIZE"]).mail(ALICE, &["SIZE=7"], "250 OK").quit();
    assert_innocent(&run(again));
    let changed = upgraded().hello(&["DSN"]).mail(ALICE, &["SIZE=7"], "555 no").quit();
    assert_found(&run(changed), "wire: parameter not offered");
}

#[test]
fn the_first_command_after_tls_is_ehlo() {
    let upgraded = hub().hello(&["STARTTLS"]).c("STARTTLS").s("220 go on").event(tls());
    assert_found(&run(upgraded.mail(ALICE, &[], "250 OK").quit()), "wire: no EHLO after TLS");
}

#[test]
fn after_helo_nothing_is_offered() {
    let helo = || {
        hub()
            .s("220 hub")
            .c("EHLO relay.origin.example")
            .s("502 no")
            .c("HELO relay.origin.example")
            .s("250 hub")
    };
    assert_innocent(&run(helo().mail(ALICE, &[], "250 OK").quit()));
    assert_found(&run(helo().mail(ALICE, &["SIZE=7"], "555 no").quit()), "wire: parameter not offered");
}

#[test]
fn commands_of_an_extension_need_its_offer() {
    assert_innocent(&run(hub().hello(&["AUTH PLAIN"]).c("AUTH PLAIN AAA=").s("535 no").quit()));
    assert_innocent(&run(hub().hello(&["AUTH=LOGIN"]).c("AUTH LOGIN").s("535 no").quit()));
    assert_found(&run(hub().hello(&[]).c("STARTTLS").s("500 what").quit()), "wire: command not offered");
}

#[rstest]
#[case(b"MAIL FROM:<a@b.example>\n", "wire: bare CR or LF")]
#[case(b"MAIL FROM:<a@b.example>\r\r\n", "wire: bare CR or LF")]
fn command_lines_end_with_crlf_alone(#[case] line: &[u8], #[case] rule: &str) {
    assert_found(&run(hub().hello(&[]).raw(Side::Client, line).s("250 OK").quit()), rule);
}

#[test]
fn content_has_no_cr_or_lf_alone() {
    let with = |content: &[u8]| {
        let talk =
            hub().hello(&[]).mail("", &[], "250 OK").rcpt(ALICE, &[], "250 OK").data(content, "550 no");
        rules(&run(talk.quit()))
    };
    assert_eq!(with(b"a: b\r\n\r\nc\r\n"), Vec::<String>::new());
    assert_eq!(with(b"a: b\r\n\r\nc\nd\r\n"), ["wire: bare CR or LF"]);
    assert_eq!(with(b"a: b\r\n\r\nc\rd\r\n"), ["wire: bare CR or LF"]);
}

#[test]
fn the_greeting_is_waited_for() {
    let early = hub().c("EHLO relay.origin.example").s("220 hub").s("250 hub").quit();
    assert_found(&run(early), "wire: early");
    let in_two_pieces = hub().s("220-hub").s("220 hub").c("EHLO relay.origin.example").s("250 hub").quit();
    assert_innocent(&run(in_two_pieces));
}

#[rstest]
#[case(500, true)]
#[case(502, false)]
#[case(501, false)]
#[case(550, false)]
fn an_unknown_ehlo_is_followed_by_helo(#[case] code: u16, #[case] judged: bool) {
    let gave_up = hub().s("220 hub").c("EHLO relay.origin.example").s(&format!("{code} no")).quit();
    let expected: &[&str] = if judged { &["wire: no HELO"] } else { &[] };
    assert_eq!(rules(&run(gave_up)), expected);
}

#[test]
fn helo_may_come_in_a_session_of_its_own() {
    let first = hub().s("220 hub").c("EHLO relay.origin.example").s("500 no").quit();
    let second =
        Talk::server("hub", 2, minutes(0)).s("220 hub").c("HELO relay.origin.example").s("250 hub").quit();
    assert_innocent(&Run::new().talk(first).talk(second).record());
}

#[rstest]
#[case("relay.origin.example", true)]
#[case("relay", true)]
#[case("[198.51.100.1]", true)]
#[case("[IPv6:2001:db8::1]", true)]
#[case("sub2.", false)]
#[case("", false)]
#[case("my_host.example", false)]
#[case("-a.example", false)]
#[case("198.51.100.1]", false)]
#[case("[2001:db8::1]", false)]
#[case("two words", false)]
fn a_client_names_itself_by_domain_or_literal(#[case] argument: &str, #[case] fits: bool) {
    assert_eq!(names_a_host(argument), fits);
}

#[test]
fn a_trailing_dot_is_no_domain() {
    assert_found(&run(hub().s("220 hub").c("EHLO sub2.").s("501 no").quit()), "wire: EHLO argument");
}

#[test]
fn no_space_stands_around_the_colon() {
    let spaced = hub().hello(&[]).c("MAIL FROM: <a@b.example>").s("250 OK").quit();
    assert_found(&run(spaced), "wire: MAIL syntax");
}

/// MAIL, RCPT and DATA in one segment.
fn batch(keywords: &[&str]) -> Talk {
    let lines = "MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@hub.example>\r\nDATA";
    hub().hello(keywords).c(lines).s("250 OK").s("550 no").s("554 none").quit()
}

#[test]
fn pipelining_needs_its_offer() {
    assert_innocent(&run(batch(&["PIPELINING"])));
    assert_found(&run(batch(&[])), "wire: pipelining not offered");
}

#[test]
fn nothing_follows_a_change_of_state_before_its_reply() {
    let past =
        hub().hello(&["PIPELINING"]).c("NOOP\r\nMAIL FROM:<a@b.example>").s("250 OK").s("250 OK").quit();
    assert_found(&run(past), "wire: pipelining past a change of state");
}

#[test]
fn content_waits_for_the_354() {
    let blind = hub()
        .hello(&["PIPELINING"])
        .mail("", &[], "250 OK")
        .c("DATA")
        .event(What::Bytes {
            from: Side::Client,
            bytes: b"x\r\n.\r\n".to_vec(),
            tls: false,
            part: Part::Content,
        })
        .s("354 go on")
        .s("250 OK")
        .quit();
    assert_found(&run(blind), "wire: pipelining past a change of state");
}

#[test]
fn after_a_timeout_a_command_may_come_while_a_reply_is_due() {
    let talk =
        hub().hello(&[]).mail(ALICE, &[], "250 OK").c("RCPT TO:<bob@hub.example>").at(minutes(5)).c("RSET");
    assert_innocent(&run(talk.close(Side::Client, Close::Fin)));
}

#[test]
fn once_the_server_has_closed_nothing_is_waited_for() {
    let talk = || hub().hello(&[]).c("MAIL FROM:<a@b.example>");
    let gone = talk().close(Side::Server, Close::Fin).c("QUIT\r\nRSET").close(Side::Client, Close::Fin);
    assert_innocent(&run(gone));
    let there = talk().c("RSET").close(Side::Server, Close::Fin).close(Side::Client, Close::Fin);
    assert_found(&run(there), "wire: pipelining not offered");
}

/// Alice's mail with 8-bit content, labelled or not, and what the hub gets when it offers this.
fn eight_bit(labelled: bool, offered: &[&str]) -> Vec<String> {
    let mut eight = content("note-1");
    eight.splice(eight.len() - 2.., "ü\r\n".bytes());
    let label: &[&str] = if labelled { &["BODY=8BITMIME"] } else { &[] };
    let sent = Talk::client("sender", 1, minutes(0))
        .hello(&["8BITMIME"])
        .mail(ALICE, label, "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data(&eight, "250 OK")
        .quit();
    let onward: &[&str] = if labelled && !offered.is_empty() { label } else { &[] };
    let talk = hub()
        .hello(offered)
        .mail(ALICE, onward, "250 OK")
        .rcpt(BOB, &[], "250 OK")
        .data(&relayed(&eight), "250 OK");
    rules(&Run::new().sent_by("note", ALICE, &[(BOB, &[])], sent, eight).talk(talk.quit()).record())
}

#[test]
fn labelled_8_bit_content_goes_only_to_8bitmime() {
    assert_eq!(eight_bit(true, &["8BITMIME"]), Vec::<String>::new());
    assert_eq!(eight_bit(true, &[]), ["wire: 8-bit content"]);
}

#[test]
fn unlabelled_8_bit_content_is_told_only() {
    assert_eq!(eight_bit(false, &[]), Vec::<String>::new());
}

#[test]
fn a_client_says_quit_before_it_closes() {
    let close = |talk: Talk| rules(&run(talk.close(Side::Client, Close::Fin)));
    assert_eq!(close(hub().hello(&[])), ["wire: no QUIT"]);
    let none = Vec::<String>::new();
    assert_eq!(close(hub().hello(&[]).c("QUIT").s("221 bye")), none);
    let challenged =
        hub().hello(&["AUTH LOGIN"]).c("AUTH LOGIN").s("334 VXNlcm5hbWU6").c("QUIT").s("235 2.7.0 ok");
    assert_eq!(close(challenged), none, "QUIT in place of an answer");
    assert_eq!(close(hub().hello(&[]).c("NOOP").s("421 going down")), none, "after 421");
    assert_eq!(close(hub().hello(&[]).close(Side::Server, Close::Reset)), none, "after the peer closed");
    assert_eq!(close(hub().hello(&[]).c("NOOP").at(minutes(5))), none, "after a timeout");
    assert_eq!(
        close(hub().hello(&[]).mail("", &[], "250 OK").data_unanswered(b"x\r\n")),
        none,
        "inside DATA"
    );
    let failed = What::TlsFailed { why: "bad certificate".to_owned() };
    assert_eq!(
        close(hub().hello(&["STARTTLS"]).c("STARTTLS").s("220 go on").event(failed)),
        none,
        "failed TLS"
    );
    assert_eq!(
        close(hub().hello(&["STARTTLS"]).c("STARTTLS").s("220 go on").event(tls())),
        none,
        "refused TLS"
    );
    assert_eq!(close(hub()), none, "no greeting");
}

#[test]
fn a_relay_that_was_killed_says_no_quit() {
    let talk = hub().hello(&[]).close(Side::Client, Close::Reset);
    assert_innocent(&Run::new().talk(talk).step("kill: relay", RunTime::ZERO).record());
}

#[test]
fn a_session_that_the_end_of_the_run_cut_off_is_not_judged() {
    let talk = hub().hello(&[]).at(minutes(9)).close(Side::Client, Close::Fin);
    assert_innocent(&Run::new().talk(talk).end(minutes(9), Ending::Finished).record());
}

fn client() -> Talk {
    Talk::client("sub2", 1, minutes(0))
}

#[test]
fn a_server_keeps_the_session_until_quit_or_says_421() {
    let close = |talk: Talk| rules(&run(talk.close(Side::Server, Close::Fin)));
    assert_eq!(close(client().hello(&[]).c("FOO").s("500 what")), ["wire: server closes"]);
    let none = Vec::<String>::new();
    assert_eq!(close(client().hello(&[]).c("FOO").s("421 too many errors")), none);
    assert_eq!(close(client().hello(&[]).at(minutes(5))), none, "after a timeout");
    assert_eq!(close(client().hello(&[]).close(Side::Client, Close::Reset)), none);
}

#[rstest]
#[case("250 OK", &[])]
#[case("250-two\r\n250 lines", &[])]
#[case("250", &[])]
#[case("250-two\r\n251 codes", &["wire: reply"])]
#[case("650 what", &["wire: reply"])]
#[case("250OK", &["wire: reply"])]
#[case("OK\r\n250 OK", &["wire: reply"])]
#[case("334 go on", &["wire: reply class"])]
#[case("250 2.1.0 OK", &[])]
#[case("250 5.1.0 OK", &["wire: enhanced status code"])]
fn replies_are_well_formed(#[case] reply: &str, #[case] found: &[&str]) {
    let talk = client().hello(&["ENHANCEDSTATUSCODES"]).c("MAIL FROM:<a@origin.example>").s(reply).quit();
    assert_eq!(rules(&run(talk)), found);
}

#[test]
fn enhanced_codes_bind_only_those_who_offer_them() {
    assert_innocent(&run(client().hello(&[]).c("NOOP").s("250 5.1.0 sections follow").quit()));
}

#[test]
fn data_is_answered_with_354() {
    let eager = client().hello(&[]).mail(ALICE, &[], "250 OK").c("DATA").s("250 OK").quit();
    assert_found(&run(eager), "wire: reply class");
}

/// A transaction with a server that offers CHUNKING, then these commands and replies.
fn chunks(lines: &[(&str, &str)]) -> Record {
    let hub = hub().hello(&["CHUNKING", "BINARYMIME"]).mail("", &[], "250 OK");
    let said = lines.iter().fold(hub.rcpt("b@hub.example", &[], "250 OK"), |talk, (c, s)| talk.c(c).s(s));
    run(said.quit())
}

#[rstest]
#[case::in_order(&[("BDAT 10", "250 OK"), ("BDAT 0 LAST", "250 OK"), ("MAIL FROM:<>", "250 OK")], None)]
#[case::refused_and_reset(&[("BDAT 10", "500 ?"), ("RSET", "250 OK"), ("MAIL FROM:<>", "250 OK")], None)]
#[case::last_refused(&[("BDAT 10 LAST", "554 no"), ("MAIL FROM:<>", "250 OK")], None)]
#[case::data_in_the_next_one(&[("BDAT 10 LAST", "250 OK"), ("MAIL FROM:<>", "250 OK"), ("DATA", "503 ?")], None)]
#[case::goes_on(&[("BDAT 10", "452 full"), ("BDAT 10 LAST", "503 ?")], Some("wire: chunk after a refusal"))]
#[case::no_reset(&[("BDAT 10", "452 full"), ("MAIL FROM:<>", "503 ?")], Some("wire: no RSET after BDAT"))]
#[case::behind_the_last(&[("BDAT 1 LAST", "250 OK"), ("BDAT 1 LAST", "503 ?")], Some("wire: chunk after the last"))]
#[case::both(&[("BDAT 10 LAST", "500 ?"), ("DATA", "503 ?")], Some("wire: DATA after BDAT"))]
fn chunks_come_in_order(#[case] lines: &[(&str, &str)], #[case] broken: Option<&str>) {
    match broken {
        None => assert_innocent(&chunks(lines)),
        Some(rule) => assert_found(&chunks(lines), rule),
    }
}

#[test]
fn a_chunk_that_was_on_its_way_is_no_answer_to_a_refusal() {
    let hub =
        hub().hello(&["CHUNKING", "PIPELINING"]).mail("", &[], "250 OK").rcpt("b@hub.example", &[], "250 OK");
    let ahead = hub.c("BDAT 10").c("BDAT 10 LAST").s("452 full").s("503 ?").c("RSET").s("250 OK");
    assert_innocent(&run(ahead.quit()));
}

#[test]
fn binary_content_goes_by_bdat_alone() {
    let sent = |body: &str| {
        let hub = hub().hello(&["8BITMIME", "CHUNKING", "BINARYMIME"]);
        run(hub.mail("", &[body], "250 OK").rcpt("b@hub.example", &[], "250 OK").c("DATA").s("503 ?").quit())
    };
    assert_innocent(&sent("BODY=8BITMIME"));
    assert_found(&sent("BODY=BINARYMIME"), "wire: DATA for BINARYMIME");
}
