//! `forward:` and `rewrite:` — what stands between client and server, and mail that comes back.

use mock_servers::script::{Action, HeaderChanges, On};

use super::context::Context;
use super::rules::Placed;
use super::words;
use crate::yaml::{Diagnostic, Mapping, Node, Span, Value, one_or_more, suggestion};

/// What can be filled into a line that is put in place of a client's.
const PLACEHOLDERS: [&str; 6] = ["argument", "client", "from", "helo", "host", "to"];

/// Actions that say what the server answers.
const ANSWERS: [&str; 7] = ["send", "reply", "tls", "take", "forward", "close", "stall"];

/// `forward: relay`, and what `rewrite:` beside it changes in the header.
pub(super) fn forward(node: &Node, rewrite: Option<&Node>, cx: &Context<'_>) -> Option<HeaderChanges> {
    cx.problems.word(node, "whom to forward to", &[("relay", ())])?;
    rewrite.map_or(Some(HeaderChanges::default()), |node| header_changes(node, cx))
}

/// `{ drop: [Received], set: { Subject: x } }`
fn header_changes(node: &Node, cx: &Context<'_>) -> Option<HeaderChanges> {
    let problems = cx.problems;
    if let Value::Text(_) = node.value {
        problems.push(
            Diagnostic::new(node.span.clone(), "a text as `rewrite:` beside `forward:`")
                .because("what is forwarded is a mail, not a command line")
                .help("`rewrite: { drop: [Received], set: { Subject: other } }`"),
        );
        return None;
    }
    let before = problems.count();
    let mapping = Mapping::new(node, &words::REWRITE, problems)?;
    let mut changes = HeaderChanges::default();
    for node in mapping.take("drop").map(one_or_more).unwrap_or_default() {
        let name = problems.some_text(node, "the name of a header field");
        changes.drop.extend(name.and_then(|name| field_name(name, node.span.clone(), cx)));
    }
    if let Some(node) = mapping.take("set") {
        if let Value::Mapping(list) = &node.value {
            for entry in list {
                let name = field_name(entry.key.clone(), entry.key_span.clone(), cx);
                let value = problems.text(&entry.value, "a field's value");
                changes.set.extend(name.zip(value));
            }
        } else {
            problems.expected(node, "a mapping from header fields to values");
        }
    }
    mapping.finish();
    if changes == HeaderChanges::default() && problems.count() == before {
        problems.push(
            Diagnostic::new(node.span.clone(), "`rewrite:` without a change")
                .because("neither `drop:` nor `set:`")
                .help("leave it out, or say what becomes another: `rewrite: { drop: [Received] }`"),
        );
    }
    (problems.count() == before).then_some(changes)
}

/// RFC 5322 section 2.2: printable ASCII without a colon.
fn field_name(name: String, span: Span, cx: &Context<'_>) -> Option<String> {
    if !name.is_empty() && name.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b':') {
        return Some(name);
    }
    cx.problems.push(
        Diagnostic::new(span, format!("`{name}` cannot be the name of a header field"))
            .because("printable ASCII, without a colon (RFC 5322 section 2.2)"),
    );
    None
}

/// The line that comes to the server in place of the client's.
pub(super) fn rewritten_line(node: &Node, cx: &Context<'_>) -> Option<String> {
    let problems = cx.problems;
    if let Value::Mapping(_) = node.value {
        problems.push(
            Diagnostic::new(node.span.clone(), "a mapping as `rewrite:` without `forward:`")
                .because("changes to a header, and no mail that is sent on")
                .help("beside `forward: relay`, at `end-of-data`; a command's `rewrite:` is a line: `rewrite: XXXX`"),
        );
        return None;
    }
    let line = problems.text(node, "a command line such as `XXXX`")?;
    if line.contains(['\r', '\n']) {
        problems.expected(node, "one line, without its end")?;
    }
    let mut rest = line.as_str();
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        if !PLACEHOLDERS.contains(&name) {
            let mut diagnostic =
                Diagnostic::new(node.span.clone(), format!("there is no placeholder `{{{name}}}` here"))
                    .because("nothing to fill in");
            diagnostic.help.push(suggestion(name, &PLACEHOLDERS));
            problems.push(diagnostic);
            return None;
        }
        rest = behind;
    }
    Some(line)
}

/// Rules that forward where there is no mail, or rewrite where there is no line.
pub(super) fn checked(event: &On, placed: &Placed<'_>, cx: &Context<'_>) {
    let has = |wanted: fn(&Action) -> bool| placed.rule.actions.iter().any(wanted);
    if *event != On::EndOfData && has(|action| matches!(action, Action::Forward(_))) {
        cx.problems.push(
            Diagnostic::new(action_span(placed.node, "forward"), format!("`forward:` under `{event}`"))
                .because("the mail is not there yet")
                .help("under `end-of-data`, which is also BDAT LAST: `end-of-data: { forward: relay }`"),
        );
    }
    if !has(|action| matches!(action, Action::Rewrite(_))) {
        return;
    }
    let span = action_span(placed.node, "rewrite");
    if !matches!(event, On::Command(_) | On::Unknown | On::Any) {
        cx.problems.push(
            Diagnostic::new(span, format!("`rewrite:` under `{event}`"))
                .because("there is no command line here")
                .help("a line is put in place of a command's: `BDAT: { rewrite: XXXX }`"),
        );
    } else if let Some(answer) = ANSWERS.iter().find(|word| action(placed.node, word).is_some()) {
        cx.problems.push(
            Diagnostic::new(span, format!("`rewrite:` beside `{answer}:`"))
                .because("the server answers what the line came to be")
                .help("give that answer by a rule of its own: `unknown: { when: { matches: ^XXXX }, reply: … }`"),
        );
    }
}

fn action_span(node: &Node, word: &str) -> Span {
    action(node, word).unwrap_or_else(|| node.span.clone())
}

/// Where an action's word stands: in the rule's mapping, or in an element of its list of actions.
fn action(node: &Node, word: &str) -> Option<Span> {
    let key = |node: &Node| match &node.value {
        Value::Mapping(list) => {
            list.iter().find(|entry| entry.key == word).map(|entry| entry.key_span.clone())
        }
        _ => None,
    };
    match &node.value {
        Value::List(items) => items.iter().find_map(key),
        _ => key(node),
    }
}
