//! `messages:` — envelope, headers and content.

use super::context::{Context, entries};
use super::diagnostic::Diagnostic;
use super::model::{Content, Envelope, Message};
use super::read::{Mapping, one_or_more};
use super::yaml::{Node, Value};
use super::{replies, values};

/// What an added `Received:` field says where the scenario does not.
const RECEIVED: &str = "from elsewhere.example by before.example with ESMTP; Mon, 1 Jan 2024 00:00:00 +0000";

/// The value of `messages:`.
pub(super) fn messages(node: &Node, cx: &Context<'_>) -> Vec<Message> {
    if !matches!(node.value, Value::Mapping(_)) {
        cx.problems.expected(node, "a mapping from names to messages");
    }
    entries(node).filter_map(|(name, node)| message(name, node, cx)).collect()
}

fn message(name: &str, node: &Node, cx: &Context<'_>) -> Option<Message> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, "a message", problems)?;
    let from = mapping.require("from").and_then(|node| {
        let from = problems.text(node, "the sender's address (\"\" is the null reverse-path)")?;
        if from.is_empty() { Some(from) } else { address(node, from, cx) }
    });
    let to = mapping.require("to").map(|node| recipients(node, cx));
    let copies = mapping.take("copies").map_or(Some(1), |node| at_least_one(node, "a number of copies", cx));
    let envelope =
        mapping.take("envelope").map_or_else(|| Some(Envelope::default()), |node| envelope(node, cx));
    let headers = mapping.take("headers").map(|node| headers(node, cx)).unwrap_or_default();
    let content = mapping.take("content");
    let content =
        content.map_or_else(|| Some(Content { lines: 1, ..Content::default() }), |node| content_of(node, cx));
    let trusted = mapping.take("trusted").map_or(Some(true), |node| problems.boolean(node));
    if let (Some(entry), Some(Content { raw: Some(_), .. })) = (mapping.entry("headers"), &content) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), "`headers:` beside `content: { raw: … }`")
                .because("raw content is the whole message: nothing is added to it")
                .help("write the header fields into `raw:`"),
        );
    }
    mapping.finish();
    let to = to?;
    if to.is_empty() {
        return None;
    }
    Some(Message {
        name: name.to_owned(),
        from: from?,
        to,
        copies: copies?,
        envelope: envelope?,
        headers,
        content: content?,
        trusted: trusted?,
    })
}

fn recipients(node: &Node, cx: &Context<'_>) -> Vec<String> {
    let list = one_or_more(node);
    if list.is_empty() {
        cx.problems.expected(node, "at least one recipient");
    }
    let read = |node: &Node| {
        let text = cx.problems.some_text(node, "a recipient's address")?;
        let text = address(node, text, cx)?;
        values::recipients(&text)
            .map_err(|wrong| cx.problems.wrong(node, "a recipient's address", wrong))
            .ok()
    };
    list.iter().filter_map(read).flatten().collect()
}

/// An address is taken as it stands, odd ones too: only what can be no address in a command line is a mistake.
fn address(node: &Node, text: String, cx: &Context<'_>) -> Option<String> {
    let mistake = if text.starts_with('<') || text.ends_with('>') {
        ("it has angle brackets", "write it without: they are added in the command")
    } else if text.contains(['\r', '\n']) {
        ("it has a line end", "for exact bytes take a client with a `dialogue:`")
    } else if !text.contains('@') && !text.eq_ignore_ascii_case("postmaster") {
        ("there is no `@` in it", "for exact bytes take a client with a `dialogue:`")
    } else {
        return Some(text);
    };
    cx.problems.push(
        Diagnostic::new(node.span.clone(), format!("`{}` is not an address", text.escape_debug()))
            .because(mistake.0)
            .help(mistake.1),
    );
    None
}

fn at_least_one(node: &Node, what: &str, cx: &Context<'_>) -> Option<u32> {
    let number = cx.problems.integer(node, what)?;
    let fits = u32::try_from(number).ok().filter(|number| (1..=10_000_000).contains(number));
    if fits.is_none() {
        cx.problems.expected(node, &format!("{what} of at least 1"));
    }
    fits
}

fn envelope(node: &Node, cx: &Context<'_>) -> Option<Envelope> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, "an envelope", problems)?;
    let mut envelope = Envelope::default();
    if let Some(node) = mapping.take("body") {
        envelope.body_8bitmime = problems.word(node, "a kind of body", &[("8bitmime", true)]).is_some();
    }
    if let Some(node) = mapping.take("notify") {
        envelope.notify = notify(node, cx);
    }
    if let Some(node) = mapping.take("ret") {
        let words = [("full", "FULL"), ("hdrs", "HDRS")];
        envelope.ret = problems.word(node, "what `ret` can ask for", &words).map(str::to_owned);
    }
    if let Some(node) = mapping.take("envid") {
        envelope.envid = problems.some_text(node, "an envelope id");
        // RFC 3461 section 4.4: before its encoding it is printable US-ASCII.
        if envelope.envid.as_ref().is_some_and(|id| !id.bytes().all(|byte| matches!(byte, b' '..=b'~'))) {
            problems.expected(node, "an envelope id of printable ASCII (RFC 3461 section 4.4)");
        }
    }
    if let Some(node) = mapping.take("size") {
        envelope.size = problems.parsed(node, "a size", values::size);
    }
    mapping.later(&["smtputf8", "by", "orcpt", "auth"]);
    mapping.finish();
    Some(envelope)
}

fn notify(node: &Node, cx: &Context<'_>) -> Vec<String> {
    let words = [("never", "NEVER"), ("success", "SUCCESS"), ("failure", "FAILURE"), ("delay", "DELAY")];
    let list: Vec<String> = one_or_more(node)
        .iter()
        .filter_map(|node| cx.problems.word(node, "what `notify` can ask for", &words).map(str::to_owned))
        .collect();
    if list.len() > 1 && list.iter().any(|word| word == "NEVER") {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "`never` beside other words")
                .because("NOTIFY=NEVER stands alone (RFC 3461 section 4.1)"),
        );
    }
    list
}

/// Header fields in order: a text, a list (the field several times), `{ times: 99 }`, or nothing: the field is left out.
fn headers(node: &Node, cx: &Context<'_>) -> Vec<(String, Option<String>)> {
    let problems = cx.problems;
    let Value::Mapping(list) = &node.value else {
        problems.expected(node, "a mapping from field names to texts");
        return Vec::new();
    };
    let mut fields = Vec::new();
    for entry in list {
        let name = &entry.key;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            problems.push(
                Diagnostic::new(entry.key_span.clone(), format!("`{name}` is not a header field's name"))
                    .because("printable ASCII without spaces and colons (RFC 5322 section 2.2)")
                    .help("for a malformed header take `content: { raw: … }`"),
            );
            continue;
        }
        match &entry.value.value {
            Value::Null => fields.push((name.clone(), None)),
            Value::Mapping(_) => fields.extend(repeated(name, &entry.value, cx)),
            _ => {
                for node in one_or_more(&entry.value) {
                    fields
                        .extend(problems.text(node, "a field's text").map(|text| (name.clone(), Some(text))));
                }
            }
        }
    }
    fields
}

fn repeated(name: &str, node: &Node, cx: &Context<'_>) -> Vec<(String, Option<String>)> {
    let Some(mapping) = Mapping::new(node, "a repeated header field", cx.problems) else { return Vec::new() };
    let times = mapping.require("times").and_then(|node| at_least_one(node, "a number of times", cx));
    let text = if name.eq_ignore_ascii_case("Received") && mapping.entry("text").is_none() {
        let _ = mapping.take("text");
        Some(RECEIVED.to_owned())
    } else {
        mapping.require("text").and_then(|node| cx.problems.text(node, "the field's text"))
    };
    mapping.finish();
    match (times, text) {
        (Some(times), Some(text)) => {
            (0..times.min(100_000)).map(|_| (name.to_owned(), Some(text.clone()))).collect()
        }
        _ => Vec::new(),
    }
}

fn content_of(node: &Node, cx: &Context<'_>) -> Option<Content> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, "content", problems)?;
    let mut content = Content { lines: 1, ..Content::default() };
    if let Some(node) = mapping.take("text") {
        content.text = problems.text(node, "a text");
    }
    if let Some(node) = mapping.take("lines") {
        content.lines = at_least_one(node, "a number of lines", cx)?;
    }
    if let Some(node) = mapping.take("newline at end") {
        content.no_final_newline = problems.boolean(node) == Some(false);
    }
    if let Some(node) = mapping.take("raw") {
        content.raw = replies::bytes(node, cx);
        for key in ["text", "lines", "newline at end"] {
            if let Some(entry) = mapping.entry(key) {
                problems.push(
                    Diagnostic::new(entry.key_span.clone(), format!("`{key}:` beside `raw:`"))
                        .because("raw content is the whole message: nothing is added to it"),
                );
            }
        }
    }
    mapping.later(&["parts", "file"]);
    mapping.finish();
    Some(content)
}
