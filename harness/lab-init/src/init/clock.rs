//! The lab's virtual clock: laid into the lab's root, looked at and moved from process 1.

use super::network::Network;
use super::sockets::{Socket, Sockets};
use crate::error::{Doing, LabError};
use crate::view::{InFlight, Jump, Look, Moved, Outside, Told};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::mount_bind;
use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};
use virtual_clock::page::{PAGE_PATH, told};
use virtual_clock::{ClockError, Driver, LIBRARY, LIBRARY_PATH, Page, Scope, Why};

/// Which libraries the dynamic linker loads first into every program (ld.so(8)).
const PRELOAD: &str = "/etc/ld.so.preload";

/// So many steps the clock may make by itself before the harness is told: a number, and not a time, so that it is the same ones
/// in each run.
const STEPS: u64 = 250;
/// So long, in real time, programs may take to come to rest in between.
const AT_MOST: Duration = Duration::from_millis(50);
/// Between two looks at threads that have just been woken: at first, and at most.
const MOMENT: Duration = Duration::from_micros(8);
const LATER: Duration = Duration::from_micros(400);

/// The clock of one lab.
pub(super) struct Clock {
    driver: Driver,
    /// Programs run one after another.
    in_turn: bool,
    /// The counters of the relay's interfaces, by which a packet to it, from it, and from it to itself is seen.
    interfaces: File,
    /// The packets that wait on each processor.
    packets: File,
    syslog: UnixDatagram,
    /// The Internet's and the relay's.
    sockets: [Sockets; 2],
    /// Datagrams that were sent and never read, as far as they are known to be lost.
    lost: i64,
    /// The same, and the counters of the interfaces when it was counted.
    datagrams: (i64, Vec<u8>),
    /// The last moment that was asked for.
    asked: u64,
}

impl Clock {
    /// Puts every program that starts from now on under a clock that begins at this date, in seconds since 1970, and has its random
    /// numbers be those of this seed.
    pub(super) fn start(
        seconds: u64,
        seed: u32,
        in_turn: bool,
        syslog: &UnixDatagram,
        network: &Network,
    ) -> Result<Self, LabError> {
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
        page.seed(seed);
        fs::write(PRELOAD, format!("{LIBRARY_PATH}\n")).doing(|| writing(Path::new(PRELOAD)))?;
        let mut driver = Driver::new(page, Scope::AllBut(Vec::new())).map_err(told)?;
        if in_turn {
            driver.in_turn();
        }
        // From here on, since the driver reads the true one.
        show_idle_machine()?;
        let interfaces = Path::new("/proc/thread-self/net/dev");
        let interfaces = network
            .in_relay(|| File::open(interfaces))?
            .doing(|| format!("opening {}", interfaces.display()))?;
        let packets = Path::new("/proc/net/softnet_stat");
        let packets = File::open(packets).doing(|| format!("opening {}", packets.display()))?;
        let syslog = syslog.try_clone().doing(|| "keeping the system log's socket".to_owned())?;
        // Waits of microseconds are to be such.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let sockets = [Sockets::open(false), network.in_relay(|| Sockets::open(true))?];
        Ok(Clock {
            driver,
            in_turn,
            interfaces,
            packets,
            syslog,
            sockets,
            lost: 0,
            datagrams: (0, Vec::new()),
            asked: 0,
        })
    }

    /// Whether every program sleeps, where they run in turn and it is this process's: none of them waits for a disk, and no packet
    /// is on its way to one. What they have done until then, as in [`Look::ran`].
    pub(super) fn rests(&mut self) -> Result<Option<u64>, LabError> {
        let seen = self.see()?;
        Ok((seen.quiet && !self.has_packets()).then_some(seen.mark))
    }

    fn see(&mut self) -> Result<virtual_clock::Look, LabError> {
        self.driver.look_on().map_err(|error| LabError::told("looking at the lab", error.to_string()))
    }

    /// Who runs; and, when nobody does, all the rest.
    pub(super) fn look(&mut self, network: &Network) -> Result<Look, LabError> {
        let seen = self.see()?;
        let mut look = Look {
            mark: seen.mark,
            ran: seen.mark,
            busy: !seen.quiet,
            running: seen.busy.map(|(pid, tid)| self.name(pid, tid)),
            next: seen.earliest.map(Duration::from_nanos),
            outside: seen.outside.into_iter().map(outside).collect(),
            in_flight: None,
            told: told_of(self.driver.page().take_told()),
        };
        look.busy |= self.has_packets();
        if look.busy {
            return Ok(look);
        }
        let [internet, relay] = &self.sockets;
        let internet = internet.list()?;
        let relay = if relay.is_open() { relay.list()? } else { network.in_relay(|| relay.list())?? };
        let mut hasher = DefaultHasher::new();
        (seen.mark, &internet, &relay).hash(&mut hasher);
        for (here, there) in [(&internet, &relay), (&relay, &internet)] {
            for one in here.iter().filter(|one| one.is_in_flight()) {
                let near = peer(one, here);
                let peer = near.or_else(|| peer(one, there));
                if peer.is_some_and(|peer| one.has_arrived(peer)) {
                    continue;
                }
                let of = match peer {
                    Some(peer) if peer.unread > 0 => InFlight::HeldUp,
                    _ if near.is_some() => InFlight::Within,
                    _ => InFlight::Between,
                };
                look.in_flight = look.in_flight.max(Some(of));
            }
        }
        let datagrams = self.datagrams();
        datagrams.hash(&mut hasher);
        if datagrams != self.lost {
            look.in_flight = Some(InFlight::Between);
        }
        look.mark = hasher.finish();
        // A timer of the kernel's may have carried bytes on while sockets were asked for: whoever that woke has not been seen.
        if self.in_turn {
            let again = self.see()?;
            look.busy = !again.quiet || again.mark != seen.mark || self.has_packets();
        }
        Ok(look)
    }

    /// Whether packets wait on this processor to be carried on; other labs' on it are not told apart.
    pub(super) fn has_packets(&self) -> bool {
        let mut text = [0; 16 << 10];
        let length = self.packets.read_at(&mut text, 0).unwrap_or_default();
        packets(&String::from_utf8_lossy(&text[..length]), rustix::thread::sched_getcpu()) > 0
    }

    /// Datagrams that were sent and that nobody has read, lost ones among them.
    fn datagrams(&mut self) -> i64 {
        let counters = self.counters();
        // One that was not read when they were counted may have been since, without a packet.
        if self.datagrams.1 != counters || self.datagrams.0 != self.lost {
            self.datagrams = (self.sockets.iter().map(Sockets::datagrams).sum(), counters);
        }
        self.datagrams.0
    }

    /// See [`Jump`].
    pub(super) fn jump(&mut self, jump: &Jump) -> Result<Moved, LabError> {
        let told = |error: ClockError| LabError::told("moving the lab's clock", error.to_string());
        let seen = self.seen_outside(jump);
        let mut to = nanoseconds(jump.to);
        if to < self.asked {
            return Err(told(ClockError::Back { now: self.asked, to }));
        }
        // Programs that read the clock very often have come a little ahead of what was asked for.
        let ahead = |driver: &Driver, to: u64| to.max(driver.page().now());
        // Whoever moves the clock has waited for what could still come.
        self.lost = self.datagrams.0;
        if jump.sleep_on {
            self.driver.set(ahead(&self.driver, to)).map_err(told)?;
            self.asked = to;
            return Ok(Moved { now: Duration::from_nanos(to), steps: 1 });
        }
        let mut steps = 0;
        loop {
            self.driver.jump(ahead(&self.driver, to)).map_err(told)?;
            self.asked = to;
            steps += 1;
            let Some(before) = jump.on_before else { break };
            let mut pause = MOMENT;
            let until = Instant::now() + AT_MOST;
            let next = loop {
                let look = self.driver.look().map_err(told)?;
                let quiet = look.quiet && !self.has_packets();
                if quiet && look.settled {
                    break look.earliest.filter(|_| look.outside.is_empty());
                }
                if Instant::now() > until {
                    break None;
                }
                if !quiet {
                    std::thread::sleep(pause);
                    pause = (pause * 3 / 2).min(LATER);
                }
            };
            let Some(next) = next.filter(|next| *next < nanoseconds(before)) else { break };
            let next = next.max(to);
            if steps >= STEPS || self.seen_outside(jump) != seen {
                break;
            }
            to = next;
        }
        Ok(Moved { now: Duration::from_nanos(to), steps })
    }

    fn counters(&self) -> Vec<u8> {
        let mut counters = vec![0; 1024];
        let length = self.interfaces.read_at(&mut counters, 0).unwrap_or_default();
        counters.truncate(length);
        counters
    }

    /// A program's short name and its process.
    fn name(&self, pid: i32, tid: i32) -> String {
        format!("{} (process {pid})", self.driver.name(tid).unwrap_or_default())
    }

    /// Changes when a packet has crossed between relay and Internet, or one between the relay's programs, which may still be on its
    /// way, and when something was logged.
    fn seen_outside(&self, jump: &Jump) -> (Vec<u8>, u64, bool) {
        let log = jump.log.as_ref().and_then(|log| fs::metadata(log).ok()).map_or(0, |log| log.len());
        let mut syslog = [PollFd::new(&self.syslog, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        (self.counters(), log, poll(&mut syslog, Some(&now)).is_ok_and(|ready| ready > 0))
    }
}

/// By the form of `/proc/net/softnet_stat`: a line of hexadecimal numbers for each processor, the twelfth of which is the length
/// of its backlog, and the thirteenth its number (Linux 5.10, `softnet_seq_show`; before that there were neither).
fn packets(statistics: &str, processor: usize) -> usize {
    let number = |text: Option<&str>| usize::from_str_radix(text?, 16).ok();
    let backlog = |line: &str| {
        let mut numbers = line.split_whitespace().skip(11);
        let backlog = number(numbers.next())?;
        (number(numbers.next())? == processor).then_some(backlog)
    };
    statistics.lines().find_map(backlog).unwrap_or_default()
}

/// The machine's load is not the lab's: a relay that puts off its work under load would do so by chance.
fn show_idle_machine() -> Result<(), LabError> {
    let idle = Path::new(LIBRARY_PATH).with_file_name("loadavg");
    let doing = || "showing an idle machine's load at /proc/loadavg".to_owned();
    fs::write(&idle, "0.00 0.00 0.00 1/1 1\n").doing(doing)?;
    mount_bind(&idle, "/proc/loadavg").doing(doing)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The connection's other end. What it has not got across may wait for that to read.
fn peer<'a>(one: &Socket, others: &'a [Socket]) -> Option<&'a Socket> {
    others.iter().find(|other| (other.local, other.remote) == (one.remote, one.local))
}

fn told_of(bits: u64) -> Vec<Told> {
    let all = [
        (told::SET_CLOCK, Told::SetsClock),
        (told::RESOLVER_REAL, Told::ResolverReal),
        (told::TIMERS_FULL, Told::TimersFull),
    ];
    all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, told)| told).collect()
}

fn outside(one: virtual_clock::Outside) -> Outside {
    let how = match one.why {
        Why::RealTimeout(call) => format!("in {call}, by the kernel's own time"),
        Why::NotAttached => "it does not follow the clock (a static program, or one in Go)".to_owned(),
    };
    Outside { pid: one.pid.unsigned_abs(), program: one.name, how, follows: one.why != Why::NotAttached }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_the_twelfth_number_of_the_processors_line() {
        let line = |backlog, processor| {
            format!(
                "0001d6c4 00000000 0000000a 0 0 0 0 0 0 00000000 00000000 {backlog} {processor} 00000000 00000000\n"
            )
        };
        let two = line("00000000", "00000000") + &line("0000000a", "00000001");
        assert_eq!((packets(&two, 0), packets(&two, 1), packets(&two, 2)), (0, 10, 0));
        assert_eq!(packets("0001d6c4 00000000 0000000a 0 0 0 0 0 0\n", 0), 0);
    }
}
