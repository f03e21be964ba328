//! Checks and ranges in words.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use mock_servers::script::Range;
use mock_servers::time::human;

use super::model::{Check, Delivered, Octets, Of, Refused, Wire, WireThing};

/// What a check requires, for an expectation that does not say it itself.
pub fn of(check: &Check) -> String {
    match check {
        Check::Delivered(delivered) => delivery(delivered),
        Check::Returned(returned) => {
            let status: Vec<&str> = returned.status.iter().map(|glob| glob.0.as_str()).collect();
            let status =
                if status.is_empty() { String::new() } else { format!(" with {}", status.join(" or ")) };
            let (text, within) = (saying(returned.text.as_ref()), after(returned.within.as_ref()));
            let subject = subject(&returned.of);
            match (returned.times.from, returned.times.to) {
                (_, Some(0)) => format!("does not return {subject}"),
                (Some(1), Some(1)) => format!("returns {subject}{status}{text}{within}"),
                _ => {
                    let times = counted(&returned.times, "notification", "notifications");
                    format!("returns {subject} in {times}{status}{text}{within}")
                }
            }
        }
        Check::Refused(refused) => format!("refuses {}: {}", subject(&refused.of), refusal(refused)),
        Check::Queued(of) => format!("keeps {} in its queue", subject(of)),
        Check::Delayed { of, times, text, within } => {
            let times = counted(times, "delay warning", "delay warnings");
            let within = Some(within).filter(|within| within.from.is_some() || within.to.is_some());
            format!("sends {times} about {}{}{}", subject(of), saying(text.as_ref()), after(within))
        }
        Check::Notified { of, action, times } => {
            let notices = counted(times, "notification", "notifications");
            format!("sends {notices} that {} is {action}", subject(of))
        }
        Check::Wire(wire) => on_the_wire(wire),
        Check::Untouched(server) => format!("stays away from {server}"),
        Check::Completed(mock) => format!("goes through the dialogue of {mock}"),
        Check::Logged(pattern) => format!("logs `{}`", pattern.0),
        Check::AnyOf(checks) => joined(checks, " or "),
        Check::AllOf(checks) => joined(checks, " and "),
        Check::NoneOf(checks) => format!("does none of: {}", joined(checks, ", ")),
        Check::Each { message, check } => format!("for each submission of {message}: {}", of(check)),
    }
}

fn joined(checks: &[Check], with: &str) -> String {
    let one = |check: &Check| match check {
        // What is made of several is held together.
        Check::AnyOf(list) | Check::AllOf(list) if list.len() > 1 && checks.len() > 1 => {
            format!("({})", of(check))
        }
        Check::NoneOf(_) | Check::Each { .. } if checks.len() > 1 => format!("({})", of(check)),
        check => of(check),
    };
    checks.iter().map(one).collect::<Vec<_>>().join(with)
}

fn saying(text: Option<&String>) -> String {
    text.map_or_else(String::new, |text| format!(", in a text that says `{text}`"))
}

fn after(within: Option<&Range<Duration>>) -> String {
    within.map_or_else(String::new, |range| format!(", {} after the submission", duration(range)))
}

fn subject(of: &Of) -> String {
    let message = of.message.as_deref().unwrap_or("it");
    of.to.as_ref().map_or_else(|| message.to_owned(), |to| format!("{message} to {}", to.0))
}

fn delivery(wanted: &Delivered) -> String {
    let never = wanted.times.to == Some(0);
    let mut words =
        format!("{} {}", if never { "does not deliver" } else { "delivers" }, subject(&wanted.of));
    if wanted.times != Range::exactly(1) && !never {
        let _ = write!(words, " in {}", counted(&wanted.times, "copy", "copies"));
    }
    if let Some(by) = &wanted.by {
        let _ = write!(words, " to {by}");
    }
    if let Some(attempt) = &wanted.attempt {
        let _ = write!(words, " at attempt {}", range(attempt));
    }
    if let Some(wanted) = wanted.octets {
        let _ = write!(words, " in {} octets", octets(wanted));
    }
    if wanted.dkim_intact {
        words += " with its signature intact";
    }
    words + &after(wanted.within.as_ref())
}

fn on_the_wire(wire: &Wire) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(wire.first.as_ref().map(|first| format!("begins with {first}")));
    words.extend(wire.never.iter().map(|never| format!("never sends {}", thing(never))));
    words.extend(wire.once.iter().map(|once| format!("sends {}", thing(once))));
    words.extend(
        wire.sessions.as_ref().map(|range| format!("makes {}", counted(range, "session", "sessions"))),
    );
    words.extend(wire.gap.as_ref().map(|range| format!("comes back {} later", duration(range))));
    let at = wire.at.as_ref().map_or_else(String::new, |at| format!(" to {at}"));
    format!("{}{at}", words.join(", "))
}

/// `BDAT`, `MAIL in clear`, `8-bit content`.
pub fn thing(thing: &WireThing) -> String {
    match thing {
        WireThing::Command(words) => words.clone(),
        WireThing::CommandInClear(words) => format!("{words} in clear"),
        WireThing::EightBitContent => "8-bit content".to_owned(),
    }
}

/// `at RCPT with 5*`.
pub fn refusal(wanted: &Refused) -> String {
    let at = wanted.at.as_ref().map_or_else(|| "anywhere".to_owned(), |at| format!("at {at}"));
    let reply = wanted.reply.as_ref().map_or("4yz or 5yz", |glob| glob.0.as_str());
    format!("{at} with {reply}")
}

/// `7-bit`.
pub fn octets(octets: Octets) -> &'static str {
    match octets {
        Octets::SevenBit => "7-bit",
        Octets::EightBit => "8-bit",
    }
}

/// `1`, `2 to 4`, `2 or more`, `at most 4`.
pub fn range<T: Display + PartialEq>(range: &Range<T>) -> String {
    match (&range.from, &range.to) {
        (Some(from), Some(to)) if from == to => from.to_string(),
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("{from} or more"),
        (None, Some(to)) => format!("at most {to}"),
        (None, None) => "any number".to_owned(),
    }
}

/// `exactly 4h`, `at least 30m`, `at most 5m`, `1h to 2h`.
pub fn duration(range: &Range<Duration>) -> String {
    match (range.from, range.to) {
        (Some(from), Some(to)) if from == to => format!("exactly {}", human(from)),
        (Some(from), Some(to)) => format!("{} to {}", human(from), human(to)),
        (Some(from), None) => format!("at least {}", human(from)),
        (None, Some(to)) => format!("at most {}", human(to)),
        (None, None) => "any time".to_owned(),
    }
}

/// `1 copy`, `2 or more copies`, `no copy`.
pub fn counted(wanted: &Range<u64>, one: &str, many: &str) -> String {
    match (wanted.from, wanted.to) {
        (_, Some(0)) => format!("no {one}"),
        (Some(1), Some(1)) => format!("1 {one}"),
        _ => format!("{} {many}", range(wanted)),
    }
}

/// `1 copy`, `3 copies`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
