//! The network of an embedded run: the scenario's addresses, led to loopback sockets on free ports.
//!
//! Both ends of every socket are here, so what is in flight is counted ([`super::sim`]). Addresses that a relay or a mock
//! sees are always the scenario's; the loopback ones are seen by nobody. No address leads anywhere else: mail cannot
//! escape.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as BlockingTcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use mock_servers::transcript::Close;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::sim::{Hold, InputId, Open, Sim, Turn};

/// Bytes that may be in flight in one direction. Below what any kernel buffers, so that flow control is ours and the same
/// everywhere.
const WINDOW: usize = 64 * 1024;

/// The network of one run. Clones are the same one.
#[derive(Clone)]
pub(super) struct Net {
    pub(super) sim: Sim,
    book: Arc<Mutex<Book>>,
}

/// Who is where.
#[derive(Default)]
struct Book {
    listeners: BTreeMap<SocketAddr, Listening>,
    refused: Vec<SocketAddr>,
    filtered: Vec<SocketAddr>,
    ports: BTreeMap<IpAddr, u16>,
    pub(super) datagrams: BTreeMap<SocketAddr, OpenDatagrams>,
}

/// A datagram socket that is open at an address of the scenario's.
pub(super) struct OpenDatagrams {
    pub(super) real: SocketAddr,
    pub(super) input: InputId,
}

struct Listening {
    real: SocketAddr,
    input: InputId,
    backlog: Vec<Pending>,
}

/// A connection that was opened and not yet accepted.
struct Pending {
    /// The loopback address that the listener will see.
    real: SocketAddr,
    /// The address that the accepting side is told.
    client: SocketAddr,
    to_server: InputId,
    to_client: InputId,
    open: Arc<Open>,
}

impl Net {
    /// An empty network on this simulation.
    pub(super) fn new(sim: Sim) -> Self {
        Self { sim, book: Arc::default() }
    }

    /// Makes connections to this address be refused.
    pub(super) fn refuse(&self, at: SocketAddr) {
        self.book().refused.push(at);
    }

    /// Makes connections to this address hang.
    pub(super) fn filter(&self, at: SocketAddr) {
        self.book().filtered.push(at);
    }

    /// Listens at an address of the scenario's.
    pub(super) fn listen(&self, at: SocketAddr) -> io::Result<Accepting> {
        if self.book().listeners.contains_key(&at) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("something listens at {at} already"),
            ));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let input = self.sim.new_input();
        let real = listener.local_addr()?;
        self.book().listeners.insert(at, Listening { real, input, backlog: Vec::new() });
        Ok(Accepting { net: self.clone(), at, input, listener, early: Vec::new() })
    }

    /// Opens a connection from an address of the scenario's, at the next free port there, which is told.
    pub(super) async fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
        let real = {
            let book = self.book();
            match book.listeners.get(&to) {
                Some(listening) => Some(listening.real),
                None if book.filtered.contains(&to) => None,
                None if book.refused.contains(&to) || book.listeners.keys().any(|a| a.ip() == to.ip()) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
                }
                None => return Err(io::Error::new(io::ErrorKind::HostUnreachable, "no route to host")),
            }
        };
        let open = Arc::new(self.sim.open(format!("a connection with {} was open", to.ip())));
        let Some(real) = real else { return std::future::pending().await };
        // On loopback this does not wait: the kernel completes the handshake before anyone accepts.
        let stream = BlockingTcpStream::connect(real)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        let (to_server, to_client) = (self.sim.new_input(), self.sim.new_input());
        let client = SocketAddr::new(from, self.next_port(from));
        let mut book = self.book();
        let Some(listening) = book.listeners.get_mut(&to) else {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
        };
        listening.backlog.push(Pending {
            real: stream.local_addr()?,
            client,
            to_server,
            to_client,
            open: open.clone(),
        });
        let accept = listening.input;
        drop(book);
        self.sim.was_sent(accept, 1);
        Ok((Socket::new(self.sim.clone(), stream, to_client, to_server, open), client))
    }

    pub(super) fn next_port(&self, at: IpAddr) -> u16 {
        let mut book = self.book();
        let port = book.ports.entry(at).or_insert(40_000);
        *port = port.checked_add(1).unwrap_or(40_001);
        *port
    }

    pub(super) fn with_datagrams<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<SocketAddr, OpenDatagrams>) -> T,
    ) -> T {
        change(&mut self.book().datagrams)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics while holding the address book")
    }
}

/// A listener. Dropping it refuses those that wait, and all that come later.
pub(super) struct Accepting {
    net: Net,
    at: SocketAddr,
    input: InputId,
    listener: TcpListener,
    /// Accepted from the kernel before their turn.
    early: Vec<(TcpStream, SocketAddr)>,
}

impl Accepting {
    /// The next connection and its client's address.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let Turn::Read(_) = self.net.sim.turn(self.input, cx) else { return Poll::Pending };
        let first = self.net.book().listeners[&self.at].backlog[0].real;
        let stream = loop {
            if let Some(index) = self.early.iter().position(|(_, real)| *real == first) {
                break self.early.swap_remove(index).0;
            }
            match self.listener.poll_accept(cx) {
                Poll::Ready(accepted) => self.early.push(accepted?),
                Poll::Pending => {
                    self.net.sim.held_back(self.input);
                    return Poll::Pending;
                }
            }
        };
        stream.set_nodelay(true)?;
        self.net.sim.was_read(self.input, 1);
        let pending = self
            .net
            .book()
            .listeners
            .get_mut(&self.at)
            .map(|l| l.backlog.remove(0))
            .expect("it was looked at above");
        let sim = self.net.sim.clone();
        let socket = Socket::new(sim, stream, pending.to_server, pending.to_client, pending.open);
        Poll::Ready(Ok((socket, pending.client)))
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let listening = self.net.book().listeners.remove(&self.at);
        for pending in listening.into_iter().flat_map(|l| l.backlog) {
            self.net.sim.end(pending.to_client, Close::Reset);
            self.net.sim.reader_gone(pending.to_server);
        }
        self.net.sim.remove(self.input);
    }
}

/// One end of a connection.
pub(super) struct Socket {
    sim: Sim,
    stream: TcpStream,
    incoming: InputId,
    outgoing: InputId,
    ended: bool,
    reset: bool,
    scratch: Vec<u8>,
    /// While the kernel has no room for what is to be sent.
    holding: Option<Hold>,
    /// Open as long as either end is.
    _open: Arc<Open>,
}

impl Socket {
    fn new(sim: Sim, stream: TcpStream, incoming: InputId, outgoing: InputId, open: Arc<Open>) -> Self {
        Self {
            sim,
            stream,
            incoming,
            outgoing,
            ended: false,
            reset: false,
            scratch: Vec::new(),
            holding: None,
            _open: open,
        }
    }

    /// From now on a drop resets.
    pub(super) fn reset_on_drop(&mut self) {
        self.reset = true;
    }

    /// What comes is left unread for now: the clock need not wait for it. Reading again asks for a turn of its own accord.
    pub(super) fn set_reading(&mut self, reads: bool) {
        if !reads {
            self.sim.stops_reading(self.incoming);
        }
    }

    /// Whether the other end was dropped.
    pub(super) fn peer_is_gone(&self) -> bool {
        self.sim.is_reader_gone(self.outgoing)
    }

    /// Ready once the other end was dropped, and how.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<Close> {
        self.sim.poll_gone(self.incoming, self.outgoing, cx).map_or(Poll::Pending, Poll::Ready)
    }

    /// Sends now: the runtime would first wait to hear that a new socket can be written to, and the clock would not know.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match socket2::SockRef::from(&self.stream).send(bytes) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => {}
            sent => {
                self.holding = None;
                return Poll::Ready(sent);
            }
        }
        self.holding.get_or_insert_with(|| self.sim.hold());
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.holding = None;
        Poll::Ready(sent)
    }

    /// Ready once the other end has read all that was written.
    pub(super) fn poll_all_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sim.all_read(self.outgoing, cx) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let in_flight = match self.sim.turn(self.incoming, cx) {
            Turn::Wait => return Poll::Pending,
            Turn::End(Close::Fin) => return Poll::Ready(Ok(())),
            Turn::End(Close::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Turn::Read(in_flight) => in_flight,
        };
        let this = &mut *self;
        let wanted = in_flight.min(buf.remaining());
        // All of it or nothing: how the kernel cuts it up is not for the reader to see.
        while this.scratch.len() < wanted {
            let Poll::Ready(readable) = this.stream.poll_read_ready(cx) else {
                this.sim.held_back(this.incoming);
                return Poll::Pending;
            };
            readable?;
            let have = this.scratch.len();
            this.scratch.resize(wanted, 0);
            let read = this.stream.try_read(&mut this.scratch[have..]);
            this.scratch.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        buf.put_slice(&this.scratch[..wanted]);
        this.scratch.drain(..wanted);
        this.sim.was_read(this.incoming, wanted);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = match self.sim.room(self.outgoing, WINDOW, cx) {
            // As with TCP: who writes to a peer that has gone learns of it by reading.
            None => return Poll::Ready(Ok(bytes.len())),
            Some(0) if !bytes.is_empty() => return Poll::Pending,
            Some(room) => room.min(bytes.len()),
        };
        let sent = ready!(self.poll_send(cx, &bytes[..room]))?;
        self.sim.was_sent(self.outgoing, sent);
        Poll::Ready(Ok(sent))
    }

    /// All pieces at once, as the kernel takes them: TLS writes its last words, an alert behind other records, only once.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let octets: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        self.poll_write(cx, &octets)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            self.ended = true;
            self.sim.end(self.outgoing, Close::Fin);
        }
        // An error here only says that the peer's end is closed already.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A kernel that closes with unread bytes resets in place of ending in order.
        let mut unread = [0; 4096];
        while !self.reset && self.stream.try_read(&mut unread).is_ok_and(|n| n > 0) {}
        if self.reset {
            // Best effort: the reader is told of the reset by the simulation in any case.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
        }
        if self.reset || !self.ended {
            self.sim.end(self.outgoing, if self.reset { Close::Reset } else { Close::Fin });
        }
        self.sim.reader_gone(self.incoming);
    }
}
