//! Where there is no Linux, there is no lab: the same API, of which nothing can ever be made.

use crate::command::Command;
use crate::error::LabError;
use crate::layout::{Layout, Owner};
use crate::view::{Activity, Connection, Jump, Look, Moved, Task, Underway};
use std::convert::Infallible;
use std::fs::File;
use std::io::PipeReader;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

/// A thread ahead of a lab's programs: none here.
#[derive(Debug)]
pub struct Ahead(Infallible);

/// A lab: none here.
#[derive(Debug)]
pub struct Lab(Infallible);

/// A command in a lab: none here.
#[derive(Debug)]
pub struct Process {
    /// Its standard output.
    pub stdout: Option<PipeReader>,
    /// Its standard error.
    pub stderr: Option<PipeReader>,
    never: Infallible,
}

#[allow(missing_docs, clippy::unused_self, reason = "documented with the real ones")]
impl Process {
    pub fn pid(&self) -> u32 {
        match self.never {}
    }

    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, LabError> {
        match self.never {}
    }

    pub fn wait(&mut self, _limit: Duration) -> Result<ExitStatus, LabError> {
        match self.never {}
    }
}

#[allow(missing_docs, clippy::unused_self, reason = "documented with the real ones")]
impl Lab {
    /// Always an error that says so.
    pub fn start(_layout: &Layout) -> Result<Self, LabError> {
        Err(LabError::told("starting a lab", "labs are made of Linux namespaces, and this system has none")
            .with_help("run the harness on Linux, or in a container, to test real relays"))
    }

    pub fn stop(self) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn syslog(&self) -> &UnixDatagram {
        match self.0 {}
    }

    pub fn client_tcp(&self, _from: IpAddr) -> Result<OwnedFd, LabError> {
        match self.0 {}
    }

    pub fn activity(&self) -> Result<Activity, LabError> {
        match self.0 {}
    }

    pub fn start_clock(&self, _date: SystemTime, _seed: u32) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn is_in_turn(&self) -> bool {
        match self.0 {}
    }

    pub fn rests(&self) -> Result<Option<u64>, LabError> {
        match self.0 {}
    }

    pub fn ahead(&self) -> Option<Ahead> {
        match self.0 {}
    }

    pub fn look(&self) -> Result<Look, LabError> {
        match self.0 {}
    }

    pub fn jump(&self, _jump: Jump) -> Result<Moved, LabError> {
        match self.0 {}
    }

    pub fn underway(&self) -> Result<Vec<Underway>, LabError> {
        match self.0 {}
    }

    pub fn add_addresses(&self, _addresses: &[IpAddr]) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn remove_addresses(&self, _addresses: &[IpAddr]) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn bind_tcp(&self, _address: SocketAddr) -> Result<TcpListener, LabError> {
        match self.0 {}
    }

    pub fn bind_udp(&self, _address: SocketAddr) -> Result<UdpSocket, LabError> {
        match self.0 {}
    }

    pub fn open(&self, _path: impl Into<PathBuf>) -> Result<File, LabError> {
        match self.0 {}
    }

    pub fn read_file(&self, _path: impl AsRef<Path>) -> Result<Vec<u8>, LabError> {
        match self.0 {}
    }

    pub fn create(&self, _path: impl Into<PathBuf>, _mode: u32, _owner: &Owner) -> Result<File, LabError> {
        match self.0 {}
    }

    pub fn write_file(
        &self,
        _path: impl AsRef<Path>,
        _mode: u32,
        _owner: &Owner,
        _contents: impl AsRef<[u8]>,
    ) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn make_directory(
        &self,
        _path: impl Into<PathBuf>,
        _mode: u32,
        _owner: &Owner,
    ) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn spawn(&self, _command: Command) -> Result<Process, LabError> {
        match self.0 {}
    }

    pub fn signal(&self, _pid: u32, _signal: i32) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn kill_everything(&self) -> Result<(), LabError> {
        match self.0 {}
    }

    pub fn tasks(&self) -> Result<Vec<Task>, LabError> {
        match self.0 {}
    }

    pub fn listeners(&self) -> Result<Vec<SocketAddr>, LabError> {
        match self.0 {}
    }

    pub fn connections(&self) -> Result<Vec<Connection>, LabError> {
        match self.0 {}
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.never {}
    }
}
