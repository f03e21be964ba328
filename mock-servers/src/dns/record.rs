//! Resource records, as much of each as mail can come across.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SRV, TLSA, TXT};
use hickory_proto::rr::{self, RData};
use serde::{Deserialize, Serialize};

use super::zone::wire_name;

/// The data of one record. Names are kept as they were given; see [`super::canonical_name`] for which are names at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// A mail exchanger (RFC 5321 section 5.1). Preference 0 and the host `.` are the null MX (RFC 7505 section 3).
    Mx {
        /// Lower is preferred.
        preference: u16,
        /// Its host.
        exchange: String,
    },
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name that an address belongs to.
    Ptr(String),
    /// Texts; one that is longer than 255 octets becomes several.
    Txt(Vec<Vec<u8>>),
    /// An alias: everything about this name stands at that one.
    Cname(String),
    /// What a server's certificate is (RFC 6698 section 2.1).
    Tlsa {
        /// Certificate usage.
        usage: u8,
        /// Selector.
        selector: u8,
        /// Matching type.
        matching: u8,
        /// Certificate association data.
        data: Vec<u8>,
    },
    /// A name server.
    Ns(String),
    /// Where a service is.
    Srv {
        /// Lower is preferred.
        priority: u16,
        /// Among equals, how often.
        weight: u16,
        /// Its port.
        port: u16,
        /// Its host.
        target: String,
    },
}

impl Record {
    /// One text.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Txt(vec![text.into()])
    }

    /// The same with the address that its own stands for; `None`: there is none. Other records have no address.
    pub(super) fn at(self, to: impl Fn(IpAddr) -> Option<IpAddr>) -> Option<Self> {
        let address = match self {
            Self::A(address) => IpAddr::V4(address),
            Self::Aaaa(address) => IpAddr::V6(address),
            other => return Some(other),
        };
        // A record is of the family that was asked for.
        match (address, to(address)?) {
            (IpAddr::V4(_), IpAddr::V4(to)) => Some(Self::A(to)),
            (IpAddr::V6(_), IpAddr::V6(to)) => Some(Self::Aaaa(to)),
            _ => None,
        }
    }

    /// Its type.
    pub fn record_type(&self) -> RecordType {
        match self {
            Self::Mx { .. } => RecordType::Mx,
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Ptr(_) => RecordType::Ptr,
            Self::Txt(_) => RecordType::Txt,
            Self::Cname(_) => RecordType::Cname,
            Self::Tlsa { .. } => RecordType::Tlsa,
            Self::Ns(_) => RecordType::Ns,
            Self::Srv { .. } => RecordType::Srv,
        }
    }

    /// For the codec. Fails for a name that no DNS message can hold.
    pub(super) fn to_wire(&self) -> Result<RData, ProtoError> {
        Ok(match self {
            Self::Mx { preference, exchange } => RData::MX(MX::new(*preference, wire_name(exchange)?)),
            Self::A(address) => RData::A(A(*address)),
            Self::Aaaa(address) => RData::AAAA(AAAA(*address)),
            Self::Ptr(name) => RData::PTR(PTR(wire_name(name)?)),
            Self::Txt(texts) => {
                let strings = texts.iter().flat_map(|text| text.chunks(255));
                let strings: Vec<&[u8]> = strings.collect();
                // RFC 1035 section 3.3.14: one or more, though it may be empty
                RData::TXT(TXT::from_bytes(if strings.is_empty() { vec![b""] } else { strings }))
            }
            Self::Cname(name) => RData::CNAME(CNAME(wire_name(name)?)),
            Self::Tlsa { usage, selector, matching, data } => {
                RData::TLSA(TLSA::new((*usage).into(), (*selector).into(), (*matching).into(), data.clone()))
            }
            Self::Ns(name) => RData::NS(NS(wire_name(name)?)),
            Self::Srv { priority, weight, port, target } => {
                RData::SRV(SRV::new(*priority, *weight, *port, wire_name(target)?))
            }
        })
    }
}

/// With its type, as in a zone file but for the dots of the root: `MX 10 hub.example`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.record_type())?;
        match self {
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Ptr(name) | Self::Cname(name) | Self::Ns(name) => f.write_str(name),
            Self::Txt(texts) => {
                let quoted = texts.iter().map(|text| format!("\"{}\"", text.escape_ascii()));
                f.write_str(&quoted.collect::<Vec<_>>().join(" "))
            }
            Self::Tlsa { usage, selector, matching, data } => {
                write!(f, "{usage} {selector} {matching} ")?;
                data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
        }
    }
}

/// A type of records. Written `MX`; one that has no name here `TYPE65` (RFC 3597 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// Name server.
    Ns,
    /// Alias.
    Cname,
    /// Start of authority.
    Soa,
    /// Name of an address.
    Ptr,
    /// Mail exchanger.
    Mx,
    /// Text.
    Txt,
    /// IPv6 address.
    Aaaa,
    /// Service.
    Srv,
    /// Certificate association.
    Tlsa,
    /// All there is (a question only).
    Any,
    /// Another, by its number.
    Other(u16),
}

impl RecordType {
    const NAMED: [(Self, &'static str, u16); 11] = [
        (Self::A, "A", 1),
        (Self::Ns, "NS", 2),
        (Self::Cname, "CNAME", 5),
        (Self::Soa, "SOA", 6),
        (Self::Ptr, "PTR", 12),
        (Self::Mx, "MX", 15),
        (Self::Txt, "TXT", 16),
        (Self::Aaaa, "AAAA", 28),
        (Self::Srv, "SRV", 33),
        (Self::Tlsa, "TLSA", 52),
        (Self::Any, "ANY", 255),
    ];

    /// The type with this number.
    pub fn from_code(code: u16) -> Self {
        Self::NAMED.iter().find(|named| named.2 == code).map_or(Self::Other(code), |named| named.0)
    }

    /// Its number.
    pub fn code(self) -> u16 {
        match self {
            Self::Other(code) => code,
            named => Self::NAMED.iter().find(|entry| entry.0 == named).map_or(0, |entry| entry.2),
        }
    }
}

impl From<rr::RecordType> for RecordType {
    fn from(kind: rr::RecordType) -> Self {
        Self::from_code(kind.into())
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, Self::NAMED.iter().find(|named| named.0 == *self)) {
            (Self::Other(code), _) => f.pad(&format!("TYPE{code}")),
            (_, named) => f.pad(named.map_or("?", |named| named.1)),
        }
    }
}

/// A word that names no type of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type of DNS records; types are written as in `MX` or `TYPE65`")]
pub struct BadRecordType(pub String);

impl FromStr for RecordType {
    type Err = BadRecordType;

    /// In any case.
    fn from_str(word: &str) -> Result<Self, BadRecordType> {
        let upper = word.to_ascii_uppercase();
        let named = Self::NAMED.iter().find(|named| named.1 == upper).map(|named| named.0);
        let numbered = || upper.strip_prefix("TYPE")?.parse().ok().map(Self::from_code);
        named.or_else(numbered).ok_or_else(|| BadRecordType(word.to_owned()))
    }
}

impl TryFrom<String> for RecordType {
    type Error = BadRecordType;
    fn try_from(word: String) -> Result<Self, BadRecordType> {
        word.parse()
    }
}

impl From<RecordType> for String {
    fn from(kind: RecordType) -> Self {
        kind.to_string()
    }
}
