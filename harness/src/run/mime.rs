//! Makes MIME entities: parts, transfer encodings, boundaries. The same entity is the same octets in every run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::scenario::{Inside, Part, Text, TransferEncoding};

/// The longest line of encoded content (RFC 2045 section 6.7 rule 5, section 6.8).
const ENCODED_LINE: usize = 76;

/// The longest line of content that is not binary (RFC 2045 section 2.7).
const LONGEST_LINE: usize = 998;

/// A MIME entity as it stands in a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entity {
    /// Its MIME fields, without MIME-Version; none where RFC 2045's defaults say all.
    pub(super) fields: Vec<(String, String)>,
    /// Its body, encoded for the transfer.
    pub(super) body: Vec<u8>,
}

/// Writes an entity; the token goes into the first text in it, as a line of its own.
pub(super) fn entity(part: &Part, token: &str) -> Entity {
    written(part, &mut Some(token), true)
}

fn written(part: &Part, token: &mut Option<&str>, whole: bool) -> Entity {
    let (body, ascii, kind) = match &part.inside {
        Inside::Parts(parts) => return multipart(part, parts, token),
        Inside::Text(text) => {
            let is_text =
                part.kind.as_ref().is_none_or(|kind| kind.to_ascii_lowercase().starts_with("text/"));
            let mut none = None;
            let token = if is_text { token } else { &mut none };
            let lines = lines(text, part.charset.as_deref(), token, whole);
            let ascii = lines.is_ascii();
            // What says nothing of itself is plain ASCII text (RFC 2045 section 5.2).
            let says = !ascii || part.kind.is_some() || part.charset.is_some() || part.name.is_some();
            (lines, ascii, says.then_some("text/plain"))
        }
        Inside::Octets(octets) => (octets.clone(), octets.is_ascii(), Some("application/octet-stream")),
    };
    let kind = part.kind.as_deref().or(kind);
    let is_text = kind.is_none_or(|kind| kind.to_ascii_lowercase().starts_with("text/"));
    let mut fields = Vec::new();
    if let Some(kind) = kind {
        let of_text = matches!(part.inside, Inside::Text(_)) && (!ascii || part.charset.is_some());
        let charset = part.charset.as_deref().or(of_text.then_some("utf-8"));
        let charset = charset.map_or_else(String::new, |charset| format!("; charset={charset}"));
        fields.push(("Content-Type".to_owned(), format!("{kind}{charset}")));
    }
    let encoding = part.encoding.or_else(|| needed(&body));
    fields.extend(
        encoding.map(|encoding| ("Content-Transfer-Encoding".to_owned(), encoding.word().to_owned())),
    );
    let body = match encoding {
        Some(TransferEncoding::QuotedPrintable) => quoted_printable(&body, is_text),
        Some(TransferEncoding::Base64) => base64_lines(&body),
        _ => body,
    };
    Entity { fields: headed(fields, part), body }
}

fn multipart(part: &Part, parts: &[Part], token: &mut Option<&str>) -> Entity {
    let inner: Vec<Vec<u8>> = parts
        .iter()
        .map(|part| {
            let Entity { fields, body } = written(part, token, false);
            let head: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            [head.concat().as_bytes(), b"\r\n", &body].concat()
        })
        .collect();
    // RFC 2046 section 5.1.1: a boundary stands in none of the parts. `=_` is in no encoded one.
    let stands_in = |boundary: &str| {
        let boundary = boundary.as_bytes();
        inner.iter().any(|part| part.windows(boundary.len()).any(|window| window == boundary))
    };
    let mut number = 1;
    while stands_in(&format!("=_gauntlet_{number}_")) {
        number += 1;
    }
    let boundary = format!("=_gauntlet_{number}_");
    let mut body = Vec::new();
    for part in &inner {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let kind = part.kind.as_deref().unwrap_or("multipart/mixed");
    let mut fields = vec![("Content-Type".to_owned(), format!("{kind}; boundary=\"{boundary}\""))];
    // RFC 2045 section 6.4: a multipart says what is the most among its parts
    let encoding = part.encoding.or_else(|| {
        let needs = |wanted: TransferEncoding| inner.iter().any(|part| needed(part) == Some(wanted));
        let order = [TransferEncoding::Binary, TransferEncoding::EightBit];
        order.into_iter().find(|wanted| needs(*wanted))
    });
    fields.extend(
        encoding.map(|encoding| ("Content-Transfer-Encoding".to_owned(), encoding.word().to_owned())),
    );
    Entity { fields: headed(fields, part), body }
}

/// The part's own fields with the scenario's in place of them or behind them.
fn headed(mut fields: Vec<(String, String)>, part: &Part) -> Vec<(String, String)> {
    if let Some(name) = &part.name {
        fields.push(("Content-Disposition".to_owned(), format!("attachment; filename=\"{name}\"")));
    }
    super::compose::replace(&mut fields, &part.headers);
    fields
}

/// The least that octets need where nothing is said: nothing, `8bit` or `binary` (RFC 2045 section 2.7 to 2.9).
fn needed(body: &[u8]) -> Option<TransferEncoding> {
    let bare = body.iter().enumerate().any(|(at, octet)| match octet {
        b'\n' => at == 0 || body[at - 1] != b'\r',
        b'\r' => body.get(at + 1) != Some(&b'\n'),
        octet => *octet == 0,
    });
    let long = body.split(|octet| *octet == b'\n').any(|line| line.len() > LONGEST_LINE + 1);
    if bare || long && !body.is_ascii() {
        Some(TransferEncoding::Binary)
    } else {
        (!body.is_ascii()).then_some(TransferEncoding::EightBit)
    }
}

/// The text, `lines` times, each line `width` octets wide. A whole body ends its last line; a part leaves that to the
/// boundary.
fn lines(text: &Text, charset: Option<&str>, token: &mut Option<&str>, whole: bool) -> Vec<u8> {
    let words = text.text.as_deref().unwrap_or("Nothing to see here.");
    let mut body = Vec::new();
    if let Some(token) = token.take() {
        body.extend_from_slice(format!("Token: {token}\r\n").as_bytes());
    }
    for _ in 0..text.lines.max(1) {
        for line in words.lines() {
            let line = in_charset(line, charset);
            match text.width {
                Some(width) if !line.is_empty() => {
                    let width = usize::try_from(width).unwrap_or(usize::MAX);
                    body.extend(line.iter().cycle().take(width));
                }
                _ => body.extend_from_slice(&line),
            }
            body.extend_from_slice(b"\r\n");
        }
    }
    if !whole {
        body.truncate(body.len().saturating_sub(2));
    }
    body
}

/// The loader lets no text through that these cannot write.
fn in_charset(text: &str, charset: Option<&str>) -> Vec<u8> {
    if charset.is_some_and(|charset| charset.eq_ignore_ascii_case("iso-8859-1")) {
        return text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    }
    text.as_bytes().to_vec()
}

/// RFC 2045 section 6.7. In what is no text, line ends are octets like all others.
fn quoted_printable(body: &[u8], is_text: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 4);
    let mut column = 0;
    let mut at = 0;
    while at < body.len() {
        if is_text && body[at..].starts_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            (column, at) = (0, at + 2);
            continue;
        }
        let octet = body[at];
        at += 1;
        let ends_line = at == body.len() || is_text && body[at..].starts_with(b"\r\n");
        let plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~') || matches!(octet, b' ' | b'\t') && !ends_line;
        let size = if plain { 1 } else { 3 };
        // a soft line break needs its own column
        if column + size > ENCODED_LINE - usize::from(!ends_line) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        column += size;
    }
    out
}

fn base64_lines(body: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(body);
    let lines: Vec<&[u8]> = encoded.as_bytes().chunks(ENCODED_LINE).collect();
    lines.join(&b"\r\n"[..])
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::record::mail;

    fn text(text: &str) -> Part {
        let text = Text { text: Some(text.to_owned()), lines: 1, width: None };
        Part { inside: Inside::Text(text), ..Part::default() }
    }

    fn octets(octets: &[u8]) -> Part {
        Part { inside: Inside::Octets(octets.to_vec()), ..Part::default() }
    }

    /// As a message.
    fn message(part: &Part) -> Vec<u8> {
        let Entity { fields, body } = entity(part, "note-1");
        let head: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        [b"MIME-Version: 1.0\r\n", head.concat().as_bytes(), b"\r\n", &body].concat()
    }

    #[test]
    fn plain_text_needs_no_field_and_more_than_ascii_is_labelled() {
        assert_eq!(
            entity(&text("a\nb"), "n-1"),
            Entity { fields: vec![], body: b"Token: n-1\r\na\r\nb\r\n".to_vec() }
        );
        let fields = entity(&text("Gr\u{fc}\u{df}e"), "n-1").fields;
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "8bit")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_text_is_repeated_to_the_width_and_number_asked_for() {
        let wide = Text { text: Some(".ab".to_owned()), lines: 2, width: Some(7) };
        let part = Part { inside: Inside::Text(wide), ..Part::default() };
        assert_eq!(entity(&part, "n").body, b"Token: n\r\n.ab.ab.\r\n.ab.ab.\r\n");
    }

    #[test]
    fn parts_stand_between_boundaries_and_the_token_in_the_first_text() {
        let image =
            Part { kind: Some("image/png".into()), name: Some("a b.png".into()), ..octets(b"\0\xff") };
        let inner = Part {
            kind: Some("multipart/alternative".into()),
            inside: Inside::Parts(vec![text("one"), text("=_gauntlet_1_")]),
            ..Part::default()
        };
        let part = Part { inside: Inside::Parts(vec![image, inner]), ..Part::default() };
        let Entity { fields, body } = entity(&part, "n-1");
        let expected = "--=_gauntlet_3_\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\
            Content-Disposition: attachment; filename=\"a b.png\"\r\n\r\n\0\u{fffd}\r\n--=_gauntlet_3_\r\n\
            Content-Type: multipart/alternative; boundary=\"=_gauntlet_2_\"\r\n\r\n\
            --=_gauntlet_2_\r\n\r\nToken: n-1\r\none\r\n--=_gauntlet_2_\r\n\r\n=_gauntlet_1_\r\n\
            --=_gauntlet_2_--\r\n\r\n--=_gauntlet_3_--\r\n";
        assert_eq!(String::from_utf8_lossy(&body), expected);
        assert_eq!(fields[0].1, "multipart/mixed; boundary=\"=_gauntlet_3_\"");
        assert_eq!(fields[1], ("Content-Transfer-Encoding".to_owned(), "binary".to_owned()));
    }

    #[test]
    fn a_charset_is_what_the_text_is_written_in() {
        let part = Part { charset: Some("iso-8859-1".into()), ..text("\u{fc}") };
        let Entity { fields, body } = entity(&part, "n");
        assert_eq!((fields[0].1.as_str(), &body[10..]), ("text/plain; charset=iso-8859-1", &b"\xfc\r\n"[..]));
    }

    #[test]
    fn quoted_printable_is_that_of_rfc_2045() {
        let long = "x".repeat(80);
        assert_eq!(quoted_printable(b"a=b \r\nc\t", true), b"a=3Db=20\r\nc=09");
        assert_eq!(quoted_printable(b"a\r\n\0", false), b"a=0D=0A=00");
        let cut = format!("{}=\r\n{}", &long[..75], &long[75..]);
        assert_eq!(quoted_printable(long.as_bytes(), true), cut.as_bytes());
        assert_eq!(
            quoted_printable(&long.as_bytes()[..76], true),
            &long.as_bytes()[..76],
            "76 octets are one line"
        );
    }

    #[rstest]
    #[case(TransferEncoding::QuotedPrintable)]
    #[case(TransferEncoding::Base64)]
    #[case(TransferEncoding::Binary)]
    fn another_reader_finds_what_was_written(#[case] encoding: TransferEncoding) {
        let part = Part { encoding: Some(encoding), ..octets(b"\0 =\xff\r\n.\r\n--x\r\nlast \t") };
        let part = Part { inside: Inside::Parts(vec![text("first"), part]), ..Part::default() };
        let content = message(&part);
        let read = MessageParser::default().parse(&content).expect("a message");
        assert_eq!(read.parts[2].contents(), b"\0 =\xff\r\n.\r\n--x\r\nlast \t");
        assert!(read.parts[0].is_content_type("multipart", "mixed"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn encoded_octets_are_short_lines_of_ascii_that_decode_to_the_same(
            octets_in in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n =."[..])], 0..300),
            base64 in any::<bool>(), is_text in any::<bool>(),
        ) {
            let encoding = if base64 { TransferEncoding::Base64 } else { TransferEncoding::QuotedPrintable };
            let kind = if is_text { "text/plain" } else { "application/octet-stream" };
            let part = Part { kind: Some(kind.into()), encoding: Some(encoding), ..octets(&octets_in) };
            let content = message(&part);
            let body = mail::split(&content).1;
            prop_assert!(body.is_ascii());
            prop_assert!(body.split(|b| *b == b'\n').all(|line| line.len() <= ENCODED_LINE + 1));
            let end = octets_in.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
            prop_assert_eq!(mail::leaves(&content), vec![octets_in[..end].to_vec()]);
        }
    }
}
