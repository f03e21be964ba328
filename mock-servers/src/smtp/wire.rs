//! A connection, in the clear or encrypted, and the way from the one to the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::server::TlsStream;

use super::tls::TlsMaterial;
use crate::environment::Connection;
use crate::script::{TlsAction, TlsFault};

/// A fatal alert, handshake_failure (RFC 5246 section 7.2): record type, version, length, level, description.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// A connection, in the clear or encrypted.
pub(super) enum Wire {
    Clear(Box<dyn Connection>),
    Tls(Box<TlsStream<Box<dyn Connection>>>),
}

/// How a handshake went.
pub(super) enum Handshake {
    Established { wire: Wire, version: String, server_name: Option<String> },
    Failed { wire: Wire, why: String, stall: bool },
}

impl Wire {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    pub(super) fn connection(&mut self) -> &mut dyn Connection {
        match self {
            Self::Clear(connection) => &mut **connection,
            Self::Tls(stream) => &mut **stream.get_mut().0,
        }
    }

    /// The server's side of the TLS handshake, with the fault that the script wants.
    pub(super) async fn accept_tls(
        self,
        action: &TlsAction,
        hostname: &str,
        material: &TlsMaterial,
    ) -> Handshake {
        let mut connection = match self {
            Self::Clear(connection) => connection,
            // No session offers STARTTLS inside TLS; a rule may still say 220 to it.
            wire @ Self::Tls(_) => return failed(wire, "TLS is already active".to_owned()),
        };
        if let Some(fault) = action.fault {
            return break_handshake(connection, fault).await;
        }
        let config = match material.server_config(hostname, action.certificate.unwrap_or_default()) {
            Ok(config) => config,
            Err(error) => return failed(Self::Clear(connection), error.to_string()),
        };
        match TlsAcceptor::from(config).accept(connection).into_fallible().await {
            Ok(stream) => {
                let session = stream.get_ref().1;
                let version = match session.protocol_version() {
                    Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
                    Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
                    other => format!("{other:?}"),
                };
                let server_name = session.server_name().map(str::to_owned);
                Handshake::Established { wire: Self::Tls(Box::new(stream)), version, server_name }
            }
            Err((error, back)) => {
                connection = back;
                failed(Self::Clear(connection), error.to_string())
            }
        }
    }
}

fn failed(wire: Wire, why: String) -> Handshake {
    Handshake::Failed { wire, why, stall: false }
}

/// Waits for the ClientHello, and answers it as it should not be.
async fn break_handshake(mut connection: Box<dyn Connection>, fault: TlsFault) -> Handshake {
    let mut hello = [0; 4096];
    let heard = connection.read(&mut hello).await;
    if !matches!(heard, Ok(1..)) {
        return failed(Wire::Clear(connection), "the client closed in place of a ClientHello".to_owned());
    }
    let answer: &[u8] = match fault {
        TlsFault::Eof | TlsFault::Stall => &[],
        TlsFault::Corrupt => b"250 This is not TLS\r\n",
        TlsFault::Alert => &HANDSHAKE_FAILURE,
    };
    let written = async {
        connection.write_all(answer).await?;
        connection.flush().await
    };
    let outcome = written.await.map_or_else(|error| format!(" ({error})"), |()| String::new());
    let what = match fault {
        TlsFault::Eof => "closed on the ClientHello",
        TlsFault::Stall => "never answered the ClientHello",
        TlsFault::Corrupt => "answered the ClientHello with no TLS",
        TlsFault::Alert => "answered the ClientHello with the alert handshake_failure",
    };
    Handshake::Failed {
        wire: Wire::Clear(connection),
        why: format!("as scripted: {what}{outcome}"),
        stall: fault == TlsFault::Stall,
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(connection) => Pin::new(connection).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(connection) => Pin::new(connection).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(connection) => Pin::new(connection).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(connection) => Pin::new(connection).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
