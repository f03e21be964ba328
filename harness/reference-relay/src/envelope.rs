//! What the relay knows about a message besides its content: the envelope, and what became of each recipient.
//!
//! This is what the spool keeps. All that a restarted relay must know stands here and nowhere else.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::dsn::{Notify, Ret};
use crate::notification::rfc5322_date;

/// A message as a client handed it over, not yet in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submission {
    /// The reverse-path without its brackets; empty: the null reverse-path.
    pub(crate) sender: String,
    pub(crate) ret: Option<Ret>,
    /// ENVID as given, an xtext.
    pub(crate) envid: Option<String>,
    /// Whether MAIL had SMTPUTF8: the envelope or the header may hold UTF-8 (RFC 6531 section 3.1 item 4).
    pub(crate) smtputf8: bool,
    pub(crate) recipients: Vec<Addressee>,
    /// CRLF lines, dots unstuffed; or any octets, when it came as BODY=BINARYMIME.
    pub(crate) content: Vec<u8>,
    /// How it came here; `None` for the relay's own notifications, which begin here.
    pub(crate) received: Option<Received>,
}

/// What the relay's trace field says (RFC 5321 section 4.4), but for the queue id and the date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) by: String,
    pub(crate) with: &'static str,
    pub(crate) recipient: Option<String>,
}

impl Received {
    /// The whole field, to be put before everything else.
    pub(crate) fn field(&self, id: &str, at: SystemTime) -> String {
        let recipient = self.recipient.as_ref().map(|to| format!("\r\n\tfor <{to}>")).unwrap_or_default();
        let Self { from, by, with, .. } = self;
        let date = rfc5322_date(at);
        format!("Received: from {from}\r\n\tby {by} with {with} id {id}{recipient};\r\n\t{date}\r\n")
    }
}

/// One RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addressee {
    /// The forward-path without brackets and source route.
    pub(crate) address: String,
    pub(crate) notify: Option<Notify>,
    /// ORCPT as given.
    pub(crate) original: Option<String>,
}

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// `Q1`, `Q2`, …
    pub(crate) id: String,
    pub(crate) arrival: SystemTime,
    pub(crate) sender: String,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<String>,
    pub(crate) smtputf8: bool,
    /// Octets of content.
    pub(crate) size: u64,
    pub(crate) is_notification: bool,
    /// Attempts that have begun.
    pub(crate) attempts: u32,
    pub(crate) next_attempt: SystemTime,
    /// Whether the sender has been told of the delay, or was found not to want it.
    pub(crate) warned: bool,
    /// The queue id of a notification that is being written. It is set before the notification is in the spool and
    /// cleared after, so that a relay that dies in between neither forgets it nor sends it twice.
    pub(crate) announcing: Option<(Announcement, String)>,
    pub(crate) recipients: Vec<Recipient>,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Announcement {
    Failed,
    Relayed,
    Delayed,
}

/// A recipient and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipient {
    pub(crate) to: Addressee,
    pub(crate) state: State,
}

/// What became of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// To be tried (again), and why the last attempt came to nothing.
    Pending(Option<Problem>),
    /// The next hop has taken it, and with it all duties (RFC 5321 section 4.2.5).
    Delivered,
    /// The same, but the next hop does not speak DSN and the sender asked for NOTIFY=SUCCESS (RFC 3461 section 5.2.2).
    Relayed {
        /// Empty when the disk had no room for it, and the relay was started again since; so is `reply`.
        host: String,
        reply: String,
        at: SystemTime,
        announced: bool,
    },
    Failed {
        problem: Problem,
        announced: bool,
    },
}

/// Why a recipient could not be delivered to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// Trying again is of no use.
    pub(crate) permanent: bool,
    /// An enhanced status code (RFC 3463) of the right class.
    pub(crate) status: String,
    /// The next hop's reply, when it gave one: `550 5.1.1 No such user`.
    pub(crate) reply: Option<String>,
    /// The next hop's name, when one was reached or tried.
    pub(crate) host: Option<String>,
    /// What a log line and the queue listing show: the reply, or what there is in its place.
    pub(crate) reason: String,
    /// A sentence or two for people.
    pub(crate) explanation: String,
    pub(crate) at: SystemTime,
}

impl State {
    /// The octet that stands for it where there is no room for more: `D` when there is nothing left to do, `R` when the
    /// sender is still to be told that the message was passed on, `P` for all else. A failure that the sender has not been
    /// told of is among that: to try once more is the way to learn its reason again.
    pub(crate) fn mark(&self) -> u8 {
        match self {
            Self::Pending(_) | Self::Failed { announced: false, .. } => b'P',
            Self::Relayed { announced: false, .. } => b'R',
            Self::Delivered | Self::Relayed { .. } | Self::Failed { .. } => b'D',
        }
    }

    /// Takes over what a mark says that is newer than the state itself.
    pub(crate) fn take_mark(&mut self, mark: u8, at: SystemTime) {
        match mark {
            b'D' if !self.is_over() => *self = Self::Delivered,
            b'R' if self.mark() == b'P' => {
                *self = Self::Relayed { host: String::new(), reply: String::new(), at, announced: false };
            }
            _ => {}
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Self::Pending(_))
    }

    /// Nothing is left to do: neither to try nor to tell.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Pending(_) => false,
            Self::Delivered => true,
            Self::Relayed { announced, .. } | Self::Failed { announced, .. } => *announced,
        }
    }
}

impl Addressee {
    /// Whether the sender may or must be told of `what` (RFC 3461 sections 5.2.2, 5.2.5 and 5.2.6). Without NOTIFY it is
    /// told of failures and delays.
    pub(crate) fn wants(&self, what: Announcement) -> bool {
        match (what, &self.notify) {
            (Announcement::Relayed, None) => false,
            (Announcement::Failed | Announcement::Delayed, None) => true,
            (Announcement::Failed, Some(notify)) => notify.asks_for("FAILURE"),
            (Announcement::Delayed, Some(notify)) => notify.asks_for("DELAY"),
            (Announcement::Relayed, Some(notify)) => notify.asks_for("SUCCESS"),
        }
    }
}
