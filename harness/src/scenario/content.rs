//! `content:` — text, parts, or a whole message.

use std::io::Read as _;
use std::path::Path;

use super::context::Context;
use super::messages::{at_least_one, headers};
use super::model::{Canonicalization, Content, Inside, Part, Text, TransferEncoding};
use super::{replies, values, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value};

const ENCODINGS: [(&str, TransferEncoding); 5] = [
    ("7bit", TransferEncoding::SevenBit),
    ("8bit", TransferEncoding::EightBit),
    ("binary", TransferEncoding::Binary),
    ("quoted-printable", TransferEncoding::QuotedPrintable),
    ("base64", TransferEncoding::Base64),
];

/// Parts inside of parts, at most: some readers of mail give up earlier.
const DEEPEST: usize = 20;

/// How large a file may be, in octets; what counts and files of a scenario come to in all has a limit of its own.
const MOST_OF_A_FILE: usize = 64 * 1024 * 1024 - 1024;

/// The value of `content:` in a scenario that stands in this folder.
pub(super) fn content(node: &Node, folder: &Path, cx: &Context<'_>) -> Option<Content> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::CONTENT, problems)?;
    let mut content = Content::default();
    if let Some(node) = mapping.take("newline at end") {
        content.no_final_newline = problems.boolean(node) == Some(false);
    }
    if let Some(node) = mapping.take("dkim") {
        content.dkim = dkim(node, cx);
    }
    let whole = ["raw", "file"].into_iter().find(|key| mapping.entry(key).is_some());
    if let Some(whole) = whole {
        content.raw = mapping.take("raw").and_then(|node| replies::bytes(node, cx));
        content.file = mapping.take("file").and_then(|node| file(node, folder, cx)).map(with_wire_line_ends);
        for key in [
            "text",
            "lines",
            "width",
            "newline at end",
            "dkim",
            "parts",
            "multipart",
            "type",
            "charset",
            "encoding",
        ] {
            let _ = mapping.take(key);
            alone(&mapping, key, whole, "is the whole message: nothing is added to it", cx);
        }
        if whole == "raw" {
            alone(&mapping, "file", whole, "is the whole message: nothing is added to it", cx);
        }
    } else {
        content.body = entity(&mapping, folder, 0, cx)?;
        if content.no_final_newline && !matches!(content.body.inside, Inside::Text(_)) {
            let at = mapping.entry("newline at end").map_or(mapping.span(), |entry| entry.key_span.clone());
            problems.push(
                Diagnostic::new(at, "`newline at end:` beside `parts:`")
                    .because("the last line is a boundary, and no part's")
                    .help("for a message that is cut off take `raw:`"),
            );
        }
    }
    mapping.finish();
    Some(content)
}

fn alone(mapping: &Mapping<'_>, key: &str, beside: &str, why: &str, cx: &Context<'_>) {
    if let Some(entry) = mapping.entry(key) {
        cx.problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("`{key}:` beside `{beside}:`"))
                .because(format!("`{beside}:` {why}")),
        );
    }
}

/// `true`, or a canonicalization.
fn dkim(node: &Node, cx: &Context<'_>) -> Option<Canonicalization> {
    if let Value::Bool(signed) = node.value {
        return signed.then_some(Canonicalization::Relaxed);
    }
    let words = [("relaxed", Canonicalization::Relaxed), ("simple", Canonicalization::Simple)];
    cx.problems.word(node, "`true`, or a canonicalization", &words)
}

fn part(node: &Node, folder: &Path, depth: usize, cx: &Context<'_>) -> Option<Part> {
    let mapping = Mapping::new(node, &words::PART, cx.problems)?;
    let mut part = entity(&mapping, folder, depth, cx)?;
    part.name = mapping.take("name").and_then(|node| cx.problems.some_text(node, "a file's name"));
    if part.name.as_ref().is_some_and(|name| name.contains(['"', '\\', '\r', '\n'])) {
        let at = mapping.entry("name").map_or(mapping.span(), |entry| entry.value.span.clone());
        cx.problems.push(
            Diagnostic::new(at, "a quote, a backslash or a line end in a file's name")
                .because("it would end the quoted parameter")
                .help("for an odd parameter write the field: `headers: { Content-Disposition: … }`"),
        );
    }
    part.headers = mapping.take("headers").map(|node| headers(node, cx)).unwrap_or_default();
    mapping.finish();
    Some(part)
}

/// What `content:` and an element of `parts:` have in common.
fn entity(mapping: &Mapping<'_>, folder: &Path, depth: usize, cx: &Context<'_>) -> Option<Part> {
    let problems = cx.problems;
    let before = problems.count();
    let mut part = Part {
        kind: mapping.take("type").and_then(|node| media_type(node, cx)),
        charset: mapping.take("charset").and_then(|node| token(node, "a charset", cx)),
        encoding: mapping
            .take("encoding")
            .and_then(|node| problems.word(node, "a transfer encoding", &ENCODINGS)),
        ..Part::default()
    };
    let text = mapping.take("text");
    let lines = mapping.take("lines");
    let width = mapping.take("width");
    let (raw, file_node) = if depth > 0 { (mapping.take("raw"), mapping.take("file")) } else { (None, None) };
    let parts = mapping.take("parts");
    let subtype = mapping.take("multipart").and_then(|node| token(node, "a kind of multipart", cx));
    let sources = ["parts", "raw", "file", "text"];
    let given: Vec<&str> = sources.into_iter().filter(|key| mapping.entry(key).is_some()).collect();
    for key in given.iter().skip(1) {
        alone(mapping, key, given[0], "says already what is in it", cx);
    }
    if let Some(first) = given.first().filter(|key| **key != "text") {
        for key in ["lines", "width"] {
            alone(mapping, key, first, "is no text to be repeated", cx);
        }
    }
    if let (Some(entry), None) = (mapping.entry("multipart"), parts) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), "`multipart:` without `parts:`")
                .because("of which parts?"),
        );
    }
    if let Some(node) = parts {
        part.inside = Inside::Parts(list(node, folder, depth, cx));
        for key in ["type", "charset"] {
            alone(mapping, key, "parts", "has the type `multipart/…`", cx);
        }
        part.kind = Some(format!("multipart/{}", subtype.as_deref().unwrap_or("mixed")));
        // RFC 2045 section 6.4
        if matches!(part.encoding, Some(TransferEncoding::QuotedPrintable | TransferEncoding::Base64)) {
            let at = mapping.entry("encoding").map_or(mapping.span(), |entry| entry.value.span.clone());
            problems.push(
                Diagnostic::new(at, "a multipart in a transfer encoding")
                    .because("only 7bit, 8bit and binary are allowed (RFC 2045 section 6.4)")
                    .help("encode its parts; what is wrong on purpose is written with `raw:`"),
            );
        }
    } else if let Some(node) = raw {
        part.inside = Inside::Octets(replies::bytes(node, cx).unwrap_or_default());
    } else if let Some(node) = file_node {
        part.inside = Inside::Octets(file(node, folder, cx).unwrap_or_default());
    } else {
        let written = text.and_then(|node| problems.text(node, "a text"));
        if let (Some(node), Some(text)) = (text, &written) {
            representable(node, text, part.charset.as_deref(), cx);
        }
        if depth > 0 && given.is_empty() && lines.is_none() && width.is_none() {
            problems.push(
                Diagnostic::new(mapping.span(), "a part with nothing in it")
                    .help("one of `text:`, `raw:`, `file:` and `parts:`; for an empty part: `text: \"\"`"),
            );
        }
        if let (Some(entry), Some(text)) = (mapping.entry("width"), &written)
            && !text.is_ascii()
        {
            problems.push(
                Diagnostic::new(entry.key_span.clone(), "`width:` of characters beyond ASCII")
                    .because("it counts octets, and would cut a character")
                    .help("octets as they are: `raw:`"),
            );
        }
        part.inside = Inside::Text(Text {
            text: written,
            lines: lines.map_or(Some(1), |node| at_least_one(node, "a number of lines", cx))?,
            width: width.and_then(|node| wide(node, cx)),
        });
    }
    (problems.count() == before).then_some(part)
}

fn list(node: &Node, folder: &Path, depth: usize, cx: &Context<'_>) -> Vec<Part> {
    let Value::List(items) = &node.value else {
        cx.problems.expected(node, "a list of parts (`- text: …`)");
        return Vec::new();
    };
    if items.is_empty() || depth >= DEEPEST {
        let why = if items.is_empty() {
            "a multipart has one part at least (RFC 2046 section 5.1)".to_owned()
        } else {
            format!("parts inside of more than {DEEPEST} others")
        };
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "these are no parts of a message")
                .because(why)
                .help("what is wrong on purpose is written with `raw:`"),
        );
        return Vec::new();
    }
    items.iter().filter_map(|node| part(node, folder, depth + 1, cx)).collect()
}

/// Characters that the part's charset has not cannot be written in it.
fn representable(node: &Node, text: &str, charset: Option<&str>, cx: &Context<'_>) {
    let Some(charset) = charset else { return };
    let (fits, most) = match charset.to_ascii_lowercase().as_str() {
        "utf-8" => return,
        "us-ascii" => (text.is_ascii(), "ASCII has no more than 128"),
        "iso-8859-1" => (text.chars().all(|c| u32::from(c) < 256), "ISO 8859-1 has no more than 256"),
        _ => (text.is_ascii(), "text is written in utf-8, us-ascii or iso-8859-1"),
    };
    if !fits {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("characters that cannot be written in {charset}"))
                .because(most)
                .help("octets as they are: `raw:` in place of `text:`"),
        );
    }
}

fn wide(node: &Node, cx: &Context<'_>) -> Option<u64> {
    let width = cx.problems.parsed(node, "a number of octets", values::size)?;
    if !(1..=64 * 1024 * 1024).contains(&width) {
        cx.problems.expected(node, "a width of 1 octet to 64MiB");
        return None;
    }
    Some(width)
}

/// `text/html`, without parameters.
fn media_type(node: &Node, cx: &Context<'_>) -> Option<String> {
    let text = cx.problems.some_text(node, "a media type such as `text/html`")?;
    if !text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype)) {
        let mut diagnostic = Diagnostic::new(node.span.clone(), format!("`{text}` is not a media type"))
            .because("a type, `/` and a subtype (RFC 2045 section 5.1)");
        diagnostic
            .help
            .push("parameters are written with the field: `headers: { Content-Type: … }`".to_owned());
        cx.problems.push(diagnostic);
        return None;
    }
    if text.to_ascii_lowercase().starts_with("multipart/") {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "a multipart without parts")
                .because("its boundary would be missing (RFC 2046 section 5.1)")
                .help("`multipart: alternative` beside `parts:`"),
        );
        return None;
    }
    Some(text)
}

fn token(node: &Node, what: &str, cx: &Context<'_>) -> Option<String> {
    let text = cx.problems.some_text(node, what)?;
    if !is_token(&text) {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("`{text}` is not {what}"))
                .because("letters, digits and hyphens (a token, RFC 2045 section 5.1)"),
        );
        return None;
    }
    Some(text)
}

/// RFC 2045 section 5.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// A file's octets.
fn file(node: &Node, folder: &Path, cx: &Context<'_>) -> Option<Vec<u8>> {
    const HELP: &str = "a path is relative to the scenario's own folder: `file: mails/odd.eml`";
    let name = cx.problems.some_text(node, "the path of a file")?;
    let mistake = |why: String, help: &str| {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("the file `{name}` cannot be read"))
                .because(why)
                .help(help),
        );
    };
    if Path::new(&name).is_absolute() {
        mistake("an absolute path is another one on another machine".to_owned(), HELP);
        return None;
    }
    let path = folder.join(&name);
    // A pipe or a device would never end.
    if !path.is_file() {
        mistake(if path.exists() { "it is no file" } else { "there is no such file" }.to_owned(), HELP);
        return None;
    }
    let mut octets = Vec::new();
    let most = MOST_OF_A_FILE as u64;
    match std::fs::File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut octets)) {
        Ok(_) if octets.len() > MOST_OF_A_FILE => {
            mistake(
                format!("it has more than {MOST_OF_A_FILE} octets (64 MiB)"),
                "for size alone: `content: { text: x, lines: 100000, width: 998 }`",
            );
            None
        }
        Ok(_) => cx.has_room(node, 1, octets.len()).then_some(octets),
        Err(why) => {
            mistake(why.to_string(), HELP);
            None
        }
    }
}

/// A whole message from a file as it is on the wire. A file without any CR was written by an editor that ends lines with
/// LF alone: each becomes CRLF.
fn with_wire_line_ends(octets: Vec<u8>) -> Vec<u8> {
    if octets.contains(&b'\r') {
        return octets;
    }
    let mut wire = Vec::with_capacity(octets.len() + octets.len() / 40);
    for octet in octets {
        if octet == b'\n' {
            wire.push(b'\r');
        }
        wire.push(octet);
    }
    wire
}
