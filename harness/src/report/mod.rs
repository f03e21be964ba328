//! Reports read results; they decide nothing.

pub mod json;
mod matrix;
mod open;
pub mod table;
pub mod terminal;
#[cfg(test)]
mod tests;
mod told;

pub use told::{Breach, Told};

use std::path::PathBuf;
use std::time::Duration;

use crate::record::Record;
use crate::verdict::{Finding, Outcome, Severity, Verdict};

/// All runs of one command, as far as they came.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    /// Those that are done, by scenario, then relay.
    pub judged: &'a [Judged],
    /// The relays that were asked for, as they were asked for, in that order.
    pub relays: &'a [String],
    /// How many scenarios there are, each case of a template counted; fewer were run where the command was interrupted.
    pub scenarios: usize,
    /// Relays that were meant too, and cannot be run here.
    pub left_out: &'a [LeftOut],
    /// What it took.
    pub effort: Effort,
}

impl Runs<'_> {
    /// Whether everything that was to be run was run.
    pub fn is_complete(&self) -> bool {
        self.judged.len() == self.scenarios * self.relays.len()
    }
}

/// A relay that cannot be run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub relay: String,
    /// Why, and what to do about it.
    pub reason: String,
}

/// What the runs of one command took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Real time, from the start of the command.
    pub took: Duration,
    /// How many runs there were at a time, at most.
    pub jobs: usize,
    /// How many processors there are for it.
    pub processors: usize,
    /// The processor time of the command and of all that it started and saw end; `None`: the system does not tell.
    pub processor_time: Option<Duration>,
}

/// One scenario on one relay, run and judged.
#[derive(Debug)]
pub struct Judged {
    /// The scenario's name.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// Its file, to run it again.
    pub path: PathBuf,
    /// Which of the file's cases it is, where the file is a template.
    pub case: Option<String>,
    /// The relay, as it was asked for.
    pub relay: String,
    /// What happened and what it is worth.
    pub result: Result<(Record, Verdict), NotJudged>,
    /// The same in texts, for the matrix and for programs; empty where neither is asked for.
    pub told: Told,
    /// The real time of the run, from the making of its world to its end.
    pub took: Duration,
}

/// Why a scenario was not judged on a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotJudged {
    /// The relay cannot be told or made to do it.
    Unsupported(String),
    /// The lab or the relay failed.
    Failed(String),
}

/// An outcome as reports tell it: the verdict's, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing is held against the relay.
    Pass,
    /// A failure that is known, with its reason.
    Known,
    /// A failure that is known and is none any more.
    PassesNow,
    /// The relay cannot do it, or the scenario showed nothing.
    Unsupported,
    /// It broke a SHOULD or a field source.
    Deviates,
    /// It broke a MUST or an invariant.
    Violates,
    /// A guard passed, or the lab failed.
    Inconclusive,
}

impl Kind {
    /// Each kind, in the order in which summaries count them.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Deviates,
        Self::Violates,
        Self::PassesNow,
        Self::Known,
        Self::Unsupported,
        Self::Inconclusive,
    ];

    /// Whether somebody has to do something about it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Deviates | Self::Violates | Self::PassesNow | Self::Inconclusive)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Known => "known failure",
            Self::PassesNow => "PASSES NOW",
            Self::Unsupported => "unsupported",
            Self::Deviates => "deviates",
            Self::Violates => "VIOLATES",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl Judged {
    /// The outcome.
    pub fn kind(&self) -> Kind {
        match &self.result {
            Err(NotJudged::Unsupported(_)) => Kind::Unsupported,
            Err(NotJudged::Failed(_)) => Kind::Inconclusive,
            Ok((_, verdict)) => match verdict.outcome {
                Outcome::Pass => Kind::Pass,
                Outcome::Deviates => Kind::Deviates,
                Outcome::Violates => Kind::Violates,
                Outcome::Unsupported { .. } => Kind::Unsupported,
                Outcome::KnownFailure { .. } => Kind::Known,
                Outcome::KnownFailurePasses { .. } => Kind::PassesNow,
                Outcome::Inconclusive { .. } => Kind::Inconclusive,
            },
        }
    }

    /// The scenario's name without the case: what all cases of a template share.
    pub fn template(&self) -> &str {
        let case = self.case.as_deref().and_then(|case| self.scenario.strip_suffix(case)?.strip_suffix('/'));
        case.unwrap_or(&self.scenario)
    }

    /// The folders that the scenario lies in: `seeds`; empty where it lies in none.
    pub fn family(&self) -> &str {
        self.template().rsplit_once('/').map_or("", |(family, _)| family)
    }

    /// What the relay calls itself and its version, where it was seen.
    pub fn identity(&self) -> Option<(&str, &str)> {
        let (record, _) = self.result.as_ref().ok()?;
        Some((&record.relay.name, &record.relay.version))
    }

    /// What is held against the relay, worst first; known failures among it.
    pub fn breaches(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.result.as_ref().map_or(&[][..], |(_, verdict)| &verdict.findings);
        findings.iter().filter(|finding| finding.severity != Severity::Note)
    }

    /// Why it is neither pass nor breach, where it is neither.
    pub fn reason(&self) -> Option<&str> {
        match &self.result {
            Err(NotJudged::Unsupported(reason) | NotJudged::Failed(reason)) => Some(reason),
            Ok((_, verdict)) => match &verdict.outcome {
                Outcome::Unsupported { reason }
                | Outcome::KnownFailure { reason }
                | Outcome::KnownFailurePasses { reason }
                | Outcome::Inconclusive { reason } => Some(reason),
                Outcome::Pass | Outcome::Deviates | Outcome::Violates => None,
            },
        }
    }
}
