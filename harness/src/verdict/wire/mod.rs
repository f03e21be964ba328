//! The rules of the wire, as far as a transcript shows them without a doubt.

mod chunks;
mod client;
mod closing;
mod eight_bit;
mod grammar;
mod pipelining;
mod retries;
#[cfg(test)]
mod retries_tests;
mod server;
#[cfg(test)]
mod tests;
mod utf8;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mock_servers::transcript::{Session, Side};

use super::{Evidence, Finding, Severity};
use crate::record::conversation::{Conversation, conversation};
use crate::record::{Place, Record};
use crate::scenario::{Scenario, Tls};

/// Judges every session by itself, then the times between them. The same breach in many sessions with one mock is told
/// once.
pub(super) fn judge(scenario: &Scenario, record: &Record) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<(String, String, bool)> = BTreeSet::new();
    let settings = &scenario.relay;
    let needs_extensions = settings.auth.is_some() || matches!(settings.tls, Some(Tls::Required | Tls::Dane));
    let copies = record.deliveries.iter().chain(&record.let_go).map(|d| (d.place, d.submission)).collect();
    // What a command was told is no SMTP.
    let sessions = record.sessions.iter().enumerate().filter(|(_, session)| !session.is_by_command());
    for (index, session) in sessions {
        let talk = conversation(session);
        let of = Of { record, copies: &copies, index, session, talk: &talk, needs_extensions };
        let mut breaches = Vec::new();
        match session.mock_is {
            Side::Server => {
                client::judge(&of, &mut breaches);
                grammar::judge(&of, &mut breaches);
                pipelining::judge(&of, &mut breaches);
                eight_bit::judge(&of, &mut breaches);
                utf8::judge(&of, &mut breaches);
                chunks::judge(&of, &mut breaches);
            }
            Side::Client => server::judge(&of, &mut breaches),
        }
        closing::judge(&of, &mut breaches);
        for breach in breaches {
            if told.insert((session.mock.clone(), breach.rule.to_owned(), session.mock_is == Side::Client)) {
                findings.push(breach.found(&of));
            }
        }
    }
    findings.extend(retries::judge(scenario, record));
    findings
}

/// A session that is judged.
struct Of<'a> {
    record: &'a Record,
    /// The submission of each copy.
    copies: &'a BTreeMap<Place, usize>,
    index: usize,
    session: &'a Session,
    talk: &'a Conversation,
    /// Whether the scenario has the relay ask for what HELO cannot give: TLS, AUTH.
    needs_extensions: bool,
}

/// A rule that was broken in a session.
struct Breach {
    severity: Severity,
    rule: &'static str,
    it: &'static str,
    clause: &'static str,
    why: String,
    events: Range<usize>,
}

impl Breach {
    fn must(
        rule: &'static str,
        it: &'static str,
        clause: &'static str,
        why: String,
        events: Range<usize>,
    ) -> Self {
        Self { severity: Severity::Violates, rule, it, clause, why, events }
    }

    fn should(
        rule: &'static str,
        it: &'static str,
        clause: &'static str,
        why: String,
        events: Range<usize>,
    ) -> Self {
        Self { severity: Severity::Deviates, rule, it, clause, why, events }
    }

    fn note(
        rule: &'static str,
        it: &'static str,
        clause: &'static str,
        why: String,
        events: Range<usize>,
    ) -> Self {
        Self { severity: Severity::Note, rule, it, clause, why, events }
    }

    fn found(self, of: &Of<'_>) -> Finding {
        let with = match of.session.mock_is {
            Side::Server => format!("to {}", of.session.mock),
            Side::Client => format!("with {}", of.session.mock),
        };
        Finding {
            severity: self.severity,
            rule: format!("wire: {}", self.rule),
            it: self.it.to_owned(),
            clause: self.clause.to_owned(),
            why: format!("session {} {with} at +{}: {}", of.session.ordinal, of.session.opened, self.why),
            evidence: vec![Evidence { session: of.index, events: self.events }],
        }
    }
}
