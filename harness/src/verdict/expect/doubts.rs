//! What looks like a breach and need not be the relay's doing.

use super::{Look, Seen, State};

use crate::record::mail::normal;
use crate::record::{Notification, Submission};
use crate::scenario::Check;
use crate::verdict::ledger::Unit;

impl<'a> Look<'a> {
    /// A breach by mail that went without a parameter which the scenario asks for, since the relay does not offer it: what
    /// is required may hang on that parameter. What holds without it, holds.
    pub(super) fn past_what_was_left_out(&self, check: &Check, seen: Seen) -> Seen {
        if seen.state != State::Broken {
            return seen;
        }
        let mut messages = Vec::new();
        let by_name = named(check, &mut messages);
        let concerns = |s: &&Submission| !by_name || messages.contains(&s.message.as_str());
        let mut lacking = self.record.submissions.iter().filter(|s| !s.left_out.is_empty()).filter(concerns);
        match lacking.next() {
            Some(submission) => Seen::unclear(format!(
                "{} was left out of {}, for the relay does not offer it; {}",
                submission.left_out.join(" "),
                submission.message,
                seen.why
            )),
            None => seen,
        }
    }

    /// Mail that lacks something, parted into what lacks it without a doubt and the reason for doubt about the others: a
    /// notification that came to the sender, or a mail that came to the recipient, and may be what is missing.
    pub(super) fn sure(
        &self,
        units: Vec<&'a Unit<'a>>,
        lacks: impl Fn(&Unit<'_>) -> bool,
    ) -> (Vec<&'a Unit<'a>>, Option<String>) {
        let mut doubt = None;
        let is_sure = |unit: &&Unit<'_>| {
            let why = if lacks(unit) { self.doubt(unit) } else { None };
            let sure = why.is_none();
            doubt = doubt.take().or(why);
            sure
        };
        (units.into_iter().filter(is_sure).collect(), doubt)
    }

    fn doubt(&self, unit: &Unit<'_>) -> Option<String> {
        let may_be_about = |n: &&Notification| {
            let names = |to: &str| normal(to) == normal(unit.to);
            n.submission.is_none()
                && n.at >= unit.of.at
                && n.to.iter().any(|to| normal(to) == normal(&unit.of.from))
                && (n.recipients.is_empty()
                    || n.recipients.iter().any(|r| names(&r.to) || r.original.as_deref().is_some_and(names)))
        };
        let notification = self.record.notifications.iter().find(may_be_about)?;
        let (server, at) = (&notification.server, notification.at);
        Some(format!("it cannot be told which mail the notification is about that {server} took at +{at}"))
    }
}

/// The messages that a check speaks of; `false`: it may be about any.
fn named<'a>(check: &'a Check, messages: &mut Vec<&'a str>) -> bool {
    let of = match check {
        Check::Delivered(delivered) => &delivered.of,
        Check::Returned(returned) => &returned.of,
        Check::Refused(refused) => &refused.of,
        Check::Queued(of) | Check::Delayed { of, .. } | Check::Notified { of, .. } => of,
        Check::Wire(_) | Check::Untouched(_) | Check::Completed(_) | Check::Logged(_) => return false,
        Check::AnyOf(checks) | Check::AllOf(checks) | Check::NoneOf(checks) => {
            return checks.iter().all(|check| named(check, messages));
        }
        Check::Each { message, .. } => {
            messages.push(message);
            return true;
        }
    };
    messages.extend(of.message.as_deref());
    of.message.is_some()
}
