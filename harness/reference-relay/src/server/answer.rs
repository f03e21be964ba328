//! The relay's own replies.

use std::borrow::Cow;

/// A reply of this relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    code: u16,
    status: Option<&'static str>,
    lines: Vec<Cow<'static, str>>,
}

impl Answer {
    /// With an enhanced status code, as RFC 2034 section 4 asks of each 2yz, 4yz and 5yz reply but the greeting and those
    /// to EHLO and HELO.
    pub(crate) fn new(code: u16, status: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status: Some(status), lines: vec![text.into()] }
    }

    /// Without one.
    pub(crate) fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status: None, lines: vec![text.into()] }
    }

    /// Adds a line.
    pub(crate) fn and(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lines.push(text.into());
        self
    }

    pub(crate) fn code(&self) -> u16 {
        self.code
    }

    /// Appends it as it goes over the wire (RFC 5321 section 4.2.1).
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        for (number, text) in self.lines.iter().enumerate() {
            let separator = if number + 1 == self.lines.len() { ' ' } else { '-' };
            let status = self.status.map(|status| format!("{status} ")).unwrap_or_default();
            out.extend_from_slice(format!("{}{separator}{status}{text}\r\n", self.code).as_bytes());
        }
    }
}
