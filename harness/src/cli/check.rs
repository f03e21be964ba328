//! `gauntlet check`: authoring mistakes only.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::output::Output;
use super::{Exit, complain, json};
use crate::collection::{Found, read};
use crate::scenario::{Diagnostic, Diagnostics, FindError, KNOWN_FAILURES, Scenario};
use crate::verdict::KnownFailures;

/// How mistakes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people, on stderr.
    Text,
    /// For editors, on stdout: one JSON array with an object for each mistake; empty where there is none.
    Json,
}

/// Tells every mistake in every file.
pub(super) fn check(paths: &[PathBuf], format: Format) -> Exit {
    let output = Output::default();
    match (format, read(paths)) {
        (Format::Text, found) => match tell(found) {
            Ok((scenarios, _)) => {
                let s = if scenarios.len() == 1 { "" } else { "s" };
                output.line(&format!("{} scenario{s}, no mistakes", scenarios.len()));
                output.end(Exit::Ok)
            }
            Err(exit) => exit,
        },
        (Format::Json, Ok(found)) => {
            output.line(&json::mistakes(&found.wrong));
            output.end(if found.wrong.is_empty() { Exit::Ok } else { Exit::Usage })
        }
        (Format::Json, Err(error)) => {
            let wrong = Diagnostics::of_file(error.path(), Diagnostic::of_file(error.to_string()));
            output.line(&json::mistakes(&[wrong]));
            output.end(Exit::Usage)
        }
    }
}

/// Finds and loads scenarios, and what is known to fail in them; tells all that is wrong with either.
pub(super) fn load_all(paths: &[PathBuf]) -> Result<(Vec<Scenario>, KnownFailures), Exit> {
    tell(read(paths))
}

fn tell(found: Result<Found, FindError>) -> Result<(Vec<Scenario>, KnownFailures), Exit> {
    let found = found.map_err(|error| {
        complain(&error);
        Exit::Usage
    })?;
    for diagnostics in &found.wrong {
        let _ = writeln!(std::io::stderr(), "{diagnostics}");
    }
    if found.wrong.is_empty() {
        return Ok((found.scenarios, found.known));
    }
    let mut wrong: Vec<&Path> = found.wrong.iter().map(Diagnostics::path).collect();
    wrong.dedup();
    let what =
        if wrong.iter().any(|path| path.ends_with(KNOWN_FAILURES)) { "files" } else { "scenario files" };
    complain(&format!("{} of {} {what} cannot be read as they stand", wrong.len(), found.files));
    Err(Exit::Usage)
}
