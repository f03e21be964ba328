//! Who looks at all threads, knows when all are quiet, and moves the clock.

use crate::error::ClockError;
use crate::map::Page;
use crate::page::{JUMPS, NEVER, PAGE_NAME};
use crate::sys::{CLOCK_REALTIME_COARSE, kernel_clock};
use crate::task::{Outside, Seen, Stat, Task, Why};
use crate::wake;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

/// Whom the driver watches. Threads of the process that it lives in are never among them.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Every process of the pid namespace that its `/proc` shows, but these and process 1.
    AllBut(Vec<i32>),
    /// The processes of these sessions: programs that called `setsid`, and what they start. See [`Driver::watch`].
    Sessions(Vec<i32>),
}

/// What a look found. One that met a busy thread ends there: the rest of what it tells is then of no use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Every thread was asleep when it was looked at, none was being woken, and, unless [`Driver::look_on`] was asked, none had a
    /// deadline that has come.
    pub quiet: bool,
    /// There was a moment since the look before at which all were asleep together, and nothing of theirs was on its way:
    /// nothing can happen any more unless it comes from outside (a byte from a mock server, a timer of the kernel's) or
    /// from a jump.
    pub settled: bool,
    /// Changes whenever any thread has run, begun or ended: two quiet looks with equal marks say the same as `settled`,
    /// of the time between those two, for callers who look at something else (sockets) in between.
    pub mark: u64,
    /// The earliest deadline of a wait, an alarm or a timer, in nanoseconds of the run.
    pub earliest: Option<u64>,
    /// How many threads there are.
    pub threads: usize,
    /// A thread that is busy, by its process and its own number.
    pub busy: Option<(i32, i32)>,
    /// Threads that wait where the clock cannot reach them.
    pub outside: Vec<Outside>,
}

/// The driver. It lives in the pid namespace of the programs.
#[derive(Debug)]
pub struct Driver {
    page: Page,
    scope: Scope,
    tasks: Vec<Task>,
    loadavg: File,
    /// The number that the last new thread got.
    newest: u64,
    /// Whether the list of threads is known to lack none that were there at `newest`.
    complete: bool,
    /// The first of them was busy at the last look.
    has_busy: bool,
    /// How many looks could not be relied upon.
    doubtful: u64,
    last: (bool, u64),
    in_turn: bool,
    /// Program images, and whether they have the page.
    attached: HashMap<(u64, u64), bool>,
    /// Images in which the wake signal is known to be handled, by process.
    wakeable: HashMap<i32, (u64, u64)>,
}

impl Driver {
    /// A driver of the programs in `scope`.
    pub fn new(page: Page, scope: Scope) -> Result<Driver, ClockError> {
        // Without it nobody could tell who has run, and a thread that cannot be counted would pass for one that has ended.
        fs::read("/proc/self/schedstat").map_err(|error| {
            let doing =
                "opening /proc/self/schedstat (the kernel needs CONFIG_SCHED_INFO, the namespace a /proc)";
            ClockError::system(doing, error)
        })?;
        let loadavg = File::open("/proc/loadavg")
            .map_err(|error| ClockError::system("opening /proc/loadavg", error))?;
        Ok(Driver {
            page,
            scope,
            tasks: Vec::new(),
            loadavg,
            newest: 0,
            complete: false,
            has_busy: false,
            doubtful: 0,
            last: (false, 0),
            in_turn: false,
            attached: HashMap::new(),
            wakeable: HashMap::new(),
        })
    }

    /// The page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// From now on whoever looks comes last of all on the one processor that the programs share ([`crate::turn`]): a thread that
    /// could run has run, and is counted, before it is looked at. One that has not run since it was seen asleep then is so still, and
    /// needs no second question.
    pub fn in_turn(&mut self) {
        self.in_turn = true;
    }

    /// Watches one more session, where sessions are watched.
    pub fn watch(&mut self, session: i32) {
        if let Scope::Sessions(sessions) = &mut self.scope {
            sessions.push(session);
            self.complete = false;
        }
    }

    /// The name of a thread's program, as the kernel keeps it (15 bytes).
    pub fn name(&self, tid: i32) -> Option<String> {
        self.tasks.iter().find(|task| task.tid == tid).map(Task::name)
    }

    /// Looks at every thread once, and wakes those whose deadline has come. Two looks are needed to know that all is quiet: see
    /// [`Look::settled`].
    pub fn look(&mut self) -> Result<Look, ClockError> {
        self.look_and(true)
    }

    /// The same without waking: who waits for a moment that has come sleeps on until the next [`Driver::jump`], which may be to
    /// the present. For those who do something of their own first at a moment that they [set](Driver::set).
    pub fn look_on(&mut self) -> Result<Look, ClockError> {
        self.look_and(false)
    }

    fn look_and(&mut self, wakes: bool) -> Result<Look, ClockError> {
        // Whoever was busy mostly still is, and then nothing else need be asked.
        if self.has_busy
            && let Some(task) = self.tasks.first_mut()
            && task.look(&self.page, self.in_turn) == Seen::Busy
        {
            let busy = Some((task.pid, task.tid));
            self.doubtful += 1;
            self.last.0 = false;
            return Ok(Look {
                busy,
                mark: scramble(self.doubtful, 1),
                threads: self.tasks.len(),
                ..Look::default()
            });
        }
        self.has_busy = false;
        let failed = |error| ClockError::system("looking at /proc", error);
        let newest = self.newest_thread().map_err(failed)?;
        let listed = newest != self.newest || !self.complete;
        if listed {
            self.list().map_err(failed)?;
            self.newest = newest;
            self.complete = false;
        }
        let mut look = Look { quiet: true, ..Look::default() };
        let mut earliest = NEVER;
        let now = self.page.peek();
        let mut at = 0;
        while at < self.tasks.len() {
            let task = &mut self.tasks[at];
            let seen = task.look(&self.page, self.in_turn);
            if seen == Seen::Gone {
                self.tasks.swap_remove(at);
                continue;
            }
            at += 1;
            look.mark = look.mark.wrapping_add(scramble(task.tid as u64, task.turns));
            match seen {
                Seen::Gone | Seen::Quiet => {}
                Seen::Busy => {
                    look.quiet = false;
                    look.busy = Some((task.pid, task.tid));
                    // One is enough; it is asked first next time.
                    self.tasks.swap(0, at - 1);
                    self.has_busy = true;
                    break;
                }
                Seen::Until(deadline) if wakes && deadline <= now => {
                    let index = at - 1;
                    self.wake(index);
                    look.quiet = false;
                    look.busy = Some((self.tasks[index].pid, self.tasks[index].tid));
                }
                Seen::Until(deadline) => earliest = earliest.min(deadline),
                Seen::Real(name) => {
                    let (pid, tid) = (task.pid, task.tid);
                    look.outside.push(Outside { pid, tid, name: task.name(), why: Why::RealTimeout(name) });
                }
            }
        }
        if look.quiet {
            self.look_for_strangers(&mut look);
        }
        for timer in self.page.timers() {
            let deadline = timer.deadline.load(SeqCst);
            if timer.key.load(SeqCst) == 0 || deadline == NEVER {
                continue;
            }
            if wakes && deadline <= now {
                look.quiet = false;
            }
            earliest = earliest.min(deadline);
        }
        if wakes && !look.quiet {
            wake::fire_timers(&self.page);
        }
        look.threads = self.tasks.len();
        look.mark = look.mark.wrapping_add(scramble(0, newest)).wrapping_add(look.threads as u64);
        look.earliest = (earliest != NEVER).then_some(earliest);
        let unchanged = look.quiet && self.last == (true, look.mark);
        // Nobody ran while this list was made, so nobody was about to add to it. Whoever was to run in turn has done so before.
        self.complete |= listed && look.quiet && (unchanged || self.in_turn);
        look.settled = unchanged && self.complete;
        self.last = (look.quiet, look.mark);
        if !look.quiet || !self.complete {
            // A thread may be missing from the list: whoever compares marks must not find two such looks equal.
            self.doubtful += 1;
            look.mark = look.mark.wrapping_add(scramble(self.doubtful, 1));
        }
        Ok(look)
    }

    /// Moves the clock forward to a moment, in nanoseconds of the run, and wakes whoever waited for it or for one before
    /// it, timers and alarms first, then waits, the earliest deadline first. How many that were.
    pub fn jump(&mut self, to: u64) -> Result<usize, ClockError> {
        let to = self.move_to(to)?;
        let mut woken = wake::fire_timers(&self.page);
        let mut due: Vec<(u64, usize)> = Vec::new();
        for (at, task) in self.tasks.iter().enumerate() {
            let tid = task.tid as u32;
            let slot = self.page.slot(tid);
            if slot.tid.load(SeqCst) == tid && slot.state.load(SeqCst) == crate::page::WAITING {
                let deadline = slot.deadline.load(SeqCst);
                if deadline <= to {
                    due.push((deadline, at));
                }
            }
        }
        due.sort_unstable();
        for (_, at) in due {
            woken += usize::from(self.wake(at));
        }
        Ok(woken)
    }

    /// Moves the clock forward and wakes nobody: see [`Driver::look_on`].
    pub fn set(&mut self, to: u64) -> Result<(), ClockError> {
        self.move_to(to).map(drop)
    }

    fn move_to(&mut self, to: u64) -> Result<u64, ClockError> {
        let now = self.page.now();
        if to < now {
            return Err(ClockError::Back { now, to });
        }
        // Readings have run ahead by their ticks; the clock never goes back behind one.
        let to = self.page.reading.fetch_max(to, SeqCst).max(to);
        let jumps = self.page.jumps.load(SeqCst);
        let entry = &self.page.journal[jumps as usize % JUMPS];
        entry.now.store(to, SeqCst);
        entry.real.store(kernel_clock(CLOCK_REALTIME_COARSE), SeqCst);
        self.page.jumps.store(jumps + 1, SeqCst);
        self.page.now.store(to, SeqCst);
        self.last.0 = false;
        Ok(to)
    }

    /// Wakes a thread, if its program would take it as that.
    fn wake(&mut self, at: usize) -> bool {
        let task = &self.tasks[at];
        if self.wakeable.get(&task.pid) != Some(&task.image) {
            if !task.can_be_woken() {
                return false;
            }
            self.wakeable.insert(task.pid, task.image);
        }
        wake::wake(task.pid, task.tid);
        true
    }

    /// Tells of programs that have not mapped the page, each image looked up once.
    fn look_for_strangers(&mut self, look: &mut Look) {
        for task in &self.tasks {
            // An image is known only once the thread has been seen asleep.
            if task.image == (0, 0) {
                continue;
            }
            let attached = *self.attached.entry(task.image).or_insert_with(|| {
                let maps = fs::read(format!("/proc/{}/maps", task.pid)).unwrap_or_default();
                maps.windows(PAGE_NAME.len()).any(|window| window == PAGE_NAME.as_bytes())
            });
            let known = |outside: &Outside| outside.pid == task.pid && outside.why == Why::NotAttached;
            if !attached && !look.outside.iter().any(known) {
                look.outside.push(Outside {
                    pid: task.pid,
                    tid: task.tid,
                    name: task.name(),
                    why: Why::NotAttached,
                });
            }
        }
    }

    /// The number that was given last in this pid namespace: a new thread changes it. proc(5), `/proc/loadavg`.
    fn newest_thread(&self) -> io::Result<u64> {
        let mut text = [0; 96];
        let length = self.loadavg.read_at(&mut text, 0)?;
        let last = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.split_whitespace().last());
        last.and_then(|word| word.parse().ok())
            .ok_or_else(|| io::Error::other("/proc/loadavg is not as proc(5) says"))
    }

    /// Lists the threads; those known stay as they are.
    fn list(&mut self) -> io::Result<()> {
        let mut known: HashMap<i32, Task> = self.tasks.drain(..).map(|task| (task.tid, task)).collect();
        let own = std::process::id() as i32;
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            if pid == own || matches!(&self.scope, Scope::AllBut(pids) if pid == 1 || pids.contains(&pid)) {
                continue;
            }
            let path = entry.path();
            let Ok(text) = fs::read(path.join("stat")) else { continue };
            let Some(stat) = Stat::parse(&text) else { continue };
            if matches!(&self.scope, Scope::Sessions(of) if !of.iter().any(|of| stat.field(6) == Some(*of as u64)))
            {
                continue;
            }
            if stat.field(20) == Some(1) && stat.state != b'Z' {
                self.add(&mut known, &path, pid, pid)?;
                continue;
            }
            let Ok(threads) = fs::read_dir(path.join("task")) else { continue };
            for thread in threads.flatten() {
                if let Some(tid) = thread.file_name().to_str().and_then(|name| name.parse().ok()) {
                    self.add(&mut known, &thread.path(), pid, tid)?;
                }
            }
        }
        let tasks = &self.tasks;
        self.wakeable.retain(|pid, _| tasks.iter().any(|task| task.pid == *pid));
        self.forget_dead_timers();
        Ok(())
    }

    fn add(
        &mut self,
        known: &mut HashMap<i32, Task>,
        directory: &Path,
        pid: i32,
        tid: i32,
    ) -> io::Result<()> {
        // A file kept open tells of the thread that had the number then, so one that is known and alive is the same.
        let task = match known.remove(&tid) {
            Some(task) if task.pid == pid && !task.name().is_empty() => Some(task),
            _ => Task::open(directory, pid, tid)?,
        };
        self.tasks.extend(task);
        Ok(())
    }

    /// A process that has died leaves its timers: they are no longer anyone's.
    fn forget_dead_timers(&self) {
        for timer in self.page.timers() {
            let key = timer.key.load(SeqCst);
            if key != 0 && !wake::alive(crate::page::timer_parts(key).1) {
                timer.deadline.store(NEVER, SeqCst);
                timer.key.store(0, SeqCst);
            }
        }
    }
}

/// A thread and how often it ran, as a word whose sum over all threads tells sets of them apart (SplitMix64).
fn scramble(tid: u64, turns: u64) -> u64 {
    let mut word = tid.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ turns.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
