//! The network of a run as its mock servers and clients use it: simulated around an embedded relay, or the Internet's side
//! of a lab of namespaces around a real one, or this machine's own for one that runs elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lab_init::Lab;
use mock_servers::environment::{Connection, Datagrams, Listener};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use super::datagrams::DatagramSocket;
use super::net::Net;
use super::outside::Outside;
use super::turns::{DatagramsInTurn, InTurn, ListensInTurn, Turns};

/// The network of one run. Clones are the same one.
#[derive(Clone)]
pub(super) enum Wires {
    /// Addresses that lead to loopback sockets.
    Simulated(Net),
    /// The addresses themselves, in namespaces; what comes from there is taken up in turn.
    Lab(Arc<Lab>, Turns),
    /// Addresses of this machine that stand for them.
    Outside(Outside),
}

impl Wires {
    /// Makes connections to this address be refused.
    pub(super) fn refuse(&self, at: SocketAddr) -> io::Result<()> {
        match self {
            Self::Simulated(net) => {
                net.refuse(at);
                Ok(())
            }
            // What exists and where nobody listens refuses.
            Self::Lab(..) => self.exist(at.ip()),
            Self::Outside(_) => Ok(()),
        }
    }

    /// Makes connections to this address hang.
    pub(super) fn filter(&self, at: SocketAddr) -> io::Result<()> {
        match self {
            Self::Simulated(net) => net.filter(at),
            // What does not exist does not answer.
            Self::Lab(..) => {}
            Self::Outside(outside) => outside.filter(at)?,
        }
        Ok(())
    }

    /// Makes an address exist where nothing listens yet.
    pub(super) fn exist(&self, at: IpAddr) -> io::Result<()> {
        match self {
            Self::Simulated(_) | Self::Outside(_) => Ok(()),
            Self::Lab(lab, _) => lab.add_addresses(&[at]).map_err(io::Error::other),
        }
    }

    /// Listens at an address of the scenario's.
    pub(super) fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        match self {
            Self::Simulated(net) => Ok(Box::new(net.listen(at)?)),
            Self::Lab(lab, turns) => {
                let listener = lab.bind_tcp(at).map_err(io::Error::other)?;
                Ok(Box::new(ListensInTurn::new(TcpListener::from_std(listener)?, turns)))
            }
            Self::Outside(outside) => Ok(Box::new(outside.listen(at)?)),
        }
    }

    /// Opens a datagram socket at an address of the scenario's.
    pub(super) fn datagrams(&self, at: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        match self {
            Self::Simulated(net) => Ok(Box::new(DatagramSocket::open(net, at)?)),
            Self::Lab(lab, turns) => {
                let socket = lab.bind_udp(at).map_err(io::Error::other)?;
                Ok(Box::new(DatagramsInTurn::new(UdpSocket::from_std(socket)?, turns)))
            }
            Self::Outside(outside) => Ok(Box::new(outside.datagrams(at)?)),
        }
    }

    /// Opens a connection from an address of the scenario's; the port there is told.
    pub(super) async fn connect(
        &self,
        from: IpAddr,
        to: SocketAddr,
    ) -> io::Result<(Box<dyn Connection>, SocketAddr)> {
        match self {
            Self::Simulated(net) => {
                let (socket, from) = net.connect(from, to).await?;
                Ok((Box::new(socket), from))
            }
            Self::Lab(lab, turns) => {
                let socket = lab.client_tcp(from).map_err(io::Error::other)?;
                let stream = TcpSocket::from_std_stream(socket.into()).connect(to).await?;
                stream.set_nodelay(true)?;
                let from = stream.local_addr()?;
                Ok((Box::new(InTurn::new(stream, turns)), from))
            }
            Self::Outside(outside) => {
                let (connection, from) = outside.connect(from, to).await?;
                Ok((Box::new(connection), from))
            }
        }
    }
}
