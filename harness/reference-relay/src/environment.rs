//! The relay's view of the world: a clock and a network, both injected.
//!
//! The relay never reads the system's time and never opens a socket of its own accord. Whoever starts it hands
//! both in; that is what lets five days of queue life pass in milliseconds, and what keeps mail from escaping.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future, as the object-safe traits below return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the relay's time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> SystemTime;
    /// Completes once [`Clock::now`] has reached `at`; at once when it already has.
    fn sleep_until(&self, at: SystemTime) -> BoxFuture<'static, ()>;
}

/// One byte stream, in or out.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A socket that accepts connections.
pub trait Listener: Send + 'static {
    /// The next connection, and the address it came from.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;
}

/// A datagram socket connected to one peer; used for DNS (RFC 1035 section 4.2.1).
pub trait Datagrams: Send + 'static {
    /// Sends one datagram.
    fn send<'a>(&'a mut self, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;
    /// The next datagram from the peer.
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Vec<u8>>>;
}

/// Where the relay's sockets come from. Addresses are those the relay sees (a mail exchanger on port 25), wherever
/// the sockets may really lead.
pub trait Network: Send + Sync + 'static {
    /// Opens a TCP connection. Errors are those of `connect(2)`: refused, timed out, unreachable.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
    /// Listens for TCP connections.
    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
    /// Opens a UDP socket towards one peer.
    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Datagrams>>>;
}

/// The disk under the spool, as far as it can be spoilt. Clones are the same disk, so that what is wrong with it outlives
/// a relay that is killed.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    full: Arc<AtomicBool>,
    trouble: Arc<Mutex<Option<(io::ErrorKind, String)>>>,
}

impl Disk {
    /// From now on the disk has no room left (`true`), or has room again. What is on a full disk can be read,
    /// overwritten in its place, renamed and removed, as on most file systems.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// The first thing that went wrong with the disk itself, if something did.
    pub fn trouble(&self) -> Option<io::Error> {
        let trouble = self.trouble.lock().expect("nobody panics while holding it").clone();
        trouble.map(|(kind, why)| io::Error::new(kind, why))
    }

    /// Keeps an error of the disk itself in mind, and passes it on.
    pub(crate) fn noted<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            let mut trouble = self.trouble.lock().expect("nobody panics while holding it");
            trouble.get_or_insert_with(|| (error.kind(), error.to_string()));
        })
    }

    /// Whether there is room for something new: ENOSPC when there is none.
    pub(crate) fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
