//! BDAT in its order (RFC 3030 section 2, 3).

use super::{Breach, Of};
use crate::record::conversation::Exchange;

/// What has become of the chunks of a transaction.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    said: &'a Exchange,
    /// Whether it was the last one.
    last: bool,
}

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let mut chunk: Option<Chunk<'_>> = None;
    let mut binary = false;
    for exchange in &of.talk.exchanges {
        let verb = exchange.verb();
        // what was on its way when the refusal came is no answer to it
        let refused = chunk.filter(|chunk| was_refused_before(chunk.said, exchange));
        let mut breach = |rule, it, why: String| {
            breaches.push(Breach::must(rule, it, "RFC 3030 section 2", why, exchange.events()));
        };
        match verb.as_str() {
            "BDAT" if chunk.is_some_and(|chunk| chunk.last) => {
                let it = "sends no chunk behind the last one";
                breach("chunk after the last", it, format!("`{}` came after BDAT LAST", exchange.line));
            }
            "BDAT" if refused.is_some() => {
                let it = "sends no further chunk once one was refused";
                breach(
                    "chunk after a refusal",
                    it,
                    format!("`{}` came after {}", exchange.line, told(refused)),
                );
            }
            "DATA" if chunk.is_some() => {
                let it = "sends one mail by DATA or by BDAT, not by both";
                breach("DATA after BDAT", it, "DATA came in a transaction with a chunk".to_owned());
            }
            "DATA" if binary => {
                let it = "sends what it calls BINARYMIME by BDAT alone";
                let why = "DATA came after BODY=BINARYMIME".to_owned();
                breaches.push(Breach::must(
                    "DATA for BINARYMIME",
                    it,
                    "RFC 3030 section 3",
                    why,
                    exchange.events(),
                ));
            }
            // behind the last chunk the transaction may be thought to be over
            "MAIL" | "RCPT" if refused.is_some_and(|chunk| !chunk.last) => {
                let it = "says RSET once a chunk was refused";
                breach("no RSET after BDAT", it, format!("`{}` came after {}", exchange.line, told(refused)));
            }
            _ => {}
        }
        match verb.as_str() {
            "BDAT" => {
                let last =
                    exchange.line.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("LAST"));
                chunk = Some(Chunk { said: exchange, last });
            }
            "MAIL" | "RSET" | "EHLO" | "HELO" => {
                chunk = None;
                binary = verb == "MAIL" && exchange.line.to_ascii_uppercase().contains(" BODY=BINARYMIME");
            }
            _ => {}
        }
    }
}

fn was_refused_before(chunk: &Exchange, later: &Exchange) -> bool {
    let reply = chunk.reply.as_ref().filter(|answer| matches!(answer.reply.code, 400..=599));
    reply.is_some_and(|answer| answer.event < later.event)
}

fn told(refused: Option<Chunk<'_>>) -> String {
    refused.map_or_else(String::new, |chunk| format!("`{}` had got {}", chunk.said.line, chunk.said.code()))
}
