//! The container that a lab is made in: somebody else's namespaces, entered from outside.
//!
//! lab-init is started by the harness and joins them one after another. It then makes what it makes anywhere: a namespace of
//! process numbers below the container's, and an overlay of the container's files, so that a disk that fills up is the lab's.

use crate::early::unshare;
use crate::error::{Doing, LabError};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, LinkNameSpaceType, UnshareFlags, move_into_link_name_space,
    remove_capability_from_bounding_set,
};
use std::fs::{self, File};
use std::os::fd::AsFd;

const ENTERING: &str =
    "the right SYS_ADMIN over it is missing: run as root, on the machine whose engine made the container";
const OWN_USERS: &str = "an engine with users of its own (rootless, or userns-remap) is not supported: run the one of this machine's root";

/// A container's namespaces, and what its programs may do.
pub(super) struct Container {
    files: File,
    host_name: File,
    messages: File,
    network: File,
    rights: CapabilitySet,
}

/// What this process starts from now on is among the container's processes.
pub(super) fn enter_processes(process: &str) -> Result<(), LabError> {
    enter(&namespace(process, "pid")?, LinkNameSpaceType::ProcessID)
}

impl Container {
    /// The container of this process.
    pub(super) fn open(process: u32) -> Result<Self, LabError> {
        let process = &process.to_string();
        let users = |of: &str| {
            let link = format!("/proc/{of}/ns/user");
            fs::read_link(&link).doing(|| format!("reading {link}"))
        };
        if users(process)? != users("self")? {
            let doing = "entering the container";
            return Err(LabError::told(doing, "its users are not this machine's").with_help(OWN_USERS));
        }
        Ok(Self {
            files: namespace(process, "mnt")?,
            host_name: namespace(process, "uts")?,
            messages: namespace(process, "ipc")?,
            network: namespace(process, "net")?,
            rights: rights(process)?,
        })
    }

    /// Enters all of it but the network; its mounts as a copy.
    pub(super) fn enter(&self) -> Result<(), LabError> {
        enter(&self.host_name, LinkNameSpaceType::HostNameAndNISDomainName)?;
        enter(&self.messages, LinkNameSpaceType::InterProcessCommunication)?;
        enter(&self.files, LinkNameSpaceType::Mount)?;
        unshare(UnshareFlags::NEWNS).doing(|| "copying the container's mounts".to_owned())
    }

    /// Enters its network, and lets it have IPv6: an engine takes that from a network that it gave no such address.
    pub(super) fn enter_network(&self) -> Result<(), LabError> {
        enter(&self.network, LinkNameSpaceType::Network)?;
        for devices in ["all", "default", "lo"] {
            // Best effort: a kernel without IPv6 has no such file, and the address that fails then says so.
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{devices}/disable_ipv6"), "0");
        }
        Ok(())
    }

    /// Whatever is started from now on has at most the rights of the container's own programs.
    pub(super) fn keep_to_its_rights(&self) -> Result<(), LabError> {
        for (_, right) in CapabilitySet::all().difference(self.rights).iter_names() {
            match remove_capability_from_bounding_set(right) {
                // A right that this kernel does not know yet.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => {
                    return Err(LabError::system(
                        "giving up the rights that the container does not have",
                        error,
                    ));
                }
            }
        }
        Ok(())
    }
}

fn namespace(process: &str, kind: &str) -> Result<File, LabError> {
    let path = format!("/proc/{process}/ns/{kind}");
    File::open(&path)
        .doing(|| format!("opening {path} of the container"))
        .map_err(|e| e.if_forbidden(ENTERING))
}

fn enter(namespace: &File, kind: LinkNameSpaceType) -> Result<(), LabError> {
    move_into_link_name_space(namespace.as_fd(), Some(kind))
        .doing(|| format!("entering the container ({kind:?})"))
        .map_err(|e| e.if_forbidden(ENTERING))
}

/// What its programs can have at most (capabilities(7), "bounding set").
fn rights(process: &str) -> Result<CapabilitySet, LabError> {
    let path = format!("/proc/{process}/status");
    let doing = || format!("reading the container's rights in {path}");
    let status = fs::read_to_string(&path).doing(doing)?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.map(CapabilitySet::from_bits_truncate).ok_or_else(|| LabError::told(doing(), "there is no CapBnd"))
}
