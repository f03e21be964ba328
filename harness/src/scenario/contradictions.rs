//! Expectations that cannot both hold: whatever a relay does, it breaks one of them.
//!
//! What is found here is sure: two counts with nothing in common, a server that is to be untouched and to take mail. Checks
//! in `any of` are not looked at, nor is what only a `may` asks for.

use mock_servers::script::{Action, Glob, Range, Script};

use super::context::{Context, key_span};
use super::model::{
    Check, Delivered, Expectation, Level, Message, Octets, Of, Refused, Returned, Scenario, Step, Wire,
    WireThing,
};
use super::reach;
use crate::yaml::{Diagnostic, Node};

/// Tells the expectations that contradict one before them.
pub(super) fn contradictions(list: &[(&Node, Expectation)], scenario: &Scenario, cx: &Context<'_>) {
    let course = Course::of(scenario);
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
            .find_map(|(n, one)| own[..n].iter().find_map(|other| conflict(other, one, &course)));
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
            let why = pairs.find_map(|(one, two)| conflict(one, two, &course))?;
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

/// What can become of mail in a scenario, as far as contradictions go.
struct Course<'a> {
    messages: &'a [Message],
    /// A server may submit mail to the relay again.
    comes_back: bool,
    /// Where a server keeps mail, the relay is told so: nothing but replies and their absence comes between the two.
    is_known_to_the_relay: bool,
}

impl<'a> Course<'a> {
    fn of(scenario: &'a Scenario) -> Self {
        let scripts = || scenario.servers.iter().map(|server| &server.script);
        let actions = || scripts().flat_map(reach::rules).flat_map(|rule| &rule.actions);
        let uneventful = |step: &Step| {
            matches!(step, Step::Send(_) | Step::Settle | Step::Wait(_) | Step::Jump(_) | Step::Check(_))
        };
        let prompt = |script: &Script| {
            script.dialogue.is_none() && script.pace.is_none() && !script.read.is_held_back()
        };
        Self {
            messages: &scenario.messages,
            comes_back: actions().any(|action| matches!(action, Action::Forward(_))),
            is_known_to_the_relay: actions().all(|action| matches!(action, Action::Reply(_)))
                && scripts().all(prompt)
                && scenario.steps.iter().all(uneventful)
                && scenario.clients.is_empty(),
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
fn conflict(one: &Atom<'_>, two: &Atom<'_>, course: &Course<'_>) -> Option<&'static str> {
    match (one.holds, two.holds) {
        (true, true) => both(one, two, course).or_else(|| both(two, one, course)),
        (true, false) => same_mail(one, two, course.messages, true).then(|| implied(one.check, two.check))?,
        (false, true) => same_mail(two, one, course.messages, true).then(|| implied(two.check, one.check))?,
        (false, false) => None,
    }
}

fn both(one: &Atom<'_>, two: &Atom<'_>, course: &Course<'_>) -> Option<&'static str> {
    let mail = || same_mail(one, two, course.messages, false);
    // Mail that a server hands to the relay again may be refused further on.
    let never_taken = || !course.comes_back && mail();
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
        (Check::Returned(a), Check::Returned(b))
            if some(&a.times) && some(&b.times) && mail() && no_status_fits_both(a, b) =>
        {
            Some("the status that it is returned with is said in two ways")
        }
        (Check::Refused(_), Check::Delivered(b)) if some(&b.times) && never_taken() => {
            Some("mail that is refused is delivered to nobody")
        }
        (Check::Refused(_), Check::Queued(_)) if never_taken() => Some("mail that is refused is in no queue"),
        (Check::Refused(_), Check::Returned(b)) if some(&b.times) && never_taken() => {
            Some("mail that is refused is returned by whoever submitted it, not by the relay")
        }
        (Check::Refused(_), Check::Delayed { times, .. } | Check::Notified { times, .. })
            if some(times) && never_taken() =>
        {
            Some("of mail that is refused the relay has nothing to tell")
        }
        (Check::Refused(a), Check::Refused(b)) if mail() => refusals(a, b),
        (Check::Delivered(a), Check::Returned(b))
            if some(&a.times) && some(&b.times) && course.is_known_to_the_relay && mail() =>
        {
            Some("the relay knows what was taken, and returns nothing of that")
        }
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
        (Check::Wire(wire), Check::Delivered(b)) if some(&b.times) => untold(wire, b),
        (Check::Wire(wire), Check::Completed(mock))
            if wire.at.as_ref() == Some(mock) && has_no_session(wire) =>
        {
            Some("no session with the server, and a dialogue that came to its end")
        }
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

/// Why a refusal cannot be both; a recipient is refused at one place, with one reply.
fn refusals(a: &Refused, b: &Refused) -> Option<&'static str> {
    if a.at.as_ref().zip(b.at.as_ref()).is_some_and(|(a, b)| a != b) {
        return Some("where it is refused is said in two ways");
    }
    let code =
        |of: &Refused| of.reply.as_ref().and_then(|glob| glob.0.chars().next()).filter(char::is_ascii_digit);
    let codes = code(a).zip(code(b));
    codes.is_some_and(|(a, b)| a != b).then_some("the reply that it is refused with is said in two ways")
}

/// Whether each status that one asks for differs from each that the other asks for, in a number that both write out.
fn no_status_fits_both(a: &Returned, b: &Returned) -> bool {
    let differ = |a: &str, b: &str| {
        let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        a.split('.').zip(b.split('.')).any(|(a, b)| number(a) && number(b) && a != b)
    };
    let apart = |a: &Glob| b.status.iter().all(|b| differ(&a.0, &b.0));
    !a.status.is_empty() && !b.status.is_empty() && a.status.iter().all(apart)
}

/// Why a delivery is nothing that this wire can have seen.
fn untold(wire: &Wire, delivered: &Delivered) -> Option<&'static str> {
    if wire.at.is_some() && wire.at != delivered.by {
        return None;
    }
    if has_no_session(wire) {
        return Some("no session, and mail that was taken in one");
    }
    let never = |word: &str| {
        let is =
            |thing: &WireThing| matches!(thing, WireThing::Command(said) if said.eq_ignore_ascii_case(word));
        wire.never.iter().any(is)
    };
    if never("MAIL") || never("RCPT") {
        return Some("mail is taken after MAIL and RCPT, which no session has");
    }
    let eight_bit =
        delivered.octets == Some(Octets::EightBit) && wire.never.contains(&WireThing::EightBitContent);
    eight_bit.then_some("its content is to be 8-bit, and no session is to have such content")
}

fn has_no_session(wire: &Wire) -> bool {
    wire.sessions.as_ref().is_some_and(|sessions| sessions.to == Some(0))
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
    (has_no_session(a) && !b.once.is_empty()).then_some("no session, and something that one of them has")
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
