//! A session as commands and their replies: what the bytes of [`Session::events`] mean by the order in which they came.

use std::ops::Range;

use mock_servers::RunTime;
use mock_servers::transcript::{Part, Reply, Session, Side, What};

/// A session's commands with their replies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conversation {
    /// In order; the first one is the greeting, which nobody asks for.
    pub exchanges: Vec<Exchange>,
    /// Replies that answer nothing, as a 421 after a timeout.
    pub unasked: Vec<Answer>,
    /// Lines from the server that are no reply: the event, and the line with its end.
    pub not_replies: Vec<(usize, Vec<u8>)>,
}

/// Something that asks for a reply, and the reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// What it is.
    pub asked: Asked,
    /// The command line without its end; what is not UTF-8 is replaced.
    pub line: String,
    /// The line as it came, its end included.
    pub raw: Vec<u8>,
    /// When it came.
    pub at: RunTime,
    /// Index into [`Session::events`] of the bytes that ended it.
    pub event: usize,
    /// Whether over TLS.
    pub tls: bool,
    /// How many replies were still due when it came.
    pub outstanding: usize,
    /// The keywords that the server had last offered then, in upper case; empty after HELO; `None` before both, and
    /// after STARTTLS (RFC 3207 section 4.2).
    pub offer: Option<Vec<String>>,
    /// The reply; `None`: it never came.
    pub reply: Option<Answer>,
}

/// What asks for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The connection itself.
    Greeting,
    /// A command.
    Command,
    /// The answer to a 334 (RFC 4954 section 4).
    Challenge,
    /// The content after DATA.
    Content {
        /// Whether its end came too.
        ended: bool,
    },
}

/// A reply and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// When its last line came.
    pub at: RunTime,
    /// Index into [`Session::events`] of the bytes that ended it.
    pub event: usize,
    /// Its lines as they came, their ends included.
    pub raw: Vec<Vec<u8>>,
}

impl Exchange {
    /// The verb in upper case; empty where it is no command.
    pub fn verb(&self) -> String {
        match self.asked {
            Asked::Command => self.line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    /// What follows the verb and a space.
    pub fn argument(&self) -> &str {
        self.line.split_once(' ').map_or("", |(_, argument)| argument)
    }

    /// Whether the line begins with these words, without regard to case.
    pub fn begins_with(&self, words: &str) -> bool {
        let (words, line) = (words.trim(), self.line.as_bytes());
        self.asked == Asked::Command
            && line.len() >= words.len()
            && line[..words.len()].eq_ignore_ascii_case(words.as_bytes())
            && line.get(words.len()).is_none_or(|b| !b.is_ascii_alphanumeric())
    }

    /// Whether the server had offered this keyword: `SIZE`, `AUTH` (also the old `AUTH=LOGIN`).
    pub fn offered(&self, keyword: &str) -> bool {
        self.offer
            .iter()
            .flatten()
            .any(|line| line.split([' ', '=']).next().is_some_and(|word| word.eq_ignore_ascii_case(keyword)))
    }

    /// The reply's code; 0 without a reply.
    pub fn code(&self) -> u16 {
        self.reply.as_ref().map_or(0, |answer| answer.reply.code)
    }

    /// Its events: the command and what came until the reply was whole.
    pub fn events(&self) -> Range<usize> {
        self.event..self.reply.as_ref().map_or(self.event, |answer| answer.event.max(self.event)) + 1
    }
}

/// Takes a session apart. Mail that was handed over by a command has none.
pub fn conversation(session: &Session) -> Conversation {
    if session.is_by_command() {
        return Conversation::default();
    }
    let mut reading = Reading::new(session.opened);
    for (event, happened) in session.events.iter().enumerate() {
        reading.now = (event, happened.at);
        match &happened.what {
            // What is in the clear behind the handshake is no one's reply.
            What::Bytes { tls: false, .. } if reading.tls => {}
            What::Bytes { from, bytes, tls, part } => {
                reading.tls = *tls;
                match (from, part) {
                    (Side::Client, Part::Lines) => reading.client(bytes),
                    (Side::Client, Part::Content) => reading.content(bytes),
                    (Side::Server, _) => reading.server(bytes),
                }
            }
            What::TlsStarted { .. } => {
                reading.tls = true;
                reading.offer = None;
                // What was said in the clear and not answered there is forgotten (RFC 3207 section 4.2).
                reading.due = reading.done.exchanges.len();
                reading.reply.clear();
                reading.from_client.clear();
                reading.from_server.clear();
            }
            _ => {}
        }
    }
    reading.done
}

struct Reading {
    done: Conversation,
    now: (usize, RunTime),
    tls: bool,
    offer: Option<Vec<String>>,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    reply: Vec<Vec<u8>>,
    tail: Vec<u8>,
    /// The exchange whose reply comes next: replies come in order.
    due: usize,
}

impl Reading {
    fn new(opened: RunTime) -> Self {
        let mut reading = Self {
            done: Conversation::default(),
            now: (0, opened),
            tls: false,
            offer: None,
            from_client: Vec::new(),
            from_server: Vec::new(),
            reply: Vec::new(),
            tail: Vec::new(),
            due: 0,
        };
        reading.ask(Asked::Greeting, Vec::new());
        reading
    }

    fn ask(&mut self, asked: Asked, raw: Vec<u8>) {
        let (event, at) = self.now;
        let outstanding = self.done.exchanges.len() - self.due;
        let line = String::from_utf8_lossy(&raw).trim_end_matches(['\r', '\n']).to_owned();
        let (tls, offer) = (self.tls, self.offer.clone());
        self.done.exchanges.push(Exchange {
            asked,
            line,
            raw,
            at,
            event,
            tls,
            outstanding,
            offer,
            reply: None,
        });
    }

    fn client(&mut self, bytes: &[u8]) {
        self.from_client.extend_from_slice(bytes);
        for line in whole_lines(&mut self.from_client) {
            let last = self.done.exchanges.last();
            let authenticating = |e: &Exchange| e.verb() == "AUTH" || e.asked == Asked::Challenge;
            let challenged = last.is_some_and(|e| e.code() == 334 && authenticating(e));
            self.ask(if challenged { Asked::Challenge } else { Asked::Command }, line);
        }
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(last) = self.done.exchanges.last() else { return };
        if last.begins_with("BDAT") {
            return;
        }
        if !matches!(last.asked, Asked::Content { .. }) || last.reply.is_some() {
            self.tail = b"\r\n".to_vec();
            self.ask(Asked::Content { ended: false }, Vec::new());
        }
        self.tail.extend_from_slice(bytes);
        self.tail.drain(..self.tail.len().saturating_sub(5));
        let ended = self.tail.ends_with(b"\r\n.\r\n");
        if let Some(last) = self.done.exchanges.last_mut() {
            last.asked = Asked::Content { ended };
            last.event = self.now.0;
        }
    }

    fn server(&mut self, bytes: &[u8]) {
        self.from_server.extend_from_slice(bytes);
        for line in whole_lines(&mut self.from_server) {
            let is_reply = line.len() >= 3 && line[..3].iter().all(u8::is_ascii_digit);
            if !is_reply {
                self.done.not_replies.push((self.now.0, line));
                continue;
            }
            let more = line.get(3) == Some(&b'-');
            self.reply.push(line);
            if !more {
                self.answered();
            }
        }
    }

    fn answered(&mut self) {
        let raw = std::mem::take(&mut self.reply);
        let text = |line: &Vec<u8>| {
            let line = String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned();
            line.trim_end_matches(['\r', '\n']).to_owned()
        };
        let digits = raw.last().map(|line| String::from_utf8_lossy(&line[..3]).into_owned());
        let code = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let reply = Reply { code, lines: raw.iter().map(text).collect() };
        let answer = Answer { reply, at: self.now.1, event: self.now.0, raw };
        let Some(exchange) = self.done.exchanges.get_mut(self.due) else {
            self.done.unasked.push(answer);
            return;
        };
        self.due += 1;
        match exchange.verb().as_str() {
            "EHLO" if code / 100 == 2 => {
                let keywords = answer.reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase());
                self.offer = Some(keywords.collect());
            }
            "HELO" if code / 100 == 2 => self.offer = Some(Vec::new()),
            _ => {}
        }
        exchange.reply = Some(answer);
    }
}

fn whole_lines(buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let whole = buffer.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let lines: Vec<u8> = buffer.drain(..whole).collect();
    lines.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
}

/// When a session ended: its last event.
pub fn ended(session: &Session) -> RunTime {
    session.events.last().map_or(session.opened, |event| event.at).max(session.opened)
}
