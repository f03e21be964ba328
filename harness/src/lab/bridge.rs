//! The simulation, as the mocks and the embedded relay know their world.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::SystemTime;

use mock_servers::RunTime;
use mock_servers::environment as mock;
use mock_servers::transcript::Close;
use reference_relay::environment as relay;

use super::datagrams::DatagramSocket;
use super::net::{Accepting, Net, Socket};
use super::sim::{Open, Owner, Sim};

/// The clock of mocks or steps.
#[derive(Clone)]
pub(super) struct RunClock {
    /// The run's simulation.
    pub sim: Sim,
    /// Whose timers these are.
    pub owner: Owner,
}

impl mock::Clock for RunClock {
    fn now(&self) -> RunTime {
        self.sim.now()
    }

    fn sleep_until(&self, at: RunTime) -> mock::BoxFuture<'static, ()> {
        Box::pin(self.sim.sleep_until(at, self.owner))
    }
}

/// The relay's clock: run time, told as dates from `epoch` on.
pub(super) struct RelayClock {
    /// The run's simulation.
    pub sim: Sim,
    /// The date at which the run begins.
    pub epoch: SystemTime,
}

impl relay::Clock for RelayClock {
    fn now(&self) -> SystemTime {
        self.epoch + self.sim.now().since_start()
    }

    fn sleep_until(&self, at: SystemTime) -> relay::BoxFuture<'static, ()> {
        let at = RunTime::new(at.duration_since(self.epoch).unwrap_or_default());
        Box::pin(self.sim.sleep_until(at, Owner::Relay))
    }
}

/// The relay's network: it calls from its own addresses.
pub(super) struct RelayNet {
    /// The run's network.
    pub net: Net,
    /// Its address for IPv4.
    pub v4: IpAddr,
    /// Its address for IPv6.
    pub v6: IpAddr,
}

impl RelayNet {
    fn from(&self, to: SocketAddr) -> IpAddr {
        if to.is_ipv4() { self.v4 } else { self.v6 }
    }
}

impl relay::Network for RelayNet {
    fn connect(&self, to: SocketAddr) -> relay::BoxFuture<'static, io::Result<Box<dyn relay::Stream>>> {
        let (net, from) = (self.net.clone(), self.from(to));
        Box::pin(async move { Ok(Box::new(net.connect(from, to).await?.0) as Box<dyn relay::Stream>) })
    }

    fn listen(&self, at: SocketAddr) -> relay::BoxFuture<'static, io::Result<Box<dyn relay::Listener>>> {
        let listener = self.net.listen(at);
        Box::pin(async move { Ok(Box::new(listener?) as Box<dyn relay::Listener>) })
    }

    fn datagrams(&self, to: SocketAddr) -> relay::BoxFuture<'static, io::Result<Box<dyn relay::Datagrams>>> {
        let from = self.from(to);
        let at = SocketAddr::new(from, self.net.next_port(from));
        let socket = DatagramSocket::open(&self.net, at);
        let open = self.net.sim.open("a DNS query was open".to_owned());
        Box::pin(async move {
            Ok(Box::new(Towards { socket: socket?, peer: to, _open: open }) as Box<dyn relay::Datagrams>)
        })
    }
}

struct Towards {
    socket: DatagramSocket,
    peer: SocketAddr,
    _open: Open,
}

impl relay::Datagrams for Towards {
    fn send<'a>(&'a mut self, datagram: &'a [u8]) -> relay::BoxFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(self.socket.send(datagram, self.peer)))
    }

    fn receive(&mut self) -> relay::BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(async {
            loop {
                let (datagram, from) = poll_fn(|cx| self.socket.poll_receive(cx)).await?;
                if from == self.peer {
                    return Ok(datagram);
                }
            }
        })
    }
}

impl relay::Listener for Accepting {
    fn accept(&mut self) -> relay::BoxFuture<'_, io::Result<(Box<dyn relay::Stream>, SocketAddr)>> {
        Box::pin(async {
            let (socket, from) = poll_fn(|cx| self.poll_accept(cx)).await?;
            Ok((Box::new(socket) as Box<dyn relay::Stream>, from))
        })
    }
}

impl mock::Listener for Accepting {
    fn accept(&mut self) -> mock::BoxFuture<'_, io::Result<(Box<dyn mock::Connection>, SocketAddr)>> {
        Box::pin(async {
            let (socket, from) = poll_fn(|cx| self.poll_accept(cx)).await?;
            Ok((Box::new(socket) as Box<dyn mock::Connection>, from))
        })
    }
}

impl mock::Connection for Socket {
    fn reset_on_drop(&mut self) -> io::Result<()> {
        Socket::reset_on_drop(self);
        Ok(())
    }

    fn poll_acknowledged(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_all_read(cx)
    }

    fn set_reading(&mut self, reads: bool) {
        Socket::set_reading(self, reads);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        Socket::poll_gone(self, cx)
    }

    fn peer_is_gone(&self) -> bool {
        Socket::peer_is_gone(self)
    }
}

impl mock::Datagrams for DatagramSocket {
    fn receive(&mut self) -> mock::BoxFuture<'_, io::Result<(Vec<u8>, SocketAddr)>> {
        Box::pin(poll_fn(|cx| self.poll_receive(cx)))
    }

    fn send<'a>(&'a mut self, datagram: &'a [u8], to: SocketAddr) -> mock::BoxFuture<'a, io::Result<()>> {
        Box::pin(std::future::ready(DatagramSocket::send(self, datagram, to)))
    }
}
