//! STARTTLS over real sockets, good and bad.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{
    ALL_VERSIONS, ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version,
};

use super::bench::reply;
use super::bench::{always, codes, on, server};
use super::sockets::{Jumping, Standing, closes, epoch, hear, line, tell};
use crate::environment::real::RealConnection;
use crate::script::{
    Action, Certificate, Condition, Dialogue, Pattern, Script, Speech, TlsAction, TlsFault, TlsVersion, Verb,
};
use crate::smtp::dialogue;
use crate::smtp::server::Environment;
use crate::transcript::{Session, Side, What};

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
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    start_tls_as(trusting(standing, ALL_VERSIONS), stream).await
}

async fn start_tls_as(
    config: Arc<ClientConfig>,
    mut stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    hear(&mut stream, 1).await;
    tell(&mut stream, "EHLO a\r\n").await;
    hear(&mut stream, 1).await;
    tell(&mut stream, "STARTTLS\r\n").await;
    hear(&mut stream, 1).await;
    let name = ServerName::try_from("hub.example").unwrap();
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| error.to_string())
}

/// A client that trusts the run's authority, and keeps its sessions.
fn trusting(standing: &Standing, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(standing.environment.tls.root_der().unwrap()).unwrap();
    let config = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(AtEpoch))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
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

/// A server with this action on STARTTLS.
#[tokio::test]
async fn a_client_that_closes_in_the_handshake_has_closed_first() {
    for fault in [None, Some(TlsFault::Alert)] {
        let standing = Standing::new(starttls_with(TlsAction { fault, ..TlsAction::default() })).await;
        let mut stream = standing.dial().await;
        hear(&mut stream, 1).await;
        tell(&mut stream, "EHLO a\r\nSTARTTLS\r\n").await;
        hear(&mut stream, 2).await;
        drop(stream);
        let session = standing.session_when(|session| closes(session).len() == 2).await;
        let ends =
            session.events.iter().filter(|e| matches!(e.what, What::Closed { .. } | What::TlsFailed { .. }));
        let ends: Vec<&What> = ends.map(|event| &event.what).collect();
        assert!(
            matches!(
                ends[..],
                [
                    What::Closed { by: Side::Client, .. },
                    What::TlsFailed { .. },
                    What::Closed { by: Side::Server, .. }
                ]
            ),
            "{session:?}"
        );
    }
}

fn starttls_with(tls: TlsAction) -> Script {
    let rules = vec![(on(Verb::StartTls), always(vec![Action::Tls(tls)]))];
    Script { rules, ..server(&["STARTTLS"]) }
}

fn tls_event(session: &Session) -> Option<&What> {
    let tls = |what: &&What| matches!(what, What::TlsStarted { .. } | What::TlsFailed { .. });
    session.events.iter().map(|event| &event.what).find(tls)
}

#[tokio::test]
async fn only_the_versions_of_the_script_are_spoken() {
    let versions = [TlsVersion::V1_2].into();
    let (outcome, session) = handshake_with(TlsAction { versions, ..TlsAction::default() }).await;
    outcome.unwrap();
    assert!(
        matches!(tls_event(&session), Some(What::TlsStarted { version, .. }) if version == "TLSv1.2"),
        "{session:?}"
    );
    let standing = Standing::new(starttls_with(TlsAction {
        versions: [TlsVersion::V1_3].into(),
        ..TlsAction::default()
    }))
    .await;
    let old = trusting(&standing, &[&version::TLS12]);
    let error = start_tls_as(old, standing.dial().await).await.unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
}

#[tokio::test]
async fn a_session_can_be_resumed_unless_the_script_refuses_it() {
    for (refuse_resumption, versions) in
        [(false, ALL_VERSIONS), (true, ALL_VERSIONS), (false, &[&version::TLS12]), (true, &[&version::TLS12])]
    {
        let action = TlsAction { refuse_resumption, ..TlsAction::default() };
        let standing = Standing::new(starttls_with(action)).await;
        let config = trusting(&standing, versions);
        let mut first = start_tls_as(config.clone(), standing.dial().await).await.unwrap();
        // TLS 1.3 brings its tickets behind the handshake.
        tell(&mut first, "EHLO b\r\nQUIT\r\n").await;
        hear(&mut first, 2).await;
        let second = start_tls_as(config, standing.dial().await).await;
        if refuse_resumption {
            let error = second.unwrap_err();
            assert!(error.contains("HandshakeFailure"), "{versions:?}: {error}");
            // The ClientHello is no line of the client's (22 begins a record of a handshake).
            let session = standing.nth_session_when(1, |session| !closes(session).is_empty()).await;
            let hello =
                |what: &What| matches!(what, What::Bytes { bytes, .. } if bytes.starts_with(&[22, 3]));
            assert!(!session.events.iter().any(|event| hello(&event.what)), "{session:?}");
        } else {
            let kind = second.unwrap().get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Resumed), "{versions:?}");
        }
    }
}

#[tokio::test]
async fn bytes_in_the_clear_behind_the_handshake_break_it() {
    let clear_after = b"250 not encrypted\r\n".to_vec();
    let standing = Standing::new(starttls_with(TlsAction { clear_after, ..TlsAction::default() })).await;
    let mut stream = start_tls(&standing, standing.dial().await).await.unwrap();
    let error = stream.read(&mut [0; 100]).await.unwrap_err().to_string();
    assert!(error.contains("corrupt message"), "{error}");
    let session = standing.session_when(|session| tls_event(session).is_some()).await;
    let clear =
        |what: &What| matches!(what, What::Bytes { bytes, tls: false, .. } if bytes.starts_with(b"250 not"));
    assert!(session.events.iter().any(|event| clear(&event.what)), "{session:?}");
}

#[tokio::test]
async fn a_connection_can_end_without_close_notify() {
    let farewell = vec![reply("221 bye"), Action::CloseWithoutNotify];
    let rule = super::bench::rule(vec![Condition::Tls(true)], farewell);
    let script = Script { rules: vec![(on(Verb::Quit), vec![rule])], ..server(&["STARTTLS"]) };
    let standing = Standing::new(script).await;
    let mut stream = start_tls(&standing, standing.dial().await).await.unwrap();
    tell(&mut stream, "EHLO b\r\nQUIT\r\n").await;
    assert_eq!(codes(&hear(&mut stream, 2).await), [250, 221]);
    let error = stream.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let clock = Jumping::new();
    for action in [
        TlsAction::default(),
        TlsAction { fault: Some(TlsFault::Alert), ..TlsAction::default() },
        TlsAction { refuse_resumption: true, ..TlsAction::default() },
    ] {
        let standing = Standing::with_clock(starttls_with(action), Arc::new(clock.clone())).await;
        let mut stream = standing.dial().await;
        hear(&mut stream, 1).await;
        tell(&mut stream, "EHLO a\r\nSTARTTLS\r\n").await;
        hear(&mut stream, 2).await;
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0, "closed");
        let session = standing.session_when(|session| tls_event(session).is_some()).await;
        assert!(
            matches!(tls_event(&session), Some(What::TlsFailed { why }) if why.contains("too long")),
            "{session:?}"
        );
    }
}

/// Runs a client's dialogue against a server; the sessions of both, the client's first.
async fn dialogue_with(standing: &Standing, lines: Vec<crate::script::Line>) -> (Session, Session) {
    let stream = standing.dial().await;
    let Environment { clock, recorder, .. } = standing.environment.clone();
    let server = stream.peer_addr().unwrap();
    let record = recorder.open("evil", Side::Client, stream.local_addr().unwrap(), server, clock.now());
    let dialogue = Dialogue { mock_is: Side::Client, lines };
    dialogue::converse(Box::new(RealConnection(stream)), &dialogue, clock, record).await;
    loop {
        let mut sessions = recorder.sessions();
        if sessions.iter().all(|session| !closes(session).is_empty()) {
            sessions.sort_by_key(|session| session.mock_is);
            return (sessions.remove(0), sessions.remove(0));
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dialogue_goes_over_to_tls_on_either_side() {
    let say = |text: &str| line(Speech::Say(format!("{text}\r\n").into_bytes()));
    let hear = |pattern: &str| line(Speech::Hear(Pattern(pattern.to_owned())));
    let tls = || line(Speech::Tls(TlsAction::default()));
    let lines = vec![say("220 x"), hear("STARTTLS"), say("220 go"), tls(), hear("EHLO c"), say("250 x")];
    let script = Script { dialogue: Some(Dialogue { mock_is: Side::Server, lines }), ..server(&[]) };
    let standing = Standing::new(script).await;
    let lines = vec![hear("220 x"), say("STARTTLS"), hear("220 *"), tls(), say("EHLO c"), hear("250 *")];
    let (client, server) = dialogue_with(&standing, lines).await;
    for session in [client, server] {
        assert!(session.events.iter().any(|event| event.what == What::Completed), "{session:?}");
        assert!(matches!(tls_event(&session), Some(What::TlsStarted { .. })), "{session:?}");
        let ehlo = session.events.iter().find_map(|event| match &event.what {
            What::Bytes { bytes, tls, .. } if bytes == b"EHLO c\r\n" => Some(*tls),
            _ => None,
        });
        assert_eq!(ehlo, Some(true));
    }
}

#[tokio::test]
async fn a_command_slipped_in_before_tls_is_written_down_and_forgotten() {
    // CVE-2011-0411: STARTTLS and a command in one segment.
    let standing = Standing::new(server(&["STARTTLS"])).await;
    let say = |text: &str| line(Speech::Say(text.as_bytes().to_vec()));
    let hear = |pattern: &str| line(Speech::Hear(Pattern(pattern.to_owned())));
    let lines = vec![
        hear("220 *"),
        say("EHLO a\r\n"),
        hear("250 *"),
        say("STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n"),
        hear("220 *"),
        line(Speech::Tls(TlsAction::default())),
        say("EHLO a\r\n"),
        hear("250 *"),
        say("RCPT TO:<b@hub.example>\r\n"),
        hear("503 *"),
    ];
    let (client, server) = dialogue_with(&standing, lines).await;
    assert!(client.events.iter().any(|event| event.what == What::Completed), "{client:?}");
    assert_eq!(client.transactions.len(), 1, "as the client sees it");
    assert_eq!(
        (&client.transactions[0].mail_reply, client.transactions[0].finished.is_some()),
        (&None, true)
    );
    assert!(server.transactions.is_empty(), "{server:?}");
}

#[tokio::test]
async fn a_dialogues_handshake_that_fails_is_a_mismatch_unless_it_is_the_script() {
    let say = |text: &str| line(Speech::Say(format!("{text}\r\n").into_bytes()));
    let hear = |pattern: &str| line(Speech::Hear(Pattern(pattern.to_owned())));
    let fails = TlsAction { fault: Some(TlsFault::Alert), ..TlsAction::default() };
    let lines = vec![say("220 x"), hear("STARTTLS"), say("220 go"), line(Speech::Tls(fails))];
    let script = Script { dialogue: Some(Dialogue { mock_is: Side::Server, lines }), ..server(&[]) };
    let standing = Standing::new(script).await;
    let tls = line(Speech::Tls(TlsAction::default()));
    let (client, server) =
        dialogue_with(&standing, vec![hear("220 x"), say("STARTTLS"), hear("220 *"), tls]).await;
    assert!(server.events.iter().any(|event| event.what == What::Completed), "{server:?}");
    let mismatch = client.events.iter().find_map(|event| match &event.what {
        What::Mismatch { step, expected, .. } => Some((*step, expected.clone())),
        _ => None,
    });
    assert_eq!(mismatch, Some((4, "the TLS handshake".to_owned())));
}
