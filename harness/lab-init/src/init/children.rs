//! Processes of the lab: starting them, and reaping them and every orphan.

use super::files::ids;
use super::network::Network;
use super::turn::InTurn;
use crate::command::{Space, Spec};
use crate::error::{Doing, LabError};
use crate::layout::Owner;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Commands that the harness has started, each with the pipe that tells it of their end.
#[derive(Default)]
pub(super) struct Children(HashMap<u32, File>);

impl Children {
    /// Starts a command. `with`: see [`Request::Spawn`](crate::protocol::Request::Spawn).
    pub(super) fn spawn(
        &mut self,
        network: &Network,
        in_turn: Option<&InTurn>,
        spec: &Spec,
        with: Vec<OwnedFd>,
    ) -> Result<u32, LabError> {
        let [program, arguments @ ..] = spec.argv.as_slice() else {
            return Err(LabError::told("starting a command", "it has no name"));
        };
        let doing = || format!("starting {program} in the lab");
        let mut with = with.into_iter();
        let mut next = || with.next().ok_or_else(|| LabError::told(doing(), "a descriptor is missing"));
        let end = File::from(next()?);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(spec.env.iter().cloned())
            .current_dir(&spec.cwd)
            .process_group(0);
        command.stdin(if spec.has_stdin { Stdio::from(next()?) } else { Stdio::null() });
        match spec.outputs {
            0 => command.stdout(Stdio::null()).stderr(Stdio::null()),
            1 => {
                let both = next()?;
                command.stdout(both.try_clone().doing(doing)?).stderr(both)
            }
            _ => command.stdout(next()?).stderr(next()?),
        };
        if spec.user != Owner::Root {
            let (user, group) = ids(&spec.user)?;
            command.uid(user).gid(group);
        }
        let mut spawn = || match spec.space {
            Space::Internet => Ok(command.spawn()),
            Space::Relay => network.in_relay(|| command.spawn()),
        };
        let child = match in_turn {
            Some(in_turn) => in_turn.starting(spawn)??,
            None => spawn()?,
        };
        // It is reaped with all others.
        let pid = child.doing(doing)?.id();
        self.0.insert(pid, end);
        Ok(pid)
    }

    /// Takes note of every process that has ended.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            self.ended(pid, status.as_raw());
        }
    }

    fn ended(&mut self, pid: Pid, status: i32) {
        if let Some(mut tell) = self.0.remove(&pid.as_raw_nonzero().get().cast_unsigned()) {
            // The harness may not care any more.
            let _ = tell.write_all(&status.to_ne_bytes());
        }
    }

    /// Kills every process but this one, and waits for their ends.
    pub(super) fn kill_everything(&mut self) -> Result<(), LabError> {
        let doing = || "killing every process of the lab".to_owned();
        loop {
            // Process 1's "group" is every process but itself.
            match kill_process_group(Pid::INIT, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(LabError::system(doing(), error)),
            }
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => self.ended(pid, status.as_raw()),
                Ok(None) | Err(Errno::INTR) => {}
                // Orphans become this process's children: none left means that nobody is.
                Err(Errno::CHILD) => return Ok(()),
                Err(error) => return Err(LabError::system(doing(), error)),
            }
        }
    }
}

/// Sends a signal to one process.
pub(super) fn signal(pid: u32, signal: i32) -> Result<(), LabError> {
    let doing = || format!("sending signal {signal} to process {pid}");
    let signal =
        Signal::from_named_raw(signal).ok_or_else(|| LabError::told(doing(), "there is no such signal"))?;
    let pid = Pid::from_raw(pid.cast_signed())
        .filter(|pid| *pid != Pid::INIT)
        .ok_or_else(|| LabError::told(doing(), "it is no process of the relay's"))?;
    kill_process(pid, signal).doing(doing)
}
