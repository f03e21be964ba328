//! The replies of next hops (RFC 5321 section 4.2), read without I/O: bytes go in, replies come out.
//!
//! The parser is the relay's own. It reads what servers in the field are known to say, and does not guess: what has no code
//! ends the session, and the mail waits.

/// A reply, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// The text of each line. What is not printable ASCII stands as `?`: the text goes into notifications.
    pub(crate) lines: Vec<String>,
}

/// Octets that are no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadReply {
    #[error("its reply does not begin with a reply code: {0:?}")]
    Code(String),
    #[error("its reply changes the code from {0} to {1} between lines")]
    MixedCodes(u16, u16),
    #[error("its reply does not end")]
    TooLong,
}

/// What is longer is cut off. Section 4.5.3.1.5 allows 512 octets; AUTH challenges may be longer (RFC 4954 section 4).
const LONGEST_LINE: usize = 12_288;
/// A line that has not ended by then never will. Texts from blocklists and directories have been seen with 60,000 octets.
const ENDLESS_LINE: usize = 256 * 1024;
/// More lines than this are no reply but an attack; the longest EHLO reply in the field has some thirty.
const MOST_LINES: usize = 512;

/// Collects octets into replies.
#[derive(Debug, Default)]
pub(crate) struct ReplyReader {
    octets: Vec<u8>,
    lines: Vec<String>,
    code: Option<u16>,
}

impl ReplyReader {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// How many octets wait to be read as replies.
    pub(crate) fn octets(&self) -> usize {
        self.octets.len()
    }

    /// Those octets, which are then no longer here.
    pub(crate) fn take_octets(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }

    /// Whether the octets that wait begin so.
    pub(crate) fn begins_with(&self, octets: &[u8]) -> bool {
        self.octets.starts_with(octets)
    }

    /// True when octets have arrived that belong to no reply yet read.
    pub(crate) fn has_leftovers(&self) -> bool {
        !self.octets.is_empty() || self.code.is_some()
    }

    /// The next reply; `None` while it is incomplete.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, BadReply> {
        while let Some(line) = self.line()? {
            let (code, last, text) = split(&line).ok_or_else(|| BadReply::Code(printable(&line)))?;
            match self.code {
                Some(first) if first != code => return Err(BadReply::MixedCodes(first, code)),
                _ => self.code = Some(code),
            }
            self.lines.push(printable(text));
            if last {
                self.code = None;
                return Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }));
            }
            if self.lines.len() >= MOST_LINES {
                return Err(BadReply::TooLong);
            }
        }
        Ok(None)
    }

    /// The next line without its end. That is CRLF and nothing else (section 2.3.8); but servers that end lines, or only the
    /// last of a reply, with LF have been about for so long that every client reads them, and a reply hides nothing behind it.
    fn line(&mut self) -> Result<Option<Vec<u8>>, BadReply> {
        let Some(end) = self.octets.iter().position(|&octet| octet == b'\n') else {
            return if self.octets.len() > ENDLESS_LINE { Err(BadReply::TooLong) } else { Ok(None) };
        };
        if end > ENDLESS_LINE {
            return Err(BadReply::TooLong);
        }
        let rest = self.octets.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.octets, rest);
        line.pop();
        line.pop_if(|octet| *octet == b'\r');
        line.truncate(LONGEST_LINE);
        Ok(Some(line))
    }
}

/// Code, whether it is the last line, text. A code alone is a line too (section 4.2.1).
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    // The client acts on the first digit (section 4.3.2); only 2 to 5 have a meaning (section 4.2.1).
    if !matches!(code[0], b'2'..=b'5') || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        // The second as IronPort has it: `550#5.1.0 Address rejected`.
        None | Some((b'#' | b'\t', _)) => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

fn printable(text: &[u8]) -> String {
    let shown = |&octet: &u8| match octet {
        b'\t' => ' ',
        b' '..=b'~' => char::from(octet),
        _ => '?',
    };
    text.iter().map(shown).collect()
}

impl Reply {
    /// 2yz.
    pub(crate) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz or 5yz: a refusal, for now or for good.
    pub(crate) fn is_negative(&self) -> bool {
        matches!(self.code / 100, 4 | 5)
    }

    /// 5yz.
    pub(crate) fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The whole reply on one line, the enhanced status code once: `550 5.1.1 No such user here`.
    pub(crate) fn on_one_line(&self) -> String {
        let status = self.status();
        let mut line = self.code.to_string();
        for (number, text) in self.lines.iter().enumerate() {
            let repeated = status.filter(|_| number > 0).and_then(|status| text.strip_prefix(status));
            let text = repeated.unwrap_or(text).trim();
            if !text.is_empty() {
                line.push(' ');
                line.push_str(text);
            }
        }
        line
    }

    /// The enhanced status code at the start of the text (RFC 2034 section 4), if it is one and its class is the code's.
    pub(crate) fn status(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let mut numbers = word.split('.');
        let class = numbers.next()?;
        let mut detail = |()| {
            let number = numbers.next()?;
            (matches!(number.len(), 1..=3) && number.bytes().all(|b| b.is_ascii_digit())).then_some(())
        };
        detail(()).and_then(detail)?;
        (numbers.next().is_none() && class == (self.code / 100).to_string()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn read(octets: &[u8]) -> Result<Vec<Reply>, BadReply> {
        let mut reader = ReplyReader::default();
        reader.push(octets);
        let mut replies = Vec::new();
        while let Some(reply) = reader.next()? {
            replies.push(reply);
        }
        Ok(replies)
    }

    fn read_byte_by_byte(octets: &[u8]) -> Result<Vec<Reply>, BadReply> {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for octet in octets {
            reader.push(&[*octet]);
            replies.extend(reader.next()?);
        }
        Ok(replies)
    }

    #[rstest]
    #[case::one_line(b"250 OK\r\n", 250, &["OK"])]
    #[case::no_text(b"250\r\n", 250, &[""])]
    #[case::many_lines(b"250-a\r\n250-\r\n250 c\r\n", 250, &["a", "", "c"])]
    #[case::bare_code_last(b"250-a\r\n250\r\n", 250, &["a", ""])]
    #[case::eight_bit(b"550 caf\xe9\x07\r\n", 550, &["caf??"])]
    #[case::line_feeds(b"250-a\n250 b\n", 250, &["a", "b"])]
    #[case::line_feed_at_last(b"250-a\r\n250 b\n", 250, &["a", "b"])]
    #[case::carriage_return_in_text(b"550 a\rb\x1b[2J\0\r\n", 550, &["a?b?[2J?"])]
    #[case::hash(b"550#5.1.0 Address rejected\r\n", 550, &["#5.1.0 Address rejected"])]
    #[case::unknown_second_digit(b"299 hm\r\n", 299, &["hm"])]
    fn reads_replies(#[case] octets: &[u8], #[case] code: u16, #[case] lines: &[&str]) {
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(read(octets), Ok(vec![Reply { code, lines }]));
        assert_eq!(read_byte_by_byte(octets), read(octets));
    }

    #[rstest]
    #[case::six_hundred(b"600 what\r\n")]
    #[case::one_hundred(b"100 wait\r\n")]
    #[case::no_code(b"OK\r\n")]
    #[case::empty(b"\r\n")]
    #[case::four_digits(b"2500 OK\r\n")]
    #[case::mixed(b"250-a\r\n550 b\r\n")]
    #[case::http(b"HTTP/1.1 400 Bad Request\r\n")]
    fn what_is_no_reply_is_told(#[case] octets: &[u8]) {
        assert!(read(octets).is_err());
        assert_eq!(read_byte_by_byte(octets), read(octets));
    }

    /// EX-CL 4.97 JH/24: the code counts, however much text there is.
    #[test]
    fn a_long_line_is_cut_and_its_code_is_heeded() {
        let long = [b"550 ", &b"x".repeat(60_000)[..], b"\r\n250 OK\r\n"].concat();
        let replies = read(&long).expect("they are replies");
        assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [550, 250]);
        assert!(replies[0].lines[0].len() < LONGEST_LINE);
    }

    #[test]
    fn an_endless_line_and_an_endless_reply_end() {
        assert_eq!(read(&b"2".repeat(300_000)), Err(BadReply::TooLong));
        assert_eq!(read(&b"250-on\r\n".repeat(600)), Err(BadReply::TooLong));
    }

    #[rstest]
    #[case("550 5.1.1 no such user", Some("5.1.1"))]
    #[case("250 2.1.10 fine", Some("2.1.10"))]
    #[case("550 4.1.1 class does not agree", None)]
    #[case("550 5.1 too short", None)]
    #[case("550 5.1.1.1 too long", None)]
    #[case("550 5.1.1111 too long", None)]
    #[case("550 no such user", None)]
    #[case("550", None)]
    fn the_enhanced_status_code_is_found(#[case] line: &str, #[case] status: Option<&str>) {
        let replies = read(format!("{line}\r\n").as_bytes()).expect("it is a reply");
        assert_eq!(replies[0].status(), status);
    }

    #[test]
    fn on_one_line_the_status_stands_once() {
        let replies = read(b"550-5.1.1 No such\r\n550 5.1.1 user here\r\n").expect("it is a reply");
        assert_eq!(replies[0].on_one_line(), "550 5.1.1 No such user here");
    }

    proptest! {
        #[test]
        fn no_octets_panic_and_chunks_do_not_matter(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read_byte_by_byte(&octets).ok(), read(&octets).ok());
        }

        #[test]
        fn near_replies_neither(text in "([2-6][0-9]{2}[- ]?[a-z. ]{0,4}\r?\n){0,6}") {
            prop_assert_eq!(read_byte_by_byte(text.as_bytes()).ok(), read(text.as_bytes()).ok());
        }
    }
}
