//! Where a mock's time and sockets come from. Both are injected: a run on the embedded relay counts every byte in flight
//! and moves its own clock; `gauntlet serve` and this crate's own tests take tokio's ([`real`]).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::time::RunTime;
use crate::transcript::Close;

pub mod real;

/// A boxed future, as the object-safe traits below return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The run's clock.
pub trait Clock: Send + Sync + 'static {
    /// The current moment of the run.
    fn now(&self) -> RunTime;
    /// Completes once the run has reached `at`; at once when it already has. Never for [`RunTime::NEVER`].
    fn sleep_until(&self, at: RunTime) -> BoxFuture<'static, ()>;
}

/// One TCP connection. Dropping it closes it with FIN.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// From now on, dropping the connection sends RST in place of FIN.
    fn reset_on_drop(&mut self) -> io::Result<()>;
    /// Ready once the peer has taken all that was written.
    fn poll_acknowledged(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// From now on what comes is read, or is not, though the connection stays open: then it is unread on purpose, and a
    /// clock that waits for all to be quiet need not wait for it.
    fn set_reading(&mut self, _reads: bool) {}
    /// How the peer has closed, once all that it said was read: nothing need be waited for. `None` as well where that cannot
    /// be known at once.
    fn ended(&self) -> Option<Close> {
        None
    }
    /// Ready once the peer has let go of the connection, and how, whether or not all that it said was read: nothing is read
    /// for that. Never ready where that cannot be known.
    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<Close> {
        Poll::Pending
    }
    /// Whether the peer has let go of the connection, with or without bytes of it that were not read yet. `false` where
    /// that cannot be known without reading them.
    fn peer_is_gone(&self) -> bool {
        false
    }
}

/// A socket that accepts connections.
pub trait Listener: Send + 'static {
    /// Connections that are accepted from now on have the smallest buffer that there is, so that a client soon meets a closed
    /// window when it is not read.
    fn narrow_window(&mut self) {}
    /// Called once, before the first connection is accepted.
    fn prepare(&mut self) {}
    /// The next connection, and the address it came from.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>>;
}

/// A datagram socket that anyone may write to; used for DNS.
pub trait Datagrams: Send + 'static {
    /// The next datagram, and the address it came from.
    fn receive(&mut self) -> BoxFuture<'_, io::Result<(Vec<u8>, SocketAddr)>>;
    /// Sends one datagram.
    fn send<'a>(&'a mut self, datagram: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>>;
}
