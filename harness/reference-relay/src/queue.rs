//! The mail that the relay answers for: what is due, what became of each recipient, what the sender is told.
//!
//! A message has one schedule: an *attempt* tries all its recipients that are still pending, a job for each next hop,
//! and ends when the last of its jobs does. Then, and not before, senders are told: so recipients that fail together
//! stand in one notification.

mod listing;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::config::Config;
use crate::delivery::Destination;
use crate::envelope::{Announcement, Envelope, Problem, Recipient, State, Submission};
use crate::environment::Clock;
use crate::log::Log;
use crate::notice;
use crate::spool::{Found, Spool, number};

pub use listing::{QueueEntry, QueueRecipient, RecipientState};

/// One message's recipients for one next hop, to be tried now.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// As it was when the attempt began.
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) destination: Destination,
    /// Indexes into the envelope's recipients.
    pub(crate) recipients: Vec<usize>,
}

/// What an attempt came to for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered {
        host: String,
        reply: String,
        /// Whether the next hop offered DSN, and so took over what the sender asked for.
        speaks_dsn: bool,
    },
    Failed(Problem),
    Deferred(Problem),
}

/// The queue. Every change is on disk before the call that makes it returns.
pub(crate) struct Queue {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    log: Arc<Log>,
    spool: Spool,
    entries: Mutex<Entries>,
    /// Rung when the schedule has changed.
    changed: Notify,
}

#[derive(Default)]
struct Entries {
    /// By the number in the id.
    by_number: BTreeMap<u64, Entry>,
    /// Vintage, KB Q254893: addresses whose failure has been reported since the relay started.
    reported: BTreeSet<String>,
}

struct Entry {
    envelope: Envelope,
    /// Jobs of the current attempt that have not ended.
    jobs: usize,
    /// Vintage, KB Q254893: to be archived when it leaves the queue.
    to_archive: bool,
}

impl Queue {
    /// Takes up the mail in the spool.
    pub(crate) fn open(config: Arc<Config>, clock: Arc<dyn Clock>, log: Arc<Log>) -> io::Result<Self> {
        let (spool, Found { envelopes, remarks }) = Spool::open(&config.spool, config.disk.clone())?;
        for remark in remarks {
            log.say(format!("spool: {remark}"));
        }
        let queue = Self { config, clock, log, spool, entries: Mutex::default(), changed: Notify::new() };
        let mut entries = queue.entries();
        for mut envelope in envelopes {
            if let Some((what, id)) = envelope.announcing.take()
                && queue.spool.holds(&id)
            {
                mark_announced(&mut envelope, what);
            }
            if queue.config.vintage.forgets_deferred_mail {
                envelope.next_attempt = queue.clock.now();
            }
            if let Some(key) = number(&envelope.id) {
                entries.by_number.insert(key, Entry { envelope, jobs: 0, to_archive: false });
            }
        }
        // A relay that died before it had told of an outcome, or had forgotten what is over, does so now.
        let keys: Vec<u64> = entries.by_number.keys().copied().collect();
        for key in keys {
            queue.tell(&mut entries, key);
            queue.forget_if_over(&mut entries, key);
        }
        drop(entries);
        Ok(queue)
    }

    /// Takes responsibility for a message.
    pub(crate) fn accept(&self, submission: Submission) -> io::Result<String> {
        let id = self.spool.next_id()?;
        self.insert(&mut self.entries(), id.clone(), submission, "queued")?;
        Ok(id)
    }

    /// Begins an attempt for each message that is due.
    pub(crate) fn begin_due(&self) -> Vec<Job> {
        let now = self.clock.now();
        let mut entries = self.entries();
        let due: Vec<u64> = entries
            .by_number
            .iter()
            .filter(|(_, entry)| entry.jobs == 0 && entry.envelope.next_attempt <= now)
            .map(|(&key, _)| key)
            .collect();
        let mut jobs = Vec::new();
        for key in due {
            let Some(entry) = entries.by_number.get_mut(&key) else { continue };
            let begun = entry.begin(&self.config);
            if begun.is_empty() {
                // Every recipient is settled: only telling, or forgetting, was left undone.
                self.conclude(&mut entries, key);
            }
            jobs.extend(begun);
        }
        jobs
    }

    /// Tells senders whose mail has waited for long enough. This is done at that very time, and not at the attempt
    /// after it, unless an attempt is under way: then it is done when that ends.
    pub(crate) fn warn_due(&self) {
        let now = self.clock.now();
        let mut entries = self.entries();
        let due: Vec<u64> = entries
            .by_number
            .iter()
            .filter(|(_, entry)| {
                entry.jobs == 0 && entry.warning_at(&self.config).is_some_and(|at| at <= now)
            })
            .map(|(&key, _)| key)
            .collect();
        for key in due {
            self.announce(&mut entries, key, Announcement::Delayed);
        }
    }

    /// When the next message is due, or its sender is to be told of its delay.
    pub(crate) fn next_event(&self) -> Option<SystemTime> {
        let entries = self.entries();
        let waiting = entries.by_number.values().filter(|entry| entry.jobs == 0);
        waiting
            .flat_map(|entry| [Some(entry.envelope.next_attempt), entry.warning_at(&self.config)])
            .flatten()
            .min()
    }

    /// Completes when the schedule has changed since the last call.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Makes all deferred mail due.
    pub(crate) fn make_due(&self) {
        let now = self.clock.now();
        for entry in self.entries().by_number.values_mut().filter(|entry| entry.jobs == 0) {
            entry.envelope.next_attempt = entry.envelope.next_attempt.min(now);
        }
        self.changed.notify_one();
    }

    /// Has the scheduler look for what is due.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn content(&self, id: &str) -> io::Result<Vec<u8>> {
        self.spool.content(id)
    }

    /// Delivers to the postmaster's folder in the spool.
    pub(crate) fn keep_for_postmaster(&self, id: &str) -> io::Result<()> {
        self.spool.keep_for_postmaster(id)
    }

    /// Keeps what a host's replies came to, for all recipients that they settle, in one step: between two there would be
    /// time to die, and to send the message again to one that has it. `relay` is for the log: `mx.x.example[198.51.100.7]`,
    /// or `none`.
    pub(crate) fn settle(&self, job: &Job, relay: &str, outcomes: Vec<(usize, Outcome)>) {
        let mut entries = self.entries();
        let Some(entry) = number(&job.envelope.id).and_then(|key| entries.by_number.get_mut(&key)) else {
            return;
        };
        let mut settled = Vec::new();
        let mut has_details = false;
        for (index, outcome) in outcomes {
            let recipient = &mut entry.envelope.recipients[index];
            self.log.say(line(job, &recipient.to.address, relay, &outcome));
            recipient.state = match outcome {
                // RFC 3461 section 5.2.2 (b).
                Outcome::Delivered { host, reply, speaks_dsn: false }
                    if recipient.to.wants(Announcement::Relayed) =>
                {
                    State::Relayed { host, reply, at: self.clock.now(), announced: false }
                }
                Outcome::Delivered { .. } => State::Delivered,
                Outcome::Failed(problem) => State::Failed { problem, announced: false },
                Outcome::Deferred(problem) if self.config.vintage.never_retries => {
                    State::Failed { problem: Problem { permanent: true, ..problem }, announced: false }
                }
                Outcome::Deferred(problem) => State::Pending(Some(problem)),
            };
            has_details |= matches!(recipient.state, State::Relayed { .. });
            if !recipient.state.is_pending() {
                settled.push(index);
            }
        }
        // What is pending stays pending, whether the disk says why or not; and of a delivery there is no more to keep than a
        // mark, which is why thousands of them cost what they cost and not the square of it.
        if has_details {
            self.save(&entry.envelope);
        } else if !settled.is_empty() {
            self.mark(&entry.envelope, &settled);
        }
    }

    /// A job has ended; with the last one, so has the attempt.
    pub(crate) fn job_ended(&self, job: &Job) {
        let Some(key) = number(&job.envelope.id) else { return };
        let mut entries = self.entries();
        let Some(entry) = entries.by_number.get_mut(&key) else { return };
        entry.jobs -= 1;
        if entry.jobs == 0 {
            self.conclude(&mut entries, key);
        }
    }

    pub(crate) fn list(&self) -> Vec<QueueEntry> {
        self.entries().by_number.values().map(Entry::listed).collect()
    }

    pub(crate) fn archived(&self) -> Vec<QueueEntry> {
        let archived = self.spool.archived().into_iter();
        archived.map(|envelope| Entry { envelope, jobs: 0, to_archive: true }.listed()).collect()
    }

    fn insert(&self, entries: &mut Entries, id: String, submission: Submission, how: &str) -> io::Result<()> {
        let arrival = self.clock.now();
        let is_notification = submission.received.is_none();
        let received = submission.received.map(|received| received.field(&id, arrival)).unwrap_or_default();
        let content = [received.as_bytes(), &submission.content];
        let pending = |to| Recipient { to, state: State::Pending(None) };
        let envelope = Envelope {
            id,
            arrival,
            sender: submission.sender,
            ret: submission.ret,
            envid: submission.envid,
            smtputf8: submission.smtputf8,
            size: content.iter().map(|piece| piece.len() as u64).sum(),
            is_notification,
            attempts: 0,
            next_attempt: arrival,
            warned: false,
            announcing: None,
            recipients: submission.recipients.into_iter().map(pending).collect(),
        };
        self.spool.store(&envelope, &content)?;
        let Envelope { id, sender, size, recipients, .. } = &envelope;
        self.log.say(format!("{id}: from=<{sender}>, size={size}, nrcpt={} ({how})", recipients.len()));
        if let Some(key) = number(id) {
            entries.by_number.insert(key, Entry { envelope, jobs: 0, to_archive: false });
        }
        self.changed.notify_one();
        Ok(())
    }

    /// The end of an attempt: what is too old is given up, senders are told, and the message is put off or forgotten.
    fn conclude(&self, entries: &mut Entries, key: u64) {
        let now = self.clock.now();
        let Some(entry) = entries.by_number.get_mut(&key) else { return };
        if now >= schedule::end_of_life(&self.config.queue, entry.envelope.arrival) {
            entry.expire(&self.config, &self.log, now);
        }
        // Put off before anyone is told, so that a notification that cannot be stored is tried again by schedule.
        let Envelope { arrival, attempts, .. } = entry.envelope;
        let regular = schedule::next_attempt(&self.config.queue, arrival, attempts, now);
        entry.envelope.next_attempt = if self.config.vintage.forgets_deferred_mail {
            regular.max(schedule::end_of_life(&self.config.queue, arrival))
        } else {
            regular
        };
        self.save(&entry.envelope);
        let warn = entry.warning_at(&self.config).is_some_and(|at| at <= now);
        self.tell(entries, key);
        if warn {
            self.announce(entries, key, Announcement::Delayed);
        }
        self.forget_if_over(entries, key);
        self.changed.notify_one();
    }

    /// Tells the sender of all outcomes it has not been told of.
    fn tell(&self, entries: &mut Entries, key: u64) {
        self.announce(entries, key, Announcement::Failed);
        self.announce(entries, key, Announcement::Relayed);
    }

    /// Tells the sender, unless it asked not to be told or there is none to tell.
    fn announce(&self, entries: &mut Entries, key: u64, what: Announcement) {
        let Some(entry) = entries.by_number.get_mut(&key) else { return };
        let concerned = notice::concerned(&entry.envelope, what);
        if concerned.is_empty() {
            return;
        }
        let (told, untold): (Vec<usize>, Vec<usize>) =
            concerned.into_iter().partition(|&index| notice::may_be_told(&entry.envelope, index, what));
        if what == Announcement::Failed {
            for index in untold {
                let why = notice::why_untold(&entry.envelope);
                let address = &entry.envelope.recipients[index].to.address;
                self.log.say(format!(
                    "{}: to=<{address}>, dropped without notification: {why}",
                    entry.envelope.id
                ));
            }
        }
        let swallowed = what == Announcement::Failed && self.swallows(entry, &mut entries.reported, &told);
        if !told.is_empty()
            && !swallowed
            && let Err(error) = self.notify(entries, key, what, &told)
        {
            self.log
                .say(format!("Q{key}: the {} notification could not be stored: {error}", notice::word(what)));
            if let Some(entry) = entries.by_number.get_mut(&key) {
                entry.envelope.announcing = None;
                // A failure is told when the message is next due. A warning is not owed, and not tried again.
                entry.envelope.warned |= what == Announcement::Delayed;
            }
            return;
        }
        if let Some(entry) = entries.by_number.get_mut(&key) {
            entry.envelope.announcing = None;
            mark_announced(&mut entry.envelope, what);
            self.save(&entry.envelope);
        }
    }

    /// Queues a notification about the recipients in `told`.
    fn notify(&self, entries: &mut Entries, key: u64, what: Announcement, told: &[usize]) -> io::Result<()> {
        let Some(entry) = entries.by_number.get_mut(&key) else { return Ok(()) };
        let id = self.spool.next_id()?;
        entry.envelope.announcing = Some((what, id.clone()));
        self.spool.update(&entry.envelope)?;
        let envelope = &entry.envelope;
        let original = self.spool.content(&envelope.id)?;
        let report = notice::write(&self.config, envelope, what, told, &id, original, self.clock.now());
        let how = format!("{} notification for {}", notice::word(what), envelope.id);
        self.insert(entries, id, report, &how)
    }

    /// Vintage, KB Q254893: the second report for an address comes to nothing but an event in the log.
    fn swallows(&self, entry: &mut Entry, reported: &mut BTreeSet<String>, told: &[usize]) -> bool {
        if !self.config.vintage.swallows_second_report {
            return false;
        }
        let address = |&index: &usize| entry.envelope.recipients[index].to.address.clone();
        let second = told.iter().map(address).filter(|address| !reported.insert(address.clone())).count() > 0;
        if second {
            self.log.say(
                "MSExchangeIMC event 4120: In the process of creating a notification of delivery failure to the \
                 sender of a message, an error occurred causing the notification to be aborted. The sender is not \
                 informed that his original message failed to be delivered.",
            );
            entry.to_archive = true;
        }
        second
    }

    fn forget_if_over(&self, entries: &mut Entries, key: u64) {
        let over =
            |entry: &mut Entry| entry.envelope.recipients.iter().all(|recipient| recipient.state.is_over());
        let Some(entry) = entries.by_number.get_mut(&key) else { return };
        if !over(entry) {
            return;
        }
        let id = &entry.envelope.id;
        let (gone, how) = if entry.to_archive {
            (self.spool.archive(id), "moved to archive")
        } else {
            (self.spool.remove(id), "removed")
        };
        match gone {
            Ok(()) => self.log.say(format!("{id}: {how}")),
            Err(error) => self.log.say(format!("{id}: {how}, but its files remain: {error}")),
        }
        entries.by_number.remove(&key);
    }

    /// A disk that fails now may be well when the message is next touched; until then memory knows better. What must not be
    /// forgotten even if the relay dies before that, for it would be delivered or told twice, stands in the marks, and
    /// they can be written to a full disk.
    fn save(&self, envelope: &Envelope) {
        if let Err(error) = self.spool.update(envelope) {
            self.log.say(format!("{}: its state could not be saved: {error}", envelope.id));
            let all: Vec<usize> = (0..envelope.recipients.len()).collect();
            self.mark(envelope, &all);
        }
    }

    fn mark(&self, envelope: &Envelope, indexes: &[usize]) {
        if let Err(error) = self.spool.mark(envelope, indexes) {
            self.log.say(format!("{}: its marks could not be saved: {error}", envelope.id));
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no code panics while it holds the queue")
    }
}

/// The log's line about one recipient.
fn line(job: &Job, address: &str, relay: &str, outcome: &Outcome) -> String {
    let (status, reason) = match outcome {
        Outcome::Delivered { reply, .. } => ("sent", reply),
        Outcome::Failed(problem) => ("failed", &problem.reason),
        Outcome::Deferred(problem) => ("deferred", &problem.reason),
    };
    let Envelope { id, attempts, .. } = &*job.envelope;
    format!("{id}: to=<{address}>, relay={relay}, attempt={attempts}, status={status} ({reason})")
}

/// Notes that the sender has been told, or need not be.
fn mark_announced(envelope: &mut Envelope, what: Announcement) {
    if what == Announcement::Delayed {
        envelope.warned = true;
        return;
    }
    for recipient in &mut envelope.recipients {
        match (&mut recipient.state, what) {
            (State::Failed { announced, .. }, Announcement::Failed)
            | (State::Relayed { announced, .. }, Announcement::Relayed) => *announced = true,
            _ => {}
        }
    }
}

impl Entry {
    /// One job for each next hop of the recipients that are pending.
    fn begin(&mut self, config: &Config) -> Vec<Job> {
        let mut by_destination: BTreeMap<Destination, Vec<usize>> = BTreeMap::new();
        for (index, recipient) in self.envelope.recipients.iter().enumerate() {
            if recipient.state.is_pending() {
                let destination = Destination::of(&recipient.to.address, config);
                by_destination.entry(destination).or_default().push(index);
            }
        }
        self.jobs = by_destination.len();
        self.envelope.attempts += u32::from(self.jobs > 0);
        let envelope = Arc::new(self.envelope.clone());
        let job = |(destination, recipients)| Job { envelope: envelope.clone(), destination, recipients };
        by_destination.into_iter().map(job).collect()
    }

    /// Gives up what is still pending.
    fn expire(&mut self, config: &Config, log: &Log, now: SystemTime) {
        let id = &self.envelope.id;
        for Recipient { to, state } in &mut self.envelope.recipients {
            if let State::Pending(last) = state {
                let problem = schedule::expired(last.take(), now, &config.vintage);
                log.say(format!("{id}: to=<{}>, status=expired ({})", to.address, problem.reason));
                *state = State::Failed { problem, announced: false };
            }
        }
    }

    /// When the sender is to be told of the delay; `None` once that is done, and while nothing has been tried.
    fn warning_at(&self, config: &Config) -> Option<SystemTime> {
        let tried = self.envelope.recipients.iter().any(|r| matches!(r.state, State::Pending(Some(_))));
        let at = schedule::warning(&config.queue, self.envelope.arrival)?;
        (tried && !self.envelope.warned).then_some(at)
    }
}
