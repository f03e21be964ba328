//! What went over the wire: every byte in both directions, in the run's own time, and what it meant to the mock that
//! spoke. Plain data.

mod draft;
mod recorder;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::time::RunTime;

pub(crate) use draft::{Opening, Pen};
pub use recorder::{EVENT, Recorder, Room, SessionRecorder};

/// One TCP connection between a mock and the relay under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The mock's name in the scenario: a server's or a client's.
    pub mock: String,
    /// Which side the mock played. The relay is the other one.
    pub mock_is: Side,
    /// The session's number at this mock, from 1, in order of opening.
    pub ordinal: u32,
    /// Where the client's end is.
    pub client: SocketAddr,
    /// Where the server's end is: the address that the relay dialled, or the relay's own. Port 0: there was no connection
    /// ([`Session::is_by_command`]).
    pub server: SocketAddr,
    /// When the connection was opened.
    pub opened: RunTime,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Mail transactions as the mock understood them, in order.
    pub transactions: Vec<Transaction>,
    /// Keywords that the server listed in its latest EHLO reply, before and after TLS, as the mock sent or read them.
    pub offers: Vec<Offer>,
}

impl Session {
    /// Whether it is none: mail that was handed to the relay by a command. Its lines are no SMTP.
    pub fn is_by_command(&self) -> bool {
        self.server.port() == 0
    }
}

/// One of the two ends of an SMTP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The side that opened the connection: `C:` in examples.
    Client,
    /// The side that was called: `S:` in examples.
    Server,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: RunTime,
    /// What.
    pub what: What,
}

/// What can happen in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Bytes that one side sent, as they were read or written in one go; decrypted where `tls`.
    Bytes {
        /// Who sent them.
        from: Side,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether they went through TLS.
        tls: bool,
        /// What SMTP makes of them: lines of commands and replies, or message content.
        part: Part,
    },
    /// A rule of the script fired; what it did follows.
    Rule(RuleFired),
    /// The session is held at this event, as the scenario's steps have it: the server says nothing more until it is let
    /// go.
    Held {
        /// The event, as the language writes it.
        event: String,
    },
    /// The session that was held goes on.
    LetGo,
    /// The server took responsibility for the mail of the transaction with this index, whether or not its 2yz was read.
    Taken {
        /// Index into [`Session::transactions`].
        transaction: usize,
    },
    /// The TLS handshake succeeded.
    TlsStarted {
        /// `TLSv1.3`.
        version: String,
        /// The name that the client asked for (SNI).
        server_name: Option<String>,
    },
    /// The TLS handshake failed.
    TlsFailed {
        /// The library's words.
        why: String,
    },
    /// One side closed its direction.
    Closed {
        /// Who.
        by: Side,
        /// How.
        how: Close,
    },
    /// A dialogue could not go on: what it waited for and what came.
    Mismatch {
        /// The dialogue's line, from 1.
        step: usize,
        /// What it waited for.
        expected: String,
        /// What came instead.
        got: String,
    },
    /// A dialogue came to its last line.
    Completed,
    /// What came after this was too much to be written down (see [`Room`]): so much of it. The last event of its session.
    Omitted {
        /// Events of this session.
        events: u64,
        /// Octets in them.
        octets: u64,
        /// Whole sessions that were opened after this one; only in the last session that was written down.
        sessions: u64,
    },
}

/// What SMTP makes of a piece of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Command and reply lines.
    Lines,
    /// Message content between DATA's 354 and the end, the final dot included; or a BDAT chunk.
    Content,
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Close {
    /// In order.
    Fin,
    /// By a reset.
    Reset,
}

/// Which rule of a script fired.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleFired {
    /// The event, as the language writes it: `RCPT`, `end-of-data`.
    pub event: String,
    /// The rule's place in the event's list, from 0.
    pub index: usize,
}

/// The keywords of one EHLO reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// When it was sent.
    pub at: RunTime,
    /// Whether over TLS.
    pub tls: bool,
    /// The lines after the first, in upper case, with their parameters.
    pub keywords: Vec<String>,
}

/// A mail transaction: MAIL to the final reply, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// When MAIL was seen.
    pub started: RunTime,
    /// The client's HELO or EHLO argument.
    pub helo: Option<String>,
    /// The reverse-path without its angle brackets; empty for `<>`.
    pub from: String,
    /// MAIL's parameters as written: `BODY=8BITMIME`.
    pub parameters: Vec<String>,
    /// The reply to MAIL.
    pub mail_reply: Option<Reply>,
    /// The recipients, in order, refused ones included.
    pub recipients: Vec<Recipient>,
    /// The reply to DATA: 354 when it went well. `None` with BDAT.
    pub data_reply: Option<Reply>,
    /// The content without dot-stuffing and final dot; whatever had come, when it broke off.
    pub content: Vec<u8>,
    /// Whether the end of data (the dot, or BDAT LAST) was seen, or sent.
    pub ended: bool,
    /// The final reply. `None`: it never came, so that the outcome is in doubt for the client.
    pub final_reply: Option<Reply>,
    /// When the final reply was sent or read, or the transaction broke off.
    pub finished: Option<RunTime>,
    /// For a mock server: whether it kept the mail.
    pub taken: bool,
}

/// One RCPT of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path without its angle brackets.
    pub to: String,
    /// RCPT's parameters as written: `NOTIFY=NEVER`.
    pub parameters: Vec<String>,
    /// The reply to RCPT.
    pub reply: Option<Reply>,
}

/// A reply as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reply {
    /// The three digits; 0 where there were none.
    pub code: u16,
    /// Its lines, without code, separator and line end.
    pub lines: Vec<String>,
}

impl Reply {
    /// 2yz.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }
    /// 4yz.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }
    /// 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
    /// The enhanced status code at the start of the text (RFC 2034 section 4), if there is one.
    pub fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let mut parts = word.split('.');
        let well_formed = parts.next().is_some_and(|class| matches!(class, "2" | "4" | "5"))
            && [parts.next(), parts.next()].iter().all(|p| {
                p.is_some_and(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
            })
            && parts.next().is_none();
        well_formed.then_some(word)
    }
    /// Code and text on one line.
    pub fn text(&self) -> String {
        format!("{:03} {}", self.code, self.lines.join(" / ")).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_status_code_is_found_only_where_it_is_one() {
        let reply = |text: &str| Reply { code: 550, lines: vec![text.to_owned()] };
        assert_eq!(reply("5.1.1 no such user").enhanced(), Some("5.1.1"));
        assert_eq!(reply("5.1 no such user").enhanced(), None);
        assert_eq!(reply("3.1.1 odd").enhanced(), None);
        assert_eq!(reply("").enhanced(), None);
    }
}
