//! A small world for tests: tokio's paused time as the clock, pipes as the network, hosts that do as they are told.
//!
//! Paused time goes on by itself when every task waits for it; all else here is in memory. So five days are short, and
//! each run is like the last.

mod host;
mod names;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::{Config, Queue, Timeouts, TlsPolicy, Vintage};
use crate::environment::{BoxFuture, Clock, Datagrams, Disk, Listener, Network, Stream};
use crate::{QueueEntry, Relay};

pub(crate) use host::{Early, Host, Say};
use names::Questions;
pub(crate) use names::Zone;

/// The reference configuration, with a schedule that is easy to count: attempts at 0, 30, 90, 210 … minutes.
pub(crate) fn config() -> Config {
    Config {
        hostname: "relay.example".into(),
        listen: "198.51.100.1:25".parse().expect("an address"),
        resolver: "198.51.100.53:53".parse().expect("an address"),
        spool: PathBuf::new(),
        disk: Disk::default(),
        trusted: vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9))],
        smarthost: None,
        routes: Vec::new(),
        postmaster: None,
        auth: None,
        tls: TlsPolicy::Opportunistic,
        tls_roots: Vec::new(),
        certificate: None,
        queue: Queue::default(),
        size_limit: Some(1_000_000),
        reuse: true,
        chunking: true,
        timeouts: Timeouts::default(),
        vintage: Vintage::default(),
    }
}

/// A hook of the spool: what to do after each step that changes the disk.
pub(crate) type AfterStep = Arc<dyn Fn(&Path) + Send + Sync>;

thread_local! {
    static AFTER_STEP: RefCell<BTreeMap<PathBuf, AfterStep>> = const { RefCell::new(BTreeMap::new()) };
}

/// The hook that [`World::after_step`] set for the spool at `root`.
pub(crate) fn after_step(root: &Path) -> Option<AfterStep> {
    AFTER_STEP.with_borrow(|hooks| hooks.get(root).cloned())
}

/// Hosts, names, a clock, and at most one relay at a time.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Inner>,
}

struct Inner {
    began: Instant,
    spool: tempfile::TempDir,
    disk: Disk,
    zone: Mutex<Zone>,
    hosts: Mutex<BTreeMap<SocketAddr, Arc<Host>>>,
    door: Mutex<Option<mpsc::UnboundedSender<(DuplexStream, SocketAddr)>>>,
    /// Everything that hosts and clients said and heard.
    transcript: Mutex<Vec<Line>>,
    delivered: Mutex<Vec<Delivered>>,
}

/// A line of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Minutes since the world began.
    pub(crate) minute: u64,
    pub(crate) host: String,
    pub(crate) said: String,
}

/// A message that a host has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) minute: u64,
    pub(crate) host: String,
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) content: String,
}

impl World {
    /// A world in which `x.example` has the exchanger `mx.x.example`, and `origin.example`, from where the mail comes, has
    /// `mx.origin.example`; neither host stands there yet.
    pub(crate) fn new() -> Self {
        let mut zone = Zone::default();
        zone.mx("x.example", 10, "mx.x.example");
        zone.a("mx.x.example", [198, 51, 100, 7]);
        zone.mx("origin.example", 10, "mx.origin.example");
        zone.a("mx.origin.example", [198, 51, 100, 8]);
        let inner = Inner {
            began: Instant::now(),
            spool: tempfile::tempdir().expect("a temporary directory"),
            disk: Disk::default(),
            zone: Mutex::new(zone),
            hosts: Mutex::default(),
            door: Mutex::default(),
            transcript: Mutex::default(),
            delivered: Mutex::default(),
        };
        let world = Self { inner: Arc::new(inner) };
        world.put([198, 51, 100, 8], Host::new("mx.origin.example"));
        world
    }

    pub(crate) fn names(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.inner.zone.lock().expect("zone"));
    }

    /// Puts a host at an address, in place of what stood there.
    pub(crate) fn put(&self, address: [u8; 4], host: Host) {
        self.inner.hosts.lock().expect("hosts").insert((address, 25).into(), Arc::new(host));
    }

    /// Takes away what stands at an address: connections are refused.
    pub(crate) fn clear(&self, address: [u8; 4]) {
        self.inner.hosts.lock().expect("hosts").remove(&(address, 25).into());
    }

    pub(crate) fn spool(&self) -> &Path {
        self.inner.spool.path()
    }

    /// The disk that the spool is on.
    pub(crate) fn disk(&self) -> &Disk {
        &self.inner.disk
    }

    pub(crate) async fn relay(&self) -> Relay {
        self.relay_with(|_| {}).await
    }

    pub(crate) async fn relay_with(&self, change: impl FnOnce(&mut Config)) -> Relay {
        let mut config = Config { spool: self.spool().to_owned(), disk: self.disk().clone(), ..config() };
        change(&mut config);
        Relay::start(config, Arc::new(self.clone()), Arc::new(self.clone())).await.expect("the relay starts")
    }

    pub(crate) fn after_step(&self, hook: impl Fn(&Path) + Send + Sync + 'static) {
        AFTER_STEP.with_borrow_mut(|hooks| hooks.insert(self.spool().to_owned(), Arc::new(hook)));
    }

    /// A connection to the relay from a trusted client.
    pub(crate) fn dial(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let door = self.inner.door.lock().expect("door").clone().expect("a relay listens");
        door.send((theirs, "198.51.100.9:40000".parse().expect("an address"))).expect("the relay accepts");
        ours
    }

    /// Hands a short message to the relay; it must take it.
    pub(crate) async fn submit(&self, recipients: &[&str]) {
        self.submit_as("a@origin.example", "", recipients, "Subject: hi\r\n\r\nHello\r\n").await;
    }

    /// Hands a message to the relay. `recipients` may have parameters after their address.
    pub(crate) async fn submit_as(&self, sender: &str, parameters: &str, recipients: &[&str], content: &str) {
        let octets: Vec<u8> = content.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
        let (mut from_relay, mut to_relay) = tokio::io::split(self.dial());
        let mut lines = format!("EHLO client.example\r\nMAIL FROM:<{sender}>{parameters}\r\n");
        for recipient in recipients {
            let (address, parameters) = recipient.split_once("> ").unwrap_or((recipient, ""));
            lines.extend(["RCPT TO:<", address, "> ", parameters, "\r\n"]);
        }
        lines.push_str("DATA\r\n");
        let talks = async {
            to_relay.write_all(lines.as_bytes()).await.expect("write");
            to_relay.write_all(&octets).await.expect("write");
            to_relay.write_all(b".\r\nQUIT\r\n").await.expect("write");
        };
        let mut said = String::new();
        // Many replies would fill the pipe while nobody reads them.
        let (read, ()) = tokio::join!(from_relay.read_to_string(&mut said), talks);
        read.expect("read");
        assert!(said.contains("Queued as"), "{said}");
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, minutes: u64) {
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
    }

    /// Lets everything happen that happens without time passing.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    pub(crate) fn second(&self) -> u64 {
        self.inner.began.elapsed().as_secs()
    }

    pub(crate) fn minute(&self) -> u64 {
        self.inner.began.elapsed().as_secs() / 60
    }

    pub(crate) fn delivered(&self) -> Vec<Delivered> {
        self.inner.delivered.lock().expect("delivered").clone()
    }

    /// What was delivered to the sender: the relay's notifications.
    pub(crate) fn notifications(&self) -> Vec<Delivered> {
        self.delivered().into_iter().filter(|mail| mail.host == "mx.origin.example").collect()
    }

    /// What a host heard, and, after `> `, what it said.
    pub(crate) fn heard(&self, host: &str) -> Vec<String> {
        let transcript = self.inner.transcript.lock().expect("transcript");
        transcript.iter().filter(|line| line.host == host).map(|line| line.said.clone()).collect()
    }

    /// The minutes at which a host heard such a command.
    pub(crate) fn when(&self, host: &str, command: &str) -> Vec<u64> {
        let transcript = self.inner.transcript.lock().expect("transcript");
        let matching = transcript.iter().filter(|line| line.host == host && line.said.starts_with(command));
        matching.map(|line| line.minute).collect()
    }

    fn note(&self, host: &str, said: impl Into<String>) {
        let line = Line { minute: self.minute(), host: host.into(), said: said.into() };
        self.inner.transcript.lock().expect("transcript").push(line);
    }
}

/// What is left in the queue but what can be told by its id alone.
pub(crate) fn ids(queue: &[QueueEntry]) -> Vec<&str> {
    queue.iter().map(|entry| entry.id.as_str()).collect()
}

impl Clock for World {
    fn now(&self) -> SystemTime {
        // A time at which test certificates are valid.
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.inner.began.elapsed()
    }

    fn sleep_until(&self, at: SystemTime) -> BoxFuture<'static, ()> {
        let wait = at.duration_since(self.now()).unwrap_or_default();
        let until = Instant::now() + wait;
        Box::pin(tokio::time::sleep_until(until))
    }
}

impl Network for World {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let world = self.clone();
        Box::pin(async move {
            let host = world.inner.hosts.lock().expect("hosts").get(&to).cloned();
            let host = host.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (ours, theirs) = duplex(64 * 1024);
            tokio::spawn(async move { host.visit(&world, theirs).await });
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }

    fn listen(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (door, waiting) = mpsc::unbounded_channel();
        *self.inner.door.lock().expect("door") = Some(door);
        Box::pin(async move { Ok(Box::new(Waiting(waiting)) as Box<dyn Listener>) })
    }

    fn datagrams(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Datagrams>>> {
        let questions = Questions::to(self.inner.zone.lock().expect("zone").clone());
        Box::pin(async move { Ok(Box::new(questions) as Box<dyn Datagrams>) })
    }
}

struct Waiting(mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>);

impl Listener for Waiting {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            match self.0.recv().await {
                Some((stream, peer)) => Ok((Box::new(stream) as Box<dyn Stream>, peer)),
                None => std::future::pending().await,
            }
        })
    }
}
