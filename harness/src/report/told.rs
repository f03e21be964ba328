//! What a run shows in lists and for programs: texts alone, made where the run was, so that the end waits for nothing.

use super::Kind;
use crate::record::Record;
use crate::render;
use crate::verdict::{Finding, Severity, Verdict};

/// A run in texts, with the story's names in place of what varies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Each requirement that was broken, worst first; known failures among them.
    pub breaches: Vec<Breach>,
    /// When mail that waited was tried again, and its sender told: a line for each mail, as in the story.
    pub schedule: Vec<String>,
}

/// A requirement that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// [`Kind::Violates`] or [`Kind::Deviates`].
    pub kind: Kind,
    /// What is required, in words.
    pub it: String,
    /// The clause or field source.
    pub clause: String,
    /// What was seen, on one line; where it was seen several times, the first.
    pub why: String,
    /// How often.
    pub times: usize,
}

impl Told {
    /// Tells a run.
    pub fn of(record: &Record, verdict: &Verdict) -> Self {
        let mut firsts: Vec<(&Finding, usize)> = Vec::new();
        for finding in verdict.findings.iter().filter(|finding| finding.severity != Severity::Note) {
            let same = |(first, _): &&mut (&Finding, usize)| {
                (&first.it, &first.clause) == (&finding.it, &finding.clause)
            };
            match firsts.iter_mut().find(same) {
                Some((_, times)) => *times += 1,
                None => firsts.push((finding, 1)),
            }
        }
        let texts = render::Texts::of(record);
        let breach = |(finding, times): (&Finding, usize)| Breach {
            kind: if finding.severity == Severity::Violates { Kind::Violates } else { Kind::Deviates },
            it: finding.it.clone(),
            clause: finding.clause.clone(),
            why: one_line(&texts.named(&finding.why)),
            times,
        };
        Self { breaches: firsts.into_iter().map(breach).collect(), schedule: texts.schedules() }
    }
}

/// A text without its line ends.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
