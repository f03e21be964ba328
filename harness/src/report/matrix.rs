//! The matrix as data: scenarios by relays, cases that came out alike folded into one row.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{Judged, Kind, Runs};

/// Scenarios by relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matrix<'a> {
    /// A relay each, in the order in which they were asked for.
    pub(super) columns: Vec<Column<'a>>,
    /// In the order of the runs.
    pub(super) rows: Vec<Row<'a>>,
}

/// A relay, and what came of it in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column<'a> {
    /// As it was asked for.
    pub(super) relay: &'a str,
    /// The same, but for the path of an adapter its name, where no other relay has it.
    pub(super) title: &'a str,
    /// Its version; `None`: no run of it came to an end.
    pub(super) version: Option<&'a str>,
    /// How often it came out how.
    pub(super) counts: BTreeMap<Kind, usize>,
    /// How many runs of it there were to be and were not.
    pub(super) not_run: usize,
    /// The real time of its runs together.
    pub(super) took: Duration,
}

/// A scenario, or some cases of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// The folder.
    pub(super) family: &'a str,
    /// What it is called below the folder.
    pub(super) name: String,
    /// How it came out on each relay; `None`: it was not run there.
    pub(super) cells: Vec<Option<Kind>>,
}

impl Row<'_> {
    /// Whether it came out otherwise on one relay than on another.
    pub(super) fn differs(&self) -> bool {
        let mut seen = self.cells.iter().flatten();
        seen.next().is_some_and(|first| seen.any(|other| other != first))
    }
}

impl<'a> Matrix<'a> {
    /// Sorts runs into a matrix.
    pub(super) fn of(runs: &Runs<'a>) -> Self {
        Self { columns: columns(runs), rows: rows(runs) }
    }
}

fn columns<'a>(runs: &Runs<'a>) -> Vec<Column<'a>> {
    let of = |relay: &'a String| -> Column<'a> {
        let own = || runs.judged.iter().filter(|judged| judged.relay == *relay);
        let identity = own().find_map(Judged::identity);
        let mut counts = BTreeMap::new();
        for judged in own() {
            *counts.entry(judged.kind()).or_default() += 1;
        }
        let is_path = relay.contains('/') || Path::new(relay).extension().is_some_and(|end| end == "yaml");
        Column {
            relay,
            title: identity.map_or(relay, |(name, _)| if is_path { name } else { relay }),
            version: identity.map(|(_, version)| version),
            counts,
            not_run: runs.scenarios.saturating_sub(own().count()),
            took: own().map(|judged| judged.took).sum(),
        }
    };
    let mut columns: Vec<Column<'a>> = runs.relays.iter().map(of).collect();
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    for column in &mut columns {
        if titles.iter().filter(|title| **title == column.title).count() > 1 {
            column.title = column.relay;
        }
    }
    columns
}

/// One scenario with its cells, before cases are folded.
struct Line<'a> {
    first: &'a Judged,
    cells: Vec<Option<Kind>>,
}

fn rows<'a>(runs: &Runs<'a>) -> Vec<Row<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for judged in runs.judged {
        // Runs of one scenario lie together.
        let is_new = lines.last().is_none_or(|line| !is_same(line.first, judged));
        if is_new {
            lines.push(Line { first: judged, cells: vec![None; runs.relays.len()] });
        }
        let column = runs.relays.iter().position(|relay| *relay == judged.relay);
        if let (Some(line), Some(column)) = (lines.last_mut(), column) {
            line.cells[column] = Some(judged.kind());
        }
    }
    let template = |line: &Line<'a>| (&line.first.path, line.first.template());
    lines.chunk_by(|a, b| template(a) == template(b)).flat_map(folded).collect()
}

fn is_same(a: &Judged, b: &Judged) -> bool {
    (&a.path, &a.scenario) == (&b.path, &b.scenario)
}

/// The rows of one file: the largest group of cases that came out alike is one row, which comes first; each other case has its own.
fn folded<'a>(cases: &[Line<'a>]) -> Vec<Row<'a>> {
    let family = cases[0].first.family();
    let below = |name: &'a str| name.strip_prefix(family).map_or(name, |rest| rest.trim_start_matches('/'));
    let alike = |cells: &[Option<Kind>]| cases.iter().filter(|case| case.cells == cells).count();
    let row = |case: &Line<'a>| {
        let name = below(&case.first.scenario).to_owned();
        Row { family, name, cells: case.cells.clone() }
    };
    // Of groups of one size, the first.
    let largest = cases.iter().rev().max_by_key(|case| alike(&case.cells));
    let Some(largest) = largest.filter(|case| alike(&case.cells) > 1) else {
        return cases.iter().map(row).collect();
    };
    let (count, all, name) = (alike(&largest.cells), cases.len(), below(largest.first.template()));
    let how_many = if count == all { format!("{all} cases") } else { format!("{count} of {all} cases") };
    let together = Row { family, name: format!("{name} ({how_many})"), cells: largest.cells.clone() };
    let others = cases.iter().filter(|case| case.cells != largest.cells).map(row);
    std::iter::once(together).chain(others).collect()
}
