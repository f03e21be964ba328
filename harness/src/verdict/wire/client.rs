//! The relay as a client: what it may ask for, and in which order.

use mock_servers::transcript::What;

use super::{Breach, Of};
use crate::record::conversation::{Asked, Exchange};

/// Parameters and the keyword under which a server offers them.
const PARAMETERS: [(&str, &str, &str); 13] = [
    ("MAIL", "BODY", "8BITMIME"),
    ("MAIL", "SIZE", "SIZE"),
    ("MAIL", "RET", "DSN"),
    ("MAIL", "ENVID", "DSN"),
    ("MAIL", "AUTH", "AUTH"),
    ("MAIL", "SMTPUTF8", "SMTPUTF8"),
    ("MAIL", "BY", "DELIVERBY"),
    ("MAIL", "HOLDFOR", "FUTURERELEASE"),
    ("MAIL", "HOLDUNTIL", "FUTURERELEASE"),
    ("MAIL", "MT-PRIORITY", "MT-PRIORITY"),
    ("MAIL", "REQUIRETLS", "REQUIRETLS"),
    ("RCPT", "NOTIFY", "DSN"),
    ("RCPT", "ORCPT", "DSN"),
];

/// Commands that belong to an extension. No clause forbids to try them: a server that does not know one says 500.
const COMMANDS: [(&str, &str, &str); 3] = [
    ("BDAT", "CHUNKING", "RFC 3030 section 2"),
    ("STARTTLS", "STARTTLS", "RFC 3207 section 3"),
    ("AUTH", "AUTH", "RFC 4954 section 3"),
];

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    for exchange in &of.talk.exchanges {
        parameters(exchange, breaches);
        commands(exchange, breaches);
        line_ends(exchange, breaches);
    }
    content_line_ends(of, breaches);
    before_the_greeting(of, breaches);
    after_tls(of, breaches);
    falls_back(of, breaches);
}

/// RFC 5321 section 4.1.1.2, 4.1.1.3; RFC 3461 section 5.2.2 (a). By *this* session's last EHLO reply.
fn parameters(exchange: &Exchange, breaches: &mut Vec<Breach>) {
    let verb = exchange.verb();
    let after_path = exchange.line.rsplit_once('>').map_or("", |(_, rest)| rest);
    for parameter in after_path.split_ascii_whitespace() {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let known = PARAMETERS.iter().find(|(of, name, _)| *of == verb && name.eq_ignore_ascii_case(key));
        let Some((_, _, keyword)) = known else { continue };
        let keyword = if value.eq_ignore_ascii_case("BINARYMIME") { "BINARYMIME" } else { keyword };
        if !exchange.offered(keyword) {
            let why = format!("`{}`, and {keyword} was not offered{}", exchange.line, since(exchange));
            let it = "uses parameters only as this session's last EHLO reply offers them";
            let rule = "parameter not offered";
            breaches.push(match (keyword, verb.as_str()) {
                ("DSN", _) => Breach::must(rule, it, "RFC 3461 section 5.2.2", why, exchange.events()),
                // the clause has no MUST for MAIL
                (_, "MAIL") => Breach::should(rule, it, "RFC 5321 section 4.1.1.2", why, exchange.events()),
                _ => Breach::must(rule, it, "RFC 5321 section 4.1.1.3", why, exchange.events()),
            });
        }
    }
}

fn since(exchange: &Exchange) -> &'static str {
    match (&exchange.offer, exchange.tls) {
        (None, true) => " since TLS began",
        (None, false) => ": there was no EHLO reply",
        _ => "",
    }
}

fn commands(exchange: &Exchange, breaches: &mut Vec<Breach>) {
    let verb = exchange.verb();
    let Some((_, keyword, clause)) = COMMANDS.into_iter().find(|(command, _, _)| *command == verb) else {
        return;
    };
    if !exchange.offered(keyword) {
        let why = format!("`{}`, and {keyword} was not offered{}", exchange.line, since(exchange));
        let it = "uses commands of an extension only as this session's last EHLO reply offers it";
        breaches.push(Breach::should("command not offered", it, clause, why, exchange.events()));
    }
}

/// RFC 5321 section 2.3.8.
fn line_ends(exchange: &Exchange, breaches: &mut Vec<Breach>) {
    if matches!(exchange.asked, Asked::Greeting | Asked::Content { .. }) {
        return;
    }
    let body = exchange.raw.strip_suffix(b"\r\n");
    if body.is_none_or(|line| line.iter().any(|b| matches!(b, b'\r' | b'\n'))) {
        let why = format!("`{}` is not ended by CRLF alone", exchange.line.escape_debug());
        breaches.push(bare(why, exchange.events()));
    }
}

fn bare(why: String, events: std::ops::Range<usize>) -> Breach {
    let it = "ends lines with CRLF, and sends no CR or LF alone";
    Breach::must("bare CR or LF", it, "RFC 5321 section 2.3.8", why, events)
}

fn content_line_ends(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    for (index, transaction) in of.session.transactions.iter().enumerate() {
        // BINARYMIME knows no lines (RFC 3030 section 3)
        if transaction.parameters.iter().any(|p| p.eq_ignore_ascii_case("BODY=BINARYMIME")) {
            continue;
        }
        let content = &transaction.content;
        let alone = content.iter().enumerate().find(|&(at, b)| match b {
            b'\n' => at == 0 || content[at - 1] != b'\r',
            // the last octet of what broke off may have been half of a line end
            b'\r' => content.get(at + 1).is_some_and(|next| *next != b'\n'),
            _ => false,
        });
        let Some((at, octet)) = alone else { continue };
        let begin = content[..at].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = String::from_utf8_lossy(&content[begin..at]).into_owned();
        let name = if *octet == b'\r' { "CR" } else { "LF" };
        let why = format!("the content has a {name} alone after `{line}`");
        breaches.push(bare(why, crate::record::turns::transaction_events(of.session, index)));
    }
}

/// RFC 5321 section 4.3.1.
fn before_the_greeting(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let Some(greeting) = of.talk.exchanges.first() else { return };
    let Some(first) = of.talk.exchanges.get(1) else { return };
    let early = greeting.reply.as_ref().is_some_and(|answer| first.event < answer.event);
    if early && first.verb() != "QUIT" {
        let why = format!("`{}` came before the greeting was whole", first.line);
        let it = "waits for the greeting";
        breaches.push(Breach::should("early", it, "RFC 5321 section 4.3.1", why, first.events()));
    }
}

/// RFC 3207 section 4.2.
fn after_tls(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let started = of.session.events.iter().position(|event| matches!(event.what, What::TlsStarted { .. }));
    let Some(started) = started else { return };
    let Some(first) = of.talk.exchanges.iter().find(|e| e.event > started) else { return };
    if !matches!(first.verb().as_str(), "EHLO" | "QUIT") {
        let why = format!("the first command after STARTTLS is `{}`", first.line);
        let it = "says EHLO again after STARTTLS";
        breaches.push(Breach::should("no EHLO after TLS", it, "RFC 3207 section 4.2", why, first.events()));
    }
}

/// RFC 5321 section 3.2: after "command not recognized". After 502 (recognized, section 4.2.4), 501 or 550 it is a choice,
/// after 421 there is none. The fallback may also be made in a session of its own.
fn falls_back(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let refused = |e: &&Exchange| e.verb() == "EHLO" && e.code() == 500;
    let Some(ehlo) = of.talk.exchanges.iter().find(refused).filter(|_| !of.needs_extensions) else { return };
    let fell_back = |talk: &crate::record::conversation::Conversation, after: usize| {
        talk.exchanges.iter().any(|e| e.event >= after && matches!(e.verb().as_str(), "HELO"))
    };
    let later = of.record.sessions[of.index + 1..].iter().filter(|s| s.mock == of.session.mock);
    let closed_by_server = of.session.events[ehlo.event..]
        .iter()
        .any(|event| matches!(event.what, What::Closed { by: mock_servers::transcript::Side::Server, .. }));
    let in_this = fell_back(of.talk, ehlo.event);
    let mut later = later.map(crate::record::conversation::conversation);
    let said_goodbye = of.talk.exchanges.iter().any(|e| e.verb() == "QUIT");
    if !in_this && (said_goodbye || !closed_by_server) && !later.any(|talk| fell_back(&talk, 0)) {
        let why = format!("EHLO was answered with {}, and HELO never came", ehlo.code());
        let it = "falls back to HELO when EHLO is not recognised";
        breaches.push(Breach::should("no HELO", it, "RFC 5321 section 3.2", why, ehlo.events()));
    }
}
