//! Expectations that cannot both hold: whatever a relay does, it breaks one of them.
//!
//! What is found here is sure: two counts with nothing in common, a server that is to be untouched and to take mail. Checks
//! in `any of` are not looked at, nor is what only a `may` asks for.

use mock_servers::script::Range;

use super::context::{Context, key_span};
use super::diagnostic::Diagnostic;
use super::model::{Check, Delivered, Expectation, Level, Message, Of, Wire, WireThing};
use super::yaml::Node;

/// Tells the expectations that contradict one before them.
pub(super) fn contradictions(list: &[(&Node, Expectation)], messages: &[Message], cx: &Context<'_>) {
    let binding: Vec<(&Node, &Check, Vec<Atom<'_>>)> = list
        .iter()
        .filter(|(_, expectation)| expectation.level != Level::May)
        .map(|(node, expectation)| (*node, &expectation.check, atoms(&expectation.check)))
        .collect();
    for (at, (node, check, own)) in binding.iter().enumerate() {
        let place = key_span(node, check.word());
        let within = own
            .iter()
            .enumerate()
            .find_map(|(n, one)| own[..n].iter().find_map(|other| conflict(other, one, messages)));
        if let Some(why) = within.or_else(|| in_one(own)) {
            cx.problems.push(
                Diagnostic::new(place.clone(), "an expectation that can never hold")
                    .because(why)
                    .help("no relay could pass; for one or the other: `any of: [...]`"),
            );
            continue;
        }
        let earlier = binding[..at].iter().find_map(|(node, check, other)| {
            let mut pairs = other.iter().flat_map(|one| own.iter().map(move |two| (one, two)));
            let why = pairs.find_map(|(one, two)| conflict(one, two, messages))?;
            Some((key_span(node, check.word()), why))
        });
        if let Some((first, why)) = earlier {
            cx.problems.push(
                Diagnostic::new(place, "two expectations that cannot both hold")
                    .because(why)
                    .also(first, "with this one")
                    .help("no relay could pass; for one or the other: `any of: [...]`"),
            );
        }
    }
}

/// A check that must hold by itself, or must not.
struct Atom<'a> {
    check: &'a Check,
    holds: bool,
    /// The message of the `each` around it.
    message: Option<&'a str>,
}

/// What an expectation comes to: the parts of `all of`, of `none of`, and what each submission must do.
fn atoms(check: &Check) -> Vec<Atom<'_>> {
    let mut found = Vec::new();
    collect(check, None, &mut found);
    found
}

fn collect<'a>(check: &'a Check, message: Option<&'a str>, found: &mut Vec<Atom<'a>>) {
    match check {
        Check::AllOf(list) => list.iter().for_each(|check| collect(check, message, found)),
        Check::NoneOf(list) => {
            found.extend(list.iter().map(|check| Atom { check, holds: false, message }));
        }
        Check::Each { message, check } => collect(check, Some(message), found),
        check => found.push(Atom { check, holds: true, message }),
    }
}

/// Why one thing alone can never hold.
fn in_one(atoms: &[Atom<'_>]) -> Option<&'static str> {
    atoms.iter().filter(|atom| atom.holds).find_map(|atom| match atom.check {
        Check::Wire(wire) => wires(wire, wire),
        _ => None,
    })
}

/// Why the two cannot both be; `None`: they can, as far as can be seen.
fn conflict(one: &Atom<'_>, two: &Atom<'_>, messages: &[Message]) -> Option<&'static str> {
    match (one.holds, two.holds) {
        (true, true) => both(one, two, messages).or_else(|| both(two, one, messages)),
        (true, false) => same_mail(one, two, messages, true).then(|| implied(one.check, two.check))?,
        (false, true) => same_mail(two, one, messages, true).then(|| implied(two.check, one.check))?,
        (false, false) => None,
    }
}

fn both(one: &Atom<'_>, two: &Atom<'_>, messages: &[Message]) -> Option<&'static str> {
    let mail = || same_mail(one, two, messages, false);
    match (one.check, two.check) {
        (Check::Delivered(a), Check::Delivered(b)) if mail() => deliveries(a, b),
        (Check::Returned(a), Check::Returned(b)) if mail() && apart(&a.times, &b.times) => {
            Some("how often it is returned is said in two ways")
        }
        (Check::Delayed { times: a, .. }, Check::Delayed { times: b, .. }) if mail() && apart(a, b) => {
            Some("how many warnings there are is said in two ways")
        }
        (Check::Notified { action: x, times: a, .. }, Check::Notified { action: y, times: b, .. })
            if x == y && mail() && apart(a, b) =>
        {
            Some("how many notifications there are is said in two ways")
        }
        (Check::Refused(_), Check::Delivered(b)) if some(&b.times) && mail() => {
            Some("mail that is refused is delivered to nobody")
        }
        (Check::Refused(_), Check::Queued(_)) if mail() => Some("mail that is refused is in no queue"),
        (Check::Untouched(server), Check::Delivered(b))
            if b.by.as_ref() == Some(server) && some(&b.times) =>
        {
            Some("no session with the server, and mail that it took")
        }
        (Check::Untouched(server), Check::Completed(other)) if server == other => {
            Some("no session with the server, and a dialogue that came to its end")
        }
        (Check::Untouched(server), Check::Wire(wire))
            if wire.at.as_ref() == Some(server)
                && (!wire.once.is_empty() || wire.sessions.as_ref().is_some_and(some)) =>
        {
            Some("no session with the server, and something that was seen there")
        }
        (Check::Wire(a), Check::Wire(b)) if a.at == b.at => wires(a, b),
        _ => None,
    }
}

fn deliveries(a: &Delivered, b: &Delivered) -> Option<&'static str> {
    // Copies that one server took are among all copies.
    let more = a.by.is_none() && b.times.from.zip(a.times.to).is_some_and(|(least, most)| least > most);
    if more || (a.by == b.by && apart(&a.times, &b.times)) {
        return Some("how many copies there are is said in two ways");
    }
    let same_copies = some(&b.times) && (a.by.is_none() || a.by == b.by);
    let differ = |apart: Option<bool>| apart == Some(true);
    if !same_copies {
        return None;
    }
    if differ(a.attempt.as_ref().zip(b.attempt.as_ref()).map(|(a, b)| apart(a, b))) {
        return Some("the attempt at which it is taken is said in two ways");
    }
    if differ(a.within.as_ref().zip(b.within.as_ref()).map(|(a, b)| apart(a, b))) {
        return Some("when it is taken is said in two ways");
    }
    let octets = differ(a.octets.zip(b.octets).map(|(a, b)| a != b));
    octets.then_some("its content cannot be 7-bit and 8-bit")
}

/// What is never there and at least once; numbers of sessions with nothing in common.
fn wires(a: &Wire, b: &Wire) -> Option<&'static str> {
    if a.never.iter().any(|never| b.once.iter().any(|once| covers(never, once))) {
        return Some("something that no session has, and one has");
    }
    let sessions = a.sessions.as_ref().zip(b.sessions.as_ref());
    if sessions.is_some_and(|(a, b)| apart(a, b)) {
        return Some("how many sessions there are is said in two ways");
    }
    let none = a.sessions.as_ref().is_some_and(|sessions| sessions.to == Some(0));
    (none && !b.once.is_empty()).then_some("no session, and something that one of them has")
}

/// Whether whoever sees `thing` sees this too.
fn covers(this: &WireThing, thing: &WireThing) -> bool {
    let begins = |words: &String, whole: &String| {
        let (words, whole) = (words.to_ascii_uppercase(), whole.to_ascii_uppercase());
        whole.strip_prefix(&words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    match (this, thing) {
        (WireThing::Command(words), WireThing::Command(whole) | WireThing::CommandInClear(whole))
        | (WireThing::CommandInClear(words), WireThing::CommandInClear(whole)) => begins(words, whole),
        (WireThing::EightBitContent, WireThing::EightBitContent) => true,
        _ => false,
    }
}

/// Why what must not hold does, where `holds` does.
fn implied(holds: &Check, not: &Check) -> Option<&'static str> {
    const WHY: &str = "what must not be holds wherever the other one does";
    let weaker = match (holds, not) {
        (Check::Delivered(a), Check::Delivered(b)) => {
            a.by == b.by
                && inside(&a.times, &b.times)
                && (b.attempt.is_none() || a.attempt == b.attempt)
                && (b.within.is_none() || a.within == b.within)
                && (b.octets.is_none() || a.octets == b.octets)
        }
        (Check::Returned(a), Check::Returned(b)) => {
            inside(&a.times, &b.times)
                && (b.status.is_empty() || a.status == b.status)
                && (b.within.is_none() || a.within == b.within)
                && (b.text.is_none() || a.text == b.text)
        }
        (Check::Refused(a), Check::Refused(b)) => {
            (b.at.is_none() || a.at == b.at) && (b.reply.is_none() || a.reply == b.reply)
        }
        (
            Check::Queued(_)
            | Check::Delayed { .. }
            | Check::Notified { .. }
            | Check::Wire(_)
            | Check::Untouched(_)
            | Check::Completed(_)
            | Check::Logged(_),
            _,
        ) => holds == not,
        _ => false,
    };
    weaker.then_some(WHY)
}

/// Whether two checks look at one recipient of one message; `all`: the first looks at all that the second looks at. True
/// where neither looks at mail.
fn same_mail(one: &Atom<'_>, two: &Atom<'_>, messages: &[Message], all: bool) -> bool {
    let (Some(a), Some(b)) = (of(one.check), of(two.check)) else {
        return of(one.check).is_none() == of(two.check).is_none();
    };
    let (first, second) = (one.message.or(a.message.as_deref()), two.message.or(b.message.as_deref()));
    if first != second {
        return false;
    }
    if a.to == b.to || a.to.is_none() {
        return true;
    }
    let Some(message) = messages.iter().find(|message| Some(message.name.as_str()) == first) else {
        return false;
    };
    let fits = |of: &Of, recipient: &String| of.to.as_ref().is_none_or(|to| to.matches(recipient));
    let mut theirs = message.to.iter().filter(|recipient| fits(b, recipient));
    if all { theirs.all(|recipient| fits(a, recipient)) } else { theirs.any(|recipient| fits(a, recipient)) }
}

fn of(check: &Check) -> Option<&Of> {
    match check {
        Check::Delivered(check) => Some(&check.of),
        Check::Returned(check) => Some(&check.of),
        Check::Refused(check) => Some(&check.of),
        Check::Queued(of) | Check::Delayed { of, .. } | Check::Notified { of, .. } => Some(of),
        _ => None,
    }
}

/// Whether there is one at least.
fn some(times: &Range<u64>) -> bool {
    times.from.is_some_and(|least| least > 0)
}

/// Whether nothing is in both.
fn apart<T: PartialOrd + Copy>(a: &Range<T>, b: &Range<T>) -> bool {
    let over = |from: Option<T>, to: Option<T>| from.zip(to).is_some_and(|(from, to)| from > to);
    over(a.from, b.to) || over(b.from, a.to)
}

/// Whether all of `a` is in `b`.
pub(super) fn inside<T: PartialOrd + Copy>(a: &Range<T>, b: &Range<T>) -> bool {
    let least = b.from.is_none_or(|least| a.from.is_some_and(|from| from >= least));
    let most = b.to.is_none_or(|most| a.to.is_some_and(|to| to <= most));
    least && most
}
