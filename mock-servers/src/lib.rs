//! The Internet that a mail relay meets: scripted SMTP servers and clients, and a DNS server, with a transcript of every
//! byte in both directions. Knows no scenario file and no relay.
//!
//! - [`script`]: what a server or client is told to do. Data only.
//! - [`smtp`]: the session (bytes and a time in, actions out), and the thin shells that give it sockets.
//! - [`dns`]: a zone that is authoritative for everything, with faults.
//! - [`transcript`]: what went over the wire, in the run's own time.
//! - [`environment`]: where time and sockets come from; both are injected.

pub mod dns;
pub mod environment;
pub mod profiles;
pub mod script;
pub mod smtp;
pub mod time;
pub mod transcript;

pub use time::RunTime;
