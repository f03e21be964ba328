//! Paths, mailboxes and domains as they stand in MAIL and RCPT (RFC 5321 sections 4.1.2 and 4.1.3), with UTF-8 where RFC 6531
//! section 3.3 has it; whether it may stand there now is the session's business.
//!
//! The grammar is kept to the letter. Addresses are kept as they were given: a relay does not interpret local parts
//! (section 2.3.11), and ORCPT and notifications want the sender's own spelling.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands between `<` and `>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Path {
    /// `<>`: the null reverse-path.
    Null,
    /// `<Postmaster>` without a domain, in whatever case (section 4.1.1.3).
    Postmaster,
    /// A mailbox, as given, without its source route (Appendix C: accepted, ignored).
    Mailbox(String),
}

impl Path {
    /// Whether it can stand only where SMTPUTF8 is in use.
    pub(crate) fn needs_utf8(&self) -> bool {
        matches!(self, Self::Mailbox(address) if !address.is_ascii())
    }
}

/// Whether a space between a domain and `>` is let through. Only a vintage relay does (KB Q254893).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrailingSpace {
    Refused,
    Kept,
}

/// What is wrong with a path, for the text of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadPath(&'static str);

/// Reads a path from the start of `input`; gives it and what follows the `>`.
pub(crate) fn path(input: &str, space: TrailingSpace) -> Result<(Path, &str), BadPath> {
    let inner = input.strip_prefix('<').ok_or(BadPath("a path begins with <"))?;
    if let Some(rest) = inner.strip_prefix('>') {
        return Ok((Path::Null, rest));
    }
    if let Some((name, rest)) = inner.split_once('>')
        && name.eq_ignore_ascii_case("postmaster")
    {
        return Ok((Path::Postmaster, rest));
    }
    let start = source_route(inner)?;
    let rest = local_part(start)?;
    let rest = rest.strip_prefix('@').ok_or(BadPath("no domain in the address"))?;
    let mut rest = domain_or_literal(rest)?;
    if space == TrailingSpace::Kept {
        rest = rest.trim_start_matches(' ');
    }
    let address = &start[..start.len() - rest.len()];
    let rest =
        rest.strip_prefix('>').ok_or(BadPath("a character that cannot stand there, or no > at the end"))?;
    Ok((Path::Mailbox(address.to_owned()), rest))
}

/// The part of a mailbox after its last `@`; empty when there is none.
pub(crate) fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// A domain as DNS and servers without SMTPUTF8 have it: U-labels become A-labels (RFC 6531 section 3.2). What is no
/// domain stays as it is.
pub(crate) fn a_labels(domain: &str) -> Cow<'_, str> {
    if domain.is_ascii() {
        return Cow::Borrowed(domain);
    }
    idna::domain_to_ascii_strict(domain).map_or(Cow::Borrowed(domain), Cow::Owned)
}

/// Whether two domains are the same: case does not count, and A-labels are their U-labels.
pub(crate) fn same_domain(one: &str, other: &str) -> bool {
    a_labels(one).eq_ignore_ascii_case(&a_labels(other))
}

/// The address in ASCII, if that can be had without touching its local part.
pub(crate) fn in_ascii(address: &str) -> Option<Cow<'_, str>> {
    if address.is_ascii() {
        return Some(Cow::Borrowed(address));
    }
    let (local, domain) = address.rsplit_once('@')?;
    let ascii = format!("{local}@{}", a_labels(domain));
    ascii.is_ascii().then_some(Cow::Owned(ascii))
}

/// The address inside an address literal: `[198.51.100.7]`, `[IPv6:2001:db8::7]`.
pub(crate) fn literal(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// True for an ASCII domain in the sense of section 4.1.2: labels of letters, digits and inner hyphens between single dots.
pub(crate) fn is_domain(text: &str) -> bool {
    text.is_ascii() && domain(text).is_ok_and(str::is_empty)
}

/// True for a domain of two labels or more, the last of which is not a number.
pub(crate) fn is_fully_qualified(text: &str) -> bool {
    is_domain(text)
        && text.rsplit_once('.').is_some_and(|(_, last)| last.bytes().any(|byte| !byte.is_ascii_digit()))
}

/// RFC 3461 section 4: printable ASCII but `+` and `=`, which are written as `+` and two upper-case hexadecimal digits.
pub(crate) fn is_xtext(text: &str) -> bool {
    decode_xtext(text).is_some()
}

/// What an xtext stands for; octets outside ASCII come out as U+FFFD. `None` when it is no xtext.
pub(crate) fn decode_xtext(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => upper_hex(bytes.next()?)? * 16 + upper_hex(bytes.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => byte,
            _ => return None,
        });
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

fn upper_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Skips `@a.example,@b.example:`.
fn source_route(mut input: &str) -> Result<&str, BadPath> {
    if !input.starts_with('@') {
        return Ok(input);
    }
    loop {
        let hop = input.strip_prefix('@').ok_or(BadPath("a source route is a list of @domain"))?;
        let rest = domain(hop)?;
        if let Some(mailbox) = rest.strip_prefix(':') {
            return Ok(mailbox);
        }
        input = rest.strip_prefix(',').ok_or(BadPath("a source route ends with a colon"))?;
    }
}

/// Skips a `Dot-string` or a `Quoted-string`.
fn local_part(input: &str) -> Result<&str, BadPath> {
    if let Some(mut rest) = input.strip_prefix('"') {
        loop {
            let mut characters = rest.chars();
            match characters.next().ok_or(BadPath("no closing quote"))? {
                '"' => return Ok(characters.as_str()),
                '\\' if matches!(characters.next(), Some(' '..='~')) => {}
                '\\' => return Err(BadPath("a backslash before nothing")),
                ' '..='~' => {}
                beyond if is_beyond_ascii(beyond) => {}
                _ => return Err(BadPath("a character that cannot stand in quotes")),
            }
            rest = characters.as_str();
        }
    }
    let mut rest = input;
    loop {
        let after = rest.trim_start_matches(is_atext);
        if after.len() == rest.len() {
            return Err(BadPath("an empty or illegal local part"));
        }
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None => return Ok(after),
        }
    }
}

/// RFC 5322 section 3.2.3, and RFC 6531 section 3.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || is_beyond_ascii(character)
}

/// UTF8-non-ascii (RFC 6532 section 3.1), but for the controls of Unicode, which stand for no letter of anybody's name.
fn is_beyond_ascii(character: char) -> bool {
    !character.is_ascii() && !character.is_control()
}

fn domain_or_literal(input: &str) -> Result<&str, BadPath> {
    if !input.starts_with('[') {
        return domain(input);
    }
    // A General-address-literal needs a tag from a standards-track RFC, and there is none but IPv6 (section 4.1.3).
    let end = input.find(']').ok_or(BadPath("no ] at the end of the address literal"))? + 1;
    literal(&input[..end]).map(|_| &input[end..]).ok_or(BadPath("an address literal holds no such address"))
}

/// Skips a `Domain`. Its U-labels are those that IDNA knows (RFC 6531 section 3.3).
fn domain(input: &str) -> Result<&str, BadPath> {
    let rest = labels(input)?;
    let domain = &input[..input.len() - rest.len()];
    if !domain.is_ascii() && idna::domain_to_ascii_strict(domain).is_err() {
        return Err(BadPath("a label in the domain that IDNA does not know"));
    }
    Ok(rest)
}

fn labels(input: &str) -> Result<&str, BadPath> {
    let mut rest = input;
    loop {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || is_beyond_ascii(c);
        let after = rest.trim_start_matches(is_inner);
        let label = &rest[..rest.len() - after.len()];
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            return Err(BadPath("an empty or illegal label in the domain"));
        }
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None => return Ok(after),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn strict(input: &str) -> Result<(Path, &str), BadPath> {
        path(input, TrailingSpace::Refused)
    }

    #[rstest]
    #[case::plain("<joe@x.example>", "joe@x.example")]
    #[case::dots("<j.o.e@x.example>", "j.o.e@x.example")]
    #[case::every_atext("<!#$%&'*+-/=?^_`{|}~@x.example>", "!#$%&'*+-/=?^_`{|}~@x.example")]
    #[case::quoted(r#"<"j > @ e"@x.example>"#, r#""j > @ e"@x.example"#)]
    #[case::quoted_pair(r#"<"j\"\\e"@x.example>"#, r#""j\"\\e"@x.example"#)]
    #[case::empty_quotes(r#"<""@x.example>"#, r#"""@x.example"#)]
    #[case::ipv4("<joe@[198.51.100.7]>", "joe@[198.51.100.7]")]
    #[case::ipv6("<joe@[IPv6:2001:db8::7]>", "joe@[IPv6:2001:db8::7]")]
    #[case::source_route("<@a.example,@b.example:joe@x.example>", "joe@x.example")]
    #[case::single_label("<joe@localhost>", "joe@localhost")]
    #[case::utf8("<jos\u{e9}@b\u{fc}cher.example>", "jos\u{e9}@b\u{fc}cher.example")]
    #[case::utf8_in_quotes("<\"jos \u{e9}\"@x.example>", "\"jos \u{e9}\"@x.example")]
    #[case::chinese(
        "<\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example>",
        "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example"
    )]
    fn takes_what_the_grammar_allows(#[case] input: &str, #[case] address: &str) {
        assert_eq!(strict(input), Ok((Path::Mailbox(address.to_owned()), "")));
    }

    #[rstest]
    #[case("joe@x.example")]
    #[case("<joe@x.example")]
    #[case("<joe>")]
    #[case("<@x.example>")]
    #[case("<joe@>")]
    #[case("<joe@x..example>")]
    #[case("<joe@x.example.>")]
    #[case("<joe@-x.example>")]
    #[case("<joe@x-.example>")]
    #[case("<joe@x_y.example>")]
    #[case("<joe@x.example >")]
    #[case("< joe@x.example>")]
    #[case("<.joe@x.example>")]
    #[case("<joe.@x.example>")]
    #[case("<j..e@x.example>")]
    #[case("<j e@x.example>")]
    #[case("<joe@y@x.example>")]
    #[case(r#"<"joe@x.example>"#)]
    #[case(r#"<"joe\"#)]
    #[case("<joe@[198.51.100]>")]
    #[case("<joe@[2001:db8::7]>")]
    #[case("<joe@[x.example]>")]
    #[case("<@a.example,b.example:joe@x.example>")]
    #[case("<@a.example joe@x.example>")]
    #[case("<jo\u{85}@x.example>")]
    #[case("<joe@x.\u{2028}.example>")]
    #[case("<joe@[\u{e9}]>")]
    fn refuses_what_the_grammar_does_not_allow(#[case] input: &str) {
        assert!(strict(input).is_err(), "{input} was taken");
    }

    #[test]
    fn u_labels_become_a_labels_and_local_parts_stay() {
        assert_eq!(in_ascii("joe@b\u{fc}cher.example").as_deref(), Some("joe@xn--bcher-kva.example"));
        assert_eq!(in_ascii("joe@x.example").as_deref(), Some("joe@x.example"));
        assert_eq!(in_ascii("jos\u{e9}@x.example"), None);
        assert!(same_domain("B\u{dc}CHER.example", "xn--bcher-kva.EXAMPLE"));
        assert!(!same_domain("bucher.example", "xn--bcher-kva.example"));
    }

    #[test]
    fn gives_back_what_follows_the_path() {
        assert_eq!(strict("<> SIZE=1"), Ok((Path::Null, " SIZE=1")));
        assert_eq!(strict("<PostMaster> NOTIFY=NEVER"), Ok((Path::Postmaster, " NOTIFY=NEVER")));
    }

    #[test]
    fn a_trailing_space_is_kept_where_it_is_let_through() {
        let taken = path("<joe@invaliddomain.example >", TrailingSpace::Kept);
        assert_eq!(taken, Ok((Path::Mailbox("joe@invaliddomain.example ".to_owned()), "")));
    }

    #[test]
    fn a_fully_qualified_name_has_two_labels_and_no_number_at_the_end() {
        assert!(is_fully_qualified("mx.x.example"));
        for short in ["mx", "mx.", "198.51.100.7", "", "-mx.example"] {
            assert!(!is_fully_qualified(short), "{short}");
        }
    }

    #[test]
    fn xtext_is_decoded_and_checked() {
        assert_eq!(decode_xtext("joe+2Bbox@x.example").as_deref(), Some("joe+box@x.example"));
        for bad in ["a=b", "a+2", "a+2b", "a b", "a+"] {
            assert!(!is_xtext(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(input in "\\PC{0,60}") {
            let _ = path(&input, TrailingSpace::Kept);
            let _ = strict(&format!("<{input}>"));
            let _ = literal(&input);
            let _ = decode_xtext(&input);
        }
    }
}
