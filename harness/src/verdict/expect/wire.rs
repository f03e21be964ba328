//! `wire`, `untouched`, `completed`, `logged`.

use mock_servers::script::Glob;
use mock_servers::time::human;
use mock_servers::transcript::{Session, Side, What};

use super::{Look, Seen, in_time};
use crate::record::conversation::{Asked, conversation};
use crate::record::turns::transaction_events;
use crate::scenario::phrases::{count, counted, duration, thing};
use crate::scenario::{Wire, WireThing};
use crate::verdict::{Evidence, whole};

impl Look<'_> {
    pub(super) fn wire(&self, wanted: &Wire) -> Seen {
        let at = |session: &Session| match &wanted.at {
            Some(mock) => session.mock == *mock,
            None => session.mock_is == Side::Server,
        };
        let sessions: Vec<(usize, &Session)> =
            self.record.sessions.iter().enumerate().filter(|(_, session)| at(session)).collect();
        let place = wanted.at.as_ref().map_or_else(String::new, |at| format!(" with {at}"));
        let mut breaches: Vec<(String, Vec<Evidence>)> = Vec::new();
        if let Some(range) = wanted.sessions.filter(|range| !range.contains(sessions.len() as u64)) {
            let (seen, required) =
                (count(sessions.len(), "session", "sessions"), counted(&range, "session", "sessions"));
            let evidence = sessions.iter().take(3).map(|(index, _)| whole(self.record, *index)).collect();
            breaches.push((format!("{seen}{place}; required {required}"), evidence));
        }
        for &(index, session) in &sessions {
            breaches.extend(first_differs(wanted, index, session));
            for forbidden in &wanted.never {
                if let Some((line, evidence)) = seen_in(session, index, forbidden) {
                    breaches.push((format!("{}: {line}", named(session)), vec![evidence]));
                }
            }
        }
        for required in &wanted.once {
            if !sessions.iter().any(|&(index, session)| seen_in(session, index, required).is_some()) {
                let evidence = sessions.iter().take(1).map(|(index, _)| whole(self.record, *index)).collect();
                breaches.push((format!("no session{place} has {}", thing(required)), evidence));
            }
        }
        if let Some(gap) = wanted.gap {
            for pair in sessions.windows(2) {
                let between = pair[1].1.opened.since(pair[0].1.opened);
                if !in_time(&gap, between) {
                    let why = format!(
                        "{} began {} after session {}; required {}",
                        named(pair[1].1),
                        human(between),
                        pair[0].1.ordinal,
                        duration(&gap)
                    );
                    breaches.push((why, pair.iter().map(|(index, _)| whole(self.record, *index)).collect()));
                }
            }
        }
        if sessions.is_empty() && breaches.is_empty() && (wanted.first.is_some() || wanted.gap.is_some()) {
            return Seen::not_applicable(format!("no session{place} came about"));
        }
        Seen::unless(breaches, || format!("{}{place}", count(sessions.len(), "session", "sessions")))
    }

    pub(super) fn untouched(&self, server: &str) -> Seen {
        let sessions: Vec<usize> = (0..self.record.sessions.len())
            .filter(|index| self.record.sessions[*index].mock == server)
            .collect();
        let Some(&first) = sessions.first() else { return Seen::held(format!("no session with {server}")) };
        let opened = self.record.sessions[first].opened;
        let why =
            format!("{} with {server}, the first at +{opened}", count(sessions.len(), "session", "sessions"));
        Seen::broken(why, vec![whole(self.record, first)])
    }

    pub(super) fn completed(&self, mock: &str) -> Seen {
        let sessions: Vec<usize> = (0..self.record.sessions.len())
            .filter(|index| self.record.sessions[*index].mock == mock)
            .collect();
        if sessions.is_empty() {
            return Seen::broken(format!("{mock} has no session"), Vec::new());
        }
        for index in sessions {
            let session = &self.record.sessions[index];
            let mismatch = session.events.iter().find_map(|event| match &event.what {
                What::Mismatch { step, expected, got } => Some(format!(
                    "{} at its line {step}: waited for `{expected}`, got `{got}`",
                    named(session)
                )),
                _ => None,
            });
            if !session.events.iter().any(|event| event.what == What::Completed) {
                let why =
                    mismatch.unwrap_or_else(|| format!("{} broke off before its last line", named(session)));
                return Seen::broken(why, vec![whole(self.record, index)]);
            }
        }
        Seen::held(format!("{mock} came to its last line"))
    }

    pub(super) fn logged(&self, pattern: &Glob) -> Seen {
        match self.record.log.iter().find(|line| pattern.matches(&line.text)) {
            Some(line) => Seen::held(format!("+{}: {}", line.at, line.text)),
            None => Seen::broken(format!("no line of the log is `{}`", pattern.0), Vec::new()),
        }
    }
}

/// The first command, where it is not the one that is required.
fn first_differs(wanted: &Wire, index: usize, session: &Session) -> Option<(String, Vec<Evidence>)> {
    let words = wanted.first.as_ref()?;
    let talk = conversation(session);
    let first = talk.exchanges.iter().find(|exchange| exchange.asked == Asked::Command)?;
    (!first.begins_with(words)).then(|| {
        (
            format!("{}: the first command is `{}`; required {words}", named(session), first.line),
            vec![Evidence { session: index, events: first.events() }],
        )
    })
}

/// `hub, session 2`.
fn named(session: &Session) -> String {
    format!("{}, session {}", session.mock, session.ordinal)
}

fn seen_in(session: &Session, index: usize, thing: &WireThing) -> Option<(String, Evidence)> {
    if *thing == WireThing::EightBitContent {
        let transaction = session.transactions.iter().position(|t| t.content.iter().any(|b| *b > 127))?;
        let content = &session.transactions[transaction].content;
        let line =
            content.split(|&b| b == b'\n').find(|line| line.iter().any(|b| *b > 127)).unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let evidence = Evidence { session: index, events: transaction_events(session, transaction) };
        return Some((format!("8-bit content: `{}`", line.trim_end()), evidence));
    }
    let talk = conversation(session);
    let found = talk.exchanges.iter().find(|exchange| match thing {
        WireThing::Command(words) => exchange.begins_with(words),
        WireThing::CommandInClear(words) => !exchange.tls && exchange.begins_with(words),
        WireThing::EightBitContent => false,
    })?;
    let clear = if matches!(thing, WireThing::CommandInClear(_)) { " in clear" } else { "" };
    Some((format!("`{}`{clear}", found.line), Evidence { session: index, events: found.events() }))
}
