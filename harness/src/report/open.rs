//! What is open: each run that somebody has to do something about, with the clause and one line of reason.

use std::fmt::Write as _;

use super::matrix::{Column, Matrix};
use super::terminal::Style;
use super::told::one_line;
use super::{Judged, Kind, Runs};

/// One requirement that a relay does not meet in one scenario, or in some cases of a template.
struct Entry<'a> {
    kind: Kind,
    /// The template.
    template: &'a str,
    /// The first scenario.
    scenario: &'a str,
    /// Empty where nothing was judged.
    clause: &'a str,
    /// In the first scenario.
    why: String,
    cases: usize,
}

/// By relay; empty where nothing is open. What is wider than `width` characters has its reason on a line of its own, and that is cut.
pub(super) fn list(matrix: &Matrix<'_>, runs: &Runs<'_>, width: Option<usize>, style: Style) -> String {
    let mut out = String::new();
    for column in &matrix.columns {
        let entries = entries(column, runs);
        if entries.is_empty() {
            continue;
        }
        let version = column.version.map_or_else(String::new, |version| format!(" {version}"));
        let _ = writeln!(out, "\n{}", style.bold(&format!("open on {}{version}", column.title)));
        let words = entries.iter().map(|entry| entry.kind.word().len()).max().unwrap_or(0);
        for entry in entries {
            let word = format!("{:<words$}", entry.kind.word());
            let what = match entry.cases {
                1 => entry.scenario.to_owned(),
                cases => format!("{} ({cases} cases)", entry.template),
            };
            let what = if entry.clause.is_empty() { what } else { format!("{what}  {}", entry.clause) };
            let room = width.map(|width| width.saturating_sub(words + 4));
            let fits = room.is_none_or(|room| what.chars().count() + entry.why.chars().count() + 2 <= room);
            let _ = write!(out, "  {}  {}", style.paint(entry.kind, &word), cut(&what, room));
            let _ = if fits {
                writeln!(out, ": {}", entry.why)
            } else {
                writeln!(out, "\n  {:words$}  {}", "", cut(&entry.why, room))
            };
        }
    }
    out
}

fn entries<'a>(column: &Column<'a>, runs: &Runs<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let own = runs.judged.iter().filter(|judged| judged.relay == column.relay && judged.kind().is_open());
    for judged in own {
        let mut of_run: Vec<(Kind, &str, String)> = Vec::new();
        for (kind, clause, why) in reasons(judged) {
            if !of_run.iter().any(|(k, c, _)| (*k, *c) == (kind, clause)) {
                of_run.push((kind, clause, why));
            }
        }
        for (kind, clause, why) in of_run {
            let (template, scenario) = (judged.template(), judged.scenario.as_str());
            let alike = |e: &&mut Entry<'_>| (e.kind, e.template, e.clause) == (kind, template, clause);
            match entries.iter_mut().find(alike) {
                Some(entry) => entry.cases += 1,
                None => entries.push(Entry { kind, template, scenario, clause, why, cases: 1 }),
            }
        }
    }
    entries
}

/// What is held against the relay in a run: a word, the clause, one line.
fn reasons(judged: &Judged) -> Vec<(Kind, &str, String)> {
    if let Some(reason) = judged.reason() {
        return vec![(judged.kind(), "", one_line(reason))];
    }
    let breaches = judged.told.breaches.iter();
    breaches.map(|breach| (breach.kind, breach.clause.as_str(), breach.why.clone())).collect()
}

/// The beginning of a line that is too long.
pub(super) fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        }
        _ => text.to_owned(),
    }
}
