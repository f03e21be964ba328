//! Puts a socket and a clock under a [`Conversation`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::buffer::Buffer;
use super::conversation::{Conversation, Input, Output};
use super::gate::Hold;
use super::inflow::Inflow;
use super::tls::TlsMaterial;
use super::wire::{Handshake, Wire};
use crate::environment::{BoxFuture, Clock, Connection};
use crate::script::{Reading, TlsAction, TlsFault};
use crate::time::RunTime;
use crate::transcript::{Close, Part, SessionRecorder, Side, What};

/// How long, in the run's time, a mock that closed in order still listens to what the peer says before it lets go of the
/// connection. On a clock that moves only when all is quiet, all that is under way still arrives and is written down; a
/// connection dropped at once would reset it away (RFC 1122 section 4.2.2.13), sooner or later as it happens.
const LINGER: Duration = Duration::from_secs(1);

/// How long, in the run's time, a TLS handshake may take: as long as a command (RFC 5321 section 4.5.3.2.7). A client that
/// never says its ClientHello must not hold a session for ever.
const HANDSHAKE: Duration = Duration::from_mins(5);

/// Segments that may wait for a peer that reads none of them, as one that sends commands for ever. Then nothing more is read
/// until it does.
const MOST_UNSENT: usize = 100_000;

/// Which end of the connection the mock is.
pub(super) enum Ends {
    /// The server, with the certificates of the run.
    Server {
        /// The certificates.
        tls: Arc<TlsMaterial>,
        /// The name to show one for.
        hostname: String,
    },
    /// The client.
    Client,
}

/// A connection with what belongs to it.
pub(super) struct Shell {
    wire: Wire,
    clock: Arc<dyn Clock>,
    record: SessionRecorder,
    mock_is: Side,
    ends: Ends,
    timer: Option<(RunTime, BoxFuture<'static, ()>)>,
    buffer: Buffer,
    peer_open: bool,
    /// The peer's close is written down, though what it said before is still to be read.
    close_noted: bool,
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
        ends: Ends,
    ) -> Self {
        let wire = Wire::Clear(Inflow::new(connection, clock.clone()));
        let mock_is = match ends {
            Ends::Server { .. } => Side::Server,
            Ends::Client => Side::Client,
        };
        Self {
            wire,
            clock,
            record,
            mock_is,
            ends,
            timer: None,
            buffer: Buffer::take(),
            peer_open: true,
            close_noted: false,
        }
    }

    /// From now on so much is read.
    pub(super) fn read(&mut self, reading: Reading) {
        self.wire.inflow().open(reading);
    }

    /// Carries the conversation out to its end. Never ends when the mock stalls, which notes only that the peer has gone.
    pub(super) async fn converse(mut self, conversation: &mut dyn Conversation) {
        let mut queue: VecDeque<Output> = conversation.handle(Input::Connected, self.now()).into();
        let mut written = 0;
        loop {
            match queue.pop_front() {
                Some(Output::Record(what)) => self.record.event(self.now(), what),
                Some(Output::BeginTls(action)) => {
                    // In a box: few sessions come here, and a handshake's state is many times the size of all else.
                    let (shell, outputs) = Box::pin(self.begin_tls(&action, conversation)).await;
                    self = shell;
                    queue.extend(outputs);
                }
                Some(Output::Read(reading)) => self.read(reading),
                Some(Output::CloseFin) => {
                    conversation.closed(self.now());
                    return self.close_in_order(true, conversation).await;
                }
                Some(Output::CloseWithoutNotify) => {
                    conversation.closed(self.now());
                    return self.close_in_order(false, conversation).await;
                }
                Some(Output::CloseReset { at_once }) => {
                    conversation.closed(self.now());
                    return self.reset(at_once, conversation).await;
                }
                Some(Output::Stall) => {
                    self.read(Reading::Nothing);
                    let how = poll_fn(|cx| self.wire.inflow().connection().poll_gone(cx)).await;
                    self.peer_closed(how);
                    // As long as the run: to a peer that has gone, it is all the same.
                    return std::future::pending().await;
                }
                segment => {
                    let segment = match segment {
                        Some(Output::Send(bytes)) => Some(bytes),
                        _ => None,
                    };
                    // What comes after these is no longer this conversation's, or no longer in the clear.
                    let last = queue.iter().any(|o| !matches!(o, Output::Send(_) | Output::Record(_)));
                    let reads = !last && !conversation.is_full() && queue.len() < MOST_UNSENT;
                    let deadline = conversation.deadline();
                    let progress =
                        self.progress(segment.as_deref(), &mut written, reads, deadline, conversation.hold());
                    match progress.await {
                        Some(Progress::Sent) => {
                            written = 0;
                            conversation.sent(&segment.unwrap_or_default(), self.now());
                            continue;
                        }
                        Some(Progress::Read(0)) => {
                            self.peer_open = false;
                            self.peer_closed(Close::Fin);
                            queue.extend(conversation.handle(Input::PeerClosed(Close::Fin), self.now()));
                        }
                        Some(Progress::Read(count)) => {
                            if !self.close_noted && self.wire.inflow().is_left_behind() {
                                self.peer_closed(Close::Fin);
                                self.close_noted = true;
                            }
                            let (bytes, now) = (&self.buffer.octets()[..count], self.clock.now());
                            queue.extend(conversation.handle(Input::Bytes(bytes), now));
                        }
                        Some(Progress::Woke) => queue.extend(conversation.handle(Input::Timer, self.now())),
                        Some(Progress::Broken) => {
                            self.peer_closed(Close::Reset);
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

    fn peer_closed(&self, how: Close) {
        if !self.close_noted {
            self.closed(self.mock_is.other(), how);
        }
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
        if self.timer.as_ref().is_some_and(|(before, _)| Some(*before) != deadline) {
            self.timer = None;
        }
        let progress = poll_fn(|cx| {
            if let Some(bytes) = segment {
                match poll_segment(&mut self.wire, cx, bytes, written) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Progress::Sent),
                    Poll::Ready(Err(_)) => return Poll::Ready(Progress::Broken),
                    Poll::Pending => {}
                }
            }
            if reads && let Poll::Ready(progress) = poll_bytes(&mut self.wire, cx, self.buffer.octets()) {
                return Poll::Ready(progress);
            }
            if let Some(hold) = &mut hold
                && hold.poll_over(cx).is_ready()
            {
                return Poll::Ready(Progress::Woke);
            }
            // A timer costs more than a read: it is set only where there is something to wait for.
            let Some(at) = deadline else { return Poll::Pending };
            let (_, timer) = self.timer.get_or_insert_with(|| (at, self.clock.sleep_until(at)));
            timer.as_mut().poll(cx).map(|()| Progress::Woke)
        })
        .await;
        if matches!(progress, Progress::Woke) {
            self.timer = None;
        }
        Some(progress)
    }

    /// The handshake, and what comes behind it.
    async fn begin_tls(
        mut self,
        action: &TlsAction,
        conversation: &mut dyn Conversation,
    ) -> (Self, Vec<Output>) {
        self.wire.inflow().limit(Some(self.clock.now() + HANDSHAKE));
        let handshake = match &self.ends {
            Ends::Server { tls, hostname } => self.wire.accept_tls(action, hostname, tls).await,
            Ends::Client => {
                let server = self.record.server().ip();
                self.wire.connect_tls(action, server).await
            }
        };
        let now = self.clock.now();
        let mut ended = None;
        let (wire, input) = match handshake {
            Handshake::Established { wire, version, server_name } => {
                (wire, Input::TlsEstablished { version, server_name })
            }
            Handshake::Failed { wire, why, fault, closed } => {
                ended = closed;
                let stall = fault == Some(TlsFault::Stall);
                (wire, Input::TlsFailed { why, stall, scripted: fault.is_some() })
            }
        };
        self.wire = wire;
        self.wire.inflow().limit(None);
        if let Some(how) = ended {
            self.peer_open = false;
            self.peer_closed(how);
        }
        let failed = matches!(input, Input::TlsFailed { .. });
        let outputs = conversation.handle(input, now);
        if failed
            && self.peer_open
            && let Some(how) = self.gone().await
        {
            // With an alert, which was the last thing it said.
            self.peer_open = false;
            self.peer_closed(how);
        }
        if self.wire.is_tls() && !action.clear_after.is_empty() {
            let bytes = action.clear_after.clone();
            // One that cannot be told any more has closed, which is found out by reading.
            let _ = self.wire.inflow().write_all(&bytes).await;
            let what = What::Bytes { from: self.mock_is, bytes, tls: false, part: Part::Lines };
            self.record.event(self.now(), what);
        }
        (self, outputs)
    }

    /// How the peer has let go of the connection, if it has.
    async fn gone(&mut self) -> Option<Close> {
        poll_fn(|cx| {
            let gone = self.wire.inflow().connection().poll_gone(cx);
            Poll::Ready(if let Poll::Ready(how) = gone { Some(how) } else { None })
        })
        .await
    }

    /// FIN, then what the peer still says for a while. `notifies`: TLS is closed first.
    async fn close_in_order(mut self, notifies: bool, conversation: &mut dyn Conversation) {
        if self.peer_open
            && !self.wire.is_tls()
            && let Some(how) = self.wire.inflow().ended()
        {
            // Most clients are gone after QUIT: ending in order, and waiting for their end, would be for nobody.
            self.closed(self.mock_is, Close::Fin);
            return self.peer_closed(how);
        }
        // A peer that is gone need not be told.
        let _ = if notifies { self.wire.shutdown().await } else { self.wire.inflow().shutdown().await };
        self.closed(self.mock_is, Close::Fin);
        let deadline = self.now() + LINGER;
        while self.peer_open {
            match self.progress(None, &mut 0, true, Some(deadline), None).await {
                Some(Progress::Read(count)) => self.overheard(count, conversation),
                Some(Progress::Broken) => return self.peer_closed(Close::Reset),
                Some(Progress::Sent | Progress::Woke) | None => return,
            }
        }
    }

    /// What came, or the peer's end, is written down, and answered by nobody.
    fn overheard(&mut self, count: usize, conversation: &mut dyn Conversation) {
        if count == 0 {
            self.peer_open = false;
            return self.peer_closed(Close::Fin);
        }
        let now = self.clock.now();
        let bytes = &self.buffer.octets()[..count];
        if conversation.overheard(bytes, now) {
            return;
        }
        let bytes = bytes.to_vec();
        let (from, tls) = (self.mock_is.other(), self.wire.is_tls());
        self.record.event(now, What::Bytes { from, bytes, tls, part: Part::Lines });
    }

    /// Waits until the peer has taken all that was said. A peer that is still writing takes it only after that: so what it
    /// says meanwhile is read, and written down.
    async fn acknowledged(&mut self, conversation: &mut dyn Conversation) {
        loop {
            let read = poll_fn(|cx| {
                if self.wire.inflow().connection().poll_acknowledged(cx).is_ready() {
                    return Poll::Ready(None);
                }
                if !self.peer_open {
                    return Poll::Pending;
                }
                poll_bytes(&mut self.wire, cx, self.buffer.octets()).map(Some)
            });
            match read.await {
                Some(Progress::Read(count)) => self.overheard(count, conversation),
                // Acknowledged, or gone.
                _ => return,
            }
        }
    }

    async fn reset(mut self, at_once: bool, conversation: &mut dyn Conversation) {
        if !at_once {
            self.acknowledged(conversation).await;
        }
        // A connection that is already gone cannot be reset, and need not.
        let _ = self.wire.inflow().connection().reset_on_drop();
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
