//! One attempt to deliver: from a job's next hop to an outcome for each of its recipients.
//!
//! ```text
//! destination ──▶ hosts ──▶ connection ──▶ session ──▶ transaction
//!  (route, smart   (MX, own   (octets,       (EHLO, TLS,  (MAIL to the
//!   host, domain)   name)      timeouts)      AUTH)        final dot)
//! ```

mod auth;
mod connection;
mod content;
mod destination;
mod hosts;
mod memory;
mod problem;
mod session;
mod transaction;
mod utf8;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use destination::Destination;
pub(crate) use memory::Memory;
pub(crate) use session::Session;

use crate::envelope::{Envelope, Problem};
use crate::queue::{Job, Outcome};
use crate::relay::Context;
use crate::tls::Dane;
use transaction::{Done, Fate, Verdict};

/// Tries a job on every host of its next hop, the open `session` first, until nothing is left to try. Outcomes go to the
/// queue as they become known. Gives back a session that can be used again.
pub(crate) async fn attempt(context: &Arc<Context>, job: &Job, session: Option<Session>) -> Option<Session> {
    let mut walk = Walk::new(context, job);
    if job.destination == Destination::Postmaster {
        walk.keep();
        walk.settle_the_rest();
        return session;
    }
    let session = match context.queue.content(&job.envelope.id) {
        Ok(message) => walk.run(&message, session).await,
        Err(error) => {
            walk.note(
                "none",
                &problem::own(context, "4.3.0", format!("The message cannot be read: {error}.")),
            );
            session
        }
    };
    walk.settle_the_rest();
    session
}

/// The way of one job along the hosts of its next hop.
struct Walk<'a> {
    context: &'a Arc<Context>,
    job: &'a Job,
    /// Recipients that have no outcome yet, in order.
    pending: Vec<usize>,
    /// Why not, for each of them, and the host that it is about.
    problems: BTreeMap<usize, (String, Problem)>,
    /// Addresses that are not to be asked (again).
    asked: Vec<SocketAddr>,
    /// A host may have taken the message without our knowing. No other is to be given it as well, at least not in this
    /// attempt: RFC 1047.
    in_doubt: bool,
    /// The last session took no further mail; the same host is to be asked afresh.
    stale: bool,
}

impl<'a> Walk<'a> {
    fn new(context: &'a Arc<Context>, job: &'a Job) -> Self {
        let pending = job.recipients.clone();
        Self {
            context,
            job,
            pending,
            problems: BTreeMap::new(),
            asked: Vec::new(),
            in_doubt: false,
            stale: false,
        }
    }

    async fn run(&mut self, content: &[u8], session: Option<Session>) -> Option<Session> {
        if let Some(session) = session {
            let address = session.address();
            match self.transact(content, session).await {
                Some(session) if std::mem::take(&mut self.stale) => session.quit().await,
                Some(session) if self.is_over() => return Some(session),
                Some(session) => {
                    session.quit().await;
                    self.asked.push(address);
                }
                // A session that has carried one message may have ended since. Then the same host is asked afresh.
                None => {}
            }
        }
        if self.is_over() { None } else { self.hosts(content).await }
    }

    /// Nothing is left to ask any host.
    fn is_over(&self) -> bool {
        self.pending.is_empty() || self.in_doubt
    }

    /// Tries each address of each host in turn (RFC 5321 section 5.1), with the recipients that the hosts before have
    /// not taken and not refused for good.
    async fn hosts(&mut self, content: &[u8]) -> Option<Session> {
        let destination = &self.job.destination;
        let levels = match hosts::of(self.context, destination).await {
            Ok(levels) => levels,
            Err(problem) => {
                self.note("none", &problem);
                return None;
            }
        };
        for (nth, level) in levels.into_iter().enumerate() {
            let Some(places) = hosts::places(self.context, destination, level).await else {
                if nth == 0 {
                    self.note("none", &hosts::own(self.context, destination));
                }
                return None;
            };
            for (host, place) in places {
                let found = match place {
                    Ok(place) => hosts::dane(self.context, &host, &place).await.map(|dane| (place, dane)),
                    Err(problem) => Err(problem),
                };
                let (place, dane) = match found {
                    Ok(found) => found,
                    Err(problem) => {
                        self.note("none", &problem);
                        continue;
                    }
                };
                for address in place.addresses {
                    if self.asked.contains(&address) {
                        continue;
                    }
                    self.asked.push(address);
                    let session = self.ask(content, &host.name, address, dane.as_ref()).await;
                    if self.is_over() {
                        return session;
                    }
                }
            }
        }
        None
    }

    /// Asks one host at one address. Gives the session back if nothing is left to ask another for.
    async fn ask(
        &mut self,
        content: &[u8],
        host: &str,
        address: SocketAddr,
        dane: Option<&Dane>,
    ) -> Option<Session> {
        // Again only after a session that has delivered something, and so not for ever.
        loop {
            let opened = Session::open(self.context, &self.job.destination, host, address, dane);
            let session = match opened.await {
                Ok(session) => self.transact(content, session).await,
                Err(problem) => {
                    self.note(&session::relay_name(host, address), &problem);
                    return None;
                }
            };
            if self.is_over() {
                return session;
            }
            if let Some(session) = session {
                session.quit().await;
            }
            if !std::mem::take(&mut self.stale) {
                return None;
            }
        }
    }

    /// Gives the message to a host, in as many transactions as the host wants (RFC 5321 section 4.5.3.1.10). Gives the
    /// session back unless it is over.
    async fn transact(&mut self, content: &[u8], mut session: Session) -> Option<Session> {
        let relay = session::relay_name(session.host(), session.address());
        let mut asked = std::mem::take(&mut self.pending);
        loop {
            // What the host has no room for follows in the next transaction.
            let rest = asked.split_off(session.most_recipients().min(asked.len()));
            let Done { verdicts, fate } =
                transaction::run(&mut session, &self.job.envelope, content, &asked).await;
            let mut settled = Vec::new();
            let mut left_over = Vec::new();
            let mut last_problem = None;
            for (index, verdict) in verdicts {
                match verdict {
                    Verdict::Settled(outcome) => settled.push((index, outcome)),
                    // It is the session's fault.
                    Verdict::PutOff(_) if fate == Fate::Stale => self.pending.push(index),
                    Verdict::PutOff(problem) => {
                        last_problem = Some(problem.clone());
                        self.blame(index, &relay, problem);
                        self.pending.push(index);
                    }
                    Verdict::LeftOver(problem) => {
                        self.blame(index, &relay, problem);
                        left_over.push(index);
                    }
                }
            }
            let delivered = settled.iter().any(|(_, outcome)| matches!(outcome, Outcome::Delivered { .. }));
            self.context.queue.settle(self.job, &relay, settled);
            if fate == Fate::Open && !rest.is_empty() {
                // With each transaction there are fewer.
                self.pending.extend(if delivered { Vec::new() } else { std::mem::take(&mut left_over) });
                asked = left_over.into_iter().chain(rest).collect();
                continue;
            }
            if fate == Fate::Open && delivered && !left_over.is_empty() {
                asked = left_over;
                continue;
            }
            if let Some(problem) = last_problem {
                // They were not asked about: what ended the session is what they wait for.
                for &index in &rest {
                    self.blame(index, &relay, problem.clone());
                }
            }
            // The host has closed, and was willing until then.
            let willing = fate == Fate::Closed && delivered && !rest.is_empty();
            self.pending.extend(left_over);
            self.pending.extend(rest);
            self.pending.sort_unstable();
            self.in_doubt |= fate == Fate::InDoubt;
            self.stale = fate == Fate::Stale || willing;
            return matches!(fate, Fate::Open | Fate::Stale).then_some(session);
        }
    }

    /// Delivers to the postmaster's folder (RFC 5321 section 4.5.1).
    fn keep(&mut self) {
        let delivered = || Outcome::Delivered {
            host: self.context.config.hostname.clone(),
            reply: "kept in the spool's folder postmaster".to_owned(),
            speaks_dsn: false,
        };
        match self.context.queue.keep_for_postmaster(&self.job.envelope.id) {
            Ok(()) => {
                let outcomes =
                    std::mem::take(&mut self.pending).into_iter().map(|index| (index, delivered()));
                self.context.queue.settle(self.job, "none", outcomes.collect());
            }
            Err(error) => {
                let explanation = format!("The message cannot be kept: {error}.");
                let full = error.kind() == std::io::ErrorKind::StorageFull;
                let status = if full { "4.3.1" } else { "4.3.0" };
                self.note("none", &problem::own(self.context, status, explanation));
            }
        }
    }

    /// A problem with a host, or with finding one: it is that of everyone who is still pending.
    fn note(&mut self, relay: &str, problem: &Problem) {
        let Envelope { id, attempts, .. } = &*self.job.envelope;
        self.context.log.say(format!("{id}: attempt={attempts}, relay={relay}: {}", problem.reason));
        for index in self.pending.clone() {
            self.blame(index, relay, problem.clone());
        }
    }

    /// Mail is given up only if every host has refused it for good; one that may take it later keeps it waiting.
    fn blame(&mut self, index: usize, relay: &str, problem: Problem) {
        let waits = self.problems.get(&index).is_some_and(|(_, earlier)| !earlier.permanent);
        if !(waits && problem.permanent) {
            self.problems.insert(index, (relay.to_owned(), problem));
        }
    }

    /// Every recipient that the hosts have left over gets the problem it met.
    fn settle_the_rest(&mut self) {
        // A step for each host, and not for each recipient: each step writes the whole envelope.
        let mut by_relay: BTreeMap<String, Vec<(usize, Outcome)>> = BTreeMap::new();
        for index in std::mem::take(&mut self.pending) {
            let (relay, problem) = self.problems.remove(&index).unwrap_or_else(|| {
                // Every address was asked before, in the session that was handed in.
                ("none".to_owned(), problem::own(self.context, "4.4.1", "No host is left to ask.".to_owned()))
            });
            let outcome =
                if problem.permanent { Outcome::Failed(problem) } else { Outcome::Deferred(problem) };
            by_relay.entry(relay).or_default().push((index, outcome));
        }
        for (relay, outcomes) in by_relay {
            self.context.queue.settle(self.job, &relay, outcomes);
        }
    }
}
