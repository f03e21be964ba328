use std::net::Ipv4Addr;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::config::{Host, Route};
use crate::dsn::{Notify, Ret};
use crate::testing;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9));

/// A session, and all that came out of it.
struct Talk {
    session: Session,
    said: String,
    /// The same, in the portions in which it goes out.
    writes: Vec<Vec<u8>>,
    stored: Vec<Submission>,
    closed: bool,
}

impl Talk {
    fn new(config: Config) -> Self {
        let session = Session::new(Arc::new(config), CLIENT);
        let mut talk =
            Self { session, said: String::new(), writes: Vec::new(), stored: Vec::new(), closed: false };
        talk.feed(b"");
        talk
    }

    fn trusted() -> Self {
        Self::new(trusting())
    }

    fn feed(&mut self, octets: &[u8]) {
        let written = self.writes.len();
        self.session.receive(octets);
        loop {
            match self.session.advance() {
                Step::Write => self.writes.push(self.session.take_answers()),
                Step::Read => break,
                // As if the handshake were over at once.
                Step::StartTls => self.session.secured(),
                Step::Close => {
                    self.closed = true;
                    break;
                }
                Step::Store(submission) => {
                    self.stored.push(submission);
                    let id = format!("Q{}", self.stored.len());
                    self.session.stored(Ok(&id));
                }
            }
        }
        self.writes.push(self.session.take_answers());
        self.writes.retain(|write| !write.is_empty());
        for write in &self.writes[written..] {
            self.said.push_str(std::str::from_utf8(write).expect("answers are ASCII"));
        }
    }

    /// The codes of the replies to `lines`, each of which is sent alone.
    fn codes(&mut self, lines: &[&str]) -> Vec<u16> {
        lines
            .iter()
            .map(|line| {
                self.said.clear();
                self.feed(format!("{line}\r\n").as_bytes());
                self.said.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0)
            })
            .collect()
    }
}

fn trusting() -> Config {
    Config { trusted: vec![CLIENT], ..testing::config() }
}

/// Both ways of feeding must come to the same.
fn both_ways(config: &Config, octets: &[u8]) -> Talk {
    let mut at_once = Talk::new(config.clone());
    at_once.feed(octets);
    let mut in_octets = Talk::new(config.clone());
    for octet in octets {
        in_octets.feed(&[*octet]);
    }
    assert_eq!(at_once.said, in_octets.said);
    assert_eq!(at_once.stored, in_octets.stored);
    at_once
}

#[test]
fn a_whole_session_pipelined_or_byte_by_byte() {
    let talk = both_ways(
        &trusting(),
        b"EHLO client.example\r\nMAIL FROM:<a@b.example> SIZE=10 RET=HDRS ENVID=id1\r\n\
          RCPT TO:<c@d.example> NOTIFY=FAILURE ORCPT=rfc822;c@d.example\r\nDATA\r\n\
          Subject: hi\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
    );
    assert!(talk.closed);
    assert_eq!(
        talk.said,
        "220 relay.example ESMTP\r\n250-relay.example at your service\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n\
         250-8BITMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-BINARYMIME\r\n\
         250 SMTPUTF8\r\n250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n\
         354 Go ahead, and end with CRLF . CRLF\r\n250 2.0.0 Queued as Q1\r\n\
         221 2.0.0 relay.example closing the connection\r\n"
    );
    let [mail] = talk.stored.as_slice() else { panic!("one message was sent") };
    assert_eq!(mail.sender, "a@b.example");
    assert_eq!(mail.ret, Some(Ret::Headers));
    assert_eq!(mail.envid.as_deref(), Some("id1"));
    assert_eq!(mail.content, b"Subject: hi\r\n\r\n.dot\r\n");
    assert_eq!(mail.recipients[0].notify, Notify::parse("FAILURE"));
    assert_eq!(mail.recipients[0].original.as_deref(), Some("rfc822;c@d.example"));
    let received = mail.received.as_ref().expect("it came from outside");
    assert_eq!(
        received.field("Q1", std::time::UNIX_EPOCH),
        "Received: from client.example ([198.51.100.9])\r\n\tby relay.example with ESMTP id Q1\r\n\
         \tfor <c@d.example>;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"
    );
}

#[test]
fn answers_to_a_group_go_out_together_and_all_others_at_once() {
    let mut talk = Talk::trusted();
    talk.writes.clear();
    talk.feed(b"EHLO a\r\nWHAT\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRSET\r\nNOOP\r\nMAIL FROM:<>\r\n");
    let lines = |write: &Vec<u8>| String::from_utf8_lossy(write).lines().count();
    assert_eq!(talk.writes.iter().map(lines).collect::<Vec<_>>(), [9, 1, 4, 1]);
}

#[test]
fn several_recipients_are_not_named_to_each_other() {
    let mut talk = Talk::trusted();
    talk.codes(&[
        "HELO sub2.",
        "MAIL FROM:<>",
        "RCPT TO:<a@b.example>",
        "RCPT TO:<c@d.example>",
        "DATA",
        "x",
        ".",
    ]);
    let received = talk.stored[0].received.as_ref().expect("it came from outside");
    assert_eq!(received.recipient, None);
    assert_eq!(received.with, "SMTP");
    assert_eq!(received.from, "[198.51.100.9] ([198.51.100.9])");
}

#[rstest]
#[case::mail_first(&["MAIL FROM:<>"], &[503])]
#[case::rcpt_first(&["EHLO a", "RCPT TO:<a@b.example>"], &[250, 503])]
#[case::data_first(&["EHLO a", "DATA"], &[250, 503])]
#[case::nested_mail(&["EHLO a", "MAIL FROM:<>", "MAIL FROM:<>"], &[250, 250, 503])]
#[case::no_recipient(&["EHLO a", "MAIL FROM:<>", "DATA"], &[250, 250, 554])]
#[case::rset(&["EHLO a", "MAIL FROM:<>", "RSET", "MAIL FROM:<>"], &[250, 250, 250, 250])]
#[case::ehlo_again(&["EHLO a", "MAIL FROM:<>", "EHLO a", "RCPT TO:<a@b.example>"], &[250, 250, 250, 503])]
#[case::noop_keeps(&["EHLO a", "MAIL FROM:<>", "NOOP", "VRFY x", "HELP", "RCPT TO:<a@b.example>"],
    &[250, 250, 250, 252, 214, 250])]
#[case::bad_ehlo_keeps(&["EHLO a", "MAIL FROM:<>", "EHLO", "RCPT TO:<a@b.example>"], &[250, 250, 501, 250])]
#[case::parameters_after_helo(&["HELO a", "MAIL FROM:<> SIZE=1", "MAIL FROM:<>", "RCPT TO:<a@b.example> NOTIFY=NEVER"],
    &[250, 555, 250, 555])]
#[case::trailing_dot(&["EHLO sub2.", "HELO sub2.", "MAIL FROM:<>"], &[250, 250, 250])]
#[case::trailing_space(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<joeuser@invaliddomain.example >"], &[250, 250, 501])]
#[case::declared_too_large(&["EHLO a", "MAIL FROM:<> SIZE=1000001", "MAIL FROM:<> SIZE=1000000"], &[250, 552, 250])]
fn commands_keep_their_order(#[case] lines: &[&str], #[case] codes: &[u16]) {
    assert_eq!(Talk::trusted().codes(lines), codes);
}

#[test]
fn strangers_reach_routed_domains_and_the_postmaster_only() {
    let mut config = testing::config();
    config.trusted.clear();
    config.routes.push(Route { domain: "Inside.Example".into(), via: Host::Name("in.example".into()) });
    let codes = Talk::new(config).codes(&[
        "EHLO a",
        "MAIL FROM:<>",
        "RCPT TO:<a@b.example>",
        "RCPT TO:<@inside.example:a@b.example>",
        "RCPT TO:<a@inside.example>",
        "RCPT TO:<POSTMASTER>",
    ]);
    assert_eq!(codes, [250, 250, 550, 550, 250, 250]);
}

#[test]
fn past_a_hundred_thousand_recipients_the_rest_is_put_off() {
    let mut talk = Talk::trusted();
    talk.codes(&["EHLO a", "MAIL FROM:<>"]);
    talk.said.clear();
    let lines: Vec<_> = (0..100_001).map(|n| format!("RCPT TO:<r{n}@b.example>\r\n")).collect();
    for chunk in lines.concat().as_bytes().chunks(16 * 1024) {
        talk.feed(chunk);
    }
    assert_eq!(talk.said.matches("250 2.1.5").count(), 100_000);
    assert!(talk.said.ends_with("\r\n452 4.5.3 Too many recipients in one transaction\r\n"));
}

#[rstest]
#[case::bare_lf("a\nb\r\n", "550 5.6.0")]
#[case::smuggled("a\n.\nMAIL FROM:<>\r\n", "550 5.6.0")]
#[case::long_line(&format!("{}\r\n", "a".repeat(999)), "550 5.6.0")]
#[case::too_large(&"a234567890123456789012345678901234567890\r\n".repeat(25_000), "552 5.3.4")]
#[case::loops(&"Received: x\r\n".repeat(101), "554 5.4.6")]
fn bad_content_is_refused_at_its_end(#[case] content: &str, #[case] answer: &str) {
    let mut talk = Talk::trusted();
    talk.codes(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA"]);
    talk.said.clear();
    talk.feed(format!("{content}.\r\nMAIL FROM:<>\r\n").as_bytes());
    assert!(talk.said.starts_with(answer), "{}", talk.said);
    assert!(talk.said.ends_with("\r\n250 2.1.0 Sender OK\r\n"), "the session goes on: {}", talk.said);
    assert!(talk.stored.is_empty());
}

#[test]
fn a_hundred_hops_are_still_mail() {
    let mut talk = Talk::trusted();
    talk.codes(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA"]);
    talk.feed(format!("{}\r\n.\r\n", "Received: x\r\n".repeat(100)).as_bytes());
    assert_eq!(talk.stored.len(), 1);
}

#[test]
fn a_bare_line_feed_ends_no_command() {
    let mut talk = Talk::trusted();
    talk.said.clear();
    talk.feed(b"EHLO a\nMAIL FROM:<>\r\nNOOP\n");
    assert!(talk.said.starts_with("501 5.5.2 ") && talk.said.lines().count() == 1, "{}", talk.said);
}

#[test]
fn an_overlong_command_costs_one_reply() {
    let line = format!("NOOP {}\r\nNOOP\r\n", "a".repeat(5000));
    let talk = both_ways(&trusting(), line.as_bytes());
    assert_eq!(talk.said, "220 relay.example ESMTP\r\n500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n");
}

#[test]
fn silence_and_shutdown_are_told_with_421() {
    let mut talk = Talk::trusted();
    talk.session.timed_out();
    talk.feed(b"NOOP\r\n");
    assert!(talk.closed && talk.said.ends_with("nothing heard for too long\r\n"), "{}", talk.said);
    let mut talk = Talk::trusted();
    talk.session.shutting_down();
    talk.feed(b"");
    assert!(talk.closed && talk.said.contains("\r\n421 4.3.2 relay.example "), "{}", talk.said);
}

#[rstest]
#[case::broken(ErrorKind::Other, "451 4.3.0 ")]
#[case::full(ErrorKind::StorageFull, "452 4.3.1 ")]
fn a_message_that_could_not_be_stored_is_not_accepted(#[case] why: ErrorKind, #[case] answer: &str) {
    let mut session = Session::new(Arc::new(trusting()), CLIENT);
    session.receive(b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n.\r\n");
    while session.advance() == Step::Write {}
    assert!(session.take_answers().ends_with(b"\r\n354 Go ahead, and end with CRLF . CRLF\r\n"));
    session.take_answers();
    session.stored(Err(why));
    assert!(session.take_answers().starts_with(answer.as_bytes()));
    assert_eq!(session.advance(), Step::Read);
}

#[test]
fn mcis_and_iis_refuse_a_trailing_dot() {
    for name in ["mcis", "iis-5"] {
        let vintage = crate::vintage::vintage(name).expect("it exists");
        let mut talk = Talk::new(Config { vintage, ..trusting() });
        assert_eq!(talk.codes(&["EHLO sub2."]), [501]);
        assert_eq!(talk.said, "501 Invalid Address\r\n");
        assert_eq!(talk.codes(&["HELO sub2.", "HELO sub2"]), [501, 250]);
    }
}

#[rstest]
#[case("exchange-5.5", &[500, 555, 555])]
#[case("exchange-2000", &[503, 555, 250])]
#[case("reference", &[503, 250, 503])]
fn what_came_later_old_relays_do_not_know(#[case] name: &str, #[case] codes: &[u16]) {
    let vintage = crate::vintage::vintage(name).unwrap_or_default();
    let mut talk = Talk::new(Config { vintage, ..trusting() });
    talk.codes(&["EHLO a"]);
    assert_eq!(talk.said.contains("SMTPUTF8"), name == "reference", "{}", talk.said);
    let lines = ["BDAT 0 LAST", "MAIL FROM:<> SMTPUTF8", "MAIL FROM:<> BODY=BINARYMIME"];
    assert_eq!(talk.codes(&lines), codes);
}

#[test]
fn exchange_5_5_takes_a_trailing_space() {
    let vintage = crate::vintage::vintage("exchange-5.5").expect("it exists");
    let mut talk = Talk::new(Config { vintage, ..trusting() });
    assert_eq!(
        talk.codes(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<joeuser@invaliddomain.example >"]),
        [250, 250, 250]
    );
}

/// `in-bdat-state-errors`: chunks of their announced length, whatever the state, and no command out of a chunk.
#[rstest]
#[case::one_chunk("BDAT 4 LAST\r\nhi\r\nNOOP\r\n", &[250, 250], Some("hi\r\n"))]
#[case::three_chunks("BDAT 2\r\nhiBDAT 2\r\n\r\nBDAT 0 LAST\r\n", &[250, 250, 250], Some("hi\r\n"))]
#[case::nothing_at_all("BDAT 0 LAST\r\n", &[250], Some(""))]
#[case::dots_are_themselves("BDAT 8 LAST\r\n.\r\n..\r\nx", &[250], Some(".\r\n..\r\nx"))]
#[case::commands_in_a_chunk("BDAT 8 LAST\r\nRSET\r\n\r\nRSET\r\n", &[250, 250], Some("RSET\r\n\r\n"))]
#[case::after_the_last("BDAT 2 LAST\r\n\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &[250, 503, 250], Some("\r\n"))]
#[case::data_after_bdat("BDAT 2\r\n\r\nDATA\r\nRSET\r\n", &[250, 503, 250], None)]
#[case::rcpt_after_bdat("BDAT 2\r\n\r\nRCPT TO:<c@d.example>\r\nBDAT 0 LAST\r\n", &[250, 503, 250], Some("\r\n"))]
#[case::mail_after_bdat("BDAT 2\r\n\r\nMAIL FROM:<>\r\nBDAT 0 LAST\r\n", &[250, 503, 250], Some("\r\n"))]
#[case::rset_in_between("BDAT 2\r\nxyRSET\r\nBDAT 2 LAST\r\n\r\n", &[250, 250, 503], None)]
#[case::too_large("BDAT 1000001\r\n{million}BDAT 2 LAST\r\n\r\nNOOP\r\n", &[552, 503, 250], None)]
#[case::bare_lf("BDAT 2 LAST\r\nx\nMAIL FROM:<>\r\n", &[550, 250], None)]
#[case::bare_cr("BDAT 2 LAST\r\nx\rMAIL FROM:<>\r\n", &[550, 250], None)]
#[case::crlf_over_two_chunks("BDAT 2\r\nx\rBDAT 1 LAST\r\n\n", &[250, 250], Some("x\r\n"))]
#[case::malformed("BDAT x\r\nNOOP\r\n", &[501, 250], None)]
fn chunks_have_the_length_that_was_announced(
    #[case] talk: &str,
    #[case] codes: &[u16],
    #[case] content: Option<&str>,
) {
    let start = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n";
    let octets = format!("{start}{}", talk.replace("{million}", &"x".repeat(1_000_001)));
    let config = trusting();
    let heard = if octets.len() < 1000 {
        both_ways(&config, octets.as_bytes())
    } else {
        let mut talk = Talk::new(config);
        talk.feed(octets.as_bytes());
        talk
    };
    let said = heard.said.split_once("2.1.5 Recipient OK\r\n").expect("it is taken").1;
    let said: Vec<u16> = said.lines().map(|line| line[..3].parse().expect("a code")).collect();
    assert_eq!(said, codes, "{}", heard.said);
    let stored: Vec<_> = heard.stored.iter().map(|mail| String::from_utf8_lossy(&mail.content)).collect();
    assert_eq!(stored, content.into_iter().collect::<Vec<_>>());
}

#[test]
fn chunks_for_nobody_are_read_and_refused() {
    let talk = both_ways(
        &trusting(),
        b"BDAT 6\r\nQUIT\r\nEHLO a\r\nBDAT 6\r\nQUIT\r\nMAIL FROM:<>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
    );
    assert!(!talk.closed);
    for answer in ["\r\n503 5.5.1 ", "250 2.1.0 ", "\r\n554 5.5.1 No valid", "\r\n250 2.0.0 OK\r\n"] {
        assert!(talk.said.contains(answer), "no {answer} in {}", talk.said);
    }
}

#[test]
fn binary_content_comes_by_bdat_octet_for_octet() {
    let start = b"EHLO a\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<a@b.example>\r\nDATA\r\nBDAT 9 LAST\r\n";
    let talk = both_ways(&trusting(), &[&start[..], b"\0\r\n.\r\n\n\r\xff"].concat());
    assert!(
        talk.said.contains("\r\n503 5.5.1 Binary content comes by BDAT only\r\n250 2.0.0 Queued"),
        "{}",
        talk.said
    );
    assert_eq!(talk.stored[0].content, b"\0\r\n.\r\n\n\r\xff");
}

#[test]
fn utf8_addresses_need_smtputf8() {
    let mut talk = Talk::trusted();
    let codes = talk.codes(&[
        "EHLO a",
        "MAIL FROM:<jos\u{e9}@x.example>",
        "MAIL FROM:<a@x.example>",
        "RCPT TO:<jos\u{e9}@b\u{fc}cher.example>",
        "RCPT TO:<joe@b\u{fc}cher.example>",
        "RCPT TO:<joe@x.example> ORCPT=utf-8;jos\u{e9}@x.example",
        "RSET",
        "MAIL FROM:<jos\u{e9}@x.example> SMTPUTF8",
        "RCPT TO:<jos\u{e9}@b\u{fc}cher.example>",
        "RCPT TO:<joe@x.example>",
    ]);
    assert_eq!(codes, [250, 550, 250, 553, 553, 250, 250, 250, 250, 250]);
    let mut talk = Talk::trusted();
    talk.feed(
        "EHLO a\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<jos\u{e9}@x.example>\r\nDATA\r\nx\r\n.\r\n".as_bytes(),
    );
    let mail = &talk.stored[0];
    assert!(mail.smtputf8);
    let received = mail.received.as_ref().expect("it came from outside");
    assert_eq!((received.with, &received.recipient), ("UTF8SMTP", &None), "the field stays in ASCII");
    assert_eq!(Talk::trusted().codes(&["HELO a", "MAIL FROM:<> SMTPUTF8"]), [250, 555]);
}

#[test]
fn the_enhanced_codes_of_rfc_6531_tell_sender_and_recipient_apart() {
    let mut talk = Talk::trusted();
    talk.feed(
        "EHLO a\r\nMAIL FROM:<\u{e9}@x.example>\r\nMAIL FROM:<>\r\nRCPT TO:<\u{e9}@x.example>\r\n".as_bytes(),
    );
    assert!(talk.said.contains("\r\n550 5.6.7 ") && talk.said.contains("\r\n553 5.6.7 "), "{}", talk.said);
    assert!(talk.said.is_ascii(), "RFC 6531 section 3.7.4");
}

fn certified() -> Config {
    let certificate = crate::config::Certificate { chain: String::new(), key: String::new() };
    Config { certificate: Some(certificate), ..trusting() }
}

#[test]
fn starttls_is_offered_once_and_forgets_what_was_said_before() {
    assert_eq!(Talk::trusted().codes(&["EHLO a", "STARTTLS"]), [250, 502]);
    let mut talk = Talk::new(certified());
    talk.feed(b"EHLO a\r\n");
    assert!(talk.said.contains("250 STARTTLS\r\n"), "{}", talk.said);
    talk.said.clear();
    assert_eq!(talk.codes(&["STARTTLS", "MAIL FROM:<>"]), [220, 503]);
    talk.said.clear();
    talk.feed(b"EHLO a\r\n");
    assert!(!talk.said.contains("STARTTLS"), "{}", talk.said);
    assert_eq!(
        talk.codes(&["STARTTLS", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA"]),
        [503, 250, 250, 354]
    );
    talk.feed(b"x\r\n.\r\n");
    assert_eq!(talk.stored[0].received.as_ref().expect("it came from outside").with, "ESMTPS");
}

#[rstest]
#[case::reference(false, "220 2.0.0 Ready to start TLS\r\n")]
#[case::vintage(true, "220 2.0.0 Ready to start TLS\r\n250 relay.example\r\n250 2.1.0 Sender OK\r\n")]
fn what_came_in_the_clear_after_starttls_is_not_carried_out(
    #[case] keeps_plaintext: bool,
    #[case] said: &str,
) {
    let vintage = crate::config::Vintage { keeps_plaintext, ..Default::default() };
    let mut talk = Talk::new(Config { vintage, ..certified() });
    talk.said.clear();
    talk.feed(b"STARTTLS\r\nHELO evil\r\nMAIL FROM:<evil@x.example>\r\n");
    assert_eq!(talk.said, said);
}

/// The catalogue's odd clients, by their names there.
#[rstest]
#[case::in_helo_empty(&["HELO", "EHLO ", "HELO a", "MAIL FROM:<>"], &[501, 501, 250, 250])]
#[case::in_ehlo_ipv6_literal(&["EHLO [IPv6:2001:db8::1]", "MAIL FROM:<>"], &[250, 250])]
#[case::in_space_after_colon(&["EHLO a", "MAIL FROM: <a@b.example>", "RCPT TO: <c@d.example>"], &[250, 250, 250])]
#[case::in_no_angle_brackets(&["EHLO a", "MAIL FROM:a@b.example", "MAIL FROM:<'u'@d.example>", "RCPT TO:<the dude <d@s.example>>",
    "RCPT TO:Name <a@b.example>"], &[250, 501, 250, 501, 501])]
#[case::in_trailing_space_cmd(&["EHLO host ", "MAIL FROM:<> ", "RCPT TO:<a@b.example> ", "DATA ", ".", "QUIT  "],
    &[250, 250, 250, 354, 250, 221])]
#[case::in_mail_before_helo(&["MAIL FROM:<>", "EHLO a", "MAIL FROM:<>"], &[503, 250, 250])]
#[case::in_second_mail_in_txn(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "MAIL FROM:<x@y.example>", "DATA", "."],
    &[250, 250, 250, 503, 354, 250])]
#[case::in_state_after_rejected_eod(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA", "a\nb", ".", "RCPT TO:<a@b.example>", "DATA"],
    &[250, 250, 250, 354, 0, 550, 503, 503])]
#[case::in_rset_rejected(&["RSET", "EHLO a", "RSET", "MAIL FROM:<>", "RSET", "RSET"], &[250, 250, 250, 250, 250, 250])]
#[case::in_auth_unadvertised(&["HELO a", "AUTH LOGIN", "EHLO a", "AUTH PLAIN AGEAYg=="], &[250, 500, 250, 500])]
#[case::in_null_sender_multi_rcpt(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "RCPT TO:<c@b.example>"],
    &[250, 250, 250, 250])]
#[case::in_nul_in_command(&["HELO \0\0", "EHLO a", "MAIL FROM:<>", "RCPT TO:<a\0@b.example>"], &[501, 250, 250, 501])]
#[case::in_clear_secrets(&["EHLO a", "STARTTLS", "AUTH PLAIN AGEAYg=="], &[250, 502, 500])]
fn odd_clients_are_answered(#[case] lines: &[&str], #[case] codes: &[u16]) {
    assert_eq!(Talk::trusted().codes(lines), codes);
}

/// `in-relay-tests-percent`: what stands before the last `@` moves no mail.
#[test]
fn no_spelling_of_an_address_makes_an_open_relay() {
    let mut config = testing::config();
    config.trusted.clear();
    config.routes.push(Route { domain: "inside.example".into(), via: Host::Name("in.example".into()) });
    let codes = Talk::new(config).codes(&[
        "EHLO a",
        "MAIL FROM:<>",
        "RCPT TO:<user%b.example@relay.example>",
        "RCPT TO:<\"user@b.example\"@relay.example>",
        "RCPT TO:<b.example!user>",
        "RCPT TO:<@relay.example:user@b.example>",
        "RCPT TO:<postmaster@b.example>",
        "RCPT TO:<user%b.example@inside.example>",
    ]);
    assert_eq!(codes, [250, 250, 550, 550, 501, 550, 550, 250], "the last is inside's to understand");
}

/// `in-overlong-address`: RFC 5321 section 4.5.3.1 asks for 64 and 255 at least, and for more where possible.
#[test]
fn long_addresses_are_taken_whole_up_to_the_length_of_a_command() {
    let mut talk = Talk::trusted();
    let long = format!("{}@b.example", "v".repeat(1024));
    let codes = talk.codes(&[
        "EHLO a",
        &format!("MAIL FROM:<{long}>"),
        &format!("RCPT TO:<{}@b.example>", "v".repeat(4000)),
    ]);
    assert_eq!(codes, [250, 250, 500]);
    talk.codes(&["RCPT TO:<a@b.example>", "DATA", "x", "."]);
    assert_eq!(talk.stored[0].sender, long);
}

/// `in-http-verbs` and `in-ignores-negative-replies`.
#[rstest]
#[case::http(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\n")]
#[case::content(
    b"EHLO a\r\nMAIL FROM:<>\r\nDATA\r\nSubject: hi\r\n\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\n"
)]
fn a_client_that_speaks_something_else_or_does_not_listen_is_left(#[case] octets: &[u8]) {
    let talk = both_ways(&trusting(), octets);
    assert!(talk.closed && talk.stored.is_empty());
    assert!(
        talk.said.ends_with("\r\n421 4.7.0 relay.example closing the connection: this is SMTP\r\n"),
        "{}",
        talk.said
    );
}

#[test]
fn too_many_strange_lines_end_the_session_and_refusals_do_not() {
    let mut talk = Talk::trusted();
    talk.codes(&["EHLO a", "MAIL FROM:<>"]);
    for _ in 0..1000 {
        talk.feed(b"RCPT TO:<nobody>\r\n");
    }
    assert!(!talk.closed);
    for n in 0..=MOST_STRANGE_LINES {
        assert!(!talk.closed, "after {n}");
        talk.feed(b"what is this\r\n");
    }
    assert!(talk.closed && talk.said.contains("\r\n421 4.7.0 "), "{}", talk.said);
}

/// `in-early-talker`: section 4.3.1 has the client wait, and no one is harmed by one that does not.
#[test]
fn who_talks_early_still_hears_the_greeting_first() {
    let mut session = Session::new(Arc::new(trusting()), CLIENT);
    session.receive(b"EHLO a\r\n");
    assert_eq!(session.advance(), Step::Write);
    let said = session.take_answers();
    assert!(said.starts_with(b"220 relay.example ESMTP\r\n250-relay.example "));
}

/// Lines that come near to being a session.
fn almost_smtp() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"EHLO a\r\n".to_vec()),
        Just(b"MAIL FROM:<a@b.example> SIZE=3\r\n".to_vec()),
        Just(b"RCPT TO:<a@b.example> NOTIFY=NEVER\r\n".to_vec()),
        Just(b"DATA\r\n".to_vec()),
        Just(b".\r\n".to_vec()),
        Just(b"RSET\r\n".to_vec()),
        Just(b"BDAT 3\r\nabc".to_vec()),
        Just(b"BDAT 5 LAST\r\n".to_vec()),
        Just("MAIL FROM:<\u{e9}@b.example> SMTPUTF8\r\n".as_bytes().to_vec()),
        Just(b"\n.\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_octets_panic_and_chunks_do_not_matter(octets in almost_smtp()) {
        both_ways(&trusting(), &octets);
    }
}
