//! Files under the lab's root. Process 1 has entered it, so a path is the lab's.

use crate::error::{Doing, LabError};
use crate::layout::Owner;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, fchown};
use std::path::Path;

/// Opens a file for reading; a FIFO without waiting for its other end.
pub(super) fn open(path: &Path) -> Result<File, LabError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .doing(|| format!("opening {} in the lab", path.display()))
}

/// Makes or empties a file and opens it for writing.
pub(super) fn create(path: &Path, mode: u32, owner: &Owner) -> Result<File, LabError> {
    let doing = || format!("creating {} in the lab", path.display());
    let (uid, gid) = ids(owner)?;
    if let Some(above) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(above).doing(doing)?;
    }
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(mode)).doing(doing)?);
    fchown(&file, Some(uid), Some(gid)).doing(doing)?;
    file.set_permissions(Permissions::from_mode(mode)).doing(doing)?;
    Ok(file)
}

/// Makes a directory, or sets the mode and owner of the one that is there.
pub(super) fn make_directory(path: &Path, mode: u32, owner: &Owner) -> Result<(), LabError> {
    let doing = || format!("making the directory {} in the lab", path.display());
    let (uid, gid) = ids(owner)?;
    DirBuilder::new().recursive(true).mode(0o755).create(path).doing(doing)?;
    chown(path, Some(uid), Some(gid)).doing(doing)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).doing(doing)
}

/// An owner's user and group number, by the lab's own `/etc/passwd` and `/etc/group`.
pub(super) fn ids(owner: &Owner) -> Result<(u32, u32), LabError> {
    match owner {
        Owner::Root => Ok((0, 0)),
        Owner::Ids(user, group) => Ok((*user, *group)),
        Owner::User(name) => Ok((number("/etc/passwd", name, 2)?, number("/etc/passwd", name, 3)?)),
        Owner::UserGroup(user, group) => {
            Ok((number("/etc/passwd", user, 2)?, number("/etc/group", group, 2)?))
        }
    }
}

/// A number in the line of `name` in a file of passwd(5)'s form.
fn number(file: &str, name: &str, field: usize) -> Result<u32, LabError> {
    let doing = || format!("looking for {name} in the lab's {file}");
    // Lossily: a comment field may be in any character set.
    let text = fs::read(file).doing(doing)?;
    String::from_utf8_lossy(&text)
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(field)?.parse().ok())
        .ok_or_else(|| LabError::told(doing(), "it is not there"))
}
