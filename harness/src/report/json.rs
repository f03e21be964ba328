//! The matrix for programs: one JSON object. README.md has the form. It only grows; what would break a reader gets a new number.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::matrix::{Column, Matrix};
use super::told::one_line;
use super::{Judged, Kind, Runs};

/// The number of the form.
pub const FORMAT: u32 = 1;

/// All runs as one JSON object. Equal runs give the same text, but for the values of `seconds` and `processor_seconds`.
pub fn json(runs: &Runs<'_>) -> String {
    let matrix = Matrix::of(runs);
    let report = Report {
        format: FORMAT,
        gauntlet: env!("CARGO_PKG_VERSION"),
        complete: runs.is_complete(),
        scenarios: runs.scenarios,
        seconds: seconds(runs.effort.took),
        processor_seconds: runs.effort.processor_time.map(seconds),
        processors: runs.effort.processors,
        jobs: runs.effort.jobs,
        relays: matrix.columns.iter().map(relay).collect(),
        left_out: runs
            .left_out
            .iter()
            .map(|left_out| LeftOut { relay: &left_out.relay, reason: &left_out.reason })
            .collect(),
        cells: runs.judged.iter().map(|judged| cell(judged, &matrix)).collect(),
    };
    serde_json::to_string_pretty(&report).expect("texts and numbers alone")
}

#[derive(Serialize)]
struct Report<'a> {
    format: u32,
    gauntlet: &'a str,
    complete: bool,
    scenarios: usize,
    seconds: f64,
    processor_seconds: Option<f64>,
    processors: usize,
    jobs: usize,
    relays: Vec<Relay<'a>>,
    left_out: Vec<LeftOut<'a>>,
    cells: Vec<Cell<'a>>,
}

#[derive(Serialize)]
struct Relay<'a> {
    #[serde(rename = "relay")]
    asked: &'a str,
    name: &'a str,
    version: Option<&'a str>,
    totals: BTreeMap<&'static str, usize>,
    not_run: usize,
    seconds: f64,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    relay: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Cell<'a> {
    relay: &'a str,
    version: Option<&'a str>,
    scenario: &'a str,
    family: &'a str,
    case: Option<&'a str>,
    title: &'a str,
    file: String,
    outcome: &'static str,
    clauses: Vec<&'a str>,
    reasons: Vec<String>,
    schedule: &'a [String],
    seconds: f64,
}

fn relay<'a>(column: &Column<'a>) -> Relay<'a> {
    let count = |kind: Kind| (outcome(kind), column.counts.get(&kind).copied().unwrap_or(0));
    Relay {
        asked: column.relay,
        name: column.title,
        version: column.version,
        totals: Kind::ALL.into_iter().map(count).collect(),
        not_run: column.not_run,
        seconds: seconds(column.took),
    }
}

fn cell<'a>(judged: &'a Judged, matrix: &Matrix<'a>) -> Cell<'a> {
    let column = matrix.columns.iter().find(|column| column.relay == judged.relay);
    let mut clauses: Vec<&str> = Vec::new();
    let mut reasons: Vec<String> = judged.reason().map(one_line).into_iter().collect();
    for breach in &judged.told.breaches {
        if !clauses.contains(&breach.clause.as_str()) {
            clauses.push(&breach.clause);
        }
        let again = match breach.times {
            1 => String::new(),
            times => format!(" (and {} more times)", times - 1),
        };
        reasons.push(format!("{}: {}{again}", breach.it, breach.why));
    }
    Cell {
        relay: &judged.relay,
        version: judged.identity().map(|(_, version)| version).or(column.and_then(|column| column.version)),
        scenario: &judged.scenario,
        family: judged.family(),
        case: judged.case.as_deref(),
        title: &judged.title,
        file: judged.path.display().to_string(),
        outcome: outcome(judged.kind()),
        clauses,
        reasons,
        schedule: &judged.told.schedule,
        seconds: seconds(judged.took),
    }
}

/// The words of outcomes; as on the terminal, but all small.
fn outcome(kind: Kind) -> &'static str {
    match kind {
        Kind::Violates => "violates",
        Kind::PassesNow => "passes now",
        other => other.word(),
    }
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
