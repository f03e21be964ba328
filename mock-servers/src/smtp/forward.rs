//! Mail that a server hands to the relay once more: loops, and filters that send mail on.

use std::fmt;
use std::sync::Arc;

use super::client::{By, Submission};
use crate::script::HeaderChanges;

/// How many mails one server forwards in a run; those that come after it takes and keeps. A loop that nobody counts the
/// hops of ends so. Well above what any relay lets pass: each round adds two Received fields, and RFC 5321 section 6.3
/// asks for a limit of at least 100 of them, which is reached in 50 rounds.
pub const MOST_FORWARDED: u64 = 200;

/// A mail that a server forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The server's name in the scenario.
    pub server: String,
    /// What is submitted.
    pub submission: Submission,
}

/// Carries a forwarded mail to the relay. It is called in the middle of a session and must not wait.
#[derive(Clone)]
pub struct Forwarder(Arc<dyn Fn(Forwarded) + Send + Sync>);

impl Forwarder {
    /// One that does this.
    pub fn new(carry: impl Fn(Forwarded) + Send + Sync + 'static) -> Self {
        Self(Arc::new(carry))
    }

    /// Hands a mail over.
    pub(super) fn carry(&self, mail: Forwarded) {
        (self.0)(mail);
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forwarder")
    }
}

/// The id in the Received field of a server's `number`th forwarded mail, by which the copy is told from the original.
pub(super) fn id(number: u64, server: &str) -> String {
    format!("{ID}{number}-{server}")
}

/// How the id of a forwarded mail begins.
pub const ID: &str = "forwarded-";

/// What a server that took a mail knows of it.
pub(super) struct Taken<'a> {
    pub(super) server: &'a str,
    pub(super) hostname: &'a str,
    /// The trace field's value, without the name.
    pub(super) trace: String,
    pub(super) from: &'a str,
    pub(super) from_parameters: &'a [String],
    /// The accepted recipients.
    pub(super) recipients: Vec<(String, Vec<String>)>,
    pub(super) content: &'a [u8],
}

/// The same envelope, the same content but for its header.
pub(super) fn forwarded(taken: Taken<'_>, changes: &HeaderChanges) -> Forwarded {
    let asks = |parameter: &str| taken.from_parameters.iter().any(|one| one.eq_ignore_ascii_case(parameter));
    let (binary, utf8) = (asks("BODY=BINARYMIME"), asks("SMTPUTF8"));
    // Left out, either would make another message of it.
    let needs = [(binary, "BINARYMIME"), (utf8, "SMTPUTF8")];
    // The size is another one now, and who submitted the mail to the server (AUTH=) is not for it to say.
    let goes_on = |parameter: &&String| {
        let name = parameter.split('=').next().unwrap_or_default();
        !["SIZE", "AUTH"].iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let mut content = format!("Received: {}\r\n", taken.trace).into_bytes();
    content.extend(changed(taken.content, changes));
    Forwarded {
        server: taken.server.to_owned(),
        submission: Submission {
            helo: taken.hostname.to_owned(),
            from: taken.from.to_owned(),
            from_parameters: taken.from_parameters.iter().filter(goes_on).cloned().collect(),
            recipients: taken.recipients,
            content,
            raw: false,
            by: if binary { By::Bdat { chunk: None } } else { By::Data },
            needs: needs
                .into_iter()
                .filter(|(asked, _)| *asked)
                .map(|(_, keyword)| keyword.to_owned())
                .collect(),
            login: None,
        },
    }
}

/// The content with the changes made in its header.
fn changed(content: &[u8], changes: &HeaderChanges) -> Vec<u8> {
    let (fields, rest) = fields(content);
    let is = |field: &[u8], name: &str| {
        let written = field.split(|&b| b == b':').next().unwrap_or_default();
        written.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    };
    let mut done = vec![false; changes.set.len()];
    let mut out = Vec::with_capacity(content.len());
    for field in fields {
        if changes.drop.iter().any(|name| is(field, name)) {
            continue;
        }
        match changes.set.iter().position(|(name, _)| is(field, name)) {
            None => out.extend_from_slice(field),
            Some(at) if !std::mem::replace(&mut done[at], true) => out.extend(written(&changes.set[at])),
            Some(_) => {}
        }
    }
    for (field, _) in changes.set.iter().zip(done).filter(|(_, done)| !done) {
        out.extend(written(field));
    }
    out.extend_from_slice(rest);
    out
}

fn written((name, value): &(String, String)) -> Vec<u8> {
    format!("{name}: {value}\r\n").into_bytes()
}

/// The header's fields, each with its continuation lines and their ends, and what comes after them.
fn fields(content: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut list, mut rest) = (Vec::new(), content);
    loop {
        let mut end = 0;
        while let Some(line) = rest[end..].split_inclusive(|&b| b == b'\n').next() {
            if end > 0 && !matches!(line.first(), Some(b' ' | b'\t')) {
                break;
            }
            end += line.len();
        }
        let name = rest[..end].split(|&b| b == b':').next().unwrap_or_default();
        let is_field = name.len() < end && !name.is_empty() && name.iter().all(|b| (b' '..=b'~').contains(b));
        if !is_field {
            return (list, rest);
        }
        list.push(&rest[..end]);
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn changes(drop: &[&str], set: &[(&str, &str)]) -> HeaderChanges {
        HeaderChanges {
            drop: drop.iter().map(|&name| name.to_owned()).collect(),
            set: set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    #[rstest]
    #[case::nothing(changes(&[], &[]), "A: 1\r\n\t2\r\nB: 3\r\na: 4\r\n\r\nA: body\r\n")]
    #[case::dropped(changes(&["a"], &[]), "B: 3\r\n\r\nA: body\r\n")]
    #[case::set(changes(&[], &[("A", "x"), ("C", "y")]), "A: x\r\nB: 3\r\nC: y\r\n\r\nA: body\r\n")]
    fn only_what_is_named_is_changed(#[case] changes: HeaderChanges, #[case] expected: &str) {
        let content = b"A: 1\r\n\t2\r\nB: 3\r\na: 4\r\n\r\nA: body\r\n";
        assert_eq!(String::from_utf8(changed(content, &changes)).unwrap(), expected);
    }

    #[rstest]
    #[case(b"")]
    #[case(b"no header")]
    #[case(b"A: 1")]
    #[case(b"\r\n:\r\n")]
    #[case(b"A: 1\r\n folded")]
    #[case(b" starts with space\r\n\xff: 8-bit\r\n")]
    fn what_is_not_changed_goes_on_byte_by_byte(#[case] content: &[u8]) {
        assert_eq!(changed(content, &HeaderChanges::default()), content);
    }
}
