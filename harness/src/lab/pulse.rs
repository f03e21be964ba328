//! When all is quiet around a real relay. Its processes cannot be asked, so the kernel is: how often each of its threads has
//! left the processor, whether one of them could run, and which bytes are on their way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lab_init::{Connection, Lab, LabError, Task};

use super::sim::Sim;

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(1);
/// So long nothing may have changed before a moment counts as quiet.
const PAUSE: Duration = Duration::from_millis(4);
/// So long before it is certain that nothing more happens by itself: some relays wait a tenth of a second for this or that.
const CERTAIN: Duration = Duration::from_millis(400);
/// A relay that sleeps in between (`nanosleep`, not the wait for an event) is at work; longer sleeps than this are no work.
const NAP: Duration = Duration::from_millis(1500);

/// Looks at the lab until it is dropped, and lets the run go on at its quiet moments. Returns when lab-init is gone.
pub(super) async fn beat(sim: Sim, lab: Arc<Lab>) {
    let mut last: Option<Look> = None;
    let mut since = Instant::now();
    let mut sure = false;
    loop {
        tokio::time::sleep(BETWEEN).await;
        let Ok(look) = Look::at(&lab) else { return };
        if look.busy || last.as_ref() != Some(&look) {
            sure &= !look.busy;
            last = Some(look);
            since = Instant::now();
            continue;
        }
        let needed = match (sure, look.naps) {
            (false, false) => PAUSE,
            (true, false) => CERTAIN,
            (_, true) => NAP,
        };
        if since.elapsed() < needed {
            continue;
        }
        sure = !sim.step(sure || look.naps);
        // The listing of the queue, and whatever was woken, is activity of its own: the next look starts afresh.
        last = None;
        since = Instant::now();
    }
}

/// What is seen at one moment; two that are equal mean that nothing has run in between.
#[derive(PartialEq, Eq)]
struct Look {
    switches: Vec<(u32, u64)>,
    connections: Vec<Connection>,
    busy: bool,
    naps: bool,
}

impl Look {
    fn at(lab: &Lab) -> Result<Self, LabError> {
        let tasks = lab.tasks()?;
        let connections = lab.connections()?;
        let runs = |task: &Task| !matches!(task.state, 'S' | 'I' | 'T' | 't');
        let naps = |task: &Task| task.waits_in.as_deref().is_some_and(|place| place.contains("nanosleep"));
        Ok(Self {
            busy: tasks.iter().any(runs),
            naps: tasks.iter().any(naps),
            switches: tasks.iter().map(|task| (task.tid, task.switches)).collect(),
            connections,
        })
    }
}
