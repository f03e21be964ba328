//! Expectations: what the scenario asks for, each with its level and clause.

mod at_steps;
mod doubts;
mod mail;
mod notified;
mod own_times;
mod wire;

use std::time::Duration;

use mock_servers::script::Range;

pub(super) use at_steps::{at_steps, looked_at};
pub(super) use own_times::own_retries;

use super::ledger::{Ledger, Unit};
use super::{Evidence, ExpectationResult, Finding, State};
use crate::record::Record;
use crate::record::mail::normal;
use crate::scenario::{Check, Expectation, Of, Scenario, phrases};

/// What came of the scenario's requirements.
pub(super) struct Required {
    pub(super) results: Vec<ExpectationResult>,
    /// The broken ones.
    pub(super) breaches: Vec<Finding>,
}

/// `expect:`.
pub(super) fn at_the_end(scenario: &Scenario, record: &Record, ledger: &Ledger<'_>) -> Required {
    let results = all(&scenario.expect, When::AtTheEnd, scenario, record, ledger);
    let breaches = breaches(&scenario.expect, &results);
    Required { results, breaches }
}

/// When it is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When the run is over.
    AtTheEnd,
    /// At a step, which comes at a moment that the scenario chose.
    AtAStep,
}

/// Looks at each of them.
pub(super) fn all(
    expectations: &[Expectation],
    when: When,
    scenario: &Scenario,
    record: &Record,
    ledger: &Ledger<'_>,
) -> Vec<ExpectationResult> {
    let look = Look { scenario, record, ledger };
    let result = |expectation: &Expectation| {
        let seen = look.past_what_was_left_out(&expectation.check, look.at(&expectation.check, None));
        let seen = look.past_times_of_its_own(&expectation.check, when, seen);
        ExpectationResult {
            it: expectation.it.clone().unwrap_or_else(|| phrases::of(&expectation.check)),
            level: expectation.level.word().to_owned(),
            clause: expectation.clause.clone(),
            line: expectation.line,
            state: seen.state,
            why: seen.why,
            evidence: seen.evidence,
        }
    };
    expectations.iter().map(result).collect()
}

/// The broken ones as findings.
fn breaches(expectations: &[Expectation], results: &[ExpectationResult]) -> Vec<Finding> {
    let broken = expectations.iter().zip(results).enumerate().filter(|(_, (_, r))| r.state == State::Broken);
    let finding = |(index, (expectation, result)): (usize, (&Expectation, &ExpectationResult))| Finding {
        severity: expectation.level.severity(),
        rule: format!("expectation {}", index + 1),
        it: result.it.clone(),
        clause: result.clause.clone(),
        why: result.why.clone(),
        evidence: result.evidence.clone(),
    };
    broken.map(finding).collect()
}

/// Relays reckon in whole seconds (time(2)): what they do after so long comes up to a second sooner or later.
const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// Whether a time that passed is in, as far as clocks of whole seconds can tell.
fn in_time(range: &Range<Duration>, passed: Duration) -> bool {
    range.from.is_none_or(|from| passed + WHOLE_SECOND > from)
        && range.to.is_none_or(|to| passed < to + WHOLE_SECOND)
}

/// What was seen of a check.
#[derive(Clone)]
struct Seen {
    state: State,
    why: String,
    evidence: Vec<Evidence>,
}

impl Seen {
    fn held(why: impl Into<String>) -> Self {
        Self { state: State::Held, why: why.into(), evidence: Vec::new() }
    }

    fn broken(why: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self { state: State::Broken, why: why.into(), evidence }
    }

    fn unclear(why: impl Into<String>) -> Self {
        Self { state: State::Unclear, why: why.into(), evidence: Vec::new() }
    }

    fn not_applicable(why: impl Into<String>) -> Self {
        Self { state: State::NotApplicable, why: why.into(), evidence: Vec::new() }
    }

    /// Broken, where there are breaches; `held` otherwise. Many breaches are told by their first few.
    fn unless(breaches: Vec<(String, Vec<Evidence>)>, held: impl FnOnce() -> String) -> Self {
        let lazily =
            breaches.into_iter().map(|(why, evidence)| -> Breach<'_> { (why, Box::new(|| evidence)) });
        Self::unless_any(lazily.collect(), held)
    }

    /// The same, with the evidence looked for only where it is told.
    fn unless_any(breaches: Vec<Breach<'_>>, held: impl FnOnce() -> String) -> Self {
        if breaches.is_empty() {
            return Self::held(held());
        }
        let mut whys: Vec<String> = breaches.iter().take(SHOWN).map(|(why, _)| why.clone()).collect();
        if breaches.len() > SHOWN {
            whys.push(format!("and {} more", breaches.len() - SHOWN));
        }
        let mut evidence: Vec<Evidence> = Vec::new();
        for piece in breaches.into_iter().take(SHOWN).flat_map(|(_, evidence)| evidence()) {
            if !evidence.contains(&piece) {
                evidence.push(piece);
            }
        }
        Self::broken(whys.join("; "), evidence)
    }
}

/// A breach in words, and what finds its evidence.
type Breach<'a> = (String, Box<dyn FnOnce() -> Vec<Evidence> + 'a>);

/// As many breaches of one expectation are told one by one.
const SHOWN: usize = 4;

/// What checks are looked at with.
struct Look<'a> {
    scenario: &'a Scenario,
    record: &'a Record,
    ledger: &'a Ledger<'a>,
}

impl<'a> Look<'a> {
    /// `only`: the one submission that is looked at, inside `each`.
    fn at(&self, check: &Check, only: Option<usize>) -> Seen {
        match check {
            Check::Delivered(delivered) => self.delivered(delivered, only),
            Check::Returned(returned) => self.returned(returned, only),
            Check::Refused(refused) => self.refused(refused, only),
            Check::Queued(of) => self.queued(of, only),
            Check::Delayed { of, times, text, within } => {
                self.notified(of, only, "delayed", times, text.as_deref(), Some(within))
            }
            Check::Notified { of, action, times } => self.notified(of, only, action, times, None, None),
            Check::Wire(wire) => self.wire(wire),
            Check::Untouched(server) => self.untouched(server),
            Check::Completed(mock) => self.completed(mock),
            Check::Logged(pattern) => self.logged(pattern),
            Check::AnyOf(checks) => self.any(checks, only),
            Check::AllOf(checks) => self.every(checks, only),
            Check::NoneOf(checks) => self.none(checks, only),
            Check::Each { message, check } => self.each(message, check),
        }
    }

    fn any(&self, checks: &[Check], only: Option<usize>) -> Seen {
        let seen: Vec<Seen> = checks.iter().map(|check| self.at(check, only)).collect();
        if let Some(held) = seen.iter().find(|s| s.state == State::Held) {
            return Seen::held(held.why.clone());
        }
        if seen.iter().all(|s| s.state == State::NotApplicable) {
            return Seen::not_applicable(join(&seen));
        }
        let unclear: Vec<Seen> = seen.iter().filter(|s| s.state == State::Unclear).cloned().collect();
        if !unclear.is_empty() {
            return Seen::unclear(join(&unclear));
        }
        let why = format!("none of {} ways: {}", seen.len(), join(&seen));
        Seen::broken(why, evidence(seen))
    }

    fn every(&self, checks: &[Check], only: Option<usize>) -> Seen {
        let seen: Vec<Seen> = checks.iter().map(|check| self.at(check, only)).collect();
        for state in [State::Broken, State::Unclear, State::NotApplicable] {
            if seen.iter().any(|s| s.state == state) {
                let such: Vec<Seen> = seen.into_iter().filter(|s| s.state == state).collect();
                return Seen { state, why: join(&such), evidence: evidence(such) };
            }
        }
        Seen::held(join(&seen))
    }

    fn none(&self, checks: &[Check], only: Option<usize>) -> Seen {
        let holds = |check: &Check| {
            let seen = self.at(check, only);
            (seen.state == State::Held)
                .then(|| (format!("{}: {}", phrases::of(check), seen.why), seen.evidence))
        };
        Seen::unless(checks.iter().filter_map(holds).collect(), || "none of them".to_owned())
    }

    fn each(&self, message: &str, check: &Check) -> Seen {
        let submissions = self.record.submissions.iter().enumerate().filter(|(_, s)| s.message == message);
        let seen: Vec<(String, Seen)> = submissions
            .map(|(index, s)| (format!("submission {}", s.copy), self.at(check, Some(index))))
            .collect();
        if seen.is_empty() {
            return Seen::not_applicable(format!("{message} was never submitted"));
        }
        if seen.iter().all(|(_, s)| s.state == State::NotApplicable) {
            return Seen::not_applicable(seen.into_iter().next().map(|(_, s)| s.why).unwrap_or_default());
        }
        let held: Vec<String> = seen.iter().map(|(which, s)| format!("{which}: {}", s.why)).collect();
        let unclear = seen.iter().find(|(_, s)| s.state == State::Unclear);
        if let Some((which, unclear)) = unclear.filter(|_| seen.iter().all(|(_, s)| s.state != State::Broken))
        {
            return Seen::unclear(format!("{which}: {}", unclear.why));
        }
        let broken = seen.into_iter().filter(|(_, s)| s.state == State::Broken);
        Seen::unless(broken.map(|(which, s)| (format!("{which}: {}", s.why), s.evidence)).collect(), || {
            held.join("; ")
        })
    }

    /// The units that a check speaks of; an error says why there are none.
    fn units(&self, of: &Of, only: Option<usize>) -> Result<Vec<&'a Unit<'a>>, Seen> {
        let message = of.message.as_deref();
        let in_scope = |unit: &&Unit<'_>| {
            only.is_none_or(|only| unit.submission == only) && message.is_none_or(|m| unit.of.message == m)
        };
        let units: Vec<&Unit<'_>> = self.ledger.mails.iter().filter(in_scope).collect();
        if units.is_empty() {
            let what = message.unwrap_or("the message");
            return Err(Seen::not_applicable(format!("{what} was never submitted")));
        }
        let fits = |unit: &&Unit<'_>| {
            of.to.as_ref().is_none_or(|to| to.matches(unit.to) || to.matches(&normal(unit.to)))
        };
        let fitting: Vec<&Unit<'_>> = units.into_iter().filter(fits).collect();
        if fitting.is_empty() {
            let pattern = of.to.as_ref().map_or("", |to| to.0.as_str());
            return Err(Seen::not_applicable(format!("no recipient is {pattern}")));
        }
        Ok(fitting)
    }

    /// `note to u1@hub.example`; inside `each`, the submission is already named.
    fn name(&self, unit: &Unit<'_>, only: Option<usize>) -> String {
        if only.is_some() { format!("to {}", unit.to.trim()) } else { unit.name(self.record) }
    }
}

fn join(seen: &[Seen]) -> String {
    seen.iter().map(|s| s.why.as_str()).collect::<Vec<_>>().join("; ")
}

fn evidence(seen: Vec<Seen>) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = Vec::new();
    for piece in seen.into_iter().flat_map(|s| s.evidence) {
        if !all.contains(&piece) {
            all.push(piece);
        }
    }
    all
}
