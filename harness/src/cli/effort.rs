//! What a command costs: real time, and processors.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::report::Effort;

/// What the command has cost since `began`, with so many runs at a time.
pub(super) fn since(began: Instant, jobs: NonZeroUsize) -> Effort {
    Effort {
        took: began.elapsed(),
        jobs: jobs.get(),
        processors: processors().get(),
        processor_time: processor_time(),
    }
}

/// The processors that this command may use.
pub(super) fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The processor time of this process and of those that it started and has seen end, and of theirs: `utime`, `stime`, `cutime` and
/// `cstime` of proc_pid_stat(5).
#[cfg(target_os = "linux")]
fn processor_time() -> Option<Duration> {
    /// Linux tells these in hundredths of a second on every machine that has been built for decades (`USER_HZ`).
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may have anything in it; `state` comes behind it, which is the third field.
    let (_, fields) = stat.rsplit_once(") ")?;
    let times: Vec<u32> = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| TICK * times.iter().sum::<u32>())
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Option<Duration> {
    None
}
