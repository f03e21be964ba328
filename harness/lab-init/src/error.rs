//! What can go wrong in making or using a lab, in words for the person who runs the harness.

use serde::{Deserialize, Serialize};
use std::io;

/// Something that the lab could not do: what it was, the system's words, and, if a right is missing, how to grant it.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[error("{doing}: {words}{}", .help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct LabError {
    doing: String,
    words: String,
    errno: Option<i32>,
    help: Option<String>,
}

impl LabError {
    /// A failure of a system call made while `doing`.
    pub(crate) fn system(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        LabError { doing: doing.into(), words: error.to_string(), errno: error.raw_os_error(), help: None }
    }

    /// A failure that is not the system's.
    pub fn told(doing: impl Into<String>, words: impl Into<String>) -> Self {
        LabError { doing: doing.into(), words: words.into(), errno: None, help: None }
    }

    /// The same, with the right that is missing and the command that grants it.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with `help` when the system says that it is not permitted.
    pub(crate) fn if_forbidden(self, help: &str) -> Self {
        match self.kind() {
            io::ErrorKind::PermissionDenied => self.with_help(help),
            _ => self,
        }
    }

    /// The system's number for the error.
    #[cfg(target_os = "linux")]
    pub(crate) fn raw(&self) -> Option<i32> {
        self.errno
    }

    /// What was being done, and the words of the system, without [`LabError::help`].
    pub fn cause(&self) -> String {
        format!("{}: {}", self.doing, self.words)
    }

    /// The right or the part of the system that is missing, and the command that grants it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Whether labs cannot be made here at all, for want of a right or of something that the kernel lacks.
    ///
    /// A test may then be skipped, saying why; any other error is a defect.
    pub fn is_missing_right(&self) -> bool {
        self.help.is_some()
    }

    /// The system's error, for instance [`io::ErrorKind::NotFound`] for a file that is not there; `Other` for the lab's own.
    pub fn kind(&self) -> io::ErrorKind {
        self.errno.map_or(io::ErrorKind::Other, |number| io::Error::from_raw_os_error(number).kind())
    }
}

/// Adds what was being done to a system call's result.
pub(crate) trait Doing<T> {
    /// The error says that it came while `doing`.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|error| LabError::system(doing(), error))
    }
}
