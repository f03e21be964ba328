//! The clock stands for as long as anything is under way, however the machine is loaded (ARCHITECTURE decision 3).

use std::process::{Child, Command, Stdio};

use gauntlet::record::{Clock, Ending, Record};
use gauntlet::render;
use gauntlet::run::RunOptions;

use crate::{Own, has_labs};

const WORK: &str = include_str!("work.pl");

/// Programs that never rest, outside of the lab: as many as there are processors, and one.
struct Load(Vec<Child>);

impl Load {
    fn begin() -> Self {
        let count = std::thread::available_parallelism().map_or(2, usize::from) + 1;
        let spinning = || {
            let mut spins = Command::new("perl");
            spins.args(["-e", "1 while getppid != 1"]).stdin(Stdio::null()).spawn().expect("it starts")
        };
        Self((0..count).map(|_| spinning()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The relay that works hard over each mail before it takes it.
fn hard_worker() -> Own {
    let own = Own::that("works hard");
    let path = own.path();
    let text = std::fs::read_to_string(&path).expect("there");
    let lines: Vec<String> = WORK.lines().map(|line| format!("    {line}\n")).collect();
    let indented = lines.concat();
    let file =
        format!("files:\n  /usr/local/lib/work.pl: |\n    {{%- raw %}}\n{indented}    {{%- endraw %}}\n");
    std::fs::write(&path, text.replacen("files:\n", &file, 1)).expect("written");
    own
}

fn assert_stood(record: &Record, works: usize) {
    let told = render::story(record);
    assert_eq!((&record.clock, &record.end.how), (&Clock::Run, &Ending::Finished), "{told}");
    let lines =
        |start: &str| record.log.iter().filter(|line| line.text.starts_with(start)).collect::<Vec<_>>();
    assert!(lines("early").is_empty(), "{:?}", record.log);
    let worked = lines("worked for ");
    assert_eq!(worked.len(), works, "{:?}", record.log);
    assert!(worked.iter().all(|line| line.text == "worked for 0 s"), "{worked:?}");
}

#[test]
fn the_clock_stands_while_anything_is_under_way() {
    if !has_labs() {
        return;
    }
    let own = hard_worker();
    for load in [None, Some(Load::begin())] {
        let record = own.run("[send: note, settle]", &RunOptions::default()).expect("there is a record");
        assert_stood(&record, 1);
        assert_eq!(record.end.at.since_start().as_secs(), 0, "{}", render::story(&record));
        drop(load);
    }
}

#[test]
fn what_is_under_way_after_a_wait_is_done_at_that_moment() {
    if !has_labs() {
        return;
    }
    let _load = Load::begin();
    let steps = "[wait: 1d, send: note, wait: 1d, send: note, settle]";
    let record = hard_worker().run(steps, &RunOptions::default()).expect("there is a record");
    assert_stood(&record, 2);
    assert_eq!(record.end.at.since_start().as_secs(), 2 * 86_400, "{}", render::story(&record));
}
