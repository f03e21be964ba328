//! `--report`: where results go for programs.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use super::output::Output;
use super::{Exit, complain};
use crate::report::{Runs, json};

/// A report that was asked for: `json=matrix.json`, or `json=-` for stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// `None`: stdout, which then has nothing else.
    file: Option<PathBuf>,
}

impl FromStr for Report {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("json", "-")) => Ok(Self { file: None }),
            Some(("json", path)) if !path.is_empty() => Ok(Self { file: Some(path.into()) }),
            Some(("json", _)) | None => Err("it is `json=FILE`, or `json=-` for stdout".to_owned()),
            Some((other, _)) => Err(format!("there is no report `{other}`; there is `json`")),
        }
    }
}

impl Report {
    /// Whether stdout is its.
    pub(super) fn is_on_stdout(&self) -> bool {
        self.file.is_none()
    }

    /// Tries its file before anything is run for it; what is in there stays.
    pub(super) fn try_file(&self) -> Result<(), Exit> {
        let Some(path) = &self.file else { return Ok(()) };
        let tried = OpenOptions::new().append(true).create(true).open(path);
        tried.map(drop).map_err(|error| {
            complain(&format!("cannot write the report {}: {error}", path.display()));
            Exit::Usage
        })
    }

    /// Writes it; says what went wrong.
    pub(super) fn write(&self, runs: &Runs<'_>) -> Result<(), Exit> {
        let text = json::json(runs);
        let Some(path) = &self.file else {
            let stdout = Output::default();
            stdout.line(&text);
            return match stdout.end(Exit::Ok) {
                Exit::Ok => Ok(()),
                other => Err(other),
            };
        };
        let written = File::create(path).and_then(|mut file| writeln!(file, "{text}"));
        written.map_err(|error| {
            complain(&format!("cannot write the report {}: {error}", path.display()));
            Exit::Unjudged
        })
    }
}
