//! `steps:` — more than one thing in order.

use super::context::{Context, Kind};
use super::diagnostic::Diagnostic;
use super::model::Step;
use super::read::{Mapping, list_of, one_or_more, suggestion};
use super::values;
use super::yaml::{Node, Value};

const WORDS: [&str; 8] = ["send", "client", "settle", "wait", "kill", "restart", "stop", "start"];

/// The value of `steps:`.
pub(super) fn steps(node: &Node, cx: &Context<'_>) -> Vec<Step> {
    let Value::List(items) = &node.value else {
        cx.problems.expected(node, "a list of steps (`- send: note`)");
        return Vec::new();
    };
    if items.is_empty() {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "`steps:` without a step")
                .because("nothing would happen")
                .help("leave `steps:` out: every message is then sent, and the run goes on until all is settled"),
        );
    }
    items.iter().filter_map(|node| step(node, cx)).collect()
}

fn step(node: &Node, cx: &Context<'_>) -> Option<Step> {
    let problems = cx.problems;
    if let Value::Text(text) = &node.value {
        if text == "settle" {
            return Some(Step::Settle);
        }
        let mut diagnostic = Diagnostic::new(node.span.clone(), format!("there is no step `{text}`"));
        diagnostic.help.push(if WORDS.contains(&text.as_str()) {
            format!("`{text}` needs to know what: `- {text}: …`")
        } else {
            suggestion(text, &WORDS)
        });
        problems.push(diagnostic);
        return None;
    }
    let mapping = Mapping::new(node, "a step", problems)?;
    let relay = |node: &Node| problems.word(node, "what can be killed or restarted", &[("relay", ())]);
    let mut steps: Vec<Step> = Vec::new();
    let mut known = 0;
    let mut take = |word: &'static str| mapping.take(word).inspect(|_| known += 1);
    if let Some(node) = take("send") {
        let names: Option<Vec<String>> =
            one_or_more(node).iter().map(|node| cx.name(node, Kind::Message)).collect();
        steps.extend(names.map(Step::Send));
    }
    if let Some(node) = take("client") {
        steps.extend(cx.name(node, Kind::Client).map(Step::Client));
    }
    if let Some(node) = take("wait") {
        steps.extend(problems.parsed(node, "a duration", values::duration).map(Step::Wait));
    }
    if let Some(node) = take("kill") {
        steps.extend(relay(node).map(|()| Step::KillRelay));
    }
    if let Some(node) = take("restart") {
        steps.extend(relay(node).map(|()| Step::RestartRelay));
    }
    if let Some(node) = take("stop") {
        steps.extend(cx.name(node, Kind::Server).map(Step::Stop));
    }
    if let Some(node) = take("start") {
        steps.extend(cx.name(node, Kind::Server).map(Step::Start));
    }
    if let Some(node) = take("queue run") {
        match &node.value {
            Value::Text(text) if text == "due" => problems.later(node.span.clone(), "queue run: due"),
            _ => steps.extend(problems.word(node, "a queue run", &[("force", Step::QueueRunForce)])),
        }
    }
    mapping.later(&["at", "fault", "check"]);
    let keys = mapping.keys().count();
    mapping.finish();
    if keys == 0 || known > 1 {
        problems.push(
            Diagnostic::new(node.span.clone(), "a step is one thing")
                .because(if keys == 0 { "nothing is done here" } else { "more than one" })
                .help(format!("steps are {}; each is an element (`- …`) of its own", list_of(&WORDS))),
        );
        return None;
    }
    steps.pop()
}
