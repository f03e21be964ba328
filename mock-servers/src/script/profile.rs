//! Profiles: a vendor's habits.

use std::borrow::Cow;

use super::rule::{On, ReplyText, Rule, Verb};

/// A vendor's server as it meets its peers: banner, EHLO reply, wording, habits. Its YAML file carries the source of each
/// fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The name by which scenarios choose it.
    pub name: String,
    /// The greeting (RFC 5321 section 4.2).
    pub banner: ReplyText,
    /// The first line of the EHLO reply, and the HELO reply.
    pub ehlo_greeting: ReplyText,
    /// What the EHLO reply lists, by phase. The server does what it lists.
    pub offers: Offers,
    /// Replies that differ from the plain ones, by command; for a positive outcome.
    pub replies: Vec<(On, ReplyText)>,
    /// Habits, in the form of rules; tried after the scenario's own.
    pub habits: Vec<(On, Vec<Rule>)>,
}

impl Profile {
    /// The profile's own wording for a command, if it has one.
    pub fn reply_to(&self, on: &On) -> Option<&ReplyText> {
        self.replies.iter().find(|(event, _)| event == on).map(|(_, reply)| reply)
    }

    /// The profile's own wording for a verb, if it has one.
    pub fn reply_to_verb(&self, verb: Verb) -> Option<&ReplyText> {
        self.reply_to(&On::Command(verb))
    }
}

/// The keywords of the EHLO reply, by phase, each with its parameters as on the wire: `SIZE 10240000`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// At first. Empty and `ehlo: false` apart: an empty list is a bare `250 host`.
    pub at_first: Vec<String>,
    /// After STARTTLS; `None`: as at first, without STARTTLS.
    pub after_tls: Option<Vec<String>>,
    /// After AUTH; `None`: as before it.
    pub after_auth: Option<Vec<String>>,
}

impl Offers {
    /// The list for a session in this state.
    pub fn list(&self, tls: bool, authenticated: bool) -> Cow<'_, [String]> {
        if authenticated && let Some(list) = &self.after_auth {
            return list.into();
        }
        match (&self.after_tls, tls) {
            (Some(list), true) => list.into(),
            (None, true) => {
                self.at_first.iter().filter(|k| !k.eq_ignore_ascii_case("STARTTLS")).cloned().collect()
            }
            (_, false) => (&self.at_first).into(),
        }
    }
}
