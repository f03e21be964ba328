//! At least half an hour between retries of the same mail to the same host (RFC 5321 section 4.5.4.1).

use std::time::Duration;

use mock_servers::time::human;
use mock_servers::transcript::{Reply, Session, Side, Transaction};

use super::super::{Evidence, Finding, Severity, interruptions};
use crate::record::Record;
use crate::record::conversation::{conversation, ended};
use crate::record::mail::normal;
use crate::scenario::{Scenario, Step};

const HALF_AN_HOUR: Duration = Duration::from_mins(30);

/// Relays reckon in whole seconds (time(2)).
const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// The first that came back too soon. Not judged where the scenario itself configures shorter waits, or steps in, nor where
/// it configures longer ones that the relay cannot be told: its own are for a scenario that leaves them to it.
pub(super) fn judge(scenario: &Scenario, record: &Record) -> Option<Finding> {
    let settings = &scenario.relay;
    let told_to =
        [settings.retry_first, settings.retry_at_most].into_iter().flatten().any(|wait| wait < HALF_AN_HOUR);
    let forced = scenario.steps.iter().any(|step| {
        matches!(step, Step::QueueRunForce | Step::KillRelay | Step::RestartRelay | Step::Start(_))
    });
    // two submissions of one message cannot be told apart before their content comes
    let ambiguous = |a: &Transaction| {
        let sent = record.submissions.iter().filter(|s| normal(&s.from) == normal(&a.from));
        sent.filter(|s| {
            s.recipients.iter().any(|r| a.recipients.iter().any(|b| normal(&r.to) == normal(&b.to)))
        })
        .count()
            != 1
    };
    if told_to || forced || record.relay.own_times.is_some() || interruptions(record).next().is_some() {
        return None;
    }
    let servers: Vec<(usize, &Session)> =
        record.sessions.iter().enumerate().filter(|(_, s)| s.mock_is == Side::Server).collect();
    servers.iter().enumerate().find_map(|(nth, &(index, first))| {
        let (index_again, again) =
            *servers[nth + 1..].iter().find(|(_, s)| s.mock == first.mock && s.server == first.server)?;
        let gap = again.opened.since(ended(first));
        if gap + WHOLE_SECOND > HALF_AN_HOUR {
            return None;
        }
        let repeats =
            |deferred: &Transaction| again.transactions.iter().any(|t| same_recipients(t, deferred));
        let deferred = first.transactions.iter().find(|t| was_deferred(t) && repeats(t) && !ambiguous(t))?;
        if !same_manner(first, again) {
            return None;
        }
        let to = deferred.recipients.first().map_or("", |r| r.to.as_str());
        Some(Finding {
            severity: Severity::Deviates,
            rule: "wire: retry too soon".to_owned(),
            it: "waits half an hour before it tries the same host again".to_owned(),
            clause: "RFC 5321 section 4.5.4.1".to_owned(),
            why: format!(
                "mail to {to} was deferred by {} at +{} and came again {} later",
                first.mock,
                ended(first),
                human(gap)
            ),
            evidence: vec![
                Evidence { session: index, events: 0..first.events.len() },
                Evidence { session: index_again, events: 0..again.events.len() },
            ],
        })
    })
}

/// Every recipient was deferred, and none because there were too many of them (452).
fn was_deferred(transaction: &Transaction) -> bool {
    let later =
        |reply: Option<&Reply>| reply.is_some_and(|r| r.is_transient() && !matches!(r.code, 421 | 452));
    let at_once = later(transaction.mail_reply.as_ref());
    let each =
        !transaction.recipients.is_empty() && transaction.recipients.iter().all(|r| later(r.reply.as_ref()));
    at_once || each || later(transaction.final_reply.as_ref())
}

fn same_recipients(a: &Transaction, b: &Transaction) -> bool {
    let of = |t: &Transaction| t.recipients.iter().map(|r| normal(&r.to)).collect::<Vec<_>>();
    !a.recipients.is_empty()
        && a.recipients.len() == b.recipients.len()
        && normal(&a.from) == normal(&b.from)
        && of(a) == of(b)
}

/// Neither reconnected with HELO nor in the clear.
fn same_manner(a: &Session, b: &Session) -> bool {
    let manner = |session: &Session| {
        let talk = conversation(session);
        let tls = talk.exchanges.iter().any(|e| e.tls);
        (tls, talk.exchanges.iter().any(|e| e.verb() == "HELO"))
    };
    manner(a) == manner(b)
}
