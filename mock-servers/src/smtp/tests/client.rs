//! The client that submits, without I/O.

use std::time::Duration;

use rstest::rstest;

use crate::RunTime;
use crate::smtp::client::{Broken, By, Outcome, Submission, Submitter};
use crate::smtp::conversation::{Conversation, Input, Output};
use crate::transcript::{Close, Recorder, Side};

fn submission() -> Submission {
    Submission {
        helo: "client.example".to_owned(),
        from: "a@origin.example".to_owned(),
        from_parameters: vec!["BODY=8BITMIME".to_owned(), "SIZE=9".to_owned()],
        recipients: vec![("b@hub.example".to_owned(), vec!["NOTIFY=NEVER".to_owned()])],
        content: b"x\r\n.y\r\n".to_vec(),
        ..Submission::default()
    }
}

/// Feeds the replies, one after the other; what the client said, and the outcome.
fn submit(submission: Submission, replies: &[&str]) -> (Vec<String>, Outcome) {
    let recorder = Recorder::default();
    let here = "198.51.100.1:25".parse().unwrap();
    let record = recorder.open("client", Side::Client, here, here, RunTime::ZERO);
    let mut client = Submitter::new(submission, record);
    let mut said = Vec::new();
    let mut put = |client: &mut Submitter, input: Input<'_>, now| {
        for output in client.handle(input, now) {
            match output {
                Output::Send(bytes) => {
                    client.sent(&bytes, now);
                    said.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                ending => {
                    assert_eq!(ending, Output::CloseFin);
                    client.closed(now);
                }
            }
        }
    };
    let mut now = RunTime::ZERO;
    put(&mut client, Input::Connected, now);
    for reply in replies {
        match *reply {
            "closed" => put(&mut client, Input::PeerClosed(Close::Fin), now),
            "late" => {
                now = client.deadline().unwrap();
                put(&mut client, Input::Timer, now);
            }
            // Byte by byte, always: a reply is a reply wherever it is cut.
            reply => {
                for byte in reply.replace('\n', "\r\n").bytes() {
                    put(&mut client, Input::Bytes(&[byte]), now);
                }
            }
        }
    }
    (said, client.outcome())
}

const GOOD: [&str; 8] = [
    "220 x\n",
    "250-x\n250-8BITMIME\n250-CHUNKING\n250-SIZE\n250 DSN\n",
    "250 a\n",
    "250 b\n",
    "354 c\n",
    "250 d\n",
    "221 e\n",
    "closed",
];

#[test]
fn a_message_is_submitted_in_lock_step() {
    let (said, outcome) = submit(submission(), &GOOD);
    assert_eq!(
        said,
        [
            "EHLO client.example\r\n",
            "MAIL FROM:<a@origin.example> BODY=8BITMIME SIZE=9\r\n",
            "RCPT TO:<b@hub.example> NOTIFY=NEVER\r\n",
            "DATA\r\n",
            "x\r\n..y\r\n.\r\n",
            "QUIT\r\n"
        ]
    );
    assert!(outcome.is_accepted());
    assert_eq!((outcome.broken, outcome.dropped.len(), outcome.greetings.len()), (None, 0, 2));
    let transaction = outcome.transaction.unwrap();
    assert_eq!(transaction.content, b"x\r\n.y\r\n");
    assert_eq!(transaction.final_reply.map(|r| r.text()).as_deref(), Some("250 d"));
    assert_eq!(transaction.parameters, ["BODY=8BITMIME", "SIZE=9"]);
}

#[test]
fn parameters_that_are_not_offered_are_left_out_and_told() {
    let replies = ["220 x\n", "250-x\n250 SIZE\n", "250 a\n", "250 b\n"];
    let (said, outcome) = submit(submission(), &replies);
    assert_eq!(said[1..3], ["MAIL FROM:<a@origin.example> SIZE=9\r\n", "RCPT TO:<b@hub.example>\r\n"]);
    assert_eq!(outcome.dropped, ["BODY=8BITMIME", "NOTIFY=NEVER"]);
}

#[test]
fn helo_follows_where_ehlo_is_not_known() {
    let (said, outcome) = submit(submission(), &["220 x\n", "502 what\n", "250 x\n", "250 a\n"]);
    assert_eq!(said[1..3], ["HELO client.example\r\n", "MAIL FROM:<a@origin.example>\r\n"]);
    assert_eq!(outcome.greetings.iter().map(|r| r.code).collect::<Vec<_>>(), [220, 502, 250]);
}

#[rstest]
#[case::banner(&["554 no\n"], &["QUIT\r\n"])]
#[case::mail(&["220 x\n", "250 x\n", "451 no\n"], &["EHLO client.example\r\n", "MAIL FROM:<>\r\n", "QUIT\r\n"])]
#[case::all_recipients(
    &["220 x\n", "250 x\n", "250 a\n", "550 no\n", "450 no\n"],
    &["EHLO client.example\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<b@hub.example >\r\n", "RCPT TO:<c>\r\n", "QUIT\r\n"]
)]
#[case::data(
    &["220 x\n", "250 x\n", "250 a\n", "550 no\n", "250 b\n", "451 no\n"],
    &["EHLO client.example\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<b@hub.example >\r\n", "RCPT TO:<c>\r\n", "DATA\r\n", "QUIT\r\n"]
)]
fn a_refusal_ends_in_quit(#[case] replies: &[&str], #[case] said: &[&str]) {
    let submission = Submission {
        from: String::new(),
        from_parameters: Vec::new(),
        recipients: vec![("b@hub.example ".to_owned(), Vec::new()), ("c".to_owned(), Vec::new())],
        ..submission()
    };
    let (actually, outcome) = submit(submission, replies);
    assert_eq!(actually, said);
    assert!(!outcome.is_accepted());
}

#[rstest]
#[case::not_offered(&["220 x\n", "250 x\n", "250 a\n", "250 b\n"], "DATA\r\n")]
#[case::offered(&GOOD[..4], "BDAT 7 LAST\r\nx\r\n.y\r\n")]
fn bdat_is_used_where_it_is_offered(#[case] replies: &[&str], #[case] said: &str) {
    let (actually, _) = submit(Submission { by: By::Bdat { chunk: None }, ..submission() }, replies);
    assert_eq!(actually.last().map(String::as_str), Some(said));
}

#[test]
fn a_bdat_submission_ends_like_any_other() {
    let replies = [&GOOD[..4], &["250 taken\n", "221 x\n"]].concat();
    let (said, outcome) = submit(Submission { by: By::Bdat { chunk: None }, ..submission() }, &replies);
    assert_eq!(said.last().map(String::as_str), Some("QUIT\r\n"));
    assert!(outcome.is_accepted());
    assert_eq!(outcome.transaction.unwrap().content, b"x\r\n.y\r\n");
}

#[test]
fn raw_content_is_sent_as_it_stands() {
    let content = b"a\n.\nMAIL FROM:<forged@x>\r\n".to_vec();
    let (said, outcome) = submit(Submission { raw: true, content: content.clone(), ..submission() }, &GOOD);
    assert_eq!(said[4].as_bytes(), [&content[..], b".\r\n"].concat());
    assert_eq!(outcome.transaction.unwrap().content, content);
}

#[rstest]
#[case::before_the_banner(&["late"], 300, Broken::TimedOut)]
#[case::at_the_dot(&["220 x\n", "250 x\n", "250 a\n", "250 b\n", "354 c\n", "late"], 600, Broken::TimedOut)]
#[case::closed(&["220 x\n", "closed"], 0, Broken::Closed(Close::Fin))]
#[case::told_so(&["220 x\n", "421 no\n"], 0, Broken::Closed(Close::Fin))]
fn what_cuts_it_short_is_told(#[case] replies: &[&str], #[case] seconds: u64, #[case] broken: Broken) {
    let (_, outcome) = submit(submission(), replies);
    assert_eq!(outcome.broken, Some(broken));
    assert!(!outcome.is_accepted());
    if let Some(transaction) = outcome.transaction {
        assert_eq!(transaction.finished, Some(RunTime::ZERO + Duration::from_secs(seconds)));
    }
}

#[test]
fn chunks_go_one_after_the_other_as_they_are_taken() {
    let chunked = Submission { by: By::Bdat { chunk: Some(3) }, ..submission() };
    let replies = [&GOOD[..4], &["250 one\n", "250 two\n", "250 taken\n", "221 x\n"]].concat();
    let (said, outcome) = submit(chunked.clone(), &replies);
    assert_eq!(said[3..], ["BDAT 3\r\nx\r\n", "BDAT 3\r\n.y\r", "BDAT 1 LAST\r\n\n", "QUIT\r\n"]);
    assert!(outcome.is_accepted() && outcome.by_bdat);
    assert_eq!(outcome.transaction.unwrap().content, b"x\r\n.y\r\n");
    // a chunk that is not taken is the end of it
    let replies = [&GOOD[..4], &["250 one\n", "552 full\n", "221 x\n"]].concat();
    let (said, outcome) = submit(chunked, &replies);
    assert_eq!(said.last().map(String::as_str), Some("QUIT\r\n"));
    assert!(!outcome.is_accepted());
    assert_eq!(outcome.transaction.unwrap().final_reply.map(|r| r.text()).as_deref(), Some("552 full"));
}

#[test]
fn content_of_no_octets_is_one_empty_chunk() {
    let empty = Submission { content: Vec::new(), by: By::Bdat { chunk: Some(3) }, ..submission() };
    let (said, _) = submit(empty, &GOOD[..4]);
    assert_eq!(said.last().map(String::as_str), Some("BDAT 0 LAST\r\n"));
}

#[test]
fn what_cannot_be_left_out_is_not_sent_without() {
    let needy = Submission { needs: vec!["CHUNKING".to_owned(), "SMTPUTF8".to_owned()], ..submission() };
    let (said, outcome) = submit(needy, &GOOD[..2]);
    assert_eq!(said[1..], ["QUIT\r\n"]);
    assert_eq!((outcome.missing.as_deref(), outcome.transaction), (Some("SMTPUTF8"), None));
}
