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
         250-8BITMIME\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n\
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
    assert_eq!(talk.writes.iter().map(lines).collect::<Vec<_>>(), [6, 1, 4, 1]);
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

#[test]
fn exchange_5_5_takes_a_trailing_space() {
    let vintage = crate::vintage::vintage("exchange-5.5").expect("it exists");
    let mut talk = Talk::new(Config { vintage, ..trusting() });
    assert_eq!(
        talk.codes(&["EHLO a", "MAIL FROM:<>", "RCPT TO:<joeuser@invaliddomain.example >"]),
        [250, 250, 250]
    );
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
