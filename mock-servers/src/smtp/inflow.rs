//! The way in from a connection: how much of what comes is read, and until when it may come.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::environment::{BoxFuture, Clock, Connection};
use crate::script::Reading;
use crate::time::RunTime;
use crate::transcript::Close;

/// A connection of which no more is read than the script wants. It lies below TLS: what counts are octets on the wire.
pub(super) struct Inflow {
    connection: Box<dyn Connection>,
    clock: Arc<dyn Clock>,
    reading: Reading,
    /// Where it is read slowly: what may still be read before the renewal.
    left: usize,
    renewal: RunTime,
    /// From this moment on, waiting is an error.
    limit: Option<RunTime>,
    timer: Option<(RunTime, BoxFuture<'static, ()>)>,
    /// What was read and put back.
    put_back: Vec<u8>,
    /// Whether the connection was told that it is read.
    reads: bool,
    /// When it was to be read again, the peer had gone.
    left_behind: bool,
}

impl Inflow {
    /// An open inflow.
    pub(super) fn new(connection: Box<dyn Connection>, clock: Arc<dyn Clock>) -> Self {
        Self {
            connection,
            clock,
            reading: Reading::Freely,
            left: 0,
            renewal: RunTime::ZERO,
            limit: None,
            timer: None,
            put_back: Vec::new(),
            reads: true,
            left_behind: false,
        }
    }

    /// From now on so much is read.
    pub(super) fn open(&mut self, reading: Reading) {
        self.left_behind |= self.reading == Reading::Nothing && self.connection.peer_is_gone();
        self.reading = reading;
        self.left = 0;
        self.renewal = RunTime::ZERO;
        self.timer = None;
        self.tell(!matches!(reading, Reading::Nothing));
    }

    /// Until this is called again with `None`, nothing is waited for beyond this moment.
    pub(super) fn limit(&mut self, limit: Option<RunTime>) {
        self.limit = limit;
        self.timer = None;
    }

    /// These are read again, before anything else.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>) {
        self.put_back = bytes;
    }

    /// Whether what is read was left behind by a peer that has gone: nothing said from now on reaches it.
    pub(super) fn is_left_behind(&self) -> bool {
        self.left_behind
    }

    /// How the peer has closed, once all that it said was read.
    pub(super) fn ended(&self) -> Option<Close> {
        self.put_back.is_empty().then(|| self.connection.ended())?
    }

    /// The connection behind it.
    pub(super) fn connection(&mut self) -> &mut dyn Connection {
        &mut *self.connection
    }

    fn tell(&mut self, reads: bool) {
        if std::mem::replace(&mut self.reads, reads) != reads {
            self.connection.set_reading(reads);
        }
    }

    /// How many octets may be read at this moment.
    fn open_for(&mut self) -> usize {
        let Reading::Slowly { octets, .. } = self.reading else {
            return if self.reading == Reading::Nothing { 0 } else { usize::MAX };
        };
        if self.clock.now() >= self.renewal {
            if self.left == 0 && self.connection.peer_is_gone() {
                // What it left behind can be read at once: there is no one whom slowness could trouble, and a run that
                // waited for the last of it would not end.
                self.reading = Reading::Freely;
                self.left_behind = true;
                self.tell(true);
                return usize::MAX;
            }
            self.left = octets;
        }
        self.tell(self.left > 0);
        self.left
    }

    fn was_read(&mut self, count: usize) {
        if let Reading::Slowly { octets, every } = self.reading {
            if self.left == octets {
                self.renewal = self.clock.now() + every;
            }
            self.left -= count.min(self.left);
        }
    }

    /// Ready at the renewal, and with an error at the limit.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = matches!(self.reading, Reading::Slowly { .. }) && self.left == 0;
        let wake = closed.then_some(self.renewal).into_iter().chain(self.limit).min();
        let Some(at) = wake else { return Poll::Pending };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            self.timer = Some((at, self.clock.sleep_until(at)));
        }
        let Some((_, timer)) = &mut self.timer else { return Poll::Pending };
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timer = None;
        let late = self.limit.is_some_and(|limit| self.clock.now() >= limit);
        Poll::Ready(if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) })
    }
}

impl AsyncRead for Inflow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.put_back.is_empty() {
            let count = this.put_back.len().min(buf.remaining());
            buf.put_slice(&this.put_back[..count]);
            this.put_back.drain(..count);
            return Poll::Ready(Ok(()));
        }
        loop {
            let open = this.open_for();
            if open >= buf.remaining() {
                let before = buf.filled().len();
                if let Poll::Ready(outcome) = Pin::new(&mut this.connection).poll_read(cx, buf) {
                    this.was_read(buf.filled().len() - before);
                    return Poll::Ready(outcome);
                }
            } else if open > 0 {
                let mut part = buf.take(open);
                if let Poll::Ready(outcome) = Pin::new(&mut this.connection).poll_read(cx, &mut part) {
                    let count = part.filled().len();
                    let read = part.filled().to_vec();
                    buf.put_slice(&read);
                    this.was_read(count);
                    return Poll::Ready(outcome);
                }
            }
            match this.poll_wait(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(late)) => return Poll::Ready(Err(late)),
            }
        }
    }
}

impl AsyncWrite for Inflow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.connection).poll_write(cx, bytes) {
            // A peer that never reads must not hold what has a limit.
            Poll::Pending if self.limit.is_some() => match self.poll_wait(cx) {
                Poll::Ready(Err(late)) => Poll::Ready(Err(late)),
                Poll::Ready(Ok(())) => {
                    // That was the renewal; the limit is still to come.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            },
            written => written,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What TLS says at its end, an alert behind other records, is in several pieces, and is written once only.
        let octets: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        self.poll_write(cx, &octets)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
