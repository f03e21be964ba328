//! What hangs on times that a relay has of its own, where the scenario has others and the relay cannot be told them.
//!
//! Only what can be seen to hang on them is excused. A time between attempts matters where mail waited for another attempt,
//! and a timeout where a reply was long in coming; and a requirement that is broken with all its times left out (another
//! server, another status, no ending at all) is broken by no schedule.

use std::time::Duration;

use mock_servers::script::Range;
use mock_servers::transcript::{Session, Side, What};

use super::{Look, Seen, State, When};
use crate::record::conversation::{Asked, Exchange, conversation};
use crate::record::{OwnTime, Record};
use crate::scenario::{Check, Delivered, RelaySettings, Returned, Wire};

/// A reply that comes sooner meets no client's patience.
const LONG: Duration = Duration::from_mins(1);

impl Look<'_> {
    /// A breach that hangs on how long the relay waits, by one that cannot be told what the scenario has of that. What holds
    /// at its own times too, holds.
    pub(super) fn past_times_of_its_own(&self, check: &Check, when: When, seen: Seen) -> Seen {
        if seen.state != State::Broken {
            return seen;
        }
        let mut matter: Vec<&OwnTime> = self
            .record
            .relay
            .own_times
            .iter()
            .filter(|own| matters(own, &self.scenario.relay, self.record))
            .collect();
        let of = |retry: bool| matter.iter().any(|own| is_retry(own) == retry);
        if matter.is_empty() {
            return seen;
        }
        if when == When::AtTheEnd {
            let own =
                Own { retries: of(true), timeouts: of(false), settings: &self.scenario.relay, look: self };
            let without = self.at(&own.left_out(check), None);
            if without.state == State::Broken {
                return without;
            }
        }
        // Who gives up waiting for a reply tries again for that reason.
        matter.sort_by_key(|own| is_retry(own));
        let why: Vec<&str> = matter.iter().map(|own| own.why.as_str()).collect();
        Seen::unclear(format!("{}; {}", why.join("; "), seen.why))
    }
}

/// Whether the relay waits between attempts by a time of its own.
pub(in crate::verdict) fn own_retries(record: &Record) -> bool {
    record.relay.own_times.iter().any(is_retry)
}

fn is_retry(own: &OwnTime) -> bool {
    own.setting.starts_with("retry ")
}

/// Whether something came about in the run that took long enough for this time to tell. A scenario that asks for no more
/// patience than RFC 5321 section 4.5.3.2 does has every relay wait as long, told or not.
fn matters(own: &OwnTime, settings: &RelaySettings, record: &Record) -> bool {
    if is_retry(own) {
        let put_off = record.queue.iter().flat_map(|state| &state.entries).any(|entry| entry.next.is_some());
        return put_off
            || record.timelines.iter().any(|timeline| timeline.attempts.len() > 1 || timeline.queued);
    }
    let (asked, least) = match own.setting.as_str() {
        "greeting timeout" => (settings.greeting_timeout, Duration::from_mins(5)),
        "command timeout" => (settings.command_timeout, Duration::from_mins(5)),
        _ => (settings.end_of_data_timeout, Duration::from_mins(10)),
    };
    let long = asked.filter(|asked| *asked <= least).unwrap_or(LONG);
    let servers = record.sessions.iter().filter(|session| session.mock_is == Side::Server);
    servers.into_iter().any(|session| {
        let talk = conversation(session);
        let of_this = |exchange: &&Exchange| timeout_of(exchange) == own.setting;
        talk.exchanges.iter().filter(of_this).any(|exchange| waited(exchange, session, record) >= long)
    })
}

/// The setting that says how long the reply may take.
fn timeout_of(exchange: &Exchange) -> &'static str {
    let last_chunk = || exchange.verb() == "BDAT" && exchange.line.to_ascii_uppercase().ends_with(" LAST");
    match exchange.asked {
        Asked::Greeting => "greeting timeout",
        Asked::Content { .. } => "end of data timeout",
        Asked::Command if last_chunk() => "end of data timeout",
        Asked::Command | Asked::Challenge => "command timeout",
    }
}

/// How long the reply took, or how long there was none.
fn waited(exchange: &Exchange, session: &Session, record: &Record) -> Duration {
    let closed = session.events.iter().find(|event| matches!(event.what, What::Closed { .. }));
    let given_up = || closed.map_or(record.end.at, |event| event.at);
    exchange.reply.as_ref().map_or_else(given_up, |answer| answer.at).since(exchange.at)
}

/// Which kinds of time are the relay's own, and what the scenario has for them.
struct Own<'a> {
    retries: bool,
    timeouts: bool,
    settings: &'a RelaySettings,
    look: &'a Look<'a>,
}

impl Own<'_> {
    /// A check without what hangs on these times. What is left is at most as much as was asked for.
    fn left_out(&self, check: &Check) -> Check {
        let each = |checks: &[Check]| checks.iter().map(|check| self.left_out(check)).collect::<Vec<_>>();
        match check {
            Check::Delivered(delivered) => Check::Delivered(self.delivered(delivered)),
            Check::Returned(returned) => {
                Check::Returned(Returned { within: self.within(returned.within), ..returned.clone() })
            }
            Check::Delayed { of, times, text, within } => Check::Delayed {
                of: of.clone(),
                times: *times,
                text: text.clone(),
                within: self.within(Some(*within)).unwrap_or(Range { from: None, to: None }),
            },
            Check::Wire(wire) => {
                Check::Wire(Wire { gap: None, sessions: self.sessions(wire), ..wire.clone() })
            }
            Check::AnyOf(checks) => Check::AnyOf(each(checks)),
            Check::AllOf(checks) => Check::AllOf(each(checks)),
            // That something is not so is less when less is said of it: one that changes goes.
            Check::NoneOf(checks) => {
                let stays = |check: &&Check| self.left_out(check) == **check;
                Check::NoneOf(checks.iter().filter(stays).cloned().collect())
            }
            Check::Each { message, check } => {
                Check::Each { message: message.clone(), check: Box::new(self.left_out(check)) }
            }
            Check::Refused(_)
            | Check::Queued(_)
            | Check::Notified { .. }
            | Check::Untouched(_)
            | Check::Completed(_)
            | Check::Logged(_) => check.clone(),
        }
    }

    fn delivered(&self, delivered: &Delivered) -> Delivered {
        let first_alone = |attempt: &Range<u64>| *attempt == Range::exactly(1);
        let attempt = delivered.attempt.filter(|attempt| !self.timeouts && first_alone(attempt));
        // Who gives up waiting for the reply to the dot sends another copy.
        let most = delivered.times.to.filter(|_| !self.timeouts);
        let times = Range { from: delivered.times.from, to: most };
        Delivered { within: self.within(delivered.within), attempt, times, ..delivered.clone() }
    }

    /// What must be so before a second attempt is due is so at the first one, whenever the second one comes.
    fn within(&self, within: Option<Range<Duration>>) -> Option<Range<Duration>> {
        let first = self.settings.retry_first?;
        let to = within?.to.filter(|to| *to <= first && !self.timeouts)?;
        Some(Range { from: None, to: Some(to) })
    }

    /// So many sessions that the scenario's own waits would have brought too many are too many.
    fn sessions(&self, wire: &Wire) -> Option<Range<u64>> {
        let range = wire.sessions.filter(|_| !self.timeouts)?;
        let longest = self.settings.retry_at_most?;
        let here = |session: &&Session| match &wire.at {
            Some(mock) => session.mock == *mock,
            None => session.mock_is == Side::Server,
        };
        let opened: Vec<_> = self.look.record.sessions.iter().filter(here).map(|s| s.opened).collect();
        let (first, last) = (opened.iter().min()?, opened.iter().max()?);
        let at_least = 1 + last.since(*first).as_secs() / longest.as_secs().max(1);
        (self.retries && range.to.is_some_and(|most| at_least > most))
            .then_some(Range { from: None, to: range.to })
    }
}
