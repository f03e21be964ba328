//! What the command says on stdout. A reader that has gone (`| head`) is no mistake; a full disk is.

use std::cell::RefCell;
use std::io::{self, Write};

/// Stdout, and the first thing that went wrong with it.
#[derive(Debug, Default)]
pub(super) struct Output(RefCell<Option<io::Error>>);

impl Output {
    /// Says something, with a line end; nothing more after a failure.
    pub(super) fn line(&self, text: &str) {
        let mut failed = self.0.borrow_mut();
        if failed.is_none() {
            let mut stdout = io::stdout().lock();
            *failed = writeln!(stdout, "{text}").and_then(|()| stdout.flush()).err();
        }
    }

    /// Whether there is nobody left to say anything to.
    pub(super) fn has_failed(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// What went wrong, a reader that had read enough apart.
    pub(super) fn failure(self) -> Option<io::Error> {
        self.0.into_inner().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// The exit code, once everything is said: the one given, unless not all of it could be.
    pub(super) fn end(self, exit: super::Exit) -> super::Exit {
        match self.failure() {
            None => exit,
            Some(error) => {
                super::complain(&format!("cannot write the report: {error}"));
                super::Exit::Unjudged
            }
        }
    }
}
