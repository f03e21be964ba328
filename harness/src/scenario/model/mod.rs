//! The checked model of a scenario: it can only hold what makes sense. [`super::load`] makes it from YAML.

mod dns;
mod expect;
mod messages;
mod relay;
mod servers;
mod steps;

use std::path::PathBuf;
use std::time::Duration;

pub use dns::{DnsEntry, DnsFault, DnsRecords, DnsTlsa};
pub use expect::{Check, Delivered, Expectation, Level, Octets, Of, Refused, Returned, Wire, WireThing};
pub use messages::{
    Bdat, Body, Canonicalization, Content, Envelope, Inside, Message, Part, Text, TransferEncoding,
};
pub use relay::{AuthSettings, RelaySettings, Tls};
pub use servers::{Address, Client, Reach, Server, Serves};
pub use steps::{RelayFault, Step};

/// One scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file it came from, as it was named.
    pub path: PathBuf,
    /// `seeds/domino-8bitmime`: the path below the scenarios' root, without its ending. Names test and snapshot.
    pub name: String,
    /// Of a case of a template: its own name, `RCPT-451`, which is the last part of [`Scenario::name`].
    pub case: Option<String>,
    /// One line.
    pub title: String,
    /// What it is about, for people.
    pub about: String,
    /// Where the behaviour is known from.
    pub sources: Vec<String>,
    /// Words to choose it by.
    pub tags: Vec<String>,
    /// The servers that the relay may meet, in the file's order.
    pub servers: Vec<Server>,
    /// Clients that are dialogues.
    pub clients: Vec<Client>,
    /// What the relay under test is told.
    pub relay: RelaySettings,
    /// The messages, in the file's order.
    pub messages: Vec<Message>,
    /// Names that the scenario sets itself; what servers serve is added by the lab.
    pub dns: Vec<DnsEntry>,
    /// What is done in order. Never empty: without `steps:` it sends every message, runs every client, and settles.
    pub steps: Vec<Step>,
    /// What is required.
    pub expect: Vec<Expectation>,
    /// What is noted without judging.
    pub observe: Vec<Expectation>,
    /// The rule or server without which the scenario shows nothing; `None`: the harness derives it.
    pub decisive: Option<Decisive>,
    /// The relays of the past that it is about, and how it comes out there: that the scenario can tell.
    pub historic: Vec<(String, HistoricOutcome)>,
}

/// How a scenario comes out on a relay of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoricOutcome {
    /// What the relay did was legal, and nobody's loss: by design, as its vendor said.
    Passes,
    /// What the relay did was legal, and a loss to its users.
    Deviates,
    /// It was not legal.
    Violates,
}

/// What must have happened for the scenario to have shown anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decisive {
    /// A session with this server.
    Session(String),
    /// A rule of this server on this event (as the language writes it), by its place in the list from 0.
    Rule {
        /// The server.
        server: String,
        /// The event.
        event: String,
        /// The rule's place; `None`: any of the event's.
        index: Option<usize>,
    },
    /// The relay asked the DNS for this name.
    Name {
        /// The name, without the dot of the root.
        name: String,
        /// The type, `MX`; `None`: any.
        record_type: Option<String>,
    },
    /// All of them.
    All(Vec<Decisive>),
}

impl Scenario {
    /// The server of this name.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.script.name == name)
    }

    /// The message of this name.
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.name == name)
    }

    /// What is required: at the end first, then in each `check:` step by step.
    pub fn expectations(&self) -> impl Iterator<Item = &Expectation> {
        self.expect.iter().chain(self.checks().flatten())
    }

    /// What is required by each `check:` among the steps.
    pub fn checks(&self) -> impl Iterator<Item = &[Expectation]> {
        self.steps.iter().filter_map(|step| match step {
            Step::Check(expectations) => Some(expectations.as_slice()),
            _ => None,
        })
    }

    /// The longest that the relay may keep mail, as far as the scenario says.
    pub fn lifetime(&self) -> Duration {
        self.relay.lifetime.unwrap_or(Duration::from_hours(5 * 24))
    }

    /// How long a run may take in its own time: enough for the mail and a notification about it to live out their lives.
    pub fn longest_run(&self) -> Duration {
        let waits = self.steps.iter().map(|step| match step {
            Step::Wait(wait) | Step::Jump(wait) => *wait,
            _ => Duration::ZERO,
        });
        self.lifetime() * 3 + Duration::from_hours(48) + waits.sum::<Duration>()
    }
}
