//! Large mail: what ten times as many recipients, or ten times as large a body, costs from the parsed scenario to the
//! verdict. `cargo bench --bench large`. Linear is a ratio near 10; each is a median of rounds taken in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use gauntlet::{run, scenario, verdict};

const ROUNDS: usize = 5;

fn main() {
    println!("{:<44} {:>10} {:>10} {:>7}", "what", "small", "large", "ratio");
    compare("recipients in one transaction, 1,000 → 10,000", &recipients(1_000, ""), &recipients(10_000, ""));
    let hundred = "    on: { RCPT: { when: { nth: 101.. }, reply: \"452 4.5.3 Too many recipients\" } }\n";
    compare("… 100 in a transaction", &recipients(1_000, hundred), &recipients(10_000, hundred));
    compare("octets of a body, 1 MB → 10 MB", &body(1), &body(10));
    compare("octets of a body, 10 MB → 100 MB", &body(10), &body(100));
    compare("messages, 100 → 1,000", &copies(100), &copies(1_000));
}

/// Runs both in turn, and prints the medians and their ratio.
fn compare(what: &str, small: &str, large: &str) {
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_small.push(cost(small));
        of_large.push(cost(large));
    }
    let (small, large) = (median(&mut of_small), median(&mut of_large));
    println!(
        "{what:<44} {:>7.1} ms {:>7.1} ms {:>7.1}",
        small.as_secs_f64() * 1e3,
        large.as_secs_f64() * 1e3,
        large.as_secs_f64() / small.as_secs_f64()
    );
}

fn cost(text: &str) -> Duration {
    let scenario =
        scenario::parse(text, Path::new("large.yaml"), "large").unwrap_or_else(|m| panic!("{m}")).remove(0);
    let began = Instant::now();
    let options = run::RunOptions { guard: Duration::from_mins(10), ..run::RunOptions::default() };
    let record = run::run(&scenario, "reference", &options).expect("it runs");
    let verdict = verdict::judge(&scenario, &record);
    let cost = began.elapsed();
    assert!(verdict.outcome.is_pass(), "{:?}", verdict.outcome);
    cost
}

fn recipients(count: usize, rules: &str) -> String {
    format!(
        "title: Many recipients\nservers:\n  hub:\n    serves: [hub.example]\n{rules}messages:\n  \
         list: {{ from: a@origin.example, to: \"u{{1..{count}}}@hub.example\" }}\nexpect:\n  - delivered: {{ times: 1 }}\n"
    )
}

fn body(megabytes: usize) -> String {
    let lines = megabytes * 1_000_000 / 80;
    format!(
        "title: A large body\nservers:\n  hub: {{ serves: [hub.example], offers: {{ drop: [SIZE] }} }}\nmessages:\n  \
         big: {{ from: a@origin.example, to: b@hub.example, content: {{ text: \"{}\", lines: {lines} }} }}\nexpect:\n  \
         - delivered: {{}}\n",
        "x".repeat(78)
    )
}

fn copies(count: usize) -> String {
    format!(
        "title: Many messages\nservers:\n  hub: {{ serves: [hub.example] }}\nmessages:\n  \
         note: {{ from: a@origin.example, to: b@hub.example, copies: {count} }}\nexpect:\n  - delivered: {{}}\n"
    )
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort();
    values[values.len() / 2]
}
