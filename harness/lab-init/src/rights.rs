//! By which rights a lab is made: this process's own, or those of root in a user namespace.

use crate::error::{Doing, LabError};
use crate::without_root::{WithoutRoot, effective_user, is_in_user_namespace};
use rustix::thread::{CapabilitySet, capabilities};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What to do where a right is missing.
pub(crate) const RUN_AS_ROOT: &str =
    "the right SYS_ADMIN is missing: run as root, or docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN";
/// The same in a user namespace: something around this process forbids it.
const KEPT_FROM_USERS: &str = "what this system keeps from a user namespace: in a container, docker run --cap-add SYS_ADMIN \
     --cap-add NET_ADMIN (where AppArmor forbids it: --security-opt apparmor=unconfined)";

/// How labs are made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// By this process's own.
    Own,
    /// In a user namespace of their own, with these numbers in it.
    Subordinate(Subordinate),
}

/// The numbers that the lab's users have outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subordinate {
    users: (PathBuf, u32, (u32, u32)),
    groups: (PathBuf, u32, (u32, u32)),
}

impl Rights {
    pub(crate) fn of_this_process() -> Result<Self, LabError> {
        let doing = || "looking for the right to make a lab".to_owned();
        let effective = capabilities(None).doing(doing)?.effective;
        if effective.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN) {
            return Ok(Self::Own);
        }
        // Root without rights is in a container, where it has no subordinate ids.
        if effective.contains(CapabilitySet::SYS_ADMIN) {
            let help = "the right NET_ADMIN is missing: docker run --cap-add NET_ADMIN";
            return Err(LabError::told("making a lab", "this user may not").with_help(help));
        }
        let here = WithoutRoot::look();
        let missing = here.missing();
        let forbidden = || {
            if effective_user() == Some(0) {
                return RUN_AS_ROOT.to_owned();
            }
            let mut help = RUN_AS_ROOT.to_owned();
            for (number, (says, mend)) in missing.iter().enumerate() {
                let _ =
                    write!(help, "{}{says}: {mend}", if number == 0 { "; or, without root: " } else { "; " });
            }
            help
        };
        match here {
            WithoutRoot {
                users: Some(users),
                groups: Some(groups),
                newuidmap: Some(for_users),
                newgidmap: Some(for_groups),
                ..
            } if missing.is_empty() => Ok(Self::Subordinate(Subordinate {
                users: (for_users, rustix::process::geteuid().as_raw(), users),
                groups: (for_groups, rustix::process::getegid().as_raw(), groups),
            })),
            _ => Err(LabError::told("making a lab", "this user may not").with_help(forbidden())),
        }
    }
}

impl Subordinate {
    /// Gives the user namespace of a process its numbers: 0 is this user, and those from 1 on are subordinate ones.
    pub(crate) fn give_to(&self, process: u32) -> Result<(), LabError> {
        for (program, own, (first, count)) in [&self.users, &self.groups] {
            let doing = || format!("giving the lab its users ({})", program.display());
            let numbers =
                [process, 0, *own, 1, 1, *first, (*count).min(65_536)].map(|number| number.to_string());
            let mapped = Command::new(program).args(numbers).stdin(Stdio::null()).output().doing(doing)?;
            if !mapped.status.success() {
                let words = String::from_utf8_lossy(&mapped.stderr).trim().to_owned();
                let help = "it must be set-user-ID root, and nothing may forbid it new rights (no_new_privs): \
                            sudo apt-get install --reinstall uidmap";
                return Err(LabError::told(doing(), words).with_help(help));
            }
        }
        Ok(())
    }
}

/// What to do where the system says that something is not permitted in making a lab.
pub(crate) fn forbidden() -> &'static str {
    if is_in_user_namespace() { KEPT_FROM_USERS } else { RUN_AS_ROOT }
}
