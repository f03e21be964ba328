//! Stories read by a person, and equal for equal runs.

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Part, Side, What};

use super::{excerpt, story};
use crate::record::testing::{Run, Talk, content, deferral, delivery, minutes, notice};
use crate::record::{Ending, Record};

const BOB: &str = "bob@hub.example";

/// Two days of `451`, a warning after four hours, then the return.
fn two_days() -> Record {
    let mut run = Run::new().step("send: note", RunTime::ZERO).sent("note", &[BOB]);
    for attempt in 0..=48_u32 {
        let at = minutes(60 * u64::from(attempt));
        run = run.talk(deferral("hub", attempt + 1, at, BOB, "451 4.7.1 later"));
        run = run.queued(at, &[BOB], attempt + 1, Some(minutes(60 * u64::from(attempt) + 60)));
        if attempt == 4 {
            run = run.notified(1, at, &notice("note-1", BOB, "delayed", "4.7.1"));
        }
    }
    let end = minutes(48 * 60);
    run.notified(2, end, &notice("note-1", BOB, "failed", "4.4.7"))
        .emptied(end)
        .end(end, Ending::Finished)
        .record()
}

#[test]
fn two_days_of_retries_are_told_in_a_page_or_two() {
    let story = story(&two_days());
    println!("{story}");
    assert!(story.lines().count() < 160, "{} lines", story.lines().count());
    assert!(
        story.contains("+5h       relay → hub: the same as in session 1; again at +6h, +7h, +8h, +9h … +2d (44 times in all)"),
        "{story}"
    );
}
