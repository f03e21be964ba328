//! `gauntlet check`: authoring mistakes only.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::output::Output;
use super::{Exit, complain};
use crate::relay::embedded;
use crate::scenario::{self, Scenario};

/// Tells every mistake in every file.
pub(super) fn check(paths: &[PathBuf]) -> Exit {
    match load_all(paths) {
        Ok(scenarios) => {
            let s = if scenarios.len() == 1 { "" } else { "s" };
            let output = Output::default();
            output.line(&format!("{} scenario{s}, no mistakes", scenarios.len()));
            output.end(Exit::Ok)
        }
        Err(exit) => exit,
    }
}

/// Finds and loads scenarios; tells all that is wrong with them.
pub(super) fn load_all(paths: &[PathBuf]) -> Result<Vec<Scenario>, Exit> {
    let files = scenario::find(paths).map_err(|error| {
        complain(&error);
        Exit::Usage
    })?;
    let (mut scenarios, mut wrong) = (Vec::new(), 0);
    for file in &files {
        match scenario::load(file, root(file, paths)) {
            Ok(scenario) => {
                for (relay, _) in scenario.historic.iter().filter(|(relay, _)| !embedded::exists(relay)) {
                    wrong += 1;
                    complain(&format!(
                        "{}: `historic:` names {}",
                        file.display(),
                        super::unknown_relay(relay)
                    ));
                }
                scenarios.push(scenario);
            }
            Err(diagnostics) => {
                wrong += 1;
                let _ = writeln!(std::io::stderr(), "{diagnostics}");
            }
        }
    }
    if wrong > 0 {
        complain(&format!("{wrong} of {} scenario files cannot be read as they stand", files.len()));
        return Err(Exit::Usage);
    }
    Ok(scenarios)
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
