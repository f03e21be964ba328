//! At least half an hour between retries of the same mail to the same host (RFC 5321 section 4.5.4.1).

use std::collections::BTreeSet;
use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::{Event, Reply, Session, Side, Transaction, What};

use super::super::{Evidence, Finding, Severity, expect::own_retries, interruptions};
use crate::record::Record;
use crate::record::conversation::{Exchange, conversation};
use crate::record::mail::normal;
use crate::record::turns::transaction_events;
use crate::scenario::{Scenario, Step};

const HALF_AN_HOUR: Duration = Duration::from_mins(30);

/// Relays reckon in whole seconds (time(2)).
const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// The first that came back too soon. Not judged where the scenario itself configures shorter waits, or steps in (a jump has relays that
/// go by the clock on the wall come again right behind it), nor where
/// it configures longer ones that the relay cannot be told: its own are for a scenario that leaves them to it.
pub(super) fn judge(scenario: &Scenario, record: &Record) -> Option<Finding> {
    let settings = &scenario.relay;
    let told_to =
        [settings.retry_first, settings.retry_at_most].into_iter().flatten().any(|wait| wait < HALF_AN_HOUR);
    let forced = scenario.steps.iter().any(|step| {
        matches!(
            step,
            Step::QueueRunForce | Step::KillRelay | Step::RestartRelay | Step::Start(_) | Step::Jump(_)
        )
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
    if told_to || forced || own_retries(record) || interruptions(record).next().is_some() {
        return None;
    }
    let servers: Vec<(usize, &Session)> =
        record.sessions.iter().enumerate().filter(|(_, s)| s.mock_is == Side::Server).collect();
    servers.iter().enumerate().find_map(|(nth, &(index, first))| {
        let later =
            || servers[nth + 1..].iter().filter(|(_, s)| s.mock == first.mock && s.server == first.server);
        let mut deferred =
            first.transactions.iter().enumerate().filter(|(_, t)| was_deferred(t) && !ambiguous(t));
        deferred.find_map(|(transaction, deferred)| {
            // the next one with this mail: in between there may be others with other mail
            let repeats = |s: &Session| s.transactions.iter().any(|t| same_recipients(t, deferred));
            let &(index_again, again) = later().find(|(_, s)| repeats(s))?;
            let (tried, refused) = last_said(first, transaction)?;
            let gap = again.opened.since(tried);
            if gap + WHOLE_SECOND > HALF_AN_HOUR || !same_manner(first, again) {
                return None;
            }
            let to = deferred.recipients.first().map_or("", |r| r.to.as_str());
            Some(Finding {
                severity: Severity::Deviates,
                rule: "wire: retry too soon".to_owned(),
                it: "waits half an hour before it tries the same host again".to_owned(),
                clause: "RFC 5321 section 4.5.4.1".to_owned(),
                why: format!(
                    "mail to {to} was deferred by {} at +{refused} and came again at +{}",
                    first.mock, again.opened
                ),
                evidence: vec![
                    Evidence { session: index, events: 0..first.events.len() },
                    Evidence { session: index_again, events: 0..again.events.len() },
                ],
            })
        })
    })
}

/// When the relay last said something before the reply that put a mail off, and when that reply came; `None` where the relay
/// had closed by then. The attempt failed no sooner than it said that: a reply may take long, and come to one that has given
/// up waiting and is not there any more, which a server that is slow learns late.
fn last_said(session: &Session, transaction: usize) -> Option<(RunTime, RunTime)> {
    let events = transaction_events(session, transaction);
    let talk = conversation(session);
    let of_this = |e: &&Exchange| events.contains(&e.event);
    let put_off = |e: &Exchange| e.reply.clone().filter(|answer| later(Some(&answer.reply)));
    let answer = talk.exchanges.iter().filter(of_this).filter_map(put_off).next_back()?;
    let before = &session.events[..answer.event];
    if before.iter().any(|event| matches!(event.what, What::Closed { by: Side::Client, .. })) {
        return None;
    }
    let said = |event: &&Event| matches!(event.what, What::Bytes { from: Side::Client, .. });
    before.iter().rfind(said).map(|event| (event.at, answer.at))
}

/// Every recipient was deferred, and none because there were too many of them (452).
fn was_deferred(transaction: &Transaction) -> bool {
    let at_once = later(transaction.mail_reply.as_ref());
    let each =
        !transaction.recipients.is_empty() && transaction.recipients.iter().all(|r| later(r.reply.as_ref()));
    at_once || each || later(transaction.final_reply.as_ref())
}

/// That it is to come later. 421 is about the session, and 452 about how many came at once.
fn later(reply: Option<&Reply>) -> bool {
    reply.is_some_and(|r| r.is_transient() && !matches!(r.code, 421 | 452))
}

fn same_recipients(a: &Transaction, b: &Transaction) -> bool {
    let of = |t: &Transaction| t.recipients.iter().map(|r| normal(&r.to)).collect::<BTreeSet<_>>();
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
