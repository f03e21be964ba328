//! What is held against a relay: a pure function of the scenario and the record.
//!
//! Three kinds of judgement are kept apart. *Expectations* are the scenario's own, with a level and a clause (`expect`).
//! *Invariants* hold for every run: mail is conserved (`conservation`), its content survives (`content`), notifications
//! are true (`notices`), the wire's rules are kept (`wire`). *Snapshots* are not judged here.
//!
//! No rule may convict an innocent relay: each is worded so that a conformant one cannot break it, and where the record
//! leaves a doubt, nothing is found.

mod conservation;
#[cfg(test)]
mod conservation_tests;
mod content;
#[cfg(test)]
mod content_tests;
#[cfg(test)]
mod exceptions_tests;
mod exercised;
mod expect;
#[cfg(test)]
mod expect_tests;
#[cfg(test)]
mod innocent_tests;
mod known_failures;
mod last_words;
mod ledger;
mod likeness;
mod notices;
#[cfg(test)]
mod notices_tests;
#[cfg(test)]
mod own_times_tests;
#[cfg(test)]
mod testing;
mod wire;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::record::{Ending, Place, Record, turns};
use crate::scenario::{Level, Scenario};
use expect::Required;
pub use known_failures::{KnownFailure, KnownFailures};
use ledger::Ledger;

/// The judgement of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In one word.
    pub outcome: Outcome,
    /// Everything that was found, worst first.
    pub findings: Vec<Finding>,
    /// Each expectation of the scenario, in its order; those of the steps' `check:` come last.
    pub results: Vec<ExpectationResult>,
    /// Each observation of the scenario, in its order; not judged.
    pub observed: Vec<ExpectationResult>,
}

/// How a run came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing was found.
    Pass,
    /// A SHOULD, or what a field source asks for, was not done.
    Deviates,
    /// A MUST or an invariant was broken.
    Violates,
    /// The relay cannot do what the scenario needs, or the decisive rule never came to be.
    Unsupported {
        /// Why.
        reason: String,
    },
    /// It fails as it is known to. Never given by [`judge`]: [`KnownFailures::apply`] says so, here and below.
    KnownFailure {
        /// Why.
        reason: String,
    },
    /// It does not fail any more as it is known to: the list of known failures is out of date.
    KnownFailurePasses {
        /// Which entry.
        reason: String,
    },
    /// The run was cut short.
    Inconclusive {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Whether it is [`Outcome::Pass`].
    pub fn is_pass(&self) -> bool {
        *self == Self::Pass
    }
}

/// How bad a finding is; worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// A MUST or an invariant.
    Violates,
    /// A SHOULD or a field source.
    Deviates,
    /// Told only.
    Note,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule found it: `expectation 2`, `invariant: lost`, `wire: 8-bit content`.
    pub rule: String,
    /// What is required, in words.
    pub it: String,
    /// The clause or field source.
    pub clause: String,
    /// What was seen, in words.
    pub why: String,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
}

/// Lines of the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Index into [`Record::sessions`].
    pub session: usize,
    /// Which of its events.
    pub events: Range<usize>,
}

/// How an expectation came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationResult {
    /// What is required, in words.
    pub it: String,
    /// How binding it is: `must`, `should` or `may`.
    pub level: String,
    /// The clause or field source.
    pub clause: String,
    /// Its line in the scenario's file, from 1.
    pub line: usize,
    /// How it came out.
    pub state: State,
    /// What was seen, in words.
    pub why: String,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
}

/// Whether an expectation held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It did.
    Held,
    /// It did not.
    Broken,
    /// It did not, as far as can be seen, and that need not be the relay's doing.
    Unclear,
    /// What it speaks of never came to be.
    NotApplicable,
}

/// Judges a run.
pub fn judge(scenario: &Scenario, record: &Record) -> Verdict {
    let ledger = Ledger::of(scenario, record);
    let Required { mut results, breaches: mut expected } = expect::at_the_end(scenario, record, &ledger);
    let at_steps = expect::at_steps(scenario, record);
    results.extend(at_steps.results);
    expected.extend(at_steps.breaches);
    let observed = expect::all(&scenario.observe, expect::When::AtTheEnd, scenario, record, &ledger);
    let mut invariants = died(record);
    invariants.extend(conservation::judge(scenario, record, &ledger));
    invariants.extend(content::judge(record));
    invariants.extend(notices::judge(record, &ledger));
    invariants.extend(wire::judge(scenario, record));
    let outcome = outcome(scenario, record, &ledger, &results, &expected, &invariants);
    // What was expected would have come later; what holds for every run was seen.
    let mut findings = if matches!(record.end.how, Ending::NoClock { .. }) { Vec::new() } else { expected };
    findings.extend(invariants);
    findings.sort_by_key(|finding| finding.severity);
    Verdict { outcome, findings, results, observed }
}

/// Judges what was said over the wire alone, of relays to which nothing was submitted that is known of: worst first.
pub fn on_the_wire(scenario: &Scenario, record: &Record) -> Vec<Finding> {
    let mut findings = wire::judge(scenario, record);
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn outcome(
    scenario: &Scenario,
    record: &Record,
    ledger: &Ledger<'_>,
    results: &[ExpectationResult],
    expected: &[Finding],
    invariants: &[Finding],
) -> Outcome {
    if let Ending::Guard { waiting_for } = &record.end.how {
        return Outcome::Inconclusive {
            reason: format!("a guard of real time passed; waited for {waiting_for}"),
        };
    }
    let worst = |findings: &[Finding]| findings.iter().map(|f| f.severity).min();
    let told = exercised::missing(scenario, record, &results[..expect::looked_at(scenario, record)]);
    // without the decisive event, what the scenario asks for was not put to the test; what holds for every run was
    // Nor was what would have come later.
    let no_clock = match &record.end.how {
        Ending::NoClock { waits } => {
            Some(Outcome::Unsupported { reason: format!("no virtual clock: {waits}") })
        }
        _ => None,
    };
    let untested = no_clock.is_some() || told.as_ref().is_some_and(|m| m.by_author);
    let asked = if untested { None } else { worst(expected) };
    let unexercised =
        told.map(|missing| Outcome::Unsupported { reason: format!("not exercised: {}", missing.what) });
    let broken = match asked.into_iter().chain(worst(invariants)).min() {
        Some(Severity::Violates) => Some(Outcome::Violates),
        Some(Severity::Deviates) => Some(Outcome::Deviates),
        _ => None,
    };
    let cut_short = match &record.end.how {
        Ending::Unsettled { because } => {
            Some(Outcome::Inconclusive { reason: format!("the run did not settle: {because}") })
        }
        _ => conservation::unseen(record, ledger).map(|what| Outcome::Inconclusive {
            reason: format!("the relay's queue cannot be seen: {what}"),
        }),
    };
    broken.or(no_clock).or(unexercised).or(cut_short).unwrap_or(Outcome::Pass)
}

/// A relay that ends by itself, unless a step has just killed it.
fn died(record: &Record) -> Vec<Finding> {
    let Ending::RelayDied { why } = &record.end.how else { return Vec::new() };
    if record.steps.last().is_some_and(|last| last.step.starts_with("kill")) {
        return Vec::new();
    }
    vec![Finding {
        severity: Severity::Violates,
        rule: "invariant: the relay lives".to_owned(),
        it: "goes on whatever its peers do".to_owned(),
        clause: "RFC 5321 section 6.1".to_owned(),
        why: format!("the relay ended by itself at +{}: {why}", record.end.at),
        evidence: record.sessions.len().checked_sub(1).map(|last| whole(record, last)).into_iter().collect(),
    }]
}

/// The moments at which a step killed or restarted the relay.
fn interruptions(record: &Record) -> impl Iterator<Item = &crate::record::StepDone> {
    record.steps.iter().filter(|step| step.step.starts_with("kill") || step.step.starts_with("restart"))
}

/// A transaction as evidence.
fn transaction(record: &Record, place: Place) -> Evidence {
    let events = turns::transaction_events(&record.sessions[place.session], place.transaction);
    Evidence { session: place.session, events }
}

/// A session as evidence.
fn whole(record: &Record, session: usize) -> Evidence {
    Evidence { session, events: 0..record.sessions[session].events.len() }
}

impl Level {
    /// What its breach is.
    fn severity(self) -> Severity {
        match self {
            Self::Must => Severity::Violates,
            Self::Should => Severity::Deviates,
            Self::May => Severity::Note,
        }
    }

    /// Its word in the language.
    fn word(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
        }
    }
}
