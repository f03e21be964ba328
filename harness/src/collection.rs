//! Scenario files as they lie in directories, and the lists of known failures beside them.

use std::path::{Path, PathBuf};

use crate::relay::{self, embedded};
use crate::scenario::{self, Diagnostics, FindError, KNOWN_FAILURES, Scenario};
use crate::verdict::KnownFailures;

/// The scenarios that come with this library, in the version that it has: the folder `scenarios` of its source, which Cargo has put on the
/// machine that builds it.
pub fn ours() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))
}

/// What files hold.
#[derive(Debug)]
pub struct Found {
    /// How many files were read.
    pub files: usize,
    /// The scenarios of those that have no mistake; the cases of a template one by one.
    pub scenarios: Vec<Scenario>,
    /// What is known to fail, by the lists beside them and above.
    pub known: KnownFailures,
    /// The mistakes, a file each.
    pub wrong: Vec<Diagnostics>,
}

/// Reads scenario files, and directories of them.
///
/// # Errors
/// Where there is none. What is wrong inside of a file is in [`Found::wrong`].
pub fn read(paths: &[PathBuf]) -> Result<Found, FindError> {
    let files = scenario::find(paths)?;
    let relays: Vec<&str> = embedded::choices().iter().map(|choice| choice.name).collect();
    let all: Vec<&str> = relay::choices().iter().map(|choice| choice.name).collect();
    let (known, wrong_lists) = KnownFailures::above(&files, &all);
    let scenario_files: Vec<&PathBuf> = files.iter().filter(|file| !file.ends_with(KNOWN_FAILURES)).collect();
    let mut found = Found { files: scenario_files.len(), scenarios: Vec::new(), known, wrong: Vec::new() };
    for file in scenario_files {
        match scenario::load_knowing(file, root(file, paths), &relays) {
            Ok(mut scenarios) => found.scenarios.append(&mut scenarios),
            Err(diagnostics) => found.wrong.push(diagnostics),
        }
    }
    found.files += wrong_lists.len();
    found.wrong.extend(wrong_lists);
    Ok(found)
}

/// The directory that a scenario's name is told from: the nearest one called `scenarios` above it, else the directory that
/// was asked for.
fn root<'a>(file: &'a Path, paths: &'a [PathBuf]) -> &'a Path {
    file.ancestors()
        .skip(1)
        .find(|above| above.file_name().is_some_and(|name| name == "scenarios"))
        .or_else(|| paths.iter().map(PathBuf::as_path).find(|path| path.is_dir() && file.starts_with(path)))
        .or_else(|| file.parent())
        .unwrap_or(Path::new(""))
}
