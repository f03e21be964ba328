//! The lab's root: an overlay of a directory that is only read, with everything that a program expects to be mounted.

use super::host;
use crate::error::{Doing, LabError};
use crate::layout::Layout;
use crate::rights;
use crate::without_root::is_in_user_namespace;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_move, unmount,
};
use rustix::process::{chdir, chroot, pivot_root, umask};
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// Where the new root is built. It exists on every system, and what it holds is hidden from the lab alone.
const STAGE: &str = "/tmp";
/// Character devices, as major and minor number.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Directories of `/run` that are copied: down to this depth, and no more than this many.
const RUN_DEPTH: usize = 3;
const RUN_DIRECTORIES: usize = 256;

/// Keeps what is mounted from here on to the lab.
pub(super) fn leave_mounts() -> Result<(), LabError> {
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", private)
        .doing(|| "making the lab's mounts private".to_owned())
        .map_err(|e| e.if_forbidden(rights::forbidden()))?;
    // Settings of the lab's own networks are written by it, and a container's own is only read. Best effort, as they are.
    let _ = processes(Path::new("/proc"));
    Ok(())
}

/// Makes the root and enters it; nothing of the old one can be reached then. The mount namespace is the lab's own.
pub(super) fn make(layout: &Layout) -> Result<(), LabError> {
    umask(Mode::empty());
    // By its descriptor: its path may lie below what the stage hides.
    let opened = File::open(&layout.root).doing(|| format!("opening the root {}", layout.root.display()))?;
    let lower = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let stage = Path::new(STAGE);
    // Each of them: otherwise a relay that writes without end takes half of the machine's memory.
    let size = format!("size={}", layout.upper_bytes.max(4096));
    tmpfs(stage, MountFlags::empty(), &format!("mode=755,{size}"))?;
    for name in ["upper", "work", "root"] {
        directory(&stage.join(name), 0o755)?;
    }
    let root = stage.join("root");
    let owner = opened.metadata().doing(|| format!("looking at the root {}", layout.root.display()))?.uid();
    match (owner, layout.root == Path::new("/")) {
        (0, _) => overlay(&lower, stage, &root)?,
        // In a user namespace.
        (_, true) => host::make(stage, &root)?,
        (_, false) => {
            let doing = format!("looking at the root {}", layout.root.display());
            let help = "without root a lab is made from a root that its user has made: ci/relay-roots.sh, as that user";
            return Err(LabError::told(doing, "it belongs to somebody else").with_help(help));
        }
    }
    run(&lower.join("run"), &root.join("run"), &size)?;
    tmpfs(&root.join("tmp"), MountFlags::NOSUID | MountFlags::NODEV, &format!("mode=1777,{size}"))?;
    processes(&root.join("proc"))?;
    devices(&root.join("dev"), &size)?;
    drop(opened);
    enter(&root)?;
    umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Mounts a directory that is only read, with what is written going to directories of the stage.
pub(super) fn overlay(lower: &Path, stage: &Path, at: &Path) -> Result<(), LabError> {
    let written = stage.display();
    let mut data = format!("lowerdir={},upperdir={written}/upper,workdir={written}/work", lower.display());
    if is_in_user_namespace() {
        // The attributes that it keeps for itself otherwise are not a user's to set.
        data.push_str(",userxattr");
    }
    mount_fs("overlay", at, MountFlags::empty(), &data).map_err(|e| match e.raw() {
        Some(19) => e.with_help("the kernel needs the module overlay: modprobe overlay"),
        _ => e.if_forbidden(rights::forbidden()),
    })
}

/// Makes `root` the root. In a container without the right to pivot, moves it over the old one.
fn enter(root: &Path) -> Result<(), LabError> {
    let doing = || "entering the lab's root".to_owned();
    chdir(root).doing(doing)?;
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).doing(doing)?,
        Err(Errno::PERM | Errno::INVAL) => {
            mount_move(".", "/").doing(doing)?;
            chroot(".").doing(doing)?;
        }
        Err(error) => return Err(LabError::system(doing(), error)),
    }
    chdir("/").doing(doing)
}

fn processes(at: &Path) -> Result<(), LabError> {
    existing(at)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_fs("proc", at, flags, "").map_err(|e| e.if_forbidden(rights::forbidden()))
}

fn devices(dev: &Path, size: &str) -> Result<(), LabError> {
    tmpfs(dev, MountFlags::NOSUID, &format!("mode=755,{size}"))?;
    for (name, major, minor) in DEVICES {
        let at = dev.join(name);
        let doing = || format!("making the device {}", at.display());
        let mode = Mode::from_raw_mode(0o666);
        match mknodat(CWD, &at, FileType::CharacterDevice, mode, makedev(major, minor)) {
            Ok(()) => {}
            // Not permitted in a container: take the one that is there.
            Err(Errno::PERM) => {
                File::create(&at).doing(doing)?;
                mount_bind(Path::new("/dev").join(name), &at).doing(doing)?;
            }
            Err(error) => return Err(LabError::system(doing(), error)),
        }
    }
    directory(&dev.join("shm"), 0o1777)?;
    directory(&dev.join("pts"), 0o755)?;
    let terminals = "newinstance,ptmxmode=0666,mode=620";
    mount_fs("devpts", &dev.join("pts"), MountFlags::NOSUID | MountFlags::NOEXEC, terminals)?;
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, to) in links {
        symlink(to, dev.join(name)).doing(|| format!("linking /dev/{name}"))?;
    }
    Ok(())
}

/// A fresh `/run` with the directories of the one below: daemons expect `/run/<name>` to be there, and to be theirs.
fn run(lower: &Path, at: &Path, size: &str) -> Result<(), LabError> {
    tmpfs(at, MountFlags::NOSUID | MountFlags::NODEV, &format!("mode=755,{size}"))?;
    let mut left = RUN_DIRECTORIES;
    match fs::metadata(lower) {
        Ok(top) if top.is_dir() => skeleton(lower, at, top.dev(), RUN_DEPTH, &mut left),
        _ => Ok(()),
    }
}

fn skeleton(from: &Path, to: &Path, device: u64, depth: usize, left: &mut usize) -> Result<(), LabError> {
    // What cannot be read (another program is changing it) is left out.
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        // Nothing that another file system holds: a container engine's own mounts are below `/run`.
        if !metadata.is_dir() || metadata.dev() != device || *left == 0 {
            continue;
        }
        *left -= 1;
        let copy = to.join(entry.file_name());
        directory(&copy, metadata.mode() & 0o7777)?;
        chown(&copy, Some(metadata.uid()), Some(metadata.gid()))
            .doing(|| format!("giving {} its owner", copy.display()))?;
        // Changing the owner clears set-group-id.
        fs::set_permissions(&copy, Permissions::from_mode(metadata.mode() & 0o7777))
            .doing(|| format!("giving {} its mode", copy.display()))?;
        if depth > 1 {
            skeleton(&entry.path(), &copy, device, depth - 1, left)?;
        }
    }
    Ok(())
}

fn tmpfs(at: &Path, flags: MountFlags, data: &str) -> Result<(), LabError> {
    existing(at)?;
    mount_fs("tmpfs", at, flags, data).map_err(|e| e.if_forbidden(rights::forbidden()))
}

fn mount_fs(kind: &str, at: &Path, flags: MountFlags, data: &str) -> Result<(), LabError> {
    let doing = || format!("mounting {kind} for the lab at {}", at.display());
    let data = CString::new(data).doing(doing)?;
    mount(kind, at, kind, flags, data.as_c_str()).doing(doing)
}

/// A prepared root may lack a place to mount on.
pub(super) fn existing(at: &Path) -> Result<(), LabError> {
    DirBuilder::new().recursive(true).mode(0o755).create(at).doing(|| format!("making {}", at.display()))
}

pub(super) fn directory(at: &Path, mode: u32) -> Result<(), LabError> {
    DirBuilder::new().mode(mode).create(at).doing(|| format!("making {}", at.display()))
}
