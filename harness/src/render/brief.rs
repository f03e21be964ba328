//! What happened, in one line.

use std::collections::BTreeMap;

use mock_servers::RunTime;

use super::schedule;
use crate::record::{Accepted, Record};

/// How many endings are told; a line is no story.
const FEW: usize = 4;

/// As many characters of a schedule; the story has those that are longer.
const SHORT: usize = 90;

/// The endings of the run's mail in a few words: `delivered by lotus`, `returned 2d later (4.4.7)`. Servers that took mail
/// equally soon are told together. Where all that waited was tried by one schedule, that is told too, if it is short.
pub fn brief(record: &Record) -> String {
    let endings = endings(record);
    match schedule::retries(record).filter(|retries| retries.chars().count() <= SHORT) {
        Some(retries) => format!("{endings}; {retries}"),
        None => endings,
    }
}

fn endings(record: &Record) -> String {
    let mut parts = Vec::new();
    let refused = record.submissions.iter().flat_map(|s| &s.recipients).filter_map(|r| match &r.fate {
        Accepted::No { at, reply: Some(_) } => Some(format!("refused at {at}")),
        Accepted::No { at, reply: None } => Some(format!("broken off before {at}")),
        Accepted::Yes | Accepted::InDoubt => None,
    });
    parts.extend(counted(refused));

    let submitted = |index: usize| record.submissions[index].at;
    let mut soon: Vec<(String, Vec<String>)> = Vec::new();
    for delivery in &record.deliveries {
        let later = later(delivery.at, submitted(delivery.submission));
        match soon.iter_mut().find(|(time, _)| *time == later) {
            Some((_, servers)) => servers.push(delivery.server.clone()),
            None => soon.push((later, vec![delivery.server.clone()])),
        }
    }
    parts.extend(soon.into_iter().map(|(later, servers)| delivered(&servers, &later)));

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
        (false, _) => {
            let more = parts.len().saturating_sub(FEW);
            parts.truncate(FEW);
            parts.extend((more > 0).then(|| format!("and {more} more")));
            parts.join(", ")
        }
        (true, true) => "no mail was submitted".to_owned(),
        (true, false) => "nothing came of the mail".to_owned(),
    }
}

/// `delivered by hub`, `2 × delivered by hub 30m later`, `delivered by hub and 2 × spare`.
fn delivered(servers: &[String], later: &str) -> String {
    let by = counted(servers.iter().cloned());
    match by.as_slice() {
        [only] => match only.strip_suffix(servers[0].as_str()) {
            Some(times) => format!("{times}delivered by {}{later}", servers[0]),
            None => format!("delivered by {only}{later}"),
        },
        [first @ .., last] => format!("delivered by {} and {last}{later}", first.join(", ")),
        [] => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{Run, deferral, minutes};

    #[test]
    fn servers_that_took_mail_equally_soon_are_told_together() {
        let to = ["a@hub.example", "b@spare.example", "c@slow.example"];
        let sent = Run::new().sent("note", &to);
        let two = sent.delivered("hub", 1, minutes(0), "note-1", &to[..1]);
        let two = two.delivered("spare", 1, minutes(0), "note-1", &to[1..2]);
        let all = two.delivered("slow", 1, minutes(30), "note-1", &to[2..]);
        assert_eq!(brief(&all.record()), "delivered by hub and spare, delivered by slow 30m later");
    }

    #[test]
    fn a_server_that_took_two_is_told_once() {
        let sent = Run::new().sent("note", &["a@hub.example"]).sent("note", &["a@hub.example"]);
        let both = sent.delivered("hub", 1, minutes(1), "note-1", &["a@hub.example"]);
        let both = both.delivered("hub", 2, minutes(1), "note-2", &["a@hub.example"]);
        assert_eq!(brief(&both.record()), "2 × delivered by hub 1m later");
    }

    #[test]
    fn a_schedule_that_is_short_is_told() {
        let bob = "bob@hub.example";
        let mut run = Run::new().sent("note", &[bob]);
        for (ordinal, minute) in [(1, 0), (2, 30), (3, 90)] {
            run = run.talk(deferral("hub", ordinal, minutes(minute), bob, "451 4.7.1 later"));
        }
        let told = brief(&run.delivered("hub", 4, minutes(210), "note-1", &[bob]).record());
        assert_eq!(told, "delivered by hub 3h30m later; retried after waits of 30m, 1h, 2h");
    }

    #[test]
    fn a_line_is_no_story() {
        let mut run = Run::new().sent("note", &["a@hub.example"]);
        for (ordinal, minute) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)] {
            run = run.delivered("hub", ordinal, minutes(minute), "note-1", &["a@hub.example"]);
        }
        assert!(brief(&run.record()).ends_with(" delivered by hub 4m later, and 2 more"));
    }
}
