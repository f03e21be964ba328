//! At which attempt a copy was delivered.
//!
//! An attempt is one try over all hosts of the domain: the next MX, and a reconnect with HELO or in the clear, belong to
//! it. Between two attempts the mail waits in the queue. Where the relay's listing says when it tries next, that is what
//! tells them apart; where it does not, more than [`PAUSE`] between two sessions does. A relay that was killed or restarted
//! between two sessions has begun another attempt.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::{Session, Side, Transaction};

use super::conversation::ended;
use super::{Delivery, QueueEntry, QueueState, StepDone, Submission, mail, tokens};

/// Longer than any host of a domain lets the next one wait, connection timeouts apart.
const PAUSE: Duration = Duration::from_mins(1);

/// What attempts are counted by.
pub(super) struct Attempts<'a> {
    sessions: &'a [Session],
    /// What the content of each session's transactions says it is; read once, since every copy is held against all.
    marks: Vec<Vec<Option<Mark>>>,
    queue: &'a [QueueState],
    serves: &'a [(String, String)],
    /// When the relay was killed or restarted.
    interruptions: Vec<RunTime>,
    /// Sessions by what may make them a try for a mail, so that of many mails not each is held against all sessions.
    by_trait: HashMap<Trait, Vec<usize>>,
}

/// What a session with a server shows of the mail that it was opened for.
#[derive(PartialEq, Eq, Hash)]
enum Trait {
    /// The token in the content.
    Token(String),
    /// Reverse-path and forward-path where no content came; no forward-path where MAIL was refused.
    Envelope(String, Option<String>),
    /// Nothing but the server.
    Server(String),
}

/// What a content says that it is.
struct Mark {
    token: String,
    /// How often a server had forwarded it, by the id of the last time.
    round: Option<String>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        sessions: &'a [Session],
        queue: &'a [QueueState],
        serves: &'a [(String, String)],
        steps: &[StepDone],
    ) -> Self {
        let mark = |transaction: &Transaction| {
            let token = tokens::written_in(&transaction.content)?;
            Some(Mark { token, round: round(&transaction.content) })
        };
        let marks: Vec<Vec<Option<Mark>>> =
            sessions.iter().map(|session| session.transactions.iter().map(mark).collect()).collect();
        let interrupts = |step: &&StepDone| step.step.starts_with("kill") || step.step.starts_with("restart");
        let interruptions = steps.iter().filter(interrupts).map(|step| step.began).collect();
        let by_trait = by_trait(sessions, &marks);
        Self { sessions, marks, queue, serves, interruptions, by_trait }
    }

    /// The sessions that were tries for this submission to this domain, in order.
    pub(super) fn tries(&self, submission: &Submission, domain: &str) -> Vec<&'a Session> {
        let from = mail::normal(&submission.from);
        let mut traits: Vec<Trait> = submission.token.iter().cloned().map(Trait::Token).collect();
        traits.push(Trait::Envelope(from.clone(), None));
        let to = submission.recipients.iter().map(|r| mail::normal(&r.to));
        traits.extend(to.map(|to| Trait::Envelope(from.clone(), Some(to))));
        let serving =
            self.serves.iter().filter(|(_, served)| served == "*" || served.eq_ignore_ascii_case(domain));
        traits.extend(serving.map(|(server, _)| Trait::Server(server.clone())));
        let candidates: BTreeSet<usize> =
            traits.iter().filter_map(|one| self.by_trait.get(one)).flatten().copied().collect();
        let domains = [domain.to_owned()];
        let named = |t: &Transaction| {
            t.recipients.is_empty() || t.recipients.iter().any(|to| mail::domain(&to.to) == domain)
        };
        let is_for = |at: &usize| {
            let session = &self.sessions[*at];
            (session.transactions.is_empty() || session.transactions.iter().any(named))
                && self.is_for(session, &self.marks[*at], submission, &domains)
        };
        candidates.into_iter().filter(is_for).map(|at| &self.sessions[at]).collect()
    }

    /// The attempt's number for the destination of this copy, from 1.
    pub(super) fn of(&self, submission: &Submission, delivery: &Delivery) -> u32 {
        let domains: Vec<String> = delivery.recipients.iter().map(|to| mail::domain(to)).collect();
        let delivering = &self.sessions[delivery.place.session];
        let until_then = self.sessions[..=delivery.place.session].iter().zip(&self.marks);
        let tries = until_then.filter(|(session, marks)| {
            session.mock_is == Side::Server
                && ended(session) >= submission.at
                && (std::ptr::eq(*session, delivering) || self.is_for(session, marks, submission, &domains))
        });
        let mut number = 0;
        let mut before: Option<RunTime> = None;
        let mut opened: Option<RunTime> = None;
        for (session, _) in tries {
            let waited = before.is_none_or(|end| self.waited(submission, end, session.opened));
            // A relay that was stopped meanwhile has begun anew, whatever it says and however long a session was open.
            let anew = opened.is_some_and(|last| self.interrupted(last, session.opened));
            number += u32::from(waited || anew);
            opened = Some(session.opened);
            before = before.max(Some(ended(session)));
        }
        number.max(self.listed_before(submission, delivering.opened) + 1)
    }

    /// Whether the relay was killed or restarted between two sessions.
    pub(super) fn interrupted(&self, last: RunTime, opened: RunTime) -> bool {
        self.interruptions.iter().any(|at| last <= *at && *at <= opened)
    }

    /// Whether a session was a try for this submission to one of these domains.
    fn is_for(
        &self,
        session: &Session,
        marks: &[Option<Mark>],
        submission: &Submission,
        domains: &[String],
    ) -> bool {
        if session.transactions.is_empty() {
            return session.opened >= submission.at
                && self.serves.iter().any(|(server, domain)| {
                    *server == session.mock && (domain == "*" || domains.contains(&domain.to_lowercase()))
                });
        }
        let mut transactions = session.transactions.iter().zip(marks);
        transactions.any(|(transaction, mark)| is_of(transaction, mark.as_ref(), submission, domains))
    }

    /// Whether the mail lay in the queue between two sessions.
    pub(super) fn waited(&self, submission: &Submission, end: RunTime, opened: RunTime) -> bool {
        let states = self.queue.iter().filter(|state| state.at <= opened);
        let in_between = states.clone().filter(|state| state.at >= end);
        let mut relevant: Vec<&QueueState> = in_between.collect();
        relevant.extend(states.clone().next_back());
        let waits = |state: &&QueueState| {
            entries(state, submission)
                .any(|entry| entry.next.is_some_and(|next| next > state.at && next > end))
        };
        if opened.since(end) > Duration::ZERO && relevant.iter().any(waits) {
            return true;
        }
        // Nothing has put it off yet: the first attempt is still going on, however long a host may hang.
        let under_way = |state: &&QueueState| {
            entries(state, submission)
                .any(|entry| entry.attempts.is_some() && entry.next.is_none() && entry.reason.is_none())
        };
        if self.queue.iter().rfind(|state| state.at < opened).as_ref().is_some_and(under_way) {
            return false;
        }
        let says_when = self.queue.iter().flat_map(|state| &state.entries).any(|entry| entry.next.is_some());
        let listed = relevant.iter().any(|state| entries(state, submission).next().is_some());
        !(says_when && listed) && opened.since(end) > PAUSE
    }

    /// Attempts that the relay itself counted and that were over: those of which no session tells, because no
    /// connection came about.
    fn listed_before(&self, submission: &Submission, opened: RunTime) -> u32 {
        // One that has a reason and no time for the next attempt counts attempts that are over, too: it waits for a queue run.
        let over =
            |entry: &&QueueEntry, at: RunTime| entry.next.map_or(entry.reason.is_some(), |next| next > at);
        let states = self.queue.iter().filter(|state| state.at < opened && state.at >= submission.at);
        let counts = states.flat_map(|state| {
            entries(state, submission)
                .filter(move |entry| over(entry, state.at))
                .filter_map(|entry| entry.attempts)
        });
        counts.max().unwrap_or(0)
    }
}

/// Which sessions with servers have which trait.
fn by_trait(sessions: &[Session], marks: &[Vec<Option<Mark>>]) -> HashMap<Trait, Vec<usize>> {
    let mut by_trait: HashMap<Trait, Vec<usize>> = HashMap::new();
    let servers = sessions.iter().enumerate().filter(|(_, session)| session.mock_is == Side::Server);
    for (index, session) in servers {
        let mut has = Vec::new();
        if session.transactions.is_empty() {
            has.push(Trait::Server(session.mock.clone()));
        }
        for (transaction, mark) in session.transactions.iter().zip(&marks[index]) {
            let from = mail::normal(&transaction.from);
            has.extend(mark.as_ref().map(|mark| Trait::Token(mark.token.clone())));
            let to = transaction.recipients.iter().map(|r| Some(mail::normal(&r.to)));
            let none = transaction.recipients.is_empty().then_some(None);
            has.extend(to.chain(none).map(|to| Trait::Envelope(from.clone(), to)));
        }
        for one in has {
            by_trait.entry(one).or_default().push(index);
        }
    }
    by_trait
}

/// The queue entries that can be this submission's: by its reverse-path, a recipient, and its time of arrival.
pub(super) fn entries<'a>(
    state: &'a QueueState,
    submission: &'a Submission,
) -> impl Iterator<Item = &'a QueueEntry> {
    state.entries.iter().filter(|entry| {
        let own = |to: &String| submission.recipients.iter().any(|r| mail::normal(&r.to) == mail::normal(to));
        mail::normal(&entry.from) == mail::normal(&submission.from)
            && entry.recipients.iter().any(own)
            && entry.arrived.since(submission.at) <= PAUSE
            && submission.at.since(entry.arrived) <= PAUSE
    })
}

fn round(content: &[u8]) -> Option<String> {
    tokens::forward_of(&mail::split(content).0)
}

/// Whether a transaction was about this submission: by its token where content came, else by the envelope.
fn is_of(
    transaction: &Transaction,
    mark: Option<&Mark>,
    submission: &Submission,
    domains: &[String],
) -> bool {
    if let (Some(mark), Some(own)) = (mark, &submission.token) {
        return mark.token == *own
            && mark.round == round(&submission.content)
            && !transaction.from.is_empty() | submission.from.is_empty();
    }
    let to = |to: &str| {
        domains.contains(&mail::domain(to))
            && submission.recipients.iter().any(|r| mail::normal(&r.to) == mail::normal(to))
    };
    transaction.started >= submission.at
        && mail::normal(&transaction.from) == mail::normal(&submission.from)
        && (transaction.recipients.is_empty() || transaction.recipients.iter().any(|r| to(&r.to)))
}
