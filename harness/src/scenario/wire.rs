//! `wire:` — what went over the wire at a server.

use mock_servers::script::Verb;

use super::context::{Context, Kind};
use super::model::{Wire, WireThing};
use super::values::{self, is_everything};
use super::words;
use crate::yaml::{Diagnostic, Mapping, Node, one_or_more};

const EIGHT_BIT: &str = "8-bit content";

/// The value of `wire:`.
pub(super) fn wire(node: &Node, cx: &Context<'_>) -> Option<Wire> {
    let problems = cx.problems;
    let before = problems.count();
    let mapping = Mapping::new(node, &words::WIRE, problems)?;
    let wire = Wire {
        at: mapping.take("at").and_then(|node| cx.name(node, Kind::Server)),
        first: mapping.take("first").and_then(|node| command(node, cx)),
        never: mapping.take("never").map(|node| things(node, cx)).unwrap_or_default(),
        once: mapping.take("once").map(|node| things(node, cx)).unwrap_or_default(),
        sessions: mapping.take("sessions").and_then(|node| {
            problems.parsed(node, "a number or a range", |text| values::range(text, values::number))
        }),
        gap: mapping.take("gap").and_then(|node| {
            problems
                .parsed(node, "a duration or a range of them", |text| values::range(text, values::duration))
        }),
    };
    mapping.finish();
    (problems.count() == before).then_some(wire)
}

/// Why it holds whatever happens; `None`: it can fail.
pub(super) fn cannot_fail(wire: &Wire) -> Option<&'static str> {
    if wire.first.is_some() || !wire.never.is_empty() || !wire.once.is_empty() {
        return None;
    }
    let sessions = wire.sessions.as_ref().is_none_or(is_everything);
    let gap = wire.gap.as_ref().is_none_or(is_everything);
    (sessions && gap).then_some("nothing is asked of the wire")
}

fn things(node: &Node, cx: &Context<'_>) -> Vec<WireThing> {
    one_or_more(node).iter().filter_map(|node| thing(node, cx)).collect()
}

/// `8-bit content`, `BDAT`, `AUTH LOGIN`, `MAIL in clear`.
fn thing(node: &Node, cx: &Context<'_>) -> Option<WireThing> {
    let text = cx.problems.some_text(node, "a command or `8-bit content`")?;
    if text == EIGHT_BIT {
        return Some(WireThing::EightBitContent);
    }
    let command = command(node, cx)?;
    Some(match command.strip_suffix(" in clear") {
        Some(command) => WireThing::CommandInClear(command.to_owned()),
        None => WireThing::Command(command),
    })
}

/// Words that begin with a verb of SMTP's or a private one (`X…`).
fn command(node: &Node, cx: &Context<'_>) -> Option<String> {
    let text = cx.problems.some_text(node, "a command")?;
    let verb = text.split(' ').next().unwrap_or_default();
    if Verb::parse(verb).is_some() || verb.starts_with(['X', 'x']) {
        return Some(text);
    }
    let known: Vec<&str> = Verb::ALL.map(Verb::name).into_iter().chain([EIGHT_BIT]).collect();
    let mut diagnostic = Diagnostic::new(node.span.clone(), format!("`{text}` cannot be seen on the wire"));
    let near = if text.contains("bit") { EIGHT_BIT } else { verb };
    diagnostic.help.push(crate::yaml::suggestion(near, &known));
    cx.problems.push(diagnostic);
    None
}
