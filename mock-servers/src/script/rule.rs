//! Rules: on an event, when the conditions hold, the actions in order.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Reading, TlsAction};

/// What a rule waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum On {
    /// The connection was opened; the banner is due.
    Connect,
    /// Bytes came before the reply that they should have waited for.
    Early,
    /// A command with this verb.
    Command(Verb),
    /// The client's answer to a 334.
    Challenge,
    /// Inside the body, each time more of it came.
    Data,
    /// The final dot, or BDAT LAST.
    EndOfData,
    /// Nothing came for as long as the rule says.
    Idle,
    /// A verb that is not one.
    Unknown,
    /// Any command.
    Any,
}

/// SMTP's verbs (RFC 5321 section 4.1.1, RFC 4954, RFC 3207, RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "each is the verb of its name")]
pub enum Verb {
    Helo,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    Auth,
    StartTls,
}

impl Verb {
    /// Every verb, in the order of the list above.
    pub const ALL: [Self; 14] = [
        Self::Helo,
        Self::Ehlo,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Bdat,
        Self::Rset,
        Self::Noop,
        Self::Quit,
        Self::Vrfy,
        Self::Expn,
        Self::Help,
        Self::Auth,
        Self::StartTls,
    ];

    /// The verb as it goes over the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Bdat => "BDAT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Help => "HELP",
            Self::Auth => "AUTH",
            Self::StartTls => "STARTTLS",
        }
    }

    /// The verb of this name, without regard to case (RFC 5321 section 2.4).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Early => "early",
            Self::Command(verb) => verb.name(),
            Self::Challenge => "challenge",
            Self::Data => "data",
            Self::EndOfData => "end-of-data",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
            Self::Any => "any",
        })
    }
}

/// One rule: all conditions must hold for the actions to be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Empty: always.
    pub when: Vec<Condition>,
    /// Taken in order.
    pub actions: Vec<Action>,
    /// Only for [`On::Idle`]: how long nothing came.
    pub after: Option<Duration>,
}

/// What a rule can ask of the moment. Counts start at 1 and include the present occurrence.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// How many times this sender and this recipient came to this server, over all its sessions. From RCPT on.
    Seen(Range<u64>),
    /// The session's number at this server.
    Session(Range<u64>),
    /// The transaction's number within the session.
    Transaction(Range<u64>),
    /// RCPT and BDAT: the command's number within the transaction. MAIL: within the session. Others: the command's
    /// number of that verb within the session.
    Nth(Range<u64>),
    /// Time since this sender and recipient (before RCPT: this sender) were first seen by this server.
    SinceFirst(Range<Duration>),
    /// The reverse-path, without angle brackets.
    From(Glob),
    /// The forward-path of this RCPT; from DATA on, of any accepted recipient.
    To(Glob),
    /// The HELO or EHLO argument.
    Helo(Glob),
    /// The client's address.
    Client(Glob),
    /// The number of different recipient domains accepted in this transaction.
    Domains(Range<u64>),
    /// A parameter of this MAIL or RCPT: `BODY=8BITMIME`, `SIZE=*`.
    Parameter(Glob),
    /// The size that MAIL declared, in octets.
    Declares(Range<u64>),
    /// Octets of content received so far.
    Octets(Range<u64>),
    /// Length of the longest line of content received so far, in octets without CRLF.
    Line(Range<u64>),
    /// A header field's line matches: `Subject: *`.
    Header(Glob),
    /// Whether the session is encrypted.
    Tls(bool),
    /// Whether AUTH succeeded.
    Authenticated(bool),
    /// Sessions open at this server, this one included.
    OpenSessions(Range<u64>),
    /// The command line as it came, by regular expression (unanchored).
    Matches(String),
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Lets this much of the run's time pass.
    Wait(Duration),
    /// A well-formed reply; its code changes the session's state as the RFC says.
    Reply(ReplyText),
    /// Bytes as they are. What they mean for the session's state is said apart.
    Send {
        /// The bytes.
        bytes: Vec<u8>,
        /// What they count as; `None`: as nothing.
        means: Option<MeansFor>,
    },
    /// From now on everything is cut into segments of this many bytes.
    Pace(usize),
    /// From now on this much is read.
    Read(Reading),
    /// Begins TLS (after the 220 to STARTTLS), with or without a fault.
    Tls(TlsAction),
    /// Whether the server keeps the mail. Without it: if and only if it wrote a final 2yz.
    Take(bool),
    /// At the end of data: hands the mail, if the server kept it, to the relay under test once more, as a client of its.
    Forward(HeaderChanges),
    /// At a command: the server understands this line in place of the client's, once its placeholders are filled in. What
    /// a middlebox between the two does.
    Rewrite(String),
    /// Closes the connection in order.
    CloseFin,
    /// Closes the connection in order but, where it is encrypted, without TLS's own close_notify (RFC 8446 section 6.1): what
    /// the client cannot tell from a connection that was cut.
    CloseWithoutNotify,
    /// Resets the connection; once everything sent was acknowledged, unless at once.
    CloseReset {
        /// Without waiting for the acknowledgement.
        at_once: bool,
    },
    /// Says nothing more and reads nothing more, with the connection open.
    Stall,
}

/// What is changed in the header of mail that is forwarded. The server's own Received field is put on top after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderChanges {
    /// Names of fields that are taken out, every one of them; in either case.
    pub drop: Vec<String>,
    /// Fields by name: the first of that name gets this value, further ones are taken out; where there is none, it is
    /// added at the end.
    pub set: Vec<(String, String)>,
}

/// What raw bytes count as for the session's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeansFor {
    /// The command was accepted.
    Accepted,
    /// The command was refused.
    Refused,
}

/// A reply's lines, each with its code, as written in the scenario; a single line or several.
/// Placeholders are filled in: `{host}`, `{client}`, `{helo}`, `{from}`, `{to}`, `{date}`, `{id}`, `{message-id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyText {
    /// The reply code.
    pub code: u16,
    /// The texts after code and separator, one per line; never empty.
    pub lines: Vec<String>,
}

impl ReplyText {
    /// A one-line reply from `250 2.0.0 OK`; `None` without a three-digit code.
    pub fn parse(line: &str) -> Option<Self> {
        let (code, text) = line.split_at_checked(3)?;
        let text = match text.as_bytes().first() {
            None => "",
            Some(b' ' | b'-') => &text[1..],
            Some(_) => return None,
        };
        let code = code.bytes().all(|b| b.is_ascii_digit()).then(|| code.parse().ok())??;
        Some(Self { code, lines: vec![text.to_owned()] })
    }
}

/// From and to, both included; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    /// The least value that is in.
    pub from: Option<T>,
    /// The greatest value that is in.
    pub to: Option<T>,
}

impl<T: PartialOrd + Copy> Range<T> {
    /// One value only.
    pub fn exactly(value: T) -> Self {
        Self { from: Some(value), to: Some(value) }
    }

    /// Whether `value` is in.
    pub fn contains(&self, value: T) -> bool {
        self.from.is_none_or(|from| value >= from) && self.to.is_none_or(|to| value <= to)
    }
}

/// A pattern in which `*` stands for any text, compared without regard to ASCII case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(pub String);

impl Glob {
    /// Whether the whole of `text` fits.
    pub fn matches(&self, text: &str) -> bool {
        fits(&self.0.to_ascii_lowercase(), &text.to_ascii_lowercase())
    }
}

/// Whether the whole text fits the pattern, `*` standing for any text, `\*` for that character, and every other character for
/// itself.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = vec![String::new()];
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, parts.last_mut()) {
            ('*', _) => parts.push(String::new()),
            ('\\', Some(part)) if characters.next_if_eq(&'*').is_some() => part.push('*'),
            (_, Some(part)) => part.push(character),
            (_, None) => {}
        }
    }
    let [first, middle @ .., last] = parts.as_slice() else { return parts.concat() == text };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("bob@*", "Bob@hub.example", true)]
    #[case("*", "", true)]
    #[case("a*b*c", "aXXbYYc", true)]
    #[case("a*b", "abc", false)]
    #[case("ab*ba", "aba", false)]
    #[case("exact", "exactly", false)]
    #[case(r"\*", "*", true)]
    #[case(r"\*", "a", false)]
    #[case(r"a\**\*", "a* and *", true)]
    #[case(r"a\b", r"a\b", true)]
    fn a_star_stands_for_any_text(#[case] pattern: &str, #[case] text: &str, #[case] fits: bool) {
        assert_eq!(Glob(pattern.to_owned()).matches(text), fits);
    }

    #[rstest]
    #[case("250 2.0.0 OK", Some((250, "2.0.0 OK")))]
    #[case("250", Some((250, "")))]
    #[case("250OK", None)]
    #[case("OK", None)]
    #[case("5x0 no", None)]
    fn a_reply_needs_its_code(#[case] line: &str, #[case] reply: Option<(u16, &str)>) {
        let parsed = ReplyText::parse(line);
        assert_eq!(parsed.as_ref().map(|r| (r.code, r.lines[0].as_str())), reply);
    }
}
