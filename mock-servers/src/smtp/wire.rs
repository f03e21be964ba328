//! A connection, in the clear or encrypted, and the way from the one to the other.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CommonState, ProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::hello::{self, Hello};
use super::inflow::Inflow;
use super::tls::{self, TlsMaterial};
use crate::script::{TlsAction, TlsFault};
use crate::transcript::Close;

/// A fatal alert, handshake_failure (RFC 5246 section 7.2): record type, version, length, level, description.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// As long a ClientHello is looked at; more than any client says.
const MOST_HELLO: usize = 64 * 1024;

/// A connection, in the clear or encrypted.
pub(super) enum Wire {
    Clear(Inflow),
    Tls(Box<TlsStream<Inflow>>),
}

/// How a handshake went.
pub(super) enum Handshake {
    Established {
        wire: Wire,
        version: String,
        server_name: Option<String>,
    },
    /// `closed`: the peer has ended it by closing the connection, so.
    Failed {
        wire: Wire,
        why: String,
        fault: Option<TlsFault>,
        closed: Option<Close>,
    },
}

impl Wire {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The connection below TLS.
    pub(super) fn inflow(&mut self) -> &mut Inflow {
        match self {
            Self::Clear(inflow) => inflow,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// The server's side of the TLS handshake, with the fault that the script wants.
    pub(super) async fn accept_tls(
        self,
        action: &TlsAction,
        hostname: &str,
        material: &TlsMaterial,
    ) -> Handshake {
        let mut inflow = match self {
            Self::Clear(inflow) => inflow,
            // No session offers STARTTLS inside TLS; a rule may still say 220 to it.
            wire @ Self::Tls(_) => return failed(wire, "TLS is already active".to_owned()),
        };
        if let Some(fault) = action.fault {
            return break_handshake(inflow, fault).await;
        }
        if action.refuse_resumption {
            match offers_resumption(&mut inflow).await {
                Ok(false) => {}
                Ok(true) => return refuse_resumption(inflow).await,
                Err(error) => return failed_by(inflow, &error),
            }
        }
        let certificate = action.certificate.unwrap_or_default();
        let config = match material.server_config(hostname, certificate, &action.versions) {
            Ok(config) => config,
            Err(error) => return failed(Self::Clear(inflow), error.to_string()),
        };
        match TlsAcceptor::from(config).accept(inflow).into_fallible().await {
            Ok(stream) => {
                let session = stream.get_ref().1;
                let server_name = session.server_name().map(str::to_owned);
                let version = version(session);
                Handshake::Established { wire: Self::Tls(Box::new(stream.into())), version, server_name }
            }
            Err((error, inflow)) => failed_by(inflow, &error),
        }
    }

    /// The client's side. Any certificate will do: whether it is good is not this client's affair.
    pub(super) async fn connect_tls(self, action: &TlsAction, server: IpAddr) -> Handshake {
        let inflow = match self {
            Self::Clear(inflow) => inflow,
            wire @ Self::Tls(_) => return failed(wire, "TLS is already active".to_owned()),
        };
        let config = match tls::client_config(&action.versions) {
            Ok(config) => config,
            Err(error) => return failed(Self::Clear(inflow), error.to_string()),
        };
        let name = ServerName::IpAddress(server.into());
        match TlsConnector::from(config).connect(name, inflow).into_fallible().await {
            Ok(stream) => {
                let version = version(stream.get_ref().1);
                Handshake::Established {
                    wire: Self::Tls(Box::new(stream.into())),
                    version,
                    server_name: None,
                }
            }
            Err((error, inflow)) => failed_by(inflow, &error),
        }
    }
}

fn version(session: &CommonState) -> String {
    match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        other => format!("{other:?}"),
    }
}

fn failed(wire: Wire, why: String) -> Handshake {
    Handshake::Failed { wire, why, fault: None, closed: None }
}

fn failed_by(inflow: Inflow, error: &io::Error) -> Handshake {
    let (why, closed) = match error.kind() {
        io::ErrorKind::TimedOut => ("the handshake took too long".to_owned(), None),
        io::ErrorKind::UnexpectedEof => ("closed in the handshake".to_owned(), Some(Close::Fin)),
        io::ErrorKind::ConnectionReset => ("reset in the handshake".to_owned(), Some(Close::Reset)),
        _ => (error.to_string(), None),
    };
    Handshake::Failed { wire: Wire::Clear(inflow), why, fault: None, closed }
}

/// Waits for the whole ClientHello, and puts it back.
async fn offers_resumption(inflow: &mut Inflow) -> io::Result<bool> {
    let mut heard = Vec::new();
    let resumes = loop {
        match hello::look(&heard) {
            Hello::Complete { resumes } => break resumes,
            Hello::Incomplete if heard.len() > MOST_HELLO => break false,
            Hello::Incomplete => {}
        }
        if inflow.read_buf(&mut heard).await? == 0 {
            break false;
        }
    };
    inflow.put_back(heard);
    Ok(resumes)
}

async fn refuse_resumption(mut inflow: Inflow) -> Handshake {
    // The ClientHello is answered with this, and is no line of a client's.
    inflow.put_back(Vec::new());
    let outcome = answer(&mut inflow, &HANDSHAKE_FAILURE).await;
    let why = format!("as scripted: answered an offer to resume with the alert handshake_failure{outcome}");
    Handshake::Failed { wire: Wire::Clear(inflow), why, fault: Some(TlsFault::Alert), closed: None }
}

/// Waits for the ClientHello, and answers it as it should not be.
async fn break_handshake(mut inflow: Inflow, fault: TlsFault) -> Handshake {
    let mut hello = [0; 4096];
    match inflow.read(&mut hello).await {
        Ok(1..) => {}
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return failed_by(inflow, &error);
        }
        Ok(0) | Err(_) => {
            let why = "closed in place of a ClientHello".to_owned();
            let closed = Some(Close::Fin);
            return Handshake::Failed { wire: Wire::Clear(inflow), why, fault: None, closed };
        }
    }
    let bytes: &[u8] = match fault {
        TlsFault::Eof | TlsFault::Stall => &[],
        TlsFault::Corrupt => b"250 This is not TLS\r\n",
        TlsFault::Alert => &HANDSHAKE_FAILURE,
    };
    let outcome = answer(&mut inflow, bytes).await;
    let what = match fault {
        TlsFault::Eof => "closed on the ClientHello",
        TlsFault::Stall => "never answered the ClientHello",
        TlsFault::Corrupt => "answered the ClientHello with no TLS",
        TlsFault::Alert => "answered the ClientHello with the alert handshake_failure",
    };
    Handshake::Failed {
        wire: Wire::Clear(inflow),
        why: format!("as scripted: {what}{outcome}"),
        fault: Some(fault),
        closed: None,
    }
}

/// Writes an answer; what went wrong with that, as an addition to a text.
async fn answer(inflow: &mut Inflow, bytes: &[u8]) -> String {
    let written = async {
        inflow.write_all(bytes).await?;
        inflow.flush().await
    };
    written.await.map_or_else(|error| format!(" ({error})"), |()| String::new())
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(inflow) => Pin::new(inflow).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(inflow) => Pin::new(inflow).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(inflow) => Pin::new(inflow).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(inflow) => Pin::new(inflow).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
