//! Which files are scenarios.

use std::path::{Path, PathBuf};

/// The file that lists what is known to fail; it lies among the scenarios and is none.
pub const KNOWN_FAILURES: &str = "known-failures.yaml";

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A path that was named is not there.
    #[error("looking for scenarios: there is no {}", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A directory that was named holds no scenario.
    #[error("looking for scenarios: no *.yaml in {} or below", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A directory cannot be listed.
    #[error("looking for scenarios in {}: {source}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl FindError {
    /// Where it was looked for.
    pub fn path(&self) -> &Path {
        let (Self::Missing { path } | Self::Empty { path } | Self::Unreadable { path, .. }) = self;
        path
    }
}

/// The scenario files among `paths`: files as they are named, directories with all `*.yaml` below them. Sorted, each
/// once.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            below(path, &mut found)?;
            if found.len() == before {
                return Err(FindError::Empty { path: path.clone() });
            }
        } else if path.exists() {
            found.push(path.clone());
        } else {
            return Err(FindError::Missing { path: path.clone() });
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn below(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), FindError> {
    let unreadable = |source| FindError::Unreadable { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        if kind.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml")
            && path.file_name().is_none_or(|name| name != KNOWN_FAILURES)
            // A pipe that nobody writes to would be read for ever; a link that leads nowhere is told when it is read.
            && (path.is_file() || !path.exists())
        {
            found.push(path);
        }
    }
    Ok(())
}
