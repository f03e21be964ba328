//! Large mail: what ten times as many recipients, or ten times as large a body, costs from the parsed scenario to the
//! verdict. `cargo bench --bench large`, with a word after `--` for those measurements alone whose name has it. Linear is a
//! ratio near 10; each is a median of rounds taken in turn. The last column is the most memory that the larger one had.

use std::path::Path;
use std::time::{Duration, Instant};

use gauntlet::{run, scenario, verdict};

const ROUNDS: usize = 5;

fn main() {
    println!("{:<44} {:>10} {:>10} {:>7} {:>10}", "what", "small", "large", "ratio", "memory");
    compare("recipients in one transaction, 1,000 → 10,000", &recipients(1_000, ""), &recipients(10_000, ""));
    let hundred = "    on: { RCPT: { when: { nth: 101.. }, reply: \"452 4.5.3 Too many recipients\" } }\n";
    compare("… 100 in a transaction", &recipients(1_000, hundred), &recipients(10_000, hundred));
    compare("octets of a body, 1 MB → 10 MB", &body(1), &body(10));
    compare("octets of a body, 10 MB → 100 MB", &body(10), &body(100));
    compare("messages, 100 → 1,000", &copies(100), &copies(1_000));
}

/// Runs both in turn, and prints the medians and their ratio.
fn compare(what: &str, small: &str, large: &str) {
    if std::env::args().skip(1).any(|word| !word.starts_with('-') && !what.contains(&word)) {
        return;
    }
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    let mut most = 0;
    for _ in 0..ROUNDS {
        of_small.push(cost(small));
        // Linux begins anew to note the most memory (proc(5)); elsewhere it is not told.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        of_large.push(cost(large));
        most = most.max(most_memory());
    }
    let (small, large) = (median(&mut of_small), median(&mut of_large));
    println!(
        "{what:<44} {:>7.1} ms {:>7.1} ms {:>7.1} {most:>7} MB",
        small.as_secs_f64() * 1e3,
        large.as_secs_f64() * 1e3,
        large.as_secs_f64() / small.as_secs_f64()
    );
}

/// The most resident memory since it was last forgotten, in megabytes.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: Option<u64> =
        line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    kibibytes.unwrap_or_default() * 1024 / 1_000_000
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
