//! The parameters of RFC 3461 as they travel with a message.

use serde::{Deserialize, Serialize};

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

/// The value of ORCPT (section 4.2): an address type, a semicolon, an xtext; 500 characters at most.
pub(crate) fn is_original_recipient(value: &str) -> bool {
    value.len() <= 500
        && value.split_once(';').is_some_and(|(kind, address)| {
            !kind.is_empty()
                && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !address.is_empty()
                && is_xtext(address)
        })
}

/// ORCPT as a notification shows it: the type as given, the address decoded (RFC 3461 section 6.3 (a)).
pub(crate) fn decoded_original_recipient(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    Some(format!("{kind};{}", decode_xtext(address)?))
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
}
