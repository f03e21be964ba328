//! The plain server: RFC 5321's commands and their order, and what its extensions add.

use rstest::rstest;

use super::bench::{Do, EHLO, Run, pass, plain, run_both_ways, run_whole, say, server};
use crate::script::{On, ReplyText, Verb};
use crate::smtp::conversation::Output;
use crate::transcript::{Part, Reply, Side, What};

/// The codes of the replies to these lines, banner and EHLO apart.
fn after_ehlo(offers: &[&str], lines: &str) -> (Vec<u16>, Run) {
    let run = run_both_ways(&server(offers), &[say(EHLO), say(lines.replace('\n', "\r\n"))]);
    (run.codes()[2..].to_vec(), run)
}

#[test]
fn a_mail_passes_and_is_taken() {
    let run = run_both_ways(
        &plain(),
        &[
            say(EHLO),
            say("MAIL FROM:<a@origin.example> SIZE=20\r\n"),
            say("RCPT TO:<bob@hub.example>\r\n"),
            say("DATA\r\n"),
            say("Subject: x\r\n\r\n..y\r\n.\r\n"),
            say("QUIT\r\n"),
        ],
    );
    assert_eq!(
        run.text(),
        "220 hub.example ESMTP ready\r\n\
         250-hub.example greets relay.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n\
         250 ENHANCEDSTATUSCODES\r\n\
         250 2.1.0 Sender OK\r\n\
         250 2.1.5 Recipient OK\r\n\
         354 Start mail input; end with <CRLF>.<CRLF>\r\n\
         250 2.0.0 Message accepted\r\n\
         221 2.0.0 hub.example Service closing transmission channel\r\n"
    );
    let transaction = run.transaction();
    assert_eq!(transaction.helo.as_deref(), Some("relay.example"));
    assert_eq!(transaction.from, "a@origin.example");
    assert_eq!(transaction.parameters, ["SIZE=20"]);
    assert_eq!(transaction.recipients[0].to, "bob@hub.example");
    assert_eq!(transaction.recipients[0].reply.as_ref().map(|r| r.code), Some(250));
    assert_eq!(transaction.data_reply.as_ref().map(|r| r.code), Some(354));
    assert_eq!(String::from_utf8_lossy(&transaction.content), "Subject: x\r\n\r\n.y\r\n");
    let last = Reply { code: 250, lines: vec!["2.0.0 Message accepted".to_owned()] };
    assert_eq!(transaction.final_reply, Some(last));
    assert!(transaction.ended && transaction.taken);
    assert_eq!(run.taken(), 1);
    assert_eq!(run.ending, Some(Output::CloseFin));
    assert_eq!(run.record.offers[0].keywords, ["PIPELINING", "SIZE 1000", "8BITMIME", "ENHANCEDSTATUSCODES"]);
}

#[test]
fn pipelined_commands_are_answered_in_one_segment() {
    let commands = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\nDATA\r\n";
    let run = run_both_ways(&plain(), &[say(EHLO), say(commands), say("x\r\n.\r\nRSET\r\nQUIT\r\n")]);
    assert_eq!(run.segments.len(), 4, "{:?}", run.segments);
    assert!(run.segments[2].ends_with("end with <CRLF>.<CRLF>\r\n"));
    assert_eq!(run.codes()[2..], [250, 250, 250, 354, 250, 250, 221]);
}

#[test]
fn replies_to_commands_that_change_the_state_are_not_held_back() {
    // RFC 2920 section 3.2: no buffering behind EHLO, NOOP and the like, even where the client did not wait.
    let run = run_both_ways(&plain(), &[say("EHLO a\r\nNOOP\r\nRSET\r\nMAIL FROM:<>\r\nBAD\r\nNOOP\r\n")]);
    let codes: Vec<_> = run.segments.iter().map(|segment| super::bench::codes(segment)).collect();
    assert_eq!(codes, [vec![220], vec![250], vec![250], vec![250, 250, 500], vec![250]]);
}

#[rstest]
#[case::rcpt_before_mail("RCPT TO:<c@d>\n", &[503])]
#[case::data_before_mail("DATA\n", &[503])]
#[case::data_without_rcpt("MAIL FROM:<a@b>\nDATA\n", &[250, 503])]
#[case::nested_mail("MAIL FROM:<a@b>\nMAIL FROM:<x@y>\nRCPT TO:<c@d>\n", &[250, 503, 250])]
#[case::rset_ends_it("MAIL FROM:<a@b>\nRSET\nRCPT TO:<c@d>\n", &[250, 250, 503])]
#[case::ehlo_ends_it("MAIL FROM:<a@b>\nEHLO x\nRCPT TO:<c@d>\n", &[250, 250, 503])]
#[case::rset_with_argument("MAIL FROM:<a@b>\nRSET x\nRCPT TO:<c@d>\n", &[250, 501, 250])]
#[case::data_with_argument("MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA x\nDATA\n", &[250, 250, 501, 354])]
#[case::bad_paths("MAIL a@b\nMAIL FROM:a@b\nMAIL FROM:<a@b\nRCPT TO:<c@d>\n", &[501, 501, 501, 503])]
#[case::null_recipient("MAIL FROM:<>\nRCPT TO:<>\nDATA\n", &[250, 501, 554])]
#[case::any_time("VRFY a\nHELP\nNOOP x\nEXPN a\nnoop  \n", &[252, 214, 250, 502, 250])]
#[case::not_offered("STARTTLS\nAUTH PLAIN\nBDAT 3 LAST\n", &[502, 502, 502])]
#[case::unknown("XEXCH50 1 2\n\nTURN\n", &[500, 500, 500])]
fn the_order_of_commands_is_kept(#[case] lines: &str, #[case] codes: &[u16]) {
    assert_eq!(after_ehlo(&["PIPELINING"], lines).0, codes);
}

#[test]
fn mail_needs_a_greeting_first() {
    let run = run_both_ways(&plain(), &[say("MAIL FROM:<a@b>\r\nEHLO \r\nHELO x\r\nMAIL FROM:<a@b>\r\n")]);
    assert_eq!(run.codes(), [220, 503, 501, 250, 250]);
    assert_eq!(run.record.transactions.len(), 2, "the refused one is on record too");
    assert_eq!(run.record.transactions[0].mail_reply.as_ref().map(|r| r.code), Some(503));
}

#[rstest]
#[case::nothing_is_offered(&[], "MAIL FROM:<a@b> SIZE=1\n", &[555])]
#[case::size(&["SIZE"], "MAIL FROM:<a@b> SIZE=1\n", &[250])]
#[case::size_is_a_number(&["SIZE"], "MAIL FROM:<a@b> SIZE=x\n", &[501])]
#[case::too_large(&["SIZE 100"], "MAIL FROM:<a@b> SIZE=101\n", &[552])]
#[case::no_fixed_maximum(&["SIZE 0"], "MAIL FROM:<a@b> SIZE=101\n", &[250])]
#[case::body_not_offered(&["SIZE"], "MAIL FROM:<a@b> BODY=8BITMIME\n", &[555])]
#[case::body_in_small_letters(&["8bitmime"], "MAIL FROM:<a@b> body=8bitmime\n", &[250])]
#[case::unknown_body(&["8BITMIME"], "MAIL FROM:<a@b> BODY=9BIT\n", &[501])]
#[case::binary_not_offered(&["8BITMIME"], "MAIL FROM:<a@b> BODY=BINARYMIME\n", &[555])]
#[case::binary(&["BINARYMIME", "CHUNKING"], "MAIL FROM:<a@b> BODY=BINARYMIME\nRCPT TO:<c@d>\nDATA\n", &[250, 250, 503])]
#[case::dsn(&["DSN"], "MAIL FROM:<a@b> RET=HDRS ENVID=Q1\nRCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d\n", &[250, 250])]
#[case::dsn_not_offered(&[], "MAIL FROM:<a@b>\nRCPT TO:<c@d> NOTIFY=NEVER\n", &[250, 555])]
#[case::dsn_values(&["DSN"], "MAIL FROM:<a@b> RET=ALL\nMAIL FROM:<a@b>\nRCPT TO:<c@d> NOTIFY=NEVER,DELAY\n", &[501, 250, 501])]
#[case::on_the_wrong_command(&["DSN"], "MAIL FROM:<a@b> NOTIFY=NEVER\n", &[555])]
#[case::utf8(&["SMTPUTF8"], "MAIL FROM:<ä@b> SMTPUTF8\nRCPT TO:<ü@d>\n", &[250, 250])]
#[case::utf8_not_asked_for(&["SMTPUTF8"], "MAIL FROM:<ä@b>\nMAIL FROM:<a@b>\nRCPT TO:<ü@d>\n", &[550, 250, 553])]
#[case::utf8_has_no_value(&["SMTPUTF8"], "MAIL FROM:<ä@b> SMTPUTF8=1\n", &[501])]
#[case::utf8_not_offered(&["8BITMIME"], "MAIL FROM:<a@b> SMTPUTF8\nMAIL FROM:<ä@b>\nMAIL FROM:<a@b>\nRCPT TO:<ü@d>\n", &[555, 550, 250, 553])]
#[case::utf8_of_the_transaction_before(&["SMTPUTF8"], "MAIL FROM:<a@b> SMTPUTF8\nRSET\nMAIL FROM:<a@b>\nRCPT TO:<ü@d>\n", &[250, 250, 250, 553])]
#[case::utf8_and_the_body(&["SMTPUTF8", "8BITMIME"], "MAIL FROM:<ä@b> BODY=8BITMIME SMTPUTF8\n", &[250])]
#[case::nobody_knows(&["SIZE"], "MAIL FROM:<a@b> X=1\n", &[555])]
fn parameters_are_accepted_only_as_offered(
    #[case] offers: &[&str],
    #[case] lines: &str,
    #[case] codes: &[u16],
) {
    assert_eq!(after_ehlo(offers, lines).0, codes);
}

#[test]
fn after_helo_nothing_is_on_offer() {
    let run = run_both_ways(&plain(), &[say(EHLO), say("HELO x\r\nMAIL FROM:<a@b> SIZE=1\r\n")]);
    assert_eq!(run.codes()[2..], [250, 555]);
}

#[test]
fn enhanced_codes_are_given_only_where_they_are_offered() {
    let lines = [say("MAIL FROM:<a@b>\r\n"), say(EHLO), say("MAIL FROM:<a@b>\r\nQUIT\r\n")];
    let run = run_both_ways(&server(&[]), &lines);
    assert!(run.text().contains("250 Sender OK\r\n"), "{}", run.text());
    assert!(run.text().contains("221 hub.example Service"), "{}", run.text());
    // RFC 2034 section 4: with or without EHLO.
    let run = run_both_ways(&plain(), &lines);
    assert!(run.text().contains("503 5.5.1 Send HELO"), "{}", run.text());
}

#[test]
fn the_profile_has_its_own_words() {
    let mut script = server(&["ENHANCEDSTATUSCODES"]);
    let replies = [
        (On::Command(Verb::Mail), "250 2.1.0 {from}....Sender OK"),
        (On::Command(Verb::Rcpt), "250 2.1.5 {to} "),
        (On::EndOfData, "250 2.6.0 Queued"),
        (On::Unknown, "500 5.3.3 Unrecognized command"),
    ];
    script.profile.replies =
        replies.into_iter().map(|(on, text)| (on, ReplyText::parse(text).unwrap())).collect();
    let run = run_both_ways(
        &script,
        &[say(EHLO), say("XYZ\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), say(".\r\n")],
    );
    assert!(run.text().ends_with(
        "500 5.3.3 Unrecognized command\r\n250 2.1.0 a@b....Sender OK\r\n250 2.1.5 c@d \r\n\
         354 Start mail input; end with <CRLF>.<CRLF>\r\n250 2.6.0 Queued\r\n"
    ));
}

#[rstest]
#[case::bare_lf("NOOP\nQUIT\r\nNOOP\r\n", &[500, 250])]
#[case::bare_cr("NO\rOP\r\nNOOP\r\n", &[500, 250])]
#[case::lf_only("NOOP\nNOOP\n", &[])]
fn crlf_alone_ends_a_command(#[case] wire: &str, #[case] codes: &[u16]) {
    let run = run_both_ways(&plain(), &[say(wire)]);
    assert_eq!(run.codes()[1..], *codes);
}

#[rstest]
#[case(4_096, 250)]
#[case(4_097, 500)]
#[case(50_000, 500)]
fn a_line_may_be_long_but_not_endless(#[case] length: usize, #[case] code: u16) {
    let line = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(length - 5));
    let run = run_both_ways(&plain(), &[say(line)]);
    assert_eq!(run.codes(), [220, code, 250]);
}

#[test]
fn starttls_starts_over() {
    let script = server(&["STARTTLS", "SIZE 1000"]);
    let input = [
        say(EHLO),
        say("MAIL FROM:<a@b>\r\nSTARTTLS\r\n"),
        Do::Tls,
        say("MAIL FROM:<a@b>\r\nEHLO again\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n"),
    ];
    let run = run_both_ways(&script, &input);
    assert_eq!(run.codes()[2..], [250, 220, 503, 250, 503, 250]);
    let offers: Vec<_> = run.record.offers.iter().map(|o| (o.tls, o.keywords.join(","))).collect();
    assert_eq!(offers, [(false, "STARTTLS,SIZE 1000".to_owned()), (true, "SIZE 1000".to_owned())]);
    let clear = run.record.events.iter().position(|e| matches!(e.what, What::TlsStarted { .. })).unwrap();
    for (at, event) in run.record.events.iter().enumerate() {
        if let What::Bytes { tls, .. } = event.what {
            assert_eq!(tls, at > clear);
        }
    }
}

#[test]
fn what_is_said_in_the_clear_behind_starttls_is_thrown_away() {
    let input = [say(EHLO), say("STARTTLS\r\nNOOP\r\n"), Do::Tls, say("QUIT\r\n")];
    let run = run_both_ways(&server(&["STARTTLS"]), &input);
    assert_eq!(run.codes()[2..], [220, 221]);
}

#[test]
fn a_client_that_closes_leaves_a_transaction_that_broke_off() {
    let close = Do::Close(crate::transcript::Close::Fin);
    let input =
        [say(EHLO), say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), pass(1), say("half a li"), close];
    let run = run_both_ways(&plain(), &input);
    let transaction = run.transaction();
    assert_eq!(transaction.content, b"half a li");
    assert!(!transaction.ended && !transaction.taken && transaction.final_reply.is_none());
    assert_eq!(transaction.finished.map(|at| at.to_string()).as_deref(), Some("1s"));
    assert_eq!(run.ending, Some(Output::CloseFin));
}

#[test]
fn lines_and_content_are_told_apart_within_one_segment() {
    let script = plain();
    let run = run_whole(
        &script,
        &[say(EHLO), say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")],
    );
    let client = run.record.events.iter().filter_map(|event| match &event.what {
        What::Bytes { from: Side::Client, bytes, part, .. } => Some((*part, String::from_utf8_lossy(bytes))),
        _ => None,
    });
    let client: Vec<_> = client.skip(1).collect();
    assert_eq!(client.iter().map(|c| c.0).collect::<Vec<_>>(), [Part::Lines, Part::Content, Part::Lines]);
    assert_eq!(client[1].1, "x\r\n.\r\n");
}

#[test]
fn an_address_in_another_charset_is_no_address() {
    let lines = [
        say("EHLO a\r\nMAIL FROM:<\u{e4}@b> SMTPUTF8\r\n"),
        say(b"RCPT TO:<\xfc@d>\r\nRSET\r\n"),
        say(b"MAIL FROM:<\xe4@b> SMTPUTF8\r\n"),
    ];
    let run = run_both_ways(&server(&["SMTPUTF8", "ENHANCEDSTATUSCODES"]), &lines);
    assert_eq!(run.codes()[2..], [250, 501, 250, 501]);
    assert!(run.text().contains("501 5.1.3 ") && run.text().contains("501 5.1.7 "), "{}", run.text());
}

#[test]
fn a_refused_utf8_address_says_why() {
    let lines = [say("EHLO a\r\nMAIL FROM:<\u{e4}@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<\u{fc}@d>\r\n")];
    let text = run_both_ways(&server(&["SMTPUTF8", "ENHANCEDSTATUSCODES"]), &lines).text();
    assert!(text.contains("550 5.6.7 ") && text.contains("553 5.6.7 "), "{text}");
}
