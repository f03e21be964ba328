//! The relay as a server: its replies (RFC 5321 section 4.2, RFC 2034).

use super::{Breach, Of};
use crate::record::conversation::{Answer, Asked, Exchange};

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    if let Some((event, line)) = of.talk.not_replies.first() {
        let why = format!("`{}`", String::from_utf8_lossy(line).trim_end());
        breaches.push(malformed(why, *event..event + 1));
    }
    let enhanced = of.talk.exchanges.iter().any(|e| e.offered("ENHANCEDSTATUSCODES"));
    for exchange in &of.talk.exchanges {
        let Some(answer) = &exchange.reply else { continue };
        form(exchange, answer, breaches);
        class(exchange, answer, breaches);
        if enhanced {
            status_codes(exchange, answer, breaches);
        }
    }
}

fn malformed(why: String, events: std::ops::Range<usize>) -> Breach {
    let it = "gives well-formed replies";
    Breach::must("reply", it, "RFC 5321 section 4.2", why, events)
}

/// Three digits from 200 to 559, the same on each line, a hyphen or a space, and CRLF.
fn form(exchange: &Exchange, answer: &Answer, breaches: &mut Vec<Breach>) {
    let code = &answer.raw[0][..3];
    let in_range = matches!(code[0], b'2'..=b'5');
    for line in &answer.raw {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let separated = matches!(line.get(3), Some(b' ' | b'-' | b'\r'));
        let whole = line.strip_suffix(b"\r\n").is_some_and(|l| !l.iter().any(|b| matches!(b, b'\r' | b'\n')));
        let what = if !in_range {
            "a code that does not begin with 2 to 5"
        } else if line[..3] != *code {
            "another code than the first line of the reply"
        } else if !separated {
            "no space or hyphen after the code"
        } else if !whole {
            "a line end that is not CRLF"
        } else {
            continue;
        };
        breaches.push(malformed(format!("`{text}` has {what}"), exchange.events()));
        return;
    }
    // a challenge has a limit of its own (RFC 4954 section 4)
    let limit = if exchange.asked == Asked::Challenge || exchange.verb() == "AUTH" { 12288 } else { 512 };
    if let Some(long) = answer.raw.iter().find(|line| line.len() > limit) {
        let why = format!("a reply line of {} octets", long.len());
        let it = "keeps reply lines within 512 octets, and challenges within 12288";
        let clause = if limit == 512 { "RFC 5321 section 4.5.3.1.5" } else { "RFC 4954 section 4" };
        breaches.push(Breach::should("long reply line", it, clause, why, exchange.events()));
    }
}

/// RFC 5321 section 4.3.2: only DATA and AUTH have intermediate replies, and DATA has no other success.
fn class(exchange: &Exchange, answer: &Answer, breaches: &mut Vec<Breach>) {
    let verb = exchange.verb();
    let (class, code) = (answer.reply.code / 100, answer.reply.code);
    let fits = match exchange.asked {
        Asked::Greeting => class != 3 && (class != 2 || code == 220),
        Asked::Challenge => true,
        Asked::Content { .. } => class != 3,
        Asked::Command => match verb.as_str() {
            "DATA" => class != 2,
            "AUTH" => true,
            _ => class != 3,
        },
    };
    if !fits {
        let to = match exchange.asked {
            Asked::Greeting => "the connection".to_owned(),
            Asked::Content { .. } => "the end of data".to_owned(),
            _ => format!("`{}`", exchange.line),
        };
        let why = format!("`{}` in answer to {to}", answer.reply.text());
        let it = "answers each command with a code of its class";
        breaches.push(Breach::must(
            "reply class",
            it,
            "RFC 5321 section 4.3.1, 4.3.2",
            why,
            exchange.events(),
        ));
    }
}

/// RFC 2034 section 4, for a relay that lists the extension.
fn status_codes(exchange: &Exchange, answer: &Answer, breaches: &mut Vec<Breach>) {
    let Some(status) = answer.reply.enhanced() else { return };
    let class = u16::from(status.as_bytes()[0] - b'0');
    let it = "gives enhanced status codes that agree with the reply code, and none in greetings";
    let bare = exchange.asked == Asked::Greeting || matches!(exchange.verb().as_str(), "EHLO" | "HELO");
    // to a refused EHLO it is common and harmless, and the clause speaks of lists of keywords
    let clause = if class != answer.reply.code / 100 {
        "RFC 2034 section 4"
    } else if bare && answer.reply.is_positive() {
        // the host's name comes first
        if exchange.asked == Asked::Greeting { "RFC 5321 section 4.2" } else { "RFC 5321 section 4.1.1.1" }
    } else {
        return;
    };
    let why = format!("`{}`", answer.reply.text());
    breaches.push(Breach::must("enhanced status code", it, clause, why, exchange.events()));
}
