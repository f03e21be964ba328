//! Programs of a lab run one after another, and one that never waits takes nothing from others for good.
#![cfg(target_os = "linux")]

mod common;

use common::{LIMIT, bash, lab};
use lab_init::{Lab, Output};
use std::io::Read as _;
use std::time::{Duration, SystemTime};

/// A lab whose programs run in turn; `None`, and why, where that is not to be had.
fn in_turn() -> Option<Lab> {
    let lab = lab()?;
    lab.start_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000), 0).unwrap();
    if !lab.is_in_turn() {
        assert!(std::env::var_os("GAUNTLET_REQUIRE_LABS").is_none(), "programs are to run in turn");
        eprintln!("skipped: the right SYS_NICE is missing");
        return None;
    }
    Some(lab)
}

/// What a shell says that ends by itself.
fn says(lab: &Lab, script: &str) -> String {
    let mut process = lab.spawn(bash(script).output(Output::Merged)).unwrap();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    process.wait(LIMIT).unwrap();
    said
}

#[test]
fn what_runs_beside_each_other_comes_in_one_order() {
    let Some(lab) = in_turn() else { return };
    // Each writes a line at a time, with as much work in between as there is in a mail.
    let script = "for a in 1 2 3 4; do (for b in 1 2 3; do echo $a$b; for ((i = 0; i < 500; i++)); do :; done; done) & done; wait";
    let first = says(&lab, script);
    assert_eq!(first.lines().count(), 12);
    for _ in 0..20 {
        assert_eq!(says(&lab, script), first);
    }
}

#[test]
fn one_processor_is_all_there_is() {
    let Some(lab) = in_turn() else { return };
    assert_eq!(says(&lab, "nproc"), "1\n");
    assert_eq!(says(&lab, "cat /proc/loadavg"), "0.00 0.00 0.00 1/1 1\n");
}

#[test]
fn the_thread_that_is_ahead_goes_back_to_where_it_was() {
    let Some(lab) = in_turn() else { return };
    let allowed = || std::thread::available_parallelism().unwrap();
    let before = allowed();
    let ahead = lab.ahead().expect("it is allowed");
    assert_eq!(allowed().get(), 1);
    drop(ahead);
    assert_eq!(allowed(), before);
}

#[test]
fn one_that_never_waits_leaves_the_others_their_turns_and_ends_with_its_lab() {
    let Some(first) = in_turn() else { return };
    // Enough for each processor to have some.
    let count = 2 * std::thread::available_parallelism().unwrap().get();
    let mut labs: Vec<Lab> = std::iter::once(first).chain((1..count).filter_map(|_| in_turn())).collect();
    let busy = labs.split_off(count / 2);
    let spinning: Vec<_> = busy.iter().map(|lab| lab.spawn(bash("while :; do :; done")).unwrap()).collect();
    for lab in &busy {
        assert!(lab.rests().unwrap().is_none(), "it never waits");
        assert!(lab.look().unwrap().busy);
    }
    for lab in &labs {
        assert_eq!(says(lab, "echo well"), "well\n");
        assert!(lab.rests().unwrap().is_some(), "nobody is left in it");
    }
    drop(spinning);
    for lab in busy.into_iter().chain(labs) {
        lab.stop().unwrap();
    }
}
