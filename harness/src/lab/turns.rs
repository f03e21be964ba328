//! What comes from a real relay is taken up one thing at a time, at the moments at which the relay waits.
//!
//! A relay of many processes says many things at once, and how they fall between each other and the servers' answers would be
//! the machine's doing. So a server sees a connection, a datagram or bytes only when its turn has come: when all is quiet, one
//! input that has something is let through, the oldest first, and with as much as has come by then. It is the order of the
//! simulation around an embedded relay ([`super::sim`]), with the kernel's sockets in between.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use mock_servers::environment::real::RealConnection;
use mock_servers::environment::{BoxFuture, Connection, Datagrams, Listener};
use mock_servers::transcript::Close;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Whose turn it is. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    serial: u64,
    /// Those that have something, in the order in which they were made.
    waiting: BTreeMap<u64, Waker>,
    granted: Option<u64>,
    /// Nobody gives turns: whatever comes is taken up as it comes.
    free: bool,
}

impl Turns {
    /// For a relay that has a time of its own: there are no moments at which all is quiet.
    pub(super) fn free() -> Self {
        Self(Arc::new(Mutex::new(State { free: true, ..State::default() })))
    }

    /// Lets one input through, to be called when all is quiet. `false`: there is none that has something.
    pub(super) fn grant_next(&self) -> bool {
        let waker = {
            let mut state = self.lock();
            // Whoever had its turn and has turned to something else asks again when it comes back.
            state.granted = None;
            let Some((id, waker)) = state.waiting.pop_first() else { return false };
            state.granted = Some(id);
            waker
        };
        waker.wake();
        true
    }

    fn place(&self) -> Place {
        let mut state = self.lock();
        state.serial += 1;
        Place { turns: self.clone(), id: state.serial }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place where something arrives: what is read of a connection, a listener, a datagram socket.
struct Place {
    turns: Turns,
    id: u64,
}

impl Place {
    /// Something has come: ready when its turn has.
    fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.turns.lock();
        if state.free {
            return Poll::Ready(());
        }
        if state.granted == Some(self.id) {
            state.granted = None;
            return Poll::Ready(());
        }
        state.waiting.insert(self.id, cx.waker().clone());
        Poll::Pending
    }

    fn wants_nothing(&self) {
        let mut state = self.turns.lock();
        state.waiting.remove(&self.id);
        if state.granted == Some(self.id) {
            state.granted = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.wants_nothing();
    }
}

/// A connection with a real relay.
pub(super) struct InTurn {
    connection: RealConnection,
    place: Place,
    /// How much of what had come when it had its turn is still to be read.
    left: usize,
}

impl InTurn {
    pub(super) fn new(stream: TcpStream, turns: &Turns) -> Self {
        Self { connection: RealConnection(stream), place: turns.place(), left: 0 }
    }

    fn arrived(&self) -> usize {
        #[cfg(target_os = "linux")]
        let arrived = rustix::io::ioctl_fionread(&self.connection.0).unwrap_or_default();
        #[cfg(not(target_os = "linux"))]
        let arrived = 0;
        // Its end is read by a read of its own.
        usize::try_from(arrived).unwrap_or(usize::MAX).max(1)
    }
}

impl Connection for InTurn {
    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.connection.reset_on_drop()
    }

    fn poll_acknowledged(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_acknowledged(cx)
    }

    fn set_reading(&mut self, reads: bool) {
        if !reads {
            self.place.wants_nothing();
        }
    }

    fn ended(&self) -> Option<Close> {
        self.connection.ended()
    }
}

impl AsyncRead for InTurn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            // Whatever it is, an end and an error too: it is there.
            let _ = ready!(self.connection.0.poll_peek(cx, &mut ReadBuf::new(&mut [0])));
            ready!(self.place.poll_turn(cx));
            self.left = self.arrived();
        }
        let most = self.left.min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.connection).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buf.advance(count);
        self.left = self.left.saturating_sub(count.max(1));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for InTurn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

/// Listens to a real relay.
pub(super) struct ListensInTurn {
    listener: TcpListener,
    place: Place,
    /// Accepted, and its turn has not come.
    came: Option<(TcpStream, SocketAddr)>,
}

impl ListensInTurn {
    pub(super) fn new(listener: TcpListener, turns: &Turns) -> Self {
        Self { listener, place: turns.place(), came: None }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(InTurn, SocketAddr)>> {
        if self.came.is_none() {
            self.came = Some(ready!(self.listener.poll_accept(cx))?);
        }
        ready!(self.place.poll_turn(cx));
        let Some((stream, from)) = self.came.take() else { return Poll::Pending };
        Poll::Ready(Ok((InTurn::new(stream, &self.place.turns), from)))
    }
}

impl Listener for ListensInTurn {
    fn narrow_window(&mut self) {
        self.listener.narrow_window();
    }

    fn prepare(&mut self) {
        self.listener.prepare();
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>> {
        Box::pin(async {
            let (connection, from) = std::future::poll_fn(|cx| self.poll_accept(cx)).await?;
            Ok((Box::new(connection) as Box<dyn Connection>, from))
        })
    }
}

/// A datagram socket that a real relay writes to.
pub(super) struct DatagramsInTurn {
    socket: UdpSocket,
    place: Place,
    /// Read, and its turn has not come.
    came: Option<(Vec<u8>, SocketAddr)>,
}

impl DatagramsInTurn {
    pub(super) fn new(socket: UdpSocket, turns: &Turns) -> Self {
        Self { socket, place: turns.place(), came: None }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Vec<u8>, SocketAddr)>> {
        if self.came.is_none() {
            let mut octets = vec![0; 65_535];
            let mut datagram = ReadBuf::new(&mut octets);
            let from = ready!(self.socket.poll_recv_from(cx, &mut datagram))?;
            self.came = Some((datagram.filled().to_vec(), from));
        }
        ready!(self.place.poll_turn(cx));
        self.came.take().map_or(Poll::Pending, |came| Poll::Ready(Ok(came)))
    }
}

impl Datagrams for DatagramsInTurn {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<(Vec<u8>, SocketAddr)>> {
        Box::pin(std::future::poll_fn(|cx| self.poll_receive(cx)))
    }

    fn send<'a>(&'a mut self, datagram: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.socket.send_to(datagram, to).await.map(drop) })
    }
}
