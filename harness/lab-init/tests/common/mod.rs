//! What the tests of labs share.
#![allow(dead_code, reason = "each test program uses its own part")]

use lab_init::{Command, Lab, Layout};
use std::io::Read;
use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// More than anything here takes on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A lab, or `None` (and why, on standard error) where a right is missing. `GAUNTLET_REQUIRE_LABS=1` makes that a failure.
pub(crate) fn lab_of(layout: &Layout) -> Option<Lab> {
    match Lab::start(layout) {
        Err(error) if error.is_missing_right() && std::env::var_os("GAUNTLET_REQUIRE_LABS").is_none() => {
            eprintln!("skipped: {error}");
            None
        }
        lab => Some(lab.unwrap()),
    }
}

pub(crate) fn lab() -> Option<Lab> {
    lab_of(&Layout::default())
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Runs a command to its end: what it said, and how it ended.
pub(crate) fn run(lab: &Lab, command: Command) -> (String, ExitStatus) {
    let mut process = lab.spawn(command).unwrap();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (said, process.wait(LIMIT).unwrap())
}

pub(crate) fn bash(script: &str) -> Command {
    Command::new(["bash", "-c", script])
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}
