//! tokio's own clock and sockets, for servers that stand in the real world.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::Instant;

use super::{BoxFuture, Clock, Connection, Datagrams, Listener};
use crate::time::RunTime;
use crate::transcript::Close;

/// What is asked for where the window is to close soon; Linux doubles it.
const SMALLEST_BUFFER: usize = 2048;

/// Real time, counted from the moment this was made.
#[derive(Debug, Clone)]
pub struct RealClock(Instant);

impl RealClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RealClock {
    fn now(&self) -> RunTime {
        RunTime::new(self.0.elapsed())
    }

    fn sleep_until(&self, at: RunTime) -> BoxFuture<'static, ()> {
        match self.0.checked_add(at.since_start()) {
            Some(deadline) => Box::pin(tokio::time::sleep_until(deadline)),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// A TCP connection of the operating system.
#[derive(Debug)]
pub struct RealConnection(pub TcpStream);

impl Connection for RealConnection {
    fn reset_on_drop(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO))
    }

    /// Always ready: what the peer has acknowledged cannot be asked portably.
    fn poll_acknowledged(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn ended(&self) -> Option<Close> {
        match socket2::SockRef::from(&self.0).peek(&mut [std::mem::MaybeUninit::uninit()]) {
            Ok(0) => Some(Close::Fin),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(Close::Reset),
            _ => None,
        }
    }
}

impl AsyncRead for RealConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for RealConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Listener for TcpListener {
    fn narrow_window(&mut self) {
        // Accepted sockets inherit it. Best effort: the kernel has a least size of its own, and without it the window closes
        // all the same, only later.
        let _ = socket2::SockRef::from(&*self).set_recv_buffer_size(SMALLEST_BUFFER);
    }

    fn prepare(&mut self) {
        // A scripted segment must leave as it stands, not wait for the next one. On Linux accepted sockets inherit this, which
        // saves a system call for each of them; elsewhere each is told below.
        let _ = socket2::SockRef::from(&*self).set_tcp_nodelay(true);
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>> {
        Box::pin(async {
            let (stream, from) = TcpListener::accept(self).await?;
            if !cfg!(target_os = "linux") {
                stream.set_nodelay(true)?;
            }
            Ok((Box::new(RealConnection(stream)) as Box<dyn Connection>, from))
        })
    }
}

impl Datagrams for UdpSocket {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<(Vec<u8>, SocketAddr)>> {
        Box::pin(async {
            let mut datagram = vec![0; 65_535];
            let (length, from) = self.recv_from(&mut datagram).await?;
            datagram.truncate(length);
            Ok((datagram, from))
        })
    }

    fn send<'a>(&'a mut self, datagram: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.send_to(datagram, to).await.map(drop) })
    }
}
