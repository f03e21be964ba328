//! What stands between client and server: other lines than the client's, and mail that is sent on.

use std::sync::{Arc, Mutex};

use rstest::rstest;

use super::bench::{
    Bench, Do, EHLO, RESET, always, on, plain, reply, rule, run_both_ways, say, server, wait, with,
};
use crate::script::{Action, Condition, Glob, HeaderChanges, On, Range, Script, Verb};
use crate::smtp::forward::{Forwarded, Forwarder, MOST_FORWARDED};
use crate::smtp::memory::ServerMemory;
use crate::smtp::session::Limits;
use crate::time::RunTime;
use crate::transcript::Recorder;

fn rewrite(line: &str) -> Action {
    Action::Rewrite(line.to_owned())
}

const ENVELOPE: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";

#[test]
fn a_masked_verb_is_answered_as_what_it_came_to_be() {
    let script = with(on(Verb::Ehlo), always(vec![rewrite("XXXX {argument}")]));
    let run = run_both_ways(&script, &[say("EHLO a\r\nHELO a\r\nMAIL FROM:<a@b> SIZE=1\r\n")]);
    assert_eq!(run.codes(), [220, 500, 250, 555]);
    assert_eq!(run.fired(), ["EHLO 0"]);
}

#[test]
fn rules_on_what_the_line_came_to_be_answer_it() {
    let mut script = with(on(Verb::Vrfy), always(vec![rewrite("XXXX {argument}")]));
    let seen = Condition::Matches("^XXXX bob$".to_owned());
    script.rules.push((On::Unknown, vec![rule(vec![seen], vec![reply("502 5.5.2 Masked")])]));
    let run = run_both_ways(&script, &[say("EHLO a\r\nVRFY bob\r\nVRFY eve\r\n")]);
    assert_eq!(run.codes()[2..], [502, 500]);
}

#[test]
fn a_line_is_rewritten_once() {
    let mut script = with(on(Verb::Noop), always(vec![rewrite("HELP")]));
    script.rules.push((on(Verb::Help), always(vec![rewrite("NOOP")])));
    let run = run_both_ways(&script, &[say("NOOP\r\nHELP\r\n")]);
    assert_eq!(run.codes(), [220, 214, 250]);
}

#[test]
fn parameters_may_get_lost_on_the_way_and_the_record_has_what_was_said() {
    let script = Script {
        rules: vec![(on(Verb::Mail), always(vec![wait(1), rewrite("MAIL FROM:<{from}>")]))],
        ..server(&["SIZE 10"])
    };
    let run =
        run_both_ways(&script, &[say(EHLO), say("MAIL FROM:<a@b> SIZE=99 X=1\r\n"), super::bench::pass(1)]);
    assert_eq!(run.codes()[2..], [250]);
    assert_eq!(run.transaction().parameters, ["SIZE=99", "X=1"]);
}

#[test]
fn recipients_may_become_others_and_the_record_has_what_was_said() {
    let to = Condition::To(Glob("bob@*".to_owned()));
    let mut script = with(on(Verb::Rcpt), vec![rule(vec![to], vec![rewrite("RCPT TO:<eve@d>")])]);
    let taken = Condition::To(Glob("eve@*".to_owned()));
    script.rules.push((On::EndOfData, vec![rule(vec![taken], vec![reply("550 5.7.1 Not eve")])]));
    let input = [say(EHLO), say("MAIL FROM:<a@b>\r\nRCPT TO:<bob@d>\r\nDATA\r\n"), say("x\r\n.\r\n")];
    let run = run_both_ways(&script, &input);
    assert_eq!(run.codes()[2..], [250, 250, 354, 550]);
    assert_eq!(run.transaction().recipients[0].to, "bob@d");
}

#[rstest]
#[case::mail(Verb::Mail, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRSET\r\n", &[500, 503, 250])]
#[case::rcpt(Verb::Rcpt, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", &[250, 500, 554])]
#[case::data(Verb::Data, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n", &[250, 250, 500, 221])]
fn the_record_has_the_reply_that_the_client_took_for_its_own(
    #[case] verb: Verb,
    #[case] lines: &str,
    #[case] codes: &[u16],
) {
    let script = with(on(verb), always(vec![rewrite("XXXX")]));
    let run = run_both_ways(&script, &[say(EHLO), say(lines)]);
    assert_eq!(run.codes()[2..], *codes);
    let transaction = run.transaction();
    let noted = match verb {
        Verb::Mail => &transaction.mail_reply,
        Verb::Rcpt => &transaction.recipients[0].reply,
        _ => &transaction.data_reply,
    };
    assert_eq!(noted.as_ref().map(|r| r.code), Some(500));
    assert!(transaction.finished.is_some() || verb == Verb::Rcpt, "{transaction:?}");
}

#[test]
fn a_refused_mail_makes_room_for_the_next_one() {
    let first = Condition::Nth(Range::exactly(1));
    let script = with(on(Verb::Mail), vec![rule(vec![first], vec![rewrite("XXXX")])]);
    let run = run_both_ways(&script, &[say(EHLO), say(ENVELOPE), say(ENVELOPE)]);
    assert_eq!(run.codes()[2..], [500, 503, 250, 250]);
    assert_eq!(run.record.transactions.len(), 2);
}

#[test]
fn the_octets_of_a_masked_bdat_are_commands() {
    let second = Condition::Nth(Range { from: Some(2), to: None });
    let rules = vec![(on(Verb::Bdat), vec![rule(vec![second], vec![rewrite("XXXX {argument}")])])];
    let script = Script { rules, ..server(&["CHUNKING", "PIPELINING"]) };
    let chunks = "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nNOOP\r\n";
    let run = run_both_ways(&script, &[say(EHLO), say(ENVELOPE), say(chunks)]);
    assert_eq!(run.codes()[4..], [250, 500, 250], "the first chunk is one, the second is not");
    assert!(!run.transaction().taken);
    assert_eq!(run.transaction().content, b"QUIT\r\n");
}

/// What a server sends on of these mails, each submitted in a session of its own.
fn sent_on(script: &Script, mails: usize, content: &str) -> Vec<Forwarded> {
    let sent: Arc<Mutex<Vec<Forwarded>>> = Arc::default();
    let there = sent.clone();
    let forwarder = Forwarder::new(move |mail| there.lock().unwrap().push(mail));
    let (memory, recorder) = (ServerMemory::forwarding(script, Some(forwarder)), Recorder::default());
    for _ in 0..mails {
        let mut bench = Bench::at(script, &memory, &recorder, RunTime::ZERO, Limits::default());
        let lines = [
            say(EHLO),
            say(
                "MAIL FROM:<a@b> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\nRCPT TO:<>\r\nDATA\r\n",
            ),
            say(format!("{content}.\r\n")),
        ];
        for line in &lines {
            bench.act(line, usize::MAX);
        }
        bench.finish();
    }
    sent.lock().unwrap().clone()
}

fn forwards(changes: HeaderChanges, others: Vec<Action>) -> Script {
    let actions = others.into_iter().chain([Action::Forward(changes)]).collect();
    Script {
        rules: vec![(On::EndOfData, always(actions))],
        ..server(&["SIZE 1000", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES"])
    }
}

#[test]
fn a_forwarded_mail_has_its_envelope_and_a_trace_of_the_server() {
    let script = forwards(HeaderChanges::default(), Vec::new());
    let sent = sent_on(&script, 2, "Received: x\r\nSubject: y\r\n\r\n..dot\r\n");
    assert_eq!(sent.len(), 2);
    let submission = &sent[1].submission;
    assert_eq!((submission.helo.as_str(), submission.from.as_str()), ("hub.example", "a@b"));
    assert_eq!(submission.from_parameters, ["BODY=8BITMIME"]);
    assert_eq!(submission.recipients, [("c@d".to_owned(), vec!["NOTIFY=NEVER".to_owned()])]);
    assert_eq!(
        String::from_utf8_lossy(&submission.content),
        "Received: from relay.example ([198.51.100.9])\r\n\tby hub.example with ESMTP id forwarded-2-hub;\r\n\t\
         Thu, 1 Jan 1970 00:00:00 +0000\r\nReceived: x\r\nSubject: y\r\n\r\n.dot\r\n"
    );
}

#[test]
fn a_header_may_lose_its_trace_but_for_the_servers_own() {
    let changes = HeaderChanges {
        drop: vec!["received".to_owned()],
        set: vec![("Subject".to_owned(), "z".to_owned())],
    };
    let sent = sent_on(&forwards(changes, Vec::new()), 1, "Received: x\r\nSubject: y\r\n\r\nbody\r\n");
    let content = String::from_utf8_lossy(&sent[0].submission.content).into_owned();
    assert_eq!(content.matches("Received:").count(), 1, "{content}");
    assert!(content.ends_with("+0000\r\nSubject: z\r\n\r\nbody\r\n"), "{content}");
}

#[rstest]
#[case::refused(vec![reply("550 5.7.1 No")], 0)]
#[case::not_kept(vec![Action::Take(false)], 0)]
#[case::kept_without_a_word(vec![Action::Take(true), RESET], 1)]
fn only_what_was_taken_is_forwarded(#[case] others: Vec<Action>, #[case] times: usize) {
    assert_eq!(sent_on(&forwards(HeaderChanges::default(), others), 1, "x\r\n").len(), times);
}

#[test]
fn a_loop_without_a_counter_ends() {
    let script = forwards(HeaderChanges::default(), Vec::new());
    let most = usize::try_from(MOST_FORWARDED).unwrap();
    assert_eq!(sent_on(&script, most + 3, "x\r\n").len(), most);
}

#[test]
fn without_anyone_to_carry_it_a_mail_is_kept() {
    let script = forwards(HeaderChanges::default(), Vec::new());
    let run = run_both_ways(&script, &[say(EHLO), say(ENVELOPE), say("DATA\r\nx\r\n.\r\n")]);
    assert_eq!((run.codes()[5], run.taken()), (250, 1));
    assert!(plain().rules.is_empty());
}

#[test]
fn a_mail_has_a_name_and_a_message_id() {
    let mut script = plain();
    let line = reply("250 2.6.0 {message-id} [InternalId={id}] Queued mail for delivery");
    script.rules = vec![(On::EndOfData, always(vec![line]))];
    let mail = |content: &str| [say(ENVELOPE), say(format!("DATA\r\n{content}\r\n.\r\n"))];
    let input: Vec<Do> =
        [say(EHLO)].into_iter().chain(mail("message-id: <x@y>\r\n")).chain(mail("x")).collect();
    let text = run_both_ways(&script, &input).text();
    assert!(text.contains("250 2.6.0 <x@y> [InternalId=100001] Queued"), "{text}");
    assert!(text.contains("250 2.6.0 <100002@hub.example> [InternalId=100002] Queued"), "{text}");
}
