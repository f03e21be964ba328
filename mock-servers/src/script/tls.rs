//! TLS after STARTTLS, good and bad.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What STARTTLS leads to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TlsAction {
    /// The certificate shown; `None`: the server's own.
    pub certificate: Option<Certificate>,
    /// What goes wrong.
    pub fault: Option<TlsFault>,
    /// The versions that are spoken; empty: all that the library has, 1.2 and 1.3.
    pub versions: BTreeSet<TlsVersion>,
    /// Bytes in the clear between the 220 and the handshake.
    pub clear_before: Vec<u8>,
    /// Bytes in the clear behind the handshake, where only TLS records belong.
    pub clear_after: Vec<u8>,
    /// A client that offers to resume an earlier session is met with a fatal alert, handshake_failure: a farm whose nodes
    /// know nothing of each other's tickets.
    pub refuse_resumption: bool,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// The certificate that a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certificate {
    /// For the server's name, by the run's own authority, valid throughout the run.
    #[default]
    Good,
    /// For the server's name, signed by itself.
    SelfSigned,
    /// No longer valid at the start of the run.
    Expired,
    /// Not valid before the run is long over.
    NotYet,
    /// For another name.
    WrongName,
    /// By an authority that nobody knows.
    UnknownCa,
}

/// How a handshake goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsFault {
    /// The server closes on the ClientHello.
    Eof,
    /// The server answers with bytes that are not TLS.
    Corrupt,
    /// The server sends a fatal handshake_failure alert.
    Alert,
    /// The server never answers.
    Stall,
}
