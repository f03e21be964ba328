//! SMTP's own state.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::ServerSession;
use super::auth::Exchange;
use crate::script::{HeaderChanges, On};
use crate::smtp::content::Measure;
use crate::smtp::memory::Seen;
use crate::time::RunTime;

/// What a session knows of its client.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) greeting: Greeting,
    /// That the client spoke before the banner was noticed; once is enough.
    pub(super) early_noticed: bool,
    /// The argument of the last HELO or EHLO that was accepted.
    pub(super) helo: Option<String>,
    /// What the last EHLO reply listed; `None` before it, after HELO, and after STARTTLS.
    pub(super) offers: Option<Vec<String>>,
    pub(super) tls: bool,
    pub(super) authenticated: bool,
    pub(super) exchange: Option<Exchange>,
    /// The mail transaction; also while its MAIL has no reply yet.
    pub(super) mail: Option<Mail>,
    /// How many transactions were begun.
    pub(super) transactions: u64,
    /// How often each event was met.
    pub(super) counts: BTreeMap<On, u64>,
    pub(super) commands: u64,
    /// Whether the next command may come before the last one's reply (RFC 2920 section 3.1).
    pub(super) may_pipeline: bool,
}

/// How the session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Greeting {
    #[default]
    Due,
    Given,
    /// 554 in place of the banner: only QUIT is of any use (RFC 5321 section 3.1).
    Refused,
}

/// A mail transaction.
#[derive(Debug)]
pub(super) struct Mail {
    /// Its place in the transcript.
    pub(super) index: usize,
    pub(super) accepted: bool,
    pub(super) from: String,
    pub(super) parameters: Vec<String>,
    pub(super) first_seen: RunTime,
    /// The recipients that were accepted.
    pub(super) recipients: Vec<String>,
    /// The place of the last RCPT in the transcript, accepted or not.
    pub(super) last_recipient: usize,
    pub(super) seen: BTreeMap<String, Seen>,
    pub(super) rcpt_commands: u64,
    pub(super) bdat_commands: u64,
    /// A chunk was refused (RFC 3030 section 2: the transaction has failed).
    pub(super) failed: bool,
    pub(super) measure: Measure,
    pub(super) kept: u64,
    pub(super) data_rules_fired: BTreeSet<(bool, usize)>,
    /// The final reply was given while the body still came.
    pub(super) answered_early: bool,
    /// What a rule says about keeping the mail.
    pub(super) take: Option<bool>,
    /// That it is forwarded once it was taken.
    pub(super) forward: Option<HeaderChanges>,
}

impl State {
    pub(super) fn greeted(&self) -> bool {
        self.greeting != Greeting::Due
    }

    /// The transaction, if its MAIL was accepted.
    pub(super) fn open_mail(&self) -> Option<&Mail> {
        self.mail.as_ref().filter(|mail| mail.accepted)
    }
}

impl Mail {
    /// A parameter's value; empty when it has none.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl ServerSession {
    /// An event was met once more.
    pub(super) fn count(&mut self, on: &On) {
        match self.state.counts.get_mut(on) {
            Some(count) => *count += 1,
            None => _ = self.state.counts.insert(on.clone(), 1),
        }
    }

    /// What the session's last EHLO reply listed or, before one, what the profile would.
    fn list(&self) -> Cow<'_, [String]> {
        match &self.state.offers {
            Some(offers) => Cow::Borrowed(offers),
            None => self.script.profile.offers.list(self.state.tls, self.state.authenticated),
        }
    }

    /// Whether the last EHLO reply of this session listed the keyword. Without one nothing is on offer.
    pub(super) fn offers(&self, keyword: &str) -> bool {
        self.state.offers.iter().flatten().any(|line| words(line).0.eq_ignore_ascii_case(keyword))
    }

    /// The mechanisms that the last EHLO reply listed, in upper case.
    pub(super) fn mechanisms(&self) -> Vec<String> {
        let lists = self.state.offers.iter().flatten().map(|line| words(line));
        let lists = lists.filter(|(keyword, _)| keyword.eq_ignore_ascii_case("AUTH"));
        lists.flat_map(|(_, rest)| rest.split_ascii_whitespace()).map(str::to_ascii_uppercase).collect()
    }

    /// Whether replies carry enhanced status codes; with or without EHLO (RFC 2034 section 4).
    pub(super) fn has_enhanced_codes(&self) -> bool {
        self.list().iter().any(|line| words(line).0.eq_ignore_ascii_case("ENHANCEDSTATUSCODES"))
    }

    /// The fixed maximum message size; 0 and no number are none (RFC 1870 section 4).
    pub(super) fn size_limit(&self) -> Option<u64> {
        let list = self.list();
        let size = list.iter().map(|line| words(line)).find(|(k, _)| k.eq_ignore_ascii_case("SIZE"));
        size.and_then(|(_, value)| value.trim().parse().ok()).filter(|&limit| limit > 0)
    }
}

/// A line of an EHLO reply: keyword and the rest. Old servers write `AUTH=LOGIN`.
fn words(line: &str) -> (&str, &str) {
    line.split_once([' ', '=']).unwrap_or((line, ""))
}
