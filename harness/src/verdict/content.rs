//! Content: what was delivered says what was submitted, and its header is as it was.

use std::collections::BTreeSet;

use super::ledger::submission_name;
use super::likeness::{Likeness, alike, excused};
use super::{Finding, Severity, transaction};
use crate::record::mail::{self, Field};
use crate::record::{Delivery, Record, Role, Submission};

/// Compares every copy that was delivered with its submission. The same change in many copies is told once.
pub(super) fn judge(record: &Record) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut told: BTreeSet<(usize, String)> = BTreeSet::new();
    for delivery in &record.deliveries {
        let submission = &record.submissions[delivery.submission];
        let place = delivery.place;
        let got = &record.sessions[place.session].transactions[place.transaction].content;
        let mut breaches = Vec::new();
        let converted = body(&submission.content, got, is_binary(record, submission), &mut breaches);
        header(record.relay.role, &submission.content, got, converted, &mut breaches);
        for breach in breaches {
            if told.insert((delivery.submission, format!("{}{}", breach.rule, breach.why))) {
                findings.push(breach.found(record, submission, delivery));
            }
        }
    }
    findings
}

struct Breach {
    severity: Severity,
    rule: &'static str,
    it: &'static str,
    clause: &'static str,
    why: String,
}

impl Breach {
    fn found(self, record: &Record, submission: &Submission, delivery: &Delivery) -> Finding {
        let name = submission_name(record, submission);
        Finding {
            severity: self.severity,
            rule: format!("invariant: {}", self.rule),
            it: self.it.to_owned(),
            clause: self.clause.to_owned(),
            why: format!("{name}, as {} got it at +{}: {}", delivery.server, delivery.at, self.why),
            evidence: vec![transaction(record, delivery.place)],
        }
    }
}

/// Whether it was submitted as binary content: then each octet counts, and no line has an end (RFC 3030 section 3).
fn is_binary(record: &Record, submission: &Submission) -> bool {
    submission.place.is_some_and(|place| {
        let submitted = &record.sessions[place.session].transactions[place.transaction];
        submitted.parameters.iter().any(|p| p.eq_ignore_ascii_case("BODY=BINARYMIME"))
    })
}

/// Whether the body was converted; a breach when it does not say the same.
fn body(sent: &[u8], got: &[u8], binary: bool, breaches: &mut Vec<Breach>) -> bool {
    let (sent_body, got_body) = (trimmed(mail::split(sent).1), trimmed(mail::split(got).1));
    if sent_body == got_body {
        return false;
    }
    let (sent_leaves, got_leaves) = (mail::leaves(sent), mail::leaves(got));
    let excused = !binary && excused(sent_body);
    let likeness = match sent_leaves == got_leaves {
        true => Likeness::Same,
        false if excused => alike(&sent_leaves, &got_leaves),
        false => Likeness::Other,
    };
    let it = "passes the body on as it was, or encoded so that it decodes to the same";
    // It might have refused the line or returned it (section 4.5.3.1.6), and a relay has no business in the body.
    if likeness == Likeness::LineBroken {
        let why = difference(&sent_leaves, &got_leaves);
        let (rule, clause) = ("long line broken", "RFC 5321 section 3.6.3, 4.5.3.1.6");
        breaches.push(Breach { severity: Severity::Deviates, rule, it, clause, why });
        return true;
    }
    if likeness == Likeness::Other {
        let conversion = sent_body.iter().any(|b| *b > 127) && !got_body.iter().any(|b| *b > 127);
        let clause = if conversion { "RFC 6152 section 3" } else { "RFC 5321 section 3.6.3" };
        let why = difference(&sent_leaves, &got_leaves);
        breaches.push(Breach { severity: Severity::Violates, rule: "content changed", it, clause, why });
        return true;
    }
    // only what calls itself MIME is decoded by who reads it (RFC 2045 section 4)
    if !excused && mail::first(&mail::split(got).0, "MIME-Version").is_none() {
        let why = "the body was encoded, and no MIME-Version says so".to_owned();
        breaches.push(Breach {
            severity: Severity::Violates,
            rule: "conversion without MIME",
            it,
            clause: "RFC 6152 section 3",
            why,
        });
    }
    true
}

fn trimmed(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    &body[..end]
}

fn difference(sent: &[Vec<u8>], got: &[Vec<u8>]) -> String {
    if sent.len() != got.len() {
        return format!("it has {} parts, and was submitted with {}", got.len(), sent.len());
    }
    let part = sent.iter().zip(got).find(|(sent, got)| sent != got);
    let lines = part.map(|(sent, got)| {
        let (mut sent, mut got) = (sent.split(|b| *b == b'\n'), got.split(|b| *b == b'\n'));
        loop {
            match (sent.next(), got.next()) {
                (Some(sent), Some(got)) if sent == got => {}
                pair => break pair,
            }
        }
    });
    let quoted = |line: Option<&[u8]>| {
        line.map_or_else(
            || "nothing".to_owned(),
            |line| format!("`{}`", String::from_utf8_lossy(line).trim_end()),
        )
    };
    let (sent, got) = lines.unwrap_or_default();
    format!("the body has {} where {} was submitted", quoted(got), quoted(sent))
}

fn header(role: Role, sent: &[u8], got: &[u8], converted: bool, breaches: &mut Vec<Breach>) {
    let (sent, got) = (mail::split(sent).0, mail::split(got).0);
    received(&sent, &got, breaches);
    let rest = |fields: &[Field]| -> Vec<Field> {
        fields.iter().filter(|f| !f.is("Received") && !f.is("Return-Path") && !f.is("Bcc")).cloned().collect()
    };
    let (sent, mut got) = (rest(&sent), rest(&got));
    let mut missing: Vec<Field> = Vec::new();
    for field in sent {
        match got.iter().position(|other| other.is(&field.name) && same_value(other, &field)) {
            Some(at) => _ = got.remove(at),
            None => missing.push(field),
        }
    }
    let it = "leaves the header as it was, apart from its own trace field";
    let clause = match role {
        Role::Relay => "RFC 5321 section 3.6.3",
        Role::Submission => "RFC 6409 section 8",
    };
    for field in &missing {
        if may_change(role, &field.name, converted) || !field.value.is_ascii() {
            continue;
        }
        let why = match got.iter().find(|other| other.is(&field.name)) {
            Some(other) => {
                format!("`{}: {}` became `{}: {}`", field.name, field.value, other.name, other.value)
            }
            None => format!("`{}: {}` is gone", field.name, field.value),
        };
        breaches.push(Breach { severity: Severity::Violates, rule: "header changed", it, clause, why });
    }
    for field in &got {
        let changed = missing.iter().any(|other| other.is(&field.name));
        if !changed && !may_be_added(role, &field.name, converted) {
            let why = format!("`{}: {}` was added", field.name, field.value);
            breaches.push(Breach { severity: Severity::Violates, rule: "header changed", it, clause, why });
        }
    }
}

/// Folding apart, which no one reads. What is past the limit of a line may be folded anywhere (RFC 5321 section
/// 4.5.3.1.6).
fn same_value(a: &Field, b: &Field) -> bool {
    let too_long = |field: &Field| field.name.len() + 2 + field.value.len() > 998;
    let solid = |field: &Field| field.value.split_ascii_whitespace().collect::<String>();
    if too_long(a) && too_long(b) && solid(a) == solid(b) {
        return true;
    }
    a.value.split_ascii_whitespace().eq(b.value.split_ascii_whitespace())
}

/// RFC 5321 section 4.4: at least one field of its own, before everything else; older ones as they were.
fn received(sent: &[Field], got: &[Field], breaches: &mut Vec<Breach>) {
    let of =
        |fields: &[Field]| -> Vec<Field> { fields.iter().filter(|f| f.is("Received")).cloned().collect() };
    let (old, all) = (of(sent), of(got));
    let clause = "RFC 5321 section 4.4";
    if all.len() <= old.len() {
        let why = format!("it has {} Received fields, and was submitted with {}", all.len(), old.len());
        breaches.push(Breach {
            severity: Severity::Violates,
            rule: "no trace",
            it: "adds its Received field at the top",
            clause,
            why,
        });
        return;
    }
    let kept = &all[all.len() - old.len()..];
    if let Some((was, is)) = old.iter().zip(kept).find(|(was, is)| !same_value(was, is)) {
        let why = format!("`Received: {}` became `Received: {}`", was.value, is.value);
        breaches.push(Breach {
            severity: Severity::Violates,
            rule: "trace changed",
            it: "leaves older Received fields alone",
            clause,
            why,
        });
    }
    let first = got.iter().position(|f| f.is("Received")).unwrap_or(0);
    let above = |f: &&Field| sent.iter().any(|old| old.is(&f.name) && same_value(old, f));
    if let Some(field) = got[..first].iter().find(above) {
        let why = format!("its Received field stands below `{}: {}`", field.name, field.value);
        breaches.push(Breach {
            severity: Severity::Violates,
            rule: "trace not at the top",
            it: "adds its Received field at the top",
            clause,
            why,
        });
    }
}

fn is_mime(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("content-") || name == "mime-version"
}

fn may_change(role: Role, name: &str, converted: bool) -> bool {
    let addresses = ["From", "To", "Cc", "Reply-To", "Sender", "Date", "Message-ID"];
    converted && is_mime(name)
        // RFC 6409 section 8.2, 8.3: Date, Message-ID; 8.7, 8.8: aliases resolved, addresses rewritten
        || role == Role::Submission && addresses.iter().any(|field| field.eq_ignore_ascii_case(name))
}

fn may_be_added(role: Role, name: &str, converted: bool) -> bool {
    let lower = name.to_ascii_lowercase();
    let trace =
        ["authentication-results", "dkim-signature", "received-spf", "delivered-to", "domainkey-signature"];
    let submitted = ["date", "message-id", "sender", "from", "mime-version", "content-type"];
    lower.starts_with("x-")
        || lower.starts_with("arc-")
        || trace.contains(&lower.as_str())
        || converted && is_mime(name)
        || role == Role::Submission && submitted.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::testing::mime_like;

    fn breaches(sent: &[u8], got: &[u8], binary: bool) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let converted = body(sent, got, binary, &mut breaches);
        header(Role::Relay, sent, got, converted, &mut breaches);
        breaches
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_pair_of_contents_makes_it_panic(sent in mime_like(), got in mime_like(), binary in any::<bool>()) {
            // each field and each part is told at most once
            prop_assert!(breaches(&sent, &got, binary).len() <= sent.len() + got.len() + 1);
        }

        #[test]
        fn a_trace_field_on_top_convicts_nobody(rest in mime_like(), binary in any::<bool>()) {
            let sent = [b"From: <a@origin.example>\r\n", &rest[..]].concat();
            let got = [b"Received: from a by b; Mon, 5 Jan 2026 00:00:00 +0000\r\n", &sent[..]].concat();
            let told = breaches(&sent, &got, binary);
            prop_assert!(told.is_empty(), "{:?}", told.iter().map(|breach| &breach.why).collect::<Vec<_>>());
        }
    }
}
