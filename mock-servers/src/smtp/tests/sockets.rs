//! The shells over real sockets.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::bench::{always, codes, reply, rule, server, wait, with};
use crate::environment::real::{RealClock, RealConnection};
use crate::environment::{BoxFuture, Clock, Connection};
use crate::script::{Action, Dialogue, Line, On, Pattern, Script, Speech, Verb};
use crate::smtp::client::{Submission, submit};
use crate::smtp::dialogue;
use crate::smtp::gate::Gate;
use crate::smtp::server::{Environment, Server};
use crate::smtp::shell::{Ends, Shell};
use crate::smtp::tls::TlsMaterial;
use crate::time::RunTime;
use crate::transcript::{Close, Recorder, Session, Side, What};

/// A server that stands on a socket of its own.
pub(super) struct Standing {
    address: SocketAddr,
    pub(super) environment: Environment,
    pub(super) gate: Gate,
    serving: JoinHandle<std::io::Error>,
}

pub(super) fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 40)
}

impl Standing {
    pub(super) async fn new(script: Script) -> Self {
        Self::with_clock(script, Arc::new(RealClock::start())).await
    }

    pub(super) async fn with_clock(script: Script, clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Arc::new(TlsMaterial::new(epoch()));
        let environment = Environment { clock, recorder: Recorder::default(), tls, forwarder: None };
        let server = Server::new(Arc::new(script), environment.clone());
        let gate = server.gate();
        let serving = tokio::spawn(server.serve(Box::new(listener), address));
        Self { address, environment, gate, serving }
    }

    pub(super) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The first session as it is written down once the condition holds.
    pub(super) async fn session_when(&self, holds: impl Fn(&Session) -> bool) -> Session {
        self.nth_session_when(0, holds).await
    }

    /// The same of the session with this place, from 0.
    pub(super) async fn nth_session_when(&self, at: usize, holds: impl Fn(&Session) -> bool) -> Session {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(session) =
                self.environment.recorder.sessions().into_iter().nth(at).filter(|s| holds(s))
            {
                return session;
            }
            assert!(Instant::now() < deadline, "it never came: {:#?}", self.environment.recorder.sessions());
            tokio::task::yield_now().await;
        }
    }
}

/// Reads until the server has given as many replies, and returns what it said.
pub(super) async fn hear(stream: &mut (impl AsyncRead + Unpin), replies: usize) -> String {
    let mut text = String::new();
    while codes(&text).len() < replies {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after {text:?}");
        text += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    text
}

pub(super) async fn tell(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

pub(super) fn closes(session: &Session) -> Vec<(Side, Close)> {
    let closes = session.events.iter().filter_map(|event| match event.what {
        What::Closed { by, how } => Some((by, how)),
        _ => None,
    });
    closes.collect()
}

#[tokio::test]
async fn a_session_goes_over_a_socket_and_is_written_down() {
    let standing = Standing::new(server(&["PIPELINING"])).await;
    let mut stream = standing.dial().await;
    hear(&mut stream, 1).await;
    tell(&mut stream, "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n").await;
    hear(&mut stream, 4).await;
    tell(&mut stream, "x\r\n.\r\nQUIT\r\n").await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(codes(&rest), [250, 221]);
    let session = standing.session_when(|session| !closes(session).is_empty()).await;
    assert_eq!(closes(&session), [(Side::Server, Close::Fin)]);
    assert_eq!((session.mock.as_str(), session.ordinal, session.server), ("hub", 1, standing.address));
    assert_eq!(session.client, stream.local_addr().unwrap());
    assert!(session.transactions[0].taken);
}

#[tokio::test]
async fn sessions_run_side_by_side_and_share_the_servers_memory() {
    let when = vec![crate::script::Condition::OpenSessions(crate::script::Range { from: Some(2), to: None })];
    let standing =
        Standing::new(with(On::Connect, vec![rule(when, vec![reply("421 4.3.2 Too many")])])).await;
    let mut first = standing.dial().await;
    assert_eq!(codes(&hear(&mut first, 1).await), [220]);
    let mut second = standing.dial().await;
    assert_eq!(codes(&hear(&mut second, 1).await), [421]);
    tell(&mut first, "NOOP\r\n").await;
    assert_eq!(codes(&hear(&mut first, 1).await), [250]);
}

#[tokio::test]
async fn a_clients_close_is_written_down() {
    let standing = Standing::new(server(&[])).await;
    let mut stream = standing.dial().await;
    hear(&mut stream, 1).await;
    drop(stream);
    let session = standing.session_when(|session| closes(session).len() == 2).await;
    assert_eq!(closes(&session), [(Side::Client, Close::Fin), (Side::Server, Close::Fin)]);
}

#[tokio::test]
async fn a_clients_reset_is_written_down() {
    let standing = Standing::new(server(&[])).await;
    let mut stream = standing.dial().await;
    hear(&mut stream, 1).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let session = standing.session_when(|session| !closes(session).is_empty()).await;
    assert_eq!(closes(&session), [(Side::Client, Close::Reset)]);
}

#[tokio::test]
async fn a_reset_reaches_the_client_behind_the_reply() {
    let script =
        with(On::Command(Verb::Ehlo), always(vec![reply("250 x"), Action::CloseReset { at_once: false }]));
    let standing = Standing::new(script).await;
    let mut stream = standing.dial().await;
    hear(&mut stream, 1).await;
    tell(&mut stream, "EHLO a\r\n").await;
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let session = standing.session_when(|session| !closes(session).is_empty()).await;
    assert_eq!(closes(&session), [(Side::Server, Close::Reset)]);
}

#[tokio::test]
async fn a_stalled_session_reads_nothing_and_ends_with_its_server() {
    let standing = Standing::new(with(On::Command(Verb::Ehlo), always(vec![Action::Stall]))).await;
    let mut stream = standing.dial().await;
    hear(&mut stream, 1).await;
    tell(&mut stream, "EHLO a\r\n").await;
    standing.session_when(|session| session.events.iter().any(|e| matches!(e.what, What::Rule(_)))).await;
    tell(&mut stream, "NOOP\r\n").await;
    standing.serving.abort();
    // Whatever was unread makes the kernel reset; either way the connection is gone.
    let gone = stream.read(&mut [0; 10]).await;
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    let session = standing.environment.recorder.sessions().remove(0);
    let noop =
        session.events.iter().any(|e| matches!(&e.what, What::Bytes { bytes, .. } if bytes == b"NOOP\r\n"));
    assert!(!noop, "nothing is read");
}

/// A connection whose peer acknowledges nothing before it is told to.
pub(super) struct Unacknowledged(tokio::io::DuplexStream, Arc<AtomicBool>);

impl Unacknowledged {
    pub(super) fn new(stream: tokio::io::DuplexStream) -> Self {
        Self(stream, Arc::default())
    }
}

impl AsyncRead for Unacknowledged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Unacknowledged {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Connection for Unacknowledged {
    fn reset_on_drop(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn poll_acknowledged(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.1.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[tokio::test]
async fn a_reset_waits_for_the_acknowledgement() {
    let lines = vec![line(Speech::Say(b"220 x\r\n".to_vec())), line(Speech::CloseReset)];
    let dialogue = Dialogue { mock_is: Side::Server, lines };
    let (near, mut far) = tokio::io::duplex(100);
    let acknowledged = Arc::new(AtomicBool::new(false));
    let recorder = Recorder::default();
    let here = "198.51.100.1:25".parse().unwrap();
    let record = recorder.open("hub", Side::Server, here, here, RunTime::ZERO);
    let connection = Box::new(Unacknowledged(near, acknowledged.clone()));
    let ends = Ends::Server { tls: Arc::new(TlsMaterial::new(epoch())), hostname: "hub.example".to_owned() };
    let conversing = tokio::spawn(async move {
        let mut runner = dialogue::DialogueRunner::new(&dialogue, record.clone());
        Shell::new(connection, Arc::new(RealClock::start()), record, ends).converse(&mut runner).await;
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!conversing.is_finished());
    // A client that is still writing must come to its end: only then it reads.
    tell(&mut far, &"x".repeat(1000)).await;
    acknowledged.store(true, Ordering::Relaxed);
    conversing.await.unwrap();
    assert_eq!(closes(&recorder.sessions()[0]), [(Side::Server, Close::Reset)]);
}

/// A clock that stands still until a sleeper is due, and then is there: nobody waits.
pub(super) struct Jumping(std::sync::Mutex<RunTime>);

impl Clock for Arc<Jumping> {
    fn now(&self) -> RunTime {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, at: RunTime) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            // The others come first, so that what is under way arrives before time goes on.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let mut now = clock.0.lock().unwrap();
            *now = at.max(*now);
        })
    }
}

impl Jumping {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new(RunTime::ZERO)))
    }
}

#[tokio::test]
async fn waits_are_on_the_injected_clock() {
    let clock = Jumping::new();
    let script = with(On::Connect, always(vec![wait(86_400)]));
    let standing = Standing::with_clock(script, Arc::new(clock)).await;
    let mut stream = standing.dial().await;
    assert_eq!(codes(&hear(&mut stream, 1).await), [220]);
    let session = standing.session_when(|session| session.events.len() == 2).await;
    assert_eq!(session.events[1].at, RunTime::new(Duration::from_hours(24)));
}

#[tokio::test]
async fn a_submission_meets_a_server() {
    let standing = Standing::new(server(&["8BITMIME", "SIZE 100"])).await;
    let stream = standing.dial().await;
    let Environment { clock, recorder, .. } = standing.environment.clone();
    let here = stream.local_addr().unwrap();
    let record = recorder.open("client", Side::Client, here, standing.address, clock.now());
    let submission = Submission {
        helo: "client.example".to_owned(),
        from: "a@b".to_owned(),
        from_parameters: vec!["BODY=8BITMIME".to_owned(), "RET=HDRS".to_owned()],
        recipients: vec![("c@d".to_owned(), Vec::new())],
        content: b".x\r\n".to_vec(),
        ..Submission::default()
    };
    let outcome = submit(Box::new(RealConnection(stream)), submission, clock, record).await;
    assert!(outcome.is_accepted());
    assert_eq!(outcome.dropped, ["RET=HDRS"]);
    let sessions = recorder.sessions();
    let session = |side| sessions.iter().find(|s| s.mock_is == side).unwrap();
    let (client, server) = (&session(Side::Client).transactions[0], &session(Side::Server).transactions[0]);
    assert_eq!((&client.content, &client.final_reply), (&server.content, &server.final_reply));
    assert!(server.taken && !client.taken);
    assert!(closes(session(Side::Client)).contains(&(Side::Client, Close::Fin)));
}

pub(super) fn line(what: Speech) -> Line {
    Line { within: None, what }
}

#[tokio::test]
async fn dialogues_meet_each_other() {
    let say = |text: &str| line(Speech::Say(format!("{text}\r\n").into_bytes()));
    let hear = |pattern: &str| line(Speech::Hear(Pattern(pattern.to_owned())));
    let server_lines = vec![say("220 x"), hear("EHLO sub2."), say("501 no"), hear("QUIT"), say("221 x")];
    let dialogue = Dialogue { mock_is: Side::Server, lines: server_lines };
    let standing = Standing::new(Script { dialogue: Some(dialogue), ..server(&[]) }).await;
    let stream = standing.dial().await;
    let Environment { clock, recorder, .. } = standing.environment.clone();
    let record =
        recorder.open("sub2", Side::Client, stream.local_addr().unwrap(), standing.address, clock.now());
    let client_lines = vec![
        hear("220 *"),
        say("EHLO sub2."),
        hear("501 *"),
        say("QUIT"),
        hear("221 *"),
        line(Speech::HearClose),
    ];
    let client = Dialogue { mock_is: Side::Client, lines: client_lines };
    dialogue::converse(Box::new(RealConnection(stream)), &client, clock, record).await;
    for session in recorder.sessions() {
        assert!(session.events.iter().any(|e| e.what == What::Completed), "{session:?}");
    }
}
