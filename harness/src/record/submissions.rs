//! What was submitted, and for what the relay took responsibility.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mock_servers::transcript::{Session, Side, Transaction};

use super::conversation::{Asked, conversation};
use super::{Accepted, Forwarded, Place, Sent, Submission, SubmittedRecipient, mail, tokens};

/// What the lab sent, then what dialogue clients sent by themselves; by time.
pub(super) fn of(sessions: &[Session], sent: Vec<Sent>) -> Vec<Submission> {
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    let mut clients: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    for (index, session) in sessions.iter().enumerate().filter(|(_, s)| s.mock_is == Side::Client) {
        clients.entry((session.mock.as_str(), session.ordinal)).or_insert(index);
    }
    let servers: BTreeSet<&str> =
        sessions.iter().filter(|s| s.mock_is == Side::Server).map(|s| s.mock.as_str()).collect();
    let mut submissions = Vec::new();
    for sent in sent {
        let session = sent
            .session
            .as_ref()
            .and_then(|(mock, ordinal)| clients.get(&(mock.as_str(), *ordinal)).copied());
        let place = session.and_then(|session| {
            let next = used.entry(session).or_default();
            let place = Place { session, transaction: *next };
            let there = sessions[session].transactions.get(*next)?;
            *next += usize::from(there.started >= sent.at);
            (there.started >= sent.at).then_some(place)
        });
        submissions.push(by_lab(sessions, sent, session, place));
    }
    for (session, talk) in sessions.iter().enumerate() {
        if talk.mock_is != Side::Client || used.contains_key(&session) {
            continue;
        }
        for transaction in 0..talk.transactions.len() {
            let place = Place { session, transaction };
            let submission = by_dialogue(talk, place);
            submissions.push(if servers.contains(talk.mock.as_str()) {
                let by = talk.mock.clone();
                let message = format!("mail forwarded by {by}");
                Submission { message, forwarded: Some(Forwarded { by, of: None }), ..submission }
            } else {
                submission
            });
        }
    }
    let mut copies: BTreeMap<String, u32> = BTreeMap::new();
    for submission in submissions.iter_mut().filter(|s| s.copy == 0) {
        let copy = copies.entry(submission.message.clone()).or_default();
        *copy += 1;
        submission.copy = *copy;
    }
    submissions.sort_by_key(|s| s.at);
    trace_back(sessions, &mut submissions);
    submissions
}

/// Finds what forwarded mail was before.
fn trace_back(sessions: &[Session], submissions: &mut [Submission]) {
    let original = |forwarded: &Submission| {
        let place = forwarded.place?;
        let transaction = &sessions[place.session].transactions[place.transaction];
        let recipients: Vec<String> = forwarded.recipients.iter().map(|r| r.to.clone()).collect();
        submissions.iter().position(|s| {
            s.forwarded.is_none()
                && if s.token.is_some() {
                    s.token == forwarded.token
                } else {
                    !transaction.content.is_empty() && resembles(s, transaction, &recipients)
                }
        })
    };
    let of: Vec<Option<usize>> =
        submissions.iter().map(|s| s.forwarded.as_ref().and_then(|_| original(s))).collect();
    for (submission, of) in submissions.iter_mut().zip(of) {
        if let Some(forwarded) = &mut submission.forwarded {
            forwarded.of = of;
        }
    }
}

fn by_lab(sessions: &[Session], sent: Sent, session: Option<usize>, place: Option<Place>) -> Submission {
    let transaction = place.map(|p| &sessions[p.session].transactions[p.transaction]);
    // an address may be given twice; its replies come in order
    let mut given: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
    for (index, recipient) in transaction.iter().flat_map(|t| t.recipients.iter().enumerate()) {
        given.entry(recipient.to.as_str()).or_default().push_back(index);
    }
    let unsaid = session.map(|s| &sessions[s]).filter(|_| transaction.is_none());
    let before_mail = refused_before_mail(unsaid);
    let recipient = |(to, parameters): (String, Vec<String>)| {
        let index = given.get_mut(to.as_str()).and_then(VecDeque::pop_front);
        let fate = match transaction {
            Some(transaction) => fate(transaction, index),
            None => before_mail.clone(),
        };
        let parameters = match (transaction, index) {
            (Some(transaction), Some(index)) => &transaction.recipients[index].parameters,
            _ => &parameters,
        };
        SubmittedRecipient { to, notify: notify(parameters), fate }
    };
    let recipients = sent.recipients.into_iter().map(recipient).collect();
    Submission {
        message: sent.message,
        copy: sent.copy,
        // a content that was given whole may have one of its own
        token: sent.token.or_else(|| tokens::written_in(&sent.content)),
        place,
        at: sent.at,
        from: sent.from,
        recipients,
        left_out: sent.left_out,
        content: sent.content,
        forwarded: None,
    }
}

fn by_dialogue(session: &Session, place: Place) -> Submission {
    let transaction = &session.transactions[place.transaction];
    let recipient = |(index, r): (usize, &mock_servers::transcript::Recipient)| SubmittedRecipient {
        to: r.to.clone(),
        notify: notify(&r.parameters),
        fate: fate(transaction, Some(index)),
    };
    Submission {
        message: session.mock.clone(),
        copy: 0,
        token: tokens::written_in(&transaction.content),
        place: Some(place),
        at: transaction.started,
        from: transaction.from.clone(),
        recipients: transaction.recipients.iter().enumerate().map(recipient).collect(),
        left_out: Vec::new(),
        content: transaction.content.clone(),
        forwarded: None,
    }
}

fn notify(parameters: &[String]) -> Vec<String> {
    let value = parameters.iter().find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.eq_ignore_ascii_case("NOTIFY").then(|| value.to_ascii_uppercase())
    });
    value.map_or_else(Vec::new, |value| value.split(',').map(str::to_owned).collect())
}

/// RFC 5321 section 4.2.5, 6.1: responsibility begins with the 2yz after the end of data.
fn fate(transaction: &Transaction, recipient: Option<usize>) -> Accepted {
    let no = |at: &str, reply: Option<String>| Accepted::No { at: at.to_owned(), reply };
    match &transaction.mail_reply {
        Some(reply) if reply.is_positive() => {}
        reply => return no("MAIL", reply.as_ref().map(mock_servers::transcript::Reply::text)),
    }
    let recipient = recipient.and_then(|index| transaction.recipients.get(index));
    match recipient.and_then(|r| r.reply.as_ref()) {
        Some(reply) if reply.is_positive() => {}
        reply => return no("RCPT", reply.map(mock_servers::transcript::Reply::text)),
    }
    if let Some(reply) = transaction.data_reply.as_ref().filter(|reply| reply.code / 100 != 3) {
        return no("DATA", Some(reply.text()));
    }
    match &transaction.final_reply {
        Some(reply) if reply.is_positive() => Accepted::Yes,
        Some(reply) => no("end-of-data", Some(reply.text())),
        None if transaction.ended => Accepted::InDoubt,
        None if transaction.data_reply.is_some() => no("end-of-data", None),
        None => no("DATA", None),
    }
}

/// Where a client that never came to MAIL was stopped: the last thing that it asked, QUIT and RSET apart.
fn refused_before_mail(session: Option<&Session>) -> Accepted {
    let Some(session) = session else { return Accepted::No { at: "connect".to_owned(), reply: None } };
    let talk = conversation(session);
    let last = talk.exchanges.iter().rev().find(|e| !matches!(e.verb().as_str(), "QUIT" | "RSET"));
    let at = match last {
        Some(exchange) if exchange.asked == Asked::Command => exchange.verb(),
        Some(exchange) if exchange.asked == Asked::Challenge => "AUTH".to_owned(),
        _ => "connect".to_owned(),
    };
    Accepted::No { at, reply: last.and_then(|e| e.reply.as_ref()).map(|answer| answer.reply.text()) }
}

/// A shorter body is found at the end of too many mails.
const LEAST_ALIKE: usize = 32;

/// Whether a copy that carries no token can be one of this submission, which carries none either: the same
/// reverse-path, no recipient that is not its own, and a body that says the same, or ends with what was one: a relay for
/// which a header ends at the first line that is none makes body of the rest.
pub(super) fn resembles(submission: &Submission, copy: &Transaction, recipients: &[String]) -> bool {
    if submission.token.is_some() || mail::normal(&submission.from) != mail::normal(&copy.from) {
        return false;
    }
    let own: BTreeSet<String> = submission.recipients.iter().map(|r| mail::normal(&r.to)).collect();
    let body = mail::split(&submission.content).1.trim_ascii();
    let ends_alike = || body.len() >= LEAST_ALIKE && copy.content.trim_ascii_end().ends_with(body);
    recipients.iter().all(|to| own.contains(&mail::normal(to)))
        && (mail::leaves(&submission.content) == mail::leaves(&copy.content) || ends_alike())
}
