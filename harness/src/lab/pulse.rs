//! When all is quiet around a real relay. Its processes cannot be asked, so the kernel is: how often each of its threads has
//! left the processor, whether one of them could run, and which bytes are on their way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lab_init::Lab;

use super::sim::{Nowhere, Sim};

/// Between two looks; where a long time without any activity is waited for, ten times as much.
const BETWEEN: Duration = Duration::from_millis(2);
/// So long nothing may have happened before a moment counts as quiet.
const PAUSE: Duration = Duration::from_millis(6);
/// So long before it is certain that nothing more happens by itself: some relays wait a tenth of a second for this or that,
/// and bytes that are not acknowledged are sent again.
const CERTAIN: Duration = Duration::from_millis(400);
/// A relay that sleeps in between (`nanosleep`, not the wait for an event) is at work; longer sleeps than this are no work.
const NAP: Duration = Duration::from_millis(1500);

/// Looks at the lab until it is dropped, and lets the run go on at its quiet moments. Returns when lab-init is gone.
pub(super) async fn beat(sim: Sim, lab: Arc<Lab>) {
    let mut mark = None;
    let mut since = Instant::now();
    // Something is to be decided that needs certainty.
    let mut must_be_sure = false;
    loop {
        let long = since.elapsed() > 2 * PAUSE;
        tokio::time::sleep(if long { 10 * BETWEEN } else { BETWEEN }).await;
        let Ok(seen) = lab.activity() else { return };
        if sim.is_held() || seen.busy || mark != Some(seen.mark) {
            mark = Some(seen.mark);
            since = Instant::now();
            continue;
        }
        let sure = must_be_sure || seen.naps || seen.in_flight;
        let needed = if seen.naps {
            NAP
        } else if sure {
            CERTAIN
        } else {
            PAUSE
        };
        if since.elapsed() < needed {
            continue;
        }
        must_be_sure = !sim.step(sure, &mut Nowhere);
        // The listing of the queue, and whatever was woken, is activity of its own: the next look starts afresh.
        mark = None;
        since = Instant::now();
    }
}
