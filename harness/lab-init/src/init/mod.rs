//! lab-init: the process that owns a lab.

mod children;
mod clock;
mod container;
mod files;
mod look;
mod netlink;
mod network;
mod root;
mod sockets;
mod turn;

use crate::early::unshare;
use crate::error::{Doing, LabError};
use crate::layout::Layout;
use crate::protocol::{Answer, INNER, OUTER, REAPER, Request, receive, send};
use children::Children;
use clock::Clock;
use container::Container;
use network::Network;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};
use rustix::system::sethostname;
use rustix::thread::UnshareFlags;
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use turn::InTurn;

const NAMESPACES: &str = "the right SYS_ADMIN is missing: run as root, or docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN; \
     in an unprivileged user's hands labs do not work yet";
/// Messages that wait for a reader of the system log; the kernel's own 10 would make a relay wait for the harness.
const SYSLOG_QUEUE: &str = "4096";

/// How often the kernel is given time to carry packets, and how much.
const PACKETS: u32 = 500;
const MOMENT: Duration = Duration::from_micros(20);

/// See [`crate::hook`].
pub(crate) fn hook() {
    match std::env::args_os().next() {
        Some(name) if name == OUTER => exit(i32::from(outer().is_err())),
        Some(name) if name == INNER => exit(i32::from(inner().is_err())),
        Some(name) if name == REAPER => exit(i32::from(crate::reaper::reap().is_err())),
        _ => {}
    }
}

/// Makes the namespace of process numbers, starts its process 1, and waits for its end. It is made in the namespace that this
/// process is in: for a lab in a container, it first starts itself again in the container's.
fn outer() -> Result<(), LabError> {
    let control = stdin();
    let container = std::env::args().nth(1);
    let ended = (|| {
        let next = if let Some(process) = &container {
            container::enter_processes(process)?;
            OUTER
        } else {
            unshare(UnshareFlags::NEWPID)
                .doing(|| "making a namespace of process numbers".to_owned())
                .map_err(|e| e.if_forbidden(NAMESPACES))?;
            INNER
        };
        let mut inner = Command::new("/proc/self/exe")
            .arg0(next)
            .env_clear()
            .stdout(Stdio::null())
            .spawn()
            .doing(|| "starting process 1 of the lab".to_owned())?;
        // Process 1 alone holds the socket now: its end is the harness's end of file.
        close_standard_streams(true)?;
        inner.wait().doing(|| "waiting for process 1 of the lab".to_owned())
    })();
    match ended {
        Ok(_) => Ok(()),
        Err(error) => {
            // Reading first: a closed socket with a message unread would lose the answer.
            let _ = receive::<Request>(control);
            let _ = send(control, &Err::<Answer, _>(&error), &[]);
            Err(error)
        }
    }
}

/// Nothing of the harness's is held, save (in the outer process) the pipe at standard output that tells of its end.
fn close_standard_streams(keep_stdout: bool) -> Result<(), LabError> {
    let doing = || "opening /dev/null".to_owned();
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").doing(doing)?;
    dup2_stdin(&null).doing(doing)?;
    if !keep_stdout {
        dup2_stdout(&null).doing(doing)?;
    }
    dup2_stderr(&null).doing(doing)
}

/// Process 1 of the lab: makes it, then serves the harness until its end of file.
fn inner() -> Result<(), LabError> {
    let control = fcntl_dupfd_cloexec(stdin(), 3).doing(|| "keeping the socket to the harness".to_owned())?;
    // What fails below is told to the harness; a panic is, too.
    std::panic::set_hook(Box::new(|_| {}));
    let served = std::panic::catch_unwind(|| serve(&control));
    let error = match served {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            LabError::told("running a lab", format!("lab-init panicked: {}", words.unwrap_or("no words")))
        }
    };
    let _ = send(control.as_fd(), &Err::<Answer, _>(&error), &[]);
    Err(error)
}

fn serve(control: &OwnedFd) -> Result<(), LabError> {
    let layout = match receive(control.as_fd())? {
        Some((Request::Start(layout), _)) => layout,
        Some((other, _)) => {
            return Err(LabError::told("starting a lab", format!("it begins with {other:?}")));
        }
        None => return Ok(()),
    };
    let mut ended_children = signals()?;
    let (mut lab, syslog) = Served::make(&layout)?;
    send(control.as_fd(), &Ok::<_, LabError>(Answer::Done), &[syslog.as_fd()])?;
    drop(syslog);
    loop {
        let mut ready = [PollFd::new(control, PollFlags::IN), PollFd::new(&ended_children, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(LabError::system("waiting for requests", error)),
        }
        let [asked, ended] = ready.map(|fd| !fd.revents().is_empty());
        if ended {
            // Emptied before reaping: what ends in between is told of again.
            let _ = ended_children.read(&mut [0; 64]);
            lab.children.reap();
        }
        if asked {
            let Some((request, with)) = receive::<Request>(control.as_fd())? else { return Ok(()) };
            let (answer, descriptor) = match lab.answer(request, with) {
                Ok((answer, descriptor)) => (Ok(answer), descriptor),
                Err(error) => (Err(error), None),
            };
            let with: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
            send(control.as_fd(), &answer, &with)?;
        }
    }
}

/// Signals as a relay wants them: the end of a child wakes this process, and none is ignored, even if the harness was
/// started by `nohup` or in the background. (A handler, unlike "ignore", does not outlive `exec`.)
fn signals() -> Result<UnixStream, LabError> {
    let doing = || "setting signal handlers".to_owned();
    let (read, write) = UnixStream::pair().doing(doing)?;
    read.set_nonblocking(true).doing(doing)?;
    signal_hook::low_level::pipe::register(SIGCHLD, write).doing(doing)?;
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).doing(doing)?;
    }
    Ok(read)
}

/// What process 1 serves from.
struct Served {
    network: Network,
    children: Children,
    /// See [`Request::Activity`].
    last_mark: Option<u64>,
    clock: Option<Clock>,
    /// Programs run one after another.
    in_turn: Option<InTurn>,
    /// The harness reads it; here it is only seen whether there is something to read.
    syslog: UnixDatagram,
}

fn without_clock() -> LabError {
    LabError::told("asking for the lab's clock", "this lab was started without one")
}

impl Served {
    /// Makes the lab; also the system log's socket, for the harness to read.
    fn make(layout: &Layout) -> Result<(Self, UnixDatagram), LabError> {
        let container = layout.container.map(Container::open).transpose()?;
        unshare(UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC | UnshareFlags::NEWNET)
            .doing(|| "making the lab's namespaces".to_owned())
            .map_err(|e| e.if_forbidden(NAMESPACES))?;
        // Once more: what the Internet's namespace is to have comes from the one that it is made in.
        network::small_tables();
        unshare(UnshareFlags::NEWNET).doing(|| "making the Internet's network namespace".to_owned())?;
        let network = Network::make(layout, container.as_ref())?;
        if let Some(container) = &container {
            container.enter()?;
        }
        root::make(layout)?;
        close_standard_streams(false)?;
        sethostname(layout.hostname.as_bytes()).doing(|| "setting the host name".to_owned())?;
        let doing = || "making /dev/log".to_owned();
        // Best effort: read-only in some containers, and a relay then waits a little more.
        let _ = fs::write("/proc/sys/net/unix/max_dgram_qlen", SYSLOG_QUEUE);
        let syslog = UnixDatagram::bind("/dev/log").doing(doing)?;
        fs::set_permissions("/dev/log", Permissions::from_mode(0o666)).doing(doing)?;
        let seen = syslog.try_clone().doing(doing)?;
        if let Some(container) = &container {
            container.keep_to_its_rights()?;
        }
        Ok((
            Served {
                network,
                children: Children::default(),
                last_mark: None,
                clock: None,
                in_turn: None,
                syslog: seen,
            },
            syslog,
        ))
    }

    /// Where programs run in turn, does something only when all of them wait; it is told whether that is known.
    fn when_all_wait<T>(
        &mut self,
        act: impl FnOnce(&mut Self, bool) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        let Some(in_turn) = self.in_turn.take() else { return act(self, false) };
        let done = in_turn.last(|rests| act(self, rests));
        self.in_turn = Some(in_turn);
        done
    }

    /// What programs have done until all of them wait, and no packet does that could wake one. Those are carried by an ordinary thread of the kernel's
    /// where there were many, which comes after programs that run in turn.
    fn at_rest(&mut self) -> Result<Option<u64>, LabError> {
        for _ in 0..PACKETS {
            let rests = self.when_all_wait(|lab, rests| {
                let clock = lab.clock.as_mut().ok_or_else(without_clock)?;
                // Brought forward, and some program runs: it does not come to rest, and need not be waited for.
                clock.rests().map(|done| (done, rests))
            })?;
            match rests {
                (Some(ran), _) => return Ok(Some(ran)),
                (None, true) => std::thread::sleep(MOMENT),
                (None, false) => break,
            }
        }
        Ok(None)
    }

    fn answer(
        &mut self,
        request: Request,
        with: Vec<OwnedFd>,
    ) -> Result<(Answer, Option<OwnedFd>), LabError> {
        let file = |file: File| (Answer::Done, Some(OwnedFd::from(file)));
        let socket = |socket: OwnedFd| (Answer::Done, Some(socket));
        let done = |(): ()| (Answer::Done, None);
        match request {
            Request::Start(_) => Err(LabError::told("starting a lab", "it is already running")),
            Request::AddAddresses(addresses) => self.network.add(&addresses).map(done),
            Request::RemoveAddresses(addresses) => self.network.remove(&addresses).map(done),
            Request::BindTcp(at) => self.network.listener(at).map(socket),
            Request::BindUdp(at) => self.network.datagrams(at).map(socket),
            Request::ClientTcp(from) => self.network.client(from).map(socket),
            Request::Open(path) => files::open(&path).map(file),
            Request::Create { path, mode, owner } => files::create(&path, mode, &owner).map(file),
            Request::MakeDirectory { path, mode, owner } => {
                files::make_directory(&path, mode, &owner).map(done)
            }
            Request::Spawn(spec) => {
                let pid = self.children.spawn(&self.network, self.in_turn.as_ref(), &spec, with)?;
                Ok((Answer::Pid(pid), None))
            }
            Request::Signal { pid, signal } => children::signal(pid, signal).map(done),
            Request::KillEverything => self.children.kill_everything().map(done),
            Request::Activity => {
                let activity = look::activity(&self.network, self.last_mark)?;
                self.last_mark = Some(activity.mark);
                Ok((Answer::Activity(activity), None))
            }
            Request::StartClock { seconds, seed, processor } => {
                self.in_turn = processor.and_then(InTurn::on);
                let in_turn = self.in_turn.is_some();
                self.clock = Some(Clock::start(seconds, seed, in_turn, &self.syslog, &self.network)?);
                Ok((Answer::InTurn(in_turn), None))
            }
            Request::Rest => self.at_rest().map(|rests| (Answer::Rests(rests), None)),
            Request::Look => self.when_all_wait(|lab, _| {
                let clock = lab.clock.as_mut().ok_or_else(without_clock)?;
                clock.look(&lab.network).map(|look| (Answer::Look(look), None))
            }),
            Request::Jump(jump) => self.when_all_wait(|lab, _| {
                let clock = lab.clock.as_mut().ok_or_else(without_clock)?;
                clock.jump(&jump).map(|moved| (Answer::Moved(moved), None))
            }),
            Request::Underway => look::underway(&self.network).map(|open| (Answer::Underway(open), None)),
            Request::Tasks => look::tasks().map(|tasks| (Answer::Tasks(tasks), None)),
            Request::Listeners => {
                look::listeners(&self.network).map(|listeners| (Answer::Listeners(listeners), None))
            }
            Request::Connections => {
                look::connections(&self.network).map(|connections| (Answer::Connections(connections), None))
            }
        }
    }
}
