//! `delivered`, `refused`, `queued`.

use mock_servers::time::human;
use mock_servers::transcript::{Side, Transaction};

use super::{Breach, Look, Seen, in_time};
use crate::record::dkim;
use crate::record::mail::normal;
use crate::record::{Accepted, Delivery};
use crate::scenario::phrases::{self, count, counted, duration};
use crate::scenario::{Delivered, Octets, Of, Refused};
use crate::verdict::ledger::Unit;
use crate::verdict::{Evidence, transaction, whole};

impl Look<'_> {
    pub(super) fn delivered(&self, wanted: &Delivered, only: Option<usize>) -> Seen {
        let units = match self.units(&wanted.of, only) {
            Ok(units) => units,
            Err(seen) => return seen,
        };
        let breaches = units.iter().filter_map(|unit| self.not_delivered(wanted, unit, only)).collect();
        Seen::unless_any(breaches, || {
            if let [unit] = units[..] {
                let copies: Vec<String> = unit.kept().map(|copy| place(unit, copy)).collect();
                return format!("{}: {}", self.name(unit, only), nothing_or(&copies));
            }
            format!("all {} recipients", units.len())
        })
    }

    fn not_delivered<'s>(
        &'s self,
        wanted: &Delivered,
        unit: &'s Unit<'_>,
        only: Option<usize>,
    ) -> Option<Breach<'s>> {
        let by = |copy: &&Delivery| wanted.by.as_ref().is_none_or(|by| *by == copy.server);
        let copies: Vec<&Delivery> = unit.kept().filter(by).collect();
        if !wanted.times.contains(copies.len() as u64) {
            let required = counted(&wanted.times, "copy", "copies");
            let by = wanted.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            let got = if copies.is_empty() {
                instead(unit)
            } else {
                format!("got {} ({})", count(copies.len(), "copy", "copies"), places(unit, &copies))
            };
            let evidence = move || {
                if copies.is_empty() {
                    return self.trail(unit);
                }
                copies.iter().map(|copy| transaction(self.record, copy.place)).collect()
            };
            let why = format!("{} {got}; required {required}{by}", self.name(unit, only));
            return Some((why, Box::new(evidence)));
        }
        for copy in &copies {
            let seen = place(unit, copy);
            let place = copy.place;
            let off = |required: String| -> Option<Breach<'s>> {
                let why = format!("{} was delivered {seen}; required {required}", self.name(unit, only));
                Some((why, Box::new(move || vec![transaction(self.record, place)])))
            };
            if let Some(attempt) = wanted.attempt.filter(|range| !range.contains(u64::from(copy.attempt))) {
                return off(format!("attempt {}", phrases::range(&attempt)));
            }
            let eight_bit = if copy.eight_bit { Octets::EightBit } else { Octets::SevenBit };
            if let Some(octets) = wanted.octets.filter(|octets| *octets != eight_bit) {
                return off(format!("{} octets", phrases::octets(octets)));
            }
            let after = copy.at.since(unit.of.at);
            if let Some(within) = wanted.within.filter(|range| !in_time(range, after)) {
                return off(format!("{} after the submission", duration(&within)));
            }
            if wanted.dkim_intact
                && let Some(domain) =
                    self.scenario.message(&unit.of.message).and_then(crate::scenario::Message::signing_domain)
            {
                let content = &self.record.sessions[place.session].transactions[place.transaction].content;
                if let Err(why) = dkim::verify(content, &domain) {
                    return off(format!("a DKIM signature of {domain} that verifies: {why}"));
                }
            }
        }
        None
    }

    /// Where a person would look to see why a unit came to nothing: the last session that tried it, what its sender was
    /// told, its submission.
    pub(super) fn trail(&self, unit: &Unit<'_>) -> Vec<Evidence> {
        let tried = |t: &Transaction| {
            t.started >= unit.of.at
                && normal(&t.from) == normal(&unit.of.from)
                && t.recipients.iter().any(|r| normal(&r.to) == normal(unit.to))
        };
        let mut latest_first = self.record.sessions.iter().enumerate().rev();
        let last = latest_first.find(|(_, s)| s.mock_is == Side::Server && s.transactions.iter().any(tried));
        // without a transaction, the last session with a server of the domain may tell why it never came to one
        let domain = crate::record::mail::domain(unit.to);
        let aimed = || {
            let serving = |s: &&crate::scenario::Server| {
                s.serves.iter().any(|serves| serves.domain.eq_ignore_ascii_case(&domain))
                    || self.scenario.relay.smarthost.as_deref() == Some(s.script.name.as_str())
            };
            let servers: Vec<&str> =
                self.scenario.servers.iter().filter(serving).map(|s| s.script.name.as_str()).collect();
            let mut sessions = self.record.sessions.iter().enumerate().rev();
            sessions.find(|(_, s)| s.mock_is == Side::Server && servers.contains(&s.mock.as_str()))
        };
        let mut trail: Vec<Evidence> =
            last.or_else(aimed).map(|(index, _)| whole(self.record, index)).into_iter().collect();
        trail.extend(unit.notices.last().map(|notice| transaction(self.record, notice.notification.place)));
        if trail.is_empty() || matches!(unit.fate, Accepted::No { .. }) {
            trail.extend(unit.of.place.map(|place| transaction(self.record, place)));
        }
        trail
    }

    pub(super) fn refused(&self, wanted: &Refused, only: Option<usize>) -> Seen {
        let units = match self.units(&wanted.of, only) {
            Ok(units) => units,
            Err(seen) => return seen,
        };
        let breach = |unit: &&Unit<'_>| {
            let submitted = || {
                unit.of.place.map(|place| self.ledger.transaction(self.record, place)).into_iter().collect()
            };
            match unit.fate {
                Accepted::No { at, reply: Some(reply) } => {
                    let place_fits = wanted.at.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(at));
                    let code = reply.split(' ').next().unwrap_or_default();
                    let reply_fits = wanted.reply.as_ref().map_or_else(
                        || code.starts_with(['4', '5']),
                        |glob| glob.matches(code) || glob.matches(reply),
                    );
                    let required = phrases::refusal(wanted);
                    (!place_fits || !reply_fits).then(|| {
                        (
                            format!(
                                "{} was refused at {at}: {reply}; required {required}",
                                self.name(unit, only)
                            ),
                            submitted(),
                        )
                    })
                }
                Accepted::No { at, reply: None } => Some((
                    format!("{}: the connection ended at {at} without a refusal", self.name(unit, only)),
                    submitted(),
                )),
                Accepted::Yes => Some((format!("{} was accepted", self.name(unit, only)), submitted())),
                Accepted::InDoubt => Some((
                    format!("{}: the relay's final reply never came", self.name(unit, only)),
                    submitted(),
                )),
            }
        };
        let breaches = units.iter().filter_map(breach).collect();
        Seen::unless(breaches, || {
            let first = units.first().map_or_else(String::new, |unit| instead(unit));
            if units.len() == 1 {
                format!("{} {first}", self.name(units[0], only))
            } else {
                format!("each recipient {first}")
            }
        })
    }

    pub(super) fn queued(&self, of: &Of, only: Option<usize>) -> Seen {
        let units = match self.units(of, only) {
            Ok(units) => units,
            Err(seen) => return seen,
        };
        let breach = |unit: &&Unit<'_>| {
            unit.queued.is_none().then(|| {
                (
                    format!("{} is not in the queue: it {}", self.name(unit, only), instead(unit)),
                    self.trail(unit),
                )
            })
        };
        Seen::unless(units.iter().filter_map(breach).collect(), || "in the queue".to_owned())
    }
}

/// What became of a unit that was not delivered.
pub(super) fn instead(unit: &Unit<'_>) -> String {
    if let Accepted::No { at, reply } = unit.fate {
        let reply = reply.as_deref().unwrap_or("the connection ended");
        return format!("was refused at {at}: {reply}");
    }
    if let Some(failed) = unit.told("failed").next() {
        let status =
            failed.recipient.map_or("", |index| failed.notification.recipients[index].status.as_str());
        return format!("was returned at +{} ({status})", failed.notification.at);
    }
    let copies: Vec<&Delivery> = unit.kept().collect();
    if !copies.is_empty() {
        return format!("was delivered {}", places(unit, &copies));
    }
    if let Some(entry) = unit.queued {
        let reason = entry.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let held = if entry.held { "held in the queue" } else { "still in the queue" };
        let after = entry.attempts.map(|attempts| count(attempts as usize, "attempt", "attempts"));
        return format!(
            "is {held}{}{reason}",
            after.map_or_else(String::new, |after| format!(" after {after}"))
        );
    }
    if let Some(last) = unit.notices.last() {
        return format!("has no ending but a notice that it is {} at +{}", last.action, last.notification.at);
    }
    if unit.copies.iter().any(|copy| copy.kept.is_none()) {
        return "was handed to a server that did not keep it".to_owned();
    }
    if *unit.fate == Accepted::InDoubt {
        return "is in doubt: the relay's final reply was never read, and nothing came of it".to_owned();
    }
    "has no ending: no server has it, no notification came, it is not in the queue".to_owned()
}

/// `by hub at attempt 3 (+45m), 7-bit`.
fn place(unit: &Unit<'_>, copy: &Delivery) -> String {
    let bits = if copy.eight_bit { "8-bit" } else { "7-bit" };
    let after = human(copy.at.since(unit.of.at));
    format!("by {} at attempt {} (+{after}), {bits}", copy.server, copy.attempt)
}

fn places(unit: &Unit<'_>, copies: &[&Delivery]) -> String {
    copies.iter().map(|copy| place(unit, copy)).collect::<Vec<_>>().join(", ")
}

fn nothing_or(copies: &[String]) -> String {
    if copies.is_empty() { "not delivered".to_owned() } else { copies.join(", ") }
}
