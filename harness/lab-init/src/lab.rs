//! The harness's side of a lab.

use crate::command::{Command, Output, Stdin};
use crate::error::{Doing, LabError};
use crate::layout::{Layout, Owner};
use crate::process::Process;
use crate::protocol::{Answer, OUTER, Request, readable_within, receive, send};
use crate::seat::{Ahead, Seat};
use crate::view::{Activity, Connection, Jump, Look, Moved, Task, Underway};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read, Seek, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long lab-init may take for one answer, and for its end. It takes milliseconds; this only guards.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running lab. Its end is [`Lab::stop`] or its drop; either way nothing is left of it.
///
/// Sockets that were handed out keep their network namespace (and nothing else) until they are closed.
/// Each method is one message to lab-init and back, some tens of microseconds, and may be called from any thread.
#[derive(Debug)]
pub struct Lab {
    /// `None` after lab-init failed to answer: what comes later would be the answer to something else.
    control: Mutex<Option<OwnedFd>>,
    syslog: UnixDatagram,
    /// Where its programs take turns, if they do.
    seat: Mutex<Option<Seat>>,
    outer: Outer,
}

/// The process outside the lab that waits for process 1 of the lab, and so for everything in it.
#[derive(Debug)]
struct Outer {
    child: Child,
    /// Closed by its end: a wait with a deadline.
    gone: PipeReader,
}

impl Lab {
    /// Makes a lab. Some milliseconds; when it returns, both sides reach each other.
    pub fn start(layout: &Layout) -> Result<Self, LabError> {
        let doing = || "starting lab-init".to_owned();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .doing(doing)?;
        let (gone, alive) = std::io::pipe().doing(doing)?;
        let child = std::process::Command::new("/proc/self/exe")
            .arg0(OUTER)
            .args(layout.container.map(|process| process.to_string()))
            .env_clear()
            // Its own group: Ctrl-C is the harness's to handle, and reaches no relay.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(alive)
            .spawn()
            .doing(doing)?;
        let outer = Outer { child, gone };
        let mut layout = layout.clone();
        layout.root = std::path::absolute(&layout.root).doing(|| "finding the lab's root".to_owned())?;
        let control = Mutex::new(Some(ours));
        let container = layout.container;
        let (_, descriptors) = call(&control, &Request::Start(layout), &[])
            .map_err(|error| container.and_then(ended).unwrap_or(error))?;
        let syslog = UnixDatagram::from(the_one(descriptors)?);
        syslog.set_nonblocking(true).doing(doing)?;
        Ok(Lab { control, syslog, seat: Mutex::default(), outer })
    }

    /// Ends it, and waits until every process of it is gone.
    pub fn stop(mut self) -> Result<(), LabError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), LabError> {
        self.control.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.outer.end()
    }

    /// What programs in the lab send to `/dev/log`: one datagram a message. Non-blocking.
    ///
    /// Read it: a program that logs waits when some hundred messages are unread.
    pub fn syslog(&self) -> &UnixDatagram {
        &self.syslog
    }

    /// Makes addresses exist on the Internet. A connection to one where nobody listens is refused; packets to an address
    /// that does not exist vanish.
    pub fn add_addresses(&self, addresses: &[IpAddr]) -> Result<(), LabError> {
        self.call(&Request::AddAddresses(addresses.to_vec())).map(drop)
    }

    /// Takes addresses from the Internet again.
    pub fn remove_addresses(&self, addresses: &[IpAddr]) -> Result<(), LabError> {
        self.call(&Request::RemoveAddresses(addresses.to_vec())).map(drop)
    }

    /// A socket that listens on the Internet at `address`, which must exist there. Non-blocking.
    pub fn bind_tcp(&self, address: SocketAddr) -> Result<TcpListener, LabError> {
        Ok(TcpListener::from(self.descriptor(&Request::BindTcp(address))?))
    }

    /// A UDP socket on the Internet at `address`, which must exist there. Non-blocking.
    pub fn bind_udp(&self, address: SocketAddr) -> Result<UdpSocket, LabError> {
        Ok(UdpSocket::from(self.descriptor(&Request::BindUdp(address))?))
    }

    /// A TCP socket on the Internet, bound to `from` (which must exist there) and not yet connected. Non-blocking.
    pub fn client_tcp(&self, from: IpAddr) -> Result<OwnedFd, LabError> {
        self.descriptor(&Request::ClientTcp(from))
    }

    /// Opens a file of the lab for reading. A FIFO does not block.
    pub fn open(&self, path: impl Into<PathBuf>) -> Result<File, LabError> {
        Ok(File::from(self.descriptor(&Request::Open(path.into()))?))
    }

    /// All of a file of the lab.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, LabError> {
        let path = path.as_ref();
        let mut contents = Vec::new();
        self.open(path)?
            .read_to_end(&mut contents)
            .doing(|| format!("reading {} in the lab", path.display()))?;
        Ok(contents)
    }

    /// Makes a file of the lab, or empties it, with a mode such as 0o644, and opens it for writing; directories above it
    /// are made if missing.
    pub fn create(&self, path: impl Into<PathBuf>, mode: u32, owner: &Owner) -> Result<File, LabError> {
        Ok(File::from(self.descriptor(&Request::Create { path: path.into(), mode, owner: owner.clone() })?))
    }

    /// Writes a file of the lab: [`Lab::create`], and its contents.
    pub fn write_file(
        &self,
        path: impl AsRef<Path>,
        mode: u32,
        owner: &Owner,
        contents: impl AsRef<[u8]>,
    ) -> Result<(), LabError> {
        let path = path.as_ref();
        let mut file = self.create(path, mode, owner)?;
        file.write_all(contents.as_ref()).doing(|| format!("writing {} in the lab", path.display()))
    }

    /// Makes a directory of the lab, with those above it; if it is there, sets its mode and owner.
    pub fn make_directory(&self, path: impl Into<PathBuf>, mode: u32, owner: &Owner) -> Result<(), LabError> {
        self.call(&Request::MakeDirectory { path: path.into(), mode, owner: owner.clone() }).map(drop)
    }

    /// Runs a command in the lab, in a process group of its own.
    pub fn spawn(&self, command: Command) -> Result<Process, LabError> {
        let Command { mut spec, stdin, output } = command;
        let doing = || "making pipes for a command".to_owned();
        let (end, tell_end) = std::io::pipe().doing(doing)?;
        let stdin = input(stdin)?;
        spec.has_stdin = stdin.is_some();
        spec.outputs = match output {
            Output::Null => 0,
            Output::Merged => 1,
            Output::Split => 2,
        };
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..spec.outputs {
            let (reader, writer) = std::io::pipe().doing(doing)?;
            readers.push(reader);
            writers.push(writer);
        }
        let with: Vec<BorrowedFd> = std::iter::once(tell_end.as_fd())
            .chain(stdin.iter().map(AsFd::as_fd))
            .chain(writers.iter().map(AsFd::as_fd))
            .collect();
        match call(&self.control, &Request::Spawn(spec), &with)? {
            (Answer::Pid(pid), _) => {
                let mut readers = readers.into_iter();
                Ok(Process { pid, stdout: readers.next(), stderr: readers.next(), end, status: None })
            }
            (answer, _) => Err(unexpected(&answer)),
        }
    }

    /// Sends a signal (15 is TERM) to a process of the lab.
    pub fn signal(&self, pid: u32, signal: i32) -> Result<(), LabError> {
        self.call(&Request::Signal { pid, signal }).map(drop)
    }

    /// Kills every process of the lab, lab-init apart, and returns when all are gone. Files and sockets stay.
    pub fn kill_everything(&self) -> Result<(), LabError> {
        self.call(&Request::KillEverything).map(drop)
    }

    /// Every thread of every process of the lab, lab-init apart.
    pub fn tasks(&self) -> Result<Vec<Task>, LabError> {
        match self.call(&Request::Tasks)? {
            Answer::Tasks(tasks) => Ok(tasks),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Whether anything happens: what [`Lab::tasks`] and [`Lab::connections`] tell, cheap enough to be asked all the time.
    pub fn activity(&self) -> Result<Activity, LabError> {
        match self.call(&Request::Activity)? {
            Answer::Activity(activity) => Ok(activity),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Puts everything that is spawned from now on under a virtual clock, which begins at this date (in whole seconds) and moves
    /// only by [`Lab::jump`]. Programs draw random numbers by `seed`: the same ones in each run with it. They run one after another on one processor, where that is allowed. To be called before
    /// anything is spawned.
    ///
    /// # Errors
    /// Where there is no such clock for this machine.
    pub fn start_clock(&self, date: SystemTime, seed: u32) -> Result<(), LabError> {
        let seconds = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let seat = Seat::take();
        let processor = seat.as_ref().map(|seat| seat.processor);
        match self.call(&Request::StartClock { seconds, seed, processor })? {
            Answer::InTurn(in_turn) => *self.seat() = seat.filter(|_| in_turn),
            answer => return Err(unexpected(&answer)),
        }
        Ok(())
    }

    /// Whether its programs run one after another, so that what they do at one moment comes in the same order each time. That
    /// needs the right `CAP_SYS_NICE`.
    pub fn is_in_turn(&self) -> bool {
        self.seat().is_some()
    }

    /// In a lab whose programs run in turn, returns when all of them wait, and tells what they have done until then as
    /// [`Look::ran`] does; `None` when one of them has run for a second, and in any other lab.
    ///
    /// # Errors
    /// When lab-init is gone.
    pub fn rests(&self) -> Result<Option<u64>, LabError> {
        match self.call(&Request::Rest)? {
            Answer::Rests(rests) => Ok(rests),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Puts this thread ahead of the lab's programs, if they run in turn: see [`Ahead`].
    pub fn ahead(&self) -> Option<Ahead> {
        self.seat().as_ref().and_then(Ahead::of)
    }

    fn seat(&self) -> MutexGuard<'_, Option<Seat>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who runs and who waits for what, under the lab's clock.
    ///
    /// # Errors
    /// In a lab without one.
    pub fn look(&self) -> Result<Look, LabError> {
        match self.call(&Request::Look)? {
            Answer::Look(look) => Ok(look),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Moves the lab's clock; whoever has waited for the moment that it then shows, or for an earlier one, goes on. All must
    /// be quiet. It comes later than to the moment that is asked for only as [`Jump::on_before`] allows.
    ///
    /// # Errors
    /// In a lab without one, and for a moment that is past.
    pub fn jump(&self, jump: Jump) -> Result<Moved, LabError> {
        match self.call(&Request::Jump(jump))? {
            Answer::Moved(moved) => Ok(moved),
            answer => Err(unexpected(&answer)),
        }
    }

    /// What of the relay's is open towards the Internet, each once, in order: connections that are being made or that it has not
    /// closed, and queries without an answer.
    ///
    /// # Errors
    /// When lab-init is gone, or the kernel does not tell.
    pub fn underway(&self) -> Result<Vec<Underway>, LabError> {
        match self.call(&Request::Underway)? {
            Answer::Underway(underway) => Ok(underway),
            answer => Err(unexpected(&answer)),
        }
    }

    /// The TCP sockets of both namespaces that have bytes on the way.
    pub fn connections(&self) -> Result<Vec<Connection>, LabError> {
        match self.call(&Request::Connections)? {
            Answer::Connections(connections) => Ok(connections),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Where the relay's side listens on TCP.
    pub fn listeners(&self) -> Result<Vec<SocketAddr>, LabError> {
        match self.call(&Request::Listeners)? {
            Answer::Listeners(listeners) => Ok(listeners),
            answer => Err(unexpected(&answer)),
        }
    }

    fn call(&self, request: &Request) -> Result<Answer, LabError> {
        call(&self.control, request, &[]).map(|(answer, _)| answer)
    }

    fn descriptor(&self, request: &Request) -> Result<OwnedFd, LabError> {
        the_one(call(&self.control, request, &[])?.1)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Nobody is left to be told; `stop` tells.
        let _ = self.end();
    }
}

impl Outer {
    /// Waits for its end, which comes after everything else's. Idempotent.
    fn end(&mut self) -> Result<(), LabError> {
        let doing = || "ending the lab".to_owned();
        if !readable_within(self.gone.as_fd(), PATIENCE).doing(doing)? {
            // Process 1 is in the same group, and its death is everyone's.
            if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return Err(LabError::told(doing(), format!("it still ran after {PATIENCE:?} and was killed")));
        }
        self.child.wait().map(drop).doing(doing)
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// One request and its answer.
fn call(
    control: &Mutex<Option<OwnedFd>>,
    request: &Request,
    with: &[BorrowedFd],
) -> Result<(Answer, Vec<OwnedFd>), LabError> {
    let doing = || "asking lab-init".to_owned();
    let mut control = control.lock().unwrap_or_else(PoisonError::into_inner);
    let socket = control.as_ref().ok_or_else(|| LabError::told(doing(), "it has failed before"))?.as_fd();
    match send(socket, request, with) {
        // It is gone; what it said before that is still to be read, and tells more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        sent => sent?,
    }
    if !readable_within(socket, PATIENCE).doing(doing)? {
        control.take();
        return Err(LabError::told(doing(), format!("no answer for {PATIENCE:?}")));
    }
    let Some((answer, descriptors)) = receive::<Result<Answer, LabError>>(socket)? else {
        control.take();
        let hook = "a statically linked program must call lab_init::hook first in main";
        return Err(LabError::told(doing(), format!("it has ended ({hook})")));
    };
    Ok((answer?, descriptors))
}

/// That the container with this process is gone, or about to be, if it is: whatever else went wrong then comes from that.
fn ended(container: u32) -> Option<LabError> {
    /// In the ninth field of proc(5)'s `stat`: it has begun to end.
    const EXITING: u32 = 4;
    let stat = std::fs::read_to_string(format!("/proc/{container}/stat")).unwrap_or_default();
    let flags = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(6)?.parse().ok());
    flags.is_none_or(|flags: u32| flags & EXITING != 0).then(|| {
        LabError::told("entering the container", format!("process {container} of the container has ended"))
    })
}

fn the_one(descriptors: Vec<OwnedFd>) -> Result<OwnedFd, LabError> {
    descriptors.into_iter().next().ok_or_else(|| {
        LabError::told("asking lab-init", "the descriptor that belongs to its answer is missing")
    })
}

fn unexpected(answer: &Answer) -> LabError {
    LabError::told("asking lab-init", format!("its answer is to something else: {answer:?}"))
}

/// What a command is to read, as a descriptor.
fn input(stdin: Stdin) -> Result<Option<OwnedFd>, LabError> {
    let doing = || "preparing a command's input".to_owned();
    Ok(match stdin {
        Stdin::Null => None,
        Stdin::Pipe(pipe) => Some(pipe.into()),
        Stdin::File(file) => Some(file.into()),
        Stdin::Bytes(bytes) => {
            let memory = rustix::fs::memfd_create("stdin", rustix::fs::MemfdFlags::CLOEXEC).doing(doing)?;
            let mut file = File::from(memory);
            file.write_all(&bytes).doing(doing)?;
            file.rewind().doing(doing)?;
            Some(file.into())
        }
    })
}
