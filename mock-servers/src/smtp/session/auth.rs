//! AUTH: PLAIN (RFC 4616), LOGIN and CRAM-MD5 (RFC 2195).

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::effects::Outcome;
use super::intake::Mode;
use super::{Request, ServerSession};
use crate::transcript::Reply;

/// How far a SASL exchange has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exchange {
    /// The next answer is PLAIN's message.
    Plain,
    /// The next answer is LOGIN's user.
    User,
    /// The next answer is LOGIN's password.
    Password(String),
    /// The next answer is CRAM-MD5's user and digest. The challenge is the one that went out, whoever gave it: the digest
    /// is of that.
    CramMd5(Vec<u8>),
    /// A mechanism that only a rule can go on with.
    Unknown,
}

impl ServerSession {
    /// An AUTH command came. A rule may answer it with 334 and leave the rest to the server.
    pub(super) fn begin_exchange(&mut self, argument: &str) {
        let mechanism = argument.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        self.state.exchange = Some(match mechanism.as_str() {
            "PLAIN" => Exchange::Plain,
            "LOGIN" => Exchange::User,
            "CRAM-MD5" => Exchange::CramMd5(Vec::new()),
            _ => Exchange::Unknown,
        });
    }

    /// The answer to AUTH (RFC 4954 section 4).
    pub(super) fn answer_auth(&mut self, argument: &str) -> Reply {
        if self.state.authenticated || self.state.mail.is_some() {
            return self.refuse(503, "5.5.1", "AUTH is not allowed now");
        }
        if !self.offers("AUTH") {
            return self.refuse(502, "5.5.1", "AUTH is not implemented");
        }
        let mut words = argument.split_ascii_whitespace();
        let (mechanism, initial) = (words.next().unwrap_or_default().to_ascii_uppercase(), words.next());
        if mechanism.is_empty() || words.next().is_some() {
            return self.refuse(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
        }
        if !self.mechanisms().contains(&mechanism) || self.state.exchange == Some(Exchange::Unknown) {
            return self.refuse(504, "5.5.4", "Authentication mechanism not supported");
        }
        match initial {
            // RFC 4954 section 4: where the server speaks first, an initial response is refused.
            Some(_) if mechanism == "CRAM-MD5" => {
                self.refuse(501, "5.7.0", "CRAM-MD5 begins with the server's challenge")
            }
            // "=" is a response of zero length.
            Some("=") => self.take_response(b""),
            Some(response) => self.decode(response),
            None if mechanism == "PLAIN" => challenge(""),
            None if mechanism == "CRAM-MD5" => challenge(&self.cram_challenge()),
            None => challenge("Username:"),
        }
    }

    /// The answer to what follows a 334.
    pub(super) fn answer_challenge(&mut self, request: &Request) -> Reply {
        if request.too_long {
            return self.refuse(500, "5.5.6", "Authentication exchange line is too long");
        }
        if request.line == "*" {
            return self.refuse(501, "5.7.0", "Authentication cancelled");
        }
        self.decode(&request.line)
    }

    fn decode(&mut self, response: &str) -> Reply {
        match STANDARD.decode(response) {
            Ok(decoded) => self.take_response(&decoded),
            Err(_) => self.refuse(501, "5.5.2", "Cannot decode the response"),
        }
    }

    fn take_response(&mut self, response: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(response).into_owned();
        match self.state.exchange.take() {
            Some(Exchange::Plain) => {
                let parts: Vec<&str> = text.split('\0').collect();
                match parts[..] {
                    [_authorize_as, user, password] => self.check(user, password),
                    _ => self.refuse(501, "5.5.2", "Cannot understand the response"),
                }
            }
            Some(Exchange::User) => {
                self.state.exchange = Some(Exchange::Password(text));
                challenge("Password:")
            }
            Some(Exchange::Password(user)) => self.check(&user, &text),
            Some(Exchange::CramMd5(challenge)) => self.check_digest(&challenge, &text),
            Some(Exchange::Unknown) | None => self.check_failed(),
        }
    }

    /// RFC 2195 section 2: digits, a timestamp and the server's name in the form of a msg-id. Nothing in it is random, so
    /// that a run repeats; and no two of a server are alike.
    fn cram_challenge(&self) -> String {
        let since_1970 = self.epoch.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = (since_1970 + self.occasion.at.since_start()).as_secs();
        let (session, command) = (self.visit.ordinal, self.state.commands);
        format!("<{session}{command:04}.{seconds}@{}>", self.script.hostname)
    }

    /// RFC 2195 section 2: the user, a space, and the HMAC-MD5 of the challenge in small hexadecimal letters. A server
    /// that lets everybody in asks for the form alone.
    fn check_digest(&self, challenge: &[u8], response: &str) -> Reply {
        let is_digest = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let Some((user, digest)) = response.rsplit_once(' ').filter(|(_, digest)| is_digest(digest)) else {
            return self.refuse(501, "5.5.2", "Cannot understand the response");
        };
        let good = self.script.credentials.as_ref().is_none_or(|(known, password)| {
            let mut mac =
                Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("a key may have any length");
            mac.update(challenge);
            let wanted = mac.finalize().into_bytes();
            let hex =
                |byte: &u8| [byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]);
            user == known && digest.bytes().eq(wanted.iter().flat_map(hex))
        });
        if good { self.accept_auth() } else { self.check_failed() }
    }

    fn check(&self, user: &str, password: &str) -> Reply {
        let good = self.script.credentials.as_ref().is_none_or(|(u, p)| u == user && p == password);
        if good { self.accept_auth() } else { self.check_failed() }
    }

    fn check_failed(&self) -> Reply {
        self.refuse(535, "5.7.8", "Authentication credentials invalid")
    }

    /// What the reply means for the exchange: 334 asks on, 235 ends it well.
    pub(super) fn settle_exchange(&mut self, outcome: Outcome, reply: &Reply) {
        match outcome {
            Outcome::Intermediate => {
                self.mode = Mode::Challenge;
                if let Some(Exchange::CramMd5(challenge)) = &mut self.state.exchange {
                    let said = reply.lines.first().and_then(|line| STANDARD.decode(line).ok());
                    *challenge = said.unwrap_or_default();
                }
                self.state.exchange.get_or_insert(Exchange::Unknown);
            }
            Outcome::Positive => {
                self.state.authenticated = true;
                self.state.exchange = None;
            }
            Outcome::Negative => self.state.exchange = None,
        }
    }
}

fn challenge(text: &str) -> Reply {
    Reply { code: 334, lines: vec![STANDARD.encode(text)] }
}
