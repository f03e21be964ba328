//! What happened, in one line.

use std::collections::BTreeMap;

use mock_servers::RunTime;

use crate::record::{Accepted, Record};

/// The endings of the run's mail in a few words: `delivered by lotus`, `returned 2d later (4.4.7)`.
pub fn brief(record: &Record) -> String {
    let mut parts = Vec::new();
    let refused = record.submissions.iter().flat_map(|s| &s.recipients).filter_map(|r| match &r.fate {
        Accepted::No { at, reply: Some(_) } => Some(format!("refused at {at}")),
        Accepted::No { at, reply: None } => Some(format!("broken off before {at}")),
        Accepted::Yes | Accepted::InDoubt => None,
    });
    parts.extend(counted(refused));

    let submitted = |index: usize| record.submissions[index].at;
    let delivered = record.deliveries.iter().map(|delivery| {
        format!("delivered by {}{}", delivery.server, later(delivery.at, submitted(delivery.submission)))
    });
    parts.extend(counted(delivered));

    let told = record.notifications.iter().flat_map(|notification| {
        let since = notification.submission.map_or(RunTime::ZERO, submitted);
        notification.recipients.iter().map(move |recipient| {
            let word = match recipient.action.as_str() {
                "failed" => "returned",
                "delayed" => "warned",
                other => other,
            };
            format!("{word}{} ({})", later(notification.at, since), recipient.status)
        })
    });
    parts.extend(counted(told));

    let left: usize = record.queue.last().map_or(0, |state| state.entries.len());
    if left > 0 {
        parts.push(format!("{left} left in the queue"));
    }
    match (parts.is_empty(), record.submissions.is_empty()) {
        (false, _) => parts.join(", "),
        (true, true) => "no mail was submitted".to_owned(),
        (true, false) => "nothing came of the mail".to_owned(),
    }
}

fn later(at: RunTime, since: RunTime) -> String {
    let wait = at.since(since);
    if wait.is_zero() { String::new() } else { format!(" {} later", RunTime::new(wait)) }
}

/// Each text once, in order of appearance, with how often it came.
fn counted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let (mut order, mut counts) = (Vec::new(), BTreeMap::new());
    for text in texts {
        *counts.entry(text.clone()).or_insert_with(|| {
            order.push(text);
            0
        }) += 1;
    }
    let say = |text: String| match counts[&text] {
        1 => text,
        count => format!("{count} × {text}"),
    };
    order.into_iter().map(say).collect()
}
