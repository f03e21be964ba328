//! What several tests tell about a verdict.
#![allow(dead_code, reason = "each test file takes what it needs")]

pub(crate) mod fits;

use std::fmt::Write as _;

use gauntlet::scenario::Scenario;
use gauntlet::verdict::{Outcome, Severity, State, Verdict};

/// The verdict, as a snapshot's last paragraph.
pub(crate) fn told(verdict: &Verdict) -> String {
    let word = match &verdict.outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::Deviates => "deviates".to_owned(),
        Outcome::Violates => "violates".to_owned(),
        Outcome::Unsupported { reason } => format!("unsupported: {reason}"),
        Outcome::KnownFailure { reason } => format!("known failure: {reason}"),
        Outcome::KnownFailurePasses { reason } => reason.clone(),
        Outcome::Inconclusive { reason } => format!("inconclusive: {reason}"),
    };
    let mut told = format!("verdict: {word}");
    for finding in &verdict.findings {
        let broken = match finding.severity {
            Severity::Violates => "must",
            Severity::Deviates => "should",
            Severity::Note => "note",
        };
        let _ = write!(told, "\n  {broken}: {} ({})\n    {}", finding.it, finding.clause, finding.why);
    }
    for observed in &verdict.observed {
        let state = match observed.state {
            State::Held => "yes",
            State::Broken => "no",
            State::Unclear => "it cannot be told",
            State::NotApplicable => "it never came to that",
        };
        let _ = write!(told, "\n  observed: {}: {state}", observed.it);
    }
    told
}

/// The same, under the scenario's name, for a failed assertion.
pub(crate) fn findings(scenario: &Scenario, relay: &str, verdict: &Verdict) -> String {
    format!("{} on {relay}\n{}", scenario.name, told(verdict))
}
