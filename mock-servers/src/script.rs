//! What a mock is told to do: profiles, rules, dialogues. Data only; [`crate::smtp`] carries it out.

mod dialogue;
mod profile;
mod reading;
mod rule;
mod tls;

pub use dialogue::{Choice, Dialogue, Line, Pattern, Speech};
pub use profile::{Offers, Profile};
pub use reading::Reading;
pub(crate) use rule::fits;
pub use rule::{Action, Condition, Glob, HeaderChanges, MeansFor, On, Range, ReplyText, Rule, Verb};
pub use tls::{Certificate, TlsAction, TlsFault, TlsVersion};

use std::time::Duration;

/// Everything one mock server does.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The server's name in the scenario; heads its transcripts.
    pub name: String,
    /// Its host name: `{host}` in replies, and the subject of its certificate.
    pub hostname: String,
    /// The vendor's habits, with the scenario's changes to banner and offers already made.
    pub profile: Profile,
    /// Rules, tried in order within an event; what no rule catches, the profile answers.
    pub rules: Vec<(On, Vec<Rule>)>,
    /// A dialogue in place of the session: the profile and the rules are not used then.
    pub dialogue: Option<Dialogue>,
    /// The credentials that AUTH accepts; `None` accepts all.
    pub credentials: Option<(String, String)>,
    /// Into how many bytes a segment everything it says is cut, from the greeting on; `None`: not at all.
    pub pace: Option<usize>,
    /// How fast it reads, from the first octet on, until a rule says otherwise.
    pub read: Reading,
    /// The certificate that it shows after STARTTLS where no rule says otherwise.
    pub certificate: Certificate,
}

impl Script {
    /// The rules of one event, with each rule's place in the event's list.
    pub fn rules_on<'a>(&'a self, on: &'a On) -> impl Iterator<Item = (usize, &'a Rule)> {
        self.rules
            .iter()
            .filter(move |(event, _)| event == on)
            .flat_map(|(_, rules)| rules.iter().enumerate())
    }

    /// Whether it ever reads less than all that comes.
    pub fn holds_clients_back(&self) -> bool {
        let rules = self.rules.iter().chain(&self.profile.habits).flat_map(|(_, rules)| rules);
        let actions = rules.flat_map(|rule| &rule.actions);
        self.read.is_held_back()
            || actions.into_iter().any(|action| matches!(action, Action::Read(how) if how.is_held_back()))
    }

    /// The shortest `idle: { after }` of the script, if it has one.
    pub fn idle_after(&self) -> Option<Duration> {
        self.rules_on(&On::Idle).filter_map(|(_, rule)| rule.after).min()
    }
}
