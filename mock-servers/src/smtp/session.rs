//! A server's session without I/O: what the client sends and the time go in, what the server does comes out.
//!
//! Each thing that happens is an [`On`]: the scenario's rules are asked first, then the profile's habits; the first rule
//! that fits is carried out, action by action. What no rule replies to, the plain server of RFC 5321 answers (`plain`).
//! Whoever replied, the reply's code changes the session's state as the RFC says (`effects`).

mod auth;
mod effects;
mod intake;
mod moments;
mod parameters;
mod plain;
mod rewriting;
mod rules;
mod state;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use super::command::Request;
use super::conversation::{Conversation, Input, Output};
use super::gate::{Gate, Hold};
use super::ledger::Ledger;
use super::memory::{ServerMemory, Visit};
use super::reply::{self, Placeholders};
use crate::script::{Action, MeansFor, On, ReplyText, Script, TlsAction, Verb};
use crate::time::RunTime;
use crate::transcript::{Close, Reply, SessionRecorder, What};

use effects::{Outcome, ends_chunks};
use intake::{Inbox, Mode};
use moments::Idle;
use state::State;

/// Bounds of what a session keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest command line in octets, CRLF not counted; RFC 5321 section 4.5.3.1.4 asks for 510 at least.
    pub command_line: usize,
    /// The longest answer to a challenge; RFC 4954 section 4 holds 12288 octets to be sufficient.
    pub challenge_line: usize,
    /// Octets of content that are kept; more is counted and thrown away.
    pub content: u64,
    /// Octets that the client can say while the session waits. Then no more is read, and the client's writes block, until the
    /// session goes on.
    pub inbox: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 4_096,
            challenge_line: 12_288,
            content: 200 * 1024 * 1024,
            inbox: 16 * 1024 * 1024,
        }
    }
}

/// One session of a scripted server.
#[derive(Debug)]
pub struct ServerSession {
    script: Arc<Script>,
    visit: Visit,
    client: IpAddr,
    epoch: SystemTime,
    limits: Limits,
    ledger: Ledger,
    inbox: Inbox,
    mode: Mode,
    state: State,
    /// What is still to be done before the next input is looked at.
    steps: VecDeque<Step>,
    occasion: Occasion,
    wake: Option<RunTime>,
    /// Replies that wait for others to share a segment with (RFC 2920 section 3.2).
    pending: Vec<u8>,
    pace: Option<usize>,
    out: Vec<Output>,
    awaits_tls: bool,
    peer_closed: bool,
    over: bool,
    idle: Idle,
    watches_content: bool,
    rewrites: bool,
    gate: Gate,
    hold: Option<Hold>,
}

/// One thing to do.
#[derive(Debug, Clone)]
enum Step {
    /// Stand still at this event, if the gate has it so.
    Hold(On),
    /// An action of a rule.
    Act(Action),
    /// Go on at this moment; what an interrupted wait leaves.
    Until(RunTime),
    /// The profile's own answer.
    Answer,
    /// What follows from the reply: closing, TLS, the end of a transaction.
    Finish,
}

/// What is being answered.
#[derive(Debug)]
struct Occasion {
    request: Arc<Request>,
    /// What the client said, where a rule put another command in its place.
    said: Option<On>,
    at: RunTime,
    /// Whether it had its (first) reply; later ones change nothing.
    settled: bool,
    /// Whether the connection is to be closed once all is done.
    closes: bool,
    /// The handshake to make once all is done.
    tls: Option<TlsAction>,
    begins_tls: bool,
    /// Whether no rule replied.
    by_profile: bool,
}

impl ServerSession {
    /// A session of the server that runs `script`, with a client at `client`. `epoch` is the run's start in the calendar,
    /// for `{date}`.
    pub fn new(
        script: Arc<Script>,
        memory: &ServerMemory,
        record: SessionRecorder,
        client: SocketAddr,
        epoch: SystemTime,
        limits: Limits,
    ) -> Self {
        let watches_content = rules::any_on(&script, &On::Data);
        let rewrites = rules::any_rewrites(&script);
        let pace = script.pace;
        Self {
            script,
            visit: memory.enter(),
            client: client.ip(),
            epoch,
            limits,
            ledger: Ledger::new(record),
            inbox: Inbox::default(),
            mode: Mode::Command,
            state: State::default(),
            steps: VecDeque::new(),
            occasion: Occasion::new(Request::event(On::Connect), RunTime::ZERO),
            wake: None,
            pending: Vec::new(),
            pace,
            out: Vec::new(),
            awaits_tls: false,
            peer_closed: false,
            over: false,
            idle: Idle::default(),
            watches_content,
            rewrites,
            gate: Gate::default(),
            hold: None,
        }
    }

    /// The same behind this gate.
    pub fn behind(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// Begins to answer what happened.
    fn begin(&mut self, mut request: Request, now: RunTime) {
        // The steps of the occasion before are done, but their list has room.
        let mut steps = std::mem::take(&mut self.steps);
        steps.clear();
        let mut said = None;
        if request.early {
            self.count(&On::Early);
            steps.push_back(Step::Hold(On::Early));
        }
        steps.push_back(Step::Hold(request.on.clone()));
        if ends_chunks(&request) {
            steps.push_back(Step::Hold(On::EndOfData));
        }
        let mut replied = request.early && self.add_rule(&On::Early, &request, now, &mut steps);
        if replied {
            request.on = On::Early;
        } else {
            self.state.commands += u64::from(request.is_command());
            self.prepare(&request, now);
            if let Some(understood) = self.rewritten(&request, now, &mut steps) {
                said = Some(std::mem::replace(&mut request, understood).on);
            }
            replied = self.add_rule(&request.on, &request, now, &mut steps)
                // BDAT LAST is the end of data too (RFC 3030 section 2).
                || ends_chunks(&request) && self.add_rule(&On::EndOfData, &request, now, &mut steps);
        }
        if !replied {
            steps.push_back(Step::Answer);
        }
        self.start(steps, request, now);
        self.occasion.said = said;
    }

    /// Adds what the rules do on an event. Whether that takes the place of the profile's answer.
    fn add_rule(&self, on: &On, request: &Request, now: RunTime, steps: &mut VecDeque<Step>) -> bool {
        let chosen = self.choose(on, request, now);
        let replies = chosen.as_ref().is_some_and(|chosen| chosen.replies);
        steps.extend(chosen.into_iter().flat_map(|chosen| chosen.actions).map(Step::Act));
        replies
    }

    fn start(&mut self, mut steps: VecDeque<Step>, request: Request, now: RunTime) {
        self.note_take(&steps);
        steps.push_back(Step::Finish);
        self.steps = steps;
        self.occasion = Occasion::new(request, now);
    }

    /// Does what can be done at this moment.
    fn advance(&mut self, now: RunTime) {
        while !self.over && !self.awaits_tls {
            if let Some(hold) = &mut self.hold {
                if !hold.is_over() {
                    return;
                }
                self.hold = None;
                self.ledger.event(now, What::LetGo);
            }
            if let Some(at) = self.wake {
                if now < at {
                    return;
                }
                self.wake = None;
            }
            if let Some(step) = self.steps.pop_front() {
                self.step(step, now);
            } else if !self.take_input(now) && !self.notice_idle(now) {
                if self.peer_closed {
                    self.close(Output::CloseFin, now);
                }
                return;
            }
        }
    }

    fn step(&mut self, step: Step, now: RunTime) {
        match step {
            Step::Hold(on) => self.come_to(&on, now),
            Step::Act(action) => self.act(action, now),
            Step::Until(at) => {
                self.flush();
                self.wake = Some(at);
            }
            Step::Answer => {
                self.occasion.by_profile = true;
                if let Some(reply) = self.plain_answer(now) {
                    self.say(&reply, now);
                }
            }
            Step::Finish => self.finish(now),
        }
    }

    fn act(&mut self, action: Action, now: RunTime) {
        match action {
            Action::Wait(time) => {
                self.flush();
                self.wake = Some(now + time);
            }
            Action::Reply(text) => {
                let reply = self.fill(&text, now);
                self.say(&reply, now);
            }
            Action::Send { bytes, means } => {
                // Scripted bytes are segments of their own: how a reply is cut is often the point.
                self.flush();
                self.pending.extend_from_slice(&bytes);
                self.flush();
                if let Some(means) = means {
                    let accepts = if self.occasion.request.on == On::Command(Verb::Data) {
                        Outcome::Intermediate
                    } else {
                        Outcome::Positive
                    };
                    let outcome = if means == MeansFor::Accepted { accepts } else { Outcome::Negative };
                    self.settle(outcome, &reply::read_loosely(&bytes), now);
                }
            }
            Action::Pace(size) => {
                self.flush();
                self.pace = (size > 0).then_some(size);
            }
            Action::Read(reading) => {
                self.flush();
                self.out.push(Output::Read(reading));
            }
            Action::Tls(tls) => self.occasion.tls = Some(tls),
            Action::Take(keep) => self.take(keep, now),
            // The one was noted with the rule, the other was done before it.
            Action::Forward(_) | Action::Rewrite(_) => {}
            Action::CloseFin => self.close(Output::CloseFin, now),
            Action::CloseWithoutNotify => self.close(Output::CloseWithoutNotify, now),
            Action::CloseReset { at_once } => self.close(Output::CloseReset { at_once }, now),
            Action::Stall => {
                self.flush();
                self.leave_unread();
                self.out.push(Output::Stall);
                self.over = true;
            }
        }
    }

    /// Says a reply; the first one of an occasion changes the state.
    fn say(&mut self, reply: &Reply, now: RunTime) {
        reply::encode(reply, &mut self.pending);
        // "421 Service closing transmission channel": the server closes after it (RFC 5321 section 3.8).
        self.occasion.closes |= reply.code == 421;
        self.settle(Outcome::of(reply.code), reply, now);
    }

    /// Hands the waiting replies out, as one segment or paced.
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        match self.pace {
            Some(size) => {
                self.out.extend(pending.chunks(size.max(1)).map(|segment| Output::Send(segment.to_vec())));
            }
            None if pending.is_empty() => {}
            None => self.out.push(Output::Send(pending)),
        }
    }

    fn close(&mut self, how: Output, now: RunTime) {
        self.flush();
        self.out.push(how);
        self.end(now);
    }

    /// The session is over, whoever ended it.
    fn end(&mut self, now: RunTime) {
        self.abort_transaction(now);
        self.leave_unread();
        self.visit.leave();
        self.hold = None;
        self.over = true;
    }

    fn fill(&self, text: &ReplyText, now: RunTime) -> Reply {
        if !Placeholders::any_in(text) {
            return Reply { code: text.code, lines: text.lines.clone() };
        }
        self.with_placeholders(&self.occasion.request, now, |placeholders| placeholders.fill(text))
    }

    fn with_placeholders<T>(
        &self,
        request: &Request,
        now: RunTime,
        fill: impl FnOnce(Placeholders<'_>) -> T,
    ) -> T {
        let address = request.path.as_ref().map_or("", |path| path.address.as_str());
        let mail = self.state.mail.as_ref();
        // A name that repeats in every run and is no other mail's of this server.
        let id = format!("{:X}{:05X}", self.visit.ordinal, self.state.transactions);
        let written = mail.and_then(|mail| {
            let mut fields = mail.measure.header_fields();
            fields.find_map(|field| {
                let (name, value) = field.split_once(':')?;
                name.trim_end().eq_ignore_ascii_case("Message-ID").then(|| value.trim().to_owned())
            })
        });
        let message_id = written.unwrap_or_else(|| format!("<{id}@{}>", self.script.hostname));
        fill(Placeholders {
            host: &self.script.hostname,
            client: &self.client.to_string(),
            helo: match request.on {
                On::Command(Verb::Ehlo | Verb::Helo) => &request.argument,
                _ => self.state.helo.as_deref().unwrap_or_default(),
            },
            from: mail.map_or(address, |mail| &mail.from),
            to: if request.on == On::Command(Verb::Rcpt) { address } else { "" },
            argument: &request.argument,
            id: &id,
            message_id: &message_id,
            epoch: self.epoch,
            now,
        })
    }
}

impl Conversation for ServerSession {
    fn handle(&mut self, input: Input<'_>, now: RunTime) -> Vec<Output> {
        if self.over {
            return Vec::new();
        }
        match input {
            Input::Connected => self.begin(Request::event(On::Connect), now),
            Input::Bytes(bytes) => {
                self.ledger.client_sent(bytes, now);
                self.inbox.add(bytes);
                self.idle = Idle::since(now);
                self.notice_early_talker(now);
            }
            Input::TlsEstablished { version, server_name } => {
                self.awaits_tls = false;
                self.start_over_encrypted(version, server_name, now);
            }
            Input::TlsFailed { why, stall, .. } => {
                self.awaits_tls = false;
                self.ledger.event(now, What::TlsFailed { why });
                if stall {
                    self.act(Action::Stall, now);
                } else {
                    self.close(Output::CloseFin, now);
                }
            }
            Input::Timer => {}
            Input::PeerClosed(Close::Fin) => self.peer_closed = true,
            Input::PeerClosed(Close::Reset) => {
                self.close(Output::CloseReset { at_once: true }, now);
            }
        }
        self.advance(now);
        self.flush();
        std::mem::take(&mut self.out)
    }

    fn sent(&mut self, bytes: &[u8], now: RunTime) {
        self.ledger.server_sent(bytes, now);
    }

    fn overheard(&mut self, bytes: &[u8], now: RunTime) -> bool {
        self.ledger.client_sent(bytes, now);
        self.write_unread(bytes);
        self.ledger.forget_unlabelled();
        true
    }

    fn is_full(&self) -> bool {
        self.inbox.len() >= self.limits.inbox
    }

    fn deadline(&self) -> Option<RunTime> {
        if self.over || self.awaits_tls || self.hold.is_some() {
            return None;
        }
        self.wake.or_else(|| {
            let listens = !self.peer_closed && self.state.greeted();
            listens.then(|| self.idle_rules().map(|(_, at)| at).min()).flatten()
        })
    }

    fn hold(&mut self) -> Option<&mut Hold> {
        self.hold.as_mut()
    }
}

impl Occasion {
    fn new(request: Request, at: RunTime) -> Self {
        Self {
            request: Arc::new(request),
            said: None,
            at,
            settled: false,
            closes: false,
            tls: None,
            begins_tls: false,
            by_profile: false,
        }
    }
}
