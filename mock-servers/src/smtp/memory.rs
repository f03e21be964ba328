//! What a server remembers from session to session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use regex_lite::Regex;

use super::forward::{Forwarded, Forwarder, MOST_FORWARDED};
use crate::script::{Condition, Rule, Script};
use crate::time::RunTime;

/// As many senders are remembered, and as many pairs of sender and recipient. Whoever comes after them is always new.
const MOST_REMEMBERED: usize = 500_000;

/// The memory that the sessions of one server share: who came how often and when first, and how many sessions there are.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct ServerMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The script's regular expressions, compiled.
    patterns: BTreeMap<String, Regex>,
    forwarder: Option<Forwarder>,
}

#[derive(Debug, Default)]
struct State {
    sessions: u64,
    open: u64,
    senders: BTreeMap<String, RunTime>,
    pairs: BTreeMap<(String, String), Seen>,
    forwarded: u64,
}

/// How often and since when a sender and a recipient came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// In how many transactions, this one included.
    pub(super) count: u64,
    /// When first.
    pub(super) first: RunTime,
}

impl ServerMemory {
    /// The empty memory of a server with this script. An expression that is no regular expression fits nothing.
    pub fn new(script: &Script) -> Self {
        Self::forwarding(script, None)
    }

    /// The same, with what carries the mail that the server forwards; without it such mail is kept.
    pub fn forwarding(script: &Script, forwarder: Option<Forwarder>) -> Self {
        let rules = script.rules.iter().chain(&script.profile.habits).flat_map(|(_, rules)| rules);
        let patterns = rules.flat_map(expressions).filter_map(|p| Some((p.to_owned(), Regex::new(p).ok()?)));
        Self(Arc::new(Shared { state: Mutex::default(), patterns: patterns.collect(), forwarder }))
    }

    /// Begins a session.
    pub(super) fn enter(&self) -> Visit {
        let mut state = self.lock();
        state.sessions += 1;
        state.open += 1;
        let ordinal = state.sessions;
        drop(state);
        Visit { memory: self.clone(), ordinal, open: true }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of a server's memory panics")
    }
}

fn expressions(rule: &Rule) -> impl Iterator<Item = &str> {
    rule.when.iter().filter_map(|condition| match condition {
        Condition::Matches(expression) => Some(expression.as_str()),
        _ => None,
    })
}

/// One session's part in the memory. It counts as open until it is left or dropped.
#[derive(Debug)]
pub(super) struct Visit {
    memory: ServerMemory,
    /// The session's number at this server, from 1.
    pub(super) ordinal: u64,
    open: bool,
}

impl Visit {
    /// A sender came; when it did for the first time.
    pub(super) fn sender(&self, from: &str, now: RunTime) -> RunTime {
        let mut state = self.memory.lock();
        let key = from.to_lowercase();
        if state.senders.len() >= MOST_REMEMBERED && !state.senders.contains_key(&key) {
            return now;
        }
        *state.senders.entry(key).or_insert(now)
    }

    /// A sender and a recipient came in one transaction.
    pub(super) fn pair(&self, from: &str, to: &str, now: RunTime) -> Seen {
        let mut state = self.memory.lock();
        let key = (from.to_lowercase(), to.to_lowercase());
        if state.pairs.len() >= MOST_REMEMBERED && !state.pairs.contains_key(&key) {
            return Seen { count: 1, first: now };
        }
        let seen = state.pairs.entry(key).or_insert(Seen { count: 0, first: now });
        seen.count += 1;
        *seen
    }

    /// How many sessions are open, this one included.
    pub(super) fn open_sessions(&self) -> u64 {
        self.memory.lock().open
    }

    /// Forwards what `mail` makes of the forwarded mail's number, from 1; not more than [`MOST_FORWARDED`] in all.
    pub(super) fn forward(&self, mail: impl FnOnce(u64) -> Forwarded) {
        let Some(forwarder) = &self.memory.0.forwarder else { return };
        let number = {
            let mut state = self.memory.lock();
            state.forwarded += 1;
            state.forwarded
        };
        if number <= MOST_FORWARDED {
            forwarder.carry(mail(number));
        }
    }

    /// Whether the text fits an expression of the script.
    pub(super) fn fits(&self, expression: &str, text: &str) -> bool {
        self.memory.0.patterns.get(expression).is_some_and(|regex| regex.is_match(text))
    }

    /// The session is over.
    pub(super) fn leave(&mut self) {
        if std::mem::replace(&mut self.open, false) {
            self.memory.lock().open -= 1;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.leave();
    }
}
