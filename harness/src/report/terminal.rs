//! The report for people at a terminal: a line per scenario, what can be acted on, a summary.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Judged, Kind, Runs};
use crate::record::Record;
use crate::render;
use crate::verdict::{Finding, Severity, State};

/// How many lines of a transcript stand below one breach.
const EVIDENCE_LINES: usize = 18;

/// So many breaches of one requirement are shown, each with its lines; a list of recipients may break it once for each.
const ALIKE: usize = 8;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether to send escape sequences.
    pub colour: bool,
}

impl Style {
    pub(super) fn paint(self, kind: Kind, text: &str) -> String {
        let code = match kind {
            Kind::Pass => "32",
            Kind::Deviates | Kind::Known => "33",
            Kind::Violates | Kind::PassesNow => "1;31",
            Kind::Unsupported => "2",
            Kind::Inconclusive => "35",
        };
        self.wrap(code, text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The line of one run: verdict, scenario, relay where there are several, and what happened in a few words.
pub fn line(judged: &Judged, several_relays: bool, name_width: usize, style: Style) -> String {
    let kind = judged.kind();
    let word = style.paint(kind, &format!("{:>13}", kind.word()));
    let relay = if several_relays { format!("{:<20}", judged.relay) } else { String::new() };
    let said = match (judged.reason(), &judged.result) {
        (Some(reason), _) => reason.to_owned(),
        (None, Ok((record, _))) => render::brief(record),
        (None, Err(_)) => String::new(),
    };
    format!("{word}  {:<name_width$}  {relay}{}", judged.scenario, style.dim(&said)).trim_end().to_owned()
}

/// Everything that one can act on about one run: each breach with its clause, what was seen, the lines that show it, and
/// how to run it again alone. Empty where there is nothing.
pub fn details(judged: &Judged, style: Style) -> String {
    let mut out = String::new();
    let case = judged.case.as_ref().map_or_else(String::new, |case| format!(" --case {case}"));
    let path = pasteable(&judged.path.to_string_lossy());
    let rerun = format!("gauntlet run --relay {} {path}{case}", judged.relay);
    match (judged.kind(), &judged.result) {
        // What is known needs nobody's hand.
        (Kind::Known, _) => {}
        (Kind::Inconclusive | Kind::PassesNow, _) => {
            let _ = writeln!(out, "{}", heading(judged, style));
            let _ = writeln!(out, "    {}", judged.reason().unwrap_or("no reason was given"));
            let _ = writeln!(out, "    again: {rerun} --story");
        }
        (_, Ok((record, verdict))) if judged.breaches().next().is_some() => {
            let _ = writeln!(out, "{}", heading(judged, style));
            out += &breaches(record, &verdict.findings, style);
            let _ = writeln!(out, "    again: {rerun} --story");
        }
        _ => {}
    }
    out
}

/// What was found, notes apart: each breach with its clause, what was seen, and the lines that show it.
pub fn breaches(record: &Record, findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    let mut shown_before: Vec<Vec<String>> = Vec::new();
    let mut alike: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Note) {
        let count = alike.entry((&finding.it, &finding.clause)).or_default();
        *count += 1;
        if *count > ALIKE {
            continue;
        }
        breach(&mut out, finding, style);
        let lines: Vec<String> = finding
            .evidence
            .iter()
            .flat_map(|evidence| render::excerpt(record, evidence.session, evidence.events.clone()))
            .collect();
        let known = !lines.is_empty() && shown_before.contains(&lines);
        let shown = if known { vec!["(the same lines as above)".to_owned()] } else { abridged(&lines) };
        for line in shown {
            let _ = writeln!(out, "      {}", style.dim(&format!("│ {line}")));
        }
        shown_before.push(lines);
    }
    for ((it, clause), count) in alike.into_iter().filter(|(_, count)| *count > ALIKE) {
        let _ = writeln!(out, "    … and {} more times: {it} ({clause})", count - ALIKE);
    }
    out
}

/// A path that a shell takes as it is, quoted where it must be.
fn pasteable(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// The beginning and the end of what is shown as evidence; the story has all of it.
fn abridged(lines: &[String]) -> Vec<String> {
    if lines.len() <= EVIDENCE_LINES {
        return lines.to_vec();
    }
    let (head, tail) = (&lines[..EVIDENCE_LINES - 6], &lines[lines.len() - 5..]);
    let cut = format!("… {} more lines", lines.len() - head.len() - tail.len());
    head.iter().cloned().chain([cut]).chain(tail.iter().cloned()).collect()
}

/// Each expectation of the scenario and how it came out, for those who read the whole story.
pub fn judgement(judged: &Judged, style: Style) -> String {
    let mut out = String::new();
    let Ok((_, verdict)) = &judged.result else { return out };
    for result in &verdict.results {
        let (kind, word) = match result.state {
            State::Held => (Kind::Pass, "held"),
            State::Broken if result.level == "must" => (Kind::Violates, "broken"),
            State::Broken => (Kind::Deviates, "broken"),
            State::Unclear => (Kind::Unsupported, "cannot be told"),
            State::NotApplicable => (Kind::Unsupported, "never came to be"),
        };
        let word = style.paint(kind, word);
        let _ = writeln!(out, "  {word}: {} {} ({})", result.level, result.it, result.clause);
    }
    for result in &verdict.observed {
        let word = match result.state {
            State::Held => "yes",
            State::Broken => "no",
            State::Unclear => "it cannot be told",
            State::NotApplicable => "it never came to that",
        };
        let _ = writeln!(out, "  observed: {}: {word}", result.it);
    }
    out
}

fn heading(judged: &Judged, style: Style) -> String {
    format!(
        "{} {} on {}: {}",
        style.paint(judged.kind(), judged.kind().word()),
        style.bold(&judged.scenario),
        style.bold(&judged.relay),
        judged.title
    )
}

fn breach(out: &mut String, finding: &Finding, style: Style) {
    let (kind, broken) = match finding.severity {
        Severity::Violates => (Kind::Violates, "must"),
        Severity::Deviates | Severity::Note => (Kind::Deviates, "should"),
    };
    let _ = writeln!(out, "    {} {} ({})", style.paint(kind, broken), finding.it, finding.clause);
    let _ = writeln!(out, "      {}", finding.why);
}

/// The last line: how many of what, in how long.
pub fn summary(runs: &Runs<'_>, style: Style) -> String {
    let judged = runs.judged;
    let counts: Vec<String> = Kind::ALL
        .iter()
        .filter_map(|kind| {
            let count = judged.iter().filter(|j| j.kind() == *kind).count();
            (count > 0).then(|| style.paint(*kind, &format!("{count} {}", kind.word())))
        })
        .collect();
    let told = if judged.len() == 1 { "1 run".to_owned() } else { format!("{} runs", judged.len()) };
    format!("{told}: {} ({:.1} s)", counts.join(", "), runs.effort.took.as_secs_f64())
}
