//! Whether a scenario's decisive event came to be. Where not, the run has shown nothing: unsupported, never a pass.

use std::collections::BTreeSet;

use mock_servers::transcript::{Side, What};

use super::{ExpectationResult, State};
use crate::record::mail::domain;
use crate::record::{Accepted, Ending, Record};
use crate::scenario::{Check, Decisive, Reach, Scenario};

/// What did not come to be.
pub(super) struct Missing {
    /// In words.
    pub(super) what: String,
    /// Whether the scenario names it. What is only derived does not outweigh a broken expectation.
    pub(super) by_author: bool,
}

/// Looks for it: what the scenario names; else a session with any server of it, a rule of any server of it that has
/// some, and a subject for each expectation.
pub(super) fn missing(
    scenario: &Scenario,
    record: &Record,
    results: &[ExpectationResult],
) -> Option<Missing> {
    if let Ending::NeverCame { what } = &record.end.how {
        return Some(Missing { what: what.clone(), by_author: true });
    }
    let unclear = || {
        let unclear = results.iter().find(|result| result.state == State::Unclear)?;
        Some(Missing { what: format!("{}: {}", unclear.it, unclear.why), by_author: false })
    };
    if let Some(decisive) = &scenario.decisive {
        return named(decisive, record).map(|what| Missing { what, by_author: true }).or_else(unclear);
    }
    if let Some(missing) = unclear() {
        return Some(missing);
    }
    derived(scenario, record, results).map(|what| Missing { what, by_author: false })
}

fn named(decisive: &Decisive, record: &Record) -> Option<String> {
    match decisive {
        Decisive::Session(server) => {
            (!met(record, server)).then(|| format!("no session with {server} came about"))
        }
        Decisive::Rule { server, event, index } => {
            let sessions = record.sessions.iter().filter(|s| s.mock == *server);
            let mut fired = sessions.flat_map(|s| &s.events).filter_map(|e| match &e.what {
                What::Rule(rule) => Some(rule),
                _ => None,
            });
            let fits = fired.any(|rule| {
                rule.event.eq_ignore_ascii_case(event) && index.is_none_or(|index| index == rule.index)
            });
            let which = index.map_or_else(String::new, |index| format!(" {}", index + 1));
            (!fits).then(|| format!("the rule{which} on {event} of {server} never fired"))
        }
        Decisive::Name { name, record_type } => {
            let asked = record.queries.iter().any(|query| {
                let of_type = |wanted: &String| query.record_type.to_string() == *wanted;
                query.name.eq_ignore_ascii_case(name) && record_type.as_ref().is_none_or(of_type)
            });
            let what =
                record_type.as_ref().map_or_else(String::new, |record_type| format!("{record_type} of "));
            (!asked).then(|| format!("the relay never asked for the {what}name {name}"))
        }
        Decisive::All(all) => all.iter().find_map(|decisive| named(decisive, record)),
    }
}

fn met(record: &Record, server: &str) -> bool {
    record.sessions.iter().any(|s| s.mock == server)
}

fn derived(scenario: &Scenario, record: &Record, results: &[ExpectationResult]) -> Option<String> {
    if let Some(result) = results.iter().find(|r| r.state == State::NotApplicable) {
        return Some(format!("{}: {}", result.it, result.why));
    }
    let accepted = |s: &crate::record::Submission| s.recipients.iter().any(|r| r.fate == Accepted::Yes);
    if !record.submissions.iter().any(accepted) {
        return None;
    }
    let aimed_at = |server: &&crate::scenario::Server| {
        !server.serves.is_empty() || scenario.relay.smarthost.as_deref() == Some(server.script.name.as_str())
    };
    let targets: Vec<&crate::scenario::Server> = scenario.servers.iter().filter(aimed_at).collect();
    let depends = scenario.expectations().any(|expectation| needs_a_server(&expectation.check));
    let none_met = targets.iter().all(|server| !met(record, &server.script.name));
    if none_met && looked_for(scenario, record, results, &targets) {
        return None;
    }
    if !targets.is_empty() && none_met && depends {
        let names: Vec<&str> = targets.iter().map(|server| server.script.name.as_str()).collect();
        return Some(format!("the relay accepted mail and never came to {}", names.join(", ")));
    }
    let with_rules: Vec<&crate::scenario::Server> = scenario
        .servers
        .iter()
        .filter(|server| server.script.rules.iter().any(|(_, rules)| !rules.is_empty()))
        .collect();
    let fired = record.sessions.iter().filter(|s| s.mock_is == Side::Server).flat_map(|s| &s.events);
    let any_fired = fired.into_iter().any(|event| matches!(event.what, What::Rule(_)));
    if with_rules.is_empty() || any_fired {
        return None;
    }
    let names: Vec<&str> = with_rules.iter().map(|server| server.script.name.as_str()).collect();
    let names = names.join(", ");
    Some(format!(
        "no rule of {names} ever fired; where a good relay fires none, `decisive: {}` says so",
        with_rules[0].script.name
    ))
}

/// Whether the relay set out for a destination although it came to no server: it asked the DNS for one, none of the
/// servers can be reached at all, or what is required of a destination that fails was seen.
fn looked_for(
    scenario: &Scenario,
    record: &Record,
    results: &[ExpectationResult],
    targets: &[&crate::scenario::Server],
) -> bool {
    let accepted = record.submissions.iter().flat_map(|s| &s.recipients).filter(|r| r.fate == Accepted::Yes);
    let mut domains: BTreeSet<String> = accepted.map(|r| domain(&r.to).to_ascii_lowercase()).collect();
    domains.extend(targets.iter().flat_map(|s| &s.serves).map(|s| s.domain.to_ascii_lowercase()));
    // the sender's own domain may be asked for when the mail is taken
    for sender in record.submissions.iter().map(|s| domain(&s.from).to_ascii_lowercase()) {
        domains.remove(&sender);
    }
    let asked = record.queries.iter().any(|query| domains.contains(&query.name.to_ascii_lowercase()));
    let dead = |server: &&crate::scenario::Server| server.addresses.iter().all(|a| a.reach != Reach::Good);
    let mut held = scenario.expectations().zip(results).filter(|(_, result)| result.state == State::Held);
    let failing = held.any(|(e, _)| matches!(e.check, Check::Untouched(_) | Check::Returned(_)));
    asked || !targets.is_empty() && targets.iter().all(dead) || failing
}

fn needs_a_server(check: &Check) -> bool {
    match check {
        Check::Delivered(_) | Check::Wire(_) | Check::Returned(_) | Check::Queued(_) => true,
        Check::AnyOf(checks) | Check::AllOf(checks) | Check::NoneOf(checks) => {
            checks.iter().any(needs_a_server)
        }
        Check::Each { check, .. } => needs_a_server(check),
        _ => false,
    }
}
