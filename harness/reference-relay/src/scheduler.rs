//! What happens when: begins attempts when they are due, and gives each next hop's jobs a lane of their own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::delivery::{self, Destination};
use crate::queue::Job;
use crate::relay::Context;

/// The jobs of each next hop that is being talked to. Next hops are independent of each other; with
/// [`Config::reuse`](crate::config::Config::reuse), the jobs of one follow each other, in one session if that holds.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<BTreeMap<Destination, VecDeque<Job>>>);

/// Runs until the relay is stopped.
pub(crate) async fn run(context: Arc<Context>) {
    loop {
        context.queue.warn_due();
        for job in context.queue.begin_due() {
            dispatch(&context, job);
        }
        let next = context.queue.next_event();
        tokio::select! {
            biased;
            () = context.stopping() => return,
            () = context.queue.changed() => {}
            () = async {
                match next {
                    Some(at) => context.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

fn dispatch(context: &Arc<Context>, job: Job) {
    if !context.config.reuse {
        context.tasks.spawn(alone(context.clone(), job));
        return;
    }
    let destination = job.destination.clone();
    let mut lanes = context.lanes.open();
    if let Some(waiting) = lanes.get_mut(&destination) {
        waiting.push_back(job);
    } else {
        lanes.insert(destination.clone(), VecDeque::from([job]));
        context.tasks.spawn(in_order(context.clone(), destination));
    }
}

/// One job, in a session of its own.
async fn alone(context: Arc<Context>, job: Job) {
    let session = delivery::attempt(&context, &job, None).await;
    context.queue.job_ended(&job);
    if let Some(session) = session {
        session.quit().await;
    }
}

/// The jobs of one next hop, until none is left.
async fn in_order(context: Arc<Context>, destination: Destination) {
    let mut session = None;
    while let Some(job) = context.lanes.next(&destination) {
        session = delivery::attempt(&context, &job, session).await;
        context.queue.job_ended(&job);
        // What was not begun stays in the spool.
        if context.is_stopping() {
            break;
        }
    }
    if let Some(session) = session {
        session.quit().await;
    }
}

impl Lanes {
    /// The next job; closes the lane when there is none.
    fn next(&self, destination: &Destination) -> Option<Job> {
        let mut lanes = self.open();
        let job = lanes.get_mut(destination)?.pop_front();
        if job.is_none() {
            lanes.remove(destination);
        }
        job
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Destination, VecDeque<Job>>> {
        self.0.lock().expect("no code panics while it holds the lanes")
    }
}
