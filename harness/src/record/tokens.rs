//! Tokens: by which every copy of a submission is known again, whatever happened to its addresses.
//!
//! A token `note-1` stands in `X-Gauntlet-Token: note-1`, in the Message-ID `<note-1@gauntlet.example>` and in a line
//! `Token: note-1` of the body; whichever survived is enough.

use std::collections::BTreeMap;

use mock_servers::RunTime;
use mock_servers::smtp::forward;

use super::mail::{self, Field};
use super::{Accepted, Submission, known};

/// The domain of our own Message-IDs.
pub(super) const DOMAIN: &str = "gauntlet.example";

/// Which token is whose.
pub(super) struct Tokens<'a> {
    by_token: BTreeMap<&'a str, usize>,
    /// By the id that the server which forwarded it wrote into its Received field.
    by_forward: BTreeMap<String, usize>,
    submissions: &'a [Submission],
}

impl<'a> Tokens<'a> {
    pub(super) fn of(submissions: &'a [Submission]) -> Self {
        let token = |(at, s): (usize, &'a Submission)| Some((s.token.as_deref()?, at));
        // of several with one token the first that was not refused: a client may have come back with the same mail
        let refused = |s: &Submission| s.recipients.iter().all(|r| matches!(r.fate, Accepted::No { .. }));
        let mut last_is_best: Vec<_> = submissions.iter().enumerate().rev().collect();
        last_is_best.sort_by_key(|(_, s)| (s.forwarded.is_none(), !refused(s)));
        let forward = |(at, s): &(usize, &Submission)| {
            s.forwarded.as_ref()?;
            Some((forward_of(&mail::split(&s.content).0)?, *at))
        };
        Self {
            by_forward: last_is_best.iter().filter_map(forward).collect(),
            by_token: last_is_best.into_iter().filter_map(token).collect(),
            submissions,
        }
    }

    fn find(&self, token: &str) -> Option<usize> {
        self.by_token.get(token).copied()
    }

    /// The submission whose token stands in the header; where a server forwarded the mail, what it submitted last.
    pub(super) fn in_header(&self, fields: &[Field]) -> Option<usize> {
        if let Some(forwarded) = forward_of(fields).and_then(|id| self.by_forward.get(&id)) {
            return Some(*forwarded);
        }
        let named = mail::first(fields, "X-Gauntlet-Token").and_then(|token| self.find(token));
        let id = || mail::first(fields, "Message-ID").and_then(of_message_id);
        named.or_else(|| id().and_then(|token| self.find(token)))
    }

    /// The submission whose token stands first in a text, in any of the three forms.
    pub(super) fn in_text(&self, text: &[u8]) -> Option<usize> {
        String::from_utf8_lossy(text).lines().find_map(|line| self.find(of_line(line)?))
    }

    /// Of a submission and those that a server made of it, the one that a text about it means: by the id of a forwarding
    /// that stands first in it, else the last one that the relay had accepted by then.
    pub(super) fn furthest(&self, submission: usize, text: &[u8], at: RunTime) -> usize {
        let of = |s: &Submission| s.forwarded.as_ref().is_some_and(|f| f.of == Some(submission));
        if self.by_forward.is_empty() || !self.submissions.iter().any(of) {
            return submission;
        }
        let text = String::from_utf8_lossy(text);
        let named = text.match_indices(forward::ID).find_map(|(begin, _)| {
            let id = text[begin..].split(|c: char| c.is_whitespace() || c == ';').next()?;
            self.by_forward.get(id).copied()
        });
        let accepted = |s: &Submission| s.recipients.iter().any(|r| r.fate == Accepted::Yes);
        let last = || self.submissions.iter().rposition(|s| of(s) && s.at <= at && accepted(s));
        named.or_else(last).unwrap_or(submission)
    }

    /// The submission whose token stands in the body, decoded or as it came.
    pub(super) fn in_body(&self, content: &[u8]) -> Option<usize> {
        let decoded = mail::leaves(content).into_iter().find_map(|leaf| self.in_text(&leaf));
        decoded.or_else(|| self.in_text(mail::split(content).1))
    }
}

/// The token in a content of unknown origin, as a dialogue may have written it.
pub(super) fn written_in(content: &[u8]) -> Option<String> {
    let (fields, body) = mail::split(content);
    let named = mail::first(&fields, "X-Gauntlet-Token").map(str::to_owned);
    let id = || mail::first(&fields, "Message-ID").and_then(of_message_id).map(str::to_owned);
    let line = || String::from_utf8_lossy(body).lines().find_map(|line| of_line(line).map(str::to_owned));
    named.or_else(id).or_else(line).filter(|token| !token.is_empty())
}

/// The id that the last server which forwarded a mail wrote into its Received field.
pub(super) fn forward_of(fields: &[Field]) -> Option<String> {
    let received = fields.iter().filter(|field| field.is("Received"));
    let mut ids = received.filter_map(|field| known::id_clause(&field.value));
    ids.find(|id| id.starts_with(forward::ID)).map(str::to_owned)
}

fn of_message_id(id: &str) -> Option<&str> {
    let (token, domain) = id.trim().strip_prefix('<')?.strip_suffix('>')?.split_once('@')?;
    domain.eq_ignore_ascii_case(DOMAIN).then_some(token)
}

fn of_line(line: &str) -> Option<&str> {
    let after = |marker: &str| {
        let at = line.to_ascii_lowercase().find(marker)?;
        // the name must be whole: `My-Token:` is another one
        let begins = line[..at].bytes().last().is_none_or(|b| b == b' ' || b == b'>' || b == b'\t');
        begins.then(|| line[at + marker.len()..].split_ascii_whitespace().next()).flatten()
    };
    let id = || {
        let at = line.find("@gauntlet.example>")?;
        line[..at].rsplit_once('<').map(|(_, token)| token)
    };
    after("x-gauntlet-token:").or_else(|| after("token:")).or_else(id)
}
