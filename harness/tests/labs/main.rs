//! The driver of real relays, with small relays of the tests' own: what an author of an adapter meets, and what is left.
//!
//! Each test needs labs. Where the right to make them is missing it says so and passes; with `GAUNTLET_REQUIRE_LABS=1` it
//! fails.
#![cfg(target_os = "linux")]

mod clock;
mod gone;
mod quiescence;
mod running;
mod starting;
mod without_root;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use gauntlet::record::Record;
use gauntlet::run::{RunError, RunOptions, run};
use gauntlet::scenario::{self, Scenario};
use tempfile::TempDir;

/// The relay, as the guide to adapters has it; each test changes a line or two.
const OWN_RELAY: &str = include_str!("own-relay.yaml");
/// Starts it; a word may follow that says what it does beyond a relay's work.
const START: &str = "start: echo $$ >/run/own-relay.pid; exec perl /usr/local/lib/own-relay {{ hostname }} {{ smarthost }} {{ addresses[0] }}:25";
const LIMIT: Duration = Duration::from_mins(1);

/// Whether there can be labs; if not, says why.
fn has_labs() -> bool {
    let why = match lab_init::check() {
        Ok(()) if Path::new("/usr/bin/perl").exists() => return true,
        Ok(()) => "there is no /usr/bin/perl".to_owned(),
        Err(error) if error.is_missing_right() => error.to_string(),
        Err(error) => panic!("{error}"),
    };
    assert!(std::env::var_os("GAUNTLET_REQUIRE_LABS").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// An adapter and scenarios in a directory of their own.
struct Own(TempDir);

impl Own {
    /// The relay with these lines in place of those that have the same keys.
    fn relay(lines: &[&str]) -> Self {
        let mut text = OWN_RELAY.to_owned();
        for line in lines {
            let key = &line[..=line.find(':').expect("a key")];
            let old = OWN_RELAY.lines().find(|old| old.starts_with(key)).expect("it has this key");
            text = text.replace(&format!("\n{old}\n"), &format!("\n{line}\n"));
        }
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("own-relay.yaml"), text).expect("written");
        Self(directory)
    }

    /// The relay that does this beyond its work.
    fn that(habit: &str) -> Self {
        Self::relay(&[&format!("{START} '{habit}'")])
    }

    /// Its adapter.
    fn path(&self) -> String {
        self.0.path().join("own-relay.yaml").to_string_lossy().into_owned()
    }

    /// A scenario's file beside it.
    fn write(&self, scenario: &str) -> PathBuf {
        let path = self.0.path().join("note.yaml");
        std::fs::write(&path, scenario).expect("written");
        path
    }

    /// Runs one note by these steps.
    fn run(&self, steps: &str, options: &RunOptions) -> Result<Record, RunError> {
        run(&parsed(&note(steps)), &self.path(), options)
    }

    /// The same, with less patience than a user has.
    fn run_in_haste(&self, steps: &str) -> Result<Record, RunError> {
        self.run(steps, &RunOptions { patience: Duration::from_secs(1), ..RunOptions::default() })
    }

    /// The command, with this relay and one note.
    fn command(&self) -> Command {
        self.command_on("./own-relay.yaml")
    }

    /// The same with another relay.
    fn command_on(&self, relay: &str) -> Command {
        let scenario = self.write(&note(SETTLE));
        let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
        command.args(["run", "--relay", relay]).arg(scenario);
        command.current_dir(self.0.path()).env_remove("GAUNTLET_RELAY").env_remove("TMPDIR");
        command
    }
}

const SETTLE: &str = "[send: note, settle]";

/// A scenario: one note to a smart host, by these steps.
fn note(steps: &str) -> String {
    format!(
        "title: One note
servers:
  hub: {{ serves: [hub.example] }}
relay: {{ smarthost: hub }}
messages:
  note: {{ from: a@origin.example, to: b@hub.example }}
steps: {steps}
expect:
  - delivered: {{ message: note, by: hub }}
"
    )
}

fn parsed(yaml: &str) -> Scenario {
    scenario::parse(yaml, Path::new("note.yaml"), "note")
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
        .remove(0)
}

/// All that a command printed.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in\n{text}");
    }
}

/// Asks again until there is an answer.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}
