//! Command lines (RFC 5321 section 4.1.1) and the parameters of the extensions that the relay offers.
//!
//! What is refused here is refused by grammar alone; whether a command may come now is the session's business.

use crate::address::{self, Path, TrailingSpace};
use crate::dsn::{self, Notify, Ret};
use crate::server::Answer;

/// A command that is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Ehlo(String),
    Helo(String),
    Mail {
        from: Path,
        parameters: MailParameters,
    },
    Rcpt {
        to: Path,
        parameters: RcptParameters,
    },
    Data,
    /// RFC 3030 section 2: so many octets of content follow.
    Bdat {
        size: u64,
        last: bool,
    },
    /// RFC 3207.
    StartTls,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
}

/// What may follow the reverse-path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MailParameters {
    /// RFC 1870: the message's size as the client declares it.
    pub(crate) size: Option<u64>,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<String>,
    /// RFC 6531 section 3.4.
    pub(crate) smtputf8: bool,
    /// BODY=BINARYMIME (RFC 3030 section 3).
    pub(crate) binary: bool,
    /// Whether there were any at all.
    pub(crate) any: bool,
}

/// What may follow a forward-path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RcptParameters {
    pub(crate) notify: Option<Notify>,
    pub(crate) original: Option<String>,
    /// Whether there were any at all.
    pub(crate) any: bool,
}

/// Reads a command line without its CRLF; gives the answer that refuses it when it is none.
pub(crate) fn parse(line: &[u8], space: TrailingSpace) -> Result<Command, Answer> {
    let length = line.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(line.len());
    let (verb, rest) = line.split_at(length);
    let verb = verb.to_ascii_uppercase();
    if !KNOWN.contains(&verb.as_slice()) {
        return Err(Answer::new(500, "5.5.2", "Command not recognized"));
    }
    // Section 4.1.2 asks for 501 when illegal octets are the only thing wrong. Bare CR and LF are among them (2.3.8). RFC
    // 6531 has UTF-8 in the commands that hold addresses (sections 3.3 and 3.7.4.2), and in no other.
    let holds_addresses = matches!(verb.as_slice(), b"MAIL" | b"RCPT" | b"VRFY" | b"EXPN");
    let can_stand = |c: char| matches!(c, '\t' | ' '..='~') || (holds_addresses && !c.is_ascii());
    let rest = std::str::from_utf8(rest)
        .ok()
        .filter(|rest| rest.chars().all(can_stand))
        .ok_or(Answer::new(501, "5.5.2", "Only printable characters can stand in a command"))?;
    // Section 4.1.1: white space before the CRLF should be tolerated.
    let rest = rest.trim_end_matches([' ', '\t']);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(Answer::new(500, "5.5.2", "Command not recognized"));
    }
    let argument = rest.trim_start_matches(' ');
    match verb.as_slice() {
        b"EHLO" => greeting(argument).map(Command::Ehlo),
        b"HELO" => greeting(argument).map(Command::Helo),
        b"MAIL" => mail(argument, space),
        b"RCPT" => rcpt(argument, space),
        b"VRFY" if argument.is_empty() => Err(Answer::new(501, "5.5.4", "VRFY needs an argument")),
        b"VRFY" => Ok(Command::Vrfy),
        // Section 4.1.1.9: NOOP's argument is ignored. Section 4.1.1.8: HELP may have one.
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"BDAT" => bdat(argument),
        // Recognized and not implemented (section 4.2.4): lists live on other hosts.
        b"EXPN" => Err(Answer::new(502, "5.5.1", "EXPN is not implemented")),
        _ if !argument.is_empty() => Err(Answer::new(501, "5.5.4", "The command takes no argument")),
        b"DATA" => Ok(Command::Data),
        b"RSET" => Ok(Command::Rset),
        b"STARTTLS" => Ok(Command::StartTls),
        _ => Ok(Command::Quit),
    }
}

const KNOWN: [&[u8]; 13] = [
    b"EHLO",
    b"HELO",
    b"MAIL",
    b"RCPT",
    b"DATA",
    b"BDAT",
    b"STARTTLS",
    b"RSET",
    b"NOOP",
    b"QUIT",
    b"VRFY",
    b"EXPN",
    b"HELP",
];

/// Whether a line that is no command shows that its sender is not speaking SMTP, or not listening: the request line of HTTP,
/// or a header field.
pub(crate) fn is_foreign(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let word = line.split([' ', ':']).next().unwrap_or("");
    let is_name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_field =
        line[word.len()..].starts_with(':') && !KNOWN.contains(&word.to_ascii_uppercase().as_bytes());
    let is_request = line.rsplit_once(' ').is_some_and(|(_, last)| last.starts_with("HTTP/"));
    is_name && (is_field || is_request)
}

/// The argument of EHLO or HELO. One word of any form will do: the name is a claim that the relay has no use for but
/// to write it down, section 4.1.4 forbids refusing mail because it is not true, and so `sub2.` costs no one a session
/// (KB Q240832).
fn greeting(argument: &str) -> Result<String, Answer> {
    if argument.is_empty() || argument.contains(' ') {
        return Err(Answer::plain(501, "One domain or address literal must follow"));
    }
    Ok(argument.to_owned())
}

fn mail(argument: &str, space: TrailingSpace) -> Result<Command, Answer> {
    let rest = after_colon(argument, "FROM:")?;
    let (from, rest) = address::path(rest, space)
        .map_err(|bad| Answer::new(501, "5.1.7", format!("Bad reverse-path: {bad}")))?;
    let mut told = MailParameters::default();
    let mut seen = Vec::new();
    for (keyword, value) in esmtp_parameters(rest)? {
        once(&mut seen, &keyword)?;
        told.any = true;
        let understood = match (keyword.as_str(), value) {
            // RFC 1870 section 3: 1 to 20 digits.
            ("SIZE", Some(size)) if size.len() <= 20 && size.bytes().all(|b| b.is_ascii_digit()) => {
                told.size = Some(size.parse().unwrap_or(u64::MAX));
                true
            }
            // RFC 6152 section 2, RFC 3030 section 3. What the content really holds is looked at when it is sent on.
            ("BODY", Some(body)) => {
                told.binary = body.eq_ignore_ascii_case("BINARYMIME");
                told.binary || ["7BIT", "8BITMIME"].iter().any(|kind| body.eq_ignore_ascii_case(kind))
            }
            // RFC 6531 section 3.4: without a value.
            ("SMTPUTF8", None) => {
                told.smtputf8 = true;
                true
            }
            ("RET", Some(extent)) => {
                told.ret = Ret::parse(extent);
                told.ret.is_some()
            }
            ("ENVID", Some(id)) => {
                told.envid = Some(id.to_owned());
                dsn::is_envelope_id(id)
            }
            ("SIZE" | "BODY" | "RET" | "ENVID" | "SMTPUTF8", _) => false,
            _ => return Err(unknown_parameter(&keyword)),
        };
        if !understood {
            return Err(bad_value(&keyword));
        }
    }
    if from.needs_utf8() && !told.smtputf8 {
        // RFC 6531 section 3.5: 550 for MAIL, 553 for RCPT.
        return Err(Answer::new(550, "5.6.7", "A sender that is not ASCII needs SMTPUTF8"));
    }
    Ok(Command::Mail { from, parameters: told })
}

/// `BDAT SP chunk-size [ SP end-marker ]` (RFC 3030 section 2).
fn bdat(argument: &str) -> Result<Command, Answer> {
    let (size, last) = match argument.split_once(' ') {
        None => (argument, false),
        Some((size, marker)) if marker.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => ("", true),
    };
    let size = Some(size).filter(|size| size.bytes().all(|b| b.is_ascii_digit()));
    let size = size.and_then(|size| size.parse().ok());
    let size =
        size.ok_or(Answer::new(501, "5.5.4", "BDAT needs a number of octets, and LAST or nothing after it"))?;
    Ok(Command::Bdat { size, last })
}

fn rcpt(argument: &str, space: TrailingSpace) -> Result<Command, Answer> {
    let rest = after_colon(argument, "TO:")?;
    let bad = |why: &dyn std::fmt::Display| Answer::new(501, "5.1.3", format!("Bad forward-path: {why}"));
    let (to, rest) = address::path(rest, space).map_err(|why| bad(&why))?;
    if to == Path::Null {
        return Err(bad(&"<> is no recipient"));
    }
    let mut told = RcptParameters::default();
    let mut seen = Vec::new();
    for (keyword, value) in esmtp_parameters(rest)? {
        once(&mut seen, &keyword)?;
        told.any = true;
        let understood = match (keyword.as_str(), value) {
            ("NOTIFY", Some(notify)) => {
                told.notify = Notify::parse(notify);
                told.notify.is_some()
            }
            ("ORCPT", Some(original)) => {
                told.original = Some(original.to_owned());
                dsn::is_original_recipient(original)
            }
            ("NOTIFY" | "ORCPT", _) => false,
            _ => return Err(unknown_parameter(&keyword)),
        };
        if !understood {
            return Err(bad_value(&keyword));
        }
    }
    Ok(Command::Rcpt { to, parameters: told })
}

/// Section 3.3: no space stands on either side of the colon. Behind it, clients of our day put some all the same, and nothing
/// else can be meant.
fn after_colon<'a>(argument: &'a str, word: &str) -> Result<&'a str, Answer> {
    match argument.split_at_checked(word.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(word) => Ok(rest.trim_start_matches(' ')),
        _ => Err(Answer::new(501, "5.5.2", format!("{word}<path> must follow, without spaces"))),
    }
}

/// `*(SP esmtp-param)` (section 4.1.2): keywords in upper case, values as given.
fn esmtp_parameters(rest: &str) -> Result<Vec<(String, Option<&str>)>, Answer> {
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let malformed = || Answer::new(501, "5.5.4", "Malformed parameters");
    let rest = rest.strip_prefix(' ').ok_or_else(malformed)?;
    rest.split(' ')
        .map(|parameter| {
            let (keyword, value) = match parameter.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (parameter, None),
            };
            let is_keyword = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let is_value = value.is_none_or(|value| {
                // RFC 6531 section 3.3 adds what is not ASCII.
                !value.is_empty()
                    && value.chars().all(|c| matches!(c, '!'..='<' | '>'..='~') || !c.is_ascii())
            });
            (is_keyword && is_value).then(|| (keyword.to_ascii_uppercase(), value)).ok_or_else(malformed)
        })
        .collect()
}

fn once(seen: &mut Vec<String>, keyword: &str) -> Result<(), Answer> {
    if seen.iter().any(|earlier| earlier == keyword) {
        return Err(Answer::new(501, "5.5.4", format!("{keyword} stands there twice")));
    }
    seen.push(keyword.to_owned());
    Ok(())
}

/// Section 4.1.1.11: 555 for a parameter of no extension that was offered.
fn unknown_parameter(keyword: &str) -> Answer {
    Answer::new(555, "5.5.4", format!("{keyword} is a parameter of nothing that was offered"))
}

fn bad_value(keyword: &str) -> Answer {
    Answer::new(501, "5.5.4", format!("{keyword} has no such value"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn strict(line: &str) -> Result<Command, Answer> {
        parse(line.as_bytes(), TrailingSpace::Refused)
    }

    fn code(line: &str) -> u16 {
        strict(line).expect_err("it was taken").code()
    }

    #[rstest]
    #[case("ehlo sub2.", Command::Ehlo("sub2.".into()))]
    #[case("HELO [198.51.100.9] ", Command::Helo("[198.51.100.9]".into()))]
    #[case("DaTa\t", Command::Data)]
    #[case("noop whatever", Command::Noop)]
    #[case("VRFY joe", Command::Vrfy)]
    #[case("help data", Command::Help)]
    #[case("Quit", Command::Quit)]
    #[case("bdat 0 last", Command::Bdat { size: 0, last: true })]
    #[case("BDAT 86", Command::Bdat { size: 86, last: false })]
    #[case("StartTLS", Command::StartTls)]
    #[case("VRFY jos\u{e9} SMTPUTF8", Command::Vrfy)]
    fn commands_are_read_in_any_case(#[case] line: &str, #[case] command: Command) {
        assert_eq!(strict(line), Ok(command));
    }

    #[test]
    fn mail_takes_the_parameters_of_what_is_offered() {
        let line = "MAIL FROM:<a@b.example> SIZE=12 body=8bitmime RET=HDRS ENVID=QQ+2B1";
        let Ok(Command::Mail { from, parameters }) = strict(line) else { panic!("{line} was refused") };
        assert_eq!(from, Path::Mailbox("a@b.example".into()));
        assert_eq!(parameters.size, Some(12));
        assert_eq!(parameters.ret, Some(Ret::Headers));
        assert_eq!(parameters.envid.as_deref(), Some("QQ+2B1"));
    }

    #[test]
    fn a_space_after_the_colon_is_let_pass() {
        for line in ["MAIL FROM: <a@b.example>", "mail from:  <a@b.example>"] {
            let Ok(Command::Mail { from, .. }) = strict(line) else { panic!("{line} was refused") };
            assert_eq!(from, Path::Mailbox("a@b.example".into()));
        }
        assert!(matches!(strict("RCPT TO: <a@b.example> NOTIFY=NEVER"), Ok(Command::Rcpt { .. })));
    }

    #[rstest]
    #[case("POST / HTTP/1.1", true)]
    #[case("GET /index.html HTTP/1.0", true)]
    #[case("Subject: hello", true)]
    #[case("X-Mailer:x", true)]
    #[case("HTTP/1.1", false)]
    #[case("MAIL: x", false)]
    #[case("what is this", false)]
    #[case("", false)]
    #[case(":", false)]
    fn who_speaks_something_else_is_known_by_it(#[case] line: &str, #[case] foreign: bool) {
        assert_eq!(is_foreign(line.as_bytes()), foreign, "{line}");
    }

    #[rstest]
    #[case("MAIL FROM :<a@b.example>", 501)]
    #[case("MAIL FROM:a@b.example", 501)]
    #[case("MAIL FROM:<a@b.example>SIZE=1", 501)]
    #[case("MAIL FROM:<a@b.example> SIZE=1 SIZE=1", 501)]
    #[case("MAIL FROM:<a@b.example> SIZE", 501)]
    #[case("MAIL FROM:<a@b.example> SIZE=-1", 501)]
    #[case("MAIL FROM:<a@b.example> BODY=UTF16", 501)]
    #[case("MAIL FROM:<a@b.example> SMTPUTF8=yes", 501)]
    #[case("MAIL FROM:<jos\u{e9}@b.example>", 550)]
    #[case("MAIL FROM:<jos\u{e9}@b.example> BODY=8BITMIME", 550)]
    #[case("MAIL FROM:<jos\u{85}@b.example> SMTPUTF8", 501)]
    #[case("RCPT TO:<a@b.example> NOTIFY=\u{e9}", 501)]
    #[case("BDAT", 501)]
    #[case("BDAT x", 501)]
    #[case("BDAT -1", 501)]
    #[case("BDAT 1 FIRST", 501)]
    #[case("BDAT 99999999999999999999", 501)]
    #[case("STARTTLS now", 501)]
    #[case("MAIL FROM:<a@b.example> RET=NONE", 501)]
    #[case("MAIL FROM:<a@b.example> ENVID=a+b", 501)]
    #[case("MAIL FROM:<a@b.example>  SIZE=1", 501)]
    #[case("MAIL FROM:<a@b.example> =1", 501)]
    #[case("MAIL FROM:<a@b.example> AUTH=<>", 555)]
    #[case("RCPT TO:<>", 501)]
    #[case("RCPT TO:<a@b.example >", 501)]
    #[case("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", 501)]
    #[case("RCPT TO:<a@b.example> ORCPT=a@b.example", 501)]
    #[case("RCPT TO:<a@b.example> BY=1", 555)]
    #[case("EHLO", 501)]
    #[case("EHLO a b", 501)]
    #[case("VRFY", 501)]
    #[case("DATA now", 501)]
    #[case("QUIT\u{e9}", 501)]
    #[case("NOOP a\nb", 501)]
    #[case("EXPN list", 502)]
    #[case("TURN", 500)]
    #[case("DATA1", 500)]
    #[case("", 500)]
    #[case("\u{16}\u{3}\u{1}", 500)]
    fn what_is_malformed_is_refused_with_its_own_code(#[case] line: &str, #[case] expected: u16) {
        assert_eq!(code(line), expected, "{line:?}");
    }
}
