//! A message taken apart as far as judging and naming need it: header fields as they stand, and what the body's parts
//! hold once their transfer encoding is undone.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_parser::{Encoding, MessageParser, MessagePart, MimeHeaders, PartType};

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name as written.
    pub name: String,
    /// Its body, unfolded and trimmed; what is not UTF-8 is replaced.
    pub value: String,
}

impl Field {
    /// Whether it has this name, without regard to case (RFC 5322 section 1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The header fields in order, and the body after the empty line. A line that is no field ends the header.
pub fn split(content: &[u8]) -> (Vec<Field>, &[u8]) {
    let mut fields: Vec<Field> = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
        let line = trim_line_end(&rest[..end]);
        if line.is_empty() {
            return (fields, &rest[end..]);
        }
        match (line[0], fields.last_mut()) {
            (b' ' | b'\t', Some(field)) => {
                let more = String::from_utf8_lossy(line);
                let more = more.trim();
                if !more.is_empty() {
                    if !field.value.is_empty() {
                        field.value.push(' ');
                    }
                    field.value.push_str(more);
                }
            }
            _ => match field(line) {
                Some(field) => fields.push(field),
                None => return (fields, rest),
            },
        }
        rest = &rest[end..];
    }
    (fields, rest)
}

/// RFC 5322 section 2.2: printable US-ASCII without colon, then a colon.
fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|&b| b == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    is_name.then(|| Field {
        name: name.to_owned(),
        value: String::from_utf8_lossy(&line[colon + 1..]).trim().to_owned(),
    })
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The value of the first field of this name.
pub fn first<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.is(name)).map(|field| field.value.as_str())
}

/// A parameter of a structured field: `boundary` of `multipart/mixed; boundary="x"`, quotes taken off.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// What each part holds that is no multipart itself, in order, its transfer encoding undone (RFC 2045 section 6): two
/// contents with equal leaves say the same, however they were encoded on the way. Line ends at the end are left out.
pub fn leaves(content: &[u8]) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    collect(content, 0, &mut leaves);
    leaves
}

fn collect(content: &[u8], depth: usize, leaves: &mut Vec<Vec<u8>>) {
    let parsed = MessageParser::default().parse(content);
    let Some(message) = parsed.filter(|_| depth < 8) else {
        leaves.push(trim_end(split(content).1));
        return;
    };
    for part in &message.parts {
        let decoded = decoded(content, part);
        match part.body {
            PartType::Multipart(_) => {}
            PartType::Message(_) => collect(&decoded, depth + 1, leaves),
            _ => leaves.push(trim_end(&decoded)),
        }
    }
}

/// The messages that a content returns, whole or by their header alone, the transfer encoding of their parts undone.
pub fn returned(content: &[u8]) -> Vec<Vec<u8>> {
    const RETURNING: [&str; 4] = ["rfc822", "global", "rfc822-headers", "global-headers"];
    let Some(message) = MessageParser::default().parse(content) else { return Vec::new() };
    let returns = |part: &&MessagePart<'_>| {
        let subtype = part.content_type().and_then(|kind| kind.subtype());
        subtype.is_some_and(|subtype| RETURNING.iter().any(|word| word.eq_ignore_ascii_case(subtype)))
    };
    // the message itself, which is returned by nothing, comes first
    message.parts.iter().skip(1).filter(returns).map(|part| decoded(content, part)).collect()
}

/// What a part holds, its transfer encoding undone.
fn decoded(content: &[u8], part: &MessagePart<'_>) -> Vec<u8> {
    let raw = content.get(part.offset_body as usize..part.offset_end as usize).unwrap_or_default();
    match part.encoding {
        Encoding::None => raw.to_vec(),
        Encoding::QuotedPrintable => quoted_printable(raw),
        Encoding::Base64 => base64(raw),
    }
}

fn trim_end(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    bytes[..end].to_vec()
}

/// RFC 2045 section 6.7; what is malformed stays as it is.
fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    for line in encoded.split_inclusive(|&b| b == b'\n') {
        let text = trim_line_end(line);
        let ending = &line[text.len()..];
        // rule 3: white space at the end of an encoded line was added on the way
        let text = text.trim_ascii_end();
        let soft = text.last() == Some(&b'=');
        let text = if soft { &text[..text.len() - 1] } else { text };
        let mut at = 0;
        while at < text.len() {
            let octet = (text[at] == b'=').then(|| hex(text.get(at + 1..at + 3)?)).flatten();
            out.push(octet.unwrap_or(text[at]));
            at += if octet.is_some() { 3 } else { 1 };
        }
        if !soft {
            out.extend_from_slice(ending);
        }
    }
    out
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// RFC 2045 section 6.8: characters outside of the alphabet are ignored.
fn base64(encoded: &[u8]) -> Vec<u8> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let digits: Vec<u8> = encoded.iter().copied().filter(is_digit).collect();
    GeneralPurpose::new(&STANDARD, config).decode(&digits).unwrap_or_else(|_| encoded.to_vec())
}

/// An address in the form in which two of them are compared: no source route (RFC 5321 section 3.6.1, appendix C), no
/// needless quotes, no white space around it, the domain in lower case (section 2.4) and in A-labels.
pub fn normal(address: &str) -> String {
    let address = address.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let mailbox = match address.split_once(':') {
        Some((route, mailbox)) if route.starts_with('@') => mailbox,
        _ => address,
    };
    let Some((local, domain)) = mailbox.rsplit_once('@') else { return mailbox.to_ascii_lowercase() };
    let bare = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')).filter(|l| {
        !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
    });
    format!("{}@{}", bare.unwrap_or(local), a_labels(domain.trim().trim_end_matches('.')))
}

/// A domain in lower case and A-labels: `münchen.example` and `xn--mnchen-3ya.example` are one (RFC 5890 section 2.3.2.1).
/// What is no domain stays as it is.
fn a_labels(domain: &str) -> String {
    let lower = domain.to_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    idna::domain_to_ascii(&lower).unwrap_or(lower)
}

/// The domain of an address, in lower case; empty without one.
pub fn domain(address: &str) -> String {
    normal(address).rsplit_once('@').map_or_else(String::new, |(_, domain)| domain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::mime_like;
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn a_header_ends_at_the_empty_line_and_folding_is_undone() {
        let (fields, body) = split(b"Subject: a\r\n b\r\nX:c\r\n\r\nbody\r\n");
        assert_eq!(
            fields.iter().map(|f| (&*f.name, &*f.value)).collect::<Vec<_>>(),
            [("Subject", "a b"), ("X", "c")]
        );
        assert_eq!(body, b"body\r\n");
    }

    #[test]
    fn content_without_a_header_is_all_body() {
        assert_eq!(split(b"just text\r\n").1, b"just text\r\n");
    }

    #[rstest]
    #[case("quoted-printable", "Sm=C3=B6rg=\r\n=C3=A5s\r\nzwei \r\n")]
    #[case("base64", "U23DtnJnw6VzDQp6d2Vp\r\n")]
    #[case("8bit", "Smörgås\r\nzwei\r\n")]
    fn a_leaf_is_the_same_in_every_encoding(#[case] encoding: &str, #[case] body: &str) {
        let message = format!(
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
        );
        assert_eq!(leaves(message.as_bytes()), ["Smörgås\r\nzwei".as_bytes()]);
    }

    #[test]
    fn every_part_of_a_multipart_is_a_leaf_also_inside_a_message() {
        let message = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
            Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            tw=6F\r\n--b--\r\n";
        assert_eq!(leaves(message.as_bytes()), [b"one", b"two"]);
    }

    #[rstest]
    #[case("@a,@b:User@C.Example", "User@c.example")]
    #[case("joe@hub.example ", "joe@hub.example")]
    #[case("\"joe\"@hub.example", "joe@hub.example")]
    #[case("\"jo e\"@hub.example", "\"jo e\"@hub.example")]
    #[case("<Postmaster>", "postmaster")]
    #[case("jürgen@MÜNCHEN.example", "jürgen@xn--mnchen-3ya.example")]
    #[case("jürgen@XN--mnchen-3ya.example.", "jürgen@xn--mnchen-3ya.example")]
    #[case("a@b\u{fffd}..c", "a@b\u{fffd}..c")]
    fn addresses_have_a_normal_form(#[case] address: &str, #[case] form: &str) {
        assert_eq!(normal(address), form);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn no_content_makes_it_panic(content in mime_like()) {
            let (fields, body) = split(&content);
            prop_assert!(body.len() <= content.len());
            let held: usize = leaves(&content).iter().map(Vec::len).sum();
            // each octet of the content is in a few leaves at most: what is decoded is never longer than its code
            prop_assert!(held <= content.len() * 10, "{held} octets out of {}", content.len());
            for field in fields {
                let _ = (normal(&field.value), parameter(&field.value, "boundary"));
            }
        }
    }
}
