//! Messages: envelope, headers, content.

/// A message: envelope, headers and content are three things.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Its name in the scenario.
    pub name: String,
    /// The reverse-path; empty is `<>`.
    pub from: String,
    /// The forward-paths, ranges written out; verbatim, trailing spaces included.
    pub to: Vec<String>,
    /// How many times each `send` submits it; at least 1.
    pub copies: u32,
    /// The envelope's parameters.
    pub envelope: Envelope,
    /// Header fields in order, added to or in place of the default ones. `None` as the value: left out.
    pub headers: Vec<(String, Option<String>)>,
    /// The content.
    pub content: Content,
    /// Relay allowed to this client; an untrusted client's mail to foreign domains should be refused.
    pub trusted: bool,
}

/// What is asked of the envelope beyond the paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `BODY=`; `None`: absent.
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531 section 3.4).
    pub smtputf8: bool,
    /// By BDAT in place of DATA (RFC 3030 section 2).
    pub bdat: Option<Bdat>,
    /// `NOTIFY=` (RFC 3461 section 4.1), upper case; empty: absent.
    pub notify: Vec<String>,
    /// `ORCPT=` (RFC 3461 section 4.2): the type and the address, before their encoding.
    pub orcpt: Option<(String, String)>,
    /// `RET=` (RFC 3461 section 4.3): `FULL` or `HDRS`.
    pub ret: Option<String>,
    /// `ENVID=` (RFC 3461 section 4.4), before xtext encoding.
    pub envid: Option<String>,
    /// `AUTH=` of MAIL (RFC 4954 section 5), before xtext encoding; `<>` is nobody.
    pub auth: Option<String>,
    /// `SIZE=` (RFC 1870); `None`: absent.
    pub size: Option<u64>,
}

/// What MAIL says of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `7BIT` (RFC 6152 section 2).
    SevenBit,
    /// `8BITMIME` (RFC 6152 section 2).
    EightBitMime,
    /// `BINARYMIME` (RFC 3030 section 3).
    BinaryMime,
}

impl Body {
    /// The value of `BODY=`.
    pub fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }
}

/// How content is cut for BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bdat {
    /// One chunk, the last.
    Whole,
    /// Chunks of so many octets, at least 1; the last one may be smaller.
    Chunks(u64),
}

/// What the content is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// What is in it; beside [`Content::raw`] and [`Content::file`] it has no meaning.
    pub body: Part,
    /// The whole message, headers included, as it stands on the wire: no dot-stuffing, nothing added.
    pub raw: Option<Vec<u8>>,
    /// The whole message, headers included, from a file; dots are stuffed on the way, nothing is added.
    pub file: Option<Vec<u8>>,
    /// The body without its last CRLF.
    pub no_final_newline: bool,
    /// Signed by the senders' domain (RFC 6376, RFC 8463), in this canonicalization.
    pub dkim: Option<Canonicalization>,
}

/// The canonicalization of header and body for a signature (RFC 6376 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonicalization {
    /// `relaxed/relaxed`.
    Relaxed,
    /// `simple/simple`.
    Simple,
}

/// A MIME entity (RFC 2045 section 2.4): the content's body, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The media type: `text/html`; `None`: by what is in it.
    pub kind: Option<String>,
    /// The charset parameter, and what the text is written in; `None`: UTF-8 where there is more than ASCII.
    pub charset: Option<String>,
    /// The transfer encoding; `None`: none is needed, or the least that the octets allow.
    pub encoding: Option<TransferEncoding>,
    /// The name of the file that it is.
    pub name: Option<String>,
    /// Header fields in place of its own, or added. `None` as the value: left out.
    pub headers: Vec<(String, Option<String>)>,
    /// What is in it.
    pub inside: Inside,
}

/// What is in a MIME entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// Lines of text.
    Text(Text),
    /// Octets, before they are encoded for the transfer.
    Octets(Vec<u8>),
    /// Further parts.
    Parts(Vec<Part>),
}

impl Default for Inside {
    fn default() -> Self {
        Self::Text(Text::default())
    }
}

/// Lines of text, or how to make them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text; `None`: a short line.
    pub text: Option<String>,
    /// How many times it is repeated, each time on a line of its own; 0 is as 1.
    pub lines: u32,
    /// Each line is repeated until it has so many octets, its end not counted.
    pub width: Option<u64>,
}

/// How octets are written for the way (RFC 2045 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`: as they are.
    SevenBit,
    /// `8bit`: as they are.
    EightBit,
    /// `binary`: as they are.
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
}

impl TransferEncoding {
    /// The value of Content-Transfer-Encoding.
    pub fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }
}

impl Message {
    /// The domain that signs it (RFC 6376 section 3.5, `d=`): that of From, else of the reverse-path, else the senders'
    /// own. `None`: it is not signed.
    pub fn signing_domain(&self) -> Option<String> {
        self.content.dkim?;
        let from = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("From"));
        let of = |address: &str| {
            let domain = address.rsplit_once('@')?.1;
            let domain: String =
                domain.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
            mock_servers::dns::canonical_name(&domain).ok().filter(|domain| !domain.is_empty())
        };
        let header = from.and_then(|(_, value)| value.as_deref()).and_then(of);
        Some(header.or_else(|| of(&self.from)).unwrap_or_else(|| "origin.example".to_owned()))
    }
}
