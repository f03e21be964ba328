//! `dialogue:` — a conversation line by line. The mock says the lines of its own side; the other side's are matched.

use mock_servers::script::{Choice, Dialogue, Line, Pattern, Speech};
use mock_servers::transcript::Side;

use super::context::{Context, Late, entries};
use super::model::Client;
use super::replies::bytes;
use super::tls::tls;
use super::values;
use crate::yaml::{Diagnostic, Mapping, Node, Value};

/// The value of `clients:`.
pub(super) fn clients(node: &Node, cx: &Context<'_>) -> Vec<Client> {
    if !matches!(node.value, Value::Mapping(_)) {
        cx.problems.expected(node, "a mapping from names to clients");
    }
    let client = |(name, node): (&str, &Node)| {
        let mapping = Mapping::new(node, &super::words::CLIENT, cx.problems)?;
        let trusted = mapping.take("trusted").map_or(Some(false), |node| cx.problems.boolean(node));
        let dialogue = mapping.require("dialogue").and_then(|node| dialogue(node, Side::Client, cx));
        mapping.finish();
        Some(Client { name: name.to_owned(), trusted: trusted?, dialogue: dialogue? })
    };
    entries(node).filter_map(client).collect()
}

/// The value of `dialogue:`.
pub(super) fn dialogue(node: &Node, mock_is: Side, cx: &Context<'_>) -> Option<Dialogue> {
    let lines = lines(node, mock_is, cx)?;
    Some(Dialogue { mock_is, lines })
}

fn lines(node: &Node, mock_is: Side, cx: &Context<'_>) -> Option<Vec<Line>> {
    let Value::List(items) = &node.value else {
        cx.problems.expected(node, "a list of lines (`- S: 220 *`)");
        return None;
    };
    if items.is_empty() {
        cx.problems.expected(node, "at least one line");
        return None;
    }
    let read: Vec<Option<Line>> = items.iter().map(|node| line(node, mock_is, cx)).collect();
    let closed = read.iter().position(|line| {
        line.as_ref().is_some_and(|line| {
            matches!(line.what, Speech::CloseFin | Speech::CloseReset | Speech::HearClose)
        })
    });
    if let Some(after) = closed.and_then(|at| items.get(at + 1)) {
        cx.problems.push(
            Diagnostic::new(after.span.clone(), "a line after the connection is closed")
                .because("this is never reached"),
        );
    }
    read.into_iter().collect()
}

/// The words of the side that the mock speaks, and of the other.
struct Words {
    say: &'static str,
    say_raw: &'static str,
    hear: &'static str,
    hear_raw: &'static str,
}

fn line(node: &Node, mock_is: Side, cx: &Context<'_>) -> Option<Line> {
    let problems = cx.problems;
    let before = problems.count();
    let words = match mock_is {
        Side::Client => Words { say: "C", say_raw: "C raw", hear: "S", hear_raw: "S raw" },
        Side::Server => Words { say: "S", say_raw: "S raw", hear: "C", hear_raw: "C raw" },
    };
    let mapping = Mapping::new(node, &super::words::LINE, problems)?;
    let within =
        mapping.take("within").and_then(|node| problems.parsed(node, "a duration", values::duration));
    let mut found: Vec<Speech> = Vec::new();
    let mut count = 0;
    let mut take = |word: &'static str| mapping.take(word).inspect(|_| count += 1);
    if let Some(node) = take(words.say) {
        found.extend(said(node, &words, cx).map(Speech::Say));
    }
    if let Some(node) = take(words.say_raw) {
        found.extend(bytes(node, cx).map(Speech::Say));
    }
    if let Some(node) = take(words.hear) {
        let text = problems.some_text(node, "the line that the other side says, `*` for the rest");
        found.extend(text.map(|text| Speech::Hear(Pattern(text))));
    }
    if let Some(node) = take("hear") {
        let words = [("content", Speech::HearContent), ("close", Speech::HearClose)];
        found.extend(problems.word(node, "something that can be heard", &words));
    }
    if let Some(node) = take("one of") {
        found.extend(one_of(node, mock_is, cx).map(Speech::OneOf));
    }
    if let Some(node) = take("wait") {
        let time = problems.parsed(node, "a duration", values::duration);
        found.extend(time.inspect(|time| cx.due(node, *time, Late::Waited)).map(Speech::Wait));
    }
    if let Some(node) = take("tls") {
        found.extend(tls(node, mock_is, cx).map(Speech::Tls));
    }
    if let Some(node) = take("close") {
        let words = [("fin", Speech::CloseFin), ("reset", Speech::CloseReset)];
        found.extend(problems.word(node, "a way to close", &words));
    }
    if let Some(entry) = mapping.entry(words.hear_raw) {
        let _ = take(words.hear_raw);
        problems.push(
            Diagnostic::new(
                entry.key_span.clone(),
                format!("`{}:` is for the side that the mock speaks", words.hear_raw),
            )
            .because("here the other side's lines are matched, not sent")
            .help(format!("`{}: …` with `*` for the rest", words.hear)),
        );
    }
    let keys = mapping.keys().count();
    mapping.finish();
    if problems.count() > before {
        return None;
    }
    if count != 1 {
        problems.push(
            Diagnostic::new(node.span.clone(), "a line of a dialogue is one thing")
                .because(if keys == 0 || count == 0 {
                    "nothing is said or heard here"
                } else {
                    "more than one"
                })
                .help("each line is an element (`- S: …`, `- C: …`) of its own"),
        );
        return None;
    }
    let what = found.pop()?;
    let waits = matches!(what, Speech::Hear(_) | Speech::HearContent | Speech::HearClose | Speech::OneOf(_));
    if within.is_some() && !waits {
        problems.push(
            Diagnostic::new(node.span.clone(), "`within:` beside something that the mock itself does")
                .because("it limits how long the other side may take"),
        );
    }
    Some(Line { within, what })
}

/// A line that the mock says, with its CRLF.
fn said(node: &Node, words: &Words, cx: &Context<'_>) -> Option<Vec<u8>> {
    let mut line = bytes(node, cx)?;
    let text = &node.written;
    let mistake = if line.contains(&b'\n') || line.contains(&b'\r') {
        ("more than one line", format!("line ends are added; for exact bytes: `{}: …`", words.say_raw))
    } else if text.ends_with(" *") {
        (
            "the mock itself says this line, with the star in it",
            format!("write it out; or `{}: …` if the star is meant", words.say_raw),
        )
    } else {
        line.extend_from_slice(b"\r\n");
        return Some(line);
    };
    cx.problems.push(
        Diagnostic::new(node.span.clone(), format!("`{}` cannot be said as one line", text.escape_debug()))
            .because(mistake.0)
            .help(mistake.1),
    );
    None
}

fn one_of(node: &Node, mock_is: Side, cx: &Context<'_>) -> Option<Vec<Choice>> {
    let Value::List(items) = &node.value else {
        cx.problems.expected(node, "a list of alternatives (`[[S: 250 *], [S: 550 *]]`)");
        return None;
    };
    if items.len() < 2 {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), "`one of:` needs at least two alternatives")
                .because("there is nothing to choose from")
                .help("a single line needs no `one of:`"),
        );
        return None;
    }
    let read = |node: &Node| {
        let lines = lines(node, mock_is, cx)?;
        let decides = lines.first().is_some_and(|line| {
            matches!(line.what, Speech::Hear(_) | Speech::HearContent | Speech::HearClose)
        });
        if !decides {
            cx.problems.push(
                Diagnostic::new(node.span.clone(), "an alternative begins with what the other side says")
                    .because("by its first line it is chosen"),
            );
        }
        Some(Choice(lines))
    };
    items.iter().map(read).collect()
}
