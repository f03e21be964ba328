//! What is required, or noted.

use std::time::Duration;

use mock_servers::script::{Glob, Range};

/// Something required, or noted.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// What is required, in words; `None`: made from the check.
    pub it: Option<String>,
    /// How binding it is.
    pub level: Level,
    /// The clause or field source.
    pub clause: String,
    /// What is looked at.
    pub check: Check,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// How binding an expectation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its breach violates.
    Must,
    /// Its breach deviates.
    Should,
    /// Its breach is only told.
    May,
}

/// What an expectation looks at. Ranges of counts default to what each variant says.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// The message reached a mock server that took it.
    Delivered(Delivered),
    /// A failed notification for it reached the sender.
    Returned(Returned),
    /// The relay refused it.
    Refused(Refused),
    /// It is in the queue: at the end, or at the moment of the `check:` that it stands in.
    Queued(Of),
    /// A delay warning for it reached the sender.
    Delayed {
        /// Of what.
        of: Of,
        /// How many; default 1 or more.
        times: Range<u64>,
        /// What its text holds.
        text: Option<String>,
        /// When the first came, counted from the submission.
        within: Range<Duration>,
    },
    /// A notification with this action (`relayed`, `delivered`, `expanded`) reached the sender.
    Notified {
        /// Of what.
        of: Of,
        /// The action, lower case.
        action: String,
        /// How many; default 1 or more.
        times: Range<u64>,
    },
    /// What went over the wire at a server.
    Wire(Wire),
    /// No session ever reached this server.
    Untouched(String),
    /// The dialogue came to its end.
    Completed(String),
    /// The relay's log holds a line that fits.
    Logged(Glob),
    /// At least one holds.
    AnyOf(Vec<Check>),
    /// Each holds.
    AllOf(Vec<Check>),
    /// None holds.
    NoneOf(Vec<Check>),
    /// The check holds for each submission of a message taken by itself.
    Each {
        /// The message.
        message: String,
        /// The check; its own `message` is left out.
        check: Box<Check>,
    },
}

/// A message, some of its recipients, some of its submissions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Of {
    /// The message's name; `None` inside `each`.
    pub message: Option<String>,
    /// Which recipients; `None`: every one of them.
    pub to: Option<Glob>,
}

/// See [`Check::Delivered`].
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// What.
    pub of: Of,
    /// The server that took it; `None`: any.
    pub by: Option<String>,
    /// The attempt at which it was taken: one try over all hosts of the domain, from 1.
    pub attempt: Option<Range<u64>>,
    /// How many copies each recipient got; default 1 exactly.
    pub times: Range<u64>,
    /// Whether the content was 7-bit or 8-bit on the wire.
    pub octets: Option<Octets>,
    /// How long after the submission.
    pub within: Option<Range<Duration>>,
    /// Whether its DKIM signature must still verify.
    pub dkim_intact: bool,
}

/// Whether content has octets above 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Octets {
    /// None.
    SevenBit,
    /// Some.
    EightBit,
}

/// See [`Check::Returned`].
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// What.
    pub of: Of,
    /// One of these enhanced status codes, `*` for any number; empty: any.
    pub status: Vec<Glob>,
    /// How long after the submission.
    pub within: Option<Range<Duration>>,
    /// What its text holds.
    pub text: Option<String>,
    /// How many notifications each recipient is failed in, per submission; default 1 exactly.
    pub times: Range<u64>,
}

/// See [`Check::Refused`].
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What.
    pub of: Of,
    /// `MAIL`, `RCPT`, `DATA` or `end-of-data`; `None`: at any.
    pub at: Option<String>,
    /// The reply code, `*` for the rest: `5*`; `None`: 4yz or 5yz.
    pub reply: Option<Glob>,
}

/// See [`Check::Wire`]. Everything that is said must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wire {
    /// The server; `None`: all of them.
    pub at: Option<String>,
    /// The first command of each session.
    pub first: Option<String>,
    /// What no session has.
    pub never: Vec<WireThing>,
    /// What at least one session has.
    pub once: Vec<WireThing>,
    /// The number of sessions.
    pub sessions: Option<Range<u64>>,
    /// The time between the beginnings of sessions that follow one another.
    pub gap: Option<Range<Duration>>,
}

/// Something that can be seen on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireThing {
    /// A command line that begins with these words: `BDAT`, `AUTH LOGIN`, `HELO`.
    Command(String),
    /// A command outside TLS: `MAIL in clear`.
    CommandInClear(String),
    /// Content with octets above 127.
    EightBitContent,
}

impl Check {
    /// The check's word in the language.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Returned(_) => "returned",
            Self::Refused(_) => "refused",
            Self::Queued(_) => "queued",
            Self::Delayed { .. } => "delayed",
            Self::Notified { .. } => "notified",
            Self::Wire(_) => "wire",
            Self::Untouched(_) => "untouched",
            Self::Completed(_) => "completed",
            Self::Logged(_) => "logged",
            Self::AnyOf(_) => "any of",
            Self::AllOf(_) => "all of",
            Self::NoneOf(_) => "none of",
            Self::Each { .. } => "each",
        }
    }
}
