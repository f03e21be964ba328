//! What can be wrong with an answer.

use serde::{Deserialize, Serialize};

use super::log::Outcome;

/// How a name, or one type of records at a name, fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The name does not exist (RCODE 3). For one type alone it is a lie about the whole name, which some load
    /// balancers tell when they are asked for AAAA.
    NxDomain,
    /// The server cannot say (RCODE 2).
    Servfail,
    /// The server will not say (RCODE 5).
    Refused,
    /// The server does not know how to (RCODE 4): old ones, asked for types that are younger than they are.
    NotImplemented,
    /// There is never an answer.
    Timeout,
    /// The answer has the id of the query, and behind it nothing that could be read.
    Garbage,
    /// An empty answer under another id: a careful client passes over it and waits.
    WrongId,
}

impl Fault {
    /// As a query's outcome.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::NxDomain => Outcome::NxDomain,
            Self::Servfail => Outcome::Servfail,
            Self::Refused => Outcome::Refused,
            Self::NotImplemented => Outcome::NotImplemented,
            Self::Timeout => Outcome::Silence,
            Self::Garbage => Outcome::Garbage,
            Self::WrongId => Outcome::WrongId,
        }
    }
}

/// What [`Fault::Garbage`] sends: a header that promises more than follows, and a label of a kind that is not (RFC 1035 section
/// 4.1.4: "the 10 and 01 combinations are reserved"). A label that runs beyond the end would be read by chance: glibc compares
/// the question up to the end of its buffer, whatever stood there before.
pub(super) fn garbage(id: [u8; 2]) -> Vec<u8> {
    // QR and AA; one question, one answer; then the label
    [&id[..], &[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0], &[0x80, b'?']].concat()
}
