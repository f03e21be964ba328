//! What the relay under test is told.

use std::time::Duration;

/// What the relay under test is told, in neutral words.
#[derive(Debug, Clone, Default)]
pub struct RelaySettings {
    /// Its name; `None`: `relay.origin.example`.
    pub hostname: Option<String>,
    /// The server that everything goes through.
    pub smarthost: Option<String>,
    /// Credentials for next hops.
    pub auth: Option<AuthSettings>,
    /// STARTTLS towards next hops; `None`: the relay's default, opportunistic.
    pub tls: Option<Tls>,
    /// Whether it offers STARTTLS to clients, with a certificate for its name from the run's authority; `None`: it does not.
    pub offers_tls: Option<bool>,
    /// First wait between attempts.
    pub retry_first: Option<Duration>,
    /// Longest wait between attempts.
    pub retry_at_most: Option<Duration>,
    /// After how long the sender is warned.
    pub warn: Option<Duration>,
    /// After how long mail is returned.
    pub lifetime: Option<Duration>,
    /// Largest message, in octets.
    pub size_limit: Option<u64>,
    /// Several messages over one session.
    pub reuse: Option<bool>,
    /// How long the greeting may take.
    pub greeting_timeout: Option<Duration>,
    /// How long the reply to a command may take.
    pub command_timeout: Option<Duration>,
    /// How long the reply to the final dot may take.
    pub end_of_data_timeout: Option<Duration>,
}

/// Credentials for next hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// The server to authenticate to; `None`: any.
    pub to: Option<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Mechanisms in order; empty: the relay's own choice.
    pub mechanisms: Vec<String>,
}

/// STARTTLS towards next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// When offered.
    Opportunistic,
    /// Always, with a valid certificate.
    Required,
    /// By TLSA records.
    Dane,
}
