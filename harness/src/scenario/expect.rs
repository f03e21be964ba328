//! `expect:` and `observe:` — what is required, how much, and by which clause.

use std::collections::BTreeSet;

use mock_servers::script::Range;

use super::context::{Context, Kind, Late};
use super::contradictions::contradictions;
use super::model::{Check, Delivered, Expectation, Level, Message, Octets, Of, Refused, Returned, Scenario};
use super::values;
use super::{checks, jumps, wire, words};
use crate::yaml::{Diagnostic, Mapping, Node, Span, Value, list_of, suggestion};

/// The clause of an expectation that names none.
const OWN: &str = "the scenario's own requirement";

const CHECKS: [&str; 14] = [
    "delivered",
    "returned",
    "refused",
    "queued",
    "delayed",
    "notified",
    "wire",
    "untouched",
    "completed",
    "logged",
    "any of",
    "all of",
    "none of",
    "each",
];

/// The value of `expect:`, of a step's `check:`, or of `observe:`, which only notes.
///
/// `so_far`: what the steps before a `check:` have done.
pub(super) fn expectations(
    node: &Node,
    key: &str,
    scenario: &Scenario,
    so_far: Option<&SoFar>,
    cx: &Context<'_>,
) -> Vec<Expectation> {
    let observe = key == "observe";
    let Value::List(items) = &node.value else {
        cx.problems.expected(node, "a list of expectations (`- delivered: …`)");
        return Vec::new();
    };
    if items.is_empty() {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("`{key}:` without an element"))
                .because("nothing is looked at"),
        );
    }
    if let Some(node) = items.get(MOST) {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("more than {MOST} elements of `{key}:`"))
                .because("no further ones are read"),
        );
    }
    let scope = Scope { each: None, messages: &scenario.messages, so_far };
    let read = |node| Some((node, expectation(node, observe, &scope, cx)?));
    if so_far.map_or_else(|| jumps::any(&scenario.steps), |so_far| so_far.jumped) {
        items.iter().take(MOST).for_each(|node| jumps::ask_for_no_schedule(node, cx));
    }
    let list: Vec<(&Node, Expectation)> = items.iter().take(MOST).filter_map(read).collect();
    if !observe {
        contradictions(&list, scenario, cx);
    }
    list.into_iter().map(|(_, expectation)| expectation).collect()
}

/// How many elements `expect:` and `observe:` may have, each.
const MOST: usize = 500;

/// Where a check stands.
struct Scope<'a> {
    /// Inside `each:`, the message that it is about.
    each: Option<&'a str>,
    messages: &'a [Message],
    so_far: Option<&'a SoFar>,
}

/// What was done before a `check:`.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    /// The messages that were sent.
    pub(super) sent: BTreeSet<String>,
    /// The clients that ran.
    pub(super) run: BTreeSet<String>,
    /// Time has jumped.
    pub(super) jumped: bool,
}

impl SoFar {
    fn is_nothing(&self) -> bool {
        self.sent.is_empty() && self.run.is_empty()
    }
}

impl Scope<'_> {
    /// The name of a message, which was sent before where the time matters.
    fn message(&self, node: &Node, cx: &Context<'_>) -> Option<String> {
        let name = cx.name(node, Kind::Message)?;
        if self.so_far.is_some_and(|so_far| !so_far.sent.contains(&name)) {
            too_early(
                node.span.clone(),
                &format!("`{name}` is not sent before this check"),
                "send",
                &name,
                cx,
            );
        }
        Some(name)
    }
}

fn expectation(node: &Node, observe: bool, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Expectation> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::EXPECTATION, problems)?;
    let it = mapping.take("it").and_then(|node| problems.some_text(node, "the requirement in words"));
    let mut levels = Vec::new();
    for (word, level) in [("must", Level::Must), ("should", Level::Should), ("may", Level::May)] {
        let Some(node) = mapping.take(word) else { continue };
        levels.push((word, level, clause(word, node, cx)));
        let at = mapping.entry(word).map_or(node.span.clone(), |entry| entry.key_span.clone());
        if observe {
            problems.push(
                Diagnostic::new(at, format!("`{word}:` in `observe:`"))
                    .because("what is observed is noted, not judged")
                    .help("move it to `expect:`, or leave the level out"),
            );
        } else if levels.len() > 1 {
            problems.push(
                Diagnostic::new(at, "an expectation has one level")
                    .because(format!("it has `{}:` already", levels[0].0))
                    .help("make two expectations of it"),
            );
        }
    }
    let check = check(&mapping, scope, cx);
    mapping.finish();
    let check = check?;
    if scope.so_far.is_some_and(SoFar::is_nothing) && matches!(check, Check::Wire(_) | Check::Untouched(_)) {
        cx.doubt(
            Diagnostic::new(node.span.clone(), "a check of what nothing has led to")
                .because("no mail is sent and no client runs before it")
                .help("put the `check:` after the steps that it looks at"),
        );
    }
    if let Some(why) = checks::cannot_fail(&check).filter(|_| !observe) {
        problems.push(
            Diagnostic::new(node.span.clone(), "an expectation that can never fail")
                .because(why)
                .help("say what must be so, or move it to `observe:`"),
        );
    }
    let (level, clause) = match levels.into_iter().next() {
        Some((_, level, clause)) => (level, clause?),
        None if observe => (Level::May, String::new()),
        None => (Level::Should, OWN.to_owned()),
    };
    Some(Expectation { it, level, clause, check, line: cx.line(&node.span) })
}

fn clause(word: &str, node: &Node, cx: &Context<'_>) -> Option<String> {
    if let Value::Null = node.value {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("`{word}:` without a clause"))
                .because("by what is it required?")
                .help("the RFC and its section, or the field source: `must: RFC 5321 section 6.1`"),
        );
        return None;
    }
    cx.problems.some_text(node, "the clause or the field source")
}

/// The one check in a mapping.
fn check(mapping: &Mapping<'_>, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let found: Vec<(&str, &Node)> =
        CHECKS.iter().filter_map(|word| mapping.take(word).map(|node| (*word, node))).collect();
    match found.as_slice() {
        [(word, node)] => one(word, node, scope, cx),
        [] => {
            let unknown: Vec<&str> =
                mapping.keys().filter(|key| !["it", "must", "should", "may"].contains(key)).collect();
            // An unknown key is told by itself.
            if unknown.is_empty() {
                cx.problems.push(
                    Diagnostic::new(mapping.span(), "an expectation that looks at nothing")
                        .help(format!("say what is looked at: {}", list_of(&CHECKS))),
                );
            }
            None
        }
        [_, (second, node), ..] => {
            let at = mapping.entry(second).map_or(node.span.clone(), |entry| entry.key_span.clone());
            cx.problems.push(
                Diagnostic::new(at, "an expectation looks at one thing")
                    .because(format!("it looks at `{}` already", found[0].0))
                    .help("for several things: `all of: [...]`, `any of: [...]`, or an expectation each"),
            );
            None
        }
    }
}

fn one(word: &str, node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let several = |cx: &Context<'_>| {
        let Value::List(items) = &node.value else {
            cx.problems.expected(node, "a list of checks (`[{ refused: {} }, { returned: {} }]`)");
            return None;
        };
        let read = |node: &Node| {
            let mapping = Mapping::new(node, &words::CHECK, cx.problems)?;
            let check = check(&mapping, scope, cx);
            mapping.finish();
            check
        };
        items.iter().map(read).collect::<Vec<_>>().into_iter().collect::<Option<Vec<Check>>>()
    };
    match word {
        "delivered" => delivered(node, scope, cx),
        "returned" => returned(node, scope, cx),
        "refused" => refused(node, scope, cx),
        "queued" => {
            if let Value::Text(_) = node.value {
                let message = scope.message(node, cx)?;
                return Some(Check::Queued(Of { message: Some(message), to: None }));
            }
            let mapping = Mapping::new(node, &words::QUEUED, cx.problems)?;
            let of = of(&mapping, scope, cx);
            mapping.finish();
            Some(Check::Queued(of?))
        }
        "delayed" => delayed(node, scope, cx),
        "notified" => notified(node, scope, cx),
        "wire" => wire::wire(node, cx).map(Check::Wire),
        "untouched" => cx.name(node, Kind::Server).map(Check::Untouched),
        "completed" => {
            let name = cx.name(node, Kind::Dialogue)?;
            let is_client = cx.names(Kind::Client).contains(&name.as_str());
            if is_client && scope.so_far.is_some_and(|so_far| !so_far.run.contains(&name)) {
                too_early(
                    node.span.clone(),
                    &format!("`{name}` does not run before this check"),
                    "client",
                    &name,
                    cx,
                );
            }
            Some(Check::Completed(name))
        }
        "logged" => cx.problems.parsed(node, "a pattern", values::glob).map(Check::Logged),
        "any of" => several(cx).map(Check::AnyOf),
        "all of" => several(cx).map(Check::AllOf),
        "none of" => several(cx).map(Check::NoneOf),
        _ => each(node, scope, cx),
    }
}

fn each(node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let mapping = Mapping::new(node, &words::EACH, cx.problems)?;
    let message = mapping.require("of").and_then(|node| scope.message(node, cx));
    let scope = Scope { each: message.as_deref().or(Some("")), ..*scope };
    let check = check(&mapping, &scope, cx);
    mapping.finish();
    Some(Check::Each { message: message?, check: Box::new(check?) })
}

/// A check that looks at what is only done after it.
fn too_early(span: Span, title: &str, step: &str, name: &str, cx: &Context<'_>) {
    cx.doubt(
        Diagnostic::new(span, title)
            .because("nothing can be known of it yet")
            .help(format!("put `- {step}: {name}` before the `check:`, or look at it in `expect:`")),
    );
}

/// `message:` and `to:`. A scenario with one message need not name it.
fn of(mapping: &Mapping<'_>, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Of> {
    let named = mapping.take("message");
    let to_node = mapping.take("to");
    let message = match (scope.each, named) {
        (Some(_), None) => None,
        (Some(_), Some(_)) => {
            let at = mapping.entry("message").map_or(mapping.span(), |entry| entry.key_span.clone());
            cx.problems.push(
                Diagnostic::new(at, "`message:` inside `each:`").because("`of:` names the message already"),
            );
            return None;
        }
        (None, Some(node)) => Some(scope.message(node, cx)?),
        (None, None) => {
            match cx.names(Kind::Message).as_slice() {
                [only] => {
                    if scope.so_far.is_some_and(|so_far| !so_far.sent.contains(*only)) {
                        too_early(
                            mapping.span(),
                            &format!("`{only}` is not sent before this check"),
                            "send",
                            only,
                            cx,
                        );
                    }
                    Some((*only).to_owned())
                }
                [] => {
                    cx.problems.push(
                    Diagnostic::new(mapping.span(), "there are no messages to speak of")
                        .because("what a dialogue submits has no name")
                        .help("say what is seen of it on the wire: `wire: { at: …, once: [\"RCPT TO:<…>\"] }`"),
                );
                    return None;
                }
                several => {
                    cx.problems.push(
                        Diagnostic::new(mapping.span(), "`message:` is missing")
                            .because("which message?")
                            .help(suggestion("", several)),
                    );
                    return None;
                }
            }
        }
    };
    let to = match to_node {
        None => None,
        Some(node) => {
            let to = cx.problems.parsed(node, "a recipient or a pattern", values::glob)?;
            let name = scope.each.or(message.as_deref()).unwrap_or_default();
            if let Some(message) = scope.messages.iter().find(|message| message.name == name)
                && !message.to.iter().any(|recipient| to.matches(recipient))
            {
                let known: Vec<&str> = message.to.iter().take(20).map(String::as_str).collect();
                let title = format!("no recipient of `{name}` fits `{}`", to.0);
                cx.problems.unknown(node.span.clone(), title, &to.0, &known);
                return None;
            }
            Some(to)
        }
    };
    Some(Of { message, to })
}

fn counts(mapping: &Mapping<'_>, default: Range<u64>, cx: &Context<'_>) -> Option<Range<u64>> {
    let Some(node) = mapping.take("times") else { return Some(default) };
    cx.problems.parsed(node, "a number or a range", |text| values::range(text, values::number))
}

/// `within: 10m` is "at most"; a range is a range.
fn within(mapping: &Mapping<'_>, cx: &Context<'_>) -> Option<Range<std::time::Duration>> {
    let node = mapping.take("within")?;
    let range = cx.problems.parsed(node, "a duration or a range of them", |text| {
        if text.contains("..") {
            return values::range(text, values::duration);
        }
        values::duration(text).map(|most| Range { from: None, to: Some(most) })
    })?;
    if let Some(from) = range.from {
        cx.due(node, from, Late::Expected);
    }
    Some(range)
}

/// `text: { contains: … }`, or the text itself.
fn contains(mapping: &Mapping<'_>, cx: &Context<'_>) -> Option<String> {
    let node = mapping.take("text")?;
    if let Value::Mapping(_) = node.value {
        let mapping = Mapping::new(node, &words::CONTAINS, cx.problems)?;
        let text = mapping.require("contains").and_then(|node| cx.problems.some_text(node, "a text"));
        mapping.finish();
        return text;
    }
    cx.problems.some_text(node, "a text")
}

/// Everything that was read, if nothing went wrong on the way.
fn unless_wrong<T>(before: usize, cx: &Context<'_>, value: Option<T>) -> Option<T> {
    value.filter(|_| cx.problems.count() == before)
}

fn delivered(node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let (problems, before) = (cx.problems, cx.problems.count());
    let mapping = Mapping::new(node, &words::DELIVERED, problems)?;
    let of = of(&mapping, scope, cx);
    let by = mapping.take("by").and_then(|node| cx.name(node, Kind::Server));
    let attempt = mapping.take("attempt").and_then(|node| {
        problems.parsed(node, "a number or a range", |text| values::range(text, values::number))
    });
    let times = counts(&mapping, Range::exactly(1), cx);
    let octets = mapping.take("octets").and_then(|node| {
        problems.word(node, "a kind of content", &[("7bit", Octets::SevenBit), ("8bit", Octets::EightBit)])
    });
    let within = within(&mapping, cx);
    let dkim_intact = mapping.take("dkim").is_some_and(|node| {
        let wanted = problems.word(node, "what a signature can be", &[("intact", true)]).is_some();
        let name = scope.each.or(of.as_ref().and_then(|of| of.message.as_deref())).unwrap_or_default();
        let unsigned = scope.messages.iter().any(|m| m.name == name && m.content.dkim.is_none());
        if wanted && unsigned {
            problems.push(
                Diagnostic::new(node.span.clone(), format!("`{name}` is not signed"))
                    .because("there is no signature to stay intact")
                    .help("sign it: `content: { dkim: true }`"),
            );
        }
        wanted
    });
    mapping.finish();
    let check =
        of.zip(times).map(|(of, times)| Delivered { of, by, attempt, times, octets, within, dkim_intact });
    unless_wrong(before, cx, check).map(Check::Delivered)
}

fn returned(node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let (problems, before) = (cx.problems, cx.problems.count());
    let mapping = Mapping::new(node, &words::RETURNED, problems)?;
    let of = of(&mapping, scope, cx);
    let status = mapping.take("status").map(crate::yaml::one_or_more).unwrap_or_default();
    let status =
        status.iter().filter_map(|node| problems.parsed(node, "a status code", values::status)).collect();
    let within = within(&mapping, cx);
    let text = contains(&mapping, cx);
    let times = counts(&mapping, Range::exactly(1), cx);
    mapping.finish();
    let check = of.zip(times).map(|(of, times)| Returned { of, status, within, text, times });
    unless_wrong(before, cx, check).map(Check::Returned)
}

fn refused(node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let (problems, before) = (cx.problems, cx.problems.count());
    let mapping = Mapping::new(node, &words::REFUSED, problems)?;
    let of = of(&mapping, scope, cx);
    let words = ["MAIL", "RCPT", "DATA", "end-of-data"].map(|word| (word, word.to_owned()));
    let at = mapping.take("at").and_then(|node| problems.word(node, "a place to be refused at", &words));
    let reply =
        mapping.take("reply").and_then(|node| problems.parsed(node, "a reply code", values::reply_code));
    mapping.finish();
    unless_wrong(before, cx, of.map(|of| Refused { of, at, reply })).map(Check::Refused)
}

fn delayed(node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let before = cx.problems.count();
    let mapping = Mapping::new(node, &words::DELAYED, cx.problems)?;
    let of = of(&mapping, scope, cx);
    let times = counts(&mapping, Range { from: Some(1), to: None }, cx);
    let text = contains(&mapping, cx);
    let within = within(&mapping, cx).unwrap_or(Range { from: None, to: None });
    mapping.finish();
    let check = of.zip(times).map(|(of, times)| Check::Delayed { of, times, text, within });
    unless_wrong(before, cx, check)
}

fn notified(node: &Node, scope: &Scope<'_>, cx: &Context<'_>) -> Option<Check> {
    let before = cx.problems.count();
    let mapping = Mapping::new(node, &words::NOTIFIED, cx.problems)?;
    let of = of(&mapping, scope, cx);
    let words = ["relayed", "delivered", "expanded"].map(|word| (word, word.to_owned()));
    let action = mapping.require("action").and_then(|node| cx.problems.word(node, "an action", &words));
    let times = counts(&mapping, Range { from: Some(1), to: None }, cx);
    mapping.finish();
    let check = of.zip(action).zip(times).map(|((of, action), times)| Check::Notified { of, action, times });
    unless_wrong(before, cx, check)
}
