//! One scenario on one relay, from the first step to the record.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use mock_servers::RunTime;
use mock_servers::script::On;
use mock_servers::smtp::client::{self, By, Submission};
use mock_servers::smtp::dialogue;
use mock_servers::time::human;
use mock_servers::transcript::Session;
use tokio::sync::oneshot;

use super::compose::{self, Composed};
use super::watch::Watch;
use super::{Cancel, clock, external, intake};
use crate::lab::{self, Kind, LabError, Leapt, Owner, Sim, World};
use crate::record::{self, End, Ending, Jumped, Raw, Record, RelayIdentity, Sent, StepDone};
use crate::relay::embedded::Embedded;
use crate::relay::{self, ChooseError, Chosen, Fault, Intake, StartError, Unsupported, container};
use crate::scenario::{Bdat, Message, RelayFault, Scenario, Step};

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Real time after which a run that has not ended is given up as inconclusive. Never a measure of the relay.
    pub guard: Duration,
    /// Real time that a real relay may take to start, to answer one of its adapter's commands, or to stop. Never a measure
    /// of the relay either.
    pub patience: Duration,
    /// Ends the run from outside.
    pub cancel: Cancel,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { guard: Duration::from_mins(1), patience: Duration::from_secs(20), cancel: Cancel::default() }
    }
}

/// Why a run gave no record.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The relay cannot be told or made to do what the scenario asks.
    #[error(transparent)]
    Unsupported(Unsupported),
    /// The world could not be built.
    #[error(transparent)]
    Lab(LabError),
    /// There is no such relay, or its adapter is wrong.
    #[error(transparent)]
    Choice(#[from] ChooseError),
    /// It was ended from outside.
    #[error("the run was cancelled")]
    Cancelled,
    /// The operating system gave no event queue or thread.
    #[error("cannot start a run: {0}")]
    System(#[from] std::io::Error),
}

impl From<LabError> for RunError {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Relay(StartError::Unsupported(reason)) => Self::Unsupported(reason),
            error => Self::Lab(error),
        }
    }
}

/// Runs a scenario on a relay, in this thread, in a world of its own. The same scenario gives the same record. The relay is
/// chosen by its name, or by the path of its adapter.
pub fn run(scenario: &Scenario, relay: &str, options: &RunOptions) -> Result<Record, RunError> {
    match relay::choose(relay)? {
        Chosen::Embedded => run_with(scenario, relay, Kind::Embedded(Embedded::prepare), options),
        Chosen::Process(adapter) => {
            if let Some(why) = intake::lacking(&adapter.name, adapter.intake(), scenario) {
                return Err(RunError::Unsupported(why));
            }
            // What is not there has not shown that it does not follow the clock.
            if let Some(Err(error)) = adapter.container.as_deref().map(container::ready) {
                let why = error.to_string();
                return Err(LabError::from(StartError::Failed { relay: adapter.name.clone(), why }).into());
            }
            let clock = match clock::proved(&adapter, options) {
                Ok(()) => record::Clock::Run,
                Err(why) => {
                    if let Some(what) = clock::needed(scenario) {
                        let why = format!("no virtual clock ({why}): {what}");
                        return Err(RunError::Unsupported(Unsupported(why)));
                    }
                    record::Clock::Machine
                }
            };
            let name = adapter.name.clone();
            let kind = Kind::Process { adapter, clock, patience: options.patience };
            run_with(scenario, &name, kind, options)
        }
        Chosen::External(adapter) => external::run(scenario, adapter, options),
    }
}

/// The same, with this kind of relay.
pub(super) fn run_with(
    scenario: &Scenario,
    relay: &str,
    kind: Kind,
    options: &RunOptions,
) -> Result<Record, RunError> {
    let sim = Sim::default();
    let (scenario, relay, options) = (scenario.clone(), relay.to_owned(), options.clone());
    let (inner, block_on): (_, fn(&_, _) -> _) = match kind {
        Kind::Embedded(_) => (sim.clone(), lab::block_on),
        Kind::Process { .. } | Kind::External { .. } => (sim.clone(), lab::block_on_real),
    };
    block_on(&sim, async move {
        tokio::select! {
            biased;
            () = options.cancel.cancelled() => Err(RunError::Cancelled),
            raw = carry_out(&scenario, &relay, &kind, inner, options.guard) => Ok(record::assemble(raw?)),
        }
    })?
}

/// A run in progress.
struct Run<'a> {
    scenario: &'a Scenario,
    relay: &'a str,
    clock: record::Clock,
    sim: Sim,
    world: World,
    watch: Watch,
    sent: Vec<Sent>,
    copies: BTreeMap<String, u32>,
    steps: Vec<StepDone>,
    /// What had been seen at each `check:`, by its place among the steps.
    checkpoints: Vec<(usize, Raw)>,
    /// The order to hold a session at the `at:` that comes next, given before the step that brings it about.
    to_be_held: Option<oneshot::Receiver<()>>,
}

async fn carry_out(
    scenario: &Scenario,
    relay: &str,
    kind: &Kind,
    sim: Sim,
    guard: Duration,
) -> Result<Raw, RunError> {
    let world = World::build(scenario, relay, kind, &sim).await?;
    let clock = kind.clock();
    let (recorder, queries) = (world.recorder.clone(), world.queries.clone());
    let traffic = Box::new(move || recorder.touched() + queries.count() as u64);
    let limit = RunTime::new(scenario.longest_run());
    let (watch, over) = Watch::new(world.relay.clone(), limit, clock, traffic);
    let observer = watch.clone();
    sim.observe(Box::new(move |quiet| observer.quiet(quiet)), limit);
    let mut run = Run {
        scenario,
        relay,
        clock,
        sim,
        world,
        watch,
        sent: Vec::new(),
        copies: BTreeMap::new(),
        steps: Vec::new(),
        checkpoints: Vec::new(),
        to_be_held: None,
    };
    let how = run.carry_on(over, guard).await?;
    run.world.check_machine()?;
    Ok(run.raw(how))
}

impl Run<'_> {
    async fn carry_on(
        &mut self,
        mut over: oneshot::Receiver<Ending>,
        guard: Duration,
    ) -> Result<Ending, RunError> {
        // The one place that looks at real time: it guards, and measures nothing.
        let guard = tokio::time::sleep(guard);
        tokio::pin!(guard);
        let holdup = self.world.holdup();
        for (index, step) in self.scenario.steps.iter().enumerate() {
            let began = self.sim.now();
            if let Some(Step::At { server, on }) = self.scenario.steps.get(index + 1)
                && sets_off(step)
            {
                self.to_be_held = self.world.gate(server).map(|gate| gate.hold_next(on.clone()));
            }
            let mut jumped = None;
            let ended = tokio::select! {
                biased;
                done = self.step(step, &mut jumped) => { done?; None }
                Ok(ending) = &mut over => Some(ending),
                why = holdup.hopeless() => {
                    Some(Ending::Guard { waiting_for: format!("{} ({why})", describe(step)) })
                }
                () = &mut guard => {
                    let holdup = holdup.told().map(|who| format!(" ({who})")).unwrap_or_default();
                    Some(Ending::Guard { waiting_for: describe(step) + &holdup })
                }
            };
            self.steps.push(StepDone { step: describe(step), began, done: self.sim.now(), jumped });
            if let Some(why) = self.world.relay.died() {
                return Ok(Ending::RelayDied { why });
            }
            if let Some(ending) = ended {
                return Ok(ending);
            }
        }
        Ok(Ending::Finished)
    }

    async fn step(&mut self, step: &Step, jumped: &mut Option<Jumped>) -> Result<(), RunError> {
        match step {
            Step::Send(messages) => {
                for name in messages {
                    let scenario = self.scenario;
                    if let Some(message) = scenario.message(name) {
                        for _ in 0..message.copies.max(1) {
                            self.send(message).await?;
                        }
                    }
                }
            }
            Step::Client(name) => self.converse(name).await,
            Step::Settle => {
                // First what the steps before it did comes to everyone: a relay that was killed must be gone for the
                // server before it answers. The watch lives as long as the run.
                let _ = self.watch.still().await;
                self.world.let_go();
                let _ = self.watch.settled().await;
            }
            Step::Wait(wait) => self.sim.sleep_until(self.sim.now() + *wait, Owner::Step).await,
            Step::Jump(far) => {
                let Leapt { from, open } = self.sim.leap_to(self.sim.now() + *far).await;
                *jumped = Some(Jumped { from, open });
            }
            Step::KillRelay => {
                self.world.relay.kill();
                self.watch.look(self.sim.now());
            }
            Step::RestartRelay => {
                self.world.restart_relay().await?;
                self.watch.started_again(self.sim.now());
            }
            Step::Stop(server) => self.world.stop_server(server).await,
            Step::Start(server) => self.world.start_server(server)?,
            Step::QueueRunForce => self.world.relay.force_queue_run().map_err(RunError::Unsupported)?,
            Step::QueueRunDue => self.world.relay.due_queue_run().map_err(RunError::Unsupported)?,
            Step::At { server, on } => self.hold(server, on).await,
            Step::Fault(fault) => {
                let fault = fault.map(|RelayFault::DiskFull| Fault::DiskFull);
                self.world.relay.fault(fault).map_err(RunError::Unsupported)?;
            }
            Step::Check(_) => {
                // The watch lives as long as the run.
                let _ = self.watch.still().await;
                let seen = self.seen(self.world.recorder.sessions(), self.sent.clone(), Ending::Finished);
                self.checkpoints.push((self.steps.len(), seen));
            }
        }
        Ok(())
    }

    /// Submits one copy of a message.
    async fn send(&mut self, message: &Message) -> Result<(), RunError> {
        let copy = self.copies.entry(message.name.clone()).and_modify(|n| *n += 1).or_insert(1);
        let copy = *copy;
        let at = self.sim.now();
        let Composed { token, content } =
            compose::compose(message, copy, self.world.epoch + at.since_start());
        let recipients: Vec<(String, Vec<String>)> =
            message.to.iter().map(|to| (to.clone(), compose::recipient_parameters(message))).collect();
        let submission = Submission {
            helo: "client.origin.example".to_owned(),
            from: message.from.clone(),
            from_parameters: compose::sender_parameters(message),
            recipients: recipients.clone(),
            content: content.clone(),
            raw: message.content.raw.is_some(),
            by: match message.envelope.bdat {
                None => By::Data,
                Some(Bdat::Whole) => By::Bdat { chunk: None },
                Some(Bdat::Chunks(size)) => By::Bdat { chunk: Some(size) },
            },
            needs: compose::needs(message, &content),
            login: None,
        };
        let client = if message.trusted { "client" } else { "stranger" };
        // A relay that takes no connection is told by the submission that has no session.
        let mut session = None;
        let mut by_bdat = false;
        let mut left_out = Vec::new();
        if self.world.relay.intake() == Intake::ByCommand {
            let content =
                if message.content.raw.is_some() { &compose::unstuffed(&content) } else { &content };
            let (ordinal, unsaid) =
                intake::by_command(&self.world, message, content, &submission.needs).await?;
            session = Some((client.to_owned(), ordinal));
            left_out = unsaid;
        } else if let Ok((socket, login, record)) = self.world.dial_in(client, message.trusted).await {
            session = Some((client.to_owned(), record.ordinal()));
            let clock = self.world.environment().clock.clone();
            let submission = Submission { login, ..submission };
            let outcome = client::submit(socket, submission, clock, record).await;
            if let Some(keyword) = outcome.missing {
                let why = format!("the relay does not offer {keyword}, which `{}` needs", message.name);
                return Err(RunError::Unsupported(Unsupported(why)));
            }
            by_bdat = outcome.by_bdat;
            for parameter in outcome.dropped {
                // Each recipient has its own, mostly the same.
                if !left_out.contains(&parameter) {
                    left_out.push(parameter);
                }
            }
        }
        // Chunks are taken as they are; after DATA dots have a meaning.
        let as_it_stands = message.content.raw.is_some() && !by_bdat;
        self.sent.push(Sent {
            message: message.name.clone(),
            copy,
            token,
            session,
            at,
            from: message.from.clone(),
            recipients,
            left_out,
            content: if as_it_stands { compose::unstuffed(&content) } else { content },
        });
        Ok(())
    }

    /// Goes on until a session at this server comes to this event, and holds it there.
    async fn hold(&mut self, server: &str, on: &On) {
        let ordered = self.to_be_held.take();
        let Some(held) = ordered.or_else(|| Some(self.world.gate(server)?.hold_next(on.clone()))) else {
            return;
        };
        self.watch.awaits(Some(format!("no session with {server} came to {on}")));
        // Nobody but the steps opens the gate.
        let _ = held.await;
        self.watch.awaits(None);
    }

    /// Runs a dialogue client.
    async fn converse(&mut self, name: &str) {
        let Some(client) = self.scenario.clients.iter().find(|client| client.name == name) else { return };
        if let Ok((socket, record)) = self.world.dial(name, client.trusted).await {
            let clock = self.world.environment().clock.clone();
            dialogue::converse(socket, &client.dialogue, clock, record).await;
        }
    }

    /// All that was seen of the run, which is over.
    fn raw(mut self, how: Ending) -> Raw {
        self.world.check_mocks();
        self.watch.look(self.sim.now());
        self.sim.unobserve();
        let sent = std::mem::take(&mut self.sent);
        let checkpoints = std::mem::take(&mut self.checkpoints);
        let sessions = self.world.recorder.take_sessions();
        Raw { checkpoints, ..self.seen(sessions, sent, how) }
    }

    /// What was seen so far.
    fn seen(&self, sessions: Vec<Session>, sent: Vec<Sent>, how: Ending) -> Raw {
        let Self { scenario, relay, world, watch, steps, sim, .. } = self;
        let serves = scenario.servers.iter().flat_map(|server| {
            server.serves.iter().map(|serves| (server.script.name.clone(), serves.domain.clone()))
        });
        let smarthost = scenario.relay.smarthost.iter().map(|server| (server.clone(), "*".to_owned()));
        Raw {
            relay: RelayIdentity {
                name: (*relay).to_owned(),
                version: world.relay.version(),
                hostname: world.hostname.clone(),
                role: world.relay.role(),
                own_times: world.relay.own_times(),
                address: lab::relay_address(),
                varies: world.relay.varies(),
            },
            epoch: seconds(world.epoch),
            clock: self.clock,
            serves: serves.chain(smarthost).collect(),
            sessions,
            queries: world.queries.queries(),
            sent,
            queue: watch.timeline(),
            log: world.log(),
            steps: steps.clone(),
            checkpoints: Vec::new(),
            end: End { at: sim.now(), how },
        }
    }
}

/// Whether a step may have the relay come to a server before it is over itself: mail goes on while its client says QUIT.
fn sets_off(step: &Step) -> bool {
    matches!(
        step,
        Step::Send(_)
            | Step::Client(_)
            | Step::RestartRelay
            | Step::Start(_)
            | Step::QueueRunForce
            | Step::QueueRunDue
    )
}

/// Seconds since 1970.
fn seconds(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed()
}

/// A step in the language's words.
fn describe(step: &Step) -> String {
    match step {
        Step::Send(messages) => format!("send: {}", messages.join(", ")),
        Step::Client(name) => format!("client: {name}"),
        Step::Settle => "settle".to_owned(),
        Step::Wait(wait) => format!("wait: {}", human(*wait)),
        Step::Jump(far) => format!("jump: {}", human(*far)),
        Step::KillRelay => "kill: relay".to_owned(),
        Step::RestartRelay => "restart: relay".to_owned(),
        Step::Stop(server) => format!("stop: {server}"),
        Step::Start(server) => format!("start: {server}"),
        Step::QueueRunForce => "queue run: force".to_owned(),
        Step::QueueRunDue => "queue run: due".to_owned(),
        Step::At { server, on } => format!("at: {{ {server}: {on} }}"),
        Step::Fault(Some(RelayFault::DiskFull)) => "fault: { relay: disk full }".to_owned(),
        Step::Fault(None) => "fault: { relay: none }".to_owned(),
        Step::Check(expectations) => {
            let words: Vec<&str> = expectations.iter().map(|expectation| expectation.check.word()).collect();
            format!("check: {}", words.join(", "))
        }
    }
}
