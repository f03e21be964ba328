//! Commands without waiting (RFC 5321 section 4.3.1, RFC 2920).

use std::time::Duration;

use mock_servers::transcript::{Side, What};

use super::{Breach, Of};
use crate::record::conversation::{Asked, Exchange};

/// What changes the state so much that nothing may follow it before its reply (RFC 2920 section 3.1; for STARTTLS RFC
/// 3207 section 4, for AUTH RFC 4954 section 4).
const LAST: [&str; 9] = ["EHLO", "HELO", "DATA", "VRFY", "EXPN", "QUIT", "NOOP", "STARTTLS", "AUTH"];

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    for (index, exchange) in of.talk.exchanges.iter().enumerate().skip(2) {
        // an unanswered greeting is another rule's; after a timeout, QUIT comes while a reply is due
        if exchange.outstanding == 0 || exchange.verb() == "QUIT" {
            continue;
        }
        // replies come in order: what waits stands right before it
        let waiting = of.talk.exchanges[1..index].iter().rev().take(exchange.outstanding);
        let Some(last) = waiting.into_iter().find(|e| answered_after(of, e, exchange)) else { continue };
        let content = matches!(exchange.asked, Asked::Content { .. });
        let events = last.event..exchange.event + 1;
        let last_verb = last.verb();
        if LAST.contains(&last_verb.as_str()) && !may_be_followed(last) {
            let clause = match last_verb.as_str() {
                _ if !exchange.offered("PIPELINING") => "RFC 5321 section 4.3.1",
                "STARTTLS" => "RFC 3207 section 4",
                "AUTH" => "RFC 4954 section 4",
                _ => "RFC 2920 section 3.1",
            };
            let what = if content { "the content".to_owned() } else { format!("`{}`", exchange.line) };
            let why = format!("{what} came before the reply to `{}`", last.line);
            let it = "waits for the reply to a command that must be the last of its group";
            breaches.push(Breach::must("pipelining past a change of state", it, clause, why, events));
        } else if !exchange.offered("PIPELINING") && !content {
            let why = format!(
                "`{}` came before the reply to `{}`, and PIPELINING was not offered",
                exchange.line, last.line
            );
            let it = "waits for each reply, unless PIPELINING is offered";
            breaches.push(Breach::must("pipelining not offered", it, "RFC 5321 section 4.3.1", why, events));
        }
    }
}

/// RFC 4954 section 4: AUTH with an initial response, for a mechanism that is complete in one round.
fn may_be_followed(exchange: &Exchange) -> bool {
    let mut words = exchange.line.split_ascii_whitespace();
    let auth = words.next().is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH"));
    let in_one_round = |m: &str| m.eq_ignore_ascii_case("PLAIN") || m.eq_ignore_ascii_case("EXTERNAL");
    auth && words.next().is_some_and(in_one_round) && words.next().is_some()
}

/// Whether an exchange was still unanswered when a later one came. After a minute of silence the client may have given
/// up waiting (RFC 5321 section 4.5.3.2); once the server has closed, there is nothing to wait for.
fn answered_after(of: &Of<'_>, earlier: &Exchange, later: &Exchange) -> bool {
    let unanswered = earlier.reply.as_ref().is_none_or(|answer| answer.event > later.event);
    let closed =
        of.session.events.iter().position(|e| matches!(e.what, What::Closed { by: Side::Server, .. }));
    // a chunk is answered after its content, which is no command
    unanswered
        && closed.is_none_or(|closed| closed > later.event)
        && earlier.verb() != "BDAT"
        && later.at.since(earlier.at) < Duration::from_mins(1)
}
