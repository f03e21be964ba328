//! One SMTP session as a server, without I/O: octets go in, answers and submissions come out.
//!
//! The caller feeds [`Session::receive`], then calls [`Session::advance`] and does what that asks for, until it asks for
//! more input or to close. MAIL, RCPT and RSET that came in one read are so answered in one write, which is what PIPELINING
//! is for, and the answers to all other commands go out at once (RFC 2920 section 3.2 (2), (5), (6) and (7)).

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;

use super::Answer;
use super::content::{BadContent, hops, text_fault};
use super::reception::Reception;
use crate::address::{self, Path, TrailingSpace, domain_of, same_domain};
use crate::command::{self, Command, MailParameters, RcptParameters};
use crate::config::Config;
use crate::envelope::{Addressee, Received, Submission};

/// RFC 5321 section 4.5.3.1.4 allows 512 octets, RFC 3461 section 4 adds 500 for ORCPT alone; one limit serves all.
const LONGEST_COMMAND: usize = 2048;
/// Section 4.5.3.1.8 asks for 100 at least. More are told 452, and come back in another transaction. This many are for
/// memory's sake alone.
const MOST_RECIPIENTS: usize = 100_000;
/// Section 6.3: the limit is to be large, normally at least 100.
const MOST_HOPS: usize = 100;
/// After this many lines that are no commands the client is one that speaks something else, or does not listen.
const MOST_STRANGE_LINES: u32 = 20;

/// What the session needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To write what [`Session::take_answers`] gives, and to call again.
    Write,
    /// The same, and then more octets from the client.
    Read,
    /// A message to be made durable; [`Session::stored`] takes the outcome.
    Store(Submission),
    /// To write, and then to begin TLS; [`Session::secured`] says that it is there.
    StartTls,
    /// The same, and then to be closed.
    Close,
}

/// A session with one client.
pub(crate) struct Session {
    config: Arc<Config>,
    peer: IpAddr,
    input: Vec<u8>,
    /// How much of `input` has been dealt with.
    taken: usize,
    /// Inside a command line that is too long, up to its end.
    skipping: bool,
    answers: Vec<u8>,
    hello: Option<Hello>,
    transaction: Option<Transaction>,
    content: Option<Reception>,
    /// Whether STARTTLS can be carried out.
    has_certificate: bool,
    /// Inside TLS.
    secured: bool,
    starts_tls: bool,
    strange_lines: u32,
    closing: bool,
}

/// How the client introduced itself.
struct Hello {
    name: String,
    /// By EHLO.
    extended: bool,
}

/// What MAIL and RCPT have said so far.
struct Transaction {
    sender: String,
    parameters: MailParameters,
    recipients: Vec<Addressee>,
    /// What came by BDAT so far; `None` before the first.
    chunks: Option<Vec<u8>>,
    /// A BDAT was refused: only RSET helps (RFC 3030 section 2).
    failed: bool,
}

impl Session {
    /// A session that begins with the greeting.
    pub(crate) fn new(config: Arc<Config>, peer: IpAddr) -> Self {
        let has_certificate = config.certificate.is_some();
        let mut session = Self {
            config,
            peer: peer.to_canonical(),
            input: Vec::new(),
            taken: 0,
            skipping: false,
            answers: Vec::new(),
            hello: None,
            transaction: None,
            content: None,
            has_certificate,
            secured: false,
            starts_tls: false,
            strange_lines: 0,
            closing: false,
        };
        session.answer(&Answer::plain(220, format!("{} ESMTP", session.config.hostname)));
        session
    }

    /// Takes octets from the client.
    pub(crate) fn receive(&mut self, octets: &[u8]) {
        self.input.drain(..std::mem::take(&mut self.taken));
        self.input.extend_from_slice(octets);
    }

    /// Goes on as far as the input allows.
    pub(crate) fn advance(&mut self) -> Step {
        while !self.closing {
            if self.content.is_some() {
                match self.read_content() {
                    Some(Ok(submission)) => return Step::Store(submission),
                    Some(Err(answer)) => {
                        self.answer(&answer);
                        return Step::Write;
                    }
                    None => return Step::Read,
                }
            }
            let may_wait = match self.read_line() {
                Some(Ok(line)) => self.obey(&line),
                Some(Err(answer)) => {
                    self.answer(&answer);
                    false
                }
                None => return Step::Read,
            };
            if std::mem::take(&mut self.starts_tls) {
                return Step::StartTls;
            }
            if !may_wait && !self.closing {
                return Step::Write;
            }
        }
        Step::Close
    }

    /// Tells the session whether the message of the last [`Step::Store`] is safe: its queue id, or why not.
    pub(crate) fn stored(&mut self, outcome: Result<&str, ErrorKind>) {
        // Section 6.1: with its 250 the relay takes responsibility. So it answers only now.
        self.answer(&match outcome {
            Ok(id) => Answer::new(250, "2.0.0", format!("Queued as {id}")),
            // Section 4.2.3 has 452 for it, RFC 3463 section 3.4 X.3.1: the sender is to try again.
            Err(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Answer::new(452, "4.3.1", "Insufficient system storage")
            }
            Err(_) => Answer::new(451, "4.3.0", "The message could not be stored"),
        });
    }

    /// TLS has begun. RFC 3207 section 4.2: the session is as it was after the greeting, and whatever the client, or someone
    /// in its name, sent in the clear counts for nothing.
    pub(crate) fn secured(&mut self) {
        // Vintage, CVE-2011-0411: what came in the clear after STARTTLS is taken for what came encrypted.
        if !self.config.vintage.keeps_plaintext {
            self.input.clear();
            self.taken = 0;
        }
        self.hello = None;
        self.transaction = None;
        self.secured = true;
    }

    /// Section 4.5.3.2.7: the client has been silent for too long.
    pub(crate) fn timed_out(&mut self) {
        self.give_up("4.4.2", "closing the connection: nothing heard for too long");
    }

    /// Section 3.8: the relay is being stopped.
    pub(crate) fn shutting_down(&mut self) {
        self.give_up("4.3.2", "closing the connection: shutting down");
    }

    /// What is to be written to the client.
    pub(crate) fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn give_up(&mut self, status: &'static str, why: &str) {
        let answer = self.farewell(status, why);
        self.answer(&answer);
    }

    /// Section 3.8: a server that closes of its own accord says 421.
    fn farewell(&mut self, status: &'static str, why: &str) -> Answer {
        self.closing = true;
        Answer::new(421, status, format!("{} {why}", self.config.hostname))
    }

    fn answer(&mut self, answer: &Answer) {
        answer.write_to(&mut self.answers);
    }

    /// The next command line without its CRLF. Nothing else ends a line (section 2.3.8); a bare CR or LF stays in it,
    /// and makes it malformed.
    fn read_line(&mut self) -> Option<Result<Vec<u8>, Answer>> {
        let input = &self.input[self.taken..];
        let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
            if input.len() > LONGEST_COMMAND {
                self.skipping = true;
                // The CR of a CRLF may be the last octet that has arrived.
                self.taken = self.input.len() - usize::from(input.ends_with(b"\r"));
            }
            return None;
        };
        let line = input[..end].to_vec();
        self.taken += end + 2;
        if std::mem::take(&mut self.skipping) || line.len() + 2 > LONGEST_COMMAND {
            // Section 4.5.3.1.9. (5.5.6 is for AUTH exchanges only, RFC 4954 section 6.)
            return Some(Err(Answer::new(500, "5.5.2", "Line too long")));
        }
        Some(Ok(line))
    }

    /// Answers a command. Says whether the answer may wait for those to the commands after it.
    fn obey(&mut self, line: &[u8]) -> bool {
        // Vintage, KB Q254893: the address in the article ends with a space, and its relay took it.
        let kept = self.config.vintage.swallows_second_report;
        let space = if kept { TrailingSpace::Kept } else { TrailingSpace::Refused };
        let command = command::parse(line, space);
        let may_wait = matches!(command, Ok(Command::Mail { .. } | Command::Rcpt { .. } | Command::Rset));
        let answer = match command {
            // Someone speaks something else, or sends content for which there was no 354: what comes next is no command
            // either, and might look like one.
            Err(_) if command::is_foreign(line) => {
                self.farewell("4.7.0", "closing the connection: this is SMTP")
            }
            Err(answer) if answer.code() == 500 && self.is_one_too_many() => {
                self.farewell("4.7.0", "closing the connection: too many lines that are no commands")
            }
            Err(answer) => answer,
            Ok(Command::Ehlo(name)) => self.ehlo(name),
            Ok(Command::Helo(name)) => self.helo(name),
            Ok(Command::Mail { from, parameters }) => self.mail(from, parameters),
            Ok(Command::Rcpt { to, parameters }) => self.rcpt(to, parameters),
            Ok(Command::Data) => self.data(),
            Ok(Command::Bdat { .. }) if self.lacks("CHUNKING") => {
                Answer::new(500, "5.5.2", "Command not recognized")
            }
            Ok(Command::Bdat { size, last }) => {
                let refusal = self.bdat(size);
                self.content = Some(Reception::chunk(size, last, refusal));
                return false;
            }
            Ok(Command::StartTls) => self.start_tls(),
            Ok(Command::Rset) => {
                self.transaction = None;
                Answer::new(250, "2.0.0", "Reset")
            }
            Ok(Command::Noop) => Answer::new(250, "2.0.0", "OK"),
            // Section 3.5.3: a relay cannot tell without asking the next hop.
            Ok(Command::Vrfy) => {
                Answer::new(252, "2.5.0", "Cannot verify, but will take mail and try to deliver it")
            }
            Ok(Command::Help) => {
                Answer::new(214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT")
                    .and("What each does is told by RFC 5321 section 4.1.1")
            }
            Ok(Command::Quit) => {
                self.closing = true;
                Answer::new(221, "2.0.0", format!("{} closing the connection", self.config.hostname))
            }
        };
        self.answer(&answer);
        may_wait
    }

    /// Vintage: an extension that came later.
    fn lacks(&self, keyword: &str) -> bool {
        self.config.vintage.lacks.contains(&keyword)
    }

    fn is_one_too_many(&mut self) -> bool {
        self.strange_lines += 1;
        self.strange_lines > MOST_STRANGE_LINES
    }

    fn ehlo(&mut self, name: String) -> Answer {
        if let Some(refusal) = self.refuse_trailing_dot(&name) {
            return refusal;
        }
        let size = self.config.size_limit.map_or("SIZE".to_owned(), |limit| format!("SIZE {limit}"));
        // The first word must be the server's domain (section 4.1.1.1).
        let mut answer = Answer::plain(250, format!("{} at your service", self.config.hostname))
            .and("PIPELINING")
            .and(size)
            .and("8BITMIME")
            .and("DSN")
            .and("ENHANCEDSTATUSCODES");
        for keyword in ["CHUNKING", "BINARYMIME", "SMTPUTF8"] {
            if !self.lacks(keyword) {
                answer = answer.and(keyword);
            }
        }
        // RFC 3207 section 4.2: not within TLS.
        if self.has_certificate && !self.secured {
            answer = answer.and("STARTTLS");
        }
        self.begin(Hello { name, extended: true });
        answer
    }

    fn helo(&mut self, name: String) -> Answer {
        if let Some(refusal) = self.refuse_trailing_dot(&name) {
            return refusal;
        }
        self.begin(Hello { name, extended: false });
        Answer::plain(250, self.config.hostname.clone())
    }

    /// Vintage, KB Q240832: the article's reply to `EHLO sub2.`, to the letter.
    fn refuse_trailing_dot(&self, name: &str) -> Option<Answer> {
        (self.config.vintage.refuses_trailing_dot && name.ends_with('.'))
            .then(|| Answer::plain(501, "Invalid Address"))
    }

    /// Section 4.1.4: EHLO in mid-session resets, as RSET does.
    fn begin(&mut self, hello: Hello) {
        self.hello = Some(hello);
        self.transaction = None;
    }

    fn mail(&mut self, from: Path, parameters: MailParameters) -> Answer {
        // Section 4.1.4: a session that is to carry mail must be opened first.
        let Some(hello) = &self.hello else {
            return Answer::new(503, "5.5.1", "Say EHLO or HELO first");
        };
        if self.transaction.is_some() {
            return Answer::new(503, "5.5.1", "A transaction is open already");
        }
        if parameters.any && !hello.extended {
            return Answer::new(555, "5.5.4", "Parameters need EHLO");
        }
        let not_known = |used: bool, keyword: &str| used && self.lacks(keyword);
        if not_known(parameters.smtputf8, "SMTPUTF8") || not_known(parameters.binary, "BINARYMIME") {
            return Answer::new(555, "5.5.4", "A parameter of nothing that was offered");
        }
        if self.config.size_limit.zip(parameters.size).is_some_and(|(limit, declared)| declared > limit) {
            // RFC 1870 section 6.1.
            return Answer::new(552, "5.3.4", "Message is too large");
        }
        let sender = match from {
            Path::Null => String::new(),
            Path::Postmaster => format!("postmaster@{}", self.config.hostname),
            Path::Mailbox(address) => address,
        };
        self.transaction =
            Some(Transaction { sender, parameters, recipients: Vec::new(), chunks: None, failed: false });
        Answer::new(250, "2.1.0", "Sender OK")
    }

    fn rcpt(&mut self, to: Path, parameters: RcptParameters) -> Answer {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        let relayed = match &to {
            Path::Mailbox(address) => {
                self.config.is_own_postmaster(address) || self.relays_to(domain_of(address))
            }
            // Section 4.5.1: mail to the postmaster is taken from anyone.
            Path::Null | Path::Postmaster => true,
        };
        let Some(transaction) = &mut self.transaction else {
            return Answer::new(503, "5.5.1", "MAIL comes first");
        };
        if parameters.any && !extended {
            return Answer::new(555, "5.5.4", "Parameters need EHLO");
        }
        if transaction.chunks.is_some() || transaction.failed {
            return Answer::new(503, "5.5.1", "The content has begun");
        }
        if to.needs_utf8() && !transaction.parameters.smtputf8 {
            // RFC 6531 section 3.5.
            return Answer::new(553, "5.6.7", "A recipient that is not ASCII needs SMTPUTF8 at MAIL");
        }
        if !relayed {
            return Answer::new(550, "5.7.1", "Relaying denied");
        }
        if transaction.recipients.len() >= MOST_RECIPIENTS {
            // Section 4.5.3.1.10: 452, and not RFC 821's 552.
            return Answer::new(452, "4.5.3", "Too many recipients in one transaction");
        }
        let address = match to {
            // Section 4.5.1, and section 3.9.1 for the way in which it goes on: another envelope recipient, and no more.
            Path::Mailbox(address) if self.config.is_own_postmaster(&address) => {
                self.config.postmaster_address()
            }
            Path::Mailbox(address) => address,
            Path::Null | Path::Postmaster => self.config.postmaster_address(),
        };
        let RcptParameters { notify, original, .. } = parameters;
        transaction.recipients.push(Addressee { address, notify, original });
        Answer::new(250, "2.1.5", "Recipient OK")
    }

    fn relays_to(&self, domain: &str) -> bool {
        self.config.trusted.iter().any(|address| address.to_canonical() == self.peer)
            || self.config.routes.iter().any(|route| same_domain(&route.domain, domain))
    }

    fn data(&mut self) -> Answer {
        match &self.transaction {
            None => Answer::new(503, "5.5.1", "MAIL and RCPT come first"),
            // RFC 3030 sections 2 and 3.
            Some(transaction) if transaction.chunks.is_some() || transaction.failed => {
                Answer::new(503, "5.5.1", "BDAT has begun")
            }
            Some(transaction) if transaction.parameters.binary => {
                Answer::new(503, "5.5.1", "Binary content comes by BDAT only")
            }
            // Section 3.3 offers 503 or 554; a client that pipelines is told the more telling one.
            Some(transaction) if transaction.recipients.is_empty() => {
                Answer::new(554, "5.5.1", "No valid recipients")
            }
            Some(_) => {
                self.content = Some(Reception::data(self.size_limit()));
                Answer::plain(354, "Go ahead, and end with CRLF . CRLF")
            }
        }
    }

    /// Why a chunk of so many octets cannot be taken, if it cannot. It is read all the same (RFC 3030 section 2).
    fn bdat(&mut self, size: u64) -> Option<Answer> {
        let limit = self.size_limit();
        let Some(transaction) = &mut self.transaction else {
            return Some(Answer::new(503, "5.5.1", "MAIL and RCPT come first"));
        };
        let so_far = transaction.chunks.get_or_insert_default().len() as u64;
        let refusal = if transaction.failed {
            Some(Answer::new(503, "5.5.1", "A chunk was refused before; say RSET"))
        } else if transaction.recipients.is_empty() {
            Some(Answer::new(554, "5.5.1", "No valid recipients"))
        } else if so_far.saturating_add(size) > limit {
            Some(Answer::new(552, "5.3.4", BadContent::TooLarge.to_string()))
        } else {
            None
        };
        transaction.failed |= refusal.is_some();
        refusal
    }

    fn start_tls(&mut self) -> Answer {
        if self.secured {
            return Answer::new(503, "5.5.1", "TLS has begun already");
        }
        if !self.has_certificate {
            return Answer::new(502, "5.5.1", "STARTTLS is not offered");
        }
        self.starts_tls = true;
        Answer::new(220, "2.0.0", "Ready to start TLS")
    }

    fn size_limit(&self) -> u64 {
        self.config.size_limit.unwrap_or(u64::MAX)
    }

    /// Reads content. At its end the transaction is over, whatever comes of it. A chunk that is not the last gives no
    /// submission, and an answer of its own.
    fn read_content(&mut self) -> Option<Result<Submission, Answer>> {
        let mut nowhere = Vec::new();
        let chunks = self.transaction.as_mut().and_then(|transaction| transaction.chunks.as_mut());
        let reception = self.content.as_mut()?;
        let (used, ended) = reception.read(&self.input[self.taken..], chunks.unwrap_or(&mut nowhere));
        self.taken += used;
        if !ended {
            return None;
        }
        match self.content.take()? {
            Reception::Data(reader) => {
                let transaction = self.transaction.take()?;
                Some(
                    reader
                        .finish()
                        .map_err(refusal)
                        .and_then(|content| self.submission(transaction, content)),
                )
            }
            Reception::Chunk { size, last: false, refusal, .. } => {
                let taken = || Answer::new(250, "2.0.0", format!("{size} octets taken"));
                Some(Err(refusal.unwrap_or_else(taken)))
            }
            Reception::Chunk { refusal: why, .. } => {
                let transaction = self.transaction.take();
                if let Some(answer) = why {
                    return Some(Err(answer));
                }
                let mut transaction = transaction?;
                let content = transaction.chunks.take()?;
                let fault = if transaction.parameters.binary { None } else { text_fault(&content) };
                Some(
                    fault
                        .map_or(Ok(()), |bad| Err(refusal(bad)))
                        .and_then(|()| self.submission(transaction, content)),
                )
            }
        }
    }

    fn submission(&self, transaction: Transaction, content: Vec<u8>) -> Result<Submission, Answer> {
        if hops(&content) > MOST_HOPS {
            return Err(Answer::new(554, "5.4.6", "Too many hops: the mail goes round in circles"));
        }
        let received = self.received(&transaction);
        let Transaction { sender, parameters, recipients, .. } = transaction;
        Ok(Submission {
            sender,
            ret: parameters.ret,
            envid: parameters.envid,
            smtputf8: parameters.smtputf8,
            received: Some(received),
            recipients,
            content,
        })
    }

    fn received(&self, transaction: &Transaction) -> Received {
        let (name, extended) =
            self.hello.as_ref().map_or(("", false), |hello| (&*hello.name, hello.extended));
        let peer = match self.peer {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        // Whatever the client called itself is written down only if it can stand in the field (section 4.4).
        let name = if address::is_domain(name) || address::literal(name).is_some() { name } else { &peer };
        Received {
            from: format!("{name} ({peer})"),
            by: self.config.hostname.clone(),
            // RFC 6531 section 4.3, and RFC 3848 for ESMTPS.
            with: match (transaction.parameters.smtputf8, extended, self.secured) {
                (true, _, true) => "UTF8SMTPS",
                (true, _, false) => "UTF8SMTP",
                (false, true, true) => "ESMTPS",
                (false, true, false) => "ESMTP",
                (false, false, _) => "SMTP",
            },
            // Section 7.2: with several recipients the field would give them away to each other. One that is not ASCII would
            // keep the message from every host without SMTPUTF8.
            recipient: match transaction.recipients.as_slice() {
                [only] if only.address.is_ascii() => Some(only.address.clone()),
                _ => None,
            },
        }
    }
}

/// The answer to content that cannot be taken.
fn refusal(bad: BadContent) -> Answer {
    match bad {
        BadContent::TooLarge => Answer::new(552, "5.3.4", bad.to_string()),
        BadContent::BareLineEnd | BadContent::LongLine => Answer::new(550, "5.6.0", bad.to_string()),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
