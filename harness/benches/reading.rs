//! What it costs to read and check scenarios, against what a YAML reader alone takes for the same texts.
//!
//! `cargo bench --bench reading`. A thousand scenarios are the repository's own, over and over; a template counts as one,
//! though all its cases are read. Times are medians of rounds that take turns.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gauntlet::scenario;

const SCENARIOS: usize = 1000;
const ROUNDS: usize = 9;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = scenario::find(std::slice::from_ref(&root)).expect("the repository has scenarios");
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("checked by the tests");
    let texts: Vec<(PathBuf, String)> = files.iter().map(|path| (path.clone(), text(path))).collect();
    let thousand = || texts.iter().cycle().take(SCENARIOS);
    let octets: usize = thousand().map(|(_, text)| text.len()).sum();
    let (mut checked, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for (path, text) in thousand() {
            black_box(scenario::parse(text, path, "bench").expect("checked by the tests"));
        }
        checked.push(began.elapsed());
        let began = Instant::now();
        for (_, text) in thousand() {
            black_box(serde_yaml::from_str::<serde_yaml::Value>(text).expect("it is YAML"));
        }
        plain.push(began.elapsed());
    }
    let (checked, plain) = (median(&mut checked), median(&mut plain));
    println!("{SCENARIOS} scenarios of {} octets each", octets / SCENARIOS);
    println!("read and checked   {:>8.1} ms", ms(checked));
    println!("plain serde_yaml   {:>8.1} ms", ms(plain));
    println!("ratio              {:>8.1}", checked.as_secs_f64() / plain.as_secs_f64());
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
