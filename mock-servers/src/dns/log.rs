//! Who asked what, when, and what came of it. Plain data, and the place where it is kept.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::{RecordType, Transport};
use crate::time::RunTime;

/// One query that reached the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsQuery {
    /// When.
    pub at: RunTime,
    /// The name, in the case in which it was asked for, without the dot of the root. Empty for the root itself, and when
    /// the query could not be read.
    pub name: String,
    /// The type; `TYPE0` when the query could not be read.
    pub record_type: RecordType,
    /// By which protocol.
    pub transport: Transport,
    /// Who asked.
    pub from: SocketAddr,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Records, aliases on the way included, as a person writes them: `MX 10 hub.example`.
    Records(Vec<String>),
    /// The name exists and has no record of that type (NODATA, RFC 2308 section 2.2); with the aliases on the way.
    NoData(Vec<String>),
    /// RCODE 3.
    NxDomain,
    /// RCODE 2.
    Servfail,
    /// RCODE 5.
    Refused,
    /// RCODE 1: the query made no sense.
    FormatError,
    /// RCODE 4.
    NotImplemented,
    /// RCODE 16: a version of EDNS that is not 0 (RFC 6891 section 6.1.3).
    BadVersion,
    /// An empty answer with TC set: the client must come again by TCP.
    Truncated,
    /// No answer.
    Silence,
    /// The TCP connection was reset.
    Reset,
    /// An answer that cannot be read.
    Garbage,
    /// An empty answer under another id.
    WrongId,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records(records) => return f.write_str(&records.join(", ")),
            Self::NoData(aliases) if aliases.is_empty() => "no data",
            Self::NoData(aliases) => return write!(f, "{}, no data", aliases.join(", ")),
            Self::NxDomain => "NXDOMAIN",
            Self::Servfail => "SERVFAIL",
            Self::Refused => "REFUSED",
            Self::FormatError => "FORMERR",
            Self::NotImplemented => "NOTIMP",
            Self::BadVersion => "BADVERS",
            Self::Truncated => "truncated",
            Self::Silence => "no answer",
            Self::Reset => "connection reset",
            Self::Garbage => "garbage",
            Self::WrongId => "wrong id",
        })
    }
}

/// Where the server writes queries down. Clones write to the same log.
#[derive(Debug, Clone, Default)]
pub struct QueryLog(Arc<Mutex<Vec<DnsQuery>>>);

impl QueryLog {
    /// Writes one down.
    pub fn push(&self, query: DnsQuery) {
        self.lock().push(query);
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// All so far, in order.
    pub fn queries(&self) -> Vec<DnsQuery> {
        self.lock().clone()
    }

    /// Those from this one on, counted from 0.
    pub fn since(&self, first: usize) -> Vec<DnsQuery> {
        self.lock().get(first..).unwrap_or_default().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<DnsQuery>> {
        self.0.lock().expect("no holder of the log panics")
    }
}
