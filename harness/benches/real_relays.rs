//! What one scenario costs on a real relay: a message, from nothing to the verdict, the lab included.
//!
//! `cargo bench --bench real_relays [-- RUNS]`, as root, with the roots that `ci/relay-roots.sh` prepares; a relay that is not
//! here is told and left out. Each figure is a median over so many runs. In turn with each run, the same relay does *its own
//! work* without the harness: a lab with the same files; prepare, start, wait for the greeting, one submission over a bare
//! socket, until a bare server has taken the message. Lab set-up and end, verdicts, records and the wait for quiet are not in it.
//! The ratio is the run's time to that. It tells, and does not judge; the aim is at most 2.
//!
//! The harness's share is that of the processor time of the runs: of this process and of lab-init, against these and
//! everything that ran in the labs. lab-init is looked at once a millisecond; what it does in its last one counts as the relay's.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gauntlet::relay::adapter::{Adapter, Configured};
use gauntlet::relay::{Settings, Tls, roots};
use gauntlet::{run, scenario, verdict};
use lab_init::{Command, Lab, Layout, Output, Owner};

const RUNS: usize = 11;
/// A guard; nothing here takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(1);

const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 25)), 25);
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 3)), 53);

const SCENARIO: &str = "\
title: One message
servers:
  hub: { serves: [hub.example] }
messages:
  note: { from: alice@origin.example, to: bob@hub.example }
relay: { smarthost: hub }
expect:
  - delivered: { by: hub }
";

fn main() {
    lab_init::hook();
    let runs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(RUNS);
    if let Err(error) = lab_init::check() {
        println!("no labs here: {error}");
        return;
    }
    println!(
        "{:<10} {:>9} {:>9} {:>6} {:>9} {:>10} {:>9} {:>6}",
        "relay", "run", "its own", "ratio", "cpu: run", "harness", "lab-init", "share"
    );
    for name in Adapter::shipped() {
        let adapter = Adapter::named(name).expect("shipped").expect("checked by the tests");
        match roots::root(&adapter) {
            Ok(root) => measure(&adapter, &root, runs),
            Err(why) => println!("{name:<10} left out: {why}"),
        }
    }
}

/// Runs and bare runs in turn, and a line on them.
fn measure(adapter: &Adapter, root: &Path, runs: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("one.yaml");
    fs::write(&file, SCENARIO).expect("written");
    let scenario =
        scenario::load(&file, directory.path()).unwrap_or_else(|wrong| panic!("{wrong}")).remove(0);
    let (mut times, mut bare_times) = (Vec::new(), Vec::new());
    let (mut own_times, mut children_times, mut inits, mut watched) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..runs {
        let bare = bare(adapter, root);
        bare_times.push(bare);
        let watch = Watch::begin();
        let (own, children) = processor_times();
        let began = Instant::now();
        let record = run::run(&scenario, &adapter.name, &run::RunOptions::default()).expect("it runs");
        let verdict = verdict::judge(&scenario, &record);
        times.push(began.elapsed());
        assert!(verdict.outcome.is_pass(), "{}: {:?}", adapter.name, verdict.findings);
        let (own_after, children_after) = processor_times();
        own_times += own_after.saturating_sub(own);
        children_times += children_after.saturating_sub(children);
        let (init, watching) = watch.end();
        inits += init;
        watched += watching;
    }
    // The kernel counts in hundredths of a second: over all runs that comes right.
    let own = own_times.saturating_sub(watched);
    let (all, ours) = (own + children_times, own + inits);
    let (time, bare) = (median(&mut times), median(&mut bare_times));
    let count = u32::try_from(runs).unwrap_or(u32::MAX);
    let each = |time: Duration| ms(time / count);
    println!(
        "{:<10} {:>6.0} ms {:>6.0} ms {:>6.2} {:>6.0} ms {:>7.1} ms {:>6.1} ms {:>4.0} %",
        adapter.name,
        ms(time),
        ms(bare),
        time.as_secs_f64() / bare.as_secs_f64(),
        each(all),
        each(ours),
        each(inits),
        100.0 * ours.as_secs_f64() / all.as_secs_f64(),
    );
}

/// The relay's own work, without the harness: how long it takes.
fn bare(adapter: &Adapter, root: &Path) -> Duration {
    let settings = settings();
    let configured = adapter.configure(&settings).expect("it can be told that");
    let layout = Layout {
        root: root.to_owned(),
        hostname: settings.hostname.clone(),
        addresses: settings.addresses.clone(),
        ..Layout::default()
    };
    let lab = Lab::start(&layout).expect("labs work here");
    write_files(&lab, &settings, &configured);
    let server: IpAddr = SERVER.into();
    lab.add_addresses(&[server, RESOLVER.ip(), CLIENT]).expect("free");
    let names = lab.bind_udp(RESOLVER).expect("free");
    let hub = lab.bind_tcp(SocketAddr::new(server, 25)).expect("free");
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let answering = std::thread::spawn(move || answer_names(&names, &over));
    let (tell, delivered) = mpsc::channel();
    std::thread::spawn(move || {
        take_one(&hub);
        // Where nobody waits any more the bench has failed, and says so.
        let _ = tell.send(());
    });

    let began = Instant::now();
    if let Some(prepare) = &configured.prepare {
        let mut prepared = spawn(&lab, prepare);
        assert!(prepared.wait(PATIENCE).expect("it ends").success());
    }
    let _relay = spawn(&lab, &configured.start);
    submit(greeted(&lab));
    delivered.recv_timeout(PATIENCE).expect("the message comes");
    let took = began.elapsed();
    // Its socket would keep the lab's network.
    is_over.store(true, Ordering::Relaxed);
    answering.join().expect("it only answers");
    took
}

fn spawn(lab: &Lab, script: &str) -> lab_init::Process {
    lab.spawn(Command::new(["/bin/sh", "-c", script]).output(Output::Null)).expect("sh is there")
}

fn settings() -> Settings {
    let second: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x25).into();
    Settings {
        hostname: "relay.origin.example".to_owned(),
        listen: RELAY,
        addresses: vec![RELAY.ip(), second],
        resolver: RESOLVER,
        trusted: vec![CLIENT],
        directory: "/".into(),
        smarthost: Some("mx.hub.example".to_owned()),
        routes: Vec::new(),
        auth: None,
        tls: Tls::default(),
        tls_root: None,
        certificate: None,
        retry_first: None,
        retry_at_most: None,
        warn: None,
        lifetime: None,
        size_limit: None,
        reuse: None,
        greeting_timeout: None,
        command_timeout: None,
        end_of_data_timeout: None,
    }
}

fn write_files(lab: &Lab, settings: &Settings, configured: &Configured) {
    let write = |path: &str, text: String| lab.write_file(path, 0o644, &Owner::Root, text).expect("written");
    let hostname = &settings.hostname;
    write("/etc/hosts", format!("127.0.0.1 localhost\n{} {hostname}\n", RELAY.ip()));
    write("/etc/hostname", format!("{hostname}\n"));
    write("/etc/mailname", format!("{hostname}\n"));
    write("/etc/resolv.conf", format!("nameserver {}\nsearch .\n", RESOLVER.ip()));
    write(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n".to_owned(),
    );
    for file in &configured.files {
        let owner = match file.owner.as_deref().map(|owner| owner.split_once(':').unwrap_or((owner, ""))) {
            None => Owner::Root,
            Some((user, "")) => Owner::User(user.to_owned()),
            Some((user, group)) => Owner::UserGroup(user.to_owned(), group.to_owned()),
        };
        let mut written = lab.create(&file.path, file.mode, &owner).expect("made");
        written.write_all(file.text.as_bytes()).expect("written");
        // Some relays wait for as long as a file may still be changing, by its time.
        written.set_modified(std::time::SystemTime::now() - Duration::from_hours(1)).expect("set");
    }
}

/// A connection to the relay that has been greeted.
fn greeted(lab: &Lab) -> BufReader<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the relay does not greet");
        let socket = socket2::Socket::from(lab.client_tcp(CLIENT).expect("the address is there"));
        // The lab hands it out for an event loop.
        socket.set_nonblocking(false).expect("it is a socket");
        if socket.connect(&RELAY.into()).is_ok() {
            let mut stream = BufReader::new(TcpStream::from(socket));
            if reply(&mut stream).starts_with("220") {
                return stream;
            }
        }
        std::thread::sleep(BETWEEN);
    }
}

fn submit(mut relay: BufReader<TcpStream>) {
    let content = "From: <alice@origin.example>\r\nTo: <bob@hub.example>\r\nSubject: note\r\n\r\nNote.\r\n.";
    for (line, code) in [
        ("EHLO client.origin.example", "250"),
        ("MAIL FROM:<alice@origin.example>", "250"),
        ("RCPT TO:<bob@hub.example>", "250"),
        ("DATA", "354"),
        (content, "250"),
        ("QUIT", "221"),
    ] {
        relay.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("open");
        let said = reply(&mut relay);
        assert!(said.starts_with(code), "{line}: {said}");
    }
}

/// The last line of a reply; nothing at the connection's end.
fn reply(from: &mut BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or(0) == 0 || line.as_bytes().get(3) != Some(&b'-') {
            return line;
        }
    }
}

/// Takes one message.
fn take_one(hub: &TcpListener) {
    hub.set_nonblocking(false).expect("it is a socket");
    let (stream, _) = hub.accept().expect("someone calls");
    stream.set_nonblocking(false).expect("it is a socket");
    let mut stream = BufReader::new(stream);
    let say = |stream: &mut BufReader<TcpStream>, line: &str| {
        stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("open");
    };
    say(&mut stream, "220 mx.hub.example ESMTP");
    let mut in_content = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("open");
        match line.trim_end() {
            "." if in_content => return say(&mut stream, "250 Taken"),
            _ if in_content => {}
            "DATA" => {
                in_content = true;
                say(&mut stream, "354 Go ahead");
            }
            _ => say(&mut stream, "250 mx.hub.example"),
        }
    }
}

/// Answers every question for an address with the server's, and every other with nothing (RFC 1035 section 4.1).
fn answer_names(socket: &UdpSocket, is_over: &AtomicBool) {
    socket.set_nonblocking(false).expect("it is a socket");
    // To see that it is over.
    socket.set_read_timeout(Some(10 * BETWEEN)).expect("it is a socket");
    let mut datagram = [0; 1500];
    while !is_over.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut datagram) else { continue };
        let question_ends = datagram[12..length].iter().position(|&octet| octet == 0).map(|end| 12 + end + 5);
        let Some(end) = question_ends.filter(|&end| end <= length) else { continue };
        let mut answer = datagram[..end].to_vec();
        let is_for_an_address = answer[end - 4..end] == [0, 1, 0, 1];
        answer[2..12].copy_from_slice(&[0x85, 0x80, 0, 1, 0, u8::from(is_for_an_address), 0, 0, 0, 0]);
        if is_for_an_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4]);
            answer.extend(SERVER.octets());
        }
        // A relay that has gone needs no answer.
        let _ = socket.send_to(&answer, from);
    }
}

/// Looks at the processor time of the processes of lab-init.
struct Watch {
    is_over: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<(Duration, Duration)>,
}

impl Watch {
    fn begin() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let watching = std::thread::spawn(move || {
            let mut seen: BTreeMap<u32, Duration> = BTreeMap::new();
            let me = std::process::id();
            while !over.load(Ordering::Relaxed) {
                let outer = children(me);
                for pid in outer.iter().copied().chain(outer.iter().flat_map(|&outer| children(outer))) {
                    if let Some(time) = spent(&format!("/proc/{pid}/schedstat")) {
                        seen.insert(pid, time);
                    }
                }
                std::thread::sleep(BETWEEN);
            }
            let own = spent("/proc/thread-self/schedstat").unwrap_or_default();
            (seen.into_values().sum(), own)
        });
        Self { is_over, watching }
    }

    /// What lab-init took, and what the watching took.
    fn end(self) -> (Duration, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        self.watching.join().expect("it only looks")
    }
}

/// The processes that this one has started, by any of its threads.
fn children(of: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The time on the processor of a process with one thread.
fn spent(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

/// The processor time of this process, and of all that it has waited for (proc_pid_stat(5)), in hundredths of a second each.
fn processor_times() -> (Duration, Duration) {
    let mut stat = String::new();
    fs::File::open("/proc/self/stat")
        .and_then(|mut file| file.read_to_string(&mut stat))
        .expect("Linux has it");
    let (_, fields) = stat.rsplit_once(')').expect("its form");
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).map(|field| field.parse().expect("a number")).collect();
    let of = |user: u64, system: u64| Duration::from_millis(10 * (user + system));
    (of(ticks[0], ticks[1]), of(ticks[2], ticks[3]))
}

/// The middle one; leaves them sorted.
fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
