//! Whatever comes, a session stays on its feet.

use proptest::collection::vec;
use proptest::prelude::*;

use super::bench::{Bench, Do, plain, reply, rule, run_both_ways, say, server};
use crate::script::{Action, Condition, HeaderChanges, On, Range, Script, Verb};
use crate::smtp::forward::Forwarder;
use crate::smtp::memory::ServerMemory;
use crate::smtp::session::Limits;
use crate::time::RunTime;
use crate::transcript::{Close, Recorder, Reply};

fn everything() -> Script {
    server(&[
        "PIPELINING",
        "SIZE 500",
        "8BITMIME",
        "CHUNKING",
        "BINARYMIME",
        "DSN",
        "SMTPUTF8",
        "AUTH PLAIN LOGIN CRAM-MD5",
        "AUTH=LOGIN",
    ])
}

/// From this occurrence on.
fn nth(from: u64) -> Condition {
    Condition::Nth(Range { from: Some(from), to: None })
}

/// Lines that a client may say, some of them in earnest.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: &[&str] = &[
        "EHLO a",
        "HELO a",
        "EHLO",
        "MAIL FROM:<a@b>",
        "MAIL FROM:<a@b> SIZE=9 BODY=8BITMIME",
        "MAIL FROM:<ä@b> SMTPUTF8",
        "MAIL FROM:<a@b> SMTPUTF8 BODY=BINARYMIME",
        "RCPT TO:<ü@d>",
        "RCPT TO:<c@d>",
        "RCPT TO:<c@d> NOTIFY=NEVER",
        "DATA",
        ".",
        "..",
        "BDAT 3",
        "BDAT 0 LAST",
        "BDAT 7 LAST",
        "BDAT 600",
        "BDAT 99999999999 LAST",
        "RSET",
        "NOOP",
        "QUIT",
        "VRFY a",
        "HELP",
        "AUTH PLAIN",
        "AUTH LOGIN",
        "AUTH CRAM-MD5",
        "ciAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==",
        "AUTH PLAIN AGEAYg==",
        "*",
        "AGEAYg==",
        "STARTTLS",
        "Subject: x",
        "",
    ];
    let known = proptest::sample::select(KNOWN).prop_map(|line| line.as_bytes().to_vec());
    let line = prop_oneof![4 => known, 1 => vec(any::<u8>(), 0..40)];
    (line, prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("")]).prop_map(
        |(mut line, end)| {
            line.extend_from_slice(end.as_bytes());
            line
        },
    )
}

/// Commands of which each has exactly one reply and none changes what a line is.
fn simple_commands() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(
        &[
            "EHLO a",
            "HELO",
            "MAIL FROM:<a@b>",
            "RCPT TO:<c@d>",
            "RSET",
            "NOOP",
            "VRFY",
            "EXPN",
            "STARTTLS",
            "BDAT 5",
        ][..],
    );
    prop_oneof![
        known.prop_map(str::to_owned),
        "[ -~]{0,60}".prop_filter("changes the mode", |line| {
            let word = line.split([' ', '\t']).next().unwrap_or_default().to_ascii_uppercase();
            !matches!(word.as_str(), "QUIT" | "DATA" | "AUTH")
        })
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_input_is_answered_alike_however_it_is_cut(input in vec(lines(), 0..40)) {
        let run = run_both_ways(&everything(), &[Do::Say(input.concat()), Do::Close(Close::Fin)]);
        for transaction in &run.record.transactions {
            prop_assert!(transaction.finished.is_some());
            prop_assert!(!transaction.taken || transaction.final_reply.as_ref().is_some_and(Reply::is_positive));
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm_and_memory_is_bounded(input in vec(any::<u8>(), 0..3000), step in 1..100_usize) {
        let limits = Limits { content: 64, ..Limits::default() };
        let script = everything();
        let recorder = Recorder::default();
        let mut bench = Bench::at(&script, &ServerMemory::new(&script), &recorder, RunTime::ZERO, limits);
        bench.act(&say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), step);
        bench.act(&Do::Say(input), step);
        let run = bench.finish();
        prop_assert!(run.transaction().content.len() <= 64);
    }

    #[test]
    fn extensions_rules_and_credentials_stand_what_comes(
        lines in vec(lines(), 0..30),
        bytes in vec(any::<u8>(), 0..200),
        step in 1..60_usize,
    ) {
        let script = Script {
            credentials: Some(("r".to_owned(), "secret".to_owned())),
            rules: vec![
                (On::Command(Verb::Bdat), vec![rule(vec![nth(2)], vec![Action::Rewrite("XXXX {argument}".to_owned())])]),
                (On::Command(Verb::Mail), vec![rule(vec![nth(3)], vec![Action::Rewrite("RCPT TO:<{from}>".to_owned())])]),
                (On::Command(Verb::Rcpt), vec![rule(vec![nth(2)], vec![Action::Rewrite("MAIL FROM:<{to}>".to_owned())])]),
                (On::Command(Verb::Noop), vec![rule(vec![nth(2)], vec![Action::Rewrite("DATA".to_owned())])]),
                (On::Command(Verb::Data), vec![rule(vec![nth(2)], vec![Action::Rewrite("BDAT 3 LAST".to_owned())])]),
                (On::Challenge, vec![rule(vec![nth(2)], vec![reply("350 rubbish")])]),
                (On::EndOfData, vec![rule(Vec::new(), vec![Action::Forward(HeaderChanges::default())])]),
            ],
            ..everything()
        };
        let (memory, recorder) =
            (ServerMemory::forwarding(&script, Some(Forwarder::new(drop))), Recorder::default());
        let mut bench = Bench::at(&script, &memory, &recorder, RunTime::ZERO, Limits::default());
        bench.act(&say("EHLO a\r\n"), step);
        bench.act(&Do::Say([lines.concat(), bytes].concat()), step);
        bench.act(&Do::Close(Close::Fin), step);
        for transaction in &bench.finish().record.transactions {
            prop_assert!(transaction.finished.is_some());
        }
    }

    #[test]
    fn every_complete_line_has_exactly_one_reply(lines in vec(simple_commands(), 0..30)) {
        let input: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
        let run = run_both_ways(&plain(), &[say(input)]);
        prop_assert_eq!(run.codes().len(), 1 + lines.len());
    }
}
