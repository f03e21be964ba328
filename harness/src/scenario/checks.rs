//! Checks over more than one part: what is never used, never reached, or cannot be.

use mock_servers::script::{Condition, On, Verb};

use super::context::{Context, Kind, entries, key_span};
use super::contradictions::inside;
use super::model::{Check, Scenario};
use super::rules::Placed;
use super::values::is_everything;
use super::wire;
use crate::yaml::{Diagnostic, Node, Value, one_or_more};

/// How many rules an event may have at a server.
const MOST_RULES: usize = 500;

/// Rules of one event: those that can never fire.
pub(super) fn rules(event: &On, rules: &[Placed<'_>], cx: &Context<'_>) {
    let mut always: Option<&Placed<'_>> = None;
    if let Some(placed) = rules.get(MOST_RULES) {
        cx.problems.push(
            Diagnostic::new(placed.node.span.clone(), format!("more than {MOST_RULES} rules on `{event}`"))
                .because("no further ones are looked at"),
        );
    }
    for (at, placed) in rules.iter().enumerate().take(MOST_RULES) {
        if let Some(first) = always {
            cx.problems.push(
                Diagnostic::new(placed.node.span.clone(), "a rule that can never fire")
                    .because("never reached")
                    .also(first.node.span.clone(), "this one always fires first")
                    .help("rules are tried in order: put the one without `when:` last"),
            );
            continue;
        }
        if let Some(first) = shadow(event, placed, &rules[..at]) {
            cx.problems.push(
                Diagnostic::new(key_span(placed.node, "when"), "a rule that can never fire")
                    .because("never reached")
                    .also(
                        key_span(first.node, "when"),
                        "this holds wherever the other one does, and is asked first",
                    )
                    .help("rules are tried in order: put the one that asks for more first"),
            );
        }
        for condition in &placed.rule.when {
            if let Some(why) = impossible(event, condition).or_else(|| below_one(condition)) {
                cx.problems.push(
                    Diagnostic::new(key_span(placed.node, "when"), "a rule that can never fire").because(why),
                );
            }
        }
        super::forwarding::checked(event, placed, cx);
        match (event, placed.rule.after) {
            (On::Idle, None) => cx.problems.push(
                Diagnostic::new(placed.node.span.clone(), "`idle` needs `after:`")
                    .because("after how long?")
                    .help("`idle: { after: 30s, reply: \"421 4.4.2 Idle timeout\", close: fin }`"),
            ),
            (On::Idle, Some(_)) | (_, None) => {}
            (_, Some(_)) => cx.problems.push(
                Diagnostic::new(key_span(placed.node, "after"), format!("`after:` under `{event}`"))
                    .because("only `idle` happens after a time")
                    .help("to answer late: `wait: 30s`"),
            ),
        }
        if placed.rule.when.is_empty() && *event != On::Idle {
            always = Some(placed);
        }
    }
}

/// A rule before this one that fires wherever this one could. Inside the body and in a silence each rule fires once, and
/// then it is the next one's turn.
fn shadow<'a, 'b>(event: &On, placed: &Placed<'_>, before: &'b [Placed<'a>]) -> Option<&'b Placed<'a>> {
    if matches!(event, On::Data | On::Idle) {
        return None;
    }
    before.iter().find(|earlier| {
        !earlier.rule.when.is_empty()
            && earlier
                .rule
                .when
                .iter()
                .all(|wide| placed.rule.when.iter().any(|narrow| implies(narrow, wide)))
    })
}

/// Whether `wide` holds wherever `narrow` does.
fn implies(narrow: &Condition, wide: &Condition) -> bool {
    use Condition as C;
    match (narrow, wide) {
        (C::Seen(a), C::Seen(b))
        | (C::Session(a), C::Session(b))
        | (C::Transaction(a), C::Transaction(b))
        | (C::Nth(a), C::Nth(b))
        | (C::OpenSessions(a), C::OpenSessions(b))
        | (C::Domains(a), C::Domains(b))
        | (C::Declares(a), C::Declares(b))
        | (C::Octets(a), C::Octets(b))
        | (C::Line(a), C::Line(b)) => inside(a, b),
        (C::SinceFirst(a), C::SinceFirst(b)) => inside(a, b),
        // A pattern that fits the other's text fits all that the other fits: only `*` fits a `*`.
        (C::From(a), C::From(b))
        | (C::To(a), C::To(b))
        | (C::Helo(a), C::Helo(b))
        | (C::Client(a), C::Client(b))
        | (C::Parameter(a), C::Parameter(b))
        | (C::Header(a), C::Header(b)) => b.matches(&a.0),
        (narrow, wide) => narrow == wide,
    }
}

/// Why a count can never be what it should.
fn below_one(condition: &Condition) -> Option<&'static str> {
    match condition {
        Condition::Seen(range)
        | Condition::Session(range)
        | Condition::Transaction(range)
        | Condition::Nth(range)
        | Condition::OpenSessions(range)
            if range.to == Some(0) =>
        {
            Some("this is counted from 1")
        }
        _ => None,
    }
}

/// Why a condition can never hold at an event; `None`: it can.
fn impossible(event: &On, condition: &Condition) -> Option<&'static str> {
    let before_mail = match event {
        On::Connect | On::Challenge => true,
        On::Command(verb) => matches!(verb, Verb::Helo | Verb::Ehlo | Verb::StartTls | Verb::Auth),
        _ => false,
    };
    let before_rcpt = before_mail || *event == On::Command(Verb::Mail);
    let before_content = before_rcpt || matches!(event, On::Command(Verb::Rcpt | Verb::Data));
    match condition {
        Condition::Seen(_) | Condition::To(_) | Condition::Domains(_) if before_rcpt => {
            Some("recipients are known from RCPT on")
        }
        Condition::From(_) | Condition::Parameter(_) | Condition::Declares(_) | Condition::SinceFirst(_)
            if before_mail =>
        {
            Some("the sender is known from MAIL on")
        }
        Condition::Octets(_) | Condition::Line(_) | Condition::Header(_) if before_content => {
            Some("content is there only in `data` and `end-of-data`")
        }
        Condition::Helo(_) if *event == On::Connect => Some("the name is known from EHLO or HELO on"),
        Condition::Tls(true) | Condition::Authenticated(true) if *event == On::Connect => {
            Some("a session begins in the clear and without authentication")
        }
        Condition::Matches(_) if matches!(event, On::Connect | On::Idle | On::Data | On::EndOfData) => {
            Some("there is no command line here")
        }
        _ => None,
    }
}

/// Names that can stand in transcripts, host names and snapshots.
pub(super) fn names(root: &Node, cx: &Context<'_>) {
    for (key, node) in entries(root) {
        if !["servers", "messages", "clients"].contains(&key) {
            continue;
        }
        let Value::Mapping(list) = &node.value else { continue };
        for entry in list {
            let fits = !entry.key.is_empty()
                && entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && entry.key != "any";
            if !fits {
                cx.problems.push(
                    Diagnostic::new(entry.key_span.clone(), format!("`{}` cannot be a name", entry.key))
                        .because("letters, digits and hyphens; `any` has a meaning of its own"),
                );
            }
            let is_server = |name: &str| {
                let mut servers = entries(root).filter(|(key, _)| *key == "servers");
                servers.any(|(_, node)| entries(node).any(|(server, _)| server == name))
            };
            if key == "clients" && is_server(&entry.key) {
                cx.problems.push(
                    Diagnostic::new(entry.key_span.clone(), format!("a server is named `{}` too", entry.key))
                        .because("transcripts could not tell the two apart")
                        .help("choose another name"),
                );
            }
            let theirs = match entry.key.as_str() {
                "client" | "stranger" => Some("the senders of messages"),
                "relay" => Some("the relay under test"),
                "origin" if !serves_origin(&entry.value) => Some("the senders' mailbox"),
                _ => None,
            };
            if let Some(whose) = theirs.filter(|_| key != "messages") {
                cx.problems.push(
                    Diagnostic::new(entry.key_span.clone(), format!("`{}` is taken", entry.key))
                        .because(format!("transcripts call {whose} so"))
                        .help("choose another name"),
                );
            }
        }
    }
}

/// Whether a server takes the place of the senders' mailbox.
fn serves_origin(node: &Node) -> bool {
    let Some((_, domains)) = entries(node).find(|(key, _)| *key == "serves") else { return false };
    one_or_more(domains).iter().any(|domain| {
        let named = entries(domain).find(|(key, _)| *key == "domain").map_or(domain, |(_, node)| node);
        matches!(&named.value, Value::Text(text) if text.eq_ignore_ascii_case("origin.example"))
    })
}

/// Servers, messages and clients that nothing mentions. With `steps:`, what is not in them is never done.
pub(super) fn unused(root: &Node, has_steps: bool, sent: &[String], run: &[String], cx: &Context<'_>) {
    for (kind, key) in [(Kind::Server, "servers"), (Kind::Message, "messages"), (Kind::Client, "clients")] {
        let Some((_, node)) = entries(root).find(|(other, _)| *other == key) else { continue };
        let Value::Mapping(list) = &node.value else { continue };
        for entry in list {
            let name = &entry.key;
            let (title, help) = match kind {
                Kind::Server if !cx.is_mentioned(kind, name) => (
                    "a server that nothing mentions",
                    "give it a domain (`serves: [hub.example]`), or name it as `smarthost:`, under `dns:` or in `expect:`",
                ),
                Kind::Message if has_steps && !sent.contains(name) => {
                    ("a message that is never sent", "send it: `- send: …` in `steps:`")
                }
                Kind::Client if has_steps && !run.contains(name) => {
                    ("a client that never runs", "run it: `- client: …` in `steps:`")
                }
                _ => continue,
            };
            let help = help.replace('…', name);
            cx.problems
                .push(Diagnostic::new(entry.key_span.clone(), format!("{title}: `{name}`")).help(help));
        }
    }
}

/// A scenario in which nothing can happen, or nothing is looked at.
pub(super) fn purpose(root: &Node, scenario: &Scenario, cx: &Context<'_>) {
    let at = match &root.value {
        Value::Mapping(list) => list.first().map_or(root.span.clone(), |entry| entry.key_span.clone()),
        _ => root.span.clone(),
    };
    let has = |key: &str| entries(root).any(|(other, _)| other == key);
    if !has("expect") && !has("observe") && scenario.checks().next().is_none() {
        cx.problems.push(
            Diagnostic::new(at.clone(), "a scenario that looks at nothing")
                .because("it has neither `expect:` nor `observe:`")
                .help("say what must hold: `expect: [{ delivered: {} }]`; or note it: `observe: [{ delivered: {} }]`"),
        );
    }
    if scenario.messages.is_empty() && scenario.clients.is_empty() && !has("messages") && !has("clients") {
        cx.problems.push(
            Diagnostic::new(at, "a scenario in which nothing happens")
                .because("it has neither `messages:` nor `clients:`")
                .help("the smallest message: `messages: { note: { from: alice@origin.example, to: bob@hub.example } }`"),
        );
    }
}

/// Why a check holds whatever happens; `None`: it can fail.
pub(super) fn cannot_fail(check: &Check) -> Option<&'static str> {
    const TIMES: &str = "any number of times is right";
    match check {
        Check::Delivered(check) => {
            let bare = check.by.is_none()
                && check.attempt.is_none()
                && check.octets.is_none()
                && check.within.is_none()
                && !check.dkim_intact;
            (bare && is_everything(&check.times)).then_some(TIMES)
        }
        Check::Returned(check) => {
            let bare = check.status.is_empty() && check.within.is_none() && check.text.is_none();
            (bare && is_everything(&check.times)).then_some(TIMES)
        }
        Check::Delayed { times, text: None, within, .. } if is_everything(within) => {
            is_everything(times).then_some(TIMES)
        }
        Check::Notified { times, .. } => is_everything(times).then_some(TIMES),
        Check::Wire(check) => wire::cannot_fail(check),
        Check::AnyOf(list) => list.iter().find_map(cannot_fail),
        Check::AllOf(list) if list.is_empty() => Some("nothing is looked at"),
        Check::AllOf(list) if list.iter().all(|check| cannot_fail(check).is_some()) => {
            Some("none of these can fail")
        }
        Check::NoneOf(list) if list.is_empty() => Some("nothing is looked at"),
        Check::Each { check, .. } => cannot_fail(check),
        _ => None,
    }
}
