//! A command to be run in a lab.

use crate::layout::Owner;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::PipeReader;
use std::path::PathBuf;

/// Which network a command finds itself in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Space {
    /// The relay's.
    #[default]
    Relay,
    /// The Internet's, where the servers are.
    Internet,
}

/// What a command reads.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Null,
    /// These bytes, then the end of file.
    Bytes(Vec<u8>),
    /// A pipe.
    Pipe(PipeReader),
    /// A file.
    File(File),
}

/// Where a command's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Standard output and standard error by one pipe, in the order written.
    #[default]
    Merged,
    /// A pipe for each.
    Split,
    /// Nowhere.
    Null,
}

/// What crosses to lab-init of a [`Command`]; descriptors go beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    pub(crate) space: Space,
    pub(crate) user: Owner,
    pub(crate) has_stdin: bool,
    pub(crate) outputs: usize,
}

/// A command to be run in a lab: its environment holds only what is given here, and a `PATH`.
#[derive(Debug)]
pub struct Command {
    pub(crate) spec: Spec,
    pub(crate) stdin: Stdin,
    pub(crate) output: Output,
}

impl Command {
    /// A program (a path, or a name sought in `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`) and its arguments, as root in the relay's
    /// namespace, in `/`, reading nothing, with its output merged.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Command {
            spec: Spec {
                argv: argv.into_iter().map(Into::into).collect(),
                env: vec![(
                    "PATH".to_owned(),
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                )],
                cwd: PathBuf::from("/"),
                space: Space::Relay,
                user: Owner::Root,
                has_stdin: false,
                outputs: 0,
            },
            stdin: Stdin::Null,
            output: Output::Merged,
        }
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.env.push((name.into(), value.into()));
        self
    }

    /// The directory it starts in.
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.spec.cwd = cwd.into();
        self
    }

    /// The network it finds itself in.
    pub fn space(mut self, space: Space) -> Self {
        self.spec.space = space;
        self
    }

    /// As whom it runs, without supplementary groups.
    pub fn user(mut self, user: Owner) -> Self {
        self.spec.user = user;
        self
    }

    /// What it reads.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Where its output goes.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }
}
