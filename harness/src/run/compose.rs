//! Makes a message's bytes, with the tokens by which each copy of it is known again.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::mime::{self, Entity};
use crate::record::dkim;
use crate::scenario::{Body, Canonicalization, Envelope, Message};

/// The header field that carries the token.
const TOKEN_FIELD: &str = "X-Gauntlet-Token";

/// A message ready to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Composed {
    /// `None` for raw content, which nothing is added to.
    pub token: Option<String>,
    /// Headers and body, CRLF line ends, not dot-stuffed.
    pub content: Vec<u8>,
}

/// The bytes of the `copy`-th submission of a message.
pub(super) fn compose(message: &Message, copy: u32, now: SystemTime) -> Composed {
    if let Some(whole) = message.content.raw.as_ref().or(message.content.file.as_ref()) {
        return Composed { token: None, content: whole.clone() };
    }
    let token = format!("{}-{copy}", message.name);
    let Entity { fields, mut body } = mime::entity(&message.content.body, &token);
    if message.content.no_final_newline && body.ends_with(b"\r\n") {
        body.truncate(body.len() - 2);
    }
    let mut headers: Vec<(String, String)> = vec![
        ("From".into(), address(&message.from)),
        (
            "To".into(),
            message.to.first().map_or_else(|| "undisclosed-recipients:;".into(), |to| address(to.trim())),
        ),
        ("Subject".into(), message.name.clone()),
        ("Date".into(), date(now)),
        ("Message-ID".into(), format!("<{token}@gauntlet.example>")),
        (TOKEN_FIELD.into(), token.clone()),
    ];
    if !fields.is_empty() {
        headers.push(("MIME-Version".into(), "1.0".into()));
        headers.extend(fields);
    }
    replace(&mut headers, &message.headers);
    let mut content = Vec::new();
    for (name, value) in headers {
        content.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    content.extend_from_slice(b"\r\n");
    content.extend_from_slice(&body);
    if let Some(domain) = message.signing_domain() {
        let simple = message.content.dkim == Some(Canonicalization::Simple);
        content.splice(0..0, dkim::signature(&content, &domain, simple).into_bytes());
    }
    Composed { token: Some(token), content }
}

/// Puts the scenario's fields into a header: the first of a name takes the place of ours, a name given several times
/// stands several times, and `None` leaves ours out.
pub(super) fn replace(headers: &mut Vec<(String, String)>, scenario: &[(String, Option<String>)]) {
    let ours = headers.len();
    let mut replaced = vec![false; ours];
    for (name, value) in scenario {
        let place = (0..ours).find(|&i| headers[i].0.eq_ignore_ascii_case(name) && !replaced[i]);
        if let Some(place) = place {
            replaced[place] = true;
            headers[place].1 = value.clone().unwrap_or_default();
        } else if let Some(value) = value {
            headers.push((name.clone(), value.clone()));
        }
    }
    // A header that the scenario leaves out was emptied above.
    headers.retain(|(name, value)| {
        !value.is_empty() || scenario.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v.is_some())
    });
}

fn address(path: &str) -> String {
    if path.is_empty() {
        "Mail Delivery System <postmaster@origin.example>".into()
    } else {
        format!("<{path}>")
    }
}

/// MAIL's parameters. Which of them the relay offers is for the client to see.
pub(super) fn sender_parameters(message: &Message) -> Vec<String> {
    let Envelope { body, smtputf8, ret, envid, auth, size, .. } = &message.envelope;
    let mut parameters = Vec::new();
    parameters.extend(body.map(|body| format!("BODY={}", body.word())));
    parameters.extend(smtputf8.then(|| "SMTPUTF8".to_owned()));
    parameters.extend(size.map(|size| format!("SIZE={size}")));
    parameters.extend(ret.as_ref().map(|ret| format!("RET={ret}")));
    parameters.extend(envid.as_ref().map(|envid| format!("ENVID={}", xtext(envid))));
    parameters.extend(auth.as_ref().map(|auth| match auth.as_str() {
        "<>" => "AUTH=<>".to_owned(),
        address => format!("AUTH={}", xtext(address)),
    }));
    parameters
}

/// What the relay must offer for the message to be sent at all: without it another message would be sent (RFC 6531
/// section 3.4, RFC 3030 section 3), or the client would break the rule that the relay is held to: 8-bit content goes
/// only where 8BITMIME is offered (RFC 6152 section 3).
pub(super) fn needs(message: &Message, content: &[u8]) -> Vec<String> {
    let binary = message.envelope.body == Some(Body::BinaryMime);
    let eight_bit = message.envelope.body == Some(Body::EightBitMime) && !content.is_ascii();
    let utf8 = message.envelope.smtputf8;
    let keywords =
        [(utf8, "SMTPUTF8"), (binary, "BINARYMIME"), (binary, "CHUNKING"), (eight_bit, "8BITMIME")];
    keywords.into_iter().filter(|(needed, _)| *needed).map(|(_, keyword)| keyword.to_owned()).collect()
}

/// RCPT's parameters.
pub(super) fn recipient_parameters(message: &Message) -> Vec<String> {
    let Envelope { notify, orcpt, .. } = &message.envelope;
    let notify = (!notify.is_empty()).then(|| format!("NOTIFY={}", notify.join(",")));
    let orcpt = orcpt.as_ref().map(|(kind, address)| {
        let encoded = if kind.eq_ignore_ascii_case("utf-8") { unitext(address) } else { xtext(address) };
        format!("ORCPT={kind};{encoded}")
    });
    notify.into_iter().chain(orcpt).collect()
}

/// RFC 6533 section 3, the form that goes everywhere: anything but printable ASCII other than `+`, `=` and the backslash
/// is `\x{…}`.
fn unitext(text: &str) -> String {
    let encode = |c: char| match c {
        '!'..='~' if !matches!(c, '+' | '=' | '\\') => c.to_string(),
        _ => format!("\\x{{{:X}}}", u32::from(c)),
    };
    text.chars().map(encode).collect()
}

/// RFC 3461 section 4: anything but printable ASCII other than `+` and `=` is `+` and two hexadecimal digits.
fn xtext(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'!'..=b'~' if byte != b'+' && byte != b'=' => char::from(byte).to_string(),
        _ => format!("+{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// What a server understands of content that is sent as it stands (RFC 5321 section 4.5.2): up to the first line that is
/// a dot alone, and without the dot that a line begins with. CRLF alone ends a line (section 2.3.8).
pub(super) fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut understood = Vec::with_capacity(content.len());
    let mut rest = content;
    while !rest.is_empty() && !rest.starts_with(b".\r\n") {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, after) = rest.split_at(end);
        understood.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = after;
    }
    understood
}

/// RFC 5322 section 3.3.
fn date(now: SystemTime) -> String {
    OffsetDateTime::from(now).format(&Rfc2822).expect("a run begins in this century")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Content, Inside, Message, Part, Text};

    fn text(message: &Message, copy: u32) -> String {
        String::from_utf8(compose(message, copy, SystemTime::UNIX_EPOCH).content).expect("our own text")
    }

    fn note() -> Message {
        Message {
            name: "note".into(),
            from: "alice@origin.example".into(),
            to: vec!["bob@hub.example".into()],
            ..Message::default()
        }
    }

    #[test]
    fn every_copy_carries_its_token_three_times() {
        let text = text(&note(), 2);
        for place in [
            "Message-ID: <note-2@gauntlet.example>\r\n",
            "X-Gauntlet-Token: note-2\r\n",
            "\r\n\r\nToken: note-2\r\n",
        ] {
            assert!(text.contains(place), "{place:?} is missing in\n{text}");
        }
        assert!(text.contains("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"));
    }

    #[test]
    fn a_header_of_the_scenarios_replaces_adds_or_removes() {
        let mut message = note();
        message.headers = vec![
            ("Subject".into(), Some("Another".into())),
            ("Received".into(), Some("from a".into())),
            ("Received".into(), Some("from b".into())),
            ("Date".into(), None),
        ];
        let text = text(&message, 1);
        assert!(text.contains("Subject: Another\r\n") && !text.contains("Subject: note"), "{text}");
        assert!(text.contains("Received: from a\r\nReceived: from b\r\n"), "{text}");
        assert!(!text.contains("Date:"), "{text}");
    }

    #[test]
    fn raw_content_is_understood_as_a_server_does() {
        assert_eq!(unstuffed(b"a: b\r\n\r\n..x\r\n.y\r\n.\r\nMAIL"), b"a: b\r\n\r\n.x\r\ny\r\n");
        let bare = b"a: b\r\n\r\nx\n.y\n.\r\nz\r.\r\n";
        assert_eq!(unstuffed(bare), bare, "a bare LF or CR ends no line");
    }

    #[test]
    fn text_beyond_ascii_is_labelled_and_the_last_line_end_can_be_left_out() {
        let mut message = note();
        let text_of = Text { text: Some("Grüße".into()), lines: 2, width: None };
        message.content = Content {
            body: Part { inside: Inside::Text(text_of), ..Part::default() },
            no_final_newline: true,
            ..Content::default()
        };
        let text = text(&message, 1);
        assert!(text.contains("Content-Transfer-Encoding: 8bit\r\n"), "{text}");
        assert!(text.ends_with("Grüße\r\nGrüße"), "{text}");
    }
}
