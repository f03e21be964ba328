//! Record → text for people and snapshots. The only place that redacts: what varies from run to run gets a name that
//! says what it is (`<queue-id 1>`, `<date +15m>`), the same name wherever the same value stands.
//!
//! - [`story`]: the whole run, by its own time.
//! - [`Texts`]: schedules, and texts about the run, with its names.
//! - [`excerpt`]: some lines of one session, as evidence.
//! - [`live`]: a session as it goes on, as it is: of that no snapshot is made.

mod brief;
mod fold;
mod line;
#[cfg(test)]
mod lines_tests;
pub mod live;
mod names;
mod queue;
mod recipients;
mod schedule;
mod story;
mod talk;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::ops::Range;

pub use brief::brief;

use crate::record::Record;

/// The run as a story, by run time; byte for byte the same for equal runs. A session that repeats the last one with the
/// same server is told once, then by its times.
pub fn story(record: &Record) -> String {
    story::tell(record)
}

/// A text about the run, with the story's names: a finding may quote a date or an id.
pub fn named(record: &Record, text: &str) -> String {
    names::Names::of(record).put(text)
}

/// Several texts about a run, likewise. To find the names takes as long as to tell the story; it is done once, and only where one is
/// needed.
pub struct Texts<'a> {
    record: &'a Record,
    names: OnceCell<names::Names>,
}

impl<'a> Texts<'a> {
    /// About this run.
    pub fn of(record: &'a Record) -> Self {
        Self { record, names: OnceCell::new() }
    }

    /// As [`named`].
    pub fn named(&self, text: &str) -> String {
        self.names().put(text)
    }

    /// The schedule of each mail that waited, as the story tells it: `note to bob@hub.example: retried every 1h, 48 times; returned
    /// after 2d`. Mails alike are told together.
    pub fn schedules(&self) -> Vec<String> {
        if schedule::is_any(self.record) {
            schedule::schedules(self.record, self.names())
        } else {
            Vec::new()
        }
    }

    fn names(&self) -> &names::Names {
        self.names.get_or_init(|| names::Names::of(self.record))
    }
}

/// Some events of a session as lines, with the story's names: what a report shows as evidence. Events out of range are
/// left out.
pub fn excerpt(record: &Record, session: usize, events: Range<usize>) -> Vec<String> {
    let names = names::Names::of(record);
    let Some(talk) = record.sessions.get(session) else { return Vec::new() };
    let mut lines = vec![format!("+{}  {}", talk.opened, talk::heading(talk))];
    lines.extend(
        talk::lines(record, session, events).into_iter().map(|line| line.named(|text| names.put(text))),
    );
    lines
}
