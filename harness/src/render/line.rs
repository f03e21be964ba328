//! A line of a session as text: what is no text is escaped, what varies is named, and then it is cut.

use std::fmt::Write as _;

use mock_servers::RunTime;

/// As many characters of a line.
pub(super) const WIDTH: usize = 160;
/// As many stand before it: `C: `.
const MARGIN: usize = 3;

/// A line and its time.
pub(super) struct Line {
    pub(super) at: RunTime,
    pub(super) text: String,
    /// How long it was; 0: it is no line of the session's.
    pub(super) octets: usize,
}

impl Line {
    pub(super) fn new(at: RunTime, text: String) -> Self {
        Self { at, text, octets: 0 }
    }

    /// Its text with the names put in by `put`; one that is long even so is cut. How many octets it had is told where
    /// none of them varies.
    pub(super) fn named(&self, put: impl Fn(&str) -> String) -> String {
        let named = put(&self.text);
        if self.octets == 0 {
            return named;
        }
        let octets = if named == self.text { format!(" ({} octets)", self.octets) } else { String::new() };
        cut(named, MARGIN + WIDTH, &octets)
    }
}

/// A line to its end: a blank that is the last of it is seen, as `·`. What stands before it is as it was, so that it is still
/// known by its value.
pub(super) fn whole(line: &[u8]) -> String {
    let mut text = shown(line);
    if line.ends_with(b" ") && text.ends_with(' ') {
        text.pop();
        text.push('·');
    }
    text
}

/// Bytes as text: what is valid UTF-8 as it is, anything else and control characters escaped.
pub(super) fn shown(line: &[u8]) -> String {
    let mut text = String::new();
    match std::str::from_utf8(line) {
        Ok(line) => line.chars().for_each(|c| escape(&mut text, c)),
        Err(_) => {
            for &byte in line {
                if byte.is_ascii() {
                    escape(&mut text, char::from(byte));
                } else {
                    let _ = write!(text, "\\x{byte:02X}");
                }
            }
        }
    }
    text
}

/// The first so many characters of a text that is longer, and what tells how long it is.
pub(super) fn cut(mut text: String, most: usize, octets: &str) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        text.push('…');
        text += octets;
    }
    text
}

fn escape(text: &mut String, c: char) {
    match c {
        '\r' => text.push_str("\\r"),
        '\n' => text.push_str("\\n"),
        // as wide as the blanks that folded fields begin with
        '\t' => text.push_str("→   "),
        c if c.is_control() => {
            let _ = write!(text, "\\x{:02X}", u32::from(c));
        }
        c => text.push(c),
    }
}
