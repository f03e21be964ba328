//! The network around a relay that runs elsewhere: sockets of this machine, which stand for the scenario's addresses as a
//! [`Plan`] has it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mock_servers::environment::real::RealConnection;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use super::plan::Plan;
use super::sim::{Nowhere, Sim};
use super::world::{LabError, relay_address};
use crate::relay::external::{self, External};
use crate::relay::serving::on_loopback;
use crate::relay::{Driver as _, Settings, StartError, Unsupported, adapter};
use crate::scenario::Scenario;

/// Between two looks at what the servers and clients have seen.
const BETWEEN: Duration = Duration::from_millis(10);
/// So long nothing may have happened before a moment counts as quiet, and the relay's queue is listed.
const PAUSE: Duration = Duration::from_millis(200);

/// This machine's sockets for one run. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Outside {
    plan: Arc<Plan>,
    relay: Option<SocketAddr>,
    /// What makes addresses hang.
    full: Arc<Mutex<Vec<[Socket; 2]>>>,
}

impl Outside {
    pub(super) fn new(plan: Arc<Plan>, relay: Option<SocketAddr>) -> Self {
        Self { plan, relay, full: Arc::default() }
    }

    fn place(&self, at: SocketAddr) -> io::Result<SocketAddr> {
        let missing =
            || io::Error::new(io::ErrorKind::AddrNotAvailable, format!("there is no place for {at} here"));
        self.plan.socket(at).ok_or_else(missing)
    }

    /// Listens at what stands for an address.
    pub(super) fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let here = self.place(at)?;
        let listener = std::net::TcpListener::bind(here).map_err(|error| told(here, &error))?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    /// Opens a datagram socket at what stands for an address.
    pub(super) fn datagrams(&self, at: SocketAddr) -> io::Result<UdpSocket> {
        let here = self.place(at)?;
        let socket = std::net::UdpSocket::bind(here).map_err(|error| told(here, &error))?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }

    /// Makes connections to what stands for an address hang: somebody listens there and takes up nobody, and the one
    /// caller that there is room for is there already. Linux then leaves a SYN unanswered (listen(2), tcp(7)).
    pub(super) fn filter(&self, at: SocketAddr) -> io::Result<()> {
        let here = self.place(at)?;
        let open = || {
            let listener = Socket::new(Domain::for_address(here), Type::STREAM, None)?;
            listener.set_reuse_address(true)?;
            listener.bind(&here.into())?;
            listener.listen(0)?;
            let caller = Socket::new(Domain::for_address(here), Type::STREAM, None)?;
            caller.connect(&here.into())?;
            Ok([listener, caller])
        };
        let full = open().map_err(|error| told(here, &error))?;
        self.full.lock().unwrap_or_else(PoisonError::into_inner).push(full);
        Ok(())
    }

    /// Opens a connection to the relay, from what stands for a client's address, where there is such a thing.
    pub(super) async fn connect(
        &self,
        from: IpAddr,
        to: SocketAddr,
    ) -> io::Result<(RealConnection, SocketAddr)> {
        let relay = self.relay.filter(|_| to == relay_address());
        let relay =
            relay.ok_or_else(|| io::Error::new(io::ErrorKind::HostUnreachable, "no route to host"))?;
        let socket = if relay.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.plan.client(from).filter(|_| relay.ip().is_loopback() && relay.is_ipv4()) {
            socket.bind(SocketAddr::new(from, 0)).map_err(|error| told(SocketAddr::new(from, 0), &error))?;
        }
        let stream = socket.connect(relay).await?;
        stream.set_nodelay(true)?;
        let from = stream.local_addr()?;
        Ok((RealConnection(stream), from))
    }
}

/// The system's words, and what they are about. A way out where one is known.
fn told(at: SocketAddr, error: &io::Error) -> io::Error {
    let way = match error.kind() {
        io::ErrorKind::AddrInUse => ": something listens there already; choose another port",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need root",
        io::ErrorKind::AddrNotAvailable if is_of_a_plan(at.ip()) => {
            ": this system has 127.0.0.1 alone; give the address to stand at"
        }
        io::ErrorKind::AddrNotAvailable => ": no interface of this machine has that address",
        _ => "",
    };
    io::Error::new(error.kind(), format!("{at}: {error}{way}"))
}

fn is_of_a_plan(ip: IpAddr) -> bool {
    let IpAddr::V4(v4) = ip else { return false };
    let [_, b, c, d] = v4.octets();
    [[198, b, c, d], [203, b, c, d]].iter().any(|octets| on_loopback((*octets).into()) == Some(v4))
}

/// What is around a relay that runs elsewhere.
pub(super) struct Surroundings {
    pub(super) plan: Arc<Plan>,
    pub(super) wires: Outside,
    pub(super) relay: Arc<External>,
}

/// Gives servers and clients their places, and tells the settings by them. Nobody has called the relay yet.
pub(super) fn surround(
    scenario: &Scenario,
    adapter: &Arc<adapter::External>,
    settings: &mut Settings,
    sim: &Sim,
    patience: Duration,
) -> Result<Surroundings, LabError> {
    let address = external::address(adapter)?;
    let plan = Plan::new(scenario, &adapter.serving, Some(address.ip()));
    let plan = plan.map_err(|why| StartError::from(Unsupported(why)))?;
    settings.listen = address;
    settings.addresses = vec![address.ip()];
    settings.resolver = plan.socket(settings.resolver).unwrap_or(settings.resolver);
    for client in &mut settings.trusted {
        *client = plan.client(*client).unwrap_or(*client);
    }
    let now = sim.clone();
    let relay = External::prepare(adapter.clone(), address, settings, Arc::new(move || now.now()), patience)?;
    let plan = Arc::new(plan);
    Ok(Surroundings { wires: Outside::new(plan.clone(), Some(address)), plan, relay })
}

/// Looks at a relay that runs elsewhere until it is dropped, and lets the run go on at its quiet moments. There is nobody to
/// ask whether it rests: all that is seen of it is its `traffic`, which grows, and its queue.
pub(super) async fn beat(sim: Sim, relay: Arc<External>, traffic: impl Fn() -> u64) {
    let lists = relay.lists();
    let mut seen = traffic();
    // Since when nothing has happened, and when that was last looked at.
    let (mut since, mut looked) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(BETWEEN).await;
        let now = traffic();
        if sim.is_held() || now != seen {
            seen = now;
            (since, looked) = (Instant::now(), Instant::now());
            continue;
        }
        // What is in a queue that cannot be listed may come at any time.
        let sure = since.elapsed() >= relay.rest();
        if looked.elapsed() < PAUSE || !lists && !sure {
            continue;
        }
        let changed = lists && relay.look().await;
        looked = Instant::now();
        if changed || traffic() != seen {
            since = looked;
            continue;
        }
        if sim.step(sure, &mut Nowhere) {
            since = Instant::now();
        }
    }
}
