//! The queue's timeline: when each recipient of each mail was tried, and what was told of it.
//!
//! What the relay counts in its listing is the truth where it counts: each count, or each new moment for the next attempt, is
//! an attempt. It was made when the first session of it was opened; where no connection came about (refused, no DNS), when
//! the listing showed it. Of relays that count nothing, sessions alone tell, parted by waiting as [`super::attempts`] has it.

use std::collections::{BTreeMap, BTreeSet};

use mock_servers::RunTime;
use mock_servers::transcript::Session;
use serde::{Deserialize, Serialize};

use super::attempts::{self, Attempts};
use super::conversation::ended;
use super::{Accepted, Delivery, Notification, QueueEntry, QueueState, Submission, mail};

/// What became of a recipient in the relay's hands; all times are the run's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Index into [`super::Record::submissions`].
    pub submission: usize,
    /// The recipient, as it was submitted.
    pub to: String,
    /// When it was tried.
    pub attempts: Vec<RunTime>,
    /// When its sender was told that it is delayed.
    pub warned: Vec<RunTime>,
    /// When servers took it.
    pub delivered: Vec<RunTime>,
    /// When its sender was told that it failed.
    pub returned: Vec<RunTime>,
    /// Since when it is held, if it is: nothing more happens to it by itself.
    pub held: Option<RunTime>,
    /// Whether the queue had it when it was last listed.
    pub queued: bool,
}

/// An entry as it was listed, in order of time.
type Listed<'a> = Vec<(RunTime, &'a QueueEntry)>;

/// The timelines of all recipients that the relay took.
pub(super) fn of(
    submissions: &[Submission],
    attempts: &Attempts<'_>,
    queue: &[QueueState],
    sessions: &[Session],
    deliveries: &[Delivery],
    notifications: &[Notification],
) -> Vec<Timeline> {
    let mut by_id: BTreeMap<&str, Listed<'_>> = BTreeMap::new();
    for state in queue {
        for entry in &state.entries {
            by_id.entry(&entry.id).or_default().push((state.at, entry));
        }
    }
    let own: Vec<Option<&str>> = submissions.iter().map(|one| named(one, &by_id, sessions)).collect();
    let others: BTreeSet<&str> = own.iter().flatten().copied().collect();
    let mut timelines = Vec::new();
    for (index, submission) in submissions.iter().enumerate() {
        let taken = submission.recipients.iter().filter(|r| !matches!(r.fate, Accepted::No { .. }));
        let listed = match own[index] {
            Some(id) => by_id[id].clone(),
            None => alike(submission, queue, &others),
        };
        let mut tries: BTreeMap<String, Vec<&Session>> = BTreeMap::new();
        for recipient in &submission.recipients {
            let domain = mail::domain(&recipient.to);
            tries.entry(domain).or_insert_with_key(|domain| attempts.tries(submission, domain));
        }
        for recipient in taken {
            let own = mail::normal(&recipient.to);
            let is_own = |to: &str| mail::normal(to) == own;
            let copies = deliveries.iter().filter(|d| d.submission == index);
            let delivered: Vec<RunTime> =
                copies.filter(|d| d.recipients.iter().any(|to| is_own(to))).map(|d| d.at).collect();
            let told = |action: &str| -> Vec<RunTime> {
                let about = |n: &&Notification| {
                    let mut of = n.recipients.iter().filter(|r| r.action == action);
                    n.submission == Some(index)
                        && of.any(|r| is_own(&r.to) || r.original.as_deref().is_some_and(is_own))
                };
                notifications.iter().filter(about).map(|n| n.at).collect()
            };
            let mine: Listed<'_> = listed
                .iter()
                .filter(|(_, entry)| entry.recipients.iter().any(|to| is_own(to)))
                .copied()
                .collect();
            let domain = mail::domain(&recipient.to);
            let others: Vec<&Session> = tries.values().flatten().copied().collect();
            let last = mine.last().map(|(_, entry)| &entry.id);
            let queued = queue.last().is_some_and(|state| {
                let mut of = state.entries.iter().filter(|entry| Some(&entry.id) == last);
                of.any(|entry| entry.recipients.iter().any(|to| is_own(to)))
            });
            let returned = told("failed");
            // The same session may go on with others, and so may later ones.
            let until = delivered.iter().chain(&returned).max().copied();
            let by_sessions = Tried { own: &tries[&domain], others: &others, attempts, submission };
            timelines.push(Timeline {
                submission: index,
                to: recipient.to.clone(),
                attempts: by_sessions.times(&mine, until),
                warned: told("delayed"),
                returned,
                delivered,
                held: held_since(&mine),
                queued,
            });
        }
    }
    timelines
}

/// The id under which the relay listed a submission: one that it named in its reply.
fn named<'a>(
    submission: &Submission,
    by_id: &BTreeMap<&'a str, Listed<'a>>,
    sessions: &[Session],
) -> Option<&'a str> {
    let place = submission.place?;
    let transaction = sessions.get(place.session)?.transactions.get(place.transaction)?;
    let said = transaction.final_reply.as_ref()?.lines.join(" ");
    let mut words = said.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
    words.find_map(|word| by_id.get_key_value(word).map(|(id, _)| *id))
}

/// What is listed with the envelope of a submission, and is not known to be another one.
fn alike<'a>(submission: &'a Submission, queue: &'a [QueueState], others: &BTreeSet<&str>) -> Listed<'a> {
    let of = |state: &'a QueueState| {
        let mut entries = attempts::entries(state, submission);
        entries.find(|entry| !others.contains(entry.id.as_str())).map(|entry| (state.at, entry))
    };
    queue.iter().filter_map(of).collect()
}

fn held_since(listed: &Listed<'_>) -> Option<RunTime> {
    let (_, last) = listed.last()?;
    let since = listed.iter().rposition(|(_, entry)| !entry.held).map_or(0, |before| before + 1);
    last.held.then(|| listed[since].0)
}

/// What was tried for one recipient.
struct Tried<'a> {
    /// Sessions for its domain.
    own: &'a [&'a Session],
    /// Sessions for any domain of the submission.
    others: &'a [&'a Session],
    attempts: &'a Attempts<'a>,
    submission: &'a Submission,
}

impl Tried<'_> {
    /// When it was tried, until it was delivered or returned.
    fn times(&self, listed: &Listed<'_>, until: Option<RunTime>) -> Vec<RunTime> {
        let mut times = Vec::new();
        let mut from: Option<RunTime> = None;
        for at in counted(listed).into_iter().filter(|at| until.is_none_or(|until| *at <= until)) {
            let within =
                |session: &&&Session| from.is_none_or(|from| session.opened > from) && session.opened <= at;
            if let Some(session) = self.own.iter().find(within) {
                times.push(session.opened);
            } else if self.own.is_empty() || !self.others.iter().any(|session| within(&session)) {
                times.push(at);
            }
            from = Some(at);
        }
        // What is not counted any more: the last attempt, or all of a relay that counts none.
        let mut before: Option<RunTime> = None;
        let mut opened: Option<RunTime> = None;
        let rest = self.own.iter().filter(|session| from.is_none_or(|from| session.opened > from));
        for session in rest.filter(|session| until.is_none_or(|until| session.opened <= until)) {
            let anew = opened.is_some_and(|last| self.attempts.interrupted(last, session.opened));
            if anew || before.is_none_or(|end| self.attempts.waited(self.submission, end, session.opened)) {
                times.push(session.opened);
            }
            opened = Some(session.opened);
            before = before.max(Some(ended(session)));
        }
        times
    }
}

/// When the listing showed another attempt.
fn counted(listed: &Listed<'_>) -> Vec<RunTime> {
    let mut times = Vec::new();
    let mut count = 0;
    let mut next: Option<RunTime> = None;
    // One without a reason that is not put off is just being tried.
    let over = |entry: &QueueEntry| entry.reason.is_some() || entry.next.is_some() || entry.held;
    for (at, entry) in listed.iter().filter(|(_, entry)| over(entry)) {
        let put_off = entry.attempts.unwrap_or(0) == 0
            && entry.next.is_some_and(|now| next.is_none_or(|before| now > before));
        if entry.attempts.unwrap_or(0) > count || put_off {
            times.push(*at);
        }
        count = count.max(entry.attempts.unwrap_or(0));
        next = entry.next.or(next);
    }
    times
}
