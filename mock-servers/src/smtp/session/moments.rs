//! What happens without a command: a client that speaks too early, or not at all; a session that is held.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::{ServerSession, Step};
use crate::script::On;
use crate::smtp::command::Request;
use crate::time::RunTime;
use crate::transcript::What;

/// The silence of the client.
#[derive(Debug, Default)]
pub(super) struct Idle {
    pub(super) since: RunTime,
    /// Idle rules that were tried in this silence: whether of the profile, and which.
    pub(super) tried: BTreeSet<(bool, usize)>,
}

impl Idle {
    /// Nothing was heard since this moment.
    pub(super) fn since(since: RunTime) -> Self {
        Self { since, tried: BTreeSet::new() }
    }
}

impl ServerSession {
    /// The session comes to an event, and may be held there: the client has said what it said, and what the server does
    /// about it waits. What the client says meanwhile is still read and written down.
    pub(super) fn come_to(&mut self, on: &On, now: RunTime) {
        let Some(hold) = self.gate.meet(on) else { return };
        self.flush();
        self.ledger.event(now, What::Held { event: on.to_string() });
        self.hold = Some(hold);
    }

    /// The client sent bytes before the banner.
    pub(super) fn notice_early_talker(&mut self, now: RunTime) {
        let due = self.occasion.request.on == On::Connect && !self.steps.is_empty() && !self.occasion.settled;
        if !due || std::mem::replace(&mut self.state.early_noticed, true) {
            return;
        }
        self.count(&On::Early);
        self.come_to(&On::Early, now);
        let request = Request::event(On::Early);
        let Some(chosen) = self.choose(&On::Early, &request, now) else { return };
        let rest = if chosen.replies {
            self.occasion.request = Arc::new(request);
            VecDeque::from([Step::Finish])
        } else {
            let left = self.wake.map(Step::Until).into_iter();
            left.chain(std::mem::take(&mut self.steps)).collect()
        };
        self.wake = None;
        self.steps = chosen.actions.into_iter().map(Step::Act).chain(rest).collect();
    }

    /// Fires an idle rule whose time has come.
    pub(super) fn notice_idle(&mut self, now: RunTime) -> bool {
        if self.peer_closed {
            return false;
        }
        let due: Vec<_> = self.idle_rules().filter(|&(_, at)| at <= now).map(|(key, _)| key).collect();
        for key in due {
            self.idle.tried.insert(key);
            self.count(&On::Idle);
            let request = Request::event(On::Idle);
            if let Some(chosen) = self.choose_idle(key, &request, now) {
                self.start(chosen.actions.into_iter().map(Step::Act).collect(), request, now);
                return true;
            }
        }
        false
    }
}
