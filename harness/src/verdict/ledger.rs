//! The books: what became of each submission for each of its recipients.

use std::collections::BTreeSet;

use mock_servers::RunTime;
use mock_servers::transcript::{Side, Transaction};

use crate::record::conversation::acknowledged;
use crate::record::mail::normal;
use crate::record::{Accepted, Notification, Place, QueueEntry, Record, Submission};

/// Every unit, by submission and recipient.
pub(super) struct Ledger<'a> {
    pub(super) units: Vec<Unit<'a>>,
    /// Submissions of which a copy or notice came for someone that none of its recipients is: an alias, perhaps.
    pub(super) unclear: BTreeSet<usize>,
}

/// The unit of responsibility: a submission and one of its recipients.
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
pub(super) struct Reached<'a> {
    pub(super) place: Place,
    pub(super) at: RunTime,
    pub(super) acknowledged: bool,
    /// `None`: the server did not keep it.
    pub(super) kept: Option<&'a crate::record::Delivery>,
}

/// A notification about a unit.
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
    pub(super) fn of(record: &'a Record) -> Self {
        let mut ledger = Ledger { units: Vec::new(), unclear: BTreeSet::new() };
        for (index, submission) in record.submissions.iter().enumerate() {
            ledger.open(index, submission);
        }
        for delivery in record.deliveries.iter().chain(&record.let_go) {
            let kept = record.deliveries.iter().find(|d| d.place == delivery.place);
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
        ledger
    }

    fn open(&mut self, index: usize, submission: &'a Submission) {
        let first = self.units.len();
        for recipient in &submission.recipients {
            let accepted = usize::from(!matches!(recipient.fate, Accepted::No { .. }));
            let same = self.units[first..].iter_mut().find(|u| normal(u.to) == normal(&recipient.to));
            if let Some(unit) = same {
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
    }

    /// The submission's unit for one of these addresses. Where it has one recipient only, an address that was changed
    /// on the way can be no other's.
    fn unit(&mut self, submission: usize, addresses: &[&str]) -> Option<&mut Unit<'a>> {
        let mut units: Vec<&mut Unit<'a>> =
            self.units.iter_mut().filter(|unit| unit.submission == submission).collect();
        let found = units.iter().position(|unit| addresses.iter().any(|a| normal(a) == normal(unit.to)));
        let at = found.or((units.len() == 1).then_some(0))?;
        Some(units.swap_remove(at))
    }

    fn notify(&mut self, record: &'a Record, notification: &'a Notification) {
        let Some(submission) = notification.submission else { return };
        let sender = normal(&record.submissions[submission].from);
        if !notification.to.iter().any(|to| normal(to) == sender) {
            return;
        }
        let place = notification.place;
        let acknowledged = acknowledged(&record.sessions[place.session], place.transaction);
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
        let mut units: Vec<&mut Unit<'a>> =
            self.units.iter_mut().filter(|unit| unit.submission == submission).collect();
        let named = |unit: &Unit<'a>| text.contains(&normal(unit.to).to_lowercase());
        let names_any = units.iter().any(|unit| named(unit));
        for unit in &mut units {
            // one that names nobody can only be meant for those that have no other ending
            if if names_any { named(unit) } else { unit.copies.is_empty() } {
                unit.notices.push(Notice { notification, recipient: None, action, acknowledged });
            }
        }
    }

    fn queued(&mut self, record: &'a Record) {
        let Some(last) = record.queue.last() else { return };
        let mut used: BTreeSet<(usize, String)> = BTreeSet::new();
        // those without another ending first: an entry can account for one submission only
        for only_open in [true, false] {
            for unit in &mut self.units {
                let open =
                    !unit.copies.iter().any(|c| c.acknowledged) && unit.told("failed").next().is_none();
                if unit.queued.is_some() || only_open && !open {
                    continue;
                }
                let to = normal(unit.to);
                let entry = last.entries.iter().enumerate().find(|(index, entry)| {
                    normal(&entry.from) == normal(&unit.of.from)
                        && entry.recipients.iter().any(|r| normal(r) == to)
                        && !used.contains(&(*index, to.clone()))
                });
                if let Some((index, entry)) = entry {
                    used.insert((index, to));
                    unit.queued = Some(entry);
                }
            }
        }
    }

    /// Whether a notification for the sender of a submission was issued although none came to a mailbox: it is queued,
    /// or was tried with the null reverse-path.
    pub(super) fn issued_at_least(record: &Record, submission: &Submission) -> bool {
        let sender = normal(&submission.from);
        let tried = |transaction: &Transaction| {
            transaction.from.is_empty()
                && transaction.started >= submission.at
                && !transaction.taken
                && transaction.recipients.iter().any(|r| normal(&r.to) == sender)
        };
        let servers = record.sessions.iter().filter(|s| s.mock_is == Side::Server);
        let queued = |entry: &QueueEntry| {
            entry.from.is_empty() && entry.recipients.iter().any(|to| normal(to) == sender)
        };
        servers.flat_map(|s| &s.transactions).any(tried)
            || record.queue.last().is_some_and(|state| state.entries.iter().any(queued))
    }
}
