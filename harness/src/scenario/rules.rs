//! `on:` — events, conditions and actions.
//!
//! A value under an event is
//!
//! - a text: a reply, always given;
//! - a mapping: one rule, `when:` and the actions in their usual order: wait, pace, read, rewrite, send, reply, tls, take,
//!   forward, close, stall;
//! - a list in which an element is a text or has `when:` (or `after:`): rules, tried in order;
//! - any other list: the actions of one rule, in the list's own order.

use mock_servers::script::{Action, Condition, MeansFor, On, Rule, Verb};
use mock_servers::transcript::Side;

use super::context::{Context, Late, entries};
use super::forwarding;
use super::replies::{bytes, reply};
use super::tls::tls;
use super::{values, words};
use crate::yaml::{Diagnostic, Entry, Mapping, Node, Value, list_of, suggestion};

/// The events that are not verbs.
const EVENTS: [(&str, On); 8] = [
    ("connect", On::Connect),
    ("early", On::Early),
    ("challenge", On::Challenge),
    ("data", On::Data),
    ("end-of-data", On::EndOfData),
    ("idle", On::Idle),
    ("unknown", On::Unknown),
    ("any", On::Any),
];

/// The words of a rule that are actions, in the usual order.
const ACTIONS: [&str; 11] =
    ["wait", "pace", "read", "rewrite", "send", "reply", "tls", "take", "forward", "close", "stall"];

/// The value of `on:`.
pub(super) fn on(node: &Node, cx: &Context<'_>) -> Vec<(On, Vec<Rule>)> {
    let Value::Mapping(list) = &node.value else {
        cx.problems.expected(node, "a mapping from events to rules");
        return Vec::new();
    };
    list.iter()
        .filter_map(|entry| {
            let event = event(entry, cx);
            let rules = rules(&entry.value, cx);
            let event = event?;
            super::checks::rules(&event, &rules, cx);
            Some((event, rules.into_iter().map(|placed| placed.rule).collect()))
        })
        .collect()
}

/// The rules of one event, without their places.
pub(super) fn plain_rules(event: Option<&On>, node: &Node, cx: &Context<'_>) -> Vec<Rule> {
    let rules = rules(node, cx);
    if let Some(event) = event {
        super::checks::rules(event, &rules, cx);
    }
    rules.into_iter().map(|placed| placed.rule).collect()
}

/// A rule and where it stands.
pub(super) struct Placed<'a> {
    pub(super) rule: Rule,
    pub(super) node: &'a Node,
}

fn event(entry: &Entry, cx: &Context<'_>) -> Option<On> {
    let found = parse_event(&entry.key);
    if found.is_none() {
        let known: Vec<&str> =
            EVENTS.iter().map(|(word, _)| *word).chain(Verb::ALL.map(Verb::name)).collect();
        cx.problems.unknown(
            entry.key_span.clone(),
            format!("there is no event `{}`", entry.key),
            &entry.key,
            &known,
        );
    }
    found
}

/// The event of this name: a verb in capitals, or one of the words in small letters. `data` is not `DATA`.
pub(super) fn parse_event(word: &str) -> Option<On> {
    let other = EVENTS.iter().find(|(name, _)| *name == word).map(|(_, on)| on.clone());
    other.or_else(|| Verb::ALL.into_iter().find(|verb| verb.name() == word).map(On::Command))
}

fn rules<'a>(node: &'a Node, cx: &Context<'_>) -> Vec<Placed<'a>> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            cx.problems.expected(node, "a rule");
            Vec::new()
        }
        Value::List(items) if items.iter().any(is_rule_by_itself) => {
            items.iter().filter_map(|item| rule(item, cx)).collect()
        }
        Value::List(items) => {
            let lists: Option<Vec<Vec<Action>>> = items.iter().map(|item| action_item(item, cx)).collect();
            let actions = lists.map(|lists| lists.concat());
            actions
                .map(|actions| Placed { rule: Rule { when: Vec::new(), actions, after: None }, node })
                .into_iter()
                .collect()
        }
        _ => rule(node, cx).into_iter().collect(),
    }
}

/// Whether a list that has this element is a list of rules.
fn is_rule_by_itself(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text != "stall",
        _ => entries(node).any(|(key, _)| matches!(key, "when" | "after")),
    }
}

fn rule<'a>(node: &'a Node, cx: &Context<'_>) -> Option<Placed<'a>> {
    if matches!(&node.value, Value::Text(text) if text == "stall") {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "`stall` is an action and not a reply")
                .because("a text alone is a reply")
                .help("`[stall]`, or `{ stall: true }`"),
        );
        return None;
    }
    if !matches!(node.value, Value::Mapping(_)) {
        let reply = reply(node, cx)?;
        return Some(Placed {
            rule: Rule { when: Vec::new(), actions: vec![Action::Reply(reply)], after: None },
            node,
        });
    }
    let mapping = Mapping::new(node, &words::RULE, cx.problems)?;
    let when = mapping.take("when").map(|node| conditions(node, cx));
    let after = mapping.take("after").map(|node| {
        let after = cx.problems.parsed(node, "a duration", values::duration);
        after.inspect(|after| cx.due(node, *after, Late::Silence))
    });
    let actions = actions(&mapping, cx);
    mapping.finish();
    let actions = actions?;
    if actions.is_empty() {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "a rule that does nothing")
                .because("no action here")
                .help(format!("actions are {}", list_of(&ACTIONS))),
        );
        return None;
    }
    let when = match when {
        Some(list) => list?,
        None => Vec::new(),
    };
    let after = match after {
        Some(after) => Some(after?),
        None => None,
    };
    Some(Placed { rule: Rule { when, actions, after }, node })
}

/// One element of a list of actions.
fn action_item(node: &Node, cx: &Context<'_>) -> Option<Vec<Action>> {
    if matches!(&node.value, Value::Text(text) if text == "stall") {
        return Some(vec![Action::Stall]);
    }
    let mapping = Mapping::new(node, &words::ACTION, cx.problems)?;
    let actions = actions(&mapping, cx);
    mapping.finish();
    actions
}

/// The actions in a mapping, in their usual order.
fn actions(mapping: &Mapping<'_>, cx: &Context<'_>) -> Option<Vec<Action>> {
    let problems = cx.problems;
    let before = problems.count();
    let mut actions = Vec::new();
    if let Some(node) = mapping.take("wait") {
        let time = problems.parsed(node, "a duration", values::duration);
        actions.extend(time.inspect(|time| cx.due(node, *time, Late::Waited)).map(Action::Wait));
    }
    if let Some(node) = mapping.take("pace") {
        actions.extend(segment_size(node, cx).map(Action::Pace));
    }
    if let Some(node) = mapping.take("read") {
        actions.extend(problems.parsed(node, "how much is read", values::reading).map(Action::Read));
    }
    let forwards = mapping.entry("forward").is_some();
    let rewrite = mapping.take("rewrite");
    if let Some(line) = rewrite.filter(|_| !forwards) {
        actions.extend(forwarding::rewritten_line(line, cx).map(Action::Rewrite));
    }
    let means = mapping.take("as").and_then(|node| {
        let words = [("accepted", MeansFor::Accepted), ("refused", MeansFor::Refused)];
        problems.word(node, "what sent bytes can count as", &words)
    });
    if let Some(node) = mapping.take("send") {
        actions.extend(bytes(node, cx).map(|bytes| Action::Send { bytes, means }));
    } else if let Some(entry) = mapping.entry("as") {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), "`as:` without `send:`")
                .because("it says what sent bytes count as; a reply says so by its code"),
        );
    }
    if let Some(node) = mapping.take("reply") {
        actions.extend(reply(node, cx).map(Action::Reply));
    }
    if let Some(node) = mapping.take("tls") {
        actions.extend(tls(node, Side::Server, cx).map(Action::Tls));
    }
    if let Some(node) = mapping.take("take") {
        actions.extend(problems.boolean(node).map(Action::Take));
    }
    if let Some(node) = mapping.take("forward") {
        actions.extend(forwarding::forward(node, rewrite, cx).map(Action::Forward));
    }
    if let Some(node) = mapping.take("close") {
        let words = [
            ("fin", Action::CloseFin),
            ("fin without close_notify", Action::CloseWithoutNotify),
            ("reset", Action::CloseReset { at_once: false }),
            ("reset at once", Action::CloseReset { at_once: true }),
        ];
        actions.extend(problems.word(node, "a way to close", &words));
    }
    if let Some(node) = mapping.take("stall")
        && problems.boolean(node) == Some(true)
    {
        actions.push(Action::Stall);
    }
    (problems.count() == before).then_some(actions)
}

/// How many bytes go into a segment.
pub(super) fn segment_size(node: &Node, cx: &Context<'_>) -> Option<usize> {
    let size = cx.problems.parsed(node, "a size", values::size)?;
    if size == 0 {
        cx.problems.expected(node, "a size of at least 1B")?;
    }
    Some(usize::try_from(size).unwrap_or(usize::MAX))
}

/// The value of `when:`.
fn conditions(node: &Node, cx: &Context<'_>) -> Option<Vec<Condition>> {
    let problems = cx.problems;
    let before = problems.count();
    let mapping = Mapping::new(node, &words::WHEN, problems)?;
    if mapping.is_empty() {
        problems.push(
            Diagnostic::new(node.span.clone(), "`when:` without a condition")
                .because("this always holds")
                .help("leave `when:` out, or say when"),
        );
    }
    let mut list = Vec::new();
    for (word, make) in COUNTS {
        if let Some(node) = mapping.take(word) {
            let range =
                problems.parsed(node, "a number or a range", |text| values::range(text, values::number));
            list.extend(range.map(make));
        }
    }
    for (word, make) in SIZES {
        if let Some(node) = mapping.take(word) {
            let range =
                problems.parsed(node, "a size or a range of sizes", |text| values::range(text, values::size));
            list.extend(range.map(make));
        }
    }
    for (word, make) in GLOBS {
        if let Some(node) = mapping.take(word) {
            let text = problems.text(node, "a pattern");
            list.extend(text.map(|text| make(mock_servers::script::Glob(text))));
        }
    }
    if let Some(node) = mapping.take("since first") {
        let range = problems
            .parsed(node, "a duration or a range of them", |text| values::range(text, values::duration));
        if let Some(from) = range.as_ref().and_then(|range| range.from) {
            cx.due(node, from, Late::Condition);
        }
        list.extend(range.map(Condition::SinceFirst));
    }
    if let Some(node) = mapping.take("tls") {
        list.extend(problems.boolean(node).map(Condition::Tls));
    }
    if let Some(node) = mapping.take("authenticated") {
        list.extend(problems.boolean(node).map(Condition::Authenticated));
    }
    if let Some(node) = mapping.take("matches") {
        let pattern = problems.parsed(node, "a regular expression", values::regular_expression);
        list.extend(pattern.map(Condition::Matches));
    }
    mapping.finish();
    (problems.count() == before).then_some(list)
}

type Counted = fn(mock_servers::script::Range<u64>) -> Condition;
type Patterned = fn(mock_servers::script::Glob) -> Condition;

const COUNTS: [(&str, Counted); 6] = [
    ("seen", Condition::Seen),
    ("session", Condition::Session),
    ("transaction", Condition::Transaction),
    ("nth", Condition::Nth),
    ("domains", Condition::Domains),
    ("open sessions", Condition::OpenSessions),
];

const SIZES: [(&str, Counted); 3] =
    [("declares", Condition::Declares), ("octets", Condition::Octets), ("line", Condition::Line)];

const GLOBS: [(&str, Patterned); 6] = [
    ("from", Condition::From),
    ("to", Condition::To),
    ("helo", Condition::Helo),
    ("client", Condition::Client),
    ("parameter", Condition::Parameter),
    ("header", Condition::Header),
];

/// The value of `decisive:`'s `on:`, as the language writes it.
pub(super) fn event_word(node: &Node, cx: &Context<'_>) -> Option<String> {
    let text = cx.problems.text(node, "an event")?;
    if parse_event(&text).is_some() {
        return Some(text);
    }
    let known: Vec<&str> = EVENTS.iter().map(|(word, _)| *word).chain(Verb::ALL.map(Verb::name)).collect();
    cx.problems.push(
        Diagnostic::new(node.span.clone(), format!("there is no event `{text}`"))
            .help(suggestion(&text, &known)),
    );
    None
}
