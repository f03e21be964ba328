//! Whether and how mail that may need SMTPUTF8 goes to a host (RFC 6531 sections 3.2 and 3.4).
//!
//! To a host that does not offer it goes what is ASCII, or can be made so without changing what it says: a domain can, a
//! local part and a header field cannot.

use std::borrow::Cow;

use crate::address;
use crate::envelope::Envelope;
use crate::mime;

/// How a message's addresses go to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// Without the parameter. Domains are written as A-labels.
    Ascii,
    /// With the parameter, as they are.
    Utf8,
}

/// Why a host without SMTPUTF8 cannot have a message, or a recipient of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// RFC 6531 section 4.2, X.6.7.
    Address,
    /// RFC 6531 section 4.2, X.6.9.
    Header,
}

impl Passage {
    /// For all recipients together; [`Passage::carries`] tells of each.
    pub(super) fn of(offered: bool, envelope: &Envelope, content: &[u8]) -> Result<Self, Needs> {
        if !envelope.smtputf8 {
            return Ok(Self::Ascii);
        }
        if offered {
            // Section 3.4: not where it is known to be of no use. To look for 8-bit octets anywhere is enough for that.
            let addresses = envelope.recipients.iter().map(|recipient| &recipient.to.address);
            let is_ascii = addresses.chain([&envelope.sender]).all(|address| address.is_ascii());
            return Ok(if is_ascii && !mime::has_8bit(content) { Self::Ascii } else { Self::Utf8 });
        }
        if address::in_ascii(&envelope.sender).is_none() {
            Err(Needs::Address)
        } else if mime::has_8bit_header(content) {
            Err(Needs::Header)
        } else {
            Ok(Self::Ascii)
        }
    }

    /// Whether an address can go.
    pub(super) fn carries(self, address: &str) -> bool {
        self == Self::Utf8 || address::in_ascii(address).is_some()
    }

    /// An address that can go, as it goes.
    pub(super) fn spell(self, address: &str) -> Cow<'_, str> {
        match self {
            Self::Utf8 => Cow::Borrowed(address),
            Self::Ascii => address::in_ascii(address).unwrap_or(Cow::Borrowed(address)),
        }
    }
}

impl Needs {
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Address => "5.6.7",
            Self::Header => "5.6.9",
        }
    }

    pub(super) fn explain(self, host: &str) -> String {
        let what = match self {
            Self::Address => "an address",
            Self::Header => "a header field",
        };
        format!("The message has {what} beyond ASCII, which {host} does not take (it offers no SMTPUTF8).")
    }
}
