//! Command lines, taken apart.

use crate::script::{On, Verb};

/// A client's line as the session and its rules see it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The event that it is.
    pub(super) on: On,
    /// The line as it came, without CRLF.
    pub(super) line: String,
    /// What follows the verb, without white space around it.
    pub(super) argument: String,
    /// For MAIL and RCPT: path and parameters; `None` when they cannot be told.
    pub(super) path: Option<Path>,
    /// Its first byte had come before the reply that it should have waited for.
    pub(super) early: bool,
    /// The line was too long to be kept.
    pub(super) too_long: bool,
}

/// The argument of MAIL or RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path {
    /// What stands between the angle brackets, as it came.
    pub(super) address: String,
    /// The parameters, as they came.
    pub(super) parameters: Vec<String>,
}

impl Request {
    /// An event that is no command.
    pub(super) fn event(on: On) -> Self {
        Self { on, line: String::new(), argument: String::new(), path: None, early: false, too_long: false }
    }

    /// A command line, without its CRLF.
    pub(super) fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line).into_owned();
        // White space before the line's end is to be tolerated (RFC 5321 section 4.1.1). A bare CR or LF makes the whole line
        // something else (section 2.3.8).
        let stray = line.iter().any(|b| matches!(b, b'\r' | b'\n'));
        let (word, argument) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
        let verb = if stray { None } else { Verb::parse(word) };
        let argument = argument.trim_matches([' ', '\t']).to_owned();
        let path = match verb {
            Some(Verb::Mail) => Path::parse("FROM:", &argument),
            Some(Verb::Rcpt) => Path::parse("TO:", &argument),
            _ => None,
        };
        Self {
            on: verb.map_or(On::Unknown, On::Command),
            line: text,
            argument,
            path,
            early: false,
            too_long: false,
        }
    }

    /// Whether it is a command.
    pub(super) fn is_command(&self) -> bool {
        matches!(self.on, On::Command(_) | On::Unknown)
    }

    /// The value of a parameter; empty when it has none.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.path.as_ref()?.parameter(name)
    }
}

impl Path {
    /// `FROM:<address> parameters`. A space behind the colon is wrong but harmless (RFC 5321 section 3.3); an address
    /// without angle brackets is refused, since nobody could tell where it ends.
    fn parse(keyword: &str, argument: &str) -> Option<Self> {
        let (head, rest) = argument.split_at_checked(keyword.len())?;
        if !head.eq_ignore_ascii_case(keyword) {
            return None;
        }
        let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('<')?;
        let end = closing_bracket(rest)?;
        let parameters = &rest[end + 1..];
        if !parameters.is_empty() && !parameters.starts_with([' ', '\t']) {
            return None;
        }
        let parameters = parameters.split([' ', '\t']).filter(|p| !p.is_empty()).map(str::to_owned).collect();
        Some(Self { address: rest[..end].to_owned(), parameters })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// The place of the `>` that ends a path; one inside a quoted string does not (RFC 5321 section 4.1.2).
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// `BDAT`'s argument: the chunk's size, and whether it is the last (RFC 3030 section 2).
pub(super) fn bdat(argument: &str) -> Option<(u64, bool)> {
    let mut words = argument.split_ascii_whitespace();
    let size = words.next()?;
    let size = size.bytes().all(|b| b.is_ascii_digit()).then(|| size.parse().ok())??;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some((size, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("MAIL FROM:<a@b>", Some(("a@b", &[][..])))]
    #[case("mail from:<> BODY=8BITMIME SIZE=9", Some(("", &["BODY=8BITMIME", "SIZE=9"][..])))]
    #[case("MAIL FROM: <a@b> ", Some(("a@b", &[][..])))]
    #[case("RCPT TO:<joeuser@invaliddomain.example >", Some(("joeuser@invaliddomain.example ", &[][..])))]
    #[case("RCPT TO:<\"a>\\\"b\"@c> NOTIFY=NEVER", Some(("\"a>\\\"b\"@c", &["NOTIFY=NEVER"][..])))]
    #[case("MAIL FROM:a@b", None)]
    #[case("MAIL FROM:<a@b", None)]
    #[case("MAIL FROM:<a@b>SIZE=1", None)]
    #[case("RCPT FROM:<a@b>", None)]
    #[case("MAIL", None)]
    fn paths_are_taken_apart(#[case] line: &str, #[case] path: Option<(&str, &[&str])>) {
        let parsed = Request::parse(line.as_bytes()).path;
        let expected = path.map(|(address, parameters)| Path {
            address: address.to_owned(),
            parameters: parameters.iter().map(|&p| p.to_owned()).collect(),
        });
        assert_eq!(parsed, expected);
    }

    #[rstest]
    #[case("quit  ", On::Command(Verb::Quit))]
    #[case("NOOP\nQUIT", On::Unknown)]
    #[case("EHLO a\rb", On::Unknown)]
    #[case("", On::Unknown)]
    #[case("XEXCH50 1 2", On::Unknown)]
    fn a_verb_is_known_without_regard_to_case(#[case] line: &str, #[case] on: On) {
        assert_eq!(Request::parse(line.as_bytes()).on, on);
    }

    #[rstest]
    #[case("10", Some((10, false)))]
    #[case("0 last", Some((0, true)))]
    #[case("", None)]
    #[case("-1", None)]
    #[case("1 LAST x", None)]
    #[case("1 FIRST", None)]
    #[case("99999999999999999999", None)]
    fn a_chunk_has_a_size(#[case] argument: &str, #[case] chunk: Option<(u64, bool)>) {
        assert_eq!(bdat(argument), chunk);
    }
}
