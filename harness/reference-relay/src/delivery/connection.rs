//! A connection to a next hop: octets out, replies in, a timeout on each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::environment::Stream;
use crate::relay::Context;
use crate::reply::{BadReply, Reply, ReplyReader};

/// How much is written under one [`Timeouts::block`](crate::config::Timeouts::block).
const BLOCK: usize = 16 * 1024;

/// Why nothing more can be said or heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Connect(io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("there was no answer in time")]
    TimedOut,
    #[error("{0}")]
    Garbled(#[from] BadReply),
}

/// A connection.
pub(super) struct Connection {
    pub(super) context: Arc<Context>,
    stream: Box<dyn Stream>,
    replies: ReplyReader,
    /// QUIT is no longer due: the peer has gone, is going (421), or cannot be understood.
    over: bool,
    /// Something was to be sent and could not be.
    cut_off: bool,
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
        Self { context, stream, replies: ReplyReader::default(), over: false, cut_off: false }
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
                    return Err(Broken::TimedOut);
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
        self.over |= reply.as_ref().map_or(true, |reply| reply.code == 421);
        reply
    }

    async fn read_reply(&mut self) -> Result<Reply, Broken> {
        let mut octets = [0; 4096];
        loop {
            if let Some(reply) = self.replies.next()? {
                return Ok(reply);
            }
            match self.stream.read(&mut octets).await {
                Ok(0) | Err(_) => return Err(Broken::Closed),
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

    /// Begins TLS. Nothing read before it is kept (RFC 3207 section 4.2).
    pub(super) async fn into_tls(self, connector: &TlsConnector, name: &str) -> Result<Self, String> {
        let limit = self.context.config.timeouts.command;
        let name = crate::address::literal(name)
            .map(|ip| ServerName::IpAddress(ip.into()))
            .or_else(|| ServerName::try_from(name.to_owned()).ok())
            .ok_or_else(|| format!("{name} cannot stand in a certificate"))?;
        match self.context.within(limit, connector.connect(name, self.stream)).await {
            None => Err("the handshake took too long".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
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
