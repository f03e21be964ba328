//! `returned`, `delayed`, `notified`.

use std::time::Duration;

use mock_servers::script::{Glob, Range};

use super::mail::instead;
use super::{Look, Seen, in_time};
use crate::scenario::phrases::{count, counted, duration};
use crate::scenario::{Of, Returned};
use crate::verdict::ledger::{Notice, Unit};
use crate::verdict::{Evidence, transaction};

impl Look<'_> {
    pub(super) fn returned(&self, wanted: &Returned, only: Option<usize>) -> Seen {
        let units = match self.units(&wanted.of, only) {
            Ok(units) => units,
            Err(seen) => return seen,
        };
        let (units, doubt) = self.sure(units, |unit| few(unit.told("failed").count(), &wanted.times));
        let breach = |unit: &&Unit<'_>| {
            let failed: Vec<&Notice<'_>> = unit.told("failed").collect();
            if !wanted.times.contains(failed.len() as u64) {
                let required = counted(&wanted.times, "failed notification", "failed notifications");
                let got = if failed.is_empty() {
                    instead(unit)
                } else {
                    format!("was returned {}", count(failed.len(), "time", "times"))
                };
                let evidence = if failed.is_empty() { self.trail(unit) } else { self.shown(&failed) };
                return Some((format!("{} {got}; required {required}", self.name(unit, only)), evidence));
            }
            failed.iter().find_map(|notice| {
                let off = |what: String| {
                    let at = notice.notification.at;
                    Some((
                        format!("{} was returned at +{at} {what}", self.name(unit, only)),
                        self.shown(&[notice]),
                    ))
                };
                let status = status(notice);
                if !wanted.status.is_empty() && !wanted.status.iter().any(|glob| glob.matches(status)) {
                    let wanted: Vec<&str> = wanted.status.iter().map(|Glob(glob)| glob.as_str()).collect();
                    let status = if status.is_empty() { "no status" } else { status };
                    return off(format!("with {status}; required {}", wanted.join(" or ")));
                }
                let after = notice.notification.at.since(unit.of.at);
                if let Some(within) = wanted.within.filter(|range| !in_time(range, after)) {
                    return off(format!("; required {} after the submission", duration(&within)));
                }
                let text = wanted.text.as_deref().filter(|text| !says(notice, text))?;
                off(format!("in a text that does not say `{text}`"))
            })
        };
        let breaches: Vec<_> = units.iter().filter_map(breach).collect();
        match doubt.filter(|_| breaches.is_empty()) {
            Some(doubt) => Seen::unclear(doubt),
            None => Seen::unless(breaches, || self.summary(&units, "failed", only)),
        }
    }

    pub(super) fn notified(
        &self,
        of: &Of,
        only: Option<usize>,
        action: &str,
        times: &Range<u64>,
        text: Option<&str>,
        within: Option<&Range<Duration>>,
    ) -> Seen {
        let units = match self.units(of, only) {
            Ok(units) => units,
            Err(seen) => return seen,
        };
        let (units, doubt) = self.sure(units, |unit| few(told(unit, action).len(), times));
        let breach = |unit: &&Unit<'_>| {
            let told = told(unit, action);
            if !times.contains(told.len() as u64) {
                let required = counted(times, "notification", "notifications");
                let got = count(told.len(), "notification", "notifications");
                let why =
                    format!("{}: {got} that it is {action}; required {required}", self.name(unit, only));
                let evidence = if told.is_empty() { self.trail(unit) } else { self.shown(&told) };
                return Some((why, evidence));
            }
            let first = told.first()?;
            let at = first.notification.at;
            if let Some(within) = within.filter(|range| !in_time(range, at.since(unit.of.at))) {
                let required = duration(within);
                let why = format!(
                    "{}: the first came at +{at}; required {required} after it",
                    self.name(unit, only)
                );
                return Some((why, self.shown(&[first])));
            }
            let text = text.filter(|text| !told.iter().any(|notice| says(notice, text)))?;
            Some((format!("{}: no text says `{text}`", self.name(unit, only)), self.shown(&told)))
        };
        let breaches: Vec<_> = units.iter().filter_map(breach).collect();
        match doubt.filter(|_| breaches.is_empty()) {
            Some(doubt) => Seen::unclear(doubt),
            None => Seen::unless(breaches, || self.summary(&units, action, only)),
        }
    }

    fn shown(&self, notices: &[&Notice<'_>]) -> Vec<Evidence> {
        notices.iter().map(|notice| transaction(self.record, notice.notification.place)).collect()
    }

    fn summary(&self, units: &[&Unit<'_>], action: &str, only: Option<usize>) -> String {
        if let [unit] = units {
            let told = unit.notices.iter().filter(|n| n.action.eq_ignore_ascii_case(action));
            let told: Vec<String> =
                told.map(|n| format!("{action} at +{} ({})", n.notification.at, status(n))).collect();
            let told = if told.is_empty() {
                format!("no notification that it is {action}")
            } else {
                told.join(", ")
            };
            return format!("{}: {told}", self.name(unit, only));
        }
        format!("all {} recipients", units.len())
    }
}

/// The notices of this action that its sender had.
fn told<'u, 'n>(unit: &'u Unit<'n>, action: &str) -> Vec<&'u Notice<'n>> {
    unit.notices.iter().filter(|n| n.action.eq_ignore_ascii_case(action)).collect()
}

/// Whether that is less than is required.
fn few(told: usize, times: &Range<u64>) -> bool {
    times.from.is_some_and(|least| (told as u64) < least)
}

fn status<'n>(notice: &'n Notice<'_>) -> &'n str {
    notice.recipient.map_or("", |index| notice.notification.recipients[index].status.as_str())
}

/// Whether the text for people, or the diagnostic, holds this; without regard to case.
fn says(notice: &Notice<'_>, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let fields = notice.recipient.into_iter().flat_map(|index| &notice.notification.recipients[index].fields);
    let diagnostics = fields.filter(|(name, _)| name.eq_ignore_ascii_case("Diagnostic-Code"));
    let mut texts = std::iter::once(&notice.notification.text).chain(diagnostics.map(|(_, value)| value));
    let unfolded = |text: &String| text.to_lowercase().split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    texts.any(|text| text.to_lowercase().contains(&wanted) || unfolded(text).contains(&wanted))
}
