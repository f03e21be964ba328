//! Names that a scenario sets itself.

use std::time::Duration;

/// A name in the DNS that the scenario sets itself.
#[derive(Debug, Clone)]
pub enum DnsEntry {
    /// A name with records, or with settings alone; the lab fills addresses in.
    Records(Box<DnsRecords>),
    /// The name as a whole fails.
    Fault {
        /// The name.
        name: String,
        /// How.
        fault: DnsFault,
    },
    /// One entry until a moment of the run, then another.
    Until {
        /// The moment, from the start of the run.
        until: Duration,
        /// Before it.
        first: Box<DnsEntry>,
        /// From it on.
        then: Box<DnsEntry>,
    },
}

impl DnsEntry {
    /// The name that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Records(records) => &records.name,
            Self::Fault { name, .. } => name,
            Self::Until { first, .. } => first.name(),
        }
    }
}

/// What stands at a name: `None` where the scenario does not speak of a type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsRecords {
    /// The name; for PTR records also an address, which stands for its reverse name.
    pub name: String,
    /// MX records: preference and host; the host `.` is the null MX (RFC 7505).
    pub mx: Option<Vec<(u16, String)>>,
    /// A records: addresses, or a server's name that stands for its addresses.
    pub a: Option<Vec<String>>,
    /// AAAA records, likewise.
    pub aaaa: Option<Vec<String>>,
    /// TXT records.
    pub txt: Option<Vec<String>>,
    /// A CNAME's target.
    pub cname: Option<String>,
    /// The names of an address.
    pub ptr: Option<Vec<String>>,
    /// TLSA records (RFC 6698).
    pub tlsa: Option<Vec<DnsTlsa>>,
    /// Types that fail, `MX: servfail`.
    pub faults: Vec<(String, DnsFault)>,
    /// How long an answer may be kept; `None`: five minutes.
    pub ttl: Option<Duration>,
    /// Whether answers about this name and those below it count as validated (AD); `None`: as the name above says.
    pub secure: Option<bool>,
    /// Each answer by UDP is cut short (TC).
    pub truncated: bool,
    /// Queries by TCP meet a reset.
    pub tcp_refused: bool,
}

/// A TLSA record (RFC 6698 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsTlsa {
    /// `3 1 1` and the digest of the public key in the certificate that this server shows.
    Good {
        /// The server's name in the scenario.
        server: String,
    },
    /// `3 1 1` and a digest that no key has.
    Wrong,
    /// As written.
    Given {
        /// Certificate usage.
        usage: u8,
        /// Selector.
        selector: u8,
        /// Matching type.
        matching: u8,
        /// Certificate association data.
        data: Vec<u8>,
    },
}

/// How a DNS answer fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsFault {
    /// NXDOMAIN.
    NxDomain,
    /// SERVFAIL.
    Servfail,
    /// REFUSED.
    Refused,
    /// NOTIMP.
    NotImplemented,
    /// No answer.
    Timeout,
    /// An answer that cannot be read.
    Garbage,
    /// An answer under another id.
    WrongId,
    /// NOERROR without records of the type.
    Empty,
}

impl DnsRecords {
    /// Whether it has settings alone (`ttl`, `secure`, …), and leaves the records as the servers gave them.
    pub fn is_settings_alone(&self) -> bool {
        let Self { mx, a, aaaa, txt, cname, ptr, tlsa, faults, .. } = self;
        mx.is_none()
            && a.is_none()
            && aaaa.is_none()
            && txt.is_none()
            && cname.is_none()
            && ptr.is_none()
            && tlsa.is_none()
            && faults.is_empty()
    }
}
