//! From what the lab saw to the [`Record`]: sorted, attributed, counted. A pure function.

use mock_servers::RunTime;
use mock_servers::dns::DnsQuery;
use mock_servers::transcript::Session;

use super::{
    Checkpoint, Clock, End, LogLine, QueueState, Record, RelayIdentity, StepDone, attempts::Attempts,
    deliveries, order, submissions, timeline,
};

/// What the lab saw.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The relay under test.
    pub relay: RelayIdentity,
    /// What the run's clock called its start: seconds since 1970, UTC.
    pub epoch: i64,
    /// Whose time it ran in.
    pub clock: Clock,
    /// Every SMTP session, in order of opening as far as it is known.
    pub sessions: Vec<Session>,
    /// Every DNS query of the relay, in order.
    pub queries: Vec<DnsQuery>,
    /// What the lab submitted, in order.
    pub sent: Vec<Sent>,
    /// The relay's queue as often as it was listed, in order.
    pub queue: Vec<QueueState>,
    /// The relay's log.
    pub log: Vec<LogLine>,
    /// The steps as they were done.
    pub steps: Vec<StepDone>,
    /// What the lab had seen at each `check:` step, by the step's place among all.
    pub checkpoints: Vec<(usize, Raw)>,
    /// How the run ended.
    pub end: End,
    /// Which server takes mail for which domain; the domain `*` for a smart host. It tells at which destination a
    /// session without a transaction was aimed.
    pub serves: Vec<(String, String)>,
}

/// A message as the lab submitted it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message's name in the scenario.
    pub message: String,
    /// Which submission of that message, from 1.
    pub copy: u32,
    /// The token in it; `None`: it has none.
    pub token: Option<String>,
    /// The submitting client's name and its session's ordinal; `None`: it could not connect.
    pub session: Option<(String, u32)>,
    /// When it began.
    pub at: RunTime,
    /// The reverse-path.
    pub from: String,
    /// Each forward-path and its parameters: `NOTIFY=NEVER`.
    pub recipients: Vec<(String, Vec<String>)>,
    /// Parameters of MAIL and RCPT that were left out, since the relay does not offer them: `NOTIFY=NEVER`.
    pub left_out: Vec<String>,
    /// The content, without dot-stuffing.
    pub content: Vec<u8>,
}

/// Makes the record.
pub fn assemble(raw: Raw) -> Record {
    let at_step = |(step, raw)| Checkpoint { step, record: assemble(raw) };
    let checkpoints = raw.checkpoints.into_iter().map(at_step).collect();
    let side_by_side = raw.relay.varies.side_by_side || raw.clock == Clock::Machine;
    let sessions = order::sorted(raw.sessions, side_by_side, &raw.sent, &raw.steps);
    let queue = changes(raw.queue);
    let submissions = submissions::of(&sessions, raw.sent);
    let sorted = deliveries::sort(&sessions, &submissions);
    let attempts = Attempts::new(&sessions, &queue, &raw.serves, &raw.steps);
    let (mut deliveries, mut let_go) = (sorted.deliveries, sorted.let_go);
    let mut notifications = sorted.notifications;
    if raw.relay.varies.recipient_order {
        deliveries.iter_mut().chain(&mut let_go).for_each(|delivery| delivery.recipients.sort());
        for notification in &mut notifications {
            notification.recipients.sort_by(|a, b| a.to.cmp(&b.to));
        }
    }
    for delivery in deliveries.iter_mut().chain(&mut let_go) {
        delivery.attempt = attempts.of(&submissions[delivery.submission], delivery);
    }
    let timelines = timeline::of(&submissions, &attempts, &queue, &sessions, &deliveries, &notifications);
    Record {
        relay: raw.relay,
        epoch: raw.epoch,
        clock: raw.clock,
        sessions,
        queries: raw.queries,
        submissions,
        deliveries,
        let_go,
        notifications,
        strays: sorted.strays,
        queue,
        timelines,
        log: raw.log,
        steps: raw.steps,
        checkpoints,
        end: raw.end,
    }
}

/// Only states that differ from the one before.
fn changes(states: Vec<QueueState>) -> Vec<QueueState> {
    let mut changes: Vec<QueueState> = Vec::new();
    for state in states {
        if changes.last().is_none_or(|last| last.entries != state.entries) {
            changes.push(state);
        }
    }
    changes
}
