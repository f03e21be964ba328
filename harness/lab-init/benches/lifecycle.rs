//! How long a lab takes to make and to end: the medians over many, one after the other.
//!
//! `cargo bench -p lab-init --bench lifecycle [-- COUNT]`. It tells, and does not judge; the aim is 20 ms each.

use lab_init::{Lab, Layout};
use std::time::{Duration, Instant};

fn main() {
    lab_init::hook();
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50);
    if let Err(error) = lab_init::check() {
        println!("no labs here: {error}");
        return;
    }
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let began = Instant::now();
        let lab = Lab::start(&Layout::default()).expect("labs work here");
        starts.push(began.elapsed());
        let began = Instant::now();
        lab.stop().expect("the lab ends");
        stops.push(began.elapsed());
    }
    println!("{count} labs: made in {:.1?}, ended in {:.1?} (medians)", median(starts), median(stops));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
