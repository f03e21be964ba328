//! The story of a run: steps, sessions and the queue by run time, repetitions told once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mock_servers::RunTime;
use mock_servers::dns::{DnsQuery, Outcome};
use mock_servers::transcript::{Session, Side};

use super::names::Names;
use super::{queue, schedule, talk};
use crate::record::{Ending, Record, Role, StepDone, steps_among_sessions};

/// As many lines of the log are shown.
const LOG: usize = 20;

/// Tells it.
pub(super) fn tell(record: &Record) -> String {
    let names = Names::of(record);
    let mut story =
        Story { record, names: &names, blocks: Vec::new(), last: BTreeMap::new(), open: BTreeMap::new() };
    story.header();
    story.run();
    story.end();
    story.schedules();
    story.dns();
    story.log();
    story.text()
}

enum Happening<'a> {
    Step(&'a StepDone),
    Session(usize),
    Queue(queue::Change),
}

enum Block {
    Text(String),
    Again { what: String, times: Vec<RunTime> },
}

struct Story<'a> {
    record: &'a Record,
    names: &'a Names,
    blocks: Vec<Block>,
    /// What was last told of each server, and in which session.
    last: BTreeMap<&'a str, (String, u32)>,
    /// Repetitions that further ones are added to: by what is repeated, the block.
    open: BTreeMap<String, usize>,
}

impl<'a> Story<'a> {
    fn header(&mut self) {
        let relay = &self.record.relay;
        let role = match relay.role {
            Role::Relay => "a relay",
            Role::Submission => "a submission service",
        };
        // the version is not part of what the relay did
        self.blocks.push(Block::Text(format!("{} as {role}, {}\n", relay.name, relay.hostname)));
    }

    fn run(&mut self) {
        // at one moment: a step before the sessions that it began, the queue after them
        let mut all: Vec<(RunTime, usize, Happening<'a>)> = Vec::new();
        let places = steps_among_sessions(self.record);
        let steps = self.record.steps.iter().zip(places);
        all.extend(steps.map(|(step, place)| (step.began, 2 * place, Happening::Step(step))));
        let sessions = self.record.sessions.iter().enumerate();
        all.extend(sessions.map(|(index, s)| (s.opened, 2 * index + 1, Happening::Session(index))));
        let changes = queue::changes(self.record, self.names);
        all.extend(changes.into_iter().map(|change| (change.at, usize::MAX, Happening::Queue(change))));
        all.sort_by_key(|(at, place, _)| (*at, *place));
        for (at, _, happening) in all {
            match happening {
                Happening::Step(step) => {
                    self.told(format!("\n== +{at}  {}{}\n", step.step, schedule::how(step)));
                }
                Happening::Session(index) => self.session(index),
                Happening::Queue(change) => self.queue(change),
            }
        }
    }

    fn told(&mut self, text: String) {
        self.open.clear();
        self.blocks.push(Block::Text(text));
    }

    fn again(&mut self, key: &str, at: RunTime, what: String) {
        if let Some(Block::Again { times, .. }) = self.open.get(key).map(|index| &mut self.blocks[*index]) {
            times.push(at);
            return;
        }
        self.open.insert(key.to_owned(), self.blocks.len());
        self.blocks.push(Block::Again { what, times: vec![at] });
    }

    fn session(&mut self, index: usize) {
        let session = &self.record.sessions[index];
        let lines = talk::lines(self.record, index, 0..session.events.len());
        if session.mock_is == Side::Server {
            let mut key = String::new();
            for line in &lines {
                let _ =
                    writeln!(key, "{:?} {}", line.at - session.opened, self.names.put_timeless(&line.text));
            }
            if let Some((last, ordinal)) = self.last.get(session.mock.as_str())
                && *last == key
            {
                let what = format!("relay → {}: the same as in session {ordinal}", session.mock);
                self.again(&format!("session {}", session.mock), session.opened, what);
                return;
            }
            self.last.insert(&session.mock, (key, session.ordinal));
        }
        let opened = format!("+{}", session.opened);
        let mut text = format!("\n{opened:<9} {}\n", talk::heading(session));
        let mut now = session.opened;
        for line in lines {
            let margin = if line.at == now { String::new() } else { format!("+{}", line.at) };
            now = line.at;
            let _ = writeln!(
                text,
                "{}",
                format!("{margin:<9}   {}", line.named(|text| self.names.put(text))).trim_end()
            );
        }
        self.told(text);
    }

    fn queue(&mut self, change: queue::Change) {
        let at = format!("+{}", change.at);
        let Some(queue::Again { id, since }) = change.again else {
            self.told(format!("\n{at:<9} queue: {}\n", change.text));
            return;
        };
        // the session that failed again is told already; without one, the count is all that can be seen
        let of_mail =
            |s: &&Session| s.transactions.is_empty() || s.transactions.iter().any(|t| !t.from.is_empty());
        let sessions = self.record.sessions.iter().filter(|s| s.mock_is == Side::Server).filter(of_mail);
        let went_on = |s: &Session| s.events.last().map_or(s.opened, |event| event.at);
        if !sessions.into_iter().any(|s| s.opened <= change.at && went_on(s) > since) {
            let what = format!("queue: {} tried again, no connection", self.names.queue_id(&id));
            self.again(&format!("queue {id}"), change.at, what);
        }
    }

    fn end(&mut self) {
        let how = match &self.record.end.how {
            Ending::Finished => "end".to_owned(),
            Ending::Guard { waiting_for } => {
                format!("cut short: a guard of real time passed, waiting for {waiting_for}")
            }
            Ending::Unsettled { because } => format!("end, not settled: {because}"),
            Ending::NoClock { waits } => format!("end, for want of a clock: {waits}"),
            Ending::NeverCame { what } => format!("end: {what}"),
            Ending::RelayDied { why } => format!("the relay died: {why}"),
        };
        let at = self.record.end.at;
        self.told(format!("\n== +{at}  {}\n", self.names.put(&how)));
        let left = self.record.queue.last().map_or(0, |state| state.entries.len());
        if left > 0 {
            self.told(format!(
                "{:<9} queue: {left} {} left\n",
                "",
                if left == 1 { "entry" } else { "entries" }
            ));
        }
    }

    /// What became of the mail that waited, each in one line.
    fn schedules(&mut self) {
        let mut lines = schedule::schedules(self.record, self.names);
        if !lines.is_empty() {
            lines.extend(schedule::not_its_own(self.record));
            self.told(format!("\n== schedule\n{}\n", lines.join("\n")));
        }
    }

    /// What went wrong in the DNS, each once: how often a relay asks, and in which order, is its resolver's affair.
    fn dns(&mut self) {
        let fails = |query: &&DnsQuery| !matches!(query.outcome, Outcome::Records(_) | Outcome::NoData(_));
        let failed: BTreeSet<String> = self
            .record
            .queries
            .iter()
            .filter(fails)
            .map(|query| format!("{} {}: {}", query.record_type, query.name, query.outcome))
            .collect();
        if !failed.is_empty() {
            let lines: Vec<String> = failed.into_iter().collect();
            self.told(format!("\n== dns\n{}\n", lines.join("\n")));
        }
    }

    /// What the relay logged that is about no mail in its queue, which the sessions tell better. Of processes side by side it
    /// is a set: whose line comes first is the system's affair, and so is whether some come at all.
    fn log(&mut self) {
        let varies = &self.record.relay.varies;
        let by_chance = varies.by_chance();
        let told = self.record.log.iter().map(|line| line.text.as_str());
        let told = told.filter(|line| !self.names.holds_queue_id(line) && !by_chance(line));
        let mut lines: Vec<(String, usize)> = Vec::new();
        if varies.side_by_side {
            let mut set: BTreeMap<String, usize> = BTreeMap::new();
            told.for_each(|line| *set.entry(self.names.put_unnumbered(line)).or_default() += 1);
            lines.extend(set);
        } else {
            for text in told.map(|line| self.names.put_timeless(line)) {
                match lines.last_mut() {
                    Some((last, times)) if *last == text => *times += 1,
                    _ => lines.push((text, 1)),
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        let order = if varies.side_by_side { ", in any order" } else { "" };
        let mut text = format!("\n== log{order}\n");
        for (line, times) in lines.iter().take(LOG) {
            let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
            let _ = writeln!(text, "{line}{times}");
        }
        if lines.len() > LOG {
            let _ = writeln!(text, "… {} more lines", lines.len() - LOG);
        }
        self.told(text);
    }

    fn text(self) -> String {
        let mut out = String::new();
        for block in self.blocks {
            match block {
                Block::Text(text) => out += &text,
                Block::Again { what, times } => {
                    let first = format!("+{}", times[0]);
                    let _ = writeln!(out, "\n{first:<9} {what}{}", at_times(&times));
                }
            }
        }
        out
    }
}

/// ` again at +1h, +2h … +1d22h (17 times)`; nothing for a single one, whose time stands in the margin.
fn at_times(times: &[RunTime]) -> String {
    let listed = |times: &[RunTime]| times.iter().map(|at| format!("+{at}")).collect::<Vec<_>>().join(", ");
    match times {
        [] | [_] => String::new(),
        [_, rest @ ..] if rest.len() <= 6 => format!("; again at {}", listed(rest)),
        [_, rest @ ..] => {
            let last = &rest[rest.len() - 1..];
            format!("; again at {} … {} ({} times in all)", listed(&rest[..4]), listed(last), times.len())
        }
    }
}
