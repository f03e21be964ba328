//! Scenarios on a relay that runs elsewhere: which of them can be run there, and one at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock;
use super::execute::{RunError, RunOptions, run_with};
use crate::lab::{Kind, Plan};
use crate::record::Record;
use crate::relay::adapter::External;
use crate::relay::{Unsupported, external};
use crate::scenario::{DnsEntry, Reach, Scenario, Step};

/// The relays that have been run on and whose queues can be neither listed nor emptied. As long as it is held, a scenario runs: all
/// relays meet their servers at the same places.
static RUN_ON: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Runs a scenario there as far as this can be.
pub(super) fn run(
    scenario: &Scenario,
    adapter: Arc<External>,
    options: &RunOptions,
) -> Result<Record, RunError> {
    let unsupported = |why| Err(RunError::Unsupported(Unsupported(why)));
    let relay = external::address(&adapter).map_err(crate::lab::LabError::from)?;
    let plan = match Plan::new(scenario, &adapter.serving, Some(relay.ip())) {
        Ok(plan) => plan,
        Err(why) => return unsupported(why),
    };
    if let Some(why) = cannot(scenario, &adapter, &plan, relay.ip().is_loopback() && relay.is_ipv4()) {
        return unsupported(why);
    }
    let mut run_on = RUN_ON.lock().unwrap_or_else(PoisonError::into_inner);
    if options.cancel.is_cancelled() {
        return Err(RunError::Cancelled);
    }
    // Its mail has the same names in every scenario: what came late would be taken for that of the run.
    let is_blind = adapter.list.is_none() && adapter.empty.is_none();
    if is_blind && !run_on.insert(adapter.path.clone()) {
        let way = "without `list:` or `empty:` in its adapter, one scenario is run at a time";
        return unsupported(format!("mail of the run before may still be in its queue: {way}"));
    }
    let name = adapter.name.clone();
    run_with(scenario, &name, Kind::External { adapter, patience: options.patience }, options)
}

/// Why a scenario cannot be run there, if so. What it cannot be told is found out later.
fn cannot(scenario: &Scenario, adapter: &External, plan: &Plan, on_loopback: bool) -> Option<String> {
    if let Some(what) = clock::needed(scenario) {
        return Some(format!("no virtual clock (it runs elsewhere, by its own time): {what}"));
    }
    if let Some(hostname) = &scenario.relay.hostname
        && !adapter.can_be_told()
        && adapter.hostname.as_ref() != Some(hostname)
    {
        return Some(format!("it cannot be told its name, {hostname}: its adapter has no `configure:`"));
    }
    let steps = || scenario.steps.iter().find_map(|step| impossible(step, adapter));
    steps().or_else(|| unreachable(scenario, plan)).or_else(|| {
        let messages = scenario.messages.iter().filter(|message| !message.trusted).map(|message| &message.name);
        let clients = scenario.clients.iter().filter(|client| !client.trusted).map(|client| &client.name);
        let stranger = messages.chain(clients).next().filter(|_| !(on_loopback && plan.has_strangers()))?;
        Some(format!(
            "`{stranger}` comes from a client that may not relay, and for the relay this machine is one client"
        ))
    })
}

fn impossible(step: &Step, adapter: &External) -> Option<String> {
    let what = match step {
        Step::KillRelay => "kill: relay",
        Step::RestartRelay => "restart: relay",
        Step::Fault(_) => "fault: relay",
        Step::QueueRunForce if adapter.flush.is_none() => {
            return Some("the step `queue run: force` needs `flush:` in its adapter".to_owned());
        }
        _ => return None,
    };
    Some(format!("it runs elsewhere: the step `{what}` cannot be done"))
}

/// What of the scenario's world has no place on this machine.
fn unreachable(scenario: &Scenario, plan: &Plan) -> Option<String> {
    for row in &plan.rows {
        if row.here.is_none() {
            return Some(format!(
                "there is no place for {} here: `serve: {{ listen: }}` can give one",
                row.scenario.ip()
            ));
        }
        if row.reach == Reach::Filtered && !cfg!(target_os = "linux") {
            return Some(format!("nothing here can leave {} unanswered", row.scenario.ip()));
        }
    }
    let Some(port) = plan.one_port() else {
        return Some("its servers stand at ports of their own, which no DNS can tell a relay".to_owned());
    };
    let literal = scenario.messages.iter().flat_map(|message| &message.to).find(|to| to.contains("@["));
    if let Some(to) = literal {
        return Some(format!("{to} names an address at which nobody is"));
    }
    let is_dane = |entry: &&DnsEntry| entry.name().starts_with("_25.");
    scenario
        .dns
        .iter()
        .find(is_dane)
        .filter(|_| port != 25)
        .map(|entry| format!("{} is about port 25, and the servers stand at {port}", entry.name()))
}
