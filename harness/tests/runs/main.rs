//! Scenarios that are no files: what a run does, and how it is judged.

mod keeps_up;
mod mutations;
mod servers;
mod steps;

use std::path::Path;

use gauntlet::scenario::{self, Scenario};

/// The one scenario in this text.
fn scenario(yaml: &str) -> Scenario {
    let cases = scenario::parse(yaml, Path::new("test.yaml"), "test");
    cases.unwrap_or_else(|mistakes| panic!("{mistakes}")).remove(0)
}
