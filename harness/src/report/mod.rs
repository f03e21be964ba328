//! Reports read results; they decide nothing.

pub mod terminal;

use std::path::PathBuf;

use crate::record::Record;
use crate::verdict::{Outcome, Verdict};

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
    /// The relay's name.
    pub relay: String,
    /// What happened and what it is worth.
    pub result: Result<(Record, Verdict), NotJudged>,
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
