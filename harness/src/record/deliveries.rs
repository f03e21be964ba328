//! What the mock servers took, sorted into copies of submissions, notifications, and neither.

use mock_servers::transcript::{Reply, Session, Side, Transaction};

use super::tokens::Tokens;
use super::turns::Turns;
use super::{Accepted, Delivery, Notification, Place, Submission, mail, notification, submissions};

/// What was taken.
pub(super) struct Sorted {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) let_go: Vec<Delivery>,
    pub(super) notifications: Vec<Notification>,
    pub(super) strays: Vec<Place>,
}

/// Sorts every transaction that a mock server took, or acknowledged without keeping it; by time of taking.
pub(super) fn sort(sessions: &[Session], submissions: &[Submission]) -> Sorted {
    let tokens = Tokens::of(submissions);
    let mut sorted =
        Sorted { deliveries: Vec::new(), let_go: Vec::new(), notifications: Vec::new(), strays: Vec::new() };
    for (session, talk) in sessions.iter().enumerate().filter(|(_, s)| s.mock_is == Side::Server) {
        let turns = Turns::of(talk);
        for (transaction, mail) in talk.transactions.iter().enumerate() {
            let acknowledged = turns.acknowledged(talk, transaction);
            if !mail.taken && !acknowledged {
                continue;
            }
            let place = Place { session, transaction };
            let recipients = accepted(mail);
            match kind(mail, &recipients, submissions, &tokens, &sorted.deliveries) {
                Kind::Copy(submission) => {
                    let submission = among_alike(submission, mail, &recipients, submissions, &sorted);
                    let list = if mail.taken { &mut sorted.deliveries } else { &mut sorted.let_go };
                    list.push(Delivery {
                        place,
                        server: talk.mock.clone(),
                        at: mail.finished.unwrap_or(mail.started),
                        submission,
                        recipients,
                        attempt: 1,
                        acknowledged,
                        eight_bit: mail.content.iter().any(|b| *b > 127),
                    });
                }
                _ if !mail.taken => {}
                Kind::Notification => {
                    let notification = notification::read(place, talk, mail, recipients);
                    let told = |submission: usize| {
                        let says = |n: &&Notification| {
                            n.submission == Some(submission) && says_the_same(n, &notification)
                        };
                        sorted.notifications.iter().filter(says).count()
                    };
                    let submission = notification::about(&notification, mail, submissions, &tokens, told);
                    sorted.notifications.push(Notification { submission, ..notification });
                }
                Kind::Stray => sorted.strays.push(place),
            }
        }
    }
    sorted.deliveries.sort_by_key(|d| (d.at, d.place));
    sorted.notifications.sort_by_key(|n| (n.at, n.place));
    sorted
}

/// A client may come back with the same mail, and without a token nothing tells which of the two a copy is of: it is of
/// the one whose recipients have the fewest copies yet.
fn among_alike(
    found: usize,
    mail: &Transaction,
    recipients: &[String],
    submissions: &[Submission],
    sorted: &Sorted,
) -> usize {
    let copies = |submission: &usize| {
        let of = sorted.deliveries.iter().chain(&sorted.let_go).filter(|d| d.submission == *submission);
        of.flat_map(|d| &d.recipients)
            .filter(|to| recipients.iter().any(|r| mail::normal(r) == mail::normal(to)))
            .count()
    };
    let may_be = |submission: &usize| {
        let s = &submissions[*submission];
        let refused = s.recipients.iter().all(|r| matches!(r.fate, Accepted::No { .. }));
        !refused && s.at <= mail.started && submissions::resembles(s, mail, recipients)
    };
    if submissions[found].token.is_some() {
        return found;
    }
    (0..submissions.len()).filter(may_be).min_by_key(copies).unwrap_or(found)
}

/// The recipients that the server accepted, as they stood in RCPT.
pub(super) fn accepted(mail: &Transaction) -> Vec<String> {
    let accepted = mail.recipients.iter().filter(|r| r.reply.as_ref().is_some_and(Reply::is_positive));
    accepted.map(|r| r.to.clone()).collect()
}

/// Whether two notifications tell the same of the same recipients.
fn says_the_same(one: &Notification, other: &Notification) -> bool {
    let said = |n: &Notification| -> Vec<(String, String)> {
        n.recipients.iter().map(|r| (mail::normal(&r.to), r.action.clone())).collect()
    };
    said(one) == said(other)
}

enum Kind {
    Copy(usize),
    Notification,
    Stray,
}

/// A token in the header is decisive: no notification has the original's header for its own. One in the body alone may
/// as well stand in a returned original. Of submissions that are the same, nobody can tell which one came: the one that came
/// the least often yet.
fn kind(
    mail: &Transaction,
    recipients: &[String],
    submissions: &[Submission],
    tokens: &Tokens<'_>,
    deliveries: &[Delivery],
) -> Kind {
    let (fields, _) = mail::split(&mail.content);
    if let Some(submission) = tokens.in_header(&fields) {
        return Kind::Copy(submission);
    }
    let by_resemblance = || {
        let alike = (0..submissions.len())
            .filter(|&at| submissions[at].at <= mail.started)
            .filter(|&at| submissions::resembles(&submissions[at], mail, recipients));
        let came = |at: &usize| {
            let to_the_same = |d: &&Delivery| d.recipients.iter().any(|to| recipients.contains(to));
            deliveries.iter().filter(|d| d.submission == *at).filter(to_the_same).count()
        };
        alike.min_by_key(came)
    };
    if mail.from.is_empty() || notification::is_report(&fields) {
        // a message of the scenario with the null reverse-path, whose header was lost
        let own =
            by_resemblance().filter(|s| !notification::is_report(&fields) && submissions[*s].from.is_empty());
        return own.map_or(Kind::Notification, Kind::Copy);
    }
    if let Some(submission) = tokens.in_body(&mail.content) {
        let to_sender = |to: &String| mail::normal(to) == mail::normal(&submissions[submission].from);
        let to_recipient = |to: &String| {
            submissions[submission].recipients.iter().any(|r| mail::normal(&r.to) == mail::normal(to))
        };
        let came_back = recipients.iter().any(to_sender) && !recipients.iter().any(to_recipient);
        return if came_back { Kind::Notification } else { Kind::Copy(submission) };
    }
    by_resemblance().map_or(Kind::Stray, Kind::Copy)
}
