//! What a container costs: the same scenario on the same relay, in a lab of this machine and in a container, in turn.
//!
//! `cargo bench --bench containers [-- RUNS]`, as root, with the roots that `ci/relay-roots.sh` prepares and the images that
//! `ci/images.sh` builds; a relay that is not here is told and left out. Each figure is a median. It tells, and does not judge.

use std::fs;
use std::time::{Duration, Instant};

use gauntlet::relay::adapter::Adapter;
use gauntlet::relay::container::{self, Container};
use gauntlet::relay::roots;
use gauntlet::scenario::Scenario;
use gauntlet::{run, scenario, verdict};

const RUNS: usize = 11;

/// One message at once; and one that is retried, warned about and returned days later.
const SCENARIOS: [(&str, &str); 2] = [
    (
        "one message",
        "title: One message
servers: { hub: { serves: [hub.example] } }
messages: { note: { from: alice@origin.example, to: bob@hub.example } }
expect: [{ delivered: { by: hub } }]
",
    ),
    (
        "days of retries",
        "title: Days of retries
servers: { hub: { serves: [hub.example], on: { RCPT: \"451 4.3.0 not now\" } } }
messages: { note: { from: alice@origin.example, to: bob@hub.example } }
observe: [{ delivered: { by: hub } }]
",
    ),
];

fn main() {
    lab_init::hook();
    let runs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(RUNS);
    if let Err(error) = lab_init::check() {
        println!("no labs here: {error}");
        return;
    }
    if let Err(error) = container::engine() {
        println!("{error}");
        return;
    }
    println!(
        "{:<10} {:<16} {:>10} {:>10} {:>6} {:>14}",
        "relay", "scenario", "lab", "container", "ratio", "bare container"
    );
    for name in container::BUILT {
        let adapter = Adapter::named(name).expect("shipped").expect("checked by the tests");
        let image = container::image_of(&adapter);
        let missing = roots::root(&adapter).err();
        if let Some(why) = missing.or_else(|| container::check(&image).err().map(|error| error.to_string())) {
            println!("{name:<10} left out: {why}");
            continue;
        }
        for (what, text) in SCENARIOS {
            measure(name, &image, what, &load(text), runs);
        }
    }
}

fn load(text: &str) -> Scenario {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("one.yaml");
    fs::write(&file, text).expect("written");
    scenario::load(&file, directory.path()).unwrap_or_else(|wrong| panic!("{wrong}")).remove(0)
}

/// Runs in a lab, in a container, and a container without a run, in turn, and a line on them.
fn measure(name: &str, image: &str, what: &str, scenario: &Scenario, runs: usize) {
    let in_container = format!("{}{name}", container::PREFIX);
    // The first in a process also shows that the relay follows the clock.
    let _ = (took(scenario, name), took(scenario, &in_container));
    let (mut labs, mut containers, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        labs.push(took(scenario, name));
        containers.push(took(scenario, &in_container));
        let began = Instant::now();
        drop(Container::start(image).expect("it starts"));
        bare.push(began.elapsed());
    }
    let [lab, container, bare] = [&mut labs, &mut containers, &mut bare].map(|times| median(times));
    println!(
        "{name:<10} {what:<16} {:>7.0} ms {:>7.0} ms {:>6.2} {:>11.0} ms",
        ms(lab),
        ms(container),
        container.as_secs_f64() / lab.as_secs_f64(),
        ms(bare),
    );
}

fn took(scenario: &Scenario, relay: &str) -> Duration {
    let began = Instant::now();
    let record = run::run(scenario, relay, &run::RunOptions::default()).expect("it runs");
    assert!(verdict::judge(scenario, &record).outcome.is_pass(), "{relay}");
    began.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
