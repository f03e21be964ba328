//! A command that runs in a lab, as the harness holds it.

use crate::error::{Doing, LabError};
use crate::protocol::readable_within;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// A command that [`Lab::spawn`](crate::Lab::spawn) started. Dropping it leaves the command alone; the lab's end ends it.
#[derive(Debug)]
pub struct Process {
    pub(crate) pid: u32,
    /// What it writes to standard output (and to standard error, if merged), with all its descendants: it ends when the
    /// last of them has closed it.
    pub stdout: Option<PipeReader>,
    /// What it writes to standard error, if split.
    pub stderr: Option<PipeReader>,
    pub(crate) end: PipeReader,
    pub(crate) status: Option<ExitStatus>,
}

impl Process {
    /// Its number, as the lab sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, once it has. An error means that the whole lab has ended meanwhile.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.wait_within(Duration::ZERO)
    }

    /// Waits for its end. The error after `limit` says so.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        self.wait_within(limit)?.ok_or_else(|| {
            LabError::told(
                format!("waiting for process {}", self.pid),
                format!("it still runs after {limit:?}"),
            )
        })
    }

    fn wait_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>, LabError> {
        let pid = self.pid;
        let doing = || format!("waiting for process {pid}");
        if self.status.is_none() && readable_within(self.end.as_fd(), limit).doing(doing)? {
            let mut raw = [0; 4];
            self.end.read_exact(&mut raw).map_err(|_| LabError::told(doing(), "the lab has ended"))?;
            self.status = Some(ExitStatus::from_raw(i32::from_ne_bytes(raw)));
        }
        Ok(self.status)
    }
}

impl AsFd for Process {
    /// Becomes readable when the command has ended, for an event loop; then call [`Process::try_wait`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}
