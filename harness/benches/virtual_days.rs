//! Five days of a real relay's life: by its own schedule, exact, each of its timers, no queue run forced; and coarse, in two jumps, to
//! the warning and to the end of the mail's time.
//!
//! `cargo bench --bench virtual_days [-- DAYS]`, as root, with the roots that `ci/relay-roots.sh` prepares; a relay that is not here is
//! told and left out. The next hop is down, and one mail waits in the queue until the relay gives it up; the whole harness takes
//! part, with the queue's listing and the log at each moment at which something may have changed. A step is one move of the clock. It
//! tells, and does not judge; beside each time is how much of its aim it takes: exact 20 s for Postfix, 5 s for `OpenSMTPD`, 15 s for Exim
//! and Sendmail, coarse 1 s for all.

use std::fs;
use std::time::{Duration, Instant};

use gauntlet::record::{Clock, Ending};
use gauntlet::relay::adapter::Adapter;
use gauntlet::relay::roots;
use gauntlet::{lab, run, scenario};

/// A guard: more than any of these may take.
const GUARD: Duration = Duration::from_mins(10);

fn main() {
    lab_init::hook();
    let days = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_u32);
    if let Err(error) = lab_init::check() {
        println!("no labs here: {error}");
        return;
    }
    println!(
        "{:<10} {:>9} {:>7} {:>9} {:>10} {:>6}  {:<14} {:>9} {:>7}  what came of the mail",
        "relay", "exact", "of aim", "steps", "a step", "queue", "ended", "coarse", "of aim"
    );
    for name in Adapter::shipped() {
        let adapter = Adapter::named(name).expect("shipped").expect("checked by the tests");
        match roots::root(&adapter) {
            Ok(_) => {
                exact(name, days);
                coarse(name, days);
            }
            Err(why) => println!("{name:<10} left out: {why}"),
        }
    }
}

fn scenario(queue: &str, steps: &str) -> scenario::Scenario {
    let text = format!(
        "title: A next hop that is down
servers: {{ hub: {{ serves: [hub.example] }} }}
relay: {{ smarthost: hub{queue} }}
messages: {{ note: {{ from: alice@origin.example, to: bob@hub.example }} }}
steps: [stop: hub, send: note, {steps}]
expect: [{{ returned: {{ message: note }} }}]
"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("days.yaml");
    fs::write(&file, text).expect("written");
    scenario::load(&file, directory.path()).unwrap_or_else(|wrong| panic!("{wrong}")).remove(0)
}

/// What the issue of this clock aims at, for five days on two cores.
fn aim(relay: &str, days: u32) -> f64 {
    let five = match relay {
        "postfix" => 20.0,
        "opensmtpd" => 5.0,
        _ => 15.0,
    };
    five * f64::from(days) / 5.0
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

fn exact(relay: &str, days: u32) {
    let options = run::RunOptions { guard: GUARD, ..run::RunOptions::default() };
    // The first run also proves that the relay follows the clock; that is once in a process.
    run::run(&scenario("", "wait: 1m"), relay, &options).expect("it runs");
    let scenario = scenario("", &format!("wait: {days}d"));
    let (began, before) = (Instant::now(), lab::clock_steps());
    let record = run::run(&scenario, relay, &options).expect("it runs");
    let (took, steps) = (began.elapsed(), lab::clock_steps() - before);
    let how = match (record.clock, &record.end.how) {
        (Clock::Run, Ending::Finished) => format!("after {}", record.end.at),
        (clock, how) => format!("otherwise: {clock:?} {how:?}"),
    };
    print!(
        "{relay:<10} {:>7.2} s {:>7} {steps:>9} {:>7.0} us {:>6}  {how:<14} ",
        took.as_secs_f64(),
        percent(took.as_secs_f64() / aim(relay, days)),
        took.as_secs_f64() * 1e6 / f64::from(u32::try_from(steps.max(1)).unwrap_or(u32::MAX)),
        record.queue.len(),
    );
}

fn coarse(relay: &str, days: u32) {
    let options = run::RunOptions { guard: GUARD, ..run::RunOptions::default() };
    let queue = format!(", queue: {{ warn: 4h, lifetime: {days}d }}");
    let scenario = scenario(&queue, &format!("jump: 4h30m, jump: {days}d, settle"));
    let began = Instant::now();
    let record = match run::run(&scenario, relay, &options) {
        Ok(record) => record,
        Err(why) => return println!("not coarse: {why}"),
    };
    let took = began.elapsed().as_secs_f64();
    println!("{took:>7.2} s {:>7}  {}", percent(took), gauntlet::render::brief(&record));
}
