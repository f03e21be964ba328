//! One SMTP session as a server, without I/O: octets go in, answers and submissions come out.
//!
//! The caller feeds [`Session::receive`], then calls [`Session::advance`] and does what that asks for, until it asks for
//! more input or to close. MAIL, RCPT and RSET that came in one read are so answered in one write, which is what PIPELINING
//! is for, and the answers to all other commands go out at once (RFC 2920 section 3.2 (2), (5), (6) and (7)).

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;

use super::Answer;
use super::content::{BadContent, ContentReader, hops};
use crate::address::{self, Path, TrailingSpace, domain_of};
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

/// What the session needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To write what [`Session::take_answers`] gives, and to call again.
    Write,
    /// The same, and then more octets from the client.
    Read,
    /// A message to be made durable; [`Session::stored`] takes the outcome.
    Store(Submission),
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
    content: Option<ContentReader>,
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
}

impl Session {
    /// A session that begins with the greeting.
    pub(crate) fn new(config: Arc<Config>, peer: IpAddr) -> Self {
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
                    Some(Err(answer)) => self.answer(&answer),
                    None => return Step::Read,
                }
            } else {
                let may_wait = match self.read_line() {
                    Some(Ok(line)) => self.obey(&line),
                    Some(Err(answer)) => {
                        self.answer(&answer);
                        false
                    }
                    None => return Step::Read,
                };
                if !may_wait && !self.closing {
                    return Step::Write;
                }
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
        self.answer(&Answer::new(421, status, format!("{} {why}", self.config.hostname)));
        self.closing = true;
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
            Err(answer) => answer,
            Ok(Command::Ehlo(name)) => self.ehlo(name),
            Ok(Command::Helo(name)) => self.helo(name),
            Ok(Command::Mail { from, parameters }) => self.mail(from, parameters),
            Ok(Command::Rcpt { to, parameters }) => self.rcpt(to, parameters),
            Ok(Command::Data) => self.data(),
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
                Answer::new(214, "2.0.0", "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")
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

    fn ehlo(&mut self, name: String) -> Answer {
        if let Some(refusal) = self.refuse_trailing_dot(&name) {
            return refusal;
        }
        let size = self.config.size_limit.map_or("SIZE".to_owned(), |limit| format!("SIZE {limit}"));
        // The first word must be the server's domain (section 4.1.1.1).
        let answer = Answer::plain(250, format!("{} at your service", self.config.hostname))
            .and("PIPELINING")
            .and(size)
            .and("8BITMIME")
            .and("DSN")
            .and("ENHANCEDSTATUSCODES");
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
        if self.config.size_limit.zip(parameters.size).is_some_and(|(limit, declared)| declared > limit) {
            // RFC 1870 section 6.1.
            return Answer::new(552, "5.3.4", "Message is too large");
        }
        let sender = match from {
            Path::Null => String::new(),
            Path::Postmaster => format!("postmaster@{}", self.config.hostname),
            Path::Mailbox(address) => address,
        };
        self.transaction = Some(Transaction { sender, parameters, recipients: Vec::new() });
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
            || self.config.routes.iter().any(|route| route.domain.eq_ignore_ascii_case(domain))
    }

    fn data(&mut self) -> Answer {
        match &self.transaction {
            None => Answer::new(503, "5.5.1", "MAIL and RCPT come first"),
            // Section 3.3 offers 503 or 554; a client that pipelines is told the more telling one.
            Some(transaction) if transaction.recipients.is_empty() => {
                Answer::new(554, "5.5.1", "No valid recipients")
            }
            Some(_) => {
                self.content = Some(ContentReader::new(self.config.size_limit.unwrap_or(u64::MAX)));
                Answer::plain(354, "Go ahead, and end with CRLF . CRLF")
            }
        }
    }

    /// Reads content. At its end the transaction is over, whatever comes of it.
    fn read_content(&mut self) -> Option<Result<Submission, Answer>> {
        let reader = self.content.as_mut()?;
        let Some(end) = self.input[self.taken..].iter().position(|&octet| reader.push(octet)) else {
            self.taken = self.input.len();
            return None;
        };
        self.taken += end + 1;
        let content = self.content.take()?.finish();
        let transaction = self.transaction.take()?;
        Some(self.submission(transaction, content))
    }

    fn submission(
        &self,
        transaction: Transaction,
        content: Result<Vec<u8>, BadContent>,
    ) -> Result<Submission, Answer> {
        let content = content.map_err(|bad| match bad {
            BadContent::TooLarge => Answer::new(552, "5.3.4", bad.to_string()),
            BadContent::BareLineEnd | BadContent::LongLine => Answer::new(550, "5.6.0", bad.to_string()),
        })?;
        if hops(&content) > MOST_HOPS {
            return Err(Answer::new(554, "5.4.6", "Too many hops: the mail goes round in circles"));
        }
        let Transaction { sender, parameters, recipients } = transaction;
        Ok(Submission {
            sender,
            ret: parameters.ret,
            envid: parameters.envid,
            received: Some(self.received(&recipients)),
            recipients,
            content,
        })
    }

    fn received(&self, recipients: &[Addressee]) -> Received {
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
            with: if extended { "ESMTP" } else { "SMTP" },
            // Section 7.2: with several recipients the field would give them away to each other.
            recipient: match recipients {
                [only] => Some(only.address.clone()),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
