//! The books: what became of each submission for each of its recipients.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mock_servers::RunTime;
use mock_servers::transcript::Side;

use super::Evidence;
use crate::record::mail::{domain, normal};
use crate::record::turns::Turns;
use crate::record::{Accepted, Notification, Place, QueueEntry, QueueState, Record, Submission};
use crate::scenario::Scenario;

/// Every unit, by submission and recipient.
pub(super) struct Ledger<'a> {
    pub(super) units: Vec<Unit<'a>>,
    /// The units as expectations see them: mail that a server forwarded is the same mail further on.
    pub(super) mails: Vec<Unit<'a>>,
    /// Submissions of which a copy or notice came for someone that none of its recipients is: an alias, perhaps.
    pub(super) unclear: BTreeSet<usize>,
    /// Submissions for whose sender a notification was issued although none came to a mailbox.
    issued: BTreeSet<usize>,
    /// The unit of each submission and normal address.
    by_address: BTreeMap<(usize, String), usize>,
    /// The units of each submission, which follow one another.
    of_submission: Vec<Range<usize>>,
    /// Where the transactions of sessions stand, once one of them was looked for.
    turns: RefCell<BTreeMap<usize, Turns>>,
}

/// The unit of responsibility: a submission and one of its recipients.
#[derive(Clone)]
pub(super) struct Unit<'a> {
    /// Index into [`Record::submissions`].
    pub(super) submission: usize,
    pub(super) of: &'a Submission,
    /// The forward-path.
    pub(super) to: &'a str,
    /// How many times the relay accepted it: an address may be given twice.
    pub(super) accepted: usize,
    pub(super) fate: &'a Accepted,
    pub(super) notify: &'a [String],
    /// Copies for it, by time.
    pub(super) copies: Vec<Reached<'a>>,
    /// Notifications about it that came to its sender, by time.
    pub(super) notices: Vec<Notice<'a>>,
    /// Its entry in the relay's queue at the end of the run.
    pub(super) queued: Option<&'a QueueEntry>,
}

/// A copy that reached a server.
#[derive(Clone)]
pub(super) struct Reached<'a> {
    pub(super) place: Place,
    pub(super) at: RunTime,
    pub(super) acknowledged: bool,
    /// `None`: the server did not keep it.
    pub(super) kept: Option<&'a crate::record::Delivery>,
}

/// A notification about a unit.
#[derive(Clone)]
pub(super) struct Notice<'a> {
    pub(super) notification: &'a Notification,
    /// Index into [`Notification::recipients`]; `None`: it has no fields for it.
    pub(super) recipient: Option<usize>,
    pub(super) action: &'a str,
    pub(super) acknowledged: bool,
}

impl<'a> Unit<'a> {
    /// Copies that a server kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = &'a crate::record::Delivery> + '_ {
        self.copies.iter().filter_map(|copy| copy.kept)
    }

    /// Notices of this action.
    pub(super) fn told(&self, action: &'a str) -> impl Iterator<Item = &Notice<'a>> {
        self.notices.iter().filter(move |notice| notice.action == action)
    }

    /// Whether a failure may end in silence: null sender, NOTIFY=NEVER, NOTIFY without FAILURE
    /// (RFC 5321 section 6.1, RFC 3461 section 5.2.6).
    pub(super) fn may_be_dropped(&self) -> bool {
        self.of.from.is_empty()
            || !self.notify.is_empty() && !self.notify.iter().any(|word| word == "FAILURE")
    }

    /// `note to u1@hub.example`.
    pub(super) fn name(&self, record: &Record) -> String {
        format!("{} to {}", submission_name(record, self.of), self.to.trim())
    }
}

/// The message's name, and which submission of it where there are several.
pub(super) fn submission_name(record: &Record, of: &Submission) -> String {
    let several = record.submissions.iter().filter(|s| s.message == of.message).count() > 1;
    if several { format!("{} (submission {})", of.message, of.copy) } else { of.message.clone() }
}

impl<'a> Ledger<'a> {
    /// Draws the books up.
    pub(super) fn of(scenario: &Scenario, record: &'a Record) -> Self {
        let mut ledger = Ledger {
            units: Vec::new(),
            mails: Vec::new(),
            unclear: BTreeSet::new(),
            issued: issued(scenario, record),
            by_address: BTreeMap::new(),
            of_submission: Vec::new(),
            turns: RefCell::default(),
        };
        for (index, submission) in record.submissions.iter().enumerate() {
            ledger.open(index, submission);
        }
        let kept = record.deliveries.iter().map(|delivery| (delivery, Some(delivery)));
        for (delivery, kept) in kept.chain(record.let_go.iter().map(|delivery| (delivery, None))) {
            for to in &delivery.recipients {
                let copy = Reached {
                    place: delivery.place,
                    at: delivery.at,
                    acknowledged: delivery.acknowledged,
                    kept,
                };
                match ledger.unit(delivery.submission, &[to]) {
                    Some(unit) => unit.copies.push(copy),
                    None => _ = ledger.unclear.insert(delivery.submission),
                }
            }
        }
        for unit in &mut ledger.units {
            unit.copies.sort_by_key(|copy| (copy.at, copy.place));
        }
        for notification in &record.notifications {
            ledger.notify(record, notification);
        }
        ledger.queued(record);
        ledger.mails = ledger.follow_forwarded();
        ledger
    }

    fn open(&mut self, index: usize, submission: &'a Submission) {
        let first = self.units.len();
        for recipient in &submission.recipients {
            let accepted = usize::from(!matches!(recipient.fate, Accepted::No { .. }));
            let next = self.units.len();
            let at = *self.by_address.entry((index, normal(&recipient.to))).or_insert(next);
            if let Some(unit) = self.units.get_mut(at) {
                if unit.accepted == 0 {
                    unit.fate = &recipient.fate;
                }
                unit.accepted += accepted;
                continue;
            }
            self.units.push(Unit {
                submission: index,
                of: submission,
                to: &recipient.to,
                accepted,
                fate: &recipient.fate,
                notify: &recipient.notify,
                copies: Vec::new(),
                notices: Vec::new(),
                queued: None,
            });
        }
        self.of_submission.push(first..self.units.len());
    }

    /// The submission's unit for one of these addresses. Where it has one recipient only, an address that was changed
    /// on the way can be no other's.
    fn unit(&mut self, submission: usize, addresses: &[&str]) -> Option<&mut Unit<'a>> {
        let units = self.of_submission.get(submission)?;
        let found = addresses.iter().filter_map(|a| self.by_address.get(&(submission, normal(a))));
        let at = found.min().copied().or((units.len() == 1).then_some(units.start))?;
        self.units.get_mut(at)
    }

    fn notify(&mut self, record: &'a Record, notification: &'a Notification) {
        let Some(submission) = notification.submission else { return };
        let sender = normal(&record.submissions[submission].from);
        // a sender without a domain may have been completed
        let completed = |to: &str| {
            !sender.is_empty() && domain(&sender).is_empty() && to.starts_with(&format!("{sender}@"))
        };
        if !notification.to.iter().map(|to| normal(to)).any(|to| to == sender || completed(&to)) {
            return;
        }
        let place = notification.place;
        let session = &record.sessions[place.session];
        let acknowledged = self.turns(record, place, |turns| turns.acknowledged(session, place.transaction));
        for (index, recipient) in notification.recipients.iter().enumerate() {
            let addresses: Vec<&str> = [Some(recipient.to.as_str()), recipient.original.as_deref()]
                .into_iter()
                .flatten()
                .filter(|address| !address.is_empty())
                .collect();
            let action = recipient.action.as_str();
            let notice = Notice { notification, recipient: Some(index), action, acknowledged };
            match self.unit(submission, &addresses) {
                Some(unit) => unit.notices.push(notice),
                None => _ = self.unclear.insert(submission),
            }
        }
        if notification.recipients.is_empty() {
            self.notify_by_text(submission, notification, acknowledged);
        }
    }

    /// A notification without fields (their form is a SHOULD, RFC 5321 section 3.6.3) ends those that it speaks of.
    fn notify_by_text(&mut self, submission: usize, notification: &'a Notification, acknowledged: bool) {
        let text = notification.text.to_lowercase();
        let warns =
            ["delay", "warning"].iter().any(|word| notification.subject.to_lowercase().contains(word));
        let action = if warns { "delayed" } else { "failed" };
        let words: BTreeSet<&str> =
            text.split(between_words).map(|word| word.trim_end_matches('.')).collect();
        let named = |unit: &Unit<'a>| {
            let address = normal(unit.to).to_lowercase();
            words.contains(address.as_str()) || address.contains(between_words) && text.contains(&address)
        };
        let Some(units) =
            self.of_submission.get(submission).and_then(|range| self.units.get_mut(range.clone()))
        else {
            return;
        };
        let named: Vec<bool> = units.iter().map(named).collect();
        let names_any = named.contains(&true);
        for (unit, named) in units.iter_mut().zip(named) {
            // one that names nobody can only be meant for those that have no other ending
            if if names_any { named } else { unit.copies.is_empty() } {
                unit.notices.push(Notice { notification, recipient: None, action, acknowledged });
            }
        }
    }

    fn queued(&mut self, record: &'a Record) {
        let Some(last) = record.queue.last() else { return };
        let mut entries: BTreeMap<(String, String), Vec<&QueueEntry>> = BTreeMap::new();
        for entry in last.entries.iter().rev() {
            let recipients: BTreeSet<String> = entry.recipients.iter().map(|to| normal(to)).collect();
            for to in recipients {
                entries.entry((normal(&entry.from), to)).or_default().push(entry);
            }
        }
        // those without another ending first: an entry can account for one submission only
        for only_open in [true, false] {
            for unit in &mut self.units {
                let open =
                    !unit.copies.iter().any(|c| c.acknowledged) && unit.told("failed").next().is_none();
                if unit.queued.is_some() || only_open && !open {
                    continue;
                }
                let left = entries.get_mut(&(normal(&unit.of.from), normal(unit.to)));
                unit.queued = left.and_then(Vec::pop);
            }
        }
    }

    /// Each unit of what a client submitted, with what became of it in the hands of servers that forwarded it.
    fn follow_forwarded(&self) -> Vec<Unit<'a>> {
        let (forwarded, own): (Vec<_>, Vec<_>) =
            self.units.iter().partition(|unit| unit.of.forwarded.is_some());
        let mut mails: Vec<Unit<'a>> = own.into_iter().cloned().collect();
        for later in forwarded {
            let of = later.of.forwarded.as_ref().and_then(|forwarded| forwarded.of);
            let same =
                |unit: &&mut Unit<'_>| Some(unit.submission) == of && normal(unit.to) == normal(later.to);
            let Some(unit) = mails.iter_mut().find(same) else { continue };
            unit.copies.extend(later.copies.iter().cloned());
            unit.copies.sort_by_key(|copy| (copy.at, copy.place));
            unit.notices.extend(later.notices.iter().cloned());
            unit.notices.sort_by_key(|notice| (notice.notification.at, notice.notification.place));
            unit.queued = unit.queued.or(later.queued);
            if matches!(later.fate, Accepted::No { .. }) {
                unit.fate = later.fate;
            }
        }
        mails
    }

    /// Whether a notification for the sender of a submission was issued although none came to a mailbox.
    pub(super) fn issued_at_least(&self, submission: usize) -> bool {
        self.issued.contains(&submission)
    }

    /// A transaction as evidence.
    pub(super) fn transaction(&self, record: &Record, place: Place) -> Evidence {
        Evidence {
            session: place.session,
            events: self.turns(record, place, |turns| turns.events(place.transaction)),
        }
    }

    fn turns<T>(&self, record: &Record, place: Place, ask: impl FnOnce(&Turns) -> T) -> T {
        let mut turns = self.turns.borrow_mut();
        ask(turns.entry(place.session).or_insert_with(|| Turns::of(&record.sessions[place.session])))
    }
}

/// What cannot stand in an address without quotes, or stands before it: `to=a@b`.
fn between_words(c: char) -> bool {
    c.is_whitespace() || "<>()[]{},;:\"'`=|".contains(c)
}

/// Submissions for whose sender a notification was queued and never came to its mailbox, or was tried with the null
/// reverse-path and not taken. What becomes of it then is nobody's duty (RFC 5321 section 4.5.5).
fn issued(scenario: &Scenario, record: &Record) -> BTreeSet<usize> {
    let mut latest: BTreeMap<String, RunTime> = BTreeMap::new();
    let mut note = |to: String, at: RunTime| {
        let latest = latest.entry(to).or_insert(at);
        *latest = at.max(*latest);
    };
    let serves = |server: &str, domain: &str| {
        let mut servers = scenario.servers.iter().filter(|s| s.script.name == server);
        servers.any(|s| s.serves.iter().any(|serves| serves.domain.eq_ignore_ascii_case(domain)))
            || scenario.relay.smarthost.as_deref() == Some(server)
    };
    let senders: BTreeSet<String> = record.submissions.iter().map(|s| normal(&s.from)).collect();
    for session in record.sessions.iter().filter(|s| s.mock_is == Side::Server) {
        for tried in session.transactions.iter().filter(|t| t.from.is_empty() && !t.taken) {
            for recipient in &tried.recipients {
                note(normal(&recipient.to), tried.started);
            }
            // the null reverse-path itself was refused, or nothing came after it
            if tried.recipients.is_empty() {
                for sender in senders.iter().filter(|sender| serves(&session.mock, &domain(sender))) {
                    note(sender.clone(), tried.started);
                }
            }
        }
    }
    for (to, at) in never_arrived(record) {
        note(to, at);
    }
    let is_issued =
        |(_, s): &(usize, &Submission)| latest.get(&normal(&s.from)).is_some_and(|latest| *latest >= s.at);
    record.submissions.iter().enumerate().filter(is_issued).map(|(index, _)| index).collect()
}

/// Notifications that were listed in the queue and left it for no mailbox, or are still there: to whom, and when they
/// were listed last.
fn never_arrived(record: &Record) -> Vec<(String, RunTime)> {
    let mut never = Vec::new();
    let null = |state: &'_ QueueState| -> BTreeSet<(String, String)> {
        let null = state.entries.iter().filter(|entry| entry.from.is_empty());
        null.flat_map(|e| e.recipients.iter().map(|to| (normal(to), e.id.clone()))).collect()
    };
    let mut states = record.queue.iter().peekable();
    while let Some(state) = states.next() {
        let Some(next) = states.peek() else {
            never.extend(null(state).into_iter().map(|(to, _)| (to, record.end.at)));
            break;
        };
        let still = null(next);
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        for (to, _) in null(state).difference(&still) {
            *left.entry(to.clone()).or_default() += 1;
        }
        for (to, gone) in left {
            let came = record.notifications.iter().filter(|n| n.at >= state.at && n.at <= next.at);
            let arrived = came.filter(|n| n.to.iter().any(|other| normal(other) == to)).count();
            if arrived < gone {
                never.push((to, state.at));
            }
        }
    }
    never
}
