//! The relay's running tasks, so that all of them can be ended at one instant, as by SIGKILL, or waited for.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use tokio::sync::Notify;

use crate::environment::BoxFuture;

/// A task's future, held outside the runtime. [`tokio::task::JoinHandle::abort`] drops a future only when the runtime
/// comes round to it; a process that dies closes its sockets at once, and so does an emptied slot.
type Slot = Arc<Mutex<Option<BoxFuture<'static, ()>>>>;

/// The tasks that run.
#[derive(Default)]
pub(crate) struct Tasks {
    running: Mutex<Running>,
    ended: Notify,
}

#[derive(Default)]
struct Running {
    started: u64,
    killed: bool,
    slots: BTreeMap<u64, Slot>,
}

impl Tasks {
    /// Starts a task; does nothing after [`Tasks::kill`].
    pub(crate) fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let slot: Slot = Arc::new(Mutex::new(Some(Box::pin(future))));
        let number = {
            let mut running = self.running();
            if running.killed {
                return;
            }
            running.started += 1;
            let number = running.started;
            running.slots.insert(number, slot.clone());
            number
        };
        let tasks = self.clone();
        tokio::spawn(async move {
            drive(&slot).await;
            tasks.running().slots.remove(&number);
            tasks.ended.notify_one();
        });
    }

    /// Drops every task where it stands. Not to be called from inside one of them.
    pub(crate) fn kill(&self) {
        let slots = {
            let mut running = self.running();
            running.killed = true;
            std::mem::take(&mut running.slots)
        };
        for slot in slots.into_values() {
            let future = slot.lock().expect("a task that panicked is not polled again").take();
            drop(future);
        }
    }

    /// Completes once no task is left.
    pub(crate) async fn all_ended(&self) {
        while !self.running().slots.is_empty() {
            self.ended.notified().await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().expect("no code panics while it holds the list of tasks")
    }
}

/// Runs the future in `slot` until it is done or taken away.
async fn drive(slot: &Slot) {
    poll_fn(|context| {
        let mut future = slot.lock().expect("a task that panicked is not polled again");
        let Some(running) = future.as_mut() else { return Poll::Ready(()) };
        let poll = running.as_mut().poll(context);
        if poll.is_ready() {
            *future = None;
        }
        poll
    })
    .await;
}
