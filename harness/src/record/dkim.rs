//! DKIM (RFC 6376) with ed25519-sha256 (RFC 8463): the signatures of the run's own messages, and whether a copy still
//! has one that holds.
//!
//! There is one key in the world, the same in every run: the first test vector of RFC 8032, which RFC 8463 appendix A
//! uses too. Nobody's mail is safe with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// The selector under which the key is published.
const SELECTOR: &str = "gauntlet";

/// The key (RFC 8032 section 7.1, test 1).
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

/// The fields that are signed, where a message has them. A relay leaves each of them alone (RFC 5321 section 3.6.3).
const SIGNED: [&str; 9] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Where a domain's key is (RFC 6376 section 3.6.2.1).
pub fn key_name(domain: &str) -> String {
    format!("{SELECTOR}._domainkey.{domain}")
}

/// The TXT record with the key (RFC 8463 section 4).
pub fn key_record() -> String {
    format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key().public_key()))
}

/// The signature field for a message, its CRLF included; to be put before everything else. `simple` is the
/// canonicalization of header and body, `relaxed` without it.
pub fn signature(content: &[u8], domain: &str, simple: bool) -> String {
    let (fields, body) = raw_fields(content);
    let form = if simple { Form::Simple } else { Form::Relaxed };
    let names: Vec<&str> =
        SIGNED.into_iter().filter(|name| fields.iter().any(|field| field.is(name))).collect();
    let body_hash = STANDARD.encode(digest(&SHA256, &form.body(body)));
    let word = if simple { "simple" } else { "relaxed" };
    let unsigned = format!(
        "DKIM-Signature: v=1; a=ed25519-sha256; c={word}/{word};\r\n\td={domain}; s={SELECTOR};\r\n\th={};\r\n\t\
         bh={body_hash};\r\n\tb=",
        names.join(":")
    );
    let field = RawField(unsigned.as_bytes());
    let hash = header_hash(&fields, &names, &field, form);
    format!("{unsigned}{}\r\n", STANDARD.encode(key().sign(&hash)))
}

/// Whether a copy still has a signature of this domain that holds.
///
/// # Errors
/// What is wrong with it, in words: it is gone, the body is another, the header is another.
pub fn verify(content: &[u8], domain: &str) -> Result<(), String> {
    let (fields, body) = raw_fields(content);
    let ours = |field: &&RawField<'_>| {
        let tags = field.tags();
        field.is("DKIM-Signature")
            && tag(&tags, "s") == Some(SELECTOR)
            && tag(&tags, "d").is_some_and(|d| d.eq_ignore_ascii_case(domain))
    };
    let Some(field) = fields.iter().find(ours) else { return Err("the signature is gone".to_owned()) };
    check(field, &fields, body, key().public_key().as_ref())
}

/// One signature against one key (RFC 6376 section 6.1.3).
fn check(signed: &RawField<'_>, fields: &[RawField<'_>], body: &[u8], key: &[u8]) -> Result<(), String> {
    let tags = signed.tags();
    let asked = |name: &str| tag(&tags, name).ok_or_else(|| format!("the signature has lost its `{name}=`"));
    let (header_form, body_form) = match tag(&tags, "c").unwrap_or("simple/simple").split_once('/') {
        Some((header, body)) => (Form::of(header), Form::of(body)),
        None => (Form::of(tag(&tags, "c").unwrap_or("simple")), Form::Simple),
    };
    if decoded(asked("bh")?).as_deref() != Some(digest(&SHA256, &body_form.body(body)).as_ref()) {
        return Err("the body is not the one that was signed".to_owned());
    }
    let names: Vec<&str> = asked("h")?.split(':').map(str::trim).collect();
    let signature = decoded(asked("b")?).unwrap_or_default();
    let without = without_signature(signed.0);
    let hash = header_hash(fields, &names, &RawField(&without), header_form);
    let holds = UnparsedPublicKey::new(&ED25519, key).verify(&hash, &signature).is_ok();
    if holds { Ok(()) } else { Err("the header is not the one that was signed".to_owned()) }
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&SEED).expect("32 octets are a seed")
}

/// What is signed (RFC 6376 section 3.7; RFC 8463 section 3: its SHA-256).
fn header_hash(fields: &[RawField<'_>], names: &[&str], signature: &RawField<'_>, form: Form) -> Vec<u8> {
    let mut signed = Vec::new();
    let mut used = vec![false; fields.len()];
    for name in names {
        // RFC 6376 section 5.4.2: from the last one up; one that is not there is nothing
        if let Some(at) = (0..fields.len()).rev().find(|&at| !used[at] && fields[at].is(name)) {
            used[at] = true;
            signed.extend(form.field(&fields[at]));
            signed.extend_from_slice(b"\r\n");
        }
    }
    signed.extend(form.field(signature));
    digest(&SHA256, &signed).as_ref().to_vec()
}

/// RFC 6376 section 3.4.
#[derive(Clone, Copy)]
enum Form {
    Simple,
    Relaxed,
}

impl Form {
    fn of(word: &str) -> Self {
        if word.trim().eq_ignore_ascii_case("relaxed") { Self::Relaxed } else { Self::Simple }
    }

    /// A field without its last CRLF (sections 3.4.1, 3.4.2).
    fn field(self, field: &RawField<'_>) -> Vec<u8> {
        let raw = field.0.strip_suffix(b"\r\n").unwrap_or(field.0);
        if let Self::Simple = self {
            return raw.to_vec();
        }
        let colon = raw.iter().position(|b| *b == b':').unwrap_or(raw.len());
        let (name, value) = raw.split_at(colon);
        let mut out = name.trim_ascii_end().to_ascii_lowercase();
        out.push(b':');
        let unfolded: Vec<u8> =
            value.iter().skip(1).copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        out.extend(squeezed(&unfolded).trim_ascii());
        out
    }

    /// Sections 3.4.3, 3.4.4.
    fn body(self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len() + 2);
        match self {
            Self::Simple => out.extend_from_slice(body),
            Self::Relaxed => {
                let mut rest = body;
                while !rest.is_empty() {
                    let end = rest.windows(2).position(|pair| pair == b"\r\n");
                    let line = squeezed(&rest[..end.unwrap_or(rest.len())]);
                    out.extend_from_slice(line.strip_suffix(b" ").unwrap_or(&line));
                    if end.is_some() {
                        out.extend_from_slice(b"\r\n");
                    }
                    rest = end.map_or(&[], |end| &rest[end + 2..]);
                }
            }
        }
        while out.ends_with(b"\r\n") {
            out.truncate(out.len() - 2);
        }
        // An empty body is a line's end in the simple form and nothing in the relaxed one.
        if !out.is_empty() || matches!(self, Self::Simple) {
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// Each run of spaces and tabs is one space.
fn squeezed(text: &[u8]) -> Vec<u8> {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let mut out = Vec::with_capacity(text.len());
    for (at, octet) in text.iter().enumerate() {
        if !is_blank(octet) {
            out.push(*octet);
        } else if at == 0 || !is_blank(&text[at - 1]) {
            out.push(b' ');
        }
    }
    out
}

/// A header field as it stands, folding and last CRLF included.
struct RawField<'a>(&'a [u8]);

impl RawField<'_> {
    fn is(&self, name: &str) -> bool {
        let colon = self.0.iter().position(|b| *b == b':').unwrap_or(0);
        self.0[..colon].trim_ascii_end().eq_ignore_ascii_case(name.as_bytes())
    }

    /// RFC 6376 section 3.2, white space around names and values taken off.
    fn tags(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(self.0);
        let list = text.split_once(':').map_or("", |(_, list)| list);
        let pair = |tag: &str| {
            let (name, value) = tag.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        list.split(';').filter_map(pair).collect()
    }
}

fn tag<'t>(tags: &'t [(String, String)], name: &str) -> Option<&'t str> {
    tags.iter().find(|tag| tag.0 == name).map(|tag| tag.1.as_str())
}

/// Base64, in which white space has no meaning (RFC 6376 section 3.5).
fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.split_whitespace().collect::<String>()).ok()
}

/// The signature field with nothing behind `b=` (RFC 6376 section 3.5).
fn without_signature(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let colon = field.iter().position(|b| *b == b':').map_or(0, |at| at + 1);
    out.extend_from_slice(&field[..colon]);
    for (nth, tag) in field[colon..].split(|b| *b == b';').enumerate() {
        if nth > 0 {
            out.push(b';');
        }
        let equals = tag.iter().position(|b| *b == b'=').unwrap_or(tag.len());
        if tag[..equals].trim_ascii() == b"b" {
            out.extend_from_slice(&tag[..(equals + 1).min(tag.len())]);
        } else {
            out.extend_from_slice(tag);
        }
    }
    out
}

/// The header's fields as they stand, and the body. A line that is no field ends the header.
fn raw_fields(content: &[u8]) -> (Vec<RawField<'_>>, &[u8]) {
    let line_end = |from: usize| {
        content[from..].windows(2).position(|pair| pair == b"\r\n").map_or(content.len(), |at| from + at + 2)
    };
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < content.len() {
        if content[at..].starts_with(b"\r\n") {
            return (fields, &content[at + 2..]);
        }
        let mut end = line_end(at);
        while matches!(content.get(end), Some(b' ' | b'\t')) {
            end = line_end(end);
        }
        if !content[at..end].contains(&b':') {
            return (fields, &content[at..]);
        }
        fields.push(RawField(&content[at..end]));
        at = end;
    }
    (fields, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// RFC 8463 appendix A.3, the Ed25519 signature; the key is the same as ours.
    const FOOTBALL: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
        d=football.example.com; i=@football.example.com;\r\n \
        q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
        subject : date : message-id : from : subject : date;\r\n \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n \
        Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n\
        From: Joe SixPack <joe@football.example.com>\r\n\
        To: Suzie Q <suzie@shopping.example.net>\r\n\
        Subject: Is dinner ready?\r\n\
        Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
        Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
        \r\n\
        Hi.\r\n\
        \r\n\
        We lost the game.  Are you hungry yet?\r\n\
        \r\n\
        Joe.\r\n";

    const NOTE: &str = "From: <a@origin.example>\r\nSubject: one\r\n two\r\n\r\nHello,  you. \r\n\r\n\r\n";

    fn of_football(content: &str) -> Result<(), String> {
        let (fields, body) = raw_fields(content.as_bytes());
        check(&fields[0], &fields, body, &decoded("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").unwrap())
    }

    #[test]
    fn the_signature_of_rfc_8463_holds_until_anything_is_changed() {
        assert_eq!(of_football(FOOTBALL), Ok(()));
        assert_eq!(
            of_football(&FOOTBALL.replace("lost", "won")),
            Err("the body is not the one that was signed".into())
        );
        assert!(of_football(&FOOTBALL.replace("dinner", "lunch")).unwrap_err().contains("header"));
        // oversigned: a second Subject is one that was not there
        let added = FOOTBALL.replace("Subject:", "Subject: Ha\r\nSubject:");
        assert!(of_football(&added).unwrap_err().contains("header"));
    }

    #[test]
    fn the_key_is_that_of_the_rfc() {
        assert_eq!(key_record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }

    /// RFC 6376 section 3.4.5, 3.4.4 and 3.4.3.
    #[test]
    fn canonical_forms_are_those_of_rfc_6376() {
        let (fields, body) = raw_fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n");
        assert_eq!(Form::Relaxed.field(&fields[0]), b"a:X");
        assert_eq!(Form::Relaxed.field(&fields[1]), b"b:Y Z");
        assert_eq!(Form::Simple.field(&fields[1]), b"B : Y\t\r\n\tZ  ");
        assert_eq!(Form::Relaxed.body(body), b" C\r\nD E\r\n");
        assert_eq!(Form::Simple.body(body), b" C \r\nD \t E\r\n");
        assert_eq!((Form::Relaxed.body(b"\r\n"), Form::Simple.body(b"")), (Vec::new(), b"\r\n".to_vec()));
        assert_eq!(Form::Relaxed.body(b"no line end"), b"no line end\r\n");
    }

    #[rstest]
    #[case::as_it_was(false, "", "", true)]
    #[case::trace_added(false, "From: ", "Received: by x\r\nFrom: ", true)]
    #[case::refolded(false, "one\r\n two", "one two", true)]
    #[case::refolded_simple(true, "one\r\n two", "one two", false)]
    #[case::space_in_the_body(false, "Hello,  you. ", "Hello, you.", true)]
    #[case::space_in_the_body_simple(true, "Hello,  you. ", "Hello, you.", false)]
    #[case::lines_at_the_end(true, "\r\n\r\n\r\n", "\r\n", true)]
    #[case::another_subject(false, "one", "none", false)]
    #[case::gone(false, "DKIM-Signature: ", "X-Signature: ", false)]
    #[case::of_another(false, "d=origin.example", "d=other.example", false)]
    fn our_own_signatures_hold_as_far_as_they_should(
        #[case] simple: bool,
        #[case] from: &str,
        #[case] to: &str,
        #[case] holds: bool,
    ) {
        let signed = signature(NOTE.as_bytes(), "origin.example", simple) + NOTE;
        let passed_on = if from.is_empty() { signed } else { signed.replace(from, to) };
        assert_eq!(verify(passed_on.as_bytes(), "Origin.Example").is_ok(), holds, "{passed_on}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_content_makes_it_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(verify(&octets, "origin.example").is_err());
        }

        #[test]
        fn no_damage_to_a_signed_message_makes_it_panic(at in 0usize..500, octet in any::<u8>(), cut in 0usize..500) {
            let mut signed = (signature(NOTE.as_bytes(), "origin.example", true) + NOTE).into_bytes();
            let at = at % signed.len();
            signed[at] = octet;
            signed.truncate(cut.max(1));
            let _ = verify(&signed, "origin.example");
        }
    }
}
