//! `gauntlet explain`: scenarios in words.

use std::path::PathBuf;

use super::output::Output;
use super::{Exit, check};
use crate::explain;

/// Tells each scenario, one after the other.
pub(super) fn explain(paths: &[PathBuf]) -> Exit {
    let (scenarios, _) = match check::load_all(paths) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let told: Vec<String> = scenarios.iter().map(explain::explain).collect();
    let output = Output::default();
    output.line(told.join("\n\n").trim_end());
    output.end(Exit::Ok)
}
