//! Message content as it comes after DATA: the final dot, dot-stuffing, and what the rules ask of it.

/// How many octets of header field lines are kept for `header` conditions.
const MOST_HEADER: usize = 256 * 1024;

/// Finds the end of the content and takes the dot-stuffing off (RFC 5321 section 4.5.2). CRLF alone ends a line (section
/// 2.3.8), so that a dot between bare LFs is content (section 4.1.1.4).
#[derive(Debug, Clone, Default)]
pub(crate) struct DotReader(At);

/// Where in a line the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Start,
    Dot,
    DotCr,
    Inside,
    Cr,
}

/// Why the reader stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A line is complete.
    Line,
    /// The final dot came.
    End,
    /// All bytes were taken.
    Exhausted,
}

impl DotReader {
    /// Takes bytes up to the next end of a line, puts what they mean into `out`, and returns how many they were.
    pub(crate) fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> (usize, Stop) {
        let mut taken = 0;
        while let Some(&byte) = bytes.get(taken) {
            taken += 1;
            self.0 = match (self.0, byte) {
                (At::Start, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => {
                    self.0 = At::Start;
                    return (taken, Stop::End);
                }
                (At::Cr, b'\n') => {
                    out.push(byte);
                    self.0 = At::Start;
                    return (taken, Stop::Line);
                }
                (before, _) => {
                    if before == At::DotCr {
                        out.push(b'\r'); // the dot was stuffed, and this CR was none of a line's end
                    }
                    out.push(byte);
                    if byte == b'\r' { At::Cr } else { At::Inside }
                }
            };
            if self.0 == At::Inside {
                let rest = &bytes[taken..];
                let plain = rest.iter().position(|&b| b == b'\r').unwrap_or(rest.len());
                out.extend_from_slice(&rest[..plain]);
                taken += plain;
            }
        }
        (taken, Stop::Exhausted)
    }
}

/// What is known of the content of one transaction so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Measure {
    /// Octets, without dot-stuffing and final dot (the message size of RFC 1870 section 5).
    pub(super) octets: u64,
    /// The longest line in octets, its CRLF not counted.
    pub(super) longest_line: u64,
    line: u64,
    last_was_cr: bool,
    header: Header,
}

/// The header's lines as they came, without the empty one that ends it.
#[derive(Debug, Clone, Default)]
struct Header {
    lines: Vec<u8>,
    /// Where the last line, which is not complete yet, begins.
    last: usize,
    over: bool,
}

impl Measure {
    /// More of the content came.
    pub(super) fn add(&mut self, content: &[u8]) {
        self.octets += content.len() as u64;
        for piece in content.split_inclusive(|&byte| byte == b'\n') {
            let body = piece.strip_suffix(b"\n").unwrap_or(piece);
            let cr = body.last().map_or(self.last_was_cr, |&byte| byte == b'\r');
            self.line += piece.len() as u64;
            // A CR at the very end may turn out to belong to the line's end.
            let ends = cr && body.len() < piece.len();
            let not_counted = if ends { 2 } else { u64::from(cr) };
            self.longest_line = self.longest_line.max(self.line - not_counted);
            if ends {
                self.line = 0;
            }
            self.last_was_cr = cr && !ends;
            if !self.header.over {
                self.header.add(piece);
            }
        }
    }

    /// The header's fields so far, each unfolded into one line.
    pub(super) fn header_fields(&self) -> impl Iterator<Item = String> + '_ {
        self.header.fields().into_iter().map(|field| String::from_utf8_lossy(&field).into_owned())
    }
}

impl Header {
    /// More of it: a line, or part of one.
    fn add(&mut self, piece: &[u8]) {
        if self.lines.is_empty() {
            self.lines.reserve(512);
        }
        let room = MOST_HEADER - self.lines.len();
        self.lines.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            self.over = true;
        } else if piece.ends_with(b"\n") {
            if without_line_end(&self.lines[self.last..]).is_empty() {
                self.lines.truncate(self.last);
                self.over = true;
            }
            self.last = self.lines.len();
        }
    }

    /// Each field in one line. Unfolding takes away only the line ends (RFC 5322 section 2.2.3).
    fn fields(&self) -> Vec<Vec<u8>> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for line in self.lines[..self.last].split_inclusive(|&byte| byte == b'\n').map(without_line_end) {
            match fields.last_mut() {
                Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    field.extend_from_slice(line);
                }
                _ => fields.push(line.to_vec()),
            }
        }
        fields
    }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Puts the dot-stuffing and the final dot on (RFC 5321 section 4.5.2). Content that does not end in CRLF gets one: the
/// dot must stand on a line of its own.
pub(super) fn stuff(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 5);
    let mut rest = content;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|w| w == b"\r\n").map_or(rest.len(), |at| at + 2);
        if rest[0] == b'.' {
            out.push(b'.');
        }
        out.extend_from_slice(&rest[..end]);
        rest = &rest[end..];
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read_all(mut input: &[u8], size: usize) -> (Vec<u8>, usize, bool) {
        let (mut reader, mut out, mut total) = (DotReader::default(), Vec::new(), 0);
        while !input.is_empty() {
            let piece = &input[..size.min(input.len())];
            let (count, stop) = reader.read(piece, &mut out);
            total += count;
            input = &input[count..];
            if stop == Stop::End {
                return (out, total, true);
            }
        }
        (out, total, false)
    }

    #[rstest]
    #[case("a\r\n.\r\nQUIT\r\n", "a\r\n", true)]
    #[case(".\r\n", "", true)]
    #[case("..\r\n.\r\n", ".\r\n", true)]
    #[case("..x\r\n...\r\n.\r\n", ".x\r\n..\r\n", true)]
    #[case(".x\r\n.\r\n", "x\r\n", true)]
    #[case("a\n.\nb", "a\n.\nb", false)]
    #[case("a\n.\r\nb", "a\n.\r\nb", false)]
    #[case("a\r\n.\nb", "a\r\n\nb", false)]
    #[case("a\r.\r\nb", "a\r.\r\nb", false)]
    #[case("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", true)]
    #[case("a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", true)]
    #[case("a\r\n\0.\r\nb", "a\r\n\0.\r\nb", false)]
    fn only_a_dot_between_two_crlf_ends_the_content(
        #[case] wire: &str,
        #[case] content: &str,
        #[case] ended: bool,
    ) {
        for size in [1, 2, 3, wire.len()] {
            let (out, _, end) = read_all(wire.as_bytes(), size);
            assert_eq!((String::from_utf8(out).unwrap().as_str(), end), (content, ended), "by {size}");
        }
    }

    #[test]
    fn nothing_behind_the_final_dot_is_taken() {
        assert_eq!(read_all(b"a\r\n.\r\nQUIT\r\n", 100).1, 6);
    }

    #[rstest]
    #[case("a\r\n")]
    #[case(".\r\n..\r\n.a\r\n")]
    #[case("")]
    #[case("a\r\n\r\n.")]
    fn stuffed_content_is_read_back_as_it_was(#[case] content: &str) {
        let stuffed = stuff(content.as_bytes());
        let (out, taken, ended) = read_all(&stuffed, 100);
        let mut expected = content.to_owned();
        if !content.is_empty() && !content.ends_with("\r\n") {
            expected += "\r\n";
        }
        assert_eq!((String::from_utf8(out).unwrap(), taken, ended), (expected, stuffed.len(), true));
    }

    #[test]
    fn lines_are_measured_without_their_crlf_and_fields_unfolded() {
        let mut measure = Measure::default();
        for byte in b"Subject: a\r\n b\r\nTo: c\r\n\r\nBody: no\r\n123456789012345678\r\nabc" {
            measure.add(&[*byte]);
        }
        assert_eq!((measure.octets, measure.longest_line), (58, 18));
        assert_eq!(measure.header_fields().collect::<Vec<_>>(), ["Subject: a b", "To: c"]);
    }
}
