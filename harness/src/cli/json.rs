//! Mistakes as editors read them. README.md has the form; it only grows.

use serde::Serialize;

use crate::scenario::{Diagnostic, Diagnostics, Place};

/// The mistakes of all files as one JSON array.
pub(super) fn mistakes(files: &[Diagnostics]) -> String {
    let all: Vec<Mistake<'_>> = files.iter().flat_map(of_file).collect();
    serde_json::to_string_pretty(&all).expect("texts and numbers alone")
}

#[derive(Serialize)]
struct Mistake<'a> {
    file: String,
    range: Option<Range>,
    message: &'a str,
    label: &'a str,
    help: &'a [String],
    related: Vec<Related<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<usize>,
}

#[derive(Serialize)]
struct Related<'a> {
    range: Range,
    message: &'a str,
}

/// From the first character to the one after the last.
#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
    column: usize,
}

fn of_file(file: &Diagnostics) -> Vec<Mistake<'_>> {
    file.list().iter().map(|one| mistake(file, one)).collect()
}

fn mistake<'a>(file: &'a Diagnostics, one: &'a Diagnostic) -> Mistake<'a> {
    let related =
        |(span, message): &'a (_, String)| Related { range: range(file.place(Clone::clone(span))), message };
    Mistake {
        file: file.path().display().to_string(),
        range: one.span.clone().map(|span| range(file.place(span))),
        message: &one.title,
        label: &one.label,
        help: &one.help,
        related: one.also.iter().map(related).collect(),
        case: one.cases.as_ref().map(|cases| cases.first.as_str()),
        cases: one.cases.as_ref().map(|cases| cases.count),
    }
}

fn range(place: Place) -> Range {
    let position = |(line, column)| Position { line, column };
    Range { start: position(place.start), end: position(place.end) }
}
