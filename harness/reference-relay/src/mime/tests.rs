use mail_parser::MessageParser;
use proptest::prelude::*;

use super::*;

fn convert(message: &str) -> String {
    let result = to_7bit(message.as_bytes()).expect("convertible");
    assert!(!has_8bit(&result));
    String::from_utf8(result).expect("7-bit is UTF-8")
}

fn refusal(message: &str) -> NotConvertible {
    to_7bit(message.as_bytes()).expect_err("not convertible")
}

/// What a reader sees of each leaf, in order.
fn leaves(message: &[u8]) -> Vec<Vec<u8>> {
    fn collect(message: &mail_parser::Message<'_>, found: &mut Vec<Vec<u8>>) {
        for part in &message.parts {
            if let Some(inner) = part.message() {
                collect(inner, found);
            } else if !part.is_multipart() {
                found.push(part.contents().to_vec());
            }
        }
    }
    let mut found = Vec::new();
    collect(&MessageParser::default().parse(message).expect("a message"), &mut found);
    found
}

fn text(body: &str) -> String {
    format!(
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n{body}"
    )
}

#[test]
fn text_becomes_quoted_printable_in_the_place_of_the_old_label() {
    assert_eq!(
        convert(&text("Grüße aus dem Norden = a long way\r\n")),
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus dem Norden =3D a long way\r\n"
    );
}

#[test]
fn text_that_is_mostly_8bit_becomes_base64() {
    let message = text("Привет, мир. Как дела?\r\n");
    let result = convert(&message);
    assert!(result.contains("Content-Transfer-Encoding: base64\r\n"), "{result}");
    assert_eq!(leaves(result.as_bytes()), ["Привет, мир. Как дела?\r\n".as_bytes()]);
}

#[test]
fn a_7bit_message_comes_back_as_it_was() {
    let message = text("only ascii\r\n");
    assert_eq!(convert(&message), message);
}

#[test]
fn white_space_at_the_end_of_a_line_is_quoted() {
    let result = convert(&text("ä and a space at the end \r\nand a tab\t\r\n-- \r\nlast, no line end "));
    assert!(result.ends_with(
        "\r\n\r\n=C3=A4 and a space at the end=20\r\nand a tab=09\r\n--=20\r\nlast, no line end=20"
    ));
}

#[test]
fn no_encoded_line_is_longer_than_76_and_long_lines_come_back_whole() {
    for length in 60..90 {
        let body = format!("ä{} {}\r\n", "x".repeat(length), "y".repeat(400));
        let result = convert(&text(&body));
        assert!(result.contains("quoted-printable"));
        assert!(lines(result.as_bytes()).all(|line| line.len() <= 76), "{result}");
        assert_eq!(leaves(result.as_bytes()), [body.as_bytes()]);
    }
}

#[test]
fn lone_cr_and_lf_are_data() {
    let result = convert(&text("ä text of\nseveral\rodd lines, long enough to read\r\n"));
    assert!(result.ends_with("=C3=A4 text of=0Aseveral=0Dodd lines, long enough to read\r\n"), "{result}");
}

#[test]
fn dots_and_from_lines_are_hidden_from_transports() {
    let result = convert(&text("ä line of some length here\r\n.\r\nFrom me\r\nFromage\r\n"));
    assert!(result.ends_with("\r\n=2E\r\n=46rom me\r\nFromage\r\n"), "{result}");
}

#[test]
fn a_soft_break_never_makes_a_delimiter_line() {
    let line = format!("{}--b", "x".repeat(75));
    let message = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nä few words\r\n{line}\r\n--b--\r\n"
    );
    assert_eq!(leaves(convert(&message).as_bytes()), [format!("ä few words\r\n{line}").into_bytes()]);
}

#[test]
fn other_than_text_becomes_base64_whatever_it_said() {
    let message = "MIME-Version: 1.0\r\nContent-Type: application/pdf\r\n\
                   Content-Transfer-Encoding: binary\r\n\r\n\u{e4}\n\r\u{0}\r\n";
    let result = convert(message);
    assert!(result.contains("Content-Transfer-Encoding: base64\r\n"));
    assert_eq!(leaves(result.as_bytes()), ["ä\n\r\u{0}\r\n".as_bytes()]);
}

#[test]
fn just_8bit_without_mime_is_labelled_as_rfc_1428_says() {
    let result = convert("Subject: x\r\n\r\nGrüße an alle, die dort oben noch am Leben sind\r\n");
    assert_eq!(
        result,
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe an alle, die dort oben noch am Leben sind\r\n"
    );
}

/// A multipart in a multipart, with every kind of neighbour.
const NESTED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"out er\" (the outer)\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n\
    --out er\r\nContent-Type: multipart/alternative; boundary=\"in;\\\"ner\"\r\n\
    Content-Transfer-Encoding: 8BIT (sic)\r\n\r\n\
    --in;\"ner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nf\u{fc}r alle anderen  \r\n\
    --in;\"ner  \r\n\r\nno header at all \r\n\
    --in;\"ner\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>ascii\r\n\
    --in;\"ner--\r\nepilogue\r\n\
    --out er\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n\
    --out er\r\n\
    --out er--\r\nend";

#[test]
fn a_nested_multipart_keeps_all_that_need_not_change() {
    let expected = NESTED
        .replacen("Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: 7bit", 1)
        .replace("Content-Transfer-Encoding: 8BIT (sic)", "Content-Transfer-Encoding: 7bit")
        .replace(
            "Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit",
            "Content-Type: text/html\r\nContent-Transfer-Encoding: 7bit",
        )
        .replace(
            "Content-Transfer-Encoding: 8bit\r\n\r\nf\u{fc}r alle anderen  ",
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nf=C3=BCr alle anderen =20",
        );
    assert_eq!(convert(NESTED), expected);
}

#[test]
fn a_nested_multipart_reads_the_same_afterwards() {
    assert_eq!(leaves(convert(NESTED).as_bytes()), leaves(NESTED.as_bytes()));
}

#[test]
fn an_attached_message_is_converted_inside_and_stays_unencoded() {
    let message = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n\
         --b\r\n\r\n{}--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}--b--\r\n",
        text("für den ersten Teil\r\n"),
        text("für den zweiten Teil\r\n")
    );
    let result = convert(&message);
    assert!(result.contains("message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject"), "{result}");
    assert_eq!(result.matches("quoted-printable").count(), 2);
    assert_eq!(leaves(result.as_bytes()), leaves(message.as_bytes()));
}

#[test]
fn a_binary_part_without_8bit_octets_is_encoded_only_if_it_must_be() {
    let parts = |body: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
             Content-Transfer-Encoding: binary\r\nContent-Type: application/x\r\n\r\n{body}\r\n\
             --b\r\n\r\nsome more words, für später\r\n--b--\r\n"
        )
    };
    assert!(convert(&parts("short")).contains("Content-Transfer-Encoding: 7bit\r\n"));
    assert!(convert(&parts("a\nb")).contains("Content-Transfer-Encoding: base64\r\n"));
    assert!(convert(&parts(&"x".repeat(999))).contains("Content-Transfer-Encoding: base64\r\n"));
}

#[test]
fn what_would_be_damaged_is_refused() {
    let multipart = |kind: &str, inside: &str| {
        format!("MIME-Version: 1.0\r\nContent-Type: {kind}; boundary=b\r\n\r\n{inside}")
    };
    assert_eq!(refusal("Subject: ü\r\n\r\nx\r\n"), NotConvertible::HeaderField("Subject".into()));
    assert_eq!(
        refusal(&multipart("multipart/mixed", "--b\r\nContent-Description: ü\r\n\r\nx\r\n--b--\r\n")),
        NotConvertible::HeaderField("Content-Description".into())
    );
    for kind in ["signed", "encrypted"] {
        let message = multipart(&format!("Multipart/{kind}"), "--b\r\n\r\nü\r\n--b--\r\n");
        assert_eq!(refusal(&message), NotConvertible::Sealed(kind.into()));
    }
    assert_eq!(
        refusal("Content-Type: message/delivery-status\r\n\r\nü\r\n"),
        NotConvertible::MessageType("delivery-status".into())
    );
    assert_eq!(
        refusal("Content-Transfer-Encoding: Base64\r\n\r\nü\r\n"),
        NotConvertible::Encoding("base64".into())
    );
    assert_eq!(
        refusal("Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nü\r\n"),
        NotConvertible::RepeatedField("Content-Type")
    );
    for (kind, inside) in [
        ("multipart/mixed; x=y", "no delimiter, ü\r\n"),
        ("multipart/mixed", "ü\r\n--b\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/mixed", "--b\r\n\r\nx\r\n--b--\r\nü\r\n"),
    ] {
        assert!(matches!(refusal(&multipart(kind, inside)), NotConvertible::Multipart(_)));
    }
    assert!(matches!(refusal("Content-Type: multipart/mixed\r\n\r\nü"), NotConvertible::Multipart(_)));
}

#[test]
fn a_signed_part_without_8bit_octets_stays_untouched_beside_one_that_changes() {
    let signed =
        "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nsigned \r\n--s\r\n\r\nsig\r\n--s--";
    let message = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{signed}\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\neine Fußzeile ist das\r\n--b--\r\n"
    );
    assert!(convert(&message).contains(signed));
}

#[test]
fn very_deep_nesting_is_refused_and_not_followed() {
    let mut message = "Subject: x\r\n\r\nü\r\n".to_owned();
    for _ in 0..100 {
        message = format!("Content-Type: message/rfc822\r\n\r\n{message}");
    }
    assert_eq!(refusal(&message), NotConvertible::TooDeep);
}

/// An entity and its leaves' contents.
fn arbitrary_entity() -> impl Strategy<Value = String> {
    let leaf = (
        prop_oneof![
            Just("text/plain; charset=utf-8"),
            Just("text/html; charset=utf-8"),
            Just("application/octet-stream")
        ],
        prop_oneof![
            Just(""),
            Just("Content-Transfer-Encoding: 8bit\r\n"),
            Just("Content-Transfer-Encoding: BINARY\r\n")
        ],
        "([a-zA-Z =.\tüß\u{20ac}]{0,90}(\r\n)?|-| ){0,6}[a-zü]?",
    )
        .prop_map(|(kind, encoding, body)| format!("Content-Type: {kind}\r\n{encoding}\r\n{body}"));
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 1..4), 0..1_000_000_u32).prop_map(|(parts, n)| {
                // each level has a boundary of its own: its parts do not contain it
                let boundary = format!("b{n}-{}", parts.iter().map(String::len).sum::<usize>());
                let parts = parts.join(&format!("\r\n--{boundary}\r\n"));
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n{parts}\r\n--{boundary}--\r\n")
            }),
            // mail-parser 0.11.9 panics on a message directly inside a message inside a multipart
            inner
                .prop_filter("its reader's limit", |part| !part.starts_with("Content-Type: message"))
                .prop_map(|part| format!("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n{part}")),
        ]
    })
}

proptest! {
    #[test]
    fn the_result_is_7bit_and_decodes_to_the_same(entity in arbitrary_entity()) {
        let message = format!("Subject: x\r\nMIME-Version: 1.0\r\n{entity}");
        let result = to_7bit(message.as_bytes()).expect("nothing here is unconvertible");
        prop_assert!(!has_8bit(&result));
        if has_8bit(message.as_bytes()) {
            prop_assert!(is_7bit_data(&result), "{}", String::from_utf8_lossy(&result));
        }
        prop_assert_eq!(leaves(&result), leaves(message.as_bytes()));
        prop_assert_eq!(to_7bit(&result).expect("7-bit already"), result);
    }

    #[test]
    fn any_octets_are_either_converted_or_refused(content in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(result) = to_7bit(&content) {
            prop_assert!(!has_8bit(&result));
        }
    }

    #[test]
    fn any_mix_of_structure_is_either_converted_or_refused(
        content in "(Content-Type: multipart/mixed; boundary=b\r\n|Content-Type: message/rfc822\r\n|--b|--|\r\n|ü|x| |\t){0,40}"
    ) {
        if let Ok(result) = to_7bit(content.as_bytes()) {
            prop_assert!(!has_8bit(&result));
        }
    }
}

fn binary(body: &[u8]) -> Vec<u8> {
    let head =
        b"MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    [&head[..], body].concat()
}

#[test]
fn binary_mail_becomes_base64_and_no_octet_is_lost() {
    for body in [
        &b"a\0b"[..],
        b"a\rb\n",
        b"\r\n.\r\n\n",
        b"\0",
        &[0xff; 3000],
        &[b"\n".as_slice(), &[b'x'; 3000]].concat(),
    ] {
        let result = to_7bit(&binary(body)).expect("convertible");
        assert!(is_7bit_data(&result), "{}", String::from_utf8_lossy(&result));
        assert_eq!(leaves(&result), [body]);
    }
}

#[test]
fn a_binary_part_is_encoded_and_its_siblings_stay() {
    let part = "Content-Type: text/plain\r\n\r\nleft alone\r\n";
    let encoded = "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n";
    let message = [
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n--b\r\n",
        part.as_bytes(),
        b"--b\r\n",
        encoded.as_bytes(),
        b"--b\r\n",
        &binary(b"\0\n\r\xff"),
        b"\r\n--b--\r\n",
    ]
    .concat();
    let result = to_7bit(&message).expect("convertible");
    assert!(is_7bit_data(&result));
    let text = String::from_utf8(result.clone()).expect("ASCII");
    assert!(text.starts_with("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n"));
    assert!(text.contains(part) && text.contains(encoded), "{text}");
    assert_eq!(leaves(&result).last().map(Vec::as_slice), Some(&b"\0\n\r\xff"[..]));
}

#[test]
fn binary_data_where_no_encoding_helps_is_refused() {
    let refused = |message: &[u8]| to_7bit(message).expect_err("not convertible");
    assert_eq!(refused(b"Subject: \0\r\n\r\nx\r\n"), NotConvertible::BinaryHeader);
    let sealed =
        b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\0\r\n--b--\r\n";
    assert_eq!(refused(sealed), NotConvertible::Sealed("signed".into()));
    let nested = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n\0\r\n";
    assert_eq!(
        refused(nested),
        NotConvertible::Encoding("base64".into()),
        "RFC 3030 section 3: no nested encodings"
    );
}

#[test]
fn a_header_beyond_ascii_is_found_at_any_depth() {
    let part = |inner: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=\"b{0}\"\r\n\r\n--b{0}\r\n{inner}\r\n--b{0}--\r\n",
            inner.len()
        )
    };
    let in_body = "Content-Type: text/plain\r\n\r\n\u{e9}\r\n";
    let in_header = "Content-Description: \u{e9}\r\n\r\nx\r\n";
    let attached = "Content-Type: message/rfc822\r\n\r\nSubject: \u{e9}\r\n\r\nx\r\n";
    for (message, found) in [
        (in_body.to_owned(), false),
        (in_header.to_owned(), true),
        (part(in_body), false),
        (part(in_header), true),
        (part(&part(in_header)), true),
        (part(&part(in_body)), false),
        (part(attached), true),
        ("Subject: x\r\n\r\nSubject: \u{e9}\r\n".to_owned(), false),
    ] {
        assert_eq!(has_8bit_header(message.as_bytes()), found, "{message}");
    }
}

proptest! {
    #[test]
    fn any_binary_body_comes_back_whole(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let result = to_7bit(&binary(&body)).expect("convertible");
        prop_assert!(!is_binary(&result));
        if is_binary(&body) {
            prop_assert_eq!(leaves(&result), [body]);
        }
    }
}
