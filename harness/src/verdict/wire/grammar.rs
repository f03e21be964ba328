//! The grammar of what the relay says as a client (RFC 5321 section 4.1.2, 4.1.3, 3.3).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Breach, Of};

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    for exchange in &of.talk.exchanges {
        let verb = exchange.verb();
        let (rule, it, clause, fits) = match verb.as_str() {
            "EHLO" | "HELO" => (
                "EHLO argument",
                "names itself by a domain or an address literal",
                "RFC 5321 section 4.1.1.1, 4.1.2",
                names_a_host(exchange.argument().trim_end()),
            ),
            "MAIL" => (
                "MAIL syntax",
                "writes `MAIL FROM:<path>` without spaces around the colon",
                "RFC 5321 section 3.3, 4.1.1.2",
                path(&exchange.line, "MAIL FROM:<"),
            ),
            "RCPT" => (
                "RCPT syntax",
                "writes `RCPT TO:<path>` without spaces around the colon",
                "RFC 5321 section 3.3, 4.1.1.3",
                path(&exchange.line, "RCPT TO:<"),
            ),
            _ => continue,
        };
        if !fits {
            breaches.push(Breach::must(rule, it, clause, format!("`{}`", exchange.line), exchange.events()));
        }
    }
}

/// White space at the end should be put up with (RFC 5321 section 4.1.1), so it is not looked at.
pub(super) fn names_a_host(argument: &str) -> bool {
    is_domain(argument) || is_literal(argument)
}

fn path(line: &str, prefix: &str) -> bool {
    line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        && line[prefix.len()..].contains('>')
}

/// `sub-domain *("." sub-domain)`: letters, digits and hyphens, not at the ends. With SMTPUTF8 also U-labels (RFC 6531
/// section 3.3), so octets above 127 are left alone.
fn is_domain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii();
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.split('.').all(label)
}

/// `[198.51.100.1]`, `[IPv6:2001:db8::1]`, or another registered tag.
fn is_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else { return false };
    if inner.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let Some((tag, rest)) = inner.split_once(':') else { return false };
    if tag.eq_ignore_ascii_case("IPv6") {
        return rest.parse::<Ipv6Addr>().is_ok();
    }
    // an IPv6 address without its tag would pass for another one
    inner.parse::<Ipv6Addr>().is_err()
        && is_domain(tag)
        && !tag.contains('.')
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic())
}
