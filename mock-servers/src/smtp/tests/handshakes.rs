//! STARTTLS over real sockets, good and bad.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::bench::{always, codes, on, server};
use super::sockets::{Standing, closes, epoch, hear, tell};
use crate::script::{Action, Certificate, Script, TlsAction, TlsFault, Verb};
use crate::transcript::{Session, What};

/// The run's own clock for certificates.
#[derive(Debug)]
struct AtEpoch;

impl TimeProvider for AtEpoch {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(epoch().duration_since(SystemTime::UNIX_EPOCH).unwrap()))
    }
}

/// Goes through STARTTLS; the encrypted stream, or the library's words.
async fn start_tls(
    standing: &Standing,
    mut stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    hear(&mut stream, 1).await;
    tell(&mut stream, "EHLO a\r\n").await;
    hear(&mut stream, 1).await;
    tell(&mut stream, "STARTTLS\r\n").await;
    hear(&mut stream, 1).await;
    let mut roots = RootCertStore::empty();
    roots.add(standing.environment.tls.root_der().unwrap()).unwrap();
    let config = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(AtEpoch))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("hub.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn starttls_encrypts_what_follows() {
    let standing = Standing::new(server(&["STARTTLS"])).await;
    let stream = standing.dial().await;
    let mut stream = start_tls(&standing, stream).await.unwrap();
    tell(&mut stream, "EHLO b\r\nQUIT\r\n").await;
    assert_eq!(codes(&hear(&mut stream, 2).await), [250, 221]);
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0, "close_notify");
    let session = standing.session_when(|session| !closes(session).is_empty()).await;
    let started = session.events.iter().find_map(|event| match &event.what {
        What::TlsStarted { version, server_name } => Some((version.clone(), server_name.clone())),
        _ => None,
    });
    assert_eq!(started, Some(("TLSv1.3".to_owned(), Some("hub.example".to_owned()))));
    assert!(
        session
            .events
            .iter()
            .any(|e| matches!(&e.what, What::Bytes { bytes, tls: true, .. } if bytes.starts_with(b"221")))
    );
}

async fn handshake_with(action: TlsAction) -> (Result<(), String>, Session) {
    let script = Script {
        rules: vec![(on(Verb::StartTls), always(vec![Action::Tls(action)]))],
        ..server(&["STARTTLS"])
    };
    let standing = Standing::new(script).await;
    let stream = standing.dial().await;
    let outcome = start_tls(&standing, stream).await.map(drop);
    let session = standing
        .session_when(|s| {
            s.events.iter().any(|e| matches!(e.what, What::TlsFailed { .. } | What::TlsStarted { .. }))
        })
        .await;
    (outcome, session)
}

#[tokio::test]
async fn bad_certificates_are_bad_in_their_own_way() {
    for (certificate, complaint) in [
        (Certificate::Expired, "certificate expired"),
        (Certificate::NotYet, "not valid yet"),
        (Certificate::WrongName, "not valid for name"),
        (Certificate::UnknownCa, "UnknownIssuer"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        let (outcome, session) =
            handshake_with(TlsAction { certificate: Some(certificate), ..TlsAction::default() }).await;
        let error = outcome.unwrap_err();
        assert!(error.contains(complaint), "{certificate:?}: {error}");
        assert!(session.events.iter().any(|e| matches!(e.what, What::TlsFailed { .. })), "{certificate:?}");
    }
}

#[tokio::test]
async fn handshakes_fail_as_scripted() {
    for (fault, words) in
        [(TlsFault::Eof, "eof"), (TlsFault::Corrupt, "message"), (TlsFault::Alert, "handshakefailure")]
    {
        let (outcome, session) =
            handshake_with(TlsAction { fault: Some(fault), ..TlsAction::default() }).await;
        let error = outcome.unwrap_err();
        assert!(error.to_lowercase().replace(' ', "").contains(words), "{fault:?}: {error}");
        assert!(
            session
                .events
                .iter()
                .any(|e| matches!(&e.what, What::TlsFailed { why } if why.starts_with("as scripted")))
        );
    }
}

#[tokio::test]
async fn a_handshake_can_be_left_without_an_answer() {
    let tls = TlsAction { fault: Some(TlsFault::Stall), ..TlsAction::default() };
    let script =
        Script { rules: vec![(on(Verb::StartTls), always(vec![Action::Tls(tls)]))], ..server(&["STARTTLS"]) };
    let standing = Standing::new(script).await;
    let stream = standing.dial().await;
    let failed = |s: &Session| s.events.iter().any(|e| matches!(e.what, What::TlsFailed { .. }));
    tokio::select! {
        biased;
        outcome = start_tls(&standing, stream) => panic!("answered: {outcome:?}"),
        session = standing.session_when(failed) => assert!(closes(&session).is_empty()),
    }
}
