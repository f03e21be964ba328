//! The relay's running tasks, so that all of them can be ended at one instant, as by SIGKILL, or waited for.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// The words of the first task that panicked.
    died: Option<String>,
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
            let panicked = drive(&slot).await;
            tasks.running().slots.remove(&number);
            if let Some(words) = panicked {
                tasks.running().died.get_or_insert(words);
                // A process whose thread panics could limp on; one that has lost a part of itself had better not.
                tasks.kill();
            }
            tasks.ended.notify_one();
        });
    }

    /// Drops every task where it stands. Not to be called from inside one of them, except from one that has ended.
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

    /// Why the relay ended by itself, if it did.
    pub(crate) fn died(&self) -> Option<String> {
        self.running().died.clone()
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

/// Runs the future in `slot` until it is done or taken away. A panic's words, if it panicked.
async fn drive(slot: &Slot) -> Option<String> {
    poll_fn(|context| {
        let mut future = slot.lock().expect("a panic is caught below, while the lock is held");
        let Some(running) = future.as_mut() else { return Poll::Ready(None) };
        // The future is dropped after a panic, and nobody looks into what it left half done but the disk.
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => {
                *future = None;
                Poll::Ready(None)
            }
            Err(panic) => {
                *future = None;
                Poll::Ready(Some(words(&*panic)))
            }
        }
    })
    .await
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a task panicked: {}", text.unwrap_or("no words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_one_task_ends_them_all_and_is_told() {
        let tasks = Arc::new(Tasks::default());
        tasks.spawn(std::future::pending());
        tasks.spawn(async { panic!("out of {}", "luck") });
        tasks.all_ended().await;
        assert_eq!(tasks.died().as_deref(), Some("a task panicked: out of luck"));
    }
}
