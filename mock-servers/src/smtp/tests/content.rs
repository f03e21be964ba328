//! Content: the final dot, sizes, BDAT (RFC 3030).

use rstest::rstest;

use super::bench::{Bench, Do, EHLO, Run, plain, run_both_ways, say, server};
use crate::smtp::memory::ServerMemory;
use crate::smtp::session::Limits;
use crate::time::RunTime;
use crate::transcript::Recorder;

const ENVELOPE: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";

fn data(offers: &[&str], content: &str) -> Run {
    let input = [say(EHLO), say(ENVELOPE), say("DATA\r\n"), say(content)];
    run_both_ways(&server(offers), &input)
}

#[rstest]
#[case::bare_lf("a\n.\nMAIL FROM:<forged@b>\r\n.\r\n", "a\n.\nMAIL FROM:<forged@b>\r\n")]
#[case::lf_dot_crlf("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n")]
#[case::crlf_dot_lf("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n")]
#[case::cr_dot_cr("a\r.\rb\r\n.\r\n", "a\r.\rb\r\n")]
#[case::nul("a\r\n\0.\r\n.\r\n", "a\r\n\0.\r\n")]
#[case::empty(".\r\n", "")]
#[case::eight_bit("ü\r\n.\r\n", "ü\r\n")]
fn only_crlf_dot_crlf_ends_the_content(#[case] wire: &str, #[case] content: &str) {
    let run = data(&[], wire);
    assert_eq!(run.codes()[5..], [250], "one mail, one reply");
    assert_eq!(String::from_utf8_lossy(&run.transaction().content), content);
    assert_eq!(run.record.transactions.len(), 1);
}

#[test]
fn content_larger_than_the_fixed_maximum_is_refused_at_the_dot() {
    let line = format!("{}\r\n", "x".repeat(48));
    let exact = data(&["SIZE 100"], &format!("{line}{line}.\r\n"));
    assert_eq!(exact.codes()[5..], [250]);
    let over = data(&["SIZE 99"], &format!("{line}{line}.\r\n"));
    assert_eq!(over.codes()[5..], [552]);
    assert!(!over.transaction().taken && over.transaction().ended);
}

#[test]
fn a_refused_mail_can_be_followed_by_the_next() {
    let input = [
        say(EHLO),
        say(ENVELOPE),
        say("DATA\r\n"),
        say("xxxxxx\r\n.\r\n"),
        say(ENVELOPE),
        say("DATA\r\n.\r\n"),
    ];
    let run = run_both_ways(&server(&["SIZE 5"]), &input);
    assert_eq!(run.codes()[4..], [354, 552, 250, 250, 354, 250]);
    assert_eq!(run.record.transactions.iter().map(|t| t.taken).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn memory_is_bounded_and_the_rest_is_counted() {
    let script = server(&["SIZE 900"]);
    let limits = Limits { content: 100, ..Limits::default() };
    let recorder = Recorder::default();
    let mut bench = Bench::at(&script, &ServerMemory::new(&script), &recorder, RunTime::ZERO, limits);
    let body = format!("{}\r\n", "x".repeat(498)).repeat(2);
    for what in [say(EHLO), say(ENVELOPE), say("DATA\r\n"), say(body), say(".\r\n"), say("NOOP\r\n")] {
        bench.act(&what, usize::MAX);
    }
    let run = bench.finish();
    assert_eq!(run.codes()[5..], [552, 250], "1000 octets were counted");
    assert_eq!(run.transaction().content.len(), 100);
}

const CHUNKING: &[&str] = &["CHUNKING", "BINARYMIME", "SIZE 100", "PIPELINING"];

fn bdat(input: &[&[u8]]) -> Run {
    let start = [say(EHLO), say("MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\n")];
    let input: Vec<Do> = start.into_iter().chain(input.iter().map(say)).collect();
    run_both_ways(&server(CHUNKING), &input)
}

#[test]
fn chunks_are_put_together_byte_by_byte() {
    let run = bdat(&[b"BDAT 5\r\n\r\n.\r\n", b"BDAT 3 last\r\n\0\xff.NOOP\r\n"]);
    assert_eq!(run.codes()[4..], [250, 250, 250]);
    assert_eq!(run.transaction().content, b"\r\n.\r\n\0\xff.");
    assert!(run.transaction().taken && run.transaction().data_reply.is_none());
}

#[test]
fn the_last_chunk_may_be_empty_and_chunks_may_be_pipelined() {
    let run = bdat(&[b"BDAT 2\r\nabBDAT 0 LAST\r\nMAIL FROM:<x@y>\r\n"]);
    assert_eq!(run.codes()[4..], [250, 250, 250]);
    assert_eq!(run.transaction().content, b"ab");
}

#[test]
fn after_a_refused_chunk_all_others_are_read_and_refused() {
    let too_large = [b"BDAT 101\r\n".as_slice(), &[b'x'; 101]].concat();
    let run = bdat(&[&too_large, b"BDAT 3\r\nabcBDAT 0 LAST\r\n", b"RSET\r\nNOOP\r\n"]);
    assert_eq!(run.codes()[4..], [552, 503, 503, 250, 250]);
    let transaction = run.transaction();
    assert_eq!(transaction.final_reply.as_ref().map(|r| r.code), Some(552));
    assert!(!transaction.taken && !transaction.ended);
}

#[test]
fn a_chunk_without_a_transaction_is_read_and_refused() {
    let input = [say(EHLO), say("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")];
    let run = run_both_ways(&server(CHUNKING), &input);
    assert_eq!(run.codes()[2..], [503, 250], "QUIT was content");
    let refused = [say(EHLO), say("MAIL FROM:<a@b>\r\nBDAT 2 LAST\r\nab")];
    assert_eq!(run_both_ways(&server(CHUNKING), &refused).codes()[2..], [250, 503]);
}

#[test]
fn data_and_bdat_do_not_mix() {
    let input = [say(EHLO), say(ENVELOPE), say("BDAT 2\r\nabDATA\r\nBDAT 0 LAST\r\n")];
    assert_eq!(run_both_ways(&server(CHUNKING), &input).codes()[4..], [250, 503, 250]);
}

#[test]
fn a_malformed_bdat_has_no_content() {
    let run = bdat(&[b"BDAT x\r\nBDAT 1 FIRST\r\nNOOP\r\n"]);
    assert_eq!(run.codes()[4..], [501, 501, 250]);
}

#[test]
fn without_chunking_content_is_taken_for_commands() {
    let input = [say(EHLO), say(ENVELOPE), say("BDAT 6 LAST\r\nNOOP\r\n")];
    assert_eq!(run_both_ways(&plain(), &input).codes()[4..], [502, 250]);
}

#[test]
fn a_chunk_behind_the_last_one_is_out_of_order() {
    // RFC 3030 section 2: MUST be 503; its octets are no commands.
    let run = bdat(&[b"BDAT 2 LAST\r\nabBDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n"]);
    assert_eq!(run.codes()[4..], [250, 503, 503, 250]);
    assert_eq!((run.record.transactions.len(), run.taken()), (1, 1));
}

#[test]
fn rset_between_chunks_clears_them() {
    let envelope = b"RSET\r\nMAIL FROM:<x@y>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nz";
    let run = bdat(&[b"BDAT 2\r\nab", envelope]);
    assert_eq!(run.codes()[4..], [250, 250, 250, 250, 250]);
    assert!(!run.record.transactions[0].taken && run.record.transactions[0].finished.is_some());
    assert_eq!(run.record.transactions[1].content, b"z");
}

#[test]
fn the_size_limit_counts_all_chunks() {
    let chunk = [b"BDAT 60\r\n".as_slice(), &[b'x'; 60]].concat();
    let last = [b"BDAT 60 LAST\r\n".as_slice(), &[b'x'; 60]].concat();
    let run = bdat(&[&chunk, &last, b"NOOP\r\n"]);
    assert_eq!(run.codes()[4..], [250, 552, 250]);
    assert!(!run.transaction().taken && run.transaction().ended);
    let declared = [say(EHLO), say("MAIL FROM:<a@b> BODY=BINARYMIME SIZE=101\r\n")];
    assert_eq!(run_both_ways(&server(CHUNKING), &declared).codes()[2..], [552]);
}

#[test]
fn chunks_carry_any_body_and_binary_only_chunks() {
    for (body, data) in [("", 354), (" BODY=7BIT", 354), (" BODY=8BITMIME", 354), (" BODY=BINARYMIME", 503)] {
        let offers = server(&["CHUNKING", "BINARYMIME", "8BITMIME"]);
        let start = format!("MAIL FROM:<a@b>{body}\r\nRCPT TO:<c@d>\r\n");
        let chunks = run_both_ways(&offers, &[say(EHLO), say(format!("{start}BDAT 2 LAST\r\n\0\n"))]);
        assert_eq!(chunks.codes()[2..], [250, 250, 250], "{body}");
        let dot = run_both_ways(&offers, &[say(EHLO), say(format!("{start}DATA\r\n"))]);
        assert_eq!(dot.codes()[2..], [250, 250, data], "{body}");
    }
}
