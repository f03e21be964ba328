//! What can go wrong with the clock, in words for the person who runs the harness.

use std::io;
use std::time::Duration;

/// Something that the clock could not do.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// A system call failed.
    #[error("virtual clock: {doing}: {error}")]
    System {
        /// What was being done.
        doing: String,
        /// The system's word.
        error: io::Error,
    },
    /// The clock was asked to go back.
    #[error("virtual clock: asked to go back from {:?} to {:?} of the run: it only goes forward", Duration::from_nanos(*now), Duration::from_nanos(*to))]
    Back {
        /// Where it stands, in nanoseconds of the run.
        now: u64,
        /// Where it was to go.
        to: u64,
    },
    /// A file that is not a page of this version.
    #[error("virtual clock: {0} is not a page of this version: make a new one with Page::create")]
    NotAPage(String),
}

impl ClockError {
    pub(crate) fn system(doing: impl Into<String>, error: io::Error) -> Self {
        ClockError::System { doing: doing.into(), error }
    }
}
