//! Scenarios made by hand, and what a judgement must be.

use std::path::PathBuf;

use mock_servers::script::{Certificate, Offers, Profile, Range, Reading, ReplyText, Script};

use super::{Finding, Severity, Verdict, judge};
use crate::record::Record;
use crate::scenario::{
    Address, Check, Delivered, Expectation, Level, Of, Reach, RelaySettings, Returned, Scenario, Server,
    Serves,
};

/// A scenario with one server, `hub`, for `hub.example`, and no expectations.
pub(crate) fn scenario() -> Scenario {
    Scenario {
        path: PathBuf::from("scenarios/test.yaml"),
        name: "test".to_owned(),
        case: None,
        title: "Test".to_owned(),
        about: String::new(),
        sources: Vec::new(),
        tags: Vec::new(),
        servers: vec![server("hub", "hub.example")],
        clients: Vec::new(),
        relay: RelaySettings::default(),
        messages: Vec::new(),
        dns: Vec::new(),
        steps: Vec::new(),
        expect: Vec::new(),
        observe: Vec::new(),
        decisive: None,
        historic: Vec::new(),
    }
}

pub(crate) fn server(name: &str, domain: &str) -> Server {
    let text = |line: &str| ReplyText::parse(line).unwrap();
    let profile = Profile {
        name: "plain".to_owned(),
        banner: text("220 {host} ESMTP"),
        ehlo_greeting: text("250 {host}"),
        offers: Offers::default(),
        replies: Vec::new(),
        habits: Vec::new(),
    };
    let script = Script {
        name: name.to_owned(),
        hostname: format!("mx.{domain}"),
        profile,
        rules: Vec::new(),
        dialogue: None,
        credentials: None,
        pace: None,
        read: Reading::Freely,
        certificate: Certificate::Good,
    };
    let serves = vec![Serves { domain: domain.to_owned(), preference: 10 }];
    Server { script, serves, addresses: vec![Address { v6: false, reach: Reach::Good }] }
}

pub(crate) fn expecting(level: Level, check: Check) -> Scenario {
    let expectation =
        Expectation { it: None, level, clause: "RFC 5321 section 6.1".to_owned(), check, line: 7 };
    Scenario { expect: vec![expectation], ..scenario() }
}

pub(crate) fn of(message: &str) -> Of {
    Of { message: Some(message.to_owned()), to: None }
}

pub(crate) fn delivered(message: &str) -> Delivered {
    Delivered {
        of: of(message),
        by: None,
        attempt: None,
        times: Range::exactly(1),
        octets: None,
        within: None,
        dkim_intact: false,
    }
}

pub(crate) fn returned(message: &str) -> Returned {
    Returned { of: of(message), status: Vec::new(), within: None, text: None, times: Range::exactly(1) }
}

/// The findings of a run under the bare scenario.
pub(crate) fn found(record: &Record) -> Vec<Finding> {
    judge(&scenario(), record).findings
}

/// The names of the rules that found something worse than a note.
pub(crate) fn rules(record: &Record) -> Vec<String> {
    rules_of(&judge(&scenario(), record))
}

pub(crate) fn rules_of(verdict: &Verdict) -> Vec<String> {
    let bad = verdict.findings.iter().filter(|finding| finding.severity != Severity::Note);
    bad.map(|finding| finding.rule.clone()).collect()
}

#[track_caller]
pub(crate) fn assert_innocent(record: &Record) {
    let findings = found(record);
    assert!(findings.is_empty(), "{findings:#?}");
}

#[track_caller]
pub(crate) fn assert_found(record: &Record, rule: &str) {
    assert_eq!(rules(record), [rule], "{:#?}", found(record));
}

pub(crate) fn judge_with(scenario: &Scenario, record: &Record) -> Vec<String> {
    rules_of(&judge(scenario, record))
}
