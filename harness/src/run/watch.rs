//! What is looked at each time before the run's clock moves: the queue, and whether what is waited for has come.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::time::human;
use tokio::sync::oneshot;

use crate::lab::{Flow, Quiet, Relay};
use crate::record::{Clock, Ending, QueueEntry, QueueState};

/// So long a relay that was started again may take to read its queue: one that lists what its scheduler knows shows nothing
/// until then.
const READS_ITS_QUEUE: Duration = Duration::from_secs(1);

/// Looks at the relay whenever all is quiet. Clones are the same one.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<State>>);

struct State {
    relay: Relay,
    timeline: Vec<QueueState>,
    settle: Option<oneshot::Sender<()>>,
    still: Option<oneshot::Sender<()>>,
    /// What is waited for that a session does, in words for the case that it never comes.
    awaited: Option<String>,
    over: Option<oneshot::Sender<Ending>>,
    limit: RunTime,
    clock: Clock,
    traffic: Traffic,
    /// What there was of traffic and log when the queue was last listed.
    listed_at: Option<u64>,
    /// Until then what is on the relay's disk need not be in its listing yet.
    reads_until: RunTime,
}

/// Grows with everything that mocks and clients see of the relay.
pub(super) type Traffic = Box<dyn Fn() -> u64 + Send>;

impl Watch {
    /// Watches this relay until `limit`, and tells through the channel why the run cannot go on.
    pub(super) fn new(
        relay: Relay,
        limit: RunTime,
        clock: Clock,
        traffic: Traffic,
    ) -> (Self, oneshot::Receiver<Ending>) {
        let (tell, told) = oneshot::channel();
        let state = State {
            relay,
            timeline: Vec::new(),
            settle: None,
            still: None,
            awaited: None,
            over: Some(tell),
            limit,
            clock,
            traffic,
            listed_at: None,
            reads_until: RunTime::ZERO,
        };
        (Self(Arc::new(Mutex::new(state))), told)
    }

    /// Completes when all is quiet, no server has anything left to do, and nothing live is in the queue.
    pub(super) fn settled(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.lock().settle = Some(tell);
        told
    }

    /// Completes when all is quiet: everything that happens at this moment has happened. The clock does not move.
    pub(super) fn still(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.lock().still = Some(tell);
        told
    }

    /// From now on a session is waited for; `what` says what did not come about, should it never come. `None`: no longer.
    pub(super) fn awaits(&self, what: Option<String>) {
        self.lock().awaited = what;
    }

    /// The relay was started again, on the queue that it left.
    pub(super) fn started_again(&self, now: RunTime) {
        let mut state = self.lock();
        state.reads_until = now + READS_ITS_QUEUE;
        state.listed_at = None;
    }

    /// Every state of the queue that differed from the one before.
    pub(super) fn timeline(&self) -> Vec<QueueState> {
        self.lock().timeline.clone()
    }

    /// Lists the queue now.
    pub(super) fn look(&self, now: RunTime) {
        let mut state = self.lock();
        let has_read = now >= state.reads_until;
        state.look(now, has_read);
    }

    /// To be asked before the clock moves.
    pub(super) fn quiet(&self, quiet: &Quiet) -> Flow {
        let mut state = self.lock();
        if let Some(why) = state.relay.died() {
            return state.end(Ending::RelayDied { why });
        }
        let has_read = quiet.next.is_none_or(|next| next > state.reads_until);
        let live = state.look_if_stirred(quiet.now, has_read);
        if let Some(still) = state.still.take() {
            // As below.
            let _ = still.send(());
            return Flow::Hold;
        }
        // A server that is about to answer may yet take a mail, though nobody waits for its answer any more.
        let servers_rest = quiet.next_of_mocks.is_none_or(|next| next > state.limit);
        if live == 0
            && servers_rest
            && has_read
            && let Some(settle) = state.settle.take()
        {
            // Whoever waited may be gone: a run that is being cancelled.
            let _ = settle.send(());
            return Flow::Hold;
        }
        if !quiet.sure {
            return Flow::NotYet;
        }
        let because = match quiet.next {
            None => "everyone waits for someone else, and no timer is set".to_owned(),
            Some(next) if next > state.limit => {
                format!("nothing more happens before the limit of {}", human(state.limit.since_start()))
            }
            Some(_) => return Flow::Go,
        };
        if let Some(what) = state.awaited.take() {
            return state.end(Ending::NeverCame { what });
        }
        if state.clock == Clock::Machine && live > 0 {
            let what = if live == 1 { "an entry of the queue waits" } else { "entries of the queue wait" };
            return state.end(Ending::NoClock {
                waits: format!("{what} for a later attempt, or the relay for a reply"),
            });
        }
        state.end(Ending::Unsettled { because: format!("{because}; {live} live entries in the queue") })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while watching")
    }
}

impl State {
    /// Tells that the run is over.
    fn end(&mut self, how: Ending) -> Flow {
        if let Some(over) = self.over.take() {
            // Whoever listened may be gone: a run that is being cancelled.
            let _ = over.send(how);
        }
        Flow::Hold
    }

    /// The same, for a relay whose queue takes long to list only where it may have changed.
    fn look_if_stirred(&mut self, at: RunTime, has_read: bool) -> usize {
        let Some(logged) = self.relay.logged() else { return self.look(at, has_read) };
        let stirred = logged + (self.traffic)();
        if self.listed_at == Some(stirred)
            && let Some(last) = self.timeline.last()
        {
            return live(&last.entries);
        }
        // What it reads is no traffic, and need not be logged.
        self.listed_at = has_read.then_some(stirred);
        self.look(at, has_read)
    }

    /// Writes the queue down if it changed; returns how many entries are live.
    fn look(&mut self, at: RunTime, has_read: bool) -> usize {
        // An empty queue would say that what is not seen was lost.
        if !self.relay.lists() {
            return 0;
        }
        let mut entries = self.relay.queue();
        if !has_read {
            let before = self.timeline.last().map(|state| state.entries.as_slice()).unwrap_or_default();
            not_read_yet(before, &mut entries);
        }
        let live = live(&entries);
        let last = self.timeline.last().map(|state| &state.entries);
        if last != Some(&entries) {
            self.timeline.push(QueueState { at, entries });
        }
        live
    }
}

/// How many entries the relay itself will do something about.
fn live(entries: &[QueueEntry]) -> usize {
    entries.iter().filter(|entry| !entry.held).count()
}

/// Of a relay that has just been started again: what was in its queue and is not listed has not been read yet.
fn not_read_yet(before: &[QueueEntry], listed: &mut Vec<QueueEntry>) {
    let missing = |entry: &&QueueEntry| !listed.iter().any(|other| other.id == entry.id);
    let missing: Vec<QueueEntry> = before.iter().filter(missing).cloned().collect();
    listed.extend(missing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_queued_before_a_restart_is_so_until_the_relay_has_read_its_queue() {
        let entry = |id: &str, attempts| QueueEntry {
            id: id.to_owned(),
            from: "alice@origin.example".to_owned(),
            arrived: RunTime::ZERO,
            recipients: vec!["bob@hub.example".to_owned()],
            attempts,
            next: None,
            reason: None,
            held: false,
        };
        let before = [entry("a", Some(1)), entry("b", Some(1))];
        let mut listed = vec![entry("b", Some(2))];
        not_read_yet(&before, &mut listed);
        assert_eq!(listed, [entry("b", Some(2)), entry("a", Some(1))]);
    }
}
