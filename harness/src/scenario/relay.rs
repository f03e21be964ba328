//! `relay:` — what the relay under test is told, in neutral words.

use super::context::{Context, Kind};
use super::model::{AuthSettings, RelaySettings, Tls};
use super::{values, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value, one_or_more};

/// The value of `relay:`.
pub(super) fn relay(node: &Node, cx: &Context<'_>) -> RelaySettings {
    let problems = cx.problems;
    let mut relay = RelaySettings::default();
    let Some(mapping) = Mapping::new(node, &words::RELAY, problems) else { return relay };
    relay.hostname = mapping.take("hostname").and_then(|node| problems.some_text(node, "a host name"));
    relay.smarthost = mapping.take("smarthost").and_then(|node| cx.name(node, Kind::Server));
    relay.auth = mapping.take("auth").and_then(|node| auth(node, cx));
    if let Some(node) = mapping.take("tls") {
        relay.tls = tls(node, cx);
    }
    relay.offers_tls = mapping.take("offers tls").and_then(|node| problems.boolean(node));
    if let Some(node) = mapping.take("queue") {
        queue(node, &mut relay, cx);
    }
    if let Some(node) = mapping.take("limits")
        && let Some(mapping) = Mapping::new(node, &words::LIMITS, problems)
    {
        relay.size_limit =
            mapping.take("size").and_then(|node| problems.parsed(node, "a size", values::size));
        mapping.finish();
    }
    relay.reuse = mapping.take("reuse").and_then(|node| problems.boolean(node));
    if let Some(node) = mapping.take("timeouts")
        && let Some(mapping) = Mapping::new(node, &words::TIMEOUTS, problems)
    {
        let duration = |node| problems.parsed(node, "a duration", values::duration);
        relay.greeting_timeout = mapping.take("greeting").and_then(duration);
        relay.command_timeout = mapping.take("command").and_then(duration);
        relay.end_of_data_timeout = mapping.take("end-of-data").and_then(duration);
        mapping.finish();
    }
    mapping.finish();
    relay
}

fn auth(node: &Node, cx: &Context<'_>) -> Option<AuthSettings> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::RELAY_AUTH, problems)?;
    let to = mapping.require("to").map(|node| match &node.value {
        Value::Text(text) if text == "any" => Some(None),
        _ => cx.name(node, Kind::Server).map(Some),
    });
    let user = mapping.require("user").and_then(|node| problems.some_text(node, "a user name"));
    let password = mapping.require("password").and_then(|node| problems.text(node, "a password"));
    let mechanisms = mapping.take("mechanisms").map(one_or_more).unwrap_or_default();
    let mechanisms: Vec<String> = mechanisms
        .iter()
        .filter_map(|node| problems.some_text(node, "a SASL mechanism"))
        .map(|name| name.to_ascii_uppercase())
        .collect();
    mapping.finish();
    Some(AuthSettings { to: to??, user: user?, password: password?, mechanisms })
}

fn tls(node: &Node, cx: &Context<'_>) -> Option<Tls> {
    let words = [
        ("off", Tls::Off),
        ("opportunistic", Tls::Opportunistic),
        ("required", Tls::Required),
        ("dane", Tls::Dane),
    ];
    cx.problems.word(node, "a TLS policy", &words)
}

fn queue(node: &Node, relay: &mut RelaySettings, cx: &Context<'_>) {
    let problems = cx.problems;
    let duration = |node| problems.parsed(node, "a duration", values::duration);
    let Some(mapping) = Mapping::new(node, &words::QUEUE, problems) else { return };
    if let Some(node) = mapping.take("retry")
        && let Some(mapping) = Mapping::new(node, &words::RETRY, problems)
    {
        relay.retry_first = mapping.take("first").and_then(duration);
        relay.retry_at_most = mapping.take("at most").and_then(duration);
        if let (Some(first), Some(at_most)) = (relay.retry_first, relay.retry_at_most)
            && first > at_most
        {
            problems.push(
                Diagnostic::new(node.span.clone(), "the first wait is longer than the longest")
                    .because("`first` is longer than `at most`"),
            );
        }
        mapping.finish();
    }
    relay.warn = mapping.take("warn").and_then(duration);
    relay.lifetime = mapping.take("lifetime").and_then(duration);
    if let (Some(warn), Some(lifetime)) = (relay.warn, relay.lifetime)
        && warn >= lifetime
    {
        let at = mapping.entry("warn").map_or(node.span.clone(), |entry| entry.value.span.clone());
        problems.push(
            Diagnostic::new(at, "the warning comes after the mail is returned")
                .because("not shorter than `lifetime`: never sent"),
        );
    }
    mapping.finish();
}
