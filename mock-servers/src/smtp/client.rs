//! The well-behaved client that submits a message to the relay.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::content;
use super::conversation::{Conversation, Input, Output};
use super::observer::Observer;
use super::reply::ReplyReader;
use super::shell::{Ends, Shell};
use crate::environment::{Clock, Connection};
use crate::script::TlsAction;
use crate::time::RunTime;
use crate::transcript::{Close, Reply, SessionRecorder, Side, Transaction, What};

/// How long the client waits for a reply, and for the one to the final dot, in the run's time: RFC 5321 section 4.5.3.2
/// asks for at least this much.
const PATIENCE: Duration = Duration::from_mins(5);
const PATIENCE_AT_THE_DOT: Duration = Duration::from_mins(10);

/// A message to be submitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submission {
    /// The argument of EHLO.
    pub helo: String,
    /// The reverse-path, without angle brackets; empty for the null path.
    pub from: String,
    /// MAIL's parameters: `BODY=8BITMIME`. One that the relay does not offer is left out.
    pub from_parameters: Vec<String>,
    /// The forward-paths, without angle brackets and verbatim, each with its RCPT parameters.
    pub recipients: Vec<(String, Vec<String>)>,
    /// The content, its lines ended by CRLF, without dot-stuffing.
    pub content: Vec<u8>,
    /// With DATA: the content goes out as it stands, without dot-stuffing; only `<CRLF>.<CRLF>` is put behind it.
    pub raw: bool,
    /// How the content is sent.
    pub by: By,
    /// Keywords without which the message cannot be sent as it is meant: where the relay's EHLO reply lacks one, there is
    /// no MAIL.
    pub needs: Vec<String>,
    /// TLS first, and then AUTH PLAIN as this user, without which there is no MAIL (RFC 4954, RFC 4616).
    pub login: Option<Login>,
}

/// As whom a client submits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// How content is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// DATA.
    #[default]
    Data,
    /// BDAT (RFC 3030), where the relay offers CHUNKING; DATA where it does not.
    Bdat {
        /// Octets of each chunk but the last; `None`: the last is the only one.
        chunk: Option<u64>,
    },
}

/// How a submission ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The transaction with all replies; `None` when MAIL was never sent.
    pub transaction: Option<Transaction>,
    /// The greeting and the reply to EHLO or HELO, as far as they came.
    pub greetings: Vec<Reply>,
    /// Parameters that were left out, since the relay does not offer them.
    pub dropped: Vec<String>,
    /// The keyword of [`Submission::needs`] that the relay does not offer.
    pub missing: Option<String>,
    /// Whether the content, if it came to that, went by BDAT.
    pub by_bdat: bool,
    /// What cut the session short, if anything did.
    pub broken: Option<Broken>,
}

impl Outcome {
    /// Whether the relay took the responsibility: a 2yz after the end of data (RFC 5321 section 4.2.5).
    pub fn is_accepted(&self) -> bool {
        self.transaction.as_ref().and_then(|t| t.final_reply.as_ref()).is_some_and(Reply::is_positive)
    }
}

/// What cuts a session short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The relay closed or reset the connection before QUIT.
    Closed(Close),
    /// The relay did not reply in time.
    TimedOut,
}

/// Submits a message over this connection and closes it. `record` was opened with [`Side::Client`].
pub async fn submit(
    connection: Box<dyn Connection>,
    submission: Submission,
    clock: Arc<dyn Clock>,
    record: SessionRecorder,
) -> Outcome {
    let mut client = Submitter::new(submission, record.clone());
    Shell::new(connection, clock, record, Ends::Client).converse(&mut client).await;
    client.outcome()
}

/// A submission in progress.
#[derive(Debug)]
pub struct Submitter {
    submission: Submission,
    record: SessionRecorder,
    observer: Observer,
    replies: ReplyReader,
    stage: Stage,
    since: RunTime,
    offers: Vec<String>,
    accepted: usize,
    greetings: Vec<Reply>,
    dropped: Vec<String>,
    missing: Option<String>,
    by_bdat: bool,
    broken: Option<Broken>,
    encrypted: bool,
    over: bool,
    out: Vec<Output>,
}

/// Which reply is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    /// The reply to a chunk that is not the last.
    Chunk,
    EndOfData,
    Quit,
}

impl Submitter {
    /// A submission that has not begun.
    pub fn new(submission: Submission, record: SessionRecorder) -> Self {
        Self {
            submission,
            observer: Observer::new(record.clone(), Side::Client),
            record,
            replies: ReplyReader::default(),
            stage: Stage::Greeting,
            since: RunTime::ZERO,
            offers: Vec::new(),
            accepted: 0,
            greetings: Vec::new(),
            dropped: Vec::new(),
            missing: None,
            by_bdat: false,
            broken: None,
            encrypted: false,
            over: false,
            out: Vec::new(),
        }
    }

    /// How it ended.
    pub fn outcome(self) -> Outcome {
        let transaction = self.record.read_transaction(0);
        Outcome {
            transaction,
            greetings: self.greetings,
            dropped: self.dropped,
            missing: self.missing,
            by_bdat: self.by_bdat,
            broken: self.broken,
        }
    }

    fn reply(&mut self, reply: &Reply, now: RunTime) {
        self.since = now;
        if matches!(self.stage, Stage::Greeting | Stage::Ehlo | Stage::Helo) {
            self.greetings.push(reply.clone());
        }
        if reply.code == 421 {
            // The server closes now; nothing more is due to it (RFC 5321 section 3.8).
            self.broken = (self.stage != Stage::Quit).then_some(Broken::Closed(Close::Fin));
            return self.close();
        }
        let good = reply.is_positive();
        match self.stage {
            Stage::Greeting if good => self.ask(Stage::Ehlo, &format!("EHLO {}", self.submission.helo)),
            Stage::Ehlo if good => {
                self.offers = reply.lines.get(1..).unwrap_or_default().to_vec();
                self.enter();
            }
            Stage::StartTls if good => self.out.push(Output::BeginTls(TlsAction::default())),
            // RFC 5321 section 3.2: HELO where EHLO is not recognized.
            Stage::Ehlo if reply.is_permanent() && self.submission.login.is_none() => {
                self.ask(Stage::Helo, &format!("HELO {}", self.submission.helo));
            }
            Stage::Auth | Stage::Helo if good => self.mail(),
            Stage::Mail if good => self.rcpt(0),
            Stage::Rcpt(at) => {
                self.accepted += usize::from(good);
                self.rcpt(at + 1);
            }
            Stage::Data if reply.code / 100 == 3 => self.data(),
            Stage::Chunk if good => self.chunk(),
            Stage::Quit => self.close(),
            _ => self.ask(Stage::Quit, "QUIT"),
        }
    }

    /// As the user that it is, within TLS; or as anybody.
    fn enter(&mut self) {
        let Some(Login { user, password }) = &self.submission.login else { return self.mail() };
        if !self.encrypted {
            return self.ask(Stage::StartTls, "STARTTLS");
        }
        let response = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        self.ask(Stage::Auth, &format!("AUTH PLAIN {response}"));
    }

    fn mail(&mut self) {
        self.missing = self.submission.needs.iter().find(|keyword| self.offer_of(keyword).is_none()).cloned();
        if self.missing.is_some() {
            return self.ask(Stage::Quit, "QUIT");
        }
        let parameters = self.offered(self.submission.from_parameters.clone());
        self.ask(Stage::Mail, &format!("MAIL FROM:<{}>{parameters}", self.submission.from));
    }

    fn rcpt(&mut self, at: usize) {
        match self.submission.recipients.get(at).cloned() {
            Some((to, parameters)) => {
                let parameters = self.offered(parameters);
                self.ask(Stage::Rcpt(at), &format!("RCPT TO:<{to}>{parameters}"));
            }
            None if self.accepted == 0 => self.ask(Stage::Quit, "QUIT"),
            None if self.submission.by != By::Data && self.offer_of("CHUNKING").is_some() => {
                self.by_bdat = true;
                self.chunk();
            }
            None => self.ask(Stage::Data, "DATA"),
        }
    }

    /// RFC 3030 section 2: the next one goes when this one was taken.
    fn chunk(&mut self) {
        let left = self.submission.content.len();
        let size = match self.submission.by {
            By::Bdat { chunk: Some(size) } => {
                usize::try_from(size).unwrap_or(usize::MAX).clamp(1, left.max(1))
            }
            _ => left,
        };
        let last = size >= left;
        let rest = self.submission.content.split_off(size.min(left));
        let content = std::mem::replace(&mut self.submission.content, rest);
        let mut chunk = format!("BDAT {}{}\r\n", content.len(), if last { " LAST" } else { "" }).into_bytes();
        chunk.extend_from_slice(&content);
        self.out.push(Output::Send(chunk));
        self.stage = if last { Stage::EndOfData } else { Stage::Chunk };
    }

    fn data(&mut self) {
        let content = std::mem::take(&mut self.submission.content);
        let wire = if self.submission.raw {
            let end: &[u8] =
                if content.ends_with(b"\r\n") || content.is_empty() { b".\r\n" } else { b"\r\n.\r\n" };
            [&content, end].concat()
        } else {
            content::stuff(&content)
        };
        self.out.push(Output::Send(wire));
        self.stage = Stage::EndOfData;
    }

    fn ask(&mut self, stage: Stage, command: &str) {
        self.out.push(Output::Send(format!("{command}\r\n").into_bytes()));
        self.stage = stage;
    }

    /// The parameters that the relay offers, each behind a space.
    fn offered(&mut self, parameters: Vec<String>) -> String {
        let (offered, dropped): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|p| self.is_offered(p));
        self.dropped.extend(dropped);
        offered.iter().flat_map(|parameter| [" ", parameter]).collect()
    }

    /// Whether the EHLO reply has the keyword that a parameter belongs to. A parameter that is of no known extension is
    /// the scenario's own affair and is sent.
    fn is_offered(&self, parameter: &str) -> bool {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let keyword = match name.to_ascii_uppercase().as_str() {
            "BODY" if value.eq_ignore_ascii_case("BINARYMIME") => "BINARYMIME",
            "BODY" => "8BITMIME",
            "RET" | "ENVID" | "NOTIFY" | "ORCPT" => "DSN",
            "BY" => "DELIVERBY",
            "HOLDFOR" | "HOLDUNTIL" => "FUTURERELEASE",
            "SIZE" => "SIZE",
            "SMTPUTF8" => "SMTPUTF8",
            "AUTH" => "AUTH",
            "MT-PRIORITY" => "MT-PRIORITY",
            "REQUIRETLS" => "REQUIRETLS",
            _ => return true,
        };
        self.offer_of(keyword).is_some()
    }

    fn offer_of(&self, keyword: &str) -> Option<&String> {
        let word = |line: &str| line.split([' ', '=']).next().unwrap_or_default().to_ascii_uppercase();
        self.offers.iter().find(|line| word(line) == keyword)
    }

    fn close(&mut self) {
        self.out.push(Output::CloseFin);
        self.over = true;
    }
}

impl Conversation for Submitter {
    fn handle(&mut self, input: Input<'_>, now: RunTime) -> Vec<Output> {
        if self.over {
            return Vec::new();
        }
        match input {
            Input::Connected => self.since = now,
            Input::Bytes(mut bytes) => {
                self.observer.said(Side::Server, bytes, now);
                while !bytes.is_empty() && !self.over {
                    let (taken, reply) = self.replies.read(bytes);
                    bytes = &bytes[taken..];
                    if let Some(reply) = reply {
                        self.reply(&reply, now);
                    }
                }
            }
            Input::PeerClosed(how) => {
                self.broken = (self.stage != Stage::Quit).then_some(Broken::Closed(how));
                self.close();
            }
            Input::Timer => {
                if self.deadline().is_some_and(|at| now >= at) {
                    self.broken = Some(Broken::TimedOut);
                    self.close();
                }
            }
            Input::TlsEstablished { version, server_name } => {
                self.observer.encrypted(version, server_name, now);
                self.replies = ReplyReader::default();
                self.encrypted = true;
                self.since = now;
                self.ask(Stage::Ehlo, &format!("EHLO {}", self.submission.helo));
            }
            Input::TlsFailed { why, .. } => {
                self.out.push(Output::Record(What::TlsFailed { why }));
                self.broken = Some(Broken::Closed(Close::Fin));
                self.close();
            }
        }
        std::mem::take(&mut self.out)
    }

    fn sent(&mut self, bytes: &[u8], now: RunTime) {
        self.observer.said(Side::Client, bytes, now);
        self.since = now;
    }

    fn closed(&mut self, now: RunTime) {
        self.observer.over(now);
    }

    fn deadline(&self) -> Option<RunTime> {
        let patience = if self.stage == Stage::EndOfData { PATIENCE_AT_THE_DOT } else { PATIENCE };
        (!self.over).then(|| self.since + patience)
    }
}
