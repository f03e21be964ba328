//! Conservation of mail: every submission ends, for each recipient, in exactly one of *delivered*, *failed notification
//! issued*, *queued* inside its lifetime (RFC 5321 section 4.2.5, 6.1).

use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::time::human;
use mock_servers::transcript::What;

use super::ledger::{Ledger, Notice, Reached, Unit, submission_name};
use super::{Evidence, Finding, Severity, interruptions, transaction};
use crate::record::conversation::ended;
use crate::record::mail::{self, normal};
use crate::record::{Accepted, Ending, Record};
use crate::scenario::Scenario;

/// Finds mail that was lost, doubled, or had two endings.
pub(super) fn judge(scenario: &Scenario, record: &Record, ledger: &Ledger<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for unit in &ledger.units {
        let found = match unit.fate {
            Accepted::No { at, reply } => vec![refused_and_yet(record, ledger, unit, at, reply.as_deref())],
            Accepted::InDoubt | Accepted::Yes => vec![
                lost(record, ledger, unit),
                last_word(record, ledger, unit),
                doubled(record, ledger, unit),
                delivered_and_returned(record, ledger, unit),
                returned_twice(record, ledger, unit),
                stuck(scenario, record, ledger, unit),
            ],
        };
        findings.extend(found.into_iter().flatten());
    }
    findings.extend(wrong_person(record));
    findings
}

fn finding(rule: &str, it: &str, clause: &str, why: String, evidence: Vec<Evidence>) -> Finding {
    Finding {
        severity: Severity::Violates,
        rule: format!("invariant: {rule}"),
        it: it.to_owned(),
        clause: clause.to_owned(),
        why,
        evidence,
    }
}

fn submitted(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Vec<Evidence> {
    unit.of.place.map(|place| ledger.transaction(record, place)).into_iter().collect()
}

fn copies<'u>(
    record: &Record,
    ledger: &Ledger<'_>,
    copies: impl Iterator<Item = &'u Reached<'u>>,
) -> Vec<Evidence> {
    copies.map(|copy| ledger.transaction(record, copy.place)).collect()
}

fn notices<'u>(
    record: &Record,
    ledger: &Ledger<'_>,
    notices: impl Iterator<Item = &'u Notice<'u>>,
) -> Vec<Evidence> {
    notices.map(|notice| ledger.transaction(record, notice.notification.place)).collect()
}

/// Whether the run went on for as long as anything could still come.
fn run_is_whole(record: &Record) -> bool {
    matches!(
        record.end.how,
        Ending::Finished | Ending::Unsettled { .. } | Ending::NoClock { .. } | Ending::NeverCame { .. }
    )
}

/// Whether a unit has nothing that ends or keeps it, as far as can be seen.
fn vanished(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> bool {
    let open = run_is_whole(record)
        && *unit.fate == Accepted::Yes
        && !unit.may_be_dropped()
        && unit.copies.is_empty()
        && unit.notices.is_empty()
        && unit.queued.is_none()
        && !ledger.unclear.contains(&unit.submission)
        && !ledger.issued_at_least(unit.submission);
    if !open {
        return false;
    }
    let could_be_a_stray = record.strays.iter().any(|place| {
        let mail = &record.sessions[place.session].transactions[place.transaction];
        unit.of.token.is_none() && mail.recipients.iter().any(|r| normal(&r.to) == normal(unit.to))
    });
    // a notification for the sender of which it cannot be told what it is about
    let unattributed = record.notifications.iter().any(|n| {
        n.submission.is_none()
            && n.at >= unit.of.at
            && n.to.iter().any(|to| normal(to) == normal(&unit.of.from))
    });
    !could_be_a_stray && !unattributed
}

fn lost(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Option<Finding> {
    (vanished(record, ledger, unit) && !record.queue.is_empty()).then(|| {
        finding(
            "lost",
            "delivers, returns or keeps what it took responsibility for",
            "RFC 5321 section 6.1",
            format!(
                "{} was accepted at +{}; when the run ended at +{} no server had it, no notification had come to \
                 <{}>, and it was not in the queue",
                unit.name(record),
                unit.of.at,
                record.end.at,
                unit.of.from
            ),
            submitted(record, ledger, unit),
        )
    })
}

/// Mail without an ending that may lie in a queue which the harness cannot list.
pub(super) fn unseen(record: &Record, ledger: &Ledger<'_>) -> Option<String> {
    if !record.queue.is_empty() {
        return None;
    }
    let mut open = ledger.units.iter().filter(|unit| vanished(record, ledger, unit));
    let first = open.next()?;
    Some(format!("{} has no ending", first.name(record)))
}

/// A delay notice announces that more will follow (RFC 3464 section 2.3.3); a claim of delivery must be true.
fn last_word(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let last = unit.notices.last()?;
    let silent = unit.copies.is_empty()
        && unit.told("failed").next().is_none()
        && unit.queued.is_none()
        && !record.queue.is_empty()
        && *unit.fate == Accepted::Yes
        && run_is_whole(record);
    if !silent || unit.may_be_dropped() || ledger.issued_at_least(unit.submission) {
        return None;
    }
    let at = last.notification.at;
    let (rule, it, why) = match last.action {
        "delayed" => (
            "the last word",
            "does not leave it at a warning",
            format!(
                "the last that its sender was told, at +{at}, is that it is delayed; nothing came after it"
            ),
        ),
        "relayed" | "delivered" | "expanded" => (
            "untrue notification",
            "says only what is true",
            format!("its sender was told at +{at} that it was {}, but no server took it", last.action),
        ),
        _ => return None,
    };
    let evidence = notices(record, ledger, unit.notices.last().into_iter());
    let why = format!("{}: {why}", unit.name(record));
    Some(finding(rule, it, "RFC 3464 section 2.3.3, RFC 5321 section 6.1", why, evidence))
}

fn doubled(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Option<Finding> {
    if unit.copies.len() < 2 {
        return None;
    }
    let mut in_order: Vec<&Reached<'_>> = unit.copies.iter().collect();
    in_order.sort_by_key(|copy| (sent_by(record, copy), copy.place));
    let mut settled = 0;
    let mut second = None;
    for (index, copy) in in_order.iter().enumerate() {
        if settled >= unit.accepted.max(1) {
            second = Some(index);
            break;
        }
        // a copy whose 2yz the relay did not read permits another one (RFC 1047)
        settled += usize::from(copy.acknowledged && !killed_before_it_could_note(record, unit, copy));
    }
    let second = second?;
    let at = |copy: &Reached<'_>| format!("{} at +{}", record.sessions[copy.place.session].mock, copy.at);
    let all: Vec<String> = in_order.iter().copied().map(at).collect();
    Some(finding(
        "doubled",
        "delivers one copy",
        "RFC 5321 section 4.2.5, RFC 1047",
        format!(
            "{} went to {}, although the server's 2yz had been read before",
            unit.name(record),
            all.join(", ")
        ),
        copies(record, ledger, in_order[..=second].iter().copied()),
    ))
}

/// The moment by which the relay had sent this copy: a server that was held may take it long after the relay had closed
/// or was killed.
fn sent_by(record: &Record, copy: &Reached<'_>) -> RunTime {
    let session = &record.sessions[copy.place.session];
    let relay = session.mock_is.other();
    let closed =
        session.events.iter().find(|event| matches!(event.what, What::Closed { by, .. } if by == relay));
    let killed = kills(record).find(|killed| *killed >= session.opened);
    closed.map(|event| event.at).into_iter().chain(killed).fold(copy.at, RunTime::min)
}

/// The moments at which the relay was killed.
fn kills(record: &Record) -> impl Iterator<Item = RunTime> {
    interruptions(record).filter(|step| step.step.starts_with("kill")).map(|step| step.began)
}

/// Whether the relay was killed with this copy's session still open and its queue entry not yet gone: only then could
/// it not know of the delivery.
fn killed_before_it_could_note(record: &Record, unit: &Unit<'_>, copy: &Reached<'_>) -> bool {
    let session = &record.sessions[copy.place.session];
    let noted_by = |moment: RunTime| {
        let mut states = record.queue.iter().filter(|state| state.at > copy.at && state.at < moment);
        states.any(|state| {
            !state.entries.iter().any(|entry| entry.recipients.iter().any(|to| normal(to) == normal(unit.to)))
        })
    };
    kills(record).filter(|kill| session.opened <= *kill).any(|kill| {
        // what the server says to a relay that is no more is read by nobody
        copy.at > kill || ended(session) >= kill && !noted_by(kill)
    })
}

fn delivered_and_returned(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let copy = unit
        .copies
        .iter()
        .find(|copy| copy.acknowledged && !killed_before_it_could_note(record, unit, copy))?;
    let failed = unit.told("failed").next()?;
    let mut evidence = copies(record, ledger, [copy].into_iter());
    evidence.extend(notices(record, ledger, [failed].into_iter()));
    Some(finding(
        "delivered and returned",
        "does not return what it delivered",
        "RFC 5321 section 6.1, RFC 3464 section 2.3.3",
        format!(
            "{} was taken by {} at +{} and yet reported as failed at +{}",
            unit.name(record),
            record.sessions[copy.place.session].mock,
            copy.at,
            failed.notification.at
        ),
        evidence,
    ))
}

fn returned_twice(record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let mut settled = 0;
    let failed: Vec<&Notice<'_>> = unit.told("failed").collect();
    let twice = failed.iter().any(|notice| {
        let again = settled >= unit.accepted.max(1);
        settled += usize::from(notice.acknowledged);
        again
    });
    twice.then(|| {
        let times: Vec<String> = failed.iter().map(|n| format!("+{}", n.notification.at)).collect();
        finding(
            "returned twice",
            "returns mail once",
            "RFC 3464 section 2.3.3",
            format!("{} was reported as failed at {}", unit.name(record), times.join(" and ")),
            notices(record, ledger, failed.into_iter()),
        )
    })
}

fn refused_and_yet(
    record: &Record,
    ledger: &Ledger<'_>,
    unit: &Unit<'_>,
    at: &str,
    reply: Option<&str>,
) -> Option<Finding> {
    let how = reply.map_or_else(|| "the connection ended".to_owned(), |reply| format!("`{reply}`"));
    let refused = format!("{} was refused at {at} ({how})", unit.name(record));
    let clause = match reply {
        // acts as if it had said 4yz, and after that makes no attempt
        None => "RFC 5321 section 4.1.1.10, 4.2.5",
        Some(_) if at == "end-of-data" => "RFC 5321 section 4.2.5",
        Some(_) => "RFC 5321 section 4.2.1",
    };
    if !unit.copies.is_empty() {
        let copy = &unit.copies[0];
        let why =
            format!("{refused}, and yet {} got it at +{}", record.sessions[copy.place.session].mock, copy.at);
        let mut evidence = submitted(record, ledger, unit);
        evidence.extend(copies(record, ledger, unit.copies.iter()));
        return Some(finding(
            "delivered though refused",
            "lets go of what it refused",
            clause,
            why,
            evidence,
        ));
    }
    // a notice that names nobody by its fields may be about the recipients that were accepted
    let notice = unit.notices.iter().find(|notice| notice.recipient.is_some())?;
    let why = format!(
        "{refused}, and yet its sender was told that it {} at +{}",
        notice.action, notice.notification.at
    );
    let mut evidence = submitted(record, ledger, unit);
    evidence.extend(notices(record, ledger, [notice].into_iter()));
    Some(finding("returned though refused", "lets go of what it refused", clause, why, evidence))
}

/// Expiry is looked at on an attempt: one wait more than the lifetime is legal. Judged where the scenario sets a lifetime.
fn stuck(scenario: &Scenario, record: &Record, ledger: &Ledger<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let lifetime = scenario.relay.lifetime?;
    let entry = unit.queued?;
    let longest_wait =
        scenario.relay.retry_at_most.or(scenario.relay.retry_first).unwrap_or(Duration::from_hours(4));
    let age = record.end.at.since(entry.arrived);
    (age > lifetime + longest_wait).then(|| {
        finding(
            "stuck past its lifetime",
            "returns mail when its lifetime is over",
            "RFC 5321 section 4.2.5, 4.5.4.1",
            format!(
                "{} is in the queue for {}{}; mail may be kept for {}, and the longest wait between attempts is {}",
                unit.name(record),
                human(age),
                if entry.held { ", held" } else { "" },
                human(lifetime),
                human(longest_wait)
            ),
            submitted(record, ledger, unit),
        )
    })
}

/// A notification goes to the sender; a copy to a postmaster is allowed.
fn wrong_person(record: &Record) -> Vec<Finding> {
    let wrong = record.notifications.iter().filter_map(|notification| {
        let submission = &record.submissions[notification.submission?];
        let sender = normal(&submission.from);
        if sender.is_empty() {
            // there is nobody to tell: another rule's case
            return None;
        }
        let stranger = notification.to.iter().find(|to| {
            let to = normal(to);
            to != sender && !to.split('@').next().unwrap_or_default().eq_ignore_ascii_case("postmaster")
        })?;
        // a sender without a domain may have been completed; its mail comes back under the longer name
        if mail::domain(&sender).is_empty() && normal(stranger).starts_with(&format!("{sender}@")) {
            return None;
        }
        Some(finding(
            "returned to the wrong person",
            "tells the sender, and nobody else",
            "RFC 5321 section 6.1",
            format!(
                "a notification about {}, whose reverse-path is <{}>, went to <{stranger}> at +{}",
                submission_name(record, submission),
                submission.from,
                notification.at
            ),
            vec![transaction(record, notification.place)],
        ))
    });
    wrong.collect()
}
