//! The built-in relay as a server that runs elsewhere: on this machine's own sockets, in real time, in a thread of its own.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use reference_relay::config::{Config, Queue, Timeouts, TlsPolicy, Vintage};
use reference_relay::environment::{BoxFuture, Clock, Datagrams, Disk, Listener, Network, Stream};
use reference_relay::{QueueEntry, RecipientState, Relay};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::oneshot;

/// A relay that listens until it is dropped.
pub(crate) struct Standing {
    /// Where it accepts mail.
    pub(crate) address: SocketAddr,
    /// Who connects here is told its queue.
    pub(crate) queue: SocketAddr,
    /// Who connects here has the whole queue tried.
    pub(crate) flush: SocketAddr,
    /// Who connects here has it begin anew with an empty queue.
    pub(crate) empty: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Standing {
    /// Starts one that takes mail from 127.0.113.10 alone, asks this DNS server, and hands mail on at this port.
    pub(crate) fn start(dns: SocketAddr, port: u16, vintage: Vintage) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let [mail, queue, flush, empty] = [bind().await, bind().await, bind().await, bind().await];
                let places = [&mail, &queue, &flush, &empty].map(|at| at.local_addr().expect("it is bound"));
                drop(mail);
                let home = Home { listen: places[0], dns, port, vintage };
                let living = home.live().await;
                tell.send(places).expect("somebody waits for it");
                tokio::select! {
                    _ = stopped => {}
                    never = answer(&home, living, &queue, &flush, &empty) => match never {},
                }
            });
        });
        let [address, queue, flush, empty] = told.recv().expect("it starts");
        Self { address, queue, flush, empty, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the relay panicked");
        }
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// What a relay is started with.
struct Home {
    listen: SocketAddr,
    dns: SocketAddr,
    port: u16,
    vintage: Vintage,
}

/// A relay and its spool, which goes after it.
struct Living {
    relay: Relay,
    _spool: TempDir,
}

impl Home {
    async fn live(&self) -> Living {
        let spool = tempfile::tempdir().expect("a directory");
        let config = config(self.listen, self.dns, &spool, self.vintage.clone());
        let relay = Relay::start(config, Arc::new(Real), Arc::new(Machine { port: self.port })).await;
        Living { relay: relay.expect("the relay starts"), _spool: spool }
    }
}

async fn answer(
    home: &Home,
    mut living: Living,
    queue: &TcpListener,
    flush: &TcpListener,
    empty: &TcpListener,
) -> std::convert::Infallible {
    loop {
        tokio::select! {
            Ok((mut caller, _)) = queue.accept() => {
                let told = listing(living.relay.queue(), living.relay.archived());
                // Whoever asked may have gone.
                let _ = caller.write_all(told.as_bytes()).await;
            }
            Ok(_) = flush.accept() => living.relay.run_queue(),
            // The caller waits for the end.
            Ok(_caller) = empty.accept() => {
                drop(living);
                living = home.live().await;
            }
        }
    }
}

fn listing(live: Vec<QueueEntry>, archived: Vec<QueueEntry>) -> String {
    let mut text = String::new();
    let all =
        live.into_iter().map(|entry| (entry, "no")).chain(archived.into_iter().map(|entry| (entry, "yes")));
    for (entry, held) in all {
        let arrived = entry.arrival.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        for recipient in entry.recipients {
            let reason = match recipient.state {
                RecipientState::Active => String::new(),
                RecipientState::Deferred { reason, .. } | RecipientState::Failed { reason } => reason,
            };
            let (id, from, attempts) = (&entry.id, &entry.sender, entry.attempts);
            let _ = writeln!(
                text,
                "id={id}\tfrom={from}\tto={}\tarrived={arrived}\tattempts={attempts}\treason={reason}\theld={held}",
                recipient.address
            );
        }
    }
    text
}

fn config(listen: SocketAddr, resolver: SocketAddr, spool: &TempDir, vintage: Vintage) -> Config {
    Config {
        hostname: "relay.origin.example".to_owned(),
        listen,
        resolver,
        spool: spool.path().to_owned(),
        disk: Disk::default(),
        trusted: vec![Ipv4Addr::new(127, 0, 113, 10).into()],
        smarthost: None,
        routes: Vec::new(),
        postmaster: Some("postmaster@origin.example".to_owned()),
        auth: None,
        tls: TlsPolicy::Opportunistic,
        tls_roots: Vec::new(),
        certificate: None,
        queue: Queue::default(),
        size_limit: None,
        reuse: true,
        chunking: true,
        timeouts: Timeouts::default(),
        vintage,
    }
}

/// The machine's time.
struct Real;

impl Clock for Real {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, at: SystemTime) -> BoxFuture<'static, ()> {
        let wait = at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        Box::pin(tokio::time::sleep(wait))
    }
}

/// The machine's network, loopback alone: what is meant for port 25 goes to another one.
struct Machine {
    port: u16,
}

impl Network for Machine {
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let port = if to.port() == 25 { self.port } else { to.port() };
        Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            assert!(to.ip().is_loopback(), "{to} is not on this machine");
            Ok(Box::new(socket.connect(SocketAddr::new(to.ip(), port)).await?) as Box<dyn Stream>)
        })
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(Listening(TcpListener::bind(at).await?)) as Box<dyn Listener>) })
    }

    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Datagrams>>> {
        Box::pin(async move {
            let socket = UdpSocket::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0)).await?;
            socket.connect(to).await?;
            Ok(Box::new(Towards(socket)) as Box<dyn Datagrams>)
        })
    }
}

struct Listening(TcpListener);

impl Listener for Listening {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let (stream, from) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Stream>, from))
        })
    }
}

struct Towards(UdpSocket);

impl Datagrams for Towards {
    fn send<'a>(&'a mut self, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.0.send(datagram).await.map(drop) })
    }

    fn receive(&mut self) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(async {
            let mut datagram = vec![0; 65_535];
            let length = self.0.recv(&mut datagram).await?;
            datagram.truncate(length);
            Ok(datagram)
        })
    }
}
