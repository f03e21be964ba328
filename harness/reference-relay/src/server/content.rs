//! What follows DATA, up to its end (RFC 5321 sections 4.1.1.4 and 4.5.2).
//!
//! Only CRLF `.` CRLF ends it. A relay that takes LF `.` LF, or CR `.` CR, for the end lets a sender hide a second message
//! in the first one from every hop that reads the octets as the RFC does; a relay that passes bare CR or LF on lets it be
//! hidden from the next. So such content is read to its true end, and refused there (section 2.3.8).

/// Text lines may have 998 octets and their CRLF (section 4.5.3.1.6).
const LONGEST_LINE: usize = 998;

/// Why content is refused at its end. The first of these that it earned is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadContent {
    #[error("Message is too large")]
    TooLarge,
    #[error("Bare CR or LF in the message")]
    BareLineEnd,
    #[error("A line is longer than 998 octets")]
    LongLine,
}

/// Takes content octet by octet.
#[derive(Debug)]
pub(crate) struct ContentReader {
    content: Vec<u8>,
    position: Position,
    line_length: usize,
    size_limit: u64,
    too_large: bool,
    bare_line_end: bool,
    long_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    LineStart,
    InLine,
    /// After a CR.
    Cr,
    /// After a dot at the start of a line; the dot is not part of the content (section 4.5.2).
    Dot,
    /// After such a dot and a CR.
    DotCr,
}

impl ContentReader {
    pub(crate) fn new(size_limit: u64) -> Self {
        Self {
            content: Vec::new(),
            position: Position::LineStart,
            line_length: 0,
            size_limit,
            too_large: false,
            bare_line_end: false,
            long_line: false,
        }
    }

    /// Takes one octet; true when it was the last of CRLF `.` CRLF.
    pub(crate) fn push(&mut self, octet: u8) -> bool {
        self.position = match (self.position, octet) {
            (Position::DotCr, b'\n') => return true,
            (Position::LineStart, b'.') => Position::Dot,
            (Position::Dot, b'\r') => Position::DotCr,
            (Position::DotCr, _) => {
                self.keep(b'\r');
                self.after_cr(octet)
            }
            (Position::Cr, _) => self.after_cr(octet),
            (_, b'\r') => {
                self.keep(octet);
                Position::Cr
            }
            (_, b'\n') => {
                self.bare_line_end = true;
                self.keep(octet);
                Position::InLine
            }
            _ => {
                self.keep(octet);
                self.line_length += 1;
                self.long_line |= self.line_length > LONGEST_LINE;
                Position::InLine
            }
        };
        false
    }

    /// The content, dots unstuffed.
    pub(crate) fn finish(self) -> Result<Vec<u8>, BadContent> {
        if self.too_large {
            Err(BadContent::TooLarge)
        } else if self.bare_line_end {
            Err(BadContent::BareLineEnd)
        } else if self.long_line {
            Err(BadContent::LongLine)
        } else {
            Ok(self.content)
        }
    }

    fn after_cr(&mut self, octet: u8) -> Position {
        self.keep(octet);
        if octet == b'\n' {
            self.line_length = 0;
            return Position::LineStart;
        }
        self.bare_line_end = true;
        if octet == b'\r' { Position::Cr } else { Position::InLine }
    }

    /// Content past the limit is read and forgotten: the client listens only after its dot.
    fn keep(&mut self, octet: u8) {
        if self.content.len() as u64 >= self.size_limit {
            self.too_large = true;
            self.content = Vec::new();
        }
        if !self.too_large {
            self.content.push(octet);
        }
    }
}

/// What is wrong with text that came by BDAT, where its end says nothing of its lines. Bare CR and LF are as harmful there
/// (RFC 3030 section 2: text is sent with CRLF), and the next hop may well be one that wants DATA.
pub(crate) fn text_fault(content: &[u8]) -> Option<BadContent> {
    let mut long = false;
    for line in crate::mime::lines(content) {
        if line.iter().any(|&octet| matches!(octet, b'\r' | b'\n')) {
            return Some(BadContent::BareLineEnd);
        }
        long |= line.len() > LONGEST_LINE;
    }
    long.then_some(BadContent::LongLine)
}

/// The number of `Received:` fields in the header section: the hops behind the message (section 6.3).
pub(crate) fn hops(content: &[u8]) -> usize {
    content
        .split(|&octet| octet == b'\n')
        .take_while(|line| !matches!(line, [] | [b'\r']))
        .filter(|line| line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"Received:")))
        .count()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The content, and how many octets of the input belong to it.
    fn read(octets: &[u8], limit: u64) -> Option<(Result<Vec<u8>, BadContent>, usize)> {
        let mut reader = ContentReader::new(limit);
        let end = octets.iter().position(|&octet| reader.push(octet))?;
        Some((reader.finish(), end + 1))
    }

    #[rstest]
    #[case::text(b"a\r\n.\r\n", b"a\r\n")]
    #[case::empty(b".\r\n", b"")]
    #[case::stuffed(b"..\r\n..a\r\n.b\r\n.\r\n", b".\r\n.a\r\nb\r\n")]
    #[case::dot_inside(b"a.\r\n.\r\n", b"a.\r\n")]
    #[case::nul(b"\0\r\n.\r\n", b"\0\r\n")]
    fn content_ends_at_crlf_dot_crlf(#[case] octets: &[u8], #[case] content: &[u8]) {
        assert_eq!(read(octets, 100), Some((Ok(content.to_vec()), octets.len())));
    }

    #[rstest]
    #[case::lf_dot_lf(b"a\n.\nb\r\n.\r\n")]
    #[case::lf_dot_crlf(b"a\n.\r\nb\r\n.\r\n")]
    #[case::crlf_dot_lf(b"a\r\n.\nb\r\n.\r\n")]
    #[case::crlf_dot_cr(b"a\r\n.\rb\r\n.\r\n")]
    #[case::cr_dot_cr(b"a\r.\rb\r\n.\r\n")]
    #[case::cr_dot_crlf(b"a\r.\r\nb\r\n.\r\n")]
    #[case::crcrlf(b"a\r\r\n.\r\n")]
    #[case::lf_at_once(b"\n.\r\n\r\n.\r\n")]
    #[case::dot_cr_cr_lf(b".\r\r\n.\r\n")]
    fn nothing_else_ends_it_and_it_is_refused_at_its_true_end(#[case] octets: &[u8]) {
        assert_eq!(read(octets, 100), Some((Err(BadContent::BareLineEnd), octets.len())));
    }

    #[test]
    fn content_up_to_the_limit_is_taken_and_more_is_not() {
        assert_eq!(read(b"abc\r\n.\r\n", 5), Some((Ok(b"abc\r\n".to_vec()), 8)));
        assert_eq!(read(b"abcd\r\n.\r\n", 5), Some((Err(BadContent::TooLarge), 9)));
    }

    #[rstest]
    #[case(998, true)]
    #[case(999, false)]
    fn a_line_may_have_998_octets_besides_its_stuffed_dot(#[case] length: usize, #[case] taken: bool) {
        let mut octets = b"..".to_vec();
        octets.extend(vec![b'a'; length - 1]);
        octets.extend(b"\r\n.\r\n");
        let (content, _) = read(&octets, 10_000).expect("it ends");
        assert_eq!(content.is_ok(), taken);
    }

    #[test]
    fn hops_are_counted_in_the_header_section_only() {
        assert_eq!(hops(b"Received: a\r\n\tb\r\nreceived: c\r\nSubject: d\r\n\r\nReceived: e\r\n"), 2);
    }
}
