//! Replies and bytes as they go over the wire.

use mock_servers::script::ReplyText;

use super::context::Context;
use super::values;
use crate::yaml::{Diagnostic, Node, Style, Value, one_or_more};

/// A reply: `250 2.0.0 OK`, or a list of such lines.
pub(super) fn reply(node: &Node, cx: &Context<'_>) -> Option<ReplyText> {
    let lines = one_or_more(node);
    if lines.is_empty() {
        cx.problems.expected(node, "a reply such as \"250 OK\"")?;
    }
    let mut whole: Option<ReplyText> = None;
    for line in lines {
        let one = reply_line(line, cx)?;
        match &mut whole {
            None => whole = Some(one),
            Some(whole) if whole.code == one.code => whole.lines.extend(one.lines),
            Some(whole) => {
                cx.problems.push(
                    Diagnostic::new(line.span.clone(), format!("a reply of {} goes on with {}", whole.code, one.code))
                        .because("every line of a reply has the same code (RFC 5321 section 4.2.1)")
                        .help("to break this rule on purpose, write the bytes: `send: \"220-hub\\r\\n521 no\\r\\n\"`"),
                );
                return None;
            }
        }
    }
    whole
}

fn reply_line(node: &Node, cx: &Context<'_>) -> Option<ReplyText> {
    const EXPECTED: &str = "a reply such as \"250 OK\"";
    let text = cx.problems.text(node, EXPECTED)?;
    let mistake = |why: &str, help: &str| {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("`{}` is not a reply", text.escape_default()))
                .because(why)
                .help(help),
        );
    };
    if text.contains(['\r', '\n']) {
        mistake(
            "one line at a time",
            "several lines: `reply: [\"550-first\", \"550 last\"]`; bytes as they are: `send:`",
        );
        return None;
    }
    let Some(parsed) = ReplyText::parse(&text) else {
        mistake(
            "a reply begins with a three-digit code and a space",
            "\"250 OK\"; bytes without a code: `send:`",
        );
        return None;
    };
    let code = text.as_bytes();
    if !(b'2'..=b'5').contains(&code[0]) || !(b'0'..=b'5').contains(&code[1]) {
        mistake(
            "a code's first digit is 2 to 5, its second 0 to 5 (RFC 5321 section 4.2)",
            "to break this rule on purpose, write the bytes: `send: \"650 what\\r\\n\"`",
        );
        return None;
    }
    if let Some(class) = enhanced_class(&parsed.lines[0])
        && char::from(code[0]) != class
    {
        mistake(
            &format!(
                "the code says {}yz, the enhanced code {class}.x.x (RFC 2034 section 4)",
                char::from(code[0])
            ),
            "make the first digits equal; to break this rule on purpose, write the bytes with `send:`",
        );
        return None;
    }
    Some(parsed)
}

/// The class of the enhanced status code that a text begins with, if it does.
fn enhanced_class(text: &str) -> Option<char> {
    let word = text.split(' ').next()?;
    let mut parts = word.split('.');
    let class = parts.next().filter(|class| matches!(*class, "2" | "4" | "5"))?;
    let number = |part: Option<&str>| {
        part.is_some_and(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    (number(parts.next()) && number(parts.next()) && parts.next().is_none()).then(|| class.chars().next())?
}

/// Bytes as they are. Escapes are read once: in double quotes by YAML, otherwise by us; `\xNN` is one octet either
/// way. In a block (`|`) every line ends with CRLF.
pub(super) fn bytes(node: &Node, cx: &Context<'_>) -> Option<Vec<u8>> {
    let lines = one_or_more(node);
    if matches!(node.value, Value::List(_)) {
        let all: Option<Vec<Vec<u8>>> = lines.iter().map(|line| bytes(line, cx)).collect();
        return all.map(|all| all.concat());
    }
    let text = cx.problems.text(node, "bytes such as \"220 hub\\r\\n\"")?;
    match node.style {
        Style::DoubleQuoted => octets_of_double_quoted(node, &text, cx),
        style => {
            let text = if style == Style::Block { text.replace('\n', "\\r\\n") } else { text };
            values::unescape(&text).map_err(|wrong| cx.problems.wrong(node, "a byte string", wrong)).ok()
        }
    }
}

/// YAML's `"\xE9"` is the character U+00E9, two octets in UTF-8; an author means the octet.
fn octets_of_double_quoted(node: &Node, text: &str, cx: &Context<'_>) -> Option<Vec<u8>> {
    // A value that a template put here has its own place, and its own escapes.
    let places = std::iter::once(&node.span).chain(&node.sources);
    let source: String = places.filter_map(|span| cx.text.get(span.clone())).collect();
    let escapes_high = source.match_indices("\\x").any(|(at, _)| {
        source
            .as_bytes()
            .get(at + 2)
            .is_some_and(|digit| matches!(digit, b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F'))
    });
    if !escapes_high {
        return Some(text.as_bytes().to_vec());
    }
    if !source.is_ascii() {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "octets (`\\xNN`) and characters beyond ASCII in one text")
                .because("it cannot be told which octets are meant")
                .help("write the characters as octets too: `é` is `\\xC3\\xA9` in UTF-8"),
        );
        return None;
    }
    Some(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect())
}
