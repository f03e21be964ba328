//! What the tests stand on: scripts in a line, and a session that is driven by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::script::{
    Action, Certificate, Condition, Offers, On, Profile, Reading, ReplyText, Rule, Script, Verb,
};
use crate::smtp::conversation::{Conversation, Input, Output};
use crate::smtp::gate::Gate;
use crate::smtp::memory::ServerMemory;
use crate::smtp::reply::ReplyReader;
use crate::smtp::session::{Limits, ServerSession};
use crate::time::RunTime;
use crate::transcript::{Close, Part, Recorder, Session, Side, Transaction, What};

pub(super) const EHLO: &str = "EHLO relay.example\r\n";

/// Something that a client does, or that happens.
#[derive(Debug, Clone)]
pub(super) enum Do {
    Say(Vec<u8>),
    /// Lets time pass, with all timers in it.
    Pass(Duration),
    Tls,
    Close(Close),
}

/// The client says this.
pub(super) fn say(text: impl AsRef<[u8]>) -> Do {
    Do::Say(text.as_ref().to_vec())
}

pub(super) fn pass(seconds: u64) -> Do {
    Do::Pass(Duration::from_secs(seconds))
}

/// What came of a session.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) segments: Vec<String>,
    pub(super) ending: Option<Output>,
    pub(super) record: Session,
}

impl Run {
    /// All that the server said.
    pub(super) fn text(&self) -> String {
        self.segments.concat()
    }

    /// The code of each reply.
    pub(super) fn codes(&self) -> Vec<u16> {
        codes(&self.text())
    }

    pub(super) fn transaction(&self) -> &Transaction {
        &self.record.transactions[0]
    }

    /// The rules that fired: `RCPT 0`.
    pub(super) fn fired(&self) -> Vec<String> {
        fired(&self.record)
    }

    /// How often the server took a mail.
    pub(super) fn taken(&self) -> usize {
        self.record.events.iter().filter(|event| matches!(event.what, What::Taken { .. })).count()
    }
}

pub(super) fn codes(text: &str) -> Vec<u16> {
    let (mut reader, mut rest, mut codes) = (ReplyReader::default(), text.as_bytes(), Vec::new());
    while !rest.is_empty() {
        let (taken, reply) = reader.read(rest);
        codes.extend(reply.map(|reply| reply.code));
        rest = &rest[taken..];
    }
    codes
}

fn fired(record: &Session) -> Vec<String> {
    let rules = record.events.iter().filter_map(|event| match &event.what {
        What::Rule(rule) => Some(format!("{} {}", rule.event, rule.index)),
        _ => None,
    });
    rules.collect()
}

/// A server's session that is driven by hand.
pub(super) struct Bench {
    pub(super) session: ServerSession,
    recorder: Recorder,
    index: usize,
    pub(super) now: RunTime,
    pub(super) segments: Vec<String>,
    pub(super) ending: Option<Output>,
}

impl Bench {
    pub(super) fn new(script: &Script) -> Self {
        Self::behind(script, Gate::default())
    }

    /// A session that the gate can hold, from the connection on.
    pub(super) fn behind(script: &Script, gate: Gate) -> Self {
        let limits = Limits::default();
        let memory = ServerMemory::new(script);
        Self::unopened(script, &memory, &Recorder::default(), RunTime::ZERO, limits, gate).opened()
    }

    pub(super) fn at(
        script: &Script,
        memory: &ServerMemory,
        recorder: &Recorder,
        now: RunTime,
        limits: Limits,
    ) -> Self {
        Self::unopened(script, memory, recorder, now, limits, Gate::default()).opened()
    }

    fn unopened(
        script: &Script,
        memory: &ServerMemory,
        recorder: &Recorder,
        now: RunTime,
        limits: Limits,
        gate: Gate,
    ) -> Self {
        let client = "198.51.100.9:2525".parse().unwrap();
        let server = "198.51.100.25:25".parse().unwrap();
        let record = recorder.open(&script.name, Side::Server, client, server, now);
        let index = recorder.sessions().len() - 1;
        let epoch = SystemTime::UNIX_EPOCH;
        let session = ServerSession::new(Arc::new(script.clone()), memory, record, client, epoch, limits);
        let (session, recorder) = (session.behind(gate), recorder.clone());
        Self { session, recorder, index, now, segments: Vec::new(), ending: None }
    }

    fn opened(mut self) -> Self {
        self.put(Input::Connected);
        self
    }

    pub(super) fn put(&mut self, input: Input<'_>) {
        for output in self.session.handle(input, self.now) {
            match output {
                Output::Send(bytes) => {
                    self.session.sent(&bytes, self.now);
                    self.segments.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                ending => self.ending = Some(ending),
            }
        }
    }

    pub(super) fn act(&mut self, what: &Do, step: usize) {
        match what {
            Do::Say(bytes) => bytes.chunks(step).for_each(|piece| self.put(Input::Bytes(piece))),
            Do::Pass(time) => {
                let until = self.now + *time;
                while let Some(at) = self.session.deadline().filter(|&at| at <= until) {
                    self.now = at.max(self.now);
                    self.put(Input::Timer);
                }
                self.now = until;
            }
            Do::Tls => {
                assert!(matches!(self.ending.take(), Some(Output::BeginTls(_))), "TLS is due");
                self.put(Input::TlsEstablished { version: "TLSv1.3".to_owned(), server_name: None });
            }
            Do::Close(how) => self.put(Input::PeerClosed(*how)),
        }
    }

    pub(super) fn finish(self) -> Run {
        let record = self.recorder.sessions().swap_remove(self.index);
        Run { segments: self.segments, ending: self.ending, record }
    }
}

/// Runs a session with the input in the pieces given.
pub(super) fn run_whole(script: &Script, input: &[Do]) -> Run {
    run(script, input, usize::MAX)
}

fn run(script: &Script, input: &[Do], step: usize) -> Run {
    let mut bench = Bench::new(script);
    for what in input {
        bench.act(what, step);
    }
    bench.finish()
}

/// Runs a session with the input in the pieces given, and once more byte by byte: replies, transactions and rules must
/// be the same. Returns the first.
pub(super) fn run_both_ways(script: &Script, input: &[Do]) -> Run {
    let (whole, single) = (run_whole(script, input), run(script, input, 1));
    assert_eq!(whole.text(), single.text(), "byte by byte");
    assert_eq!(whole.record.transactions, single.record.transactions, "byte by byte");
    assert_eq!(whole.record.offers, single.record.offers, "byte by byte");
    assert_eq!(whole.fired(), single.fired(), "byte by byte");
    assert_eq!(whole.ending, single.ending, "byte by byte");
    if whole.ending.is_none() {
        assert_eq!(stream(&whole.record), stream(&single.record), "byte by byte");
    }
    whole
}

/// The client's bytes, with what they were taken for.
fn stream(record: &Session) -> Vec<(Part, Vec<u8>)> {
    let mut out: Vec<(Part, Vec<u8>)> = Vec::new();
    for event in &record.events {
        if let What::Bytes { from: Side::Client, bytes, part, .. } = &event.what {
            match out.last_mut() {
                Some((before, joined)) if before == part => joined.extend_from_slice(bytes),
                _ => out.push((*part, bytes.clone())),
            }
        }
    }
    out
}

/// A well-behaved server that offers these.
pub(super) fn server(offers: &[&str]) -> Script {
    let line = |line: &str| ReplyText::parse(line).unwrap();
    Script {
        name: "hub".to_owned(),
        hostname: "hub.example".to_owned(),
        profile: Profile {
            name: "plain".to_owned(),
            banner: line("220 {host} ESMTP ready"),
            ehlo_greeting: line("250 {host} greets {helo}"),
            offers: Offers { at_first: offers.iter().map(|&o| o.to_owned()).collect(), ..Offers::default() },
            replies: Vec::new(),
            habits: Vec::new(),
        },
        rules: Vec::new(),
        dialogue: None,
        credentials: None,
        pace: None,
        certificate: Certificate::Good,
        read: Reading::Freely,
    }
}

/// The usual offers.
pub(super) fn plain() -> Script {
    server(&["PIPELINING", "SIZE 1000", "8BITMIME", "ENHANCEDSTATUSCODES"])
}

/// A server with rules.
pub(super) fn with(on: On, rules: Vec<Rule>) -> Script {
    Script { rules: vec![(on, rules)], ..plain() }
}

pub(super) fn rule(when: Vec<Condition>, actions: Vec<Action>) -> Rule {
    Rule { when, actions, after: None }
}

/// A rule with no conditions.
pub(super) fn always(actions: Vec<Action>) -> Vec<Rule> {
    vec![rule(Vec::new(), actions)]
}

pub(super) fn reply(line: &str) -> Action {
    Action::Reply(ReplyText::parse(line).unwrap())
}

pub(super) fn wait(seconds: u64) -> Action {
    Action::Wait(Duration::from_secs(seconds))
}

pub(super) const FIN: Action = Action::CloseFin;
pub(super) const RESET: Action = Action::CloseReset { at_once: false };

pub(super) fn on(verb: Verb) -> On {
    On::Command(verb)
}
