//! The embedded default relay of Gauntlet: a small queueing SMTP relay that does what the RFCs ask, and says where they do.
//!
//! ```text
//!  server ──▶ queue ──▶ scheduler ──▶ delivery ──▶ next hop
//!  (session,   │  ▲                     │
//!   content)   ▼  └─────── outcome ─────┘
//!            spool           └──▶ notice ──▶ queue (as new mail, from the null reverse-path)
//! ```
//!
//! - [`Relay`] starts, lists and stops it; [`config::Config`] says how it behaves; [`environment`] is its whole view of
//!   the world, a clock and a network, both injected.
//! - Given the same clock, the same network and the same spool it does the same things in the same order: it has no
//!   source of chance, and identifiers come from a counter in the spool.
//! - [`vintage`] lists relays of the past: this one with a historic defect switched on.

pub mod config;
pub mod dns;
pub mod environment;
pub mod mime;
pub mod notification;
pub mod vintage;

mod address;
mod command;
mod delivery;
mod dsn;
mod envelope;
mod log;
mod notice;
mod queue;
mod relay;
mod reply;
mod scheduler;
mod server;
mod spool;
mod tasks;
#[cfg(test)]
mod testing;
mod tls;

pub use log::LogLine;
pub use queue::{QueueEntry, QueueRecipient, RecipientState};
pub use relay::{Relay, StartError};
