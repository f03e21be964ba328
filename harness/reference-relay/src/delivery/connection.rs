//! A connection to a next hop: octets out, replies in, a timeout on each.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::environment::Stream;
use crate::relay::Context;
use crate::reply::{BadReply, Reply, ReplyReader};
use crate::tls;

/// How much is written under one [`Timeouts::block`](crate::config::Timeouts::block).
const BLOCK: usize = 16 * 1024;

/// How long the reply to a QUIT that nothing hangs on is waited for.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// What is read while content is written: more is left to the network.
const MOST_EARLY: usize = 64 * 1024;

/// Whether a QUIT would be taken for content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AwaitsContent {
    No,
    /// If the reply that is read now is a 354.
    IfThisSaysSo,
    /// DATA was sent; other replies come before the one to it.
    IfALaterSaysSo,
    Yes,
}

/// Why nothing more can be said or heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Connect(io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("the connection was reset")]
    Reset,
    /// What came was not what TLS lets come.
    #[error("TLS broke: {0}")]
    Tls(String),
    #[error("there was no answer in time")]
    TimedOut,
    /// What was said was not taken in time.
    #[error("nothing more was taken in time")]
    Stuck,
    /// Which reply is to which command can no longer be told.
    #[error("it said more than it was asked")]
    OutOfStep,
    /// Challenge after challenge, even when told that this is over.
    #[error("its challenges do not end")]
    Endless,
    #[error("{0}")]
    Garbled(#[from] BadReply),
}

impl Broken {
    /// What an error of reading says.
    fn by(error: &io::Error) -> Self {
        if let Some(why) = tls::of_tls(error) {
            return Self::Tls(why);
        }
        // TLS without close_notify is an error too: the connection below it was closed.
        if error.kind() == io::ErrorKind::ConnectionReset { Self::Reset } else { Self::Closed }
    }
}

/// A connection.
pub(super) struct Connection {
    pub(super) context: Arc<Context>,
    stream: Box<dyn Stream>,
    replies: ReplyReader,
    /// QUIT is no longer due: the peer has gone, is going (421), or could not be understood and has been told QUIT.
    over: bool,
    /// Something was to be sent and could not be.
    cut_off: bool,
    /// The peer has closed; found while content was written.
    ended: bool,
    /// How it has, where that was not in order.
    lost: Option<Broken>,
    pub(super) awaits_content: AwaitsContent,
}

impl Connection {
    pub(super) async fn open(context: &Arc<Context>, address: SocketAddr) -> Result<Self, Broken> {
        match context.within(context.config.timeouts.connect, context.network.connect(address)).await {
            None => Err(Broken::Connect(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"))),
            Some(Err(error)) => Err(Broken::Connect(error)),
            Some(Ok(stream)) => Ok(Self::over(context.clone(), stream)),
        }
    }

    fn over(context: Arc<Context>, stream: Box<dyn Stream>) -> Self {
        let (replies, awaits_content) = (ReplyReader::default(), AwaitsContent::No);
        let (over, cut_off, ended) = (false, false, false);
        Self { context, stream, replies, over, cut_off, ended, lost: None, awaits_content }
    }

    /// Sends a command and reads the reply to it.
    pub(super) async fn ask(&mut self, command: &str, limit: Duration) -> Result<Reply, Broken> {
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.reply(limit).await
    }

    /// Sends octets. A peer that closes early may have said why: so that is no error here, but found by
    /// [`Connection::reply`] once all that was said has been read.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), Broken> {
        let limit = self.context.config.timeouts.block;
        for block in octets.chunks(BLOCK) {
            let written = async {
                self.stream.write_all(block).await?;
                self.stream.flush().await
            };
            match self.context.within(limit, written).await {
                Some(Ok(())) => {}
                Some(Err(_)) => {
                    self.cut_off = true;
                    break;
                }
                None => {
                    self.cut_off = true;
                    self.over = true;
                    return Err(Broken::Stuck);
                }
            }
        }
        Ok(())
    }

    /// The next reply, complete within `limit`.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, Broken> {
        let context = self.context.clone();
        let reply = context.within(limit, self.read_reply()).await.unwrap_or(Err(Broken::TimedOut));
        // RFC 5321 section 3.8: 421 may come at any time, and the server closes after it.
        self.over |= reply.as_ref().map_or(true, |reply| reply.code == 421) || self.cut_off;
        if let Err(Broken::Garbled(bad)) = &reply {
            self.leave(bad).await;
        }
        reply
    }

    /// Section 4.1.1.10: even a peer that cannot be understood is told QUIT before the connection is closed, once, unless it
    /// would take that for content.
    async fn leave(&mut self, bad: &BadReply) {
        let context = self.context.clone();
        let is_content = match self.awaits_content {
            AwaitsContent::No => false,
            AwaitsContent::Yes => true,
            AwaitsContent::IfThisSaysSo => !matches!(bad, BadReply::Code(line) if !line.starts_with("354")),
            AwaitsContent::IfALaterSaysSo => {
                context.within(LAST_WAIT, self.hears_354()).await.unwrap_or(false)
            }
        };
        if is_content || self.cut_off || self.ended {
            return;
        }
        let farewell = async {
            self.stream.write_all(b"QUIT\r\n").await?;
            self.stream.flush().await?;
            // The peer closes after its reply, which need not be one.
            let mut octets = [0; 4096];
            while self.stream.read(&mut octets).await? > 0 {}
            self.stream.shutdown().await
        };
        // There is nobody to tell if it fails.
        let _ = context.within(LAST_WAIT, farewell).await;
    }

    /// Whether a line that begins with 354 is among what comes.
    async fn hears_354(&mut self) -> bool {
        let mut heard = self.replies.take_octets();
        let mut octets = [0; 4096];
        loop {
            if heard.split(|&octet| octet == b'\n').any(|line| line.starts_with(b"354")) {
                return true;
            }
            match self.stream.read(&mut octets).await {
                Ok(0) | Err(_) => {
                    self.ended = true;
                    return false;
                }
                Ok(read) if heard.len() < MOST_EARLY => heard.extend_from_slice(&octets[..read]),
                Ok(_) => return true,
            }
        }
    }

    /// Sends content, and hears what the peer says meanwhile: one that refuses it before its end may close, and what it said
    /// is lost if it has not been read by then; one that waits for its reply to be read may read no more itself. A reply that
    /// has come so is the next that [`Connection::reply`] gives.
    pub(super) async fn send_content(&mut self, octets: &[u8]) -> Result<(), Broken> {
        self.awaits_content = AwaitsContent::Yes;
        let context = self.context.clone();
        for block in octets.chunks(BLOCK) {
            let mut written = 0;
            let done = poll_fn(|cx| self.poll_block(cx, block, &mut written));
            match context.within(context.config.timeouts.block, done).await {
                Some(Ok(())) => {}
                Some(Err(_)) => {
                    self.cut_off = true;
                    return Ok(());
                }
                None => {
                    self.cut_off = true;
                    self.over = true;
                    return if self.replies.has_leftovers() { Ok(()) } else { Err(Broken::Stuck) };
                }
            }
        }
        self.awaits_content = AwaitsContent::No;
        Ok(())
    }

    fn poll_block(&mut self, cx: &mut Waking<'_>, block: &[u8], written: &mut usize) -> Poll<io::Result<()>> {
        loop {
            // What there is to hear first: writing may be what ends the connection.
            while !self.ended && self.replies.octets() < MOST_EARLY {
                let mut octets = [0; 4096];
                let mut buffer = ReadBuf::new(&mut octets);
                match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.ended = true,
                    Poll::Ready(Ok(())) => self.replies.push(buffer.filled()),
                    Poll::Ready(Err(error)) => {
                        self.ended = true;
                        self.lost = Some(Broken::by(&error));
                        return Poll::Ready(Err(error));
                    }
                }
            }
            if *written == block.len() {
                return Pin::new(&mut self.stream).poll_flush(cx);
            }
            match Pin::new(&mut self.stream).poll_write(cx, &block[*written..]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => *written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, Broken> {
        let mut octets = [0; 4096];
        loop {
            if let Some(reply) = self.replies.next()? {
                return Ok(reply);
            }
            if self.ended {
                return Err(self.lost.take().unwrap_or(Broken::Closed));
            }
            match self.stream.read(&mut octets).await {
                Ok(0) => return Err(Broken::Closed),
                Err(error) => return Err(Broken::by(&error)),
                Ok(read) => self.replies.push(&octets[..read]),
            }
        }
    }

    /// Whether the session is at an end without QUIT.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the peer may have received all that was sent.
    pub(super) fn has_sent_all(&self) -> bool {
        !self.cut_off
    }

    /// Octets that nobody asked for.
    pub(super) fn has_leftovers(&self) -> bool {
        self.replies.has_leftovers()
    }

    /// An error if the peer has said more than it was asked: its next reply would be taken for that to another command. 421 may
    /// come at any time (RFC 5321 section 3.8). The connection is of no use then, and a QUIT might be anything.
    pub(super) fn in_step(&mut self) -> Result<(), Broken> {
        if !self.replies.has_leftovers() || self.replies.begins_with(b"421") {
            return Ok(());
        }
        self.over = true;
        Err(Broken::OutOfStep)
    }

    /// Whether the peer has spoken unasked, or closed, while the connection was idle.
    pub(super) async fn is_spoilt(&mut self) -> bool {
        let heard = poll_fn(|cx| {
            let mut octets = [0; 4096];
            let mut buffer = ReadBuf::new(&mut octets);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.replies.push(buffer.filled()),
                Poll::Ready(_) => self.ended = true,
            }
            Poll::Ready(())
        });
        heard.await;
        self.over |= self.ended;
        self.ended || self.replies.has_leftovers()
    }

    /// Begins TLS. Nothing read before it is kept (RFC 3207 section 4.2).
    pub(super) async fn into_tls(self, connector: &TlsConnector, name: &str) -> Result<Self, String> {
        let limit = self.context.config.timeouts.command;
        let name = crate::address::literal(name)
            .map(|ip| ServerName::IpAddress(ip.into()))
            .or_else(|| ServerName::try_from(name.to_owned()).ok())
            .ok_or_else(|| format!("{name} cannot stand in a certificate"))?;
        match self.context.within(limit, connector.connect(name, self.stream)).await {
            None => Err("the handshake took too long".to_owned()),
            Some(Err(error)) => Err(tls::of_handshake(&error)),
            Some(Ok(stream)) => Ok(Self::over(self.context, Box::new(stream))),
        }
    }

    /// RFC 5321 section 4.1.1.10: QUIT, and its reply, before the connection is closed; unless that is over already.
    pub(super) async fn quit(mut self) {
        let limit = self.context.config.timeouts.command;
        if !self.over && self.ask("QUIT", limit).await.is_ok() {
            // With TLS, this says that nothing was cut off. There is nobody to tell if it fails.
            let _ = self.context.clone().within(limit, self.stream.shutdown()).await;
        }
    }
}
