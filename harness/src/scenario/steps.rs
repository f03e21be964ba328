//! `steps:` — more than one thing in order.

use mock_servers::script::On;

use super::context::{Context, Kind};
use super::expect::{self, SoFar};
use super::model::{RelayFault, Scenario, Step};
use super::rules::{event_word, parse_event};
use super::{jumps, reach, values, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value, list_of, one_or_more, suggestion};

const WORDS: [&str; 13] = [
    "send",
    "client",
    "settle",
    "wait",
    "jump",
    "at",
    "check",
    "kill",
    "restart",
    "stop",
    "start",
    "fault",
    "queue run",
];

/// The value of `steps:`.
pub(super) fn steps(node: &Node, scenario: &Scenario, cx: &Context<'_>) -> Vec<Step> {
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
    let mut steps = Vec::new();
    for node in items {
        steps.extend(step(node, &steps, scenario, cx));
    }
    steps
}

fn step(node: &Node, before: &[Step], scenario: &Scenario, cx: &Context<'_>) -> Option<Step> {
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
    let mapping = Mapping::new(node, &words::STEP, problems)?;
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
    if let Some(node) = take("jump") {
        steps.extend(problems.parsed(node, "a duration", values::duration).map(Step::Jump));
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
        let words = [("due", Step::QueueRunDue), ("force", Step::QueueRunForce)];
        steps.extend(problems.word(node, "a queue run", &words));
    }
    if let Some(node) = take("at") {
        steps.extend(at(node, before, scenario, cx));
    }
    if let Some(node) = take("fault") {
        steps.extend(fault(node, cx));
    }
    if let Some(node) = take("check") {
        let so_far = so_far(before);
        steps.push(Step::Check(expect::expectations(node, "check", scenario, Some(&so_far), cx)));
    }
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

/// What these steps have done.
fn so_far(steps: &[Step]) -> SoFar {
    let mut so_far = SoFar::default();
    for step in steps {
        match step {
            Step::Send(names) => so_far.sent.extend(names.iter().cloned()),
            Step::Client(name) => so_far.run.extend([name.clone()]),
            _ => {}
        }
    }
    so_far.jumped = jumps::any(steps);
    so_far
}

/// `{ hub: end-of-data }`.
fn at(node: &Node, before: &[Step], scenario: &Scenario, cx: &Context<'_>) -> Option<Step> {
    let Value::Mapping(entries) = &node.value else {
        cx.problems.expected(node, "a server and an event (`at: { hub: end-of-data }`)");
        return None;
    };
    let [entry] = entries.as_slice() else {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "`at:` is one event of one server")
                .because(if entries.is_empty() { "nothing is awaited" } else { "more than one" })
                .help("for a session at each of two servers: a step each, one after the other"),
        );
        return None;
    };
    let server = cx.known(entry.key.clone(), entry.key_span.clone(), Kind::Server)?;
    if cx.names(Kind::Dialogue).contains(&server.as_str()) {
        cx.problems.push(
            Diagnostic::new(entry.key_span.clone(), "a dialogue cannot be held")
                .because(format!("`{server}` says its lines, and has no events"))
                .help("let it `wait:` in its dialogue, or write it with `on:`"),
        );
        return None;
    }
    let on = parse_event(&event_word(&entry.value, cx)?)?;
    if matches!(on, On::Any | On::Idle) {
        cx.problems.push(
            Diagnostic::new(entry.value.span.clone(), format!("no session can be held at `{on}`"))
                .because(if on == On::Any { "which command?" } else { "a silence has no end to hold" })
                .help("name a moment: `connect`, a command such as `RCPT`, `data`, `end-of-data`"),
        );
        return None;
    }
    let never = match scenario.server(&server) {
        _ if !reach::anything_done(before) => Some((
            "nothing is sent before it, and it waits for ever".to_owned(),
            "put a `- send: …` before it",
        )),
        _ if !reach::is_led_to(&server, scenario, cx) => Some((
            format!("nothing leads the relay to `{server}`"),
            "give it a domain (`serves: [hub.example]`), or name it as `smarthost:` or under `dns:`",
        )),
        Some(server) => reach::never_comes(&on, &server.script, scenario),
        None => None,
    };
    if let Some((why, way)) = never {
        cx.doubt(
            Diagnostic::new(node.span.clone(), format!("no session comes to `{on}` at `{server}`"))
                .because(why)
                .help(way),
        );
    }
    Some(Step::At { server, on })
}

/// `{ relay: disk full }`.
fn fault(node: &Node, cx: &Context<'_>) -> Option<Step> {
    let mapping = Mapping::new(node, &words::FAULT, cx.problems)?;
    let words = [("disk full", Some(RelayFault::DiskFull)), ("none", None)];
    let fault = mapping
        .require("relay")
        .and_then(|node| cx.problems.word(node, "a fault of the relay's machine", &words));
    mapping.finish();
    fault.map(Step::Fault)
}
