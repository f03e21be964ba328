//! The run's own time, and durations as the scenario language writes them.

use std::fmt::{self, Write as _};
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of a run: the time since its start, on the run's clock. Never a measured time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RunTime(Duration);

impl RunTime {
    /// The start of the run.
    pub const ZERO: Self = Self(Duration::ZERO);
    /// Later than every moment of a run.
    pub const NEVER: Self = Self(Duration::MAX);

    /// The moment `since_start` after the start.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the start of the run.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` until this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for RunTime {
    type Output = Self;
    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl Sub for RunTime {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&human(self.0))
    }
}

/// Writes a duration as the language does: `2d`, `1h30m`, `90ms`, `0s`.
pub fn human(duration: Duration) -> String {
    if duration == Duration::MAX {
        return "never".to_owned();
    }
    let mut out = String::new();
    let mut seconds = duration.as_secs();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds >= size {
            let _ = write!(out, "{}{unit}", seconds / size);
            seconds %= size;
        }
    }
    if seconds > 0 {
        let _ = write!(out, "{seconds}s");
    }
    if duration.subsec_millis() > 0 {
        let _ = write!(out, "{}ms", duration.subsec_millis());
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        let seconds = |s| human(Duration::from_secs(s));
        assert_eq!(seconds(0), "0s");
        assert_eq!(seconds(90), "1m30s");
        assert_eq!(seconds(5400), "1h30m");
        assert_eq!(seconds(172_800), "2d");
        assert_eq!(human(Duration::from_millis(1500)), "1s500ms");
    }
}
