//! `dns:` — names that the scenario sets itself, and answers that fail.

use std::net::IpAddr;

use super::context::{Context, Kind, entries};
use super::diagnostic::Diagnostic;
use super::model::{DnsEntry, DnsFault};
use super::read::{Mapping, one_or_more, suggestion};
use super::values;
use super::yaml::{Node, Value};

const FAULTS: [(&str, DnsFault); 5] = [
    ("nxdomain", DnsFault::NxDomain),
    ("servfail", DnsFault::Servfail),
    ("refused", DnsFault::Refused),
    ("timeout", DnsFault::Timeout),
    ("empty", DnsFault::Empty),
];

/// What stands for the relay under test in an MX record.
const RELAY: &str = "{relay}";

/// The value of `dns:`.
pub(super) fn dns(node: &Node, cx: &Context<'_>) -> Vec<DnsEntry> {
    if !matches!(node.value, Value::Mapping(_)) {
        cx.problems.expected(node, "a mapping from names to records");
    }
    entries(node).filter_map(|(name, node)| entry(name, node, cx)).collect()
}

fn entry(name: &str, node: &Node, cx: &Context<'_>) -> Option<DnsEntry> {
    if let Value::Text(_) = node.value {
        let fault = cx.problems.word(node, "a way for DNS to fail", &FAULTS)?;
        return Some(DnsEntry::Fault { name: name.to_owned(), fault });
    }
    let mapping = Mapping::new(node, "a DNS name", cx.problems)?;
    let until = mapping.take("until");
    let then = mapping.take("then");
    let first = records(name, &mapping, cx);
    mapping.later(&["ttl", "secure", "truncated", "tcp", "TLSA", "PTR"]);
    let lone = match (until, then) {
        (Some(_), None) => Some(("until", "then")),
        (None, Some(_)) => Some(("then", "until")),
        _ => None,
    };
    if let Some((there, missing)) = lone {
        let at = mapping.entry(there).map_or(mapping.span(), |entry| entry.key_span.clone());
        cx.problems.push(
            Diagnostic::new(at, format!("`{there}:` without `{missing}:`"))
                .help("`{ MX: servfail, until: 20m, then: { MX: [\"10 mx.shop.example\"] } }`"),
        );
    }
    mapping.finish();
    let first = first?;
    let (Some(until), Some(then)) = (until, then) else { return Some(first) };
    let until = cx.problems.parsed(until, "a duration", values::duration);
    let then = entry(name, then, cx);
    Some(DnsEntry::Until { until: until?, first: Box::new(first), then: Box::new(then?) })
}

fn records(name: &str, mapping: &Mapping<'_>, cx: &Context<'_>) -> Option<DnsEntry> {
    let before = cx.problems.count();
    let mut faults = Vec::new();
    let mut taken = |word: &'static str| {
        let node = mapping.take(word)?;
        if let Value::Text(text) = &node.value
            && let Some((_, fault)) = FAULTS.iter().find(|(fault, _)| fault == text)
        {
            faults.push((word.to_owned(), *fault));
            return None;
        }
        Some(node)
    };
    let mx = taken("MX").map(|node| each(node, |node| exchange(node, cx)));
    let a = taken("A").map(|node| each(node, |node| host(node, false, cx)));
    let aaaa = taken("AAAA").map(|node| each(node, |node| host(node, true, cx)));
    let txt = taken("TXT").map(|node| each(node, |node| cx.problems.text(node, "a text")));
    let cname = taken("CNAME").and_then(|node| cx.problems.some_text(node, "a host name"));
    (cx.problems.count() == before).then(|| DnsEntry::Records {
        name: name.to_owned(),
        mx,
        a,
        aaaa,
        txt,
        cname,
        faults,
    })
}

fn each<T>(node: &Node, read: impl Fn(&Node) -> Option<T>) -> Vec<T> {
    one_or_more(node).iter().filter_map(read).collect()
}

/// `10 mx1.shop.example`; the host `.` is the null MX.
fn exchange(node: &Node, cx: &Context<'_>) -> Option<(u16, String)> {
    let text = cx.problems.text(node, "an MX record such as \"10 mx.shop.example\"")?;
    let parsed = text.split_once(' ').and_then(|(preference, host)| {
        let host = host.trim();
        (!host.is_empty() && !host.contains(' '))
            .then_some((preference.parse::<u16>().ok()?, host.to_owned()))
    });
    let Some((preference, host)) = parsed else {
        let mut diagnostic = Diagnostic::new(node.span.clone(), format!("`{text}` is not an MX record"))
            .because("a preference and a host");
        let words: Vec<&str> = FAULTS.iter().map(|(word, _)| *word).collect();
        let near = suggestion(&text, &words);
        diagnostic.help.push(if near.starts_with("did") {
            near
        } else {
            "\"10 mx.shop.example\"".to_owned()
        });
        cx.problems.push(diagnostic);
        return None;
    };
    if host.contains('{') && host != RELAY {
        cx.problems.unknown(node.span.clone(), format!("`{host}` is not a host"), &host, &[RELAY]);
        return None;
    }
    Some((preference, host))
}

/// An address, or the name of a server that stands for its addresses.
fn host(node: &Node, v6: bool, cx: &Context<'_>) -> Option<String> {
    let text = cx.problems.text(node, "an address or the name of a server")?;
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() == v6 => Some(text),
        Ok(_) => {
            let (family, other) = if v6 { ("AAAA", "IPv4") } else { ("A", "IPv6") };
            cx.problems.push(
                Diagnostic::new(node.span.clone(), format!("an {other} address in an {family} record"))
                    .because(format!("an {other} address")),
            );
            None
        }
        Err(_) => {
            if !cx.names(Kind::Server).contains(&text.as_str()) {
                let words: Vec<&str> =
                    cx.names(Kind::Server).into_iter().chain(FAULTS.iter().map(|(word, _)| *word)).collect();
                let title = format!("`{text}` is neither an address nor a server of this scenario");
                cx.problems.unknown(node.span.clone(), title, &text, &words);
                return None;
            }
            cx.name(node, Kind::Server)
        }
    }
}
