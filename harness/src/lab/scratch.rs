//! A directory of a run's own. The one place of the lab that knows what an operating system has.
//!
//! A process that is killed cannot take its directories away. So each holds a file that its process keeps locked, which
//! the system unlocks when the process is gone, however it went; the next process to come takes away what nobody keeps.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use tempfile::{Builder, TempDir};

/// How the directories' names begin.
const PREFIX: &str = "gauntlet-";
/// The file in each that is locked for as long as the directory is in use.
const LOCK: &str = ".gauntlet-in-use";

/// The directory of a run, gone when dropped.
pub(super) struct Scratch {
    files: PathBuf,
    /// Removed before it is unlocked, lest another process do it at the same time.
    _directory: TempDir,
    /// `None`: a file system without locks. What is left there is never taken away.
    _lock: Option<File>,
}

impl Scratch {
    /// A new one: where `TMPDIR` says, else in memory if the system has such a place.
    pub(super) fn new() -> io::Result<Self> {
        static FIRST: Once = Once::new();
        let directory = directory()?;
        FIRST.call_once(|| remove_stale(directory.path()));
        let lock = lock(directory.path())?;
        let files = directory.path().join("files");
        fs::create_dir(&files)?;
        Ok(Self { files, _directory: directory, _lock: lock })
    }

    /// Where the run's files go; empty at first.
    pub(super) fn path(&self) -> &Path {
        &self.files
    }
}

fn directory() -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX);
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

/// The file is locked before it has its name: one that has it and is not locked was left behind.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    let unnamed = directory.join(format!("{LOCK}-soon"));
    let lock = File::create(&unnamed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    fs::rename(unnamed, directory.join(LOCK))?;
    Ok(Some(lock))
}

/// Takes away what dead processes of the same user left beside this directory. What cannot be taken away stays; it is
/// in nobody's way.
fn remove_stale(own: &Path) {
    let (Some(beside), Ok(ours)) = (own.parent(), fs::symlink_metadata(own)) else { return };
    for entry in fs::read_dir(beside).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && path != own
            && fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir() && same_owner(&found, &ours));
        if !is_ours {
            continue;
        }
        // Held until the directory is gone: of two that come at the same time, one takes it away.
        if let Ok(lock) = File::open(path.join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(unix)]
fn same_owner(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    one.uid() == other.uid()
}

#[cfg(not(unix))]
fn same_owner(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    // Each user has a place of their own for temporary files.
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(name: &str, in_use: bool) -> (TempDir, TempDir, Option<File>) {
        let place = tempfile::tempdir().unwrap();
        let own = Builder::new().prefix(PREFIX).tempdir_in(place.path()).unwrap();
        let other = place.path().join(name);
        fs::create_dir(&other).unwrap();
        let kept = lock(&other).unwrap().filter(|_| in_use);
        remove_stale(own.path());
        assert!(own.path().is_dir());
        (place, own, kept)
    }

    #[test]
    fn what_nobody_keeps_is_taken_away_and_what_somebody_keeps_is_not() {
        let (place, _own, kept) = beside("gauntlet-dead", false);
        assert!(kept.is_none() && !place.path().join("gauntlet-dead").exists());
        let (place, _own, kept) = beside("gauntlet-alive", true);
        assert!(kept.is_some() && place.path().join("gauntlet-alive").exists());
    }

    #[test]
    fn what_others_have_there_is_left_alone() {
        let (place, _own, _) = beside("notes", false);
        assert!(place.path().join("notes").exists());
        let (place, own, _) = beside("gauntlet-dead", true);
        let unmarked = place.path().join("gauntlet-plans");
        fs::create_dir(&unmarked).unwrap();
        remove_stale(own.path());
        assert!(unmarked.exists(), "without the lock's file it is not ours");
    }
}
