//! The lab's virtual clock: laid into the lab's root, looked at and moved from process 1.

use super::look;
use super::network::Network;
use crate::error::{Doing, LabError};
use crate::view::{Connection, Look, Outside};
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use virtual_clock::page::PAGE_PATH;
use virtual_clock::{Driver, LIBRARY, LIBRARY_PATH, Page, Scope, Why};

/// Which libraries the dynamic linker loads first into every program (ld.so(8)).
const PRELOAD: &str = "/etc/ld.so.preload";

/// The clock of one lab.
pub(super) struct Clock(Driver);

impl Clock {
    /// Puts every program that starts from now on under a clock that begins at this date, in seconds since 1970.
    pub(super) fn start(seconds: u64) -> Result<Self, LabError> {
        if !virtual_clock::supported() {
            let why = "there is none for this machine (Linux with glibc on x86_64 or aarch64 has one)";
            return Err(LabError::told("starting the virtual clock", why));
        }
        let library = Path::new(LIBRARY_PATH);
        let writing = |path: &Path| format!("writing {} in the lab", path.display());
        if let Some(directory) = library.parent() {
            fs::create_dir_all(directory).doing(|| writing(directory))?;
        }
        fs::write(library, LIBRARY).doing(|| writing(library))?;
        fs::set_permissions(library, Permissions::from_mode(0o755)).doing(|| writing(library))?;
        let told = |error: virtual_clock::ClockError| {
            LabError::told("starting the virtual clock", error.to_string())
        };
        let page = Page::create(Path::new(PAGE_PATH), seconds.saturating_mul(1_000_000_000)).map_err(told)?;
        fs::write(PRELOAD, format!("{LIBRARY_PATH}\n")).doing(|| writing(Path::new(PRELOAD)))?;
        Driver::new(page, Scope::AllBut(Vec::new())).map(Clock).map_err(told)
    }

    pub(super) fn look(&mut self, network: &Network) -> Result<Look, LabError> {
        let seen = self.0.look().map_err(|error| LabError::told("looking at the lab", error.to_string()))?;
        let connections = look::connections(network)?;
        let mut hasher = DefaultHasher::new();
        seen.mark.hash(&mut hasher);
        for one in &connections {
            (one.of_relay, one.local, one.remote, one.unacknowledged, one.unread).hash(&mut hasher);
        }
        let waiting = || connections.iter().filter(|one| one.unacknowledged > 0);
        Ok(Look {
            mark: hasher.finish(),
            busy: !seen.quiet,
            running: seen.busy.map(|(pid, _)| name(pid)),
            next: seen.earliest.map(Duration::from_nanos),
            outside: seen.outside.into_iter().map(outside).collect(),
            in_flight: waiting().next().is_some(),
            held_up: waiting().all(|one| is_held_up(one, &connections)),
        })
    }

    pub(super) fn jump(&mut self, to: Duration, wake: bool) -> Result<(), LabError> {
        let to = u64::try_from(to.as_nanos()).unwrap_or(u64::MAX);
        let _ = wake;
        let moved = self.0.jump(to);
        moved.map(drop).map_err(|error| LabError::told("moving the lab's clock", error.to_string()))
    }
}

/// Whether what this connection has not got across waits for the other end to read.
fn is_held_up(one: &Connection, all: &[Connection]) -> bool {
    all.iter().any(|other| (other.local, other.remote) == (one.remote, one.local) && other.unread > 0)
}

fn outside(one: virtual_clock::Outside) -> Outside {
    let how = match one.why {
        Why::RealTimeout(call) => format!("in {call}, by the kernel's own time"),
        Why::NotAttached => "it does not follow the clock (a static program, or one in Go)".to_owned(),
    };
    Outside { pid: one.pid.unsigned_abs(), program: one.name, how }
}

/// A process's short name.
fn name(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (process {pid})", name.trim_end())
}
