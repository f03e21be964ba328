//! One clock for a whole run: a discrete-event simulation around real sockets (ARCHITECTURE decision 3).
//!
//! Everything of a run lives on one thread: mock servers, DNS, clients, steps and the embedded relay. Whenever no task
//! can go on, the runtime calls [`Sim::idle`], which lets exactly one thing happen, the first of:
//!
//! 1. one *input* whose bytes, connection, datagram or end are in flight and whose reader waits for it, in the order in
//!    which the inputs were made;
//! 2. one timer, the earliest, whoever owns it; among equals mocks and DNS first, then the relay, then the steps.
//!
//! So the clock moves only when all is quiet, and the order of events does not depend on the kernel, on load or on
//! luck: two runs of a scenario are the same run. Real sockets carry the bytes; what is on its way is known because both
//! ends are counted here.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use mock_servers::RunTime;
use mock_servers::transcript::Close;

/// How often the thread may park for one input that the kernel still holds back before another is looked at.
const PATIENCE: u32 = 3;

/// The run's simulation. Clones are the same one.
#[derive(Clone, Default)]
pub struct Sim(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: RunTime,
    timers: BTreeMap<TimerKey, Waker>,
    inputs: BTreeMap<InputId, Input>,
    serial: u64,
    granted: Option<InputId>,
    observer: Option<Observer>,
    jumps: u64,
    holds: u32,
    /// Where the run ends at the latest.
    end: Option<RunTime>,
    /// A jump that waits until nothing is open.
    leap: Option<Leap>,
    /// What is open around an embedded relay, in words.
    open: BTreeMap<u64, String>,
}

/// Time is to go to this moment at once.
struct Leap {
    to: RunTime,
    /// What was open when it could not go yet: the first such thing.
    open: Option<String>,
    /// From where it went.
    from: Option<RunTime>,
}

/// Whose timer it is: decides among timers of the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Mock servers, clients and DNS.
    Mock,
    /// The relay under test.
    Relay,
    /// The scenario's steps.
    Step,
}

impl State {
    fn set_now(&mut self, at: RunTime) {
        if at > self.now {
            self.now = at;
            self.jumps += 1;
        }
    }
}

type TimerKey = (RunTime, Owner, u64);

/// Names an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InputId(u64);

/// Asked each time before the clock moves.
pub type Observer = Box<dyn FnMut(&Quiet) -> Flow + Send>;

/// The moment at which all is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// The present.
    pub now: RunTime,
    /// When the next timer fires, whoever owns it.
    pub next: Option<RunTime>,
    /// When the next timer of a mock fires: a server that still has something to do.
    pub next_of_mocks: Option<RunTime>,
    /// Whether it is certain that nothing more happens by itself. A simulation knows; a relay that is watched from outside
    /// may only pause.
    pub sure: bool,
}

/// Time in the hands of something else than the simulation: programs under a clock of their own.
pub(super) trait Elsewhere {
    /// The earliest moment that somebody there waits for.
    fn next(&self) -> Option<RunTime>;

    /// Makes it this moment there. Without `on_before` nobody there goes on yet: something here comes first, and who is due there is told
    /// as the next. With it, those go on who have waited for this moment or for an earlier one, and before the moment `on_before`
    /// time may then go on by itself, as long as nothing happens that could be seen from here. Returns the moment that it is.
    fn jump(&mut self, to: RunTime, on_before: Option<RunTime>) -> RunTime;

    /// What of the relay's is open there, in words: a connection, a query. Asked only where time is to go past what it waits for.
    fn open(&mut self) -> Option<String>;
}

/// Nowhere else is any time.
pub(super) struct Nowhere;

impl Elsewhere for Nowhere {
    fn next(&self) -> Option<RunTime> {
        None
    }

    fn jump(&mut self, to: RunTime, _on_before: Option<RunTime>) -> RunTime {
        to
    }

    fn open(&mut self) -> Option<String> {
        None
    }
}

/// The observer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The clock moves on.
    Go,
    /// It stays; the observer woke someone.
    Hold,
    /// It stays, and nobody was woken: it has to be certain first.
    NotYet,
}

/// One place where something can arrive: a direction of a connection, a listener, a datagram socket.
#[derive(Default)]
struct Input {
    /// Bytes, connections or datagrams sent and not yet read.
    in_flight: usize,
    /// The other side has ended.
    end: Option<Close>,
    /// The reader was told of the end.
    end_read: bool,
    /// The reader is gone: whatever is sent vanishes.
    reader_gone: bool,
    reader: Option<Waker>,
    grant: Grant,
    /// Waits for room, or for everything to have been read.
    writers: Vec<Waker>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Grant {
    #[default]
    None,
    /// The reader was woken and has not come yet.
    Given,
    /// The reader came and the kernel had nothing yet.
    Held { parks: u32 },
}

/// What a reader may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Not yet; its waker is kept.
    Wait,
    /// Read at most this many.
    Read(usize),
    /// The end.
    End(Close),
}

impl Sim {
    /// The present moment.
    pub fn now(&self) -> RunTime {
        self.lock().now
    }

    /// How often the clock has moved.
    pub fn jumps(&self) -> u64 {
        self.lock().jumps
    }

    /// Sets who is asked before the clock moves, which is to happen until `end` at most.
    pub fn observe(&self, observer: Observer, end: RunTime) {
        let mut state = self.lock();
        state.observer = Some(observer);
        state.end = Some(end);
    }

    /// Drops the observer, and with it what it holds.
    pub fn unobserve(&self) {
        let observer = self.lock().observer.take();
        drop(observer);
    }

    /// Completes at `at`.
    pub fn sleep_until(&self, at: RunTime, owner: Owner) -> Sleep {
        Sleep { sim: self.clone(), at, owner, key: None }
    }

    /// To be called whenever no task of the run's thread can go on, before the thread parks.
    pub fn idle(&self) {
        if self.lock().holds > 0 || self.settle_grant() || self.grant_next() {
            return;
        }
        self.step(true, &mut Nowhere);
    }

    /// Lets one thing happen at a quiet moment: what the observer wakes, or the next timer, here or elsewhere. `false`: neither
    /// did, since that has to be certain first.
    pub(super) fn step(&self, sure: bool, elsewhere: &mut dyn Elsewhere) -> bool {
        let of_relay = elsewhere.next();
        let (quiet, observer) = {
            let mut state = self.lock();
            let next = state.timers.keys().next().map(|key| key.0);
            // This moment is not over: what of the relay's is due at it had to wait for what comes first, and nobody is asked in between.
            // Nor does time go on by itself: what came first may have been the last that was waited for.
            if of_relay.is_some_and(|at| at <= state.now) && next.is_none_or(|next| next > state.now) {
                elsewhere.jump(state.now, Some(state.now));
                return true;
            }
            let quiet = Quiet {
                now: state.now,
                next: next.into_iter().chain(of_relay).min(),
                next_of_mocks: state.timers.keys().find(|key| key.1 == Owner::Mock).map(|key| key.0),
                sure,
            };
            (quiet, state.observer.take())
        };
        if let Some(mut observer) = observer {
            let flow = observer(&quiet);
            self.lock().observer.get_or_insert(observer);
            match flow {
                Flow::Go if sure => {}
                Flow::Hold => return true,
                Flow::Go | Flow::NotYet => return false,
            }
        }
        if let Some(to) = self.may_leap(of_relay, elsewhere) {
            // Who waits there for this moment or an earlier one goes on at it; before it there is nothing more.
            let reached = elsewhere.jump(to, Some(to));
            let mut state = self.lock();
            let from = state.now;
            state.set_now(reached.max(to));
            if let Some(leap) = &mut state.leap {
                leap.from = Some(from);
            }
            drop(state);
            // Those there have been woken; here nobody has yet.
            if of_relay.is_some() {
                return true;
            }
        }
        let fired = {
            let mut state = self.lock();
            let here = state.timers.keys().next().map(|key| (key.0, key.1));
            if let Some(at) = of_relay
                && here.is_none_or(|here| (at, Owner::Relay) < here)
            {
                let end = state.end.unwrap_or(RunTime::NEVER);
                let on_before = here.map_or(end, |here| here.0.min(end));
                let reached = elsewhere.jump(at.max(state.now), Some(on_before));
                state.set_now(reached);
                return true;
            }
            let Some(((at, _, _), waker)) = state.timers.pop_first() else { return true };
            if at > state.now {
                elsewhere.jump(at, None);
                state.set_now(at);
            }
            waker
        };
        fired.wake();
        true
    }

    /// Completes at `at`, to where time goes at once as soon as nothing is open: no connection of the relay's, no query, and nothing
    /// that a server still has to do. What others wait for on the way comes due there, in order. As long as something is open, time passes
    /// as ever.
    pub async fn leap_to(&self, at: RunTime) -> Leapt {
        self.lock().leap = Some(Leap { to: at, open: None, from: None });
        self.sleep_until(at, Owner::Step).await;
        let leap = self.lock().leap.take();
        leap.map_or(Leapt { from: None, open: None }, |leap| Leapt { from: leap.from, open: leap.open })
    }

    /// Where time is to go at once, if it may.
    fn may_leap(&self, of_relay: Option<RunTime>, elsewhere: &mut dyn Elsewhere) -> Option<RunTime> {
        let (to, open) = {
            let state = self.lock();
            let leap = state.leap.as_ref().filter(|leap| leap.from.is_none() && leap.to > state.now)?;
            let next = state.timers.keys().next().map(|key| key.0).into_iter().chain(of_relay).min();
            // Now comes first.
            if next.is_some_and(|next| next <= state.now) {
                return None;
            }
            let waits = state.timers.keys().any(|key| key.1 == Owner::Mock);
            let waits = waits.then(|| "a server had something left to do".to_owned());
            (leap.to, state.open.values().next().cloned().or(waits))
        };
        let open = open.or_else(|| elsewhere.open());
        if open.is_none() {
            return Some(to);
        }
        if let Some(leap) = &mut self.lock().leap {
            leap.open = leap.open.take().or(open);
        }
        None
    }

    /// As long as this lives, something is open: a session, a query. `what` says so in words.
    pub(super) fn open(&self, what: String) -> Open {
        let mut state = self.lock();
        state.serial += 1;
        let id = state.serial;
        state.open.insert(id, what);
        Open(self.clone(), id)
    }

    /// Puts another observer in the place of the one there is, which is returned.
    pub(super) fn observe_instead(&self, observer: Option<Observer>) -> Option<Observer> {
        std::mem::replace(&mut self.lock().observer, observer)
    }

    /// True while the input whose turn it is waits for the kernel.
    fn settle_grant(&self) -> bool {
        let mut state = self.lock();
        let Some(id) = state.granted else { return false };
        if let Some(input) = state.inputs.get_mut(&id) {
            match input.grant {
                Grant::Held { parks } if parks < PATIENCE => {
                    input.grant = Grant::Held { parks: parks + 1 };
                    return true;
                }
                // Its reader has turned to something else; it asks again when it comes back.
                Grant::Given => input.reader = None,
                Grant::Held { .. } | Grant::None => {}
            }
            input.grant = Grant::None;
        }
        state.granted = None;
        false
    }

    fn grant_next(&self) -> bool {
        let waker = {
            let mut state = self.lock();
            let ready = state.inputs.iter_mut().find(|(_, input)| {
                input.reader.is_some() && !input.end_read && (input.in_flight > 0 || input.end.is_some())
            });
            let Some((&id, input)) = ready else { return false };
            input.grant = Grant::Given;
            let waker = input.reader.clone();
            state.granted = Some(id);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Nothing happens until the hold is dropped: something waits for the kernel.
    pub(super) fn hold(&self) -> Hold {
        self.lock().holds += 1;
        Hold(self.clone())
    }

    /// Whether something holds it.
    pub(super) fn is_held(&self) -> bool {
        self.lock().holds > 0
    }

    pub(super) fn new_input(&self) -> InputId {
        let mut state = self.lock();
        state.serial += 1;
        let id = InputId(state.serial);
        state.inputs.insert(id, Input::default());
        id
    }

    /// Asks for a reader's turn.
    pub(super) fn turn(&self, id: InputId, cx: &Context<'_>) -> Turn {
        let mut state = self.lock();
        let Some(input) = state.inputs.get_mut(&id) else { return Turn::End(Close::Fin) };
        if input.end_read {
            return Turn::End(input.end.unwrap_or(Close::Fin));
        }
        if input.grant == Grant::None {
            input.reader = Some(cx.waker().clone());
            return Turn::Wait;
        }
        if input.in_flight > 0 {
            return Turn::Read(input.in_flight);
        }
        input.grant = Grant::None;
        input.reader = None;
        if let Some(how) = input.end {
            input.end_read = true;
            return Turn::End(how);
        }
        input.reader = Some(cx.waker().clone());
        Turn::Wait
    }

    /// The kernel had nothing yet for the reader whose turn it is.
    pub(super) fn held_back(&self, id: InputId) {
        if let Some(input) = self.lock().inputs.get_mut(&id)
            && input.grant == Grant::Given
        {
            input.grant = Grant::Held { parks: 0 };
        }
    }

    /// So many were read; the turn is over.
    pub(super) fn was_read(&self, id: InputId, count: usize) {
        let writers = {
            let mut state = self.lock();
            let Some(input) = state.inputs.get_mut(&id) else { return };
            input.in_flight = input.in_flight.saturating_sub(count);
            input.grant = Grant::None;
            input.reader = None;
            std::mem::take(&mut input.writers)
        };
        writers.into_iter().for_each(Waker::wake);
    }

    /// So many were sent.
    pub(super) fn was_sent(&self, id: InputId, count: usize) {
        if let Some(input) = self.lock().inputs.get_mut(&id) {
            input.in_flight += count;
        }
    }

    /// How many more may be sent while at most `window` are in flight; `None` once the reader is gone. At 0 the waker is
    /// kept.
    pub(super) fn room(&self, id: InputId, window: usize, cx: &Context<'_>) -> Option<usize> {
        let mut state = self.lock();
        let input = state.inputs.get_mut(&id).filter(|input| !input.reader_gone && input.end.is_none())?;
        let room = window.saturating_sub(input.in_flight);
        if room == 0 {
            input.writers.push(cx.waker().clone());
        }
        Some(room)
    }

    /// Whether everything sent was read; keeps the waker when not.
    pub(super) fn all_read(&self, id: InputId, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let Some(input) = state.inputs.get_mut(&id) else { return true };
        if input.in_flight == 0 || input.reader_gone {
            return true;
        }
        input.writers.push(cx.waker().clone());
        false
    }

    /// The writer has ended. A reset takes what is in flight with it.
    pub(super) fn end(&self, id: InputId, how: Close) {
        let mut state = self.lock();
        let Some(input) = state.inputs.get_mut(&id) else { return };
        if input.reader_gone {
            state.inputs.remove(&id);
            return;
        }
        if how == Close::Reset {
            input.in_flight = 0;
        }
        if input.end != Some(Close::Reset) {
            input.end = Some(how);
        }
    }

    /// The reader is gone.
    pub(super) fn reader_gone(&self, id: InputId) {
        let writers = {
            let mut state = self.lock();
            let Some(input) = state.inputs.get_mut(&id) else { return };
            let writers = std::mem::take(&mut input.writers);
            if input.end.is_some() {
                state.inputs.remove(&id);
            } else {
                *input = Input { reader_gone: true, ..Input::default() };
            }
            writers
        };
        writers.into_iter().for_each(Waker::wake);
    }

    /// The reader wants nothing for now.
    pub(super) fn stops_reading(&self, id: InputId) {
        if let Some(input) = self.lock().inputs.get_mut(&id) {
            input.reader = None;
        }
    }

    /// Whether whoever reads this has gone.
    pub(super) fn is_reader_gone(&self, id: InputId) -> bool {
        self.lock().inputs.get(&id).is_none_or(|input| input.reader_gone)
    }

    /// How whoever writes `from` and reads `to` has let go of both; keeps the waker when it has not.
    pub(super) fn poll_gone(&self, from: InputId, to: InputId, cx: &Context<'_>) -> Option<Close> {
        let mut state = self.lock();
        if let Some(input) = state.inputs.get_mut(&to).filter(|input| !input.reader_gone) {
            input.writers.push(cx.waker().clone());
            return None;
        }
        Some(state.inputs.get(&from).and_then(|input| input.end).unwrap_or(Close::Fin))
    }

    /// The input is no more.
    pub(super) fn remove(&self, id: InputId) {
        self.lock().inputs.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding the simulation")
    }
}

/// See [`Sim::hold`].
pub(super) struct Hold(Sim);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().holds -= 1;
    }
}

/// See [`Sim::open`].
pub(super) struct Open(Sim, u64);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().open.remove(&self.1);
    }
}

/// How time came to the moment of [`Sim::leap_to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leapt {
    /// From where it went there at once; `None`: it never did.
    pub from: Option<RunTime>,
    /// What was open, so that it could not go at the beginning.
    pub open: Option<String>,
}

/// See [`Sim::sleep_until`].
pub struct Sleep {
    sim: Sim,
    at: RunTime,
    owner: Owner,
    key: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.sim.0.lock().expect("nobody panics while holding the simulation");
        if state.now >= self.at {
            return Poll::Ready(());
        }
        if self.at == RunTime::NEVER {
            return Poll::Pending;
        }
        let key = self.key.unwrap_or_else(|| {
            state.serial += 1;
            (self.at, self.owner, state.serial)
        });
        state.timers.insert(key, cx.waker().clone());
        drop(state);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.sim.lock().timers.remove(&key);
        }
    }
}
