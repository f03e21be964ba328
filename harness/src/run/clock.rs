//! What a scenario asks of time, for relays whose time is the machine's.

use mock_servers::script::{Action, Condition, On, Rule};

use crate::scenario::{Scenario, Step};

/// Why a scenario cannot be run on such a relay, if so. What is not seen before the run, as mail that waits for its next
/// attempt, ends the run (`Ending::NoClock`).
pub(super) fn needed(scenario: &Scenario) -> Option<String> {
    if let Some(step) = scenario.steps.iter().find(|step| matches!(step, Step::Wait(_) | Step::QueueRunDue)) {
        let step = if matches!(step, Step::Wait(_)) { "wait" } else { "queue run: due" };
        return Some(format!("the step `{step}` needs one"));
    }
    let waits = |rule: &Rule| {
        rule.actions.iter().any(|action| matches!(action, Action::Wait(_)))
            || rule.when.iter().any(|condition| matches!(condition, Condition::SinceFirst(_)))
    };
    scenario.servers.iter().find_map(|server| {
        let script = &server.script;
        let mut lists = script.rules.iter().chain(&script.profile.habits);
        let (on, _) = lists.find(|(on, rules)| *on == On::Idle || rules.iter().any(waits))?;
        Some(format!("the server `{}` waits on {on}", script.name))
    })
}
