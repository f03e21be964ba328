//! What happened in a run: plain, serialisable data without behaviour. Everything after it is a pure function of it.

mod assemble;
mod attempts;
pub mod conversation;
mod dates;
mod deliveries;
pub mod dkim;
mod known;
pub mod mail;
#[cfg(test)]
mod moments_tests;
mod notification;
mod order;
mod racing;
mod submissions;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod tokens;
pub mod turns;
mod varies;

pub use assemble::{Raw, Sent, assemble};
pub use known::{Kind, Known, Span};
pub use order::steps_among_sessions;
pub use timeline::Timeline;
pub use varies::{Varies, Varying};

use std::net::SocketAddr;

use mock_servers::RunTime;
use mock_servers::dns::DnsQuery;
use mock_servers::transcript::Session;
use serde::{Deserialize, Serialize};

/// The record of one run of one scenario against one relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The relay under test.
    pub relay: RelayIdentity,
    /// What the run's clock called its start: seconds since 1970, UTC. Dates in the mail are moments of the run by it.
    pub epoch: i64,
    /// Whose time it ran in.
    #[serde(default)]
    pub clock: Clock,
    /// Every SMTP session, the mocks' and the clients', in order of opening; those of one moment in the machine's time by mock,
    /// then ordinal.
    pub sessions: Vec<Session>,
    /// Every DNS query that the relay made, in order.
    pub queries: Vec<DnsQuery>,
    /// What was submitted, in order.
    pub submissions: Vec<Submission>,
    /// Every copy that a mock server took and that carries a token, in order.
    pub deliveries: Vec<Delivery>,
    /// Every copy that a mock server acknowledged and did not keep (`take: false`): the relay's duty ended there.
    pub let_go: Vec<Delivery>,
    /// Every notification that a mock server took, in order.
    pub notifications: Vec<Notification>,
    /// Mail that a mock server took and that is neither: no token, no notification.
    pub strays: Vec<Place>,
    /// The relay's queue whenever it changed, in order.
    pub queue: Vec<QueueState>,
    /// What became of each recipient that the relay took, in order of the submissions: when it was tried, and what its sender was
    /// told.
    #[serde(default)]
    pub timelines: Vec<Timeline>,
    /// The relay's log.
    pub log: Vec<LogLine>,
    /// The scenario's steps as they were done.
    pub steps: Vec<StepDone>,
    /// What the record was at each `check:` step, in order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<Checkpoint>,
    /// How the run ended.
    pub end: End,
}

/// The record as it was at a moment of the run: all that had happened by then, and nothing else. A moment of run time
/// would not do: much happens at the same moment, before a step and after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The step at which it was taken: an index into [`Record::steps`].
    pub step: usize,
    /// What the record would be, had the run ended then.
    pub record: Record,
}

/// The relay under test, as far as it is known from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayIdentity {
    /// The name by which it was chosen: `reference`, `iis-5`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its own host name.
    pub hostname: String,
    /// Which part it played towards the submitting client.
    pub role: Role,
    /// The times of its own that it went by where the scenario has others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_times: Vec<OwnTime>,
    /// Where it accepts mail.
    pub address: SocketAddr,
    /// What it does not do alike from run to run.
    #[serde(default, skip_serializing_if = "Varies::is_nothing")]
    pub varies: Varies,
}

/// A time that a relay has of its own, since it cannot be told one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTime {
    /// The setting, as adapters call it: `retry first`, `end of data timeout`.
    pub setting: String,
    /// That it cannot be told, and why.
    pub why: String,
}

/// What a relay is to the client that submits (RFC 5598): it decides which header changes are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A relay: adds trace fields, changes nothing else (RFC 5321 section 3.6.3).
    Relay,
    /// A submission service: may add Date, Message-ID and Sender (RFC 6409 section 8).
    Submission,
}

/// A session and a transaction in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Index into [`Record::sessions`].
    pub session: usize,
    /// Index into that session's transactions.
    pub transaction: usize,
}

/// One submission of one message: the unit of responsibility is it and each of its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The message's name in the scenario; a dialogue client's name for what that client sent; for what a server forwarded,
    /// words that say so.
    pub message: String,
    /// Which submission of that message, from 1.
    pub copy: u32,
    /// By which every copy is known again; in Message-ID, a header field and the body.
    /// `None`: its sender put none in (a dialogue, or raw content).
    pub token: Option<String>,
    /// Where the transaction was; `None`: the connection never came to MAIL.
    pub place: Option<Place>,
    /// When it began.
    pub at: RunTime,
    /// The reverse-path; empty for `<>`.
    pub from: String,
    /// The recipients.
    pub recipients: Vec<SubmittedRecipient>,
    /// Parameters of MAIL and RCPT that the scenario asks for and the relay does not offer: they were left out.
    pub left_out: Vec<String>,
    /// The content as sent, without dot-stuffing.
    pub content: Vec<u8>,
    /// That a mock server handed it to the relay once more; `None`: a client of the scenario submitted it.
    pub forwarded: Option<Forwarded>,
}

/// A submission by a server that had taken the mail before. The relay is responsible for it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The server.
    pub by: String,
    /// Index into [`Record::submissions`]: what a client of the scenario submitted, however many rounds ago. `None`: it
    /// cannot be told, since no content came.
    pub of: Option<usize>,
}

/// One recipient of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedRecipient {
    /// The forward-path as sent.
    pub to: String,
    /// `NOTIFY=` as sent and accepted, upper case; empty: absent.
    pub notify: Vec<String>,
    /// What the relay made of it.
    pub fate: Accepted,
}

/// Whether the relay is responsible for a recipient (RFC 5321 section 4.2.5, 6.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accepted {
    /// Its 2yz after the end of data was read.
    Yes,
    /// Refused.
    No {
        /// `connect`, `EHLO`, `MAIL`, `RCPT`, `DATA`, `end-of-data`.
        at: String,
        /// The reply; `None`: the connection ended first.
        reply: Option<String>,
    },
    /// The end of data was sent and the final reply was never read.
    InDoubt,
}

/// A copy that a mock server took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where.
    pub place: Place,
    /// The server.
    pub server: String,
    /// When the server took it.
    pub at: RunTime,
    /// Index into [`Record::submissions`].
    pub submission: usize,
    /// The recipients of this copy: the accepted forward-paths as they stood in RCPT.
    pub recipients: Vec<String>,
    /// At which attempt for this destination, from 1: a try over all hosts of the domain.
    pub attempt: u32,
    /// Whether the relay read the server's 2yz. If not, a duplicate is permitted.
    pub acknowledged: bool,
    /// Whether the content has octets above 127.
    pub eight_bit: bool,
}

/// A notification (RFC 3464) that a mock server took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Where.
    pub place: Place,
    /// The server that took it.
    pub server: String,
    /// When the server took it.
    pub at: RunTime,
    /// The reverse-path it came with; must be empty (RFC 5321 section 6.1).
    pub from: String,
    /// Its recipients.
    pub to: Vec<String>,
    /// Index into [`Record::submissions`], by the token in the returned content; `None`: it cannot be told.
    pub submission: Option<usize>,
    /// Whether it is a multipart/report with a message/delivery-status part.
    pub well_formed: bool,
    /// The fields of the message as a whole: Reporting-MTA and others, in order.
    pub message_fields: Vec<(String, String)>,
    /// The fields of each recipient.
    pub recipients: Vec<NotifiedRecipient>,
    /// Subject.
    pub subject: String,
    /// The text for people.
    pub text: String,
    /// Whether it returns the body of the mail that it is about, not the header alone.
    pub returns_body: bool,
    /// Header fields of the notification itself, unfolded, in order.
    pub headers: Vec<(String, String)>,
}

/// A recipient in a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifiedRecipient {
    /// Final-Recipient without its type.
    pub to: String,
    /// Original-Recipient without its type.
    pub original: Option<String>,
    /// Action, lower case.
    pub action: String,
    /// Status.
    pub status: String,
    /// All fields in order, unfolded.
    pub fields: Vec<(String, String)>,
}

/// The relay's queue at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueState {
    /// When it was listed.
    pub at: RunTime,
    /// What was in it.
    pub entries: Vec<QueueEntry>,
}

/// A queue entry, as the relay lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// The relay's own id.
    pub id: String,
    /// The reverse-path.
    pub from: String,
    /// When it arrived.
    pub arrived: RunTime,
    /// Recipients that have no ending yet.
    pub recipients: Vec<String>,
    /// How many attempts were made; `None`: the relay does not tell.
    #[serde(default)]
    pub attempts: Option<u32>,
    /// When it is tried next; `None`: now, or never.
    pub next: Option<RunTime>,
    /// Why it is still there.
    pub reason: Option<String>,
    /// Held, frozen or archived: nothing more will happen to it by itself.
    pub held: bool,
}

/// A line of the relay's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: RunTime,
    /// What.
    pub text: String,
}

/// A step of the scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDone {
    /// The step in the language's words: `send: note`.
    pub step: String,
    /// When it began.
    pub began: RunTime,
    /// When it was done.
    pub done: RunTime,
    /// Of a jump: how time went to where it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jumped: Option<Jumped>,
}

/// How time went on in a jump. What was due on the way came due at its end: no wait over it is the relay's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jumped {
    /// From where it went on at once; `None`: it never did, and passed as ever.
    pub from: Option<RunTime>,
    /// What was open at first, so that it could not: `a connection with 198.51.100.10 was open`.
    pub open: Option<String>,
}

/// Whose time a run is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Clock {
    /// The run's own: it moves when all is quiet, and every date of the relay's is exact.
    #[default]
    Run,
    /// The machine's: the relay works while seconds pass that mean nothing, and the run's time stands still.
    Machine,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: RunTime,
    /// Why.
    pub how: Ending,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// All steps done.
    Finished,
    /// A guard of real time passed.
    Guard {
        /// What was waited for.
        waiting_for: String,
    },
    /// A step could not be done in the run's own time: `settle` passed its limit.
    Unsettled {
        /// What was still going on.
        because: String,
    },
    /// The steps cannot be done in the machine's time: something comes only later, and there is no clock to be moved there.
    NoClock {
        /// What was waited for.
        waits: String,
    },
    /// No session ever came to the event at which a step would have held it.
    NeverCame {
        /// What did not come about: `no session with hub came to end-of-data`.
        what: String,
    },
    /// The relay ended by itself.
    RelayDied {
        /// Its last words.
        why: String,
    },
}
