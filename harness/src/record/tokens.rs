//! Tokens: by which every copy of a submission is known again, whatever happened to its addresses.
//!
//! A token `note-1` stands in `X-Gauntlet-Token: note-1`, in the Message-ID `<note-1@gauntlet.example>` and in a line
//! `Token: note-1` of the body; whichever survived is enough.

use std::collections::BTreeMap;

use super::mail::{self, Field};
use super::{Accepted, Submission};

/// The domain of our own Message-IDs.
pub(super) const DOMAIN: &str = "gauntlet.example";

/// Which token is whose.
pub(super) struct Tokens<'a>(BTreeMap<&'a str, usize>);

impl<'a> Tokens<'a> {
    pub(super) fn of(submissions: &'a [Submission]) -> Self {
        let token = |(at, s): (usize, &'a Submission)| Some((s.token.as_deref()?, at));
        // of several with one token the first that was not refused: a client may have come back with the same mail
        let refused = |s: &Submission| s.recipients.iter().all(|r| matches!(r.fate, Accepted::No { .. }));
        let (first, last): (Vec<_>, Vec<_>) =
            submissions.iter().enumerate().rev().partition(|(_, s)| refused(s));
        Self(first.into_iter().chain(last).filter_map(token).collect())
    }

    fn find(&self, token: &str) -> Option<usize> {
        self.0.get(token).copied()
    }

    /// The submission whose token stands in the header.
    pub(super) fn in_header(&self, fields: &[Field]) -> Option<usize> {
        let named = mail::first(fields, "X-Gauntlet-Token").and_then(|token| self.find(token));
        let id = || mail::first(fields, "Message-ID").and_then(of_message_id);
        named.or_else(|| id().and_then(|token| self.find(token)))
    }

    /// The submission whose token stands first in a text, in any of the three forms.
    pub(super) fn in_text(&self, text: &[u8]) -> Option<usize> {
        String::from_utf8_lossy(text).lines().find_map(|line| self.find(of_line(line)?))
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
