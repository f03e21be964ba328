//! How a session ends (RFC 5321 section 4.1.1.10, 3.8).

use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::{Part, Side, What};

use super::{Breach, Of};
use crate::record::Ending;
use crate::record::conversation::{Answer, Asked, Exchange};
use crate::verdict::interruptions;

/// As long as a server must wait for a command (RFC 5321 section 4.5.3.2.7).
const PATIENCE: Duration = Duration::from_mins(5);

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let relay = of.session.mock_is.other();
    let mut closings = of.session.events.iter().enumerate().filter_map(|(index, event)| match event.what {
        What::Closed { by, .. } => Some((index, event.at, by)),
        _ => None,
    });
    // who closed first
    let Some((index, at, by)) = closings.next() else { return };
    let broken = |what: &What| matches!(what, What::TlsFailed { .. } | What::Mismatch { .. });
    let any_broken = of.session.events.iter().any(|event| broken(&event.what));
    if by != relay || any_broken || tls_refused(of) || spoke_in_the_clear(of) || not_its_own(of, at) {
        return;
    }
    // What a client said it said before it closed, even where a server that reads slowly learnt of the close first.
    let before = |e: &Exchange| relay == Side::Client || e.event < index;
    let said = |words: &str| of.talk.exchanges.iter().any(|e| e.verb() == words && before(e));
    let last = index.saturating_sub(1)..index + 1;
    // In place of the answer to a challenge it is not heard as the command that it is.
    let in_between = || {
        of.session.events[..index].iter().any(|event| match &event.what {
            What::Bytes { from, bytes, part: Part::Lines, .. } if *from == relay => {
                bytes.split(|&b| b == b'\n').any(|line| line.trim_ascii().eq_ignore_ascii_case(b"QUIT"))
            }
            _ => false,
        })
    };
    if said("QUIT") || in_between() {
        return;
    }
    match relay {
        Side::Client => {
            // a reply that was due at that moment: a timeout, or the end inside DATA; 421 and 521 end the session by
            // themselves; with one whose replies are none, nothing can be agreed
            let given = |answer: &Answer| answer.event < index;
            let due = of.talk.exchanges.iter().any(|e| !e.reply.as_ref().is_some_and(given));
            let broken = of.talk.not_replies.iter().any(|(event, _)| *event < index)
                || answers(of).any(|answer| given(answer) && is_malformed(answer));
            let told_off = codes(of).any(|code| matches!(code, 421 | 521));
            if !due && !told_off && !broken {
                let why = "the relay closed without QUIT".to_owned();
                let it = "says QUIT before it closes";
                let opened = of.talk.exchanges.iter().any(|e| {
                    matches!(e.verb().as_str(), "EHLO" | "HELO") && e.event < index && e.code() / 100 == 2
                });
                breaches.push(if opened {
                    Breach::must("no QUIT", it, "RFC 5321 section 4.1.1.10", why, last)
                } else {
                    Breach::should("no QUIT", it, "RFC 5321 section 4.1.4", why, last)
                });
            }
        }
        Side::Server => {
            let quiet_for =
                of.session.events[..index].last().map_or(Duration::ZERO, |event| at.since(event.at));
            let refused_at_once =
                of.talk.exchanges.first().is_some_and(|e| matches!(e.code(), 521 | 554 | 0));
            let told = codes(of).any(|code| matches!(code, 221 | 421));
            if quiet_for < PATIENCE && !told && !refused_at_once && !defends_itself(of, index) {
                let line = of.talk.exchanges.iter().rev().find(|e: &&Exchange| e.asked == Asked::Command);
                let after = line.map_or_else(|| "the greeting".to_owned(), |e| format!("`{}`", e.line));
                let why = format!("the relay closed after {after}, without QUIT and without a 421");
                let it = "keeps the session until QUIT, or says 421";
                breaches.push(Breach::must("server closes", it, "RFC 5321 section 3.8, 4.1.1.10", why, last));
            }
        }
    }
}

fn answers<'a>(of: &Of<'a>) -> impl Iterator<Item = &'a Answer> {
    of.talk.exchanges.iter().filter_map(|e| e.reply.as_ref()).chain(&of.talk.unasked)
}

fn codes(of: &Of<'_>) -> impl Iterator<Item = u16> {
    answers(of).map(|answer| answer.reply.code)
}

/// RFC 5321 section 4.2: three digits from 2 to 5, the same on each line, a space or hyphen, and CRLF.
fn is_malformed(answer: &Answer) -> bool {
    let code = &answer.raw[0][..3];
    let well_formed = |line: &Vec<u8>| {
        let text = line.strip_suffix(b"\r\n").filter(|text| !text.iter().any(|b| matches!(b, b'\r' | b'\n')));
        text.is_some_and(|text| {
            text.starts_with(code)
                && matches!(text[0], b'2'..=b'5')
                && matches!(text.get(3), None | Some(b' ' | b'-'))
        })
    };
    !answer.raw.iter().all(well_formed)
}

/// RFC 5321 section 7.8: a server that was given errors of protocol, or was refusing one command after another, may end
/// it with a 5yz.
fn defends_itself(of: &Of<'_>, closing: usize) -> bool {
    let commands = of.talk.exchanges.iter().filter(|e| e.asked == Asked::Command);
    let said: Vec<u16> = commands
        .filter(|e| e.reply.as_ref().is_some_and(|answer| answer.event < closing))
        .map(Exchange::code)
        .collect();
    let Some((500..=599, before)) = said.split_last() else { return false };
    let errors = before.iter().filter(|code| matches!(code, 500..=504)).count();
    let refusals = before.iter().filter(|code| matches!(code, 500..=599)).count();
    errors > 0 || refusals > 1
}

/// The handshake was all that went over TLS: the relay did not like the certificate (RFC 3207 section 4.1).
fn tls_refused(of: &Of<'_>) -> bool {
    let started = of.session.events.iter().position(|event| matches!(event.what, What::TlsStarted { .. }));
    let asked = of.talk.exchanges.iter().any(|e| e.verb() == "STARTTLS" && e.code() == 220);
    let last = of.talk.exchanges.last().map_or(0, |e| e.event);
    asked && started.is_none_or(|started| last < started)
}

/// The mock sent bytes in the clear behind the handshake: they are no TLS record, and no QUIT can pass any more.
fn spoke_in_the_clear(of: &Of<'_>) -> bool {
    let events = &of.session.events;
    let started = events.iter().position(|event| matches!(event.what, What::TlsStarted { .. }));
    let in_the_clear =
        |what: &What| matches!(what, What::Bytes { from, tls: false, .. } if *from == of.session.mock_is);
    started.is_some_and(|started| events[started..].iter().any(|event| in_the_clear(&event.what)))
}

/// The relay was killed or restarted then, died, or the run was taken down.
fn not_its_own(of: &Of<'_>, at: RunTime) -> bool {
    let taken_down = at >= of.record.end.at && of.session.opened < of.record.end.at;
    let died = matches!(of.record.end.how, Ending::RelayDied { .. } | Ending::Guard { .. });
    taken_down || died || interruptions(of.record).any(|step| step.began <= at && at <= step.done)
}
