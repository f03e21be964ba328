//! `messages:` — envelope, headers and content.

use std::path::Path;

use super::context::{Context, entries};
use super::model::{Bdat, Body, Content, Envelope, Message};
use super::{content, values, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value, one_or_more};

/// What an added `Received:` field says where the scenario does not.
const RECEIVED: &str = "from elsewhere.example by before.example with ESMTP; Mon, 1 Jan 2024 00:00:00 +0000";

/// The value of `messages:` in a scenario that stands in this folder.
pub(super) fn messages(node: &Node, folder: &Path, cx: &Context<'_>) -> Vec<Message> {
    if !matches!(node.value, Value::Mapping(_)) {
        cx.problems.expected(node, "a mapping from names to messages");
    }
    entries(node).filter_map(|(name, node)| message(name, node, folder, cx)).collect()
}

fn message(name: &str, node: &Node, folder: &Path, cx: &Context<'_>) -> Option<Message> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::MESSAGE, problems)?;
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
    let content = content.map_or_else(|| Some(Content::default()), |node| content::content(node, folder, cx));
    let trusted = mapping.take("trusted").map_or(Some(true), |node| problems.boolean(node));
    let whole = content.as_ref().and_then(|content| {
        content.raw.as_ref().map(|_| "raw").or_else(|| content.file.as_ref().map(|_| "file"))
    });
    if let (Some(entry), Some(whole)) = (mapping.entry("headers"), whole) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("`headers:` beside `content: {{ {whole}: … }}`"))
                .because(format!("`{whole}:` is the whole message: nothing is added to it"))
                .help("write the header fields there"),
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
        let (times, octets) = (values::recipients_in(&text), text.len());
        if times > 1 && !cx.has_room(node, times, octets) {
            return None;
        }
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

pub(super) fn at_least_one(node: &Node, what: &str, cx: &Context<'_>) -> Option<u32> {
    let number = cx.problems.integer(node, what)?;
    let fits = u32::try_from(number).ok().filter(|number| (1..=10_000_000).contains(number));
    if fits.is_none() {
        cx.problems.expected(node, &format!("{what} of at least 1"));
    }
    fits
}

fn envelope(node: &Node, cx: &Context<'_>) -> Option<Envelope> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::ENVELOPE, problems)?;
    let mut envelope = Envelope::default();
    if let Some(node) = mapping.take("body") {
        let words =
            [("7bit", Body::SevenBit), ("8bitmime", Body::EightBitMime), ("binarymime", Body::BinaryMime)];
        envelope.body = problems.word(node, "a kind of body", &words);
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
    if let Some(node) = mapping.take("smtputf8") {
        envelope.smtputf8 = problems.boolean(node) == Some(true);
    }
    if let Some(node) = mapping.take("by") {
        envelope.bdat = by(node, cx);
    }
    if let Some(node) = mapping.take("orcpt") {
        envelope.orcpt = orcpt(node, cx);
    }
    if let Some(node) = mapping.take("auth") {
        envelope.auth = problems
            .some_text(node, "an address, or \"<>\"")
            .and_then(|text| if text == "<>" { Some(text) } else { address(node, text, cx) });
    }
    // RFC 3030 section 3: BINARYMIME goes by BDAT, and by nothing else.
    if envelope.body == Some(Body::BinaryMime) {
        match (mapping.entry("by"), envelope.bdat) {
            (None, _) => envelope.bdat = Some(Bdat::Whole),
            (Some(entry), None) => problems.push(
                Diagnostic::new(entry.value.span.clone(), "BINARYMIME by DATA")
                    .because("binary content goes by BDAT alone (RFC 3030 section 3)")
                    .help("`by: bdat`; to break this rule on purpose take a client with a `dialogue:`"),
            ),
            _ => {}
        }
    }
    mapping.finish();
    Some(envelope)
}

/// `data`, `bdat`, or `{ bdat: 1KiB }`.
fn by(node: &Node, cx: &Context<'_>) -> Option<Bdat> {
    if !matches!(node.value, Value::Mapping(_)) {
        let words = [("data", None), ("bdat", Some(Bdat::Whole))];
        return cx.problems.word(node, "a way to send content", &words).flatten();
    }
    let mapping = Mapping::new(node, &words::BY, cx.problems)?;
    let size = mapping.require("bdat").and_then(|node| {
        let size = cx.problems.parsed(node, "a chunk's size", values::size)?;
        if size == 0 {
            cx.problems.expected(node, "a chunk of 1 octet at least");
        }
        (size > 0).then_some(Bdat::Chunks(size))
    });
    mapping.finish();
    size
}

/// `rfc822;x@y.example` (RFC 3461 section 4.2): a type and an address.
fn orcpt(node: &Node, cx: &Context<'_>) -> Option<(String, String)> {
    let text = cx.problems.some_text(node, "an original recipient")?;
    let mistake = |why: &str| {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("`{text}` is not an original recipient"))
                .because(why)
                .help("\"rfc822;x@y.example\"; for exact bytes take a client with a `dialogue:`"),
        );
        None
    };
    let Some((kind, address)) = text.split_once(';') else {
        return mistake("an address type, a semicolon and an address (RFC 3461 section 4.2)");
    };
    let kind = kind.trim();
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return mistake("its type is not one: letters, digits and hyphens");
    }
    let fits = |c: char| matches!(c, ' '..='~') || kind.eq_ignore_ascii_case("utf-8") && c > '\u{a0}';
    if !address.chars().all(fits) {
        return mistake(
            "beyond printable ASCII only the type `utf-8` goes (RFC 3461 section 4.2, RFC 6533 section 3)",
        );
    }
    Some((kind.to_owned(), address.trim().to_owned()))
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
pub(super) fn headers(node: &Node, cx: &Context<'_>) -> Vec<(String, Option<String>)> {
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
    let Some(mapping) = Mapping::new(node, &words::REPEATED, cx.problems) else { return Vec::new() };
    let times = mapping.require("times").and_then(|node| at_least_one(node, "a number of times", cx));
    let text = if name.eq_ignore_ascii_case("Received") && mapping.entry("text").is_none() {
        let _ = mapping.take("text");
        Some(RECEIVED.to_owned())
    } else {
        mapping.require("text").and_then(|node| cx.problems.text(node, "the field's text"))
    };
    mapping.finish();
    match (times, text) {
        (Some(times), Some(text)) if cx.has_room(node, times.into(), name.len() + text.len()) => {
            (0..times.min(100_000)).map(|_| (name.to_owned(), Some(text.clone()))).collect()
        }
        _ => Vec::new(),
    }
}
