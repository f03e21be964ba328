//! Field bodies that stay inside the bounds of a header: 7-bit, folded, dates in their one form.

use std::fmt::Write as _;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Lines are folded here where there is white space (RFC 5322 section 2.1.1, SHOULD).
const FOLD: usize = 78;
/// And cut here where there is none (RFC 5322 section 2.1.1: 998, MUST).
const HARD: usize = 990;

/// A date as in a header: `Mon, 11 Jun 2001 12:39:00 +0000` (RFC 5322 section 3.3). Always UTC. A time outside of the
/// years that have such a form is given as 1970.
pub fn rfc5322_date(t: SystemTime) -> String {
    let at = OffsetDateTime::from(t);
    let zero = OffsetDateTime::UNIX_EPOCH;
    at.format(&Rfc2822).or_else(|_| zero.format(&Rfc2822)).expect("1970 has such a form")
}

/// A date as Windows writes it in the United States: `6/11/2001 12:39 PM` (KB Q301401).
pub(super) fn american_date(t: SystemTime) -> String {
    let at = OffsetDateTime::from(t);
    let (half, hour) = match at.hour() {
        0 => ("AM", 12),
        hour @ 1..12 => ("AM", hour),
        12 => ("PM", 12),
        hour => ("PM", hour - 12),
    };
    format!("{}/{}/{} {hour}:{:02} {half}", u8::from(at.month()), at.day(), at.year(), at.minute())
}

/// A field that holds a date.
pub(super) fn date(name: &str, t: SystemTime) -> String {
    header_field(name, &rfc5322_date(t))
}

/// `rfc822; a@b`. An address that is not ASCII becomes `utf-8; …` in the form that is safe in 7 bits
/// (RFC 6533 section 3, utf-8-addr-xtext).
pub(super) fn typed_address(kind: &str, address: &str) -> String {
    if address.is_ascii() {
        return format!("{kind}; {address}");
    }
    let mut encoded = String::new();
    for c in address.chars() {
        if c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=') {
            encoded.push(c);
        } else {
            // writing into a String does not fail; at least two digits, as RFC 6533's HEXPOINT wants
            let _ = write!(encoded, "\\x{{{:02X}}}", u32::from(c));
        }
    }
    format!("utf-8; {encoded}")
}

/// A whole field with its CRLF. Line ends in the value become spaces, octets that may not stand in a header become `?`.
pub(super) fn header_field(name: &str, value: &str) -> String {
    fold(&format!("{name}: {}", clean(value)), " ")
}

/// One paragraph for people, its lines wrapped and indented; ended by CRLF.
pub(super) fn paragraph(text: &str, indent: &str) -> String {
    format!("{indent}{}", fold(&readable(text), indent))
}

/// A line for people that is not wrapped, since it is quoted from elsewhere.
pub(super) fn line(text: &str) -> String {
    let text = readable(text);
    format!("{}\r\n", &text[..text.floor_char_boundary(HARD)])
}

/// A text with single spaces and without controls.
fn readable(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_ascii_whitespace()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Printable ASCII with single spaces. Each octet above 127 becomes a question mark.
fn clean(value: &str) -> String {
    let words: Vec<&str> = value.split(|c: char| c.is_ascii_whitespace()).filter(|w| !w.is_empty()).collect();
    let printable = |b: u8| if b == b' ' || b.is_ascii_graphic() { char::from(b) } else { '?' };
    words.join(" ").bytes().map(printable).collect()
}

/// Folds a clean or readable text at its spaces; the spaces go into the new lines' `indent`.
fn fold(text: &str, indent: &str) -> String {
    let mut result = String::new();
    let mut column = indent.len();
    for (n, word) in text.split(' ').enumerate() {
        // a word that fits no line, and cannot be folded: its end is given up
        let word = &word[..word.floor_char_boundary(HARD)];
        // the first word of a field is its name, behind which no line may end: what follows would be all white space
        if n > 0 && column + 1 + word.len() > FOLD && (n > 1 || column + 1 + word.len() > HARD) {
            result += "\r\n";
            result += indent;
            column = indent.len();
        } else if n > 0 {
            result.push(' ');
            column += 1;
        }
        result += word;
        column += word.len();
    }
    result + "\r\n"
}
