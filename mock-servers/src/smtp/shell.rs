//! Puts a socket and a clock under a [`Conversation`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::conversation::{Conversation, Input, Output};
use super::gate::Hold;
use super::tls::TlsMaterial;
use super::wire::{Handshake, Wire};
use crate::environment::{BoxFuture, Clock, Connection};
use crate::script::TlsAction;
use crate::time::RunTime;
use crate::transcript::{Close, Part, SessionRecorder, Side, What};

/// How long, in the run's time, a mock that closed in order still listens to what the peer says before it lets go of the
/// connection. On a clock that moves only when all is quiet, all that is under way still arrives and is written down; a
/// connection dropped at once would reset it away (RFC 1122 section 4.2.2.13), sooner or later as it happens.
const LINGER: Duration = Duration::from_secs(1);

/// A connection with what belongs to it.
pub(super) struct Shell {
    wire: Wire,
    clock: Arc<dyn Clock>,
    record: SessionRecorder,
    mock_is: Side,
    /// For servers: the certificates, and the server's name.
    tls: Option<(Arc<TlsMaterial>, String)>,
    timer: Option<(RunTime, BoxFuture<'static, ()>)>,
    buffer: Vec<u8>,
    peer_open: bool,
}

/// What happened on the connection.
enum Progress {
    Sent,
    Read(usize),
    Woke,
    Broken,
}

impl Shell {
    pub(super) fn new(
        connection: Box<dyn Connection>,
        clock: Arc<dyn Clock>,
        record: SessionRecorder,
        mock_is: Side,
        tls: Option<(Arc<TlsMaterial>, String)>,
    ) -> Self {
        let wire = Wire::Clear(connection);
        Self { wire, clock, record, mock_is, tls, timer: None, buffer: vec![0; 16 * 1024], peer_open: true }
    }

    /// Carries the conversation out to its end. Never ends when the mock stalls.
    pub(super) async fn converse(mut self, conversation: &mut dyn Conversation) {
        let mut queue: VecDeque<Output> = conversation.handle(Input::Connected, self.now()).into();
        let mut written = 0;
        loop {
            match queue.pop_front() {
                Some(Output::Record(what)) => self.record.event(self.now(), what),
                Some(Output::BeginTls(action)) => {
                    let Some((shell, inputs)) = self.begin_tls(&action, conversation).await else { return };
                    self = shell;
                    queue.extend(inputs);
                }
                Some(Output::CloseFin) => {
                    conversation.closed(self.now());
                    return self.close_in_order().await;
                }
                Some(Output::CloseReset { at_once }) => {
                    conversation.closed(self.now());
                    return self.reset(at_once).await;
                }
                Some(Output::Stall) => {
                    self.wire.connection().stop_reading();
                    return std::future::pending().await;
                }
                segment => {
                    let segment = match segment {
                        Some(Output::Send(bytes)) => Some(bytes),
                        _ => None,
                    };
                    // What comes after these is no longer this conversation's, or no longer in the clear.
                    let last = queue.iter().any(|o| !matches!(o, Output::Send(_) | Output::Record(_)));
                    let deadline = conversation.deadline();
                    let progress =
                        self.progress(segment.as_deref(), &mut written, !last, deadline, conversation.hold());
                    match progress.await {
                        Some(Progress::Sent) => {
                            written = 0;
                            conversation.sent(&segment.unwrap_or_default(), self.now());
                            continue;
                        }
                        Some(Progress::Read(0)) => {
                            self.peer_open = false;
                            self.closed(self.mock_is.other(), Close::Fin);
                            queue.extend(conversation.handle(Input::PeerClosed(Close::Fin), self.now()));
                        }
                        Some(Progress::Read(count)) => {
                            queue
                                .extend(conversation.handle(Input::Bytes(&self.buffer[..count]), self.now()));
                        }
                        Some(Progress::Woke) => queue.extend(conversation.handle(Input::Timer, self.now())),
                        Some(Progress::Broken) => {
                            self.closed(self.mock_is.other(), Close::Reset);
                            // There is no one left to do anything to.
                            for output in conversation.handle(Input::PeerClosed(Close::Reset), self.now()) {
                                if let Output::Record(what) = output {
                                    self.record.event(self.now(), what);
                                }
                            }
                            return conversation.closed(self.now());
                        }
                        // The peer is gone and nothing is left to be done.
                        None => return,
                    }
                    if let Some(bytes) = segment {
                        queue.push_front(Output::Send(bytes));
                    }
                }
            }
        }
    }

    fn now(&self) -> RunTime {
        self.clock.now()
    }

    fn closed(&self, by: Side, how: Close) {
        self.record.event(self.now(), What::Closed { by, how });
    }

    /// Waits until the segment is written, bytes have come, the hold is over, or the deadline has come: in this order,
    /// where several have.
    /// `None`: none of them can ever happen.
    async fn progress(
        &mut self,
        segment: Option<&[u8]>,
        written: &mut usize,
        reads: bool,
        deadline: Option<RunTime>,
        mut hold: Option<&mut Hold>,
    ) -> Option<Progress> {
        let reads = reads && self.peer_open;
        if segment.is_none() && !reads && deadline.is_none() && hold.is_none() {
            return None;
        }
        match (deadline, &self.timer) {
            (Some(at), Some((before, _))) if at == *before => {}
            (Some(at), _) => self.timer = Some((at, self.clock.sleep_until(at))),
            (None, _) => self.timer = None,
        }
        let progress = poll_fn(|cx| {
            if let Some(bytes) = segment {
                match poll_segment(&mut self.wire, cx, bytes, written) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Progress::Sent),
                    Poll::Ready(Err(_)) => return Poll::Ready(Progress::Broken),
                    Poll::Pending => {}
                }
            }
            if reads && let Poll::Ready(progress) = poll_bytes(&mut self.wire, cx, &mut self.buffer) {
                return Poll::Ready(progress);
            }
            if let Some(hold) = &mut hold
                && hold.poll_over(cx).is_ready()
            {
                return Poll::Ready(Progress::Woke);
            }
            match &mut self.timer {
                Some((_, timer)) => timer.as_mut().poll(cx).map(|()| Progress::Woke),
                None => Poll::Pending,
            }
        })
        .await;
        if matches!(progress, Progress::Woke) {
            self.timer = None;
        }
        Some(progress)
    }

    /// The handshake. `None`: this mock has no certificates, which is a client's case; the connection is gone.
    async fn begin_tls(
        mut self,
        action: &TlsAction,
        conversation: &mut dyn Conversation,
    ) -> Option<(Self, Vec<Output>)> {
        let (material, hostname) = self.tls.clone()?;
        let outputs;
        match self.wire.accept_tls(action, &hostname, &material).await {
            Handshake::Established { wire, version, server_name } => {
                self.wire = wire;
                let input = Input::TlsEstablished { version, server_name };
                outputs = conversation.handle(input, self.clock.now());
            }
            Handshake::Failed { wire, why, stall } => {
                self.wire = wire;
                outputs = conversation.handle(Input::TlsFailed { why, stall }, self.clock.now());
            }
        }
        Some((self, outputs))
    }

    /// FIN, then what the peer still says for a while.
    async fn close_in_order(mut self) {
        // A peer that is gone need not be told.
        let _ = self.wire.shutdown().await;
        self.closed(self.mock_is, Close::Fin);
        let deadline = self.now() + LINGER;
        while self.peer_open {
            match self.progress(None, &mut 0, true, Some(deadline), None).await {
                Some(Progress::Read(0)) => {
                    self.peer_open = false;
                    self.closed(self.mock_is.other(), Close::Fin);
                }
                Some(Progress::Read(count)) => {
                    let bytes = self.buffer[..count].to_vec();
                    let (from, tls) = (self.mock_is.other(), self.wire.is_tls());
                    self.record.event(self.now(), What::Bytes { from, bytes, tls, part: Part::Lines });
                }
                Some(Progress::Broken) => return self.closed(self.mock_is.other(), Close::Reset),
                Some(Progress::Sent | Progress::Woke) | None => return,
            }
        }
    }

    /// Waits until the peer has taken all that was said. A peer that is still writing takes it only after that: so what it
    /// says meanwhile is read, and written down.
    async fn acknowledged(&mut self) {
        loop {
            let read = poll_fn(|cx| {
                if self.wire.connection().poll_acknowledged(cx).is_ready() {
                    return Poll::Ready(None);
                }
                if !self.peer_open {
                    return Poll::Pending;
                }
                poll_bytes(&mut self.wire, cx, &mut self.buffer).map(Some)
            });
            match read.await {
                Some(Progress::Read(0)) => {
                    self.peer_open = false;
                    self.closed(self.mock_is.other(), Close::Fin);
                }
                Some(Progress::Read(count)) => {
                    let bytes = self.buffer[..count].to_vec();
                    let (from, tls) = (self.mock_is.other(), self.wire.is_tls());
                    self.record.event(self.now(), What::Bytes { from, bytes, tls, part: Part::Lines });
                }
                // Acknowledged, or gone.
                _ => return,
            }
        }
    }

    async fn reset(mut self, at_once: bool) {
        if !at_once {
            self.acknowledged().await;
        }
        // A connection that is already gone cannot be reset, and need not.
        let _ = self.wire.connection().reset_on_drop();
        self.closed(self.mock_is, Close::Reset);
    }
}

fn poll_segment(
    wire: &mut Wire,
    cx: &mut Context<'_>,
    bytes: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    while *written < bytes.len() {
        match Pin::new(&mut *wire).poll_write(cx, &bytes[*written..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => *written += count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Pin::new(wire).poll_flush(cx)
}

fn poll_bytes(wire: &mut Wire, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Progress> {
    let mut buf = ReadBuf::new(buffer);
    Pin::new(wire).poll_read(cx, &mut buf).map(|outcome| match outcome {
        Ok(()) => Progress::Read(buf.filled().len()),
        // TLS without close_notify: the connection itself ended in order.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Progress::Read(0),
        Err(_) => Progress::Broken,
    })
}
