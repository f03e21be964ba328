//! Notifications: true, in form, to the one who asked for them, and not to one who did not.

use std::collections::BTreeSet;

use super::last_words::LastWords;
use super::ledger::{Ledger, Notice, Unit, submission_name};
use super::{Finding, Severity, transaction};
use crate::record::conversation::conversation;
use crate::record::mail::normal;
use crate::record::{Notification, Record, Submission};

/// Judges each notification, and each for its recipients.
pub(super) fn judge(record: &Record, ledger: &Ledger<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let offered: BTreeSet<usize> = dsn_offered(record);
    let refused = LastWords::of(record);
    for notification in &record.notifications {
        let judging = Judging { record, offered: &offered, notification };
        judging.envelope(&mut findings);
        judging.form(&mut findings);
        judging.fields(&mut findings);
    }
    for unit in &ledger.units {
        for notice in &unit.notices {
            let judging = Judging { record, offered: &offered, notification: notice.notification };
            findings.extend(judging.asked_for(unit, notice));
            findings.extend(judging.diagnosis(&refused, unit, notice));
            findings.extend(judging.original_recipient(unit, notice));
        }
    }
    findings
}

struct Judging<'a> {
    record: &'a Record,
    /// Sessions of submission in which the relay offered DSN.
    offered: &'a BTreeSet<usize>,
    notification: &'a Notification,
}

impl Judging<'_> {
    fn finding(&self, severity: Severity, rule: &str, it: &str, clause: &str, why: &str) -> Finding {
        let at = self.notification.at;
        Finding {
            severity,
            rule: format!("notification: {rule}"),
            it: it.to_owned(),
            clause: clause.to_owned(),
            why: format!("the notification that {} took at +{at} {why}", self.notification.server),
            evidence: vec![transaction(self.record, self.notification.place)],
        }
    }

    fn about(&self) -> Option<&Submission> {
        self.notification.submission.map(|index| &self.record.submissions[index])
    }

    fn envelope(&self, findings: &mut Vec<Finding>) {
        let n = self.notification;
        let Some(about) = self.about() else { return };
        let to_postmaster =
            n.to.iter()
                .all(|to| normal(to).split('@').next().is_some_and(|l| l.eq_ignore_ascii_case("postmaster")));
        let to_sender = n.to.iter().any(|to| normal(to) == normal(&about.from));
        // what the postmaster is told of others' mail is a local matter, and no notification to its sender
        if !n.from.is_empty() && (to_sender || !to_postmaster) {
            let why = format!("has the reverse-path <{}>", n.from);
            let it = "sends notifications with the null reverse-path";
            findings.push(self.finding(Severity::Violates, "reverse-path", it, "RFC 5321 section 6.1", &why));
        }
        if about.from.is_empty() && !to_postmaster {
            let why = format!(
                "is about {}, which itself came with the null reverse-path",
                submission_name(self.record, about)
            );
            let it = "sends no notification about what came with the null reverse-path";
            findings.push(self.finding(
                Severity::Violates,
                "about a notification",
                it,
                "RFC 5321 section 6.1",
                &why,
            ));
        }
        // RFC 3834 section 5.2
        let auto = n.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Auto-Submitted"));
        if let Some((_, value)) =
            auto.filter(|(_, value)| value.to_ascii_lowercase().starts_with("auto-generated"))
        {
            let it = "does not call a notification auto-generated";
            let why = format!("says `Auto-Submitted: {value}`");
            findings.push(self.finding(
                Severity::Violates,
                "Auto-Submitted",
                it,
                "RFC 3834 section 5.2",
                &why,
            ));
        }
    }

    /// Whether the relay offered DSN to who submitted: then RFC 3461 binds it.
    fn dsn_offered(&self) -> bool {
        let place = self.about().and_then(|about| about.place);
        place.is_some_and(|place| self.offered.contains(&place.session))
    }

    fn form(&self, findings: &mut Vec<Finding>) {
        if self.notification.well_formed || self.about().is_none() {
            return;
        }
        let it = "writes notifications as multipart/report with message/delivery-status";
        let why = "is not in that form";
        findings.push(if self.dsn_offered() {
            self.finding(Severity::Violates, "form", it, "RFC 3461 section 6.2", why)
        } else {
            self.finding(Severity::Deviates, "form", it, "RFC 5321 section 3.6.3", why)
        });
    }

    fn fields(&self, findings: &mut Vec<Finding>) {
        let n = self.notification;
        // the fields of one that is not in the form are fields all the same
        let told = n.well_formed || !n.message_fields.is_empty() || !n.recipients.is_empty();
        if !told || self.about().is_none() {
            return;
        }
        let it = "has the fields of RFC 3464, with values that it defines";
        let mut bad = |clause: &str, why: String| {
            findings.push(self.finding(Severity::Violates, "fields", it, clause, &why));
        };
        if !n.message_fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("Reporting-MTA")) {
            bad("RFC 3464 section 2.2.2", "has no Reporting-MTA".to_owned());
        }
        for recipient in &n.recipients {
            let to = &recipient.to;
            if to.is_empty() {
                bad("RFC 3464 section 2.3.2", "has a recipient without Final-Recipient".to_owned());
            }
            let actions = ["failed", "delayed", "delivered", "relayed", "expanded"];
            if !actions.contains(&recipient.action.as_str()) {
                bad("RFC 3464 section 2.3.3", format!("has the action `{}` for {to}", recipient.action));
            }
            if !is_status(&recipient.status) {
                bad("RFC 3464 section 2.3.4", format!("has the status `{}` for {to}", recipient.status));
            } else if matches!(
                (recipient.action.as_str(), recipient.status.as_bytes()[0]),
                ("failed" | "delayed", b'2')
            ) {
                let why = format!(
                    "says {to} is {}, with the status {} of success",
                    recipient.action, recipient.status
                );
                bad("RFC 3464 section 2.3.4", why);
            }
        }
        if self.dsn_offered() {
            self.envelope_id(findings);
            findings.extend(self.return_of_content());
        }
    }

    /// RET=HDRS is honoured, and what tells of no failure returns the header alone (RFC 3461 section 4.3, 6.2). RET=FULL
    /// leaves the header alone to a relay that finds the mail too long, so that nothing can be held against it.
    fn return_of_content(&self) -> Option<Finding> {
        let failed = self.notification.recipients.iter().any(|recipient| recipient.action == "failed");
        let headers_only = self.parameter("RET").is_some_and(|ret| ret.eq_ignore_ascii_case("HDRS"));
        if !self.notification.returns_body || failed && !headers_only {
            return None;
        }
        let (clause, why) = if failed {
            ("RFC 3461 section 4.3", "returns the body, and the sender had asked with RET=HDRS")
        } else {
            ("RFC 3461 section 6.2", "returns the body, and tells of no failure")
        };
        let it = "returns the header alone where no more is asked for";
        Some(self.finding(Severity::Deviates, "RET", it, clause, why))
    }

    /// The value of a parameter of MAIL as the mail that it is about was submitted.
    fn parameter(&self, name: &str) -> Option<&str> {
        let place = self.about()?.place?;
        let given = &self.record.sessions[place.session].transactions[place.transaction].parameters;
        given
            .iter()
            .find_map(|p| p.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    }

    /// RFC 3461 section 6.3 (a): the ENVID that was given, decoded; none where none was.
    fn envelope_id(&self, findings: &mut Vec<Finding>) {
        let given = self.parameter("ENVID").map(|id| from_xtext(id).trim().to_owned());
        let fields = &self.notification.message_fields;
        let told = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("Original-Envelope-Id"));
        let told = told.map(|(_, value)| value.trim().to_owned());
        if given != told {
            let word = |id: Option<String>| id.map_or_else(|| "none".to_owned(), |id| format!("`{id}`"));
            let why =
                format!("has {} for its Original-Envelope-Id; the ENVID was {}", word(told), word(given));
            let it = "gives the ENVID back as Original-Envelope-Id";
            findings.push(self.finding(Severity::Violates, "envelope id", it, "RFC 3461 section 6.3", &why));
        }
    }

    /// RFC 3461 section 6.3 (d): the ORCPT that was given for a recipient, and no Original-Recipient where none was.
    fn original_recipient(&self, unit: &Unit<'_>, notice: &Notice<'_>) -> Option<Finding> {
        let recipient = &self.notification.recipients[notice.recipient?];
        let place = unit.of.place.filter(|_| self.dsn_offered())?;
        let named = &self.record.sessions[place.session].transactions[place.transaction].recipients;
        // the same address may have been named twice
        let given: Vec<Option<&str>> =
            named.iter().filter(|r| normal(&r.to) == normal(unit.to)).map(|r| orcpt(&r.parameters)).collect();
        let told = recipient.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("Original-Recipient"));
        let told = told.map(|(_, value)| value.trim());
        if given.is_empty() || given.iter().any(|given| same_original(*given, told)) {
            return None;
        }
        let word = |value: Option<&str>, what: &str| {
            value.map_or_else(|| format!("no {what}"), |value| format!("the {what} `{value}`"))
        };
        let why = format!(
            "has {} for {}, whose RCPT came with {}",
            word(told, "Original-Recipient"),
            unit.to.trim(),
            word(given.into_iter().find_map(|given| given), "ORCPT")
        );
        let it = "gives the ORCPT back as Original-Recipient, and has none where none was given";
        let clause = "RFC 3461 section 6.3 (d)";
        Some(self.finding(Severity::Violates, "original recipient", it, clause, &why))
    }

    /// NOTIFY is honoured (RFC 3461 section 5.2.2, 5.2.3, 5.2.5 to 5.2.7).
    fn asked_for(&self, unit: &Unit<'_>, notice: &Notice<'_>) -> Option<Finding> {
        let word = match notice.action {
            "failed" => "FAILURE",
            "delayed" => "DELAY",
            "relayed" | "delivered" | "expanded" => "SUCCESS",
            _ => return None,
        };
        let asked = unit.notify.iter().any(|asked| asked == word);
        let by_default = unit.notify.is_empty() && word != "SUCCESS";
        // what success is told without being asked for, RFC 3461 forbids to those that offer it
        if asked || by_default || unit.notify.is_empty() && !self.dsn_offered() {
            return None;
        }
        let clause = match word {
            "FAILURE" => "RFC 3461 section 5.2.6",
            "DELAY" => "RFC 3461 section 5.2.5",
            _ if notice.action == "relayed" => "RFC 3461 section 5.2.2",
            _ if notice.action == "expanded" => "RFC 3461 section 5.2.7",
            _ => "RFC 3461 section 5.2.3",
        };
        let notify = if unit.notify.is_empty() {
            "no NOTIFY".to_owned()
        } else {
            format!("NOTIFY={}", unit.notify.join(","))
        };
        let why = format!(
            "says that {} was {}, and the sender had asked with {notify}",
            unit.name(self.record),
            notice.action
        );
        Some(self.finding(
            Severity::Violates,
            "NOTIFY",
            "tells the sender only what it asked for",
            clause,
            &why,
        ))
    }

    /// After a refusal by another server: who said it and what (RFC 3461 section 6.3 (h), (i)). Judged where the last
    /// thing that any server said about the recipient was a permanent refusal.
    fn diagnosis(&self, said: &LastWords<'_>, unit: &Unit<'_>, notice: &Notice<'_>) -> Option<Finding> {
        let recipient = &notice.notification.recipients[notice.recipient?];
        if notice.action != "failed" || !self.dsn_offered() || !said.no(unit, notice) {
            return None;
        }
        let has = |name: &str| recipient.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
        let missing: Vec<&str> =
            ["Remote-MTA", "Diagnostic-Code"].into_iter().filter(|name| !has(name)).collect();
        if missing.is_empty() {
            return None;
        }
        let why =
            format!("has no {} for {}, whom a server refused", missing.join(" and no "), unit.to.trim());
        let it = "says which server refused, and its reply";
        Some(self.finding(Severity::Violates, "diagnosis", it, "RFC 3461 section 6.3", &why))
    }
}

/// The sessions with clients in which the relay offered DSN.
fn dsn_offered(record: &Record) -> BTreeSet<usize> {
    let about = record.notifications.iter().filter_map(|n| record.submissions.get(n.submission?)?.place);
    let sessions: BTreeSet<usize> = about.map(|place| place.session).collect();
    let offered = |session: &usize| {
        conversation(&record.sessions[*session]).exchanges.iter().any(|exchange| exchange.offered("DSN"))
    };
    sessions.into_iter().filter(offered).collect()
}

fn orcpt(parameters: &[String]) -> Option<&str> {
    let pairs = parameters.iter().filter_map(|parameter| parameter.split_once('='));
    pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("ORCPT")).map(|(_, value)| value)
}

/// Whether a field has the type and the address that ORCPT has, decoded or as they came. Of the type `utf-8` there are
/// several spellings (RFC 6533 section 3), so that of that its being there is all that is looked at.
fn same_original(given: Option<&str>, told: Option<&str>) -> bool {
    let (Some(given), Some(told)) = (given, told) else { return given.is_none() && told.is_none() };
    let (Some((kind, address)), Some((told_kind, told))) = (given.split_once(';'), told.split_once(';'))
    else {
        return given == told;
    };
    let (kind, told) = (kind.trim(), told.trim());
    kind.eq_ignore_ascii_case("utf-8")
        || kind.eq_ignore_ascii_case(told_kind.trim()) && (told == address || told == from_xtext(address))
}

/// RFC 3464 section 2.3.4: digits without leading zeros, three of them at most.
fn is_status(status: &str) -> bool {
    let number = |part: &str| {
        (1..=3).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let parts: Vec<&str> = status.split('.').collect();
    parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts[1..].iter().all(|part| number(part))
}

/// RFC 3461 section 4: `+` and two hexadecimal digits.
fn from_xtext(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'+')
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
