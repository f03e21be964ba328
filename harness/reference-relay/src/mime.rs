//! From 8-bit or binary to 7-bit MIME: what a relay may do when the next hop does not offer 8BITMIME (RFC 6152 section 3) or
//! BINARYMIME (RFC 3030 section 3).
//!
//! These sections leave the transformation open and set two bounds: nothing is lost, and the result is valid 7-bit
//! MIME. So each leaf with 8-bit octets gets an encoding of its own (RFC 2045 section 6), composites only lose their
//! "8bit" label (RFC 2045 section 6.4: they cannot be encoded), everything else stays octet for octet, and whatever
//! would suffer is [`NotConvertible`]. A DKIM signature over the body does not survive any of this
//! (RFC 6376 section 5.3); that is known to those who sign 8-bit mail.

mod encoding;
mod header;
#[cfg(test)]
mod tests;

use header::{ContentType, Header};

pub(crate) use encoding::{encode, quoted_printable};
pub(crate) use header::split as split_header;

/// Composites inside composites, at most: mail that people send stays below ten, and the conversion is recursive.
const MAX_DEPTH: usize = 50;

/// Why a message cannot be made 7-bit without damage. The relay then returns it (RFC 6152 section 3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConvertible {
    /// A header field holds 8-bit octets: only SMTPUTF8 (RFC 6531) carries that.
    #[error("the header field {0} contains 8-bit octets")]
    HeaderField(String),
    /// The field stands twice in one header, so that readers may disagree on what it says.
    #[error("the header field {0} occurs more than once in one header")]
    RepeatedField(&'static str),
    /// A `multipart/signed` or `multipart/encrypted`: its octets are covered by a signature (RFC 1847 section 2.1).
    #[error("multipart/{0} with 8-bit or binary content may not be changed")]
    Sealed(String),
    /// A `message/*` that may not be encoded, or whose encoding is a matter of its own (RFC 2046 section 5.2).
    #[error("message/{0} with 8-bit or binary content cannot be encoded")]
    MessageType(String),
    /// The part claims an encoding that has no 8-bit octets, or one that is unknown or not allowed here.
    #[error("a part that says Content-Transfer-Encoding: {0} contains 8-bit octets or binary data")]
    Encoding(String),
    /// A header holds NUL, CR or LF alone, or a line of more than 998 octets: no encoding makes that a header.
    #[error("a header contains NUL, CR or LF alone, or too long a line")]
    BinaryHeader,
    /// The structure of a multipart cannot be told.
    #[error("a multipart with 8-bit or binary content {0}")]
    Multipart(&'static str),
    /// Nested more deeply than this relay looks.
    #[error("parts are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// True if content has any octet above 127.
pub fn has_8bit(content: &[u8]) -> bool {
    !content.is_ascii()
}

/// True if a header field holds octets above 127, be it of a part within parts: an internationalized message in the sense of
/// RFC 6532. What is nested too deeply to be looked at counts as one.
pub(crate) fn has_8bit_header(content: &[u8]) -> bool {
    has_8bit(content) && entity_has_8bit_header(content, "text/plain", 0)
}

fn entity_has_8bit_header(content: &[u8], default_type: &str, depth: usize) -> bool {
    let (head, body) = header::split(content);
    if has_8bit(head) || depth > MAX_DEPTH {
        return true;
    }
    if !has_8bit(body) {
        return false;
    }
    // A field that stands twice is read as any one of them might be: rather too much is looked at than too little.
    let types = Header::parse(head).map(|header| header.values("Content-Type")).unwrap_or_default();
    let types = if types.is_empty() { vec![default_type.to_owned()] } else { types };
    types.iter().map(|value| ContentType::parse(value)).any(|kind| match kind.main.as_str() {
        "multipart" => {
            parts(&kind, body).any(|(part, default)| entity_has_8bit_header(part, default, depth + 1))
        }
        // message/global is what has such a header by its nature; encoded, its octets are ASCII.
        "message" => {
            matches!(kind.sub.as_str(), "rfc822" | "global")
                && entity_has_8bit_header(body, "text/plain", depth + 1)
        }
        _ => false,
    })
}

/// The parts of a multipart, and the type of each that tells none.
fn parts<'a>(kind: &ContentType, body: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'static str)> {
    let default_type = kind.default_type();
    let delimiters =
        kind.boundary().map(|boundary| delimiters(body, boundary.as_bytes())).unwrap_or_default();
    let ends: Vec<usize> = delimiters.iter().skip(1).map(|next| next.start).chain([body.len()]).collect();
    let open = delimiters.into_iter().zip(ends).filter(|(delimiter, _)| !delimiter.closes);
    open.map(move |(delimiter, end)| (&body[delimiter.end.min(end)..end], default_type))
}

/// True for what DATA cannot carry, and only BINARYMIME can (RFC 3030 section 3): NUL, and CR or LF that end no line.
pub(crate) fn is_binary(content: &[u8]) -> bool {
    content.contains(&0) || lines(content).any(|line| line.iter().any(|&b| b == b'\r' || b == b'\n'))
}

/// True for "7bit data" in the sense of RFC 2045 section 2.7: no octet above 127, no NUL, CR and LF only as CRLF,
/// lines of at most 998 octets.
pub(crate) fn is_7bit_data(content: &[u8]) -> bool {
    !has_8bit(content)
        && !content.contains(&0)
        && lines(content).all(|line| line.len() <= 998 && !line.iter().any(|&b| b == b'\r' || b == b'\n'))
}

/// Rewrites an 8-bit or binary message so that it is 7-bit, part by part. A message that is 7-bit already comes back as it was,
/// long lines included, unless something binary is in it.
pub fn to_7bit(content: &[u8]) -> Result<Vec<u8>, NotConvertible> {
    let limit = if is_binary(content) { Limit::Text } else { Limit::Ascii };
    if limit.is_passed(content) { message(content, limit, 0) } else { Ok(content.to_vec()) }
}

/// What a leaf may hold without an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// No octet above 127: enough for a message that is text, for then all else in it passed before, too.
    Ascii,
    /// 7bit data.
    Text,
}

impl Limit {
    fn is_passed(self, content: &[u8]) -> bool {
        match self {
            Self::Ascii => has_8bit(content),
            Self::Text => !is_7bit_data(content),
        }
    }
}

/// A whole message: the one in hand, or one inside a `message/rfc822`.
fn message(content: &[u8], limit: Limit, depth: usize) -> Result<Vec<u8>, NotConvertible> {
    entity(content, "text/plain", limit.is_passed(content), limit, depth)
}

/// A message or a body part; `default_type` holds where there is no Content-Type (RFC 2045 section 5.2,
/// RFC 2046 section 5.1.5). `mime_version`: whether it must be said here that this is MIME (RFC 2045 section 4).
fn entity(
    content: &[u8],
    default_type: &str,
    mime_version: bool,
    limit: Limit,
    depth: usize,
) -> Result<Vec<u8>, NotConvertible> {
    if depth > MAX_DEPTH {
        return Err(NotConvertible::TooDeep);
    }
    let (head, body) = header::split(content);
    let mut header = Header::parse(head)?;
    if !limit.is_passed(content) && !header.is_labelled_8bit() {
        return Ok(content.to_vec());
    }
    if limit.is_passed(head) {
        return Err(NotConvertible::BinaryHeader);
    }
    if mime_version {
        header.add_if_missing("MIME-Version", "1.0");
    }
    let declared = header.value("Content-Type")?;
    let kind = ContentType::parse(declared.as_deref().unwrap_or(default_type));
    let encoding =
        header.value("Content-Transfer-Encoding")?.map_or_else(|| "7bit".to_owned(), |e| header::token(&e));
    let identity = matches!(encoding.as_str(), "7bit" | "8bit" | "binary");
    let passed = limit.is_passed(body);
    if passed && !identity {
        return Err(NotConvertible::Encoding(encoding));
    }

    let body = match kind.main.as_str() {
        "multipart" if passed => {
            if matches!(kind.sub.as_str(), "signed" | "encrypted") {
                return Err(NotConvertible::Sealed(kind.sub));
            }
            header.relabel_7bit();
            multipart(&kind, body, limit, depth)?
        }
        "message" if passed => {
            if kind.sub != "rfc822" {
                return Err(NotConvertible::MessageType(kind.sub));
            }
            header.relabel_7bit();
            message(body, limit, depth + 1)?
        }
        // within the limit and not to be looked into: only the label may be wrong
        "multipart" | "message" => {
            header.relabel_7bit();
            body.to_vec()
        }
        main => {
            if !passed && (encoding != "binary" || is_7bit_data(body)) {
                header.relabel_7bit();
                body.to_vec()
            } else {
                if declared.is_none() && has_8bit(body) {
                    // RFC 1428 section 3: the octets are text in a character set that nobody told us
                    header.add_if_missing("Content-Type", "text/plain; charset=unknown-8bit");
                }
                let (name, encoded) = encoding::encode(body, main == "text");
                header.set("Content-Transfer-Encoding", name);
                encoded
            }
        }
    };
    Ok(header.followed_by(&body))
}

/// The parts of a multipart, each converted, between delimiter lines that stay as they are.
fn multipart(kind: &ContentType, body: &[u8], limit: Limit, depth: usize) -> Result<Vec<u8>, NotConvertible> {
    let boundary = kind.boundary().ok_or(NotConvertible::Multipart("has no boundary"))?;
    let default_type = kind.default_type();
    let delimiters = delimiters(body, boundary.as_bytes());
    let Some(first) = delimiters.first() else {
        return Err(NotConvertible::Multipart("has no part between its boundaries"));
    };
    // what stands outside of the parts has no header in which an encoding could be declared
    let outside = NotConvertible::Multipart("has such octets outside of its parts");
    if limit.is_passed(&body[..first.start]) {
        return Err(outside);
    }
    let mut result = body[..first.start].to_vec();
    for (n, delimiter) in delimiters.iter().enumerate() {
        result.extend_from_slice(&body[delimiter.start..delimiter.end]);
        let end = delimiters.get(n + 1).map_or(body.len(), |next| next.start);
        let between = &body[delimiter.end.min(end)..end];
        if delimiter.closes {
            if limit.is_passed(between) {
                return Err(outside);
            }
            result.extend_from_slice(between);
        } else {
            result.extend(entity(between, default_type, false, limit, depth + 1)?);
        }
    }
    Ok(result)
}

/// One delimiter line: from the CRLF before it, which belongs to it (RFC 2046 section 5.1.1), to the start of what
/// follows its own CRLF.
struct Delimiter {
    start: usize,
    end: usize,
    closes: bool,
}

/// All delimiter lines up to and including the closing one.
fn delimiters(body: &[u8], boundary: &[u8]) -> Vec<Delimiter> {
    let mut found: Vec<Delimiter> = Vec::new();
    let mut at = 0;
    for line in lines(body) {
        let next = (at + line.len() + 2).min(body.len());
        if let Some(rest) = line.strip_prefix(b"--").and_then(|l| l.strip_prefix(boundary)) {
            let (closes, padding) = rest.strip_prefix(b"--").map_or((false, rest), |p| (true, p));
            if padding.iter().all(|b| matches!(b, b' ' | b'\t')) {
                // an empty part: its delimiter's CRLF is the end of the line before
                let floor = found.last().map_or(0, |before| before.end);
                found.push(Delimiter { start: at.saturating_sub(2).max(floor), end: next, closes });
                if closes {
                    break;
                }
            }
        }
        at = next;
    }
    found
}

/// Lines without their CRLF. A lone CR or LF ends none (RFC 5321 section 2.3.8).
pub(crate) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(content);
    std::iter::from_fn(move || {
        let content = rest?;
        if let Some(at) = content.windows(2).position(|pair| pair == b"\r\n") {
            rest = Some(&content[at + 2..]);
            Some(&content[..at])
        } else {
            rest = None;
            Some(content)
        }
    })
}
