//! Record → text for people and snapshots. The only place that redacts: what varies from run to run gets a name that
//! says what it is (`<queue-id 1>`, `<date +15m>`), the same name wherever the same value stands.
//!
//! - [`story`]: the whole run, by its own time.
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
