//! Whether a real relay lives by the run's clock, and what a scenario asks of time for relays that do not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mock_servers::script::{Action, Condition, On, Rule};

use super::execute::{RunError, RunOptions, run_with};
use crate::lab::Kind;
use crate::record::{self, Ending, Known, Record};
use crate::relay::adapter::Adapter;
use crate::scenario::{self, Scenario, Step};

/// How far the clock is moved before the relay is asked what time it is.
const HOUR: Duration = Duration::from_hours(1);

/// A relay that follows the clock dates the mail by it that it takes after that, wherever it sends it on to.
const PROOF: &str = "\
title: The relay follows the clock
servers: { hub: { serves: [hub.example] } }
messages: { note: { from: alice@origin.example, to: bob@hub.example } }
steps: [wait: 1h, send: note, settle]
expect: [{ it: arrives, must: RFC 5321 section 4.4, delivered: { message: note } }]
";

/// A relay that knows only its smart host can be proved as well as one that cannot have any.
const WAYS: [&str; 2] = ["relay: { smarthost: hub }\n", ""];

/// Real time for the proof.
const GUARD: Duration = Duration::from_secs(15);

type Proof = Arc<OnceLock<Result<(), String>>>;

/// Whether this relay has shown that it follows a virtual clock; the first time it is asked in this process, it is tried: an hour is
/// left to pass, and a mail that comes then bears that hour in its trace (RFC 5321 section 4.4). The reason, when it does not.
pub(super) fn proved(adapter: &Arc<Adapter>, options: &RunOptions) -> Result<(), String> {
    static PROVED: Mutex<BTreeMap<String, Proof>> = Mutex::new(BTreeMap::new());
    let name = adapter.path.as_ref().map_or_else(|| adapter.name.clone(), |path| path.display().to_string());
    let key = format!("{} {name}", adapter.container.as_deref().unwrap_or_default());
    let proof = PROVED.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
    proof.get_or_init(|| prove(adapter, options)).clone()
}

fn prove(adapter: &Arc<Adapter>, options: &RunOptions) -> Result<(), String> {
    let options = RunOptions { guard: GUARD, ..options.clone() };
    let kind =
        Kind::Process { adapter: adapter.clone(), clock: record::Clock::Run, patience: options.patience };
    let run = |way: &str| {
        let mut scenarios =
            scenario::parse(&format!("{PROOF}{way}"), Path::new("proof.yaml"), "proof").ok()?;
        Some(run_with(&scenarios.pop()?, &adapter.name, kind.clone(), &options))
    };
    let record =
        WAYS.iter().map(|way| run(way)).find(|ran| !matches!(ran, Some(Err(RunError::Unsupported(_)))));
    let record = match record.flatten() {
        Some(ran) => ran.map_err(|error| error.to_string())?,
        None => return Err("it takes mail for nobody who could tell what time it is there".to_owned()),
    };
    match &record.end.how {
        Ending::Finished => {}
        Ending::Guard { waiting_for } => return Err(guarded(waiting_for)),
        Ending::RelayDied { why } => return Err(format!("under the clock it died: {why}")),
        other => return Err(format!("under the clock its run ended otherwise: {other:?}")),
    }
    match trace(&record) {
        Some(seconds) if (0..60).contains(&(seconds - HOUR.as_secs().cast_signed())) => Ok(()),
        Some(seconds) => Err(format!("an hour on, it dates a mail {seconds} s after the start")),
        None => Err("an hour on, it dates a mail outside the run, or not at all".to_owned()),
    }
}

/// Of a guard's words the reason in brackets, where there is one: which step of the proof it was says nothing.
fn guarded(waiting_for: &str) -> String {
    let reason = waiting_for.split_once(" (").and_then(|(_, reason)| reason.strip_suffix(')'));
    reason.map_or_else(|| format!("it does not come to rest: {waiting_for}"), str::to_owned)
}

/// When the relay took the mail, by its own trace: seconds after the start of the run.
fn trace(record: &Record) -> Option<i64> {
    let place = record.deliveries.first()?.place;
    let content = &record.sessions.get(place.session)?.transactions.get(place.transaction)?.content;
    let (fields, _) = record::mail::split(content);
    let newest = fields.into_iter().find(|field| field.is("Received"))?;
    Known::of(record).spans(&newest.value).into_iter().find_map(|span| match span.kind {
        record::Kind::Date(seconds) => Some(seconds),
        _ => None,
    })
}

/// Why a scenario cannot be run on such a relay, if so. What is not seen before the run, as mail that waits for its next
/// attempt, ends the run (`Ending::NoClock`).
pub(super) fn needed(scenario: &Scenario) -> Option<String> {
    let step = scenario.steps.iter().find_map(|step| match step {
        Step::Wait(_) => Some("wait"),
        Step::Jump(_) => Some("jump"),
        Step::QueueRunDue => Some("queue run: due"),
        _ => None,
    });
    if let Some(step) = step {
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
