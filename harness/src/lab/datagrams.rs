//! Datagram sockets of an embedded run, counted like connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::net::{Net, OpenDatagrams};
use super::sim::{InputId, Turn};

/// A datagram socket at an address of the scenario's.
pub(super) struct DatagramSocket {
    net: Net,
    at: SocketAddr,
    input: InputId,
    socket: UdpSocket,
}

impl DatagramSocket {
    /// Opens a socket at this address.
    pub(super) fn open(net: &Net, at: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let (input, real) = (net.sim.new_input(), socket.local_addr()?);
        net.with_datagrams(|open| open.insert(at, OpenDatagrams { real, input }));
        Ok(Self { net: net.clone(), at, input, socket })
    }

    /// The next datagram and the scenario's address of its sender.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Vec<u8>, SocketAddr)>> {
        let Turn::Read(_) = self.net.sim.turn(self.input, cx) else { return Poll::Pending };
        let mut datagram = vec![0; 65_535];
        let mut buf = ReadBuf::new(&mut datagram);
        let Poll::Ready(received) = self.socket.poll_recv_from(cx, &mut buf) else {
            self.net.sim.held_back(self.input);
            return Poll::Pending;
        };
        let (from, length) = (received?, buf.filled().len());
        datagram.truncate(length);
        self.net.sim.was_read(self.input, 1);
        let sender = self.net.with_datagrams(|open| {
            open.iter().find(|(_, socket)| socket.real == from).map_or(from, |(at, _)| *at)
        });
        Poll::Ready(Ok((datagram, sender)))
    }

    /// Sends one datagram. As with UDP, one that nobody waits for is lost without a word.
    pub(super) fn send(&mut self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let peer = self.net.with_datagrams(|open| open.get(&to).map(|peer| (peer.real, peer.input)));
        if let Some((real, input)) = peer {
            // Now, and not when the runtime has heard that a new socket can be written to: the clock would not know.
            socket2::SockRef::from(&self.socket).send_to(datagram, &real.into())?;
            self.net.sim.was_sent(input, 1);
        }
        Ok(())
    }
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        self.net.with_datagrams(|open| open.remove(&self.at));
        self.net.sim.remove(self.input);
    }
}
