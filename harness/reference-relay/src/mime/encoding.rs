//! Quoted-printable and base64 (RFC 2045 sections 6.7 and 6.8), the encoding half only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::lines;

/// Encoded lines, without their CRLF (RFC 2045 sections 6.7 rule 5 and 6.8).
const LINE: usize = 76;

/// Encodes a leaf; gives the name of the encoding, too. Text becomes quoted-printable, which people can still read,
/// unless base64 is shorter; anything else becomes base64.
pub(crate) fn encode(body: &[u8], text: bool) -> (&'static str, Vec<u8>) {
    // quoted-printable adds two octets for each that is quoted, base64 adds a third of the whole
    let quoted = body.iter().filter(|&&b| !is_literal(b) && !matches!(b, b'\r' | b'\n')).count();
    if text && quoted * 6 <= body.len() {
        ("quoted-printable", quoted_printable(body))
    } else {
        ("base64", base64(body))
    }
}

fn base64(body: &[u8]) -> Vec<u8> {
    let lines: Vec<String> = body.chunks(LINE / 4 * 3).map(|chunk| STANDARD.encode(chunk)).collect();
    let mut result = lines.join("\r\n").into_bytes();
    if body.ends_with(b"\r\n") {
        // for the line structure around the part; decoders pass over it
        result.extend_from_slice(b"\r\n");
    }
    result
}

/// Quoted-printable for text in canonical form: CRLF is a line break, a lone CR or LF is data.
pub(crate) fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(body.len() + body.len() / 4);
    for (n, line) in lines(body).enumerate() {
        if n > 0 {
            result.extend_from_slice(b"\r\n");
        }
        quoted_line(line, &mut result);
    }
    result
}

fn quoted_line(line: &[u8], result: &mut Vec<u8>) {
    let mut column = 0;
    let mut soft = false;
    for (n, &octet) in line.iter().enumerate() {
        // rule 3: white space at the end of a line would be cut off on the way
        let at_end = n + 1 == line.len() && matches!(octet, b' ' | b'\t');
        let width = if is_literal(octet) && !at_end { 1 } else { 3 };
        // one column stays free for the "=" of a soft break
        if column + width > LINE - 1 {
            result.extend_from_slice(b"=\r\n");
            column = 0;
            soft = true;
        }
        // What old transports change at the start of a line (RFC 2049 section 3: a lone ".", "From "), and a hyphen
        // behind a soft break, which could make a delimiter line of a multipart where there was none.
        let risky = column == 0
            && (octet == b'.'
                || (soft && octet == b'-')
                || (octet == b'F' && line[n..].starts_with(b"From ")));
        if width == 1 && !risky {
            result.push(octet);
            column += 1;
        } else {
            result.extend_from_slice(format!("={octet:02X}").as_bytes());
            column += 3;
        }
    }
}

/// RFC 2045 section 6.7, rules 2 and 3.
fn is_literal(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | 33..=60 | 62..=126)
}
