//! The whole way in the hands of an ordinary user: this machine's own files, an adapter, the clock.

#[path = "../../lab-init/tests/common/ordinary.rs"]
mod ordinary;

use gauntlet::record::{Clock, Ending};
use gauntlet::render;
use gauntlet::run::RunOptions;
use gauntlet::verdict::{self, Outcome};

use crate::{Own, has_labs, note, parsed};

#[test]
fn an_ordinary_user_runs_a_relay_of_its_own_through_days() {
    let name = "without_root::an_ordinary_user_runs_a_relay_of_its_own_through_days";
    if !ordinary::is_ordinary(name) || !has_labs() {
        return;
    }
    let steps = "[wait: 1h, send: note, settle, wait: 2d]";
    let record = Own::relay(&[]).run(steps, &RunOptions::default()).expect("there is a record");
    let story = render::story(&record);
    assert_eq!((&record.clock, &record.end.how), (&Clock::Run, &Ending::Finished), "{story}");
    assert_eq!(record.end.at.since_start().as_secs(), 3600 + 2 * 86400, "{story}");
    assert_eq!(verdict::judge(&parsed(&note(steps)), &record).outcome, Outcome::Pass, "{story}");
}
