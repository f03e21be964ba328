//! Relays that the virtual clock cannot carry, and those that misbehave under it: each is told, and soon.

use std::process::Command;
use std::time::{Duration, Instant};

use gauntlet::record::{Clock, Ending, Record};
use gauntlet::render;
use gauntlet::run::{RunError, RunOptions};
use gauntlet::verdict::{self, Outcome};

use crate::{Own, SETTLE, START, assert_says, has_labs, note, parsed, printed};

/// Less than any guard of real time.
const SOON: Duration = Duration::from_secs(12);
/// A step that only a relay under the clock can be asked for.
const AN_HOUR: &str = "[wait: 1h, send: note, settle]";

fn unsupported(own: &Own, steps: &str) -> String {
    match own.run(steps, &RunOptions::default()) {
        Err(RunError::Unsupported(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

fn finished(own: &Own, steps: &str) -> Record {
    let record = own.run(steps, &RunOptions::default()).expect("there is a record");
    assert_eq!(
        (&record.clock, &record.end.how),
        (&Clock::Run, &Ending::Finished),
        "{}",
        render::story(&record)
    );
    record
}

#[test]
fn a_relay_that_does_not_take_the_preload_is_unsupported_at_once_and_by_name() {
    if !has_labs() {
        return;
    }
    // What is started after this is as a static program is.
    let own = Own::relay(&[&START.replace("start: ", "start: true >/etc/ld.so.preload; ")]);
    let began = Instant::now();
    let why = unsupported(&own, AN_HOUR);
    assert_says(&why, &["no virtual clock", "perl (process", "does not follow the clock", "the step `wait`"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // What needs no clock is run all the same.
    let record = own.run(SETTLE, &RunOptions::default()).expect("there is a record");
    assert_eq!((record.clock, record.end.how), (Clock::Machine, Ending::Finished));
}

#[test]
fn a_static_program_is_told_by_its_name() {
    if !has_labs() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (source, program) = (directory.path().join("stands.c"), directory.path().join("stands-still"));
    std::fs::write(&source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n").expect("written");
    let built = Command::new("cc").arg("-static").arg(&source).arg("-o").arg(&program).output();
    if !built.is_ok_and(|built| built.status.success()) {
        eprintln!("skipped: there is no C compiler, or no static C library");
        return;
    }
    let packed = Command::new("gzip").arg("-9c").arg(&program).output().expect("gzip starts").stdout;
    let octets: Vec<String> = packed.iter().map(|octet| format!("{octet:02x}")).collect();
    let hexadecimal = octets.concat();
    // The program comes as a file of the adapter's, which is text.
    let unpack = "perl -ne 'print pack q(H*), $_' </usr/local/lib/stands.hex | gzip -d >/usr/local/lib/stands-still; \
         chmod 755 /usr/local/lib/stands-still; /usr/local/lib/stands-still & ";
    let own = Own::relay(&[&START.replace("start: ", &format!("start: {unpack}"))]);
    let path = own.path();
    let text = std::fs::read_to_string(&path).expect("there");
    let text =
        text.replacen("files:\n", &format!("files:\n  /usr/local/lib/stands.hex: \"{hexadecimal}\"\n"), 1);
    std::fs::write(&path, text).expect("written");
    let began = Instant::now();
    let why = unsupported(&own, AN_HOUR);
    assert_says(&why, &["stands-still (process", "a static program"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn one_that_sleeps_by_the_kernels_own_time_waits_outside_the_clock() {
    if !has_labs() {
        return;
    }
    let began = Instant::now();
    let why = unsupported(&Own::that("sleeps really"), AN_HOUR);
    assert_says(&why, &["perl (process", "waits outside the clock", "nanosleep", "by the kernel's own time"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn one_that_does_so_later_is_inconclusive() {
    if !has_labs() {
        return;
    }
    // The proof has one mail, and this relay is itself until the second.
    let own = Own::that("sleeps really at the second");
    let record = own.run("[send: note, wait: 1h, send: note, settle]", &RunOptions::default());
    let record = record.expect("there is a record");
    let Ending::Guard { waiting_for } = &record.end.how else { panic!("{}", render::story(&record)) };
    assert_says(waiting_for, &["send: note", "waits outside the clock", "nanosleep"]);
    let outcome = verdict::judge(&parsed(&note(SETTLE)), &record).outcome;
    let Outcome::Inconclusive { reason } = outcome else { panic!("{outcome:?}") };
    assert_says(&reason, &["waits outside the clock"]);
}

#[test]
fn one_that_waits_without_end_is_told_as_that() {
    if !has_labs() {
        return;
    }
    let began = Instant::now();
    let why = unsupported(&Own::that("waits without end"), AN_HOUR);
    assert_says(&why, &["no virtual clock"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_process_that_is_killed_while_it_waits_holds_nobody_up() {
    if !has_labs() {
        return;
    }
    let own = Own::that("loses one that waits");
    let record = finished(&own, "[wait: 1h, send: note, settle, wait: 2d]");
    assert_eq!((record.deliveries.len(), record.end.at.since_start().as_secs()), (1, 3600 + 2 * 86400));
}

#[test]
fn one_that_asks_to_set_the_clock_is_refused_and_told() {
    if !has_labs() {
        return;
    }
    let own = Own::that("sets the clock");
    let record = finished(&own, AN_HOUR);
    let told: Vec<_> =
        record.log.iter().filter(|line| line.text.contains("asked to set the clock")).collect();
    let [told] = told.as_slice() else { panic!("{:?}", record.log) };
    assert_eq!(told.at.since_start().as_secs(), 3600);
    let output = own.command().output().expect("the command starts");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
}

#[test]
fn a_jump_is_one_step_of_the_clock_and_the_relay_is_told_of_it() {
    if !has_labs() {
        return;
    }
    let record = finished(&Own::relay(&[]), "[jump: 2d, send: note, settle, jump: 1d]");
    let jumps: Vec<_> = record.steps.iter().filter_map(|step| step.jumped.as_ref()).collect();
    let starts: Vec<_> = jumps.iter().filter_map(|jump| Some(jump.from?.since_start().as_secs())).collect();
    assert_eq!((starts.len(), starts[0]), (2, 0), "{:?}", record.steps);
    assert!(jumps.iter().all(|jump| jump.open.is_none()), "{:?}", record.steps);
    assert_eq!(record.deliveries[0].at.since_start().as_secs() / 86400, 2, "it dates by where it landed");
}

#[test]
fn a_jump_does_not_go_past_a_session_of_a_real_relay() {
    if !has_labs() {
        return;
    }
    let record = finished(&Own::relay(&[]), "[send: note, at: { hub: end-of-data }, jump: 1m, settle]");
    let jumped = record.steps.iter().find_map(|step| step.jumped.clone()).expect("a jump");
    assert_eq!(jumped.from, None, "{}", render::story(&record));
    assert_eq!(jumped.open.as_deref(), Some("a connection with 198.51.100.10 was open"));
}
