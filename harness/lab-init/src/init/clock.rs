//! The lab's virtual clock: laid into the lab's root, looked at and moved from process 1.

use super::look;
use super::network::Network;
use crate::error::{Doing, LabError};
use crate::view::{Connection, Jump, Look, Outside};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};
use virtual_clock::page::PAGE_PATH;
use virtual_clock::{ClockError, Driver, LIBRARY, LIBRARY_PATH, Page, Scope, Why};

/// Which libraries the dynamic linker loads first into every program (ld.so(8)).
const PRELOAD: &str = "/etc/ld.so.preload";

/// So long, in real time, the clock may go on by itself before the harness is told.
const AT_MOST: Duration = Duration::from_millis(5);
/// Between two looks at threads that have just been woken.
const MOMENT: Duration = Duration::from_micros(8);

/// The clock of one lab.
pub(super) struct Clock {
    driver: Driver,
    /// The counters of this namespace's interfaces, by which a packet to the relay or from it is seen.
    interfaces: File,
    syslog: UnixDatagram,
}

impl Clock {
    /// Puts every program that starts from now on under a clock that begins at this date, in seconds since 1970.
    pub(super) fn start(seconds: u64, syslog: &UnixDatagram) -> Result<Self, LabError> {
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
        let driver = Driver::new(page, Scope::AllBut(Vec::new())).map_err(told)?;
        let interfaces = Path::new("/proc/thread-self/net/dev");
        let interfaces = File::open(interfaces).doing(|| format!("opening {}", interfaces.display()))?;
        let syslog = syslog.try_clone().doing(|| "keeping the system log's socket".to_owned())?;
        // Waits of microseconds are to be such.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        Ok(Clock { driver, interfaces, syslog })
    }

    pub(super) fn look(&mut self, network: &Network) -> Result<Look, LabError> {
        let seen =
            self.driver.look().map_err(|error| LabError::told("looking at the lab", error.to_string()))?;
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

    /// See [`Jump`].
    pub(super) fn jump(&mut self, jump: &Jump) -> Result<Duration, LabError> {
        let told = |error: ClockError| LabError::told("moving the lab's clock", error.to_string());
        let until = Instant::now() + AT_MOST;
        let seen = self.from_outside(jump);
        let mut to = nanoseconds(jump.to);
        loop {
            self.driver.jump(to).map_err(told)?;
            let Some(before) = jump.on_before else { break };
            let next = loop {
                let look = self.driver.look().map_err(told)?;
                if look.settled {
                    break look.earliest.filter(|_| look.outside.is_empty());
                }
                if Instant::now() > until {
                    break None;
                }
                if !look.quiet {
                    std::thread::sleep(MOMENT);
                }
            };
            let Some(next) = next.filter(|next| *next < nanoseconds(before)) else { break };
            if Instant::now() > until || self.from_outside(jump) != seen {
                break;
            }
            to = next;
        }
        Ok(Duration::from_nanos(to))
    }

    /// Changes when a packet has crossed between relay and Internet, and when something was logged.
    fn from_outside(&self, jump: &Jump) -> (Vec<u8>, u64, bool) {
        let mut counters = vec![0; 1024];
        let length = self.interfaces.read_at(&mut counters, 0).unwrap_or_default();
        counters.truncate(length);
        let log = jump.log.as_ref().and_then(|log| fs::metadata(log).ok()).map_or(0, |log| log.len());
        let mut syslog = [PollFd::new(&self.syslog, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        (counters, log, poll(&mut syslog, Some(&now)).is_ok_and(|ready| ready > 0))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
