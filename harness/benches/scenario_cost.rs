//! What one scenario costs on the reference relay, from the parsed file to the verdict: queue life included.
//!
//! `cargo bench --bench scenario_cost`. Each figure is a median, and also a ratio to a unit measured in turn with it in
//! the same run: opening a loopback connection, one line each way, closing. Machines are noisy; ratios less so. The last
//! line is what the command does: the whole collection, a run for each of two processors at a time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gauntlet::record::Record;
use gauntlet::run::{Cancel, RunError};
use gauntlet::scenario::Scenario;
use gauntlet::{run, scenario, verdict};

const ROUNDS: usize = 11;
const WHOLE_ROUNDS: usize = 5;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files: Vec<PathBuf> =
        scenario::find(std::slice::from_ref(&root)).expect("the repository has scenarios");
    let mut medians = Vec::new();
    println!("{:<40} {:>9} {:>9}", "scenario", "median", "units");
    let load = |file: &PathBuf| scenario::load(file, &root).expect("checked by the tests");
    let scenarios: Vec<Scenario> = files.iter().flat_map(load).collect();
    for scenario in &scenarios {
        let (mut costs, mut units) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            units.push(unit());
            let began = Instant::now();
            let record = run::run(scenario, "reference", &run::RunOptions::default()).expect("it runs");
            let verdict = verdict::judge(scenario, &record);
            costs.push(began.elapsed());
            assert!(verdict.outcome.is_pass(), "{} does not pass", scenario.name);
        }
        let (cost, unit) = (median(&mut costs), median(&mut units));
        println!(
            "{:<40} {:>6.2} ms {:>9.0}",
            scenario.name,
            ms(cost),
            cost.as_secs_f64() / unit.as_secs_f64()
        );
        medians.push(cost);
    }
    println!(
        "median of {} scenarios: {:.2} ms; the slowest: {:.2} ms",
        medians.len(),
        ms(median(&mut medians)),
        { ms(*medians.last().expect("there are scenarios")) }
    );
    let mut whole: Vec<Duration> = (0..WHOLE_ROUNDS).map(|_| whole(&scenarios)).collect();
    println!("all of them, two at a time: {:.0} ms", ms(median(&mut whole)));
}

/// Runs and judges every scenario, two at a time.
fn whole(scenarios: &[Scenario]) -> Duration {
    let (relays, two) = (["reference".to_owned()], NonZeroUsize::new(2).expect("two"));
    let judge = |scenario: &Scenario, _: &str, record: Result<Record, RunError>, _: Duration| {
        verdict::judge(scenario, &record.expect("it runs")).outcome.is_pass()
    };
    let began = Instant::now();
    let cells = run::matrix(scenarios, &relays, two, &Cancel::default(), judge, |_| ());
    let took = began.elapsed();
    assert!(cells.len() == scenarios.len() && cells.iter().all(|cell| cell.result));
    took
}

/// Opens a loopback connection, sends a line each way, closes.
fn unit() -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let began = Instant::now();
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (mut server, _) = listener.accept().expect("someone called");
    let mut line = [0; 6];
    server.write_all(b"220 x\n").expect("open");
    client.read_exact(&mut line).expect("sent");
    client.write_all(b"QUIT.\n").expect("open");
    server.read_exact(&mut line).expect("sent");
    drop((client, server));
    began.elapsed()
}

/// The middle one; leaves them sorted.
fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
