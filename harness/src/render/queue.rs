//! The queue's timeline: what became different from one listing to the next.

use std::collections::BTreeMap;

use mock_servers::RunTime;

use super::names::Names;
use super::talk::listed;
use crate::record::{QueueEntry, Record};

/// A change worth telling.
pub(super) struct Change {
    pub(super) at: RunTime,
    pub(super) text: String,
    /// `Some`: only another attempt was counted.
    pub(super) again: Option<Again>,
}

/// An entry that was tried again.
pub(super) struct Again {
    pub(super) id: String,
    /// Since when it had waited: the attempt came later.
    pub(super) since: RunTime,
}

/// The changes in order. An entry that is just being worked on is as it was before.
pub(super) fn changes(record: &Record, names: &Names) -> Vec<Change> {
    let mut told: BTreeMap<&str, &QueueEntry> = BTreeMap::new();
    let mut rests_since: BTreeMap<&str, RunTime> = BTreeMap::new();
    let mut changes = Vec::new();
    for state in &record.queue {
        for entry in &state.entries {
            let resting = entry.next.is_some() || entry.held || entry.reason.is_some();
            let before = told.get(entry.id.as_str()).copied();
            if !resting || before == Some(entry) {
                continue;
            }
            told.insert(&entry.id, entry);
            // One that is to be tried now may be listed as it was, while the attempt is going on.
            let rests = entry.next.is_some() || entry.held;
            let counted = before.is_none_or(|before| before.attempts != entry.attempts);
            let since = rests_since.get(entry.id.as_str()).copied().unwrap_or(entry.arrived);
            if rests || counted {
                rests_since.insert(&entry.id, state.at);
            }
            let same = |before: &QueueEntry| {
                (&before.recipients, &before.reason, before.held)
                    == (&entry.recipients, &entry.reason, entry.held)
            };
            let again = before.is_some_and(same);
            if again && before.is_some_and(|before| before.attempts == entry.attempts) {
                continue;
            }
            let again = again.then(|| Again { id: entry.id.clone(), since });
            changes.push(Change { at: state.at, text: told_as(entry, names), again });
        }
        let here = |id: &str| state.entries.iter().any(|entry| entry.id == id);
        let mut gone: Vec<(&str, &QueueEntry)> =
            told.iter().map(|(id, entry)| (*id, *entry)).filter(|(id, _)| !here(id)).collect();
        // Ids may be random.
        gone.sort_by_key(|(_, entry)| (entry.arrived, &entry.from, &entry.recipients, &entry.reason));
        for (id, _) in gone {
            told.remove(id);
            let text = format!("{} has left the queue", names.queue_id(id));
            changes.push(Change { at: state.at, text, again: None });
        }
    }
    changes
}

fn told_as(entry: &QueueEntry, names: &Names) -> String {
    let attempts = entry.attempts.map(|attempts| match attempts {
        0 => "no attempt yet".to_owned(),
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    });
    let next = match entry.next {
        _ if entry.held => Some("held".to_owned()),
        next => next.map(|next| format!("next +{next}")),
    };
    let state = attempts.into_iter().chain(next).collect::<Vec<_>>().join(", ");
    let state = if state.is_empty() { "waits".to_owned() } else { state };
    // what a notification that was not tried yet gives for a reason is that of the mail which it is about
    let of_another = entry.from.is_empty() && entry.attempts == Some(0);
    let reason = entry.reason.as_ref().filter(|_| !of_another);
    let reason = reason.map_or_else(String::new, |reason| format!(": {}", names.put(reason.trim())));
    format!(
        "{} from <{}> to {}: {state}{reason}",
        names.queue_id(&entry.id),
        entry.from,
        listed(&entry.recipients)
    )
}
