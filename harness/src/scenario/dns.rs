//! `dns:` — names that the scenario sets itself, and answers that fail.

use std::net::IpAddr;
use std::time::Duration;

use mock_servers::dns::canonical_name;

use super::context::{Context, Kind, Late, entries};
use super::model::{DnsEntry, DnsFault, DnsRecords, DnsTlsa, Server};
use super::{values, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value, one_or_more, suggestion};

const FAULTS: [(&str, DnsFault); 8] = [
    ("nxdomain", DnsFault::NxDomain),
    ("servfail", DnsFault::Servfail),
    ("refused", DnsFault::Refused),
    ("not-implemented", DnsFault::NotImplemented),
    ("timeout", DnsFault::Timeout),
    ("garbage", DnsFault::Garbage),
    ("wrong-id", DnsFault::WrongId),
    ("empty", DnsFault::Empty),
];

/// What stands for the relay under test in an MX record.
const RELAY: &str = "{relay}";

/// Before the host in the name of the TLSA records for mail (RFC 7672 section 2.2.3).
const MAIL_SERVICE: &str = "_25._tcp.";

/// The value of `dns:`. Its TLSA records speak of the certificates of `servers`.
pub(super) fn dns(node: &Node, servers: &[Server], cx: &Context<'_>) -> Vec<DnsEntry> {
    let Value::Mapping(list) = &node.value else {
        cx.problems.expected(node, "a mapping from names to records");
        return Vec::new();
    };
    let world = World { all: node, servers, cx };
    let read = |entry: &crate::yaml::Entry| {
        if entry.key.parse::<IpAddr>().is_err()
            && let Err(bad) = canonical_name(&entry.key)
        {
            let title = format!("`{}` cannot be a name in the DNS", entry.key);
            cx.problems.push(Diagnostic::new(entry.key_span.clone(), title).because(bad.why));
            return None;
        }
        world.entry(&entry.key, &entry.value)
    };
    list.iter().filter_map(read).collect()
}

/// What an entry may refer to.
struct World<'a> {
    /// The whole of `dns:`.
    all: &'a Node,
    servers: &'a [Server],
    cx: &'a Context<'a>,
}

impl World<'_> {
    fn entry(&self, name: &str, node: &Node) -> Option<DnsEntry> {
        let problems = self.cx.problems;
        if let Value::Text(_) = node.value {
            let fault = problems.word(node, "a way for DNS to fail", &FAULTS)?;
            return Some(DnsEntry::Fault { name: name.to_owned(), fault });
        }
        let mapping = Mapping::new(node, &words::DNS_NAME, problems)?;
        if mapping.is_empty() {
            problems.push(
                Diagnostic::new(node.span.clone(), format!("nothing is said of `{name}`"))
                    .help("for a name without records: `empty`; for one that does not exist: `nxdomain`"),
            );
            return None;
        }
        let until = mapping.take("until");
        let then = mapping.take("then");
        let first = self.records(name, &mapping);
        let lone = match (until, then) {
            (Some(_), None) => Some(("until", "then")),
            (None, Some(_)) => Some(("then", "until")),
            _ => None,
        };
        if let Some((there, missing)) = lone {
            let at = mapping.entry(there).map_or(mapping.span(), |entry| entry.key_span.clone());
            problems.push(
                Diagnostic::new(at, format!("`{there}:` without `{missing}:`"))
                    .help("`{ MX: servfail, until: 20m, then: { MX: [\"10 mx.shop.example\"] } }`"),
            );
        }
        mapping.finish();
        let first = DnsEntry::Records(Box::new(first?));
        let (Some(until), Some(then)) = (until, then) else { return Some(first) };
        let moment = problems.parsed(until, "a duration", values::duration);
        let until = moment.inspect(|moment| self.cx.due(until, *moment, Late::Answer));
        let then = self.entry(name, then);
        Some(DnsEntry::Until { until: until?, first: Box::new(first), then: Box::new(then?) })
    }

    fn records(&self, name: &str, mapping: &Mapping<'_>) -> Option<DnsRecords> {
        let cx = self.cx;
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
        let ptr = taken("PTR").map(|node| each(node, |node| cx.problems.some_text(node, "a host name")));
        let tlsa = taken("TLSA").map(|node| each(node, |node| self.tlsa(name, node)));
        if let Some(entry) = mapping.entry("PTR")
            && !is_reverse(name)
        {
            cx.problems.push(
                Diagnostic::new(entry.key_span.clone(), format!("`PTR:` at `{name}`, which is no address"))
                    .because("nobody asks for the name of a name (RFC 1035 section 3.5)")
                    .help("put it under the address: `198.51.100.10: { PTR: mx.shop.example }`"),
            );
        }
        let ttl = mapping.take("ttl").and_then(|node| ttl(node, cx));
        let secure = mapping.take("secure").and_then(|node| cx.problems.boolean(node));
        let truncated = mapping.take("truncated").and_then(|node| cx.problems.boolean(node));
        let tcp = mapping.take("tcp").and_then(|node| {
            cx.problems.word(node, "what can become of TCP", &[("refused", true), ("answered", false)])
        });
        (cx.problems.count() == before).then(|| DnsRecords {
            name: name.to_owned(),
            mx,
            a,
            aaaa,
            txt,
            cname,
            ptr,
            tlsa,
            faults,
            ttl,
            secure,
            truncated: truncated == Some(true),
            tcp_refused: tcp == Some(true),
        })
    }

    /// `good`, `wrong`, or the four fields as in a zone file (RFC 6698 section 2.2).
    fn tlsa(&self, name: &str, node: &Node) -> Option<DnsTlsa> {
        const EXPECTED: &str = "a TLSA record: `good`, `wrong` or \"3 1 1 0123…\"";
        let problems = self.cx.problems;
        let text = problems.text(node, EXPECTED)?;
        match text.as_str() {
            "good" => self.shown_at(name, node).map(|server| DnsTlsa::Good { server }),
            "wrong" => self.shown_at(name, node).map(|_| DnsTlsa::Wrong),
            word if !word.contains(' ') => {
                problems.unknown(
                    node.span.clone(),
                    format!("`{text}` is not {EXPECTED}"),
                    word,
                    &["good", "wrong"],
                );
                None
            }
            _ => given(&text).map_err(|wrong| problems.wrong(node, EXPECTED, wrong)).ok(),
        }
    }

    /// The server whose certificate is shown where `_25._tcp.<host>` speaks of: that of this host name, or the one that
    /// `dns:` gives the addresses of.
    fn shown_at(&self, name: &str, node: &Node) -> Option<String> {
        let mistake = |why: String, help: &str| {
            let title = format!("`{name}` speaks of no server's certificate");
            self.cx.problems.push(Diagnostic::new(node.span.clone(), title).because(why).help(help));
        };
        let lower = name.to_ascii_lowercase();
        let Some(host) = lower.strip_prefix(MAIL_SERVICE) else {
            mistake(
                "the records of a mail server stand at `_25._tcp.` and its host name (RFC 7672 section 2.2.3)".into(),
                "`_25._tcp.mx.shop.example: { TLSA: good }`; records as they are: \"3 1 1 0123…\"",
            );
            return None;
        };
        let host = host.trim_end_matches('.');
        let by_hostname = self.servers.iter().find(|s| s.script.hostname.eq_ignore_ascii_case(host));
        let by_address = || {
            let (_, node) = entries(self.all).find(|(key, _)| key.eq_ignore_ascii_case(host))?;
            let named = self.addressed(node)?;
            self.servers.iter().find(|server| server.script.name == named)
        };
        let Some(server) = by_hostname.or_else(by_address) else {
            let hosts: Vec<&str> = self.servers.iter().map(|s| s.script.hostname.as_str()).collect();
            mistake(format!("no server is called `{host}`"), &suggestion(host, &hosts));
            return None;
        };
        self.cx.mention(Kind::Server, &server.script.name);
        Some(server.script.name.clone())
    }

    /// The first server that an entry gives the addresses of, now or later.
    fn addressed<'n>(&self, node: &'n Node) -> Option<&'n str> {
        let here = entries(node).filter(|(key, _)| matches!(*key, "A" | "AAAA"));
        let mut names = here.flat_map(|(_, node)| one_or_more(node)).filter_map(|node| match &node.value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let known = names.find(|name| self.servers.iter().any(|server| server.script.name == *name));
        known.or_else(|| {
            entries(node).find(|(key, _)| *key == "then").and_then(|(_, node)| self.addressed(node))
        })
    }
}

/// Whether a name is an address, or stands where addresses have their names.
pub(super) fn is_reverse(name: &str) -> bool {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || lower.ends_with(".in-addr.arpa") || lower.ends_with(".ip6.arpa")
}

/// Whole seconds (RFC 1035 section 3.2.1); `0s` is not kept at all.
fn ttl(node: &Node, cx: &Context<'_>) -> Option<Duration> {
    cx.problems.parsed(node, "a time to live", |text| {
        let ttl = values::duration(text)?;
        if ttl.subsec_nanos() != 0 {
            return Err(values::wrong("it is counted in whole seconds (RFC 1035 section 3.2.1)"));
        }
        Ok(ttl)
    })
}

/// `3 1 1 0123…`: usage, selector, matching type, data. None of them need make sense to a client.
fn given(text: &str) -> Result<DnsTlsa, values::Wrong> {
    let shape =
        || values::wrong_with("usage, selector, matching type and data in hexadecimal", "\"3 1 1 0123…\"");
    let mut words = text.split_ascii_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u8>().ok()).ok_or_else(shape);
    let (usage, selector, matching) = (number()?, number()?, number()?);
    // RFC 6698 section 2.2: white space may stand in the data
    let digits: String = words.collect();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(shape());
    }
    if !digits.len().is_multiple_of(2) {
        return Err(values::wrong("an octet has two hexadecimal digits, and there is an odd number of them"));
    }
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| shape());
    let data = (0..digits.len()).step_by(2).map(octet).collect::<Result<_, _>>()?;
    Ok(DnsTlsa::Given { usage, selector, matching, data })
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
