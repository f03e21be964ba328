//! `decisive:` — what must have happened for a run to show anything.

use std::net::IpAddr;

use mock_servers::dns::reverse_name;

use super::context::{Context, Kind};
use super::model::{Check, Decisive, Level, Scenario, Server};
use super::rules::{event_word, parse_event};
use super::{dns, reach, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value, list_of};

/// The value of `decisive:` — a server's name, `{ server: hub, on: RCPT, rule: 1 }`, rules counted from 1,
/// `{ dns: shop.example, type: MX }`, or a list of these.
pub(super) fn decisive(node: &Node, scenario: &Scenario, cx: &Context<'_>) -> Option<Decisive> {
    let servers = &scenario.servers;
    if let Value::List(items) = &node.value {
        if items.is_empty() {
            cx.problems.expected(node, "a server, a rule, a name in the DNS, or a list of them");
        }
        // Each is read, whatever is wrong with those before it.
        let all: Vec<Option<Decisive>> = items.iter().map(|item| decisive(item, scenario, cx)).collect();
        return all.into_iter().collect::<Option<Vec<Decisive>>>().map(Decisive::All);
    }
    if let Value::Text(_) = node.value {
        let server = met(node, cx.name(node, Kind::Server)?, scenario, cx);
        return Some(Decisive::Session(server));
    }
    let mapping = Mapping::new(node, &words::DECISIVE, cx.problems)?;
    if let Some(name) = mapping.take("dns") {
        let decisive = asked(name, &mapping, servers, cx);
        mapping.finish();
        return decisive;
    }
    let server = mapping.require("server").and_then(|node| {
        let server = cx.name(node, Kind::Server)?;
        Some(met(node, server, scenario, cx))
    });
    let event_node = mapping.take("on");
    let event = event_node.map(|node| event_word(node, cx));
    let rule_node = mapping.take("rule");
    let rule = rule_node.map(|node| cx.problems.integer(node, "a rule's place, from 1"));
    if let (Some(entry), None) = (mapping.entry("rule"), event_node) {
        cx.problems.push(
            Diagnostic::new(entry.key_span.clone(), "`rule:` without `on:`").because("a rule of what?"),
        );
    }
    mapping.finish();
    let server = server?;
    let Some(event) = event else { return Some(Decisive::Session(server)) };
    let event = event?;
    let parsed = parse_event(&event)?;
    let script = &servers.iter().find(|one| one.script.name == server)?.script;
    let count = script.rules_on(&parsed).count();
    if count == 0 {
        // The rules that it would have have a mistake, which was told.
        if script.rules.iter().any(|(on, _)| *on == parsed) {
            return None;
        }
        let events: Vec<String> = script.rules.iter().map(|(on, _)| on.to_string()).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let help = if events.is_empty() {
            "it has no rules".to_owned()
        } else {
            format!("it has rules on {}", list_of(&events))
        };
        cx.problems.push(
            Diagnostic::new(event_node?.span.clone(), format!("`{server}` has no rule on `{event}`"))
                .help(help),
        );
        return None;
    }
    let index = match rule {
        None => None,
        Some(place) => {
            let place = usize::try_from(place?).unwrap_or(usize::MAX);
            if place == 0 || place > count {
                cx.problems.push(
                    Diagnostic::new(
                        rule_node?.span.clone(),
                        format!(
                            "`{server}` has {count} {} on `{event}`",
                            if count == 1 { "rule" } else { "rules" }
                        ),
                    )
                    .because("no such rule; they are counted from 1"),
                );
                return None;
            }
            Some(place - 1)
        }
    };
    Some(Decisive::Rule { server, event, index })
}

/// A server that must be met, if it can be.
fn met(node: &Node, server: String, scenario: &Scenario, cx: &Context<'_>) -> String {
    let untouched = |check: &Check| matches!(check, Check::Untouched(name) if *name == server);
    let why = if !reach::is_led_to(&server, scenario, cx) {
        Some((
            "nothing leads the relay to it",
            "give it a domain (`serves: [hub.example]`), or name it as `smarthost:` or under `dns:`",
        ))
    } else if scenario.expect.iter().any(|one| one.level != Level::May && untouched(&one.check)) {
        Some((
            "`expect:` has it untouched",
            "what must have happened is another server's session, or another rule",
        ))
    } else {
        None
    };
    if let Some((why, way)) = why {
        cx.doubt(
            Diagnostic::new(node.span.clone(), format!("no passing run has a session with `{server}`"))
                .because(why)
                .help(way),
        );
    }
    server
}

/// `{ dns: shop.example, type: MX }`: a name that the relay must have asked for.
fn asked(node: &Node, mapping: &Mapping<'_>, servers: &[Server], cx: &Context<'_>) -> Option<Decisive> {
    let type_node = mapping.take("type");
    let record_type = match type_node {
        None => None,
        Some(node) => {
            let words =
                ["MX", "A", "AAAA", "TXT", "CNAME", "TLSA", "PTR"].map(|word| (word, word.to_owned()));
            Some(cx.problems.word(node, "a type of record", &words)?)
        }
    };
    let name = cx.problems.some_text(node, "a name in the DNS")?.trim_end_matches('.').to_owned();
    let (is_reverse, is_ptr) = (dns::is_reverse(&name), record_type.as_deref() == Some("PTR"));
    if let (Some(type_node), true) = (type_node, record_type.is_some() && is_reverse != is_ptr) {
        let (title, because) = if is_ptr {
            (format!("a PTR record at `{name}`, which is no address"), "nobody asks for the name of a name")
        } else {
            (
                format!("a record at the address `{name}` that is no PTR"),
                "an address has names and nothing else",
            )
        };
        cx.problems.push(
            Diagnostic::new(type_node.span.clone(), title)
                .because(format!("{because} (RFC 1035 section 3.5)"))
                .help("the name of an address is `{ dns: 198.51.100.10, type: PTR }`"),
        );
        return None;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        // As under `dns:`, it stands for its reverse name. Which addresses there are is nowhere in the text.
        return Some(Decisive::Name { name: reverse_name(address), record_type });
    }
    let hosts = servers.iter().any(|server| server.script.hostname.eq_ignore_ascii_case(&name));
    let (text, sought) = (cx.text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let elsewhere = text.match_indices(&sought).any(|(at, _)| !node.span.contains(&at));
    // Reverse names are made of addresses.
    if !hosts && !elsewhere && !is_reverse {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("nothing leads to the name `{name}`"))
                .because("nobody would ask for it")
                .help("name a recipient's domain, a host that the DNS leads to, or an entry of `dns:`"),
        );
        return None;
    }
    Some(Decisive::Name { name, record_type })
}
