//! This machine's own files as a lab's root, for a user who is not root.
//!
//! They belong to users that have no number in the lab's user namespace. The kernel lets nobody there change such a file, or make
//! one in such a directory, even in an overlay; and an overlay of `/` as a whole fails, as other file systems are mounted below it.
//! So each directory of `/` has an overlay of its own, in whose upper layer directories stand already, as root's in the lab, down to
//! some depth; and `/etc` is a copy.

use super::root::{directory, existing, overlay};
use crate::error::{Doing, LabError};
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_bind, mount_bind_recursive, mount_remount};
use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

/// What a lab has of its own in their place.
const OWN: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];
/// Where relays write.
const WRITTEN: [&str; 2] = [COPIED, "var"];
/// What is copied.
const COPIED: &str = "etc";
/// Files of it that are larger stay as they are: they are no configuration.
const LARGE: u64 = 1 << 20;
/// In directories down to this depth the lab can make files: `/var/spool/our-relay`, `/usr/local/lib`. Elsewhere in those of `/`
/// alone.
const DEPTHS: [(&str, usize); 3] = [(COPIED, 8), ("var", 3), ("usr", 2)];
/// And in no more than this many of each directory of `/`.
const DIRECTORIES: usize = 1000;

/// Puts together a root at `root`. What is written to it goes below `stage`.
pub(super) fn make(stage: &Path, root: &Path) -> Result<(), LabError> {
    // What is to become the root is a mount.
    mount_bind(root, root).doing(|| "making the lab's root".to_owned())?;
    let entries = fs::read_dir("/").doing(|| "reading /".to_owned())?;
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let (from, to, name) = (entry.path(), root.join(entry.file_name()), entry.file_name());
        if metadata.is_symlink() {
            link(&from, &to)?;
        } else if metadata.is_dir() {
            directory(&to, 0o755)?;
            if OWN.iter().any(|own| name == *own) {
                continue;
            }
            let written = stage.join("of").join(&name);
            existing(&written.join("work"))?;
            existing(&written.join("upper"))?;
            let mut copier = Copier { with_files: name == COPIED, left: DIRECTORIES };
            let depth = DEPTHS.iter().find(|(one, _)| name == *one).map_or(0, |(_, depth)| *depth);
            copier.fill(&from, &written.join("upper"), metadata.dev(), depth)?;
            match overlay(&from, &written, &to) {
                Ok(()) => {}
                // Something is mounted below it, or it is no directory to lay something over. Where a relay writes, its own directories
                // are worth more than others' files.
                Err(error) if error.raw() == Some(Errno::INVAL.raw_os_error()) => {
                    if WRITTEN.iter().any(|one| name == *one) {
                        mount_bind(written.join("upper"), &to)
                            .doing(|| format!("showing {} in the lab", from.display()))?;
                    } else {
                        only_read(&from, &to)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Fills the upper layer of one overlay.
struct Copier {
    with_files: bool,
    left: usize,
}

impl Copier {
    fn fill(&mut self, from: &Path, to: &Path, device: u64, depth: usize) -> Result<(), LabError> {
        if depth == 0 {
            return Ok(());
        }
        // What cannot be read is not in the lab's reach either.
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let copy = to.join(entry.file_name());
            if metadata.is_dir() {
                if metadata.dev() != device || self.left == 0 {
                    continue;
                }
                self.left -= 1;
                directory(&copy, metadata.mode() & 0o7777)?;
                self.fill(&entry.path(), &copy, device, depth - 1)?;
            } else if self.with_files {
                self.file(&entry, &metadata, &copy)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "it is a step of filling")]
    fn file(&self, entry: &DirEntry, metadata: &Metadata, copy: &Path) -> Result<(), LabError> {
        if metadata.is_symlink() {
            return link(&entry.path(), copy);
        }
        if metadata.is_file() && metadata.len() <= LARGE && fs::copy(entry.path(), copy).is_err() {
            // Not for this user to read, as it stays: shadow(5).
            let _ = fs::remove_file(copy);
        }
        Ok(())
    }
}

fn link(from: &Path, to: &Path) -> Result<(), LabError> {
    let doing = || format!("copying the link {}", from.display());
    symlink(fs::read_link(from).doing(doing)?, to).doing(doing)
}

/// Shows a directory with all that is mounted below it, and lets nobody write there.
fn only_read(from: &Path, to: &Path) -> Result<(), LabError> {
    let doing = || format!("showing {} in the lab", from.display());
    mount_bind_recursive(from, to).doing(doing)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").doing(doing)?;
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    for at in below.filter(|at| Path::new(at).starts_with(to)) {
        // What else holds for a mount cannot be taken from it here.
        let held = rustix::fs::statvfs(at.as_str()).doing(doing)?.f_flag;
        let kept = [
            (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (StatVfsMountFlags::NODEV, MountFlags::NODEV),
            (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
            (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
            (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        ];
        let kept = kept.into_iter().filter(|(flag, _)| held.contains(*flag)).map(|(_, flag)| flag);
        let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, flag| all | flag);
        mount_remount(at.as_str(), flags, c"").doing(doing)?;
    }
    Ok(())
}

/// A path of proc_pid_mountinfo(5), in which four characters stand in octal.
fn unescaped(path: &str) -> String {
    let marks = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    marks.iter().fold(path.to_owned(), |path, (mark, character)| path.replace(mark, character))
}
