//! The relay's log: lines like those of a mail log, in memory, in order.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::environment::Clock;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, by the injected clock.
    pub at: SystemTime,
    /// What happened, e.g. `Q3: to=<bob@x.example>, relay=mx.x.example[198.51.100.7], attempt=1, status=sent (250 OK)`.
    pub text: String,
}

/// Where every part of the relay writes. Lines are only ever added.
pub(crate) struct Log {
    clock: Arc<dyn Clock>,
    lines: Mutex<Vec<LogLine>>,
}

impl Log {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default() }
    }

    pub(crate) fn say(&self, text: impl Into<String>) {
        let line = LogLine { at: self.clock.now(), text: text.into() };
        self.lines.lock().expect("no code panics while it holds the log").push(line);
    }

    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().expect("no code panics while it holds the log").clone()
    }
}
