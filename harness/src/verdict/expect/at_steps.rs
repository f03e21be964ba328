//! `check:` among the steps: expectations that must hold at that moment.

use super::{Required, When, all, breaches};
use crate::record::Record;
use crate::scenario::{Expectation, Scenario, Step, phrases};
use crate::verdict::ledger::Ledger;
use crate::verdict::{Evidence, ExpectationResult, State};

/// Judges each by what the record was then.
pub(in crate::verdict) fn at_steps(scenario: &Scenario, record: &Record) -> Required {
    let mut required = Required { results: Vec::new(), breaches: Vec::new() };
    for (index, (step, expectations)) in checks(scenario).enumerate() {
        let Some(checkpoint) = record.checkpoints.get(index) else {
            required.results.extend(expectations.iter().map(|expectation| never_reached(step, expectation)));
            continue;
        };
        let then = &checkpoint.record;
        let place = |it: &str| format!("at step {} (+{}): {it}", checkpoint.step + 1, then.end.at);
        let ledger = Ledger::of(scenario, then);
        let results = all(expectations, When::AtAStep, scenario, then, &ledger);
        for mut breach in breaches(expectations, &results) {
            breach.rule = format!("step {}: {}", checkpoint.step + 1, breach.rule);
            breach.it = place(&breach.it);
            breach.evidence = in_the_end(&breach.evidence, then, record);
            required.breaches.push(breach);
        }
        required.results.extend(results.into_iter().map(|result| ExpectationResult {
            it: place(&result.it),
            evidence: in_the_end(&result.evidence, then, record),
            ..result
        }));
    }
    required
}

/// How many of the scenario's expectations were looked at: a run that is cut short comes to none of the later steps.
pub(in crate::verdict) fn looked_at(scenario: &Scenario, record: &Record) -> usize {
    let reached = scenario.checks().take(record.checkpoints.len());
    scenario.expect.len() + reached.map(<[Expectation]>::len).sum::<usize>()
}

fn checks(scenario: &Scenario) -> impl Iterator<Item = (usize, &[Expectation])> {
    scenario.steps.iter().enumerate().filter_map(|(index, step)| match step {
        Step::Check(expectations) => Some((index, expectations.as_slice())),
        _ => None,
    })
}

fn never_reached(step: usize, expectation: &Expectation) -> ExpectationResult {
    let it = expectation.it.clone().unwrap_or_else(|| phrases::of(&expectation.check));
    ExpectationResult {
        it: format!("at step {}: {it}", step + 1),
        level: expectation.level.word().to_owned(),
        clause: expectation.clause.clone(),
        line: expectation.line,
        state: State::NotApplicable,
        why: "the run ended before it".to_owned(),
        evidence: Vec::new(),
    }
}

/// Where the evidence stands in the record of the whole run, whose sessions are more.
fn in_the_end(evidence: &[Evidence], then: &Record, record: &Record) -> Vec<Evidence> {
    let moved = |piece: &Evidence| {
        let before = then.sessions.get(piece.session)?;
        let same = record.sessions.iter().position(|session| {
            (&session.mock, session.mock_is, session.ordinal)
                == (&before.mock, before.mock_is, before.ordinal)
        });
        Some(Evidence { session: same?, events: piece.events.clone() })
    };
    evidence.iter().filter_map(moved).collect()
}
