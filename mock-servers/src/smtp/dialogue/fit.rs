//! Whether what was heard is what the dialogue says.

use super::Heard;
use crate::script::fits;
use crate::script::{Pattern, Verb};

impl Heard {
    /// What was said, on one line.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::Reply(reply) if reply.code == 0 => reply.lines.join(" / "),
            Self::Reply(reply) => reply.text(),
        }
    }

    pub(super) fn fits(&self, Pattern(pattern): &Pattern) -> bool {
        match self {
            Self::Line(line) => command_fits(pattern, line),
            Self::Reply(reply) => {
                let last = reply.lines.last().map_or("", String::as_str);
                match pattern.split_at_checked(3) {
                    Some((code, text)) if code.bytes().all(|b| b.is_ascii_digit()) => {
                        // `250-*` and `250 *` are the same to a whole reply.
                        let text = text.strip_prefix([' ', '-']).unwrap_or(text);
                        code.parse() == Ok(reply.code) && fits(text, last)
                    }
                    _ => fits(pattern, format!("{:03} {last}", reply.code).trim_end()),
                }
            }
        }
    }
}

/// A command line: its verb without regard to case (RFC 5321 section 2.4), as are `FROM:` and `TO:`; the rest exactly.
fn command_fits(pattern: &str, line: &str) -> bool {
    let (expected, wanted) = pattern.split_once(' ').unwrap_or((pattern, ""));
    let Some(verb) = Verb::parse(expected) else { return fits(pattern, line) };
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !word.eq_ignore_ascii_case(expected) {
        return false;
    }
    let keyword = match verb {
        Verb::Mail => "FROM:",
        Verb::Rcpt => "TO:",
        _ => "",
    };
    match (without(keyword, wanted), without(keyword, rest)) {
        (Some(wanted), Some(rest)) => fits(wanted, rest),
        _ => fits(wanted, rest),
    }
}

fn without<'a>(keyword: &str, text: &'a str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Reply;
    use rstest::rstest;

    #[rstest]
    #[case("EHLO relay.example", "ehlo relay.example", true)]
    #[case("EHLO relay.example", "EHLO Relay.example", false)]
    #[case("EHLO *", "EHLO x", true)]
    #[case("EHLO *", "HELO x", false)]
    #[case("MAIL FROM:<a@b>*", "mail from:<a@b> SIZE=1", true)]
    #[case("MAIL FROM:<a@b>", "MAIL FROM:<a@b> SIZE=1", false)]
    #[case("RCPT TO:<*@b>", "RCPT TO:<x@b>", true)]
    #[case("DATA", "DATA", true)]
    #[case("DATA", "DATA ", true)]
    #[case("*", "anything", true)]
    #[case("X* y", "XYZ y", true)]
    fn a_command_is_matched_exactly_but_for_its_verb(
        #[case] pattern: &str,
        #[case] line: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(Heard::Line(line.to_owned()).fits(&Pattern(pattern.to_owned())), expected);
    }

    #[rstest]
    #[case("250 *", 250, &["a", "b"], true)]
    #[case("250 b", 250, &["a", "b"], true)]
    #[case("250 a", 250, &["a", "b"], false)]
    #[case("250 *", 251, &["a"], false)]
    #[case("250", 250, &[""], true)]
    #[case("250", 250, &["OK"], false)]
    #[case("2*", 251, &["a"], true)]
    #[case("*", 0, &["rubbish"], true)]
    fn a_reply_is_matched_by_its_code_and_last_line(
        #[case] pattern: &str,
        #[case] code: u16,
        #[case] lines: &[&str],
        #[case] expected: bool,
    ) {
        let reply = Reply { code, lines: lines.iter().map(|&l| l.to_owned()).collect() };
        assert_eq!(Heard::Reply(reply).fits(&Pattern(pattern.to_owned())), expected);
    }
}
