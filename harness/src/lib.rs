//! Gauntlet runs one set of scenarios over many mail relays.
//!
//! One way through, no way back: a scenario goes in at the top, a record of what happened comes out, and everything after
//! the record is plain data and pure functions.
//!
//! ```text
//! scenario ─▶ run ─▶ lab (network, DNS, clock, mock servers, relay) ─▶ record ─▶ verdict ─▶ report
//!                                                                       └▶ render ─▶ snapshots
//! ```
//!
//! To run scenarios from the tests of a relay's own project: [`testing`].

pub mod cli;
pub mod collection;
pub mod doctor;
pub mod explain;
pub mod lab;
pub mod record;
pub mod relay;
pub mod render;
pub mod report;
pub mod run;
pub mod scenario;
pub mod testing;
pub mod verdict;
mod yaml;
