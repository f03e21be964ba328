//! Records made by hand, for tests of everything that reads one.

use std::net::SocketAddr;
use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::{
    Close, Event, Offer, Part, Recipient, Reply, Session, Side, Transaction, What,
};
use proptest::prelude::*;

use super::{
    End, Ending, LogLine, QueueEntry, QueueState, Raw, Record, RelayIdentity, Role, Sent, StepDone, assemble,
};

/// What the run's clock called its start: 11 June 2001, 12:00 UTC.
pub(crate) const EPOCH: i64 = 992_260_800;

pub(crate) fn minutes(minutes: u64) -> RunTime {
    RunTime::new(Duration::from_secs(60 * minutes))
}

pub(crate) fn reply(text: &str) -> Reply {
    Reply { code: text[..3].parse().unwrap(), lines: vec![text[4..].to_owned()] }
}

/// Writes a session as it goes, line by line.
#[derive(Clone)]
pub(crate) struct Talk {
    session: Session,
    at: RunTime,
    tls: bool,
}

impl Talk {
    /// The relay calls a mock server.
    pub(crate) fn server(mock: &str, ordinal: u32, at: RunTime) -> Self {
        Self::new(mock, Side::Server, ordinal, at)
    }

    /// A client calls the relay.
    pub(crate) fn client(mock: &str, ordinal: u32, at: RunTime) -> Self {
        Self::new(mock, Side::Client, ordinal, at)
    }

    fn new(mock: &str, mock_is: Side, ordinal: u32, at: RunTime) -> Self {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let session = Session {
            mock: mock.to_owned(),
            mock_is,
            ordinal,
            client: address(&format!("198.51.100.1:4{ordinal:04}")),
            server: address("198.51.100.25:25"),
            opened: at,
            events: Vec::new(),
            transactions: Vec::new(),
            offers: Vec::new(),
        };
        Self { session, at, tls: false }
    }

    pub(crate) fn at(mut self, at: RunTime) -> Self {
        self.at = at;
        self
    }

    pub(crate) fn event(mut self, what: What) -> Self {
        self.tls |= matches!(what, What::TlsStarted { .. });
        self.session.events.push(Event { at: self.at, what });
        self
    }

    fn bytes(self, from: Side, bytes: &[u8], part: Part) -> Self {
        let tls = self.tls;
        self.event(What::Bytes { from, bytes: bytes.to_vec(), tls, part })
    }

    /// A line of the client; several in one segment where it holds line ends.
    pub(crate) fn c(self, line: &str) -> Self {
        self.bytes(Side::Client, format!("{line}\r\n").as_bytes(), Part::Lines)
    }

    /// Lines of the server.
    pub(crate) fn s(self, line: &str) -> Self {
        self.bytes(Side::Server, format!("{line}\r\n").as_bytes(), Part::Lines)
    }

    pub(crate) fn raw(self, from: Side, bytes: &[u8]) -> Self {
        self.bytes(from, bytes, Part::Lines)
    }

    pub(crate) fn close(self, by: Side, how: Close) -> Self {
        self.event(What::Closed { by, how })
    }

    /// Greeting, EHLO and its keywords.
    pub(crate) fn hello(self, keywords: &[&str]) -> Self {
        let server_is_mock = self.session.mock_is == Side::Server;
        let helo = if server_is_mock { "relay.origin.example" } else { "client.origin.example" };
        let mut lines = vec!["server.example".to_owned()];
        lines.extend(keywords.iter().map(|&word| word.to_owned()));
        let (last, first) = lines.split_last().unwrap();
        let mut text: Vec<String> = first.iter().map(|line| format!("250-{line}")).collect();
        text.push(format!("250 {last}"));
        let (at, tls) = (self.at, self.tls);
        let keywords = keywords.iter().map(|word| word.to_ascii_uppercase()).collect();
        let greeted = if self.session.events.is_empty() { self.s("220 server.example ESMTP") } else { self };
        let mut done = greeted.c(&format!("EHLO {helo}")).s(&text.join("\r\n"));
        done.session.offers.push(Offer { at, tls, keywords });
        done
    }

    /// MAIL with its parameters.
    pub(crate) fn mail(self, from: &str, parameters: &[&str], answer: &str) -> Self {
        let line = format!("MAIL FROM:<{from}> {}", parameters.join(" "));
        let mut done = self.c(line.trim_end()).s(answer);
        done.session.transactions.push(Transaction {
            started: done.at,
            helo: None,
            from: from.to_owned(),
            parameters: parameters.iter().map(|&p| p.to_owned()).collect(),
            mail_reply: Some(reply(answer)),
            recipients: Vec::new(),
            data_reply: None,
            content: Vec::new(),
            ended: false,
            final_reply: None,
            finished: None,
            taken: false,
        });
        done
    }

    pub(crate) fn rcpt(self, to: &str, parameters: &[&str], answer: &str) -> Self {
        let line = format!("RCPT TO:<{to}> {}", parameters.join(" "));
        let mut done = self.c(line.trim_end()).s(answer);
        let parameters = parameters.iter().map(|&p| p.to_owned()).collect();
        let recipient = Recipient { to: to.to_owned(), parameters, reply: Some(reply(answer)) };
        done.transaction().recipients.push(recipient);
        done
    }

    fn transaction(&mut self) -> &mut Transaction {
        self.session.transactions.last_mut().unwrap()
    }

    /// DATA, the content, and no final reply.
    pub(crate) fn data_unanswered(self, content: &[u8]) -> Self {
        let mut done = self.c("DATA").s("354 go on");
        let mut wire = content.to_vec();
        wire.extend_from_slice(b".\r\n");
        done = done.bytes(Side::Client, &wire, Part::Content);
        let transaction = done.transaction();
        transaction.data_reply = Some(reply("354 go on"));
        transaction.content = content.to_vec();
        transaction.ended = true;
        done
    }

    /// DATA, the content, the final reply; a mock server takes the mail with a 2yz.
    pub(crate) fn data(self, content: &[u8], answer: &str) -> Self {
        let mut done = self.data_unanswered(content).s(answer);
        let (at, is_server) = (done.at, done.session.mock_is == Side::Server);
        if is_server && answer.starts_with('2') {
            let transaction = done.session.transactions.len() - 1;
            done = done.event(What::Taken { transaction });
        }
        let transaction = done.transaction();
        transaction.final_reply = Some(reply(answer));
        transaction.finished = Some(at);
        transaction.taken = is_server && answer.starts_with('2');
        done
    }

    /// BDAT LAST with all of the content, and the reply.
    pub(crate) fn chunk(self, content: &[u8], answer: &str) -> Self {
        let said = self.c(&format!("BDAT {} LAST", content.len()));
        let mut done = said.bytes(Side::Client, content, Part::Content).s(answer);
        let at = done.at;
        let transaction = done.transaction();
        transaction.content = content.to_vec();
        transaction.ended = true;
        transaction.final_reply = Some(reply(answer));
        transaction.finished = Some(at);
        done
    }

    /// The server took the mail although the reply says otherwise, or never came.
    pub(crate) fn taken(mut self, taken: bool) -> Self {
        self.transaction().taken = taken;
        self
    }

    pub(crate) fn quit(self) -> Self {
        self.c("QUIT").s("221 bye").close(Side::Server, Close::Fin).close(Side::Client, Close::Fin)
    }

    pub(crate) fn done(self) -> Session {
        self.session
    }
}

/// A message of the lab with its tokens in their three places.
pub(crate) fn content(token: &str) -> Vec<u8> {
    format!(
        "From: <alice@origin.example>\r\nSubject: {token}\r\nMessage-ID: <{token}@gauntlet.example>\r\n\
         X-Gauntlet-Token: {token}\r\n\r\nHello.\r\nToken: {token}\r\n"
    )
    .into_bytes()
}

/// The same, relayed: with a Received field at the top.
pub(crate) fn relayed(content: &[u8]) -> Vec<u8> {
    let received = "Received: from client.origin.example ([198.51.100.1]) by relay.origin.example with ESMTP\r\n\t\
        id Q7F31A; Mon, 11 Jun 2001 12:00:00 +0000\r\n";
    [received.as_bytes(), content].concat()
}

/// A notification about one recipient, as the reference relay words it.
pub(crate) fn notice(token: &str, to: &str, action: &str, status: &str) -> Vec<u8> {
    notice_with(token, &format!("Final-Recipient: rfc822; {to}\r\nAction: {action}\r\nStatus: {status}\r\n"))
}

/// A notification with these recipient fields. One that tells of no failure returns the header alone (RFC 3461 section
/// 6.2).
pub(crate) fn notice_with(token: &str, recipients: &str) -> Vec<u8> {
    let whole = String::from_utf8(content(token)).unwrap();
    let header = whole.split_once("\r\n\r\n").map_or("", |(header, _)| header);
    let (kind, returned) = if recipients.contains("Action: failed") {
        ("message/rfc822", whole.as_str())
    } else {
        ("text/rfc822-headers", header)
    };
    format!(
        "From: <postmaster@relay.origin.example>\r\nTo: <alice@origin.example>\r\nSubject: Undeliverable\r\n\
         Date: Mon, 11 Jun 2001 12:15:00 +0000\r\nMessage-ID: <20010611.9@relay.origin.example>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"rb81\"\r\n\r\n\
         --rb81\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n\
         --rb81\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; relay.origin.example\r\nArrival-Date: Mon, 11 Jun 2001 12:00:00 +0000\r\n\r\n\
         {recipients}\r\n\
         --rb81\r\nContent-Type: {kind}\r\n\r\n{returned}\r\n--rb81--\r\n"
    )
    .into_bytes()
}

/// A run in the making.
pub(crate) struct Run {
    pub(crate) raw: Raw,
}

impl Run {
    pub(crate) fn new() -> Self {
        let relay = RelayIdentity {
            name: "reference".to_owned(),
            version: "0.1.0".to_owned(),
            hostname: "relay.origin.example".to_owned(),
            role: Role::Relay,
            own_times: Vec::new(),
            address: "198.51.100.2:25".parse().unwrap(),
            varies: crate::record::Varies::default(),
        };
        let raw = Raw {
            relay,
            epoch: EPOCH,
            clock: crate::record::Clock::Run,
            sessions: Vec::new(),
            queries: Vec::new(),
            sent: Vec::new(),
            queue: vec![QueueState { at: RunTime::ZERO, entries: Vec::new() }],
            log: Vec::new(),
            steps: Vec::new(),
            checkpoints: Vec::new(),
            end: End { at: minutes(60 * 24), how: Ending::Finished },
            serves: Vec::new(),
        };
        Self { raw }
    }

    pub(crate) fn talk(mut self, talk: Talk) -> Self {
        self.raw.sessions.push(talk.done());
        self
    }

    /// The lab sends a message from alice to these recipients, and the relay takes it.
    pub(crate) fn sent(self, message: &str, to: &[&str]) -> Self {
        let to: Vec<(&str, &[&str])> = to.iter().map(|to| (*to, &[][..])).collect();
        self.sent_as(message, "alice@origin.example", &to)
    }

    /// The same with a reverse-path and parameters of RCPT.
    pub(crate) fn sent_as(self, message: &str, from: &str, to: &[(&str, &[&str])]) -> Self {
        let ordinal = 1 + self.raw.sent.len() as u32;
        let content = content(&format!("{message}-{ordinal}"));
        let mut talk = Talk::client("sender", ordinal, RunTime::ZERO)
            .hello(&["DSN", "8BITMIME", "ENHANCEDSTATUSCODES"])
            .mail(from, &[], "250 2.1.0 OK");
        for (to, parameters) in to {
            talk = talk.rcpt(to, parameters, "250 2.1.5 OK");
        }
        self.sent_by(message, from, to, talk.data(&content, "250 2.0.0 OK id Q7F31A").quit(), content)
    }

    /// The same by a conversation of one's own.
    pub(crate) fn sent_by(
        mut self,
        message: &str,
        from: &str,
        to: &[(&str, &[&str])],
        talk: Talk,
        content: Vec<u8>,
    ) -> Self {
        let ordinal = 1 + self.raw.sent.len() as u32;
        let copies = self.raw.sent.iter().filter(|sent| sent.message == message).count() as u32;
        let parameters = |p: &[&str]| p.iter().map(|&p| p.to_owned()).collect();
        self.raw.sent.push(Sent {
            message: message.to_owned(),
            copy: copies + 1,
            token: Some(format!("{message}-{ordinal}")),
            session: Some(("sender".to_owned(), ordinal)),
            at: RunTime::ZERO,
            from: from.to_owned(),
            recipients: to.iter().map(|(to, p)| ((*to).to_owned(), parameters(p))).collect(),
            left_out: Vec::new(),
            content,
        });
        self.raw.serves.extend([("hub".to_owned(), "hub.example".to_owned())]);
        self.talk(talk)
    }

    /// A server takes a relayed message.
    pub(crate) fn delivered(self, server: &str, ordinal: u32, at: RunTime, token: &str, to: &[&str]) -> Self {
        self.talk(delivery(server, ordinal, at, token, to).quit())
    }

    /// The origin mailbox takes a notification for alice.
    pub(crate) fn notified(self, ordinal: u32, at: RunTime, notice: &[u8]) -> Self {
        self.notified_to(ordinal, at, "", "alice@origin.example", notice)
    }

    pub(crate) fn notified_to(self, ordinal: u32, at: RunTime, from: &str, to: &str, notice: &[u8]) -> Self {
        let talk = Talk::server("origin", ordinal, at)
            .hello(&["8BITMIME"])
            .mail(from, &[], "250 OK")
            .rcpt(to, &[], "250 OK")
            .data(notice, "250 OK")
            .quit();
        self.talk(talk)
    }

    /// The relay's queue is listed with alice's mail waiting.
    pub(crate) fn queued(mut self, at: RunTime, to: &[&str], attempts: u32, next: Option<RunTime>) -> Self {
        let entry = QueueEntry {
            id: "Q7F31A".to_owned(),
            from: "alice@origin.example".to_owned(),
            arrived: RunTime::ZERO,
            recipients: to.iter().map(|&to| to.to_owned()).collect(),
            attempts: Some(attempts),
            next,
            reason: Some("451 later".to_owned()),
            held: false,
        };
        self.raw.queue.push(QueueState { at, entries: vec![entry] });
        self
    }

    /// The relay's queue is listed empty.
    pub(crate) fn emptied(mut self, at: RunTime) -> Self {
        self.raw.queue.push(QueueState { at, entries: Vec::new() });
        self
    }

    pub(crate) fn step(mut self, step: &str, at: RunTime) -> Self {
        self.raw.steps.push(StepDone { step: step.to_owned(), began: at, done: at, jumped: None });
        self
    }

    pub(crate) fn log(mut self, at: RunTime, text: &str) -> Self {
        self.raw.log.push(LogLine { at, text: text.to_owned() });
        self
    }

    pub(crate) fn end(mut self, at: RunTime, how: Ending) -> Self {
        self.raw.end = End { at, how };
        self
    }

    pub(crate) fn record(self) -> Record {
        assemble(self.raw)
    }
}

/// A server takes a relayed message; the session is still open.
pub(crate) fn delivery(server: &str, ordinal: u32, at: RunTime, token: &str, to: &[&str]) -> Talk {
    let mut talk =
        Talk::server(server, ordinal, at).hello(&["8BITMIME"]).mail("alice@origin.example", &[], "250 OK");
    for to in to {
        talk = talk.rcpt(to, &[], "250 OK");
    }
    talk.data(&relayed(&content(token)), "250 OK")
}

/// A server defers the recipient.
pub(crate) fn deferral(server: &str, ordinal: u32, at: RunTime, to: &str, answer: &str) -> Talk {
    Talk::server(server, ordinal, at)
        .hello(&["8BITMIME"])
        .mail("alice@origin.example", &[], "250 OK")
        .rcpt(to, &[], answer)
        .quit()
}

/// Octets, and lines that readers of mail have stumbled over.
pub(crate) fn mime_like() -> impl Strategy<Value = Vec<u8>> {
    const LINES: [&str; 16] = [
        "Content-Type: multipart/mixed; boundary=b",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"",
        "Content-Type: message/rfc822",
        "Content-Type: message/delivery-status",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "MIME-Version: 1.0",
        "",
        "--b",
        "--b--",
        "=C3=B6=",
        "U23DtnI=",
        " folded",
        "Final-Recipient: rfc822; x",
        ":",
    ];
    let piece = prop_oneof![
        6 => prop::sample::select(&LINES[..]).prop_map(|line| format!("{line}\r\n").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
