//! A directory of a run's own. The one place of the lab that knows what an operating system has.

use std::io;
use std::path::Path;

use tempfile::{Builder, TempDir};

/// A new directory, gone when dropped: where `TMPDIR` says, else in memory if the system has such a place.
pub(super) fn scratch() -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix("gauntlet-");
    let memory = Path::new("/dev/shm");
    if cfg!(target_os = "linux")
        && std::env::var_os("TMPDIR").is_none()
        && memory.is_dir()
        && let Ok(directory) = builder.tempdir_in(memory)
    {
        return Ok(directory);
    }
    builder.tempdir()
}
