//! Makes transactions out of what passes between a client and a server, without taking part.

use std::collections::VecDeque;

use super::command::{self, Path, Request};
use super::content::{DotReader, Stop};
use super::ledger::{Body, Ledger};
use super::reply::ReplyReader;
use crate::script::{On, Verb};
use crate::time::RunTime;
use crate::transcript::{Opening, Reply, SessionRecorder, Side, What};

/// Octets that are looked at again once the reply to DATA or AUTH has come; of a client that says more before it, nothing
/// more is understood.
const MOST_UNDECIDED: usize = 1024 * 1024;

/// Watches one session and fills its record: bytes, offers, transactions.
#[derive(Debug)]
pub(super) struct Observer {
    ledger: Ledger,
    mock_is: Side,
    client: Vec<u8>,
    mode: Mode,
    replies: ReplyReader,
    /// What was asked and not yet answered.
    asked: VecDeque<Asked>,
    /// What the client called itself last.
    helo: Option<String>,
    /// The transaction that RCPT and DATA belong to.
    current: Option<usize>,
    answered_early: bool,
}

/// What the client's next bytes are.
#[derive(Debug)]
enum Mode {
    Commands,
    /// Behind DATA or AUTH: its reply decides.
    Undecided,
    Response,
    Content(DotReader),
    Chunk {
        left: u64,
        last: bool,
    },
}

/// What a reply will be the answer to.
#[derive(Debug)]
enum Asked {
    Connection,
    Greeting { extended: bool, ends: Option<usize> },
    Mail { index: usize, before: Option<usize> },
    Rcpt { index: usize, recipient: usize },
    Data(Option<usize>),
    EndOfData(Option<usize>),
    Chunk(Option<usize>),
    Auth,
    Reset { ends: Option<usize> },
    Other,
}

impl Observer {
    pub(super) fn new(record: SessionRecorder, mock_is: Side) -> Self {
        Self {
            ledger: Ledger::new(record),
            mock_is,
            client: Vec::new(),
            mode: Mode::Commands,
            replies: ReplyReader::default(),
            asked: VecDeque::from([Asked::Connection]),
            helo: None,
            current: None,
            answered_early: false,
        }
    }

    /// One side sent bytes.
    pub(super) fn said(&mut self, by: Side, bytes: &[u8], at: RunTime) {
        match by {
            Side::Client => {
                self.ledger.client_sent(bytes, at);
                self.client.extend_from_slice(bytes);
                self.follow_client(at);
            }
            Side::Server => {
                self.ledger.server_sent(bytes, at);
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (taken, reply) = self.replies.read(rest);
                    rest = &rest[taken..];
                    if let Some(reply) = reply {
                        self.answer(&reply, at);
                        self.follow_client(at);
                    }
                }
            }
        }
    }

    /// The handshake succeeded: what was said in the clear counts no more, answered or not (RFC 3207 section 4.2).
    pub(super) fn encrypted(&mut self, version: String, server_name: Option<String>, at: RunTime) {
        self.end_all(at);
        self.ledger.lines(self.client.len());
        self.client.clear();
        self.replies = ReplyReader::default();
        (self.mode, self.helo) = (Mode::Commands, None);
        self.ledger.tls = true;
        self.ledger.event(at, What::TlsStarted { version, server_name });
    }

    /// The session is over: a transaction that is open broke off.
    pub(super) fn over(&mut self, at: RunTime) {
        self.end_all(at);
        self.ledger.forget_unlabelled();
    }

    fn end_all(&mut self, at: RunTime) {
        self.end_transaction(self.current, at);
        for asked in std::mem::take(&mut self.asked) {
            if let Asked::Mail { index, .. } | Asked::EndOfData(Some(index)) = asked {
                self.end_transaction(Some(index), at);
            }
        }
    }

    fn follow_client(&mut self, at: RunTime) {
        while self.follow_once(at) {}
    }

    fn follow_once(&mut self, at: RunTime) -> bool {
        match &mut self.mode {
            Mode::Undecided => {
                if self.client.len() > MOST_UNDECIDED {
                    self.ledger.lines(self.client.len());
                    self.client.clear();
                }
                false
            }
            Mode::Commands | Mode::Response => {
                let Some(end) = self.client.windows(2).position(|w| w == b"\r\n") else { return false };
                let line: Vec<u8> = self.client.drain(..end + 2).take(end).collect();
                self.ledger.lines(end + 2);
                if matches!(self.mode, Mode::Response) {
                    self.mode = Mode::Undecided;
                    self.asked.push_back(Asked::Auth);
                } else {
                    self.command(&Request::parse(&line), at);
                }
                true
            }
            Mode::Content(reader) => {
                let (mut content, mut taken, mut stop) = (Vec::new(), 0, Stop::Line);
                while stop == Stop::Line {
                    let (count, why) = reader.read(&self.client[taken..], &mut content);
                    taken += count;
                    stop = why;
                }
                self.client.drain(..taken);
                self.keep(taken, content.len(), true);
                if stop == Stop::End {
                    self.mode = Mode::Commands;
                    self.ended(Asked::EndOfData(self.current));
                }
                stop == Stop::End
            }
            Mode::Chunk { left, last } => {
                let here = self.client.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= here as u64;
                let (complete, last) = (*left == 0, *last);
                self.client.drain(..here);
                self.keep(here, here, false);
                if complete {
                    self.mode = Mode::Commands;
                    if last {
                        self.ended(Asked::EndOfData(self.current));
                    } else {
                        self.asked.push_back(Asked::Chunk(self.current));
                    }
                }
                complete
            }
        }
    }

    fn command(&mut self, request: &Request, at: RunTime) {
        let On::Command(verb) = request.on else { return self.asked.push_back(Asked::Other) };
        let asked = match verb {
            Verb::Helo | Verb::Ehlo => {
                self.helo = Some(request.argument.clone());
                Asked::Greeting { extended: verb == Verb::Ehlo, ends: self.current }
            }
            Verb::Mail => {
                let path = path(request);
                let (from, parameters) = (&path.address, &path.parameters);
                let opening = Opening { started: at, helo: self.helo.as_ref(), from, parameters };
                let index = self.ledger.open_transaction(opening);
                Asked::Mail { index, before: self.current.replace(index) }
            }
            Verb::Rcpt => match self.current {
                Some(index) => {
                    let Path { address: to, parameters } = path(request);
                    let recipient = self.ledger.recipient(index, &to, &parameters);
                    Asked::Rcpt { index, recipient }
                }
                None => Asked::Other,
            },
            Verb::Data => {
                self.mode = Mode::Undecided;
                Asked::Data(self.current)
            }
            Verb::Auth => {
                self.mode = Mode::Undecided;
                Asked::Auth
            }
            Verb::Bdat => {
                if let Some((left, last)) = command::bdat(&request.argument) {
                    self.mode = Mode::Chunk { left, last };
                    return;
                }
                Asked::Other
            }
            Verb::Rset | Verb::Quit => Asked::Reset { ends: self.current },
            _ => Asked::Other,
        };
        self.asked.push_back(asked);
    }

    fn answer(&mut self, reply: &Reply, at: RunTime) {
        let good = reply.is_positive();
        if self.asked.is_empty() && matches!(self.mode, Mode::Content(_)) {
            // The final reply came while the body still flowed; none belongs to the dot then.
            self.answered_early = true;
            return self.final_reply(self.current, reply, at);
        }
        match self.asked.pop_front().unwrap_or(Asked::Other) {
            Asked::Connection | Asked::Other => {}
            Asked::Greeting { extended, ends } => {
                if good {
                    self.end_transaction(ends, at);
                }
                if good && extended {
                    self.ledger.offer(reply.lines.get(1..).unwrap_or_default(), at);
                }
            }
            Asked::Mail { index, before } => {
                self.ledger.transaction(index, |mut t| {
                    t.mail_reply(reply);
                    t.finished((!good).then_some(at));
                });
                if let Some(before) = before.filter(|_| good) {
                    self.ledger.transaction(before, |mut t| t.over(at));
                } else if !good && self.current == Some(index) {
                    self.current = before;
                }
            }
            Asked::Rcpt { index, recipient } => {
                self.ledger.transaction(index, |mut t| t.recipient_reply(recipient, reply));
            }
            Asked::Data(index) => {
                if let Some(index) = index {
                    self.ledger.transaction(index, |mut t| t.data_reply(reply));
                }
                let goes_on = reply.code / 100 == 3;
                self.mode = if goes_on { Mode::Content(DotReader::default()) } else { Mode::Commands };
            }
            Asked::Chunk(index) => {
                if let Some(index) = index.filter(|_| !good) {
                    self.ledger.transaction(index, |mut t| t.final_reply(reply));
                }
            }
            Asked::EndOfData(index) => self.final_reply(index, reply, at),
            Asked::Auth => self.mode = if reply.code == 334 { Mode::Response } else { Mode::Commands },
            Asked::Reset { ends } => {
                if good {
                    self.end_transaction(ends, at);
                }
            }
        }
    }

    fn final_reply(&mut self, index: Option<usize>, reply: &Reply, at: RunTime) {
        let Some(index) = index else { return };
        let whole = self.ledger.final_reply(index, reply, at);
        if whole && reply.is_positive() && self.mock_is == Side::Server {
            self.ledger.take(index, at);
        }
    }

    /// The content of the current transaction is complete. What is said next belongs to another one.
    fn ended(&mut self, asked: Asked) {
        if let Some(index) = self.current.take() {
            self.ledger.transaction(index, |mut t| t.ended());
        }
        if !std::mem::take(&mut self.answered_early) {
            self.asked.push_back(asked);
        }
    }

    fn keep(&mut self, count: usize, octets: usize, stuffed: bool) {
        let body = self.current.map(|transaction| Body { transaction, stuffed, octets });
        self.ledger.content(count, body);
    }

    /// The transaction that was open when the client said so is over; a pipelining client may have begun another.
    fn end_transaction(&mut self, ended: Option<usize>, at: RunTime) {
        if let Some(index) = ended {
            self.ledger.transaction(index, |mut t| t.over(at));
        }
        if self.current == ended {
            self.current = None;
        }
    }
}

fn path(request: &Request) -> Path {
    let raw = || Path { address: request.argument.clone(), parameters: Vec::new() };
    request.path.clone().unwrap_or_else(raw)
}
