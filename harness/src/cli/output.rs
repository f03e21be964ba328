//! What the command says, on stdout mostly. A reader that has gone (`| head`) is no mistake; a full disk is.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write};

use crate::report::terminal::Style;

/// Stdout, and the first thing that went wrong with it.
#[derive(Debug, Default)]
pub(super) struct Output {
    on_stderr: bool,
    failed: RefCell<Option<io::Error>>,
}

impl Output {
    /// Stderr in its place: stdout is for a program.
    pub(super) fn on_stderr() -> Self {
        Self { on_stderr: true, ..Self::default() }
    }

    /// Colours on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub(super) fn style(&self) -> Style {
        let asked_not = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style { colour: self.is_terminal() && !asked_not }
    }

    /// How many columns the terminal has; `None`: it is none, or does not tell.
    pub(super) fn width(&self) -> Option<usize> {
        let size = if self.on_stderr {
            terminal_size::terminal_size_of(io::stderr())
        } else {
            terminal_size::terminal_size_of(io::stdout())
        };
        size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0 && self.is_terminal())
    }

    fn is_terminal(&self) -> bool {
        if self.on_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// Says something, with a line end; nothing more after a failure.
    pub(super) fn line(&self, text: &str) {
        let mut failed = self.failed.borrow_mut();
        if failed.is_none() {
            let mut to: Box<dyn Write> =
                if self.on_stderr { Box::new(io::stderr().lock()) } else { Box::new(io::stdout().lock()) };
            *failed = writeln!(to, "{text}").and_then(|()| to.flush()).err();
        }
    }

    /// Whether there is nobody left to say anything to.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// What went wrong, a reader that had read enough apart.
    pub(super) fn failure(self) -> Option<io::Error> {
        self.failed.into_inner().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
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
