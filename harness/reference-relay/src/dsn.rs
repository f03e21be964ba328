//! The parameters of RFC 3461 as they travel with a message.

use serde::{Deserialize, Serialize};

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::address::{decode_xtext, is_xtext};

/// The value of NOTIFY (section 4.1), kept as it was given: it is passed on with the same value (section 5.2.1 (c)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notify(String);

impl Notify {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let wanted: Vec<_> = value.split(',').map(str::to_ascii_uppercase).collect();
        let legal = match wanted.as_slice() {
            [one] if one == "NEVER" => true,
            several => several.iter().all(|word| matches!(word.as_str(), "SUCCESS" | "FAILURE" | "DELAY")),
        };
        legal.then(|| Self(value.to_owned()))
    }

    pub(crate) fn value(&self) -> &str {
        &self.0
    }

    /// Whether `SUCCESS`, `FAILURE` or `DELAY` is among what is asked for.
    pub(crate) fn asks_for(&self, event: &str) -> bool {
        self.0.split(',').any(|word| word.eq_ignore_ascii_case(event))
    }
}

/// The value of RET (section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ret {
    Full,
    Headers,
}

impl Ret {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        match value.to_ascii_uppercase().as_str() {
            "FULL" => Some(Self::Full),
            "HDRS" => Some(Self::Headers),
            _ => None,
        }
    }

    pub(crate) fn value(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

/// The value of ENVID (section 4.4): an xtext of at most 100 characters.
pub(crate) fn is_envelope_id(value: &str) -> bool {
    value.len() <= 100 && is_xtext(value)
}

/// The value of ORCPT (section 4.2): an address type, a semicolon, an xtext; 500 characters at most. The type `utf-8` has
/// a form of its own, which may hold octets above 127 (RFC 6533 section 3).
pub(crate) fn is_original_recipient(value: &str) -> bool {
    value.len() <= 500
        && value.split_once(';').is_some_and(|(kind, address)| {
            !kind.is_empty()
                && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !address.is_empty()
                && if is_utf8_type(kind) { is_unitext(address) } else { is_xtext(address) }
        })
}

/// ORCPT as it can go to a server without SMTPUTF8: what is not ASCII is spelt out (RFC 6533 section 3, MUST).
pub(crate) fn original_in_ascii(value: &str) -> Cow<'_, str> {
    if value.is_ascii() {
        return Cow::Borrowed(value);
    }
    let mut ascii = String::new();
    for c in value.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            // writing into a String does not fail
            let _ = write!(ascii, "\\x{{{:02X}}}", u32::from(c));
        }
    }
    Cow::Owned(ascii)
}

/// ORCPT as a notification in ASCII shows it: the type as given, the address decoded (RFC 3461 section 6.3 (a)), and that
/// of the type `utf-8` as utf-8-addr-xtext (RFC 6533 section 3).
pub(crate) fn decoded_original_recipient(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    if is_utf8_type(kind) {
        return Some(original_in_ascii(value).into_owned());
    }
    Some(format!("{kind};{}", decode_xtext(address)?))
}

fn is_utf8_type(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("utf-8")
}

/// utf-8-enc-addr: printable ASCII but backslash, `+` and `=`; what is not ASCII; and `\x{…}` for either.
fn is_unitext(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let good = match c {
            '\\' => {
                rest.strip_prefix("x{").and_then(|hex| hex.split_once('}')).is_some_and(|(hex, after)| {
                    rest = after;
                    (2..=6).contains(&hex.len())
                        && u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).is_some()
                })
            }
            '+' | '=' => false,
            c => c.is_ascii_graphic() || !(c.is_ascii() || c.is_control()),
        };
        if !good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_never_or_a_list() {
        for good in ["NEVER", "never", "SUCCESS", "FAILURE,DELAY", "Success,Failure,Delay"] {
            assert!(Notify::parse(good).is_some(), "{good}");
        }
        for bad in ["", "NEVER,FAILURE", "ALWAYS", "SUCCESS,", "SUCCESS FAILURE"] {
            assert!(Notify::parse(bad).is_none(), "{bad}");
        }
        assert!(
            Notify::parse("failure,delay").is_some_and(|n| n.asks_for("DELAY") && !n.asks_for("SUCCESS"))
        );
    }

    #[test]
    fn an_original_recipient_has_a_type_and_an_xtext() {
        assert!(is_original_recipient("rfc822;joe@x.example"));
        for bad in ["joe@x.example", ";joe", "rfc822;", "rfc822;a=b", "rfc 822;a"] {
            assert!(!is_original_recipient(bad), "{bad}");
        }
        assert_eq!(decoded_original_recipient("rfc822;a+2Bb@c").as_deref(), Some("rfc822;a+b@c"));
    }

    #[test]
    fn the_utf8_address_type_has_three_forms() {
        let forms = ["utf-8;jos\u{e9}@x", "UTF-8;jos\\x{E9}@x", "utf-8;\\x{2B}@x", "utf-8;joe@x"];
        for good in forms {
            assert!(is_original_recipient(good), "{good}");
        }
        for bad in
            ["rfc822;jos\u{e9}@x", "utf-8;a+b", "utf-8;a=b", "utf-8;\\x{E9", "utf-8;\\xE9", "utf-8;\\x{D800}"]
        {
            assert!(!is_original_recipient(bad), "{bad}");
        }
        assert_eq!(original_in_ascii(forms[0]), "utf-8;jos\\x{E9}@x");
        assert_eq!(decoded_original_recipient(forms[0]).as_deref(), Some("utf-8;jos\\x{E9}@x"));
        assert_eq!(decoded_original_recipient(forms[1]).as_deref(), Some("UTF-8;jos\\x{E9}@x"));
    }
}
