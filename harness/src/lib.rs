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
//! To run scenarios from a test of your own:
//!
//! ```no_run
//! use gauntlet::{run, scenario, verdict};
//!
//! let path = "scenarios/seeds/domino-8bitmime.yaml".as_ref();
//! // One scenario, or the cases of a template.
//! for scenario in scenario::load(path, "scenarios".as_ref()).unwrap() {
//!     let record = run::run(&scenario, "reference", &run::RunOptions::default()).unwrap();
//!     assert!(verdict::judge(&scenario, &record).outcome.is_pass());
//! }
//! ```

pub mod cli;
pub mod doctor;
pub mod explain;
pub mod lab;
pub mod record;
pub mod relay;
pub mod render;
pub mod report;
pub mod run;
pub mod scenario;
pub mod verdict;
mod yaml;
