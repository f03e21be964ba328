//! Addresses and header fields beyond ASCII (RFC 6531).

use mail_parser::{Message, MessageParser};

use super::{Breach, Of};
use crate::record::turns::transaction_events;

const CLAUSE: &str = "RFC 6531 section 3.2";

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let mut labelled = false;
    for exchange in &of.talk.exchanges {
        let verb = exchange.verb();
        if verb == "MAIL" {
            let after_path = exchange.line.rsplit_once('>').map_or("", |(_, rest)| rest);
            labelled = after_path.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("SMTPUTF8"));
        }
        let holds_address = matches!(verb.as_str(), "MAIL" | "RCPT");
        let path = exchange.line.rsplit_once('>').map_or(&*exchange.line, |(path, _)| path);
        if !holds_address || path.is_ascii() {
            continue;
        }
        let why = format!("`{}`", exchange.line);
        if !exchange.offered("SMTPUTF8") {
            let it = "gives addresses beyond ASCII only to servers that offer SMTPUTF8";
            breaches.push(Breach::must("UTF-8 address", it, CLAUSE, why, exchange.events()));
        } else if !labelled {
            let it = "says SMTPUTF8 at MAIL where an address needs it";
            let clause = "RFC 6531 section 3.4";
            breaches.push(Breach::must("no SMTPUTF8 at MAIL", it, clause, why, exchange.events()));
        }
    }
    headers(of, breaches);
    once(breaches);
}

/// To a server without SMTPUTF8, the parameter, the address and the header field are one and the same breach: the first that
/// the RFC forbids outright is told.
fn once(breaches: &mut Vec<Breach>) {
    let found = |rule: &str| breaches.iter().any(|breach| breach.rule == rule);
    let (address, header) = (found("UTF-8 address"), found("UTF-8 header"));
    breaches.retain(|breach| match breach.rule {
        "UTF-8 header" => !address,
        "parameter not offered" => !(address || header) || !breach.why.contains("SMTPUTF8 was not offered"),
        _ => true,
    });
}

/// A header beyond ASCII that came without SMTPUTF8 is its sender's fault, and looking at it is no relay's duty (section
/// 3.6); one that came with it, or that the relay wrote itself, was known to be one.
fn headers(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let mails: Vec<_> = of.talk.exchanges.iter().filter(|e| e.verb() == "MAIL").collect();
    if mails.len() != of.session.transactions.len() {
        return;
    }
    for (index, (transaction, mail)) in of.session.transactions.iter().zip(mails).enumerate() {
        let Some(line) = utf8_in_header(&transaction.content) else { continue };
        let submission = super::eight_bit::submission(of, index);
        let came_labelled = match submission.map(|s| s.place) {
            // the relay's own mail
            None => transaction.from.is_empty(),
            Some(place) => place.is_some_and(|place| {
                let submitted = &of.record.sessions[place.session].transactions[place.transaction];
                submitted.parameters.iter().any(|p| p.eq_ignore_ascii_case("SMTPUTF8"))
            }),
        };
        if !came_labelled {
            continue;
        }
        let events = transaction_events(of.session, index);
        let why = format!("`{line}`");
        let labelled = transaction.parameters.iter().any(|p| p.eq_ignore_ascii_case("SMTPUTF8"));
        if !mail.offered("SMTPUTF8") {
            let it = "gives header fields beyond ASCII only to servers that offer SMTPUTF8";
            breaches.push(Breach::must("UTF-8 header", it, CLAUSE, why, events));
        } else if !labelled {
            let it = "says SMTPUTF8 at MAIL where a header field needs it";
            breaches.push(Breach::must("no SMTPUTF8 at MAIL", it, "RFC 6531 section 3.4", why, events));
        }
    }
}

/// The first header line beyond ASCII, "at any level within its MIME structure" (section 3.2).
fn utf8_in_header(content: &[u8]) -> Option<String> {
    if content.is_ascii() {
        return None;
    }
    let message = MessageParser::default().parse(content)?;
    in_header(content, &message)
}

fn in_header(content: &[u8], message: &Message<'_>) -> Option<String> {
    message.parts.iter().find_map(|part| {
        let (from, to) = (part.offset_header as usize, part.offset_body as usize);
        let header = content.get(from..to).unwrap_or_default();
        let line = header.split(|&b| b == b'\n').find(|line| !line.is_ascii());
        let own = line.map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
        own.or_else(|| {
            let inner = part.message()?;
            // one that was encoded is a content of its own, with offsets of its own
            in_header(inner.raw_message(), inner)
        })
    })
}
