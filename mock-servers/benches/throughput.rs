//! The mock server beside Postfix's `smtp-sink`: the same `smtp-source` drives both, in turn, over real sockets.
//!
//! `cargo bench -p mock-servers --bench throughput`. Twenty sessions at a time, messages of 1,000 octets; once with a session
//! for each message, once with sessions that are used again. The mock is a process of its own with one thread, and writes
//! full transcripts. Rounds alternate (A B A B …), and what counts is the median of the rounds' ratios: a machine's noise
//! meets both. Behind it, how the time of one message grows with its size.
//!
//! `THROUGHPUT_ROUNDS` (7) and `THROUGHPUT_MESSAGES` (4000, in each round) change how long it takes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use mock_servers::environment::real::RealClock;
use mock_servers::script::{Certificate, Offers, Profile, Reading, ReplyText, Script};
use mock_servers::smtp::server::{Environment, Server};
use mock_servers::smtp::tls::TlsMaterial;
use mock_servers::transcript::Recorder;

/// Makes this program the mock server.
const SERVE: &str = "THROUGHPUT_SERVE";
const INSTALL: &str = "smtp-source and smtp-sink belong to Postfix. On Debian and Ubuntu they are installed, without a running \
                       daemon, with:\n    apt-get install --no-install-recommends postfix\nRun this again then.";
const SESSIONS: &str = "20";
const OCTETS: &str = "1000";

fn main() {
    if std::env::var_os(SERVE).is_some() {
        return serve();
    }
    let (Some(source), Some(sink)) = (find("smtp-source"), find("smtp-sink")) else {
        println!("{INSTALL}");
        return;
    };
    let (rounds, messages) = (number("THROUGHPUT_ROUNDS", 7), number("THROUGHPUT_MESSAGES", 4000));
    println!(
        "{SESSIONS} sessions at a time, messages of {OCTETS} octets, {rounds} rounds of {messages} messages"
    );
    for (mode, options) in [("a session for each message", &[][..]), ("sessions used again", &["-d"])] {
        compare(mode, options, &source, &sink, rounds, messages);
    }
    sizes();
}

/// One mode: both servers in turn.
fn compare(mode: &str, options: &[&str], source: &PathBuf, sink: &PathBuf, rounds: u32, messages: u32) {
    let (mut theirs, mut ours) = (Peer::sink(sink), Peer::mock());
    let drive = |peer: &Peer| {
        let began = Instant::now();
        let done = Command::new(source)
            .args(["-s", SESSIONS, "-l", OCTETS, "-m", &messages.to_string(), "-M", "client.example"])
            .args(["-f", "a@origin.example", "-t", "b@hub.example"])
            .args(options)
            .arg(peer.at.to_string())
            .status();
        assert!(done.is_ok_and(|status| status.success()), "smtp-source failed");
        began.elapsed().as_secs_f64()
    };
    for peer in [&mut theirs, &mut ours] {
        drive(peer); // whatever is made once
        peer.mark();
    }
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut seconds = [0.0; 2];
        let mut cost = [0.0; 2];
        for (index, peer) in [&theirs, &ours].into_iter().enumerate() {
            let before = peer.processor();
            seconds[index] = drive(peer);
            cost[index] = peer.processor() - before;
        }
        rates.push(seconds[0] / seconds[1]);
        costs.push(cost[1] / cost[0].max(0.001));
        println!(
            "    smtp-sink {:>7.0}/s, mock {:>7.0}/s, ratio {:.2}",
            f64::from(messages) / seconds[0],
            f64::from(messages) / seconds[1],
            seconds[0] / seconds[1]
        );
    }
    let each = f64::from(rounds * messages);
    let micros = |peer: &Peer| (peer.processor() - peer.marked.0) * 1e6 / each;
    println!("{mode}:");
    println!("  messages a second, mock to smtp-sink: {:.2}", median(&mut rates));
    println!(
        "  processor time of a message: smtp-sink {:.0} µs, mock {:.0} µs, ratio {:.2}",
        micros(&theirs),
        micros(&ours),
        median(&mut costs)
    );
    println!("  kept of a message: {:.0} octets", (ours.memory() - ours.marked.1) / each);
}

/// One session with ever larger content.
fn sizes() {
    let ours = Peer::mock();
    let mut took = Vec::new();
    for size in [1_000_000, 10_000_000, 100_000_000] {
        let line = [&[b'x'; 78][..], b"\r\n"].concat();
        let content = line.repeat(size / line.len());
        let mut times = Vec::new();
        for _ in 0..3 {
            let stream = TcpStream::connect(ours.at).expect("it listens");
            let mut replies = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut stream = stream;
            let mut hear = |code: &str| {
                let mut line = String::new();
                replies.read_line(&mut line).expect("a reply");
                assert!(line.starts_with(code), "{line}");
            };
            hear("220");
            for (command, code) in
                [("HELO a", "250"), ("MAIL FROM:<a@b>", "250"), ("RCPT TO:<c@d>", "250"), ("DATA", "354")]
            {
                stream.write_all(format!("{command}\r\n").as_bytes()).expect("written");
                hear(code);
            }
            let began = Instant::now();
            stream.write_all(&content).expect("written");
            stream.write_all(b".\r\n").expect("written");
            hear("250");
            times.push(began.elapsed().as_secs_f64());
        }
        took.push((size, median(&mut times)));
    }
    println!("content of one message:");
    for pair in took.windows(2) {
        println!(
            "  {} MB takes {:.1} times as long as {} MB ({:.0} ms)",
            pair[1].0 / 1_000_000,
            pair[1].1 / pair[0].1,
            pair[0].0 / 1_000_000,
            pair[1].1 * 1000.0
        );
    }
}

/// A server under measurement, which ends with this.
struct Peer {
    child: Child,
    at: SocketAddr,
    /// Processor time and resident memory at the beginning.
    marked: (f64, f64),
}

impl Peer {
    fn sink(program: &PathBuf) -> Self {
        let at = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let child = Command::new(program)
            .args(["-u", "nobody", &at.to_string(), "128"])
            .stdout(Stdio::null())
            .spawn()
            .expect("smtp-sink starts");
        let mut peer = Self { child, at, marked: (0.0, 0.0) };
        while TcpStream::connect(at).is_err() {
            assert!(matches!(peer.child.try_wait(), Ok(None)), "smtp-sink ended");
            std::thread::yield_now();
        }
        peer
    }

    fn mock() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .env(SERVE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mock starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("its address");
        Self { child, at: line.trim().parse().expect("an address"), marked: (0.0, 0.0) }
    }

    fn mark(&mut self) {
        self.marked = (self.processor(), self.memory());
    }

    /// Seconds that its threads have spent on a processor so far. The scheduler counts them in nanoseconds; what stat(5) has is
    /// sampled at the clock's ticks.
    fn processor(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let spent = threads.flatten().filter_map(|thread| {
            let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            line.split(' ').next()?.parse::<f64>().ok()
        });
        spent.sum::<f64>() / 1e9
    }

    /// Octets of resident memory.
    fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line for it");
        let kib: u32 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        f64::from(kib) * 1024.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The mock server: tells its address, and serves until it is killed or its parent has gone.
fn serve() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("bound");
        println!("{at}");
        let environment = Environment {
            clock: Arc::new(RealClock::start()),
            recorder: Recorder::default(),
            tls: Arc::new(TlsMaterial::new(SystemTime::now())),
            forwarder: None,
        };
        let server = Server::new(Arc::new(script()), environment);
        let error = tokio::spawn(server.serve(Box::new(listener), at)).await;
        panic!("the listener failed: {error:?}");
    });
}

fn script() -> Script {
    let text = |line: &str| ReplyText::parse(line).expect("a reply");
    let offers = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"].map(str::to_owned).to_vec();
    Script {
        name: "hub".to_owned(),
        hostname: "hub.example".to_owned(),
        profile: Profile {
            name: "plain".to_owned(),
            banner: text("220 {host} ESMTP ready"),
            ehlo_greeting: text("250 {host} greets {helo}"),
            offers: Offers { at_first: offers, ..Offers::default() },
            replies: Vec::new(),
            habits: Vec::new(),
        },
        rules: Vec::new(),
        dialogue: None,
        credentials: None,
        pace: None,
        read: Reading::Freely,
        certificate: Certificate::Good,
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/libexec/postfix"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
