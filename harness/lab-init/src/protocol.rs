//! What the harness and lab-init say to each other, on a socket that keeps messages apart.

use crate::command::Spec;
use crate::error::{Doing, LabError};
use crate::layout::{Layout, Owner};
use crate::view::{Activity, Connection, Jump, Look, Moved, Task, Underway};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// `argv[0]` of the process that makes the process numbers' namespace and waits.
pub(crate) const OUTER: &str = "gauntlet lab-init";
/// `argv[0]` of the process that takes containers away: see [`crate::Reaper`].
pub(crate) const REAPER: &str = "gauntlet container-reaper";
/// `argv[0]` of process 1 of the lab.
pub(crate) const INNER: &str = "gauntlet lab-init, process 1";
/// A message longer than this crosses in a file in memory, which has no limit of its own.
const INLINE: usize = 32 << 10;
/// The most descriptors in one message: the end of a command, its three streams, and the file of a long message.
const DESCRIPTORS: usize = 5;

/// What the harness asks for. Descriptors that go with a request, and with its answer, are named.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make the lab. Answer: the system log's socket.
    Start(Layout),
    /// Addresses that exist on the Internet from now on, or no more.
    AddAddresses(Vec<IpAddr>),
    RemoveAddresses(Vec<IpAddr>),
    /// Sockets in the Internet's namespace. Answer: the socket.
    BindTcp(SocketAddr),
    BindUdp(SocketAddr),
    ClientTcp(IpAddr),
    /// Files under the lab's root. Answer: the file.
    Open(PathBuf),
    Create {
        path: PathBuf,
        mode: u32,
        owner: Owner,
    },
    MakeDirectory {
        path: PathBuf,
        mode: u32,
        owner: Owner,
    },
    /// Run a command. With it: where its end is written, its input if it has one, its one or two outputs.
    Spawn(Spec),
    Signal {
        pid: u32,
        signal: i32,
    },
    KillEverything,
    Tasks,
    Connections,
    Listeners,
    Activity,
    /// From now on everything in the lab lives under a virtual clock that begins at this date, in seconds since 1970, draws its
    /// random numbers by this seed, and runs one after another on this processor.
    StartClock {
        seconds: u64,
        seed: u32,
        processor: Option<usize>,
    },
    /// In a lab whose programs run in turn: answered when all of them wait, or do not come to rest.
    Rest,
    Look,
    Jump(Jump),
    /// What of the relay's is open towards the Internet.
    Underway,
}

/// What lab-init answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Pid(u32),
    Tasks(Vec<Task>),
    Connections(Vec<Connection>),
    Listeners(Vec<SocketAddr>),
    Activity(Activity),
    Look(Look),
    Moved(Moved),
    Underway(Vec<Underway>),
    /// Whether programs run one after another.
    InTurn(bool),
    /// All of them wait: what they have done until then.
    Rests(Option<u64>),
}

/// Sends one message.
pub(crate) fn send(
    socket: BorrowedFd,
    message: &impl Serialize,
    with: &[BorrowedFd],
) -> Result<(), LabError> {
    let doing = || "sending a message to or from lab-init".to_owned();
    let text = serde_json::to_vec(message).map_err(|e| LabError::told(doing(), e.to_string()))?;
    let mut descriptors = with.to_vec();
    let file;
    let bytes = if text.len() <= INLINE {
        text.as_slice()
    } else {
        let mut memory = File::from(memfd_create("message", MemfdFlags::CLOEXEC).doing(doing)?);
        memory.write_all(&text).doing(doing)?;
        memory.rewind().doing(doing)?;
        file = memory;
        descriptors.push(file.as_fd());
        b"".as_slice()
    };
    // The first byte tells where the text is: a message without any byte would be taken for the end.
    let place = [u8::from(bytes.is_empty())];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(LabError::told(doing(), "too many descriptors"));
    }
    loop {
        let pieces = [IoSlice::new(&place), IoSlice::new(bytes)];
        match sendmsg(socket, &pieces, &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop).doing(doing),
        }
    }
}

/// Receives one message and the descriptors beside it; `None` when the other end is closed.
pub(crate) fn receive<M: DeserializeOwned>(
    socket: BorrowedFd,
) -> Result<Option<(M, Vec<OwnedFd>)>, LabError> {
    let doing = || "receiving a message to or from lab-init".to_owned();
    let mut bytes = vec![0; INLINE + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message.bytes,
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => break 0,
            Err(error) => return Err(LabError::system(doing(), error)),
        }
    };
    if length == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let mut text = bytes[1..length].to_vec();
    if bytes[0] == 1 {
        let file = descriptors.pop().ok_or_else(|| LabError::told(doing(), "its text is missing"))?;
        File::from(file).read_to_end(&mut text).doing(doing)?;
    }
    let message = serde_json::from_slice(&text).map_err(|e| LabError::told(doing(), e.to_string()))?;
    Ok(Some((message, descriptors)))
}

/// Waits until there is something to read, or the end; false when the time is over.
pub(crate) fn readable_within(fd: BorrowedFd, limit: Duration) -> rustix::io::Result<bool> {
    let until = Instant::now() + limit;
    loop {
        let left =
            Timespec::try_from(until.saturating_duration_since(Instant::now())).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
