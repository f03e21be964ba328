//! Dialogues, carried out: the mock says its own side's lines and matches the other's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::content::{DotReader, Stop};
use super::conversation::{Conversation, Input, Output};
use super::observer::Observer;
use super::reply::ReplyReader;
use super::shell::{Ends, Shell};
use crate::environment::{Clock, Connection};
use crate::script::{Choice, Dialogue, Line, Pattern, Speech, TlsAction};
use crate::time::RunTime;
use crate::transcript::{Close, Reply, SessionRecorder, Side, What};

mod fit;

/// Octets that the other side can say before a line is due to hear them. Then no more is read until one is.
const MOST_UNHEARD: usize = 1024 * 1024;

/// Carries a client's dialogue out over this connection and closes it. `record` was opened with that side.
pub async fn converse(
    connection: Box<dyn Connection>,
    dialogue: &Dialogue,
    clock: Arc<dyn Clock>,
    record: SessionRecorder,
) {
    let mut runner = DialogueRunner::new(dialogue, record.clone());
    Shell::new(connection, clock, record, Ends::Client).converse(&mut runner).await;
}

/// A dialogue in progress, on either side. Once its last line is done, or one does not fit, the mock closes in order.
#[derive(Debug)]
pub struct DialogueRunner {
    mock_is: Side,
    /// The lines to come, each with its place in the dialogue; an alternative's lines have the place of the whole.
    lines: VecDeque<(usize, Line)>,
    observer: Observer,
    inbox: Vec<u8>,
    replies: ReplyReader,
    /// What the other side said and no line has matched yet.
    heard: Option<Heard>,
    content: Option<DotReader>,
    /// When the line at hand came to its turn.
    began: RunTime,
    wake: Option<RunTime>,
    tls: Option<Tls>,
    peer_closed: bool,
    over: bool,
    out: Vec<Output>,
}

/// How far the handshake of the line at hand is.
#[derive(Debug)]
enum Tls {
    Asked,
    /// It came out as the line says.
    Done,
    Failed(String),
}

/// One thing that the other side said.
#[derive(Debug, Clone)]
enum Heard {
    Line(String),
    Reply(Reply),
}

/// What the line at hand comes to.
enum Turn {
    /// It is done.
    Done,
    /// It is done, and these lines come next.
    Chosen(Vec<Line>),
    /// Nothing can be said before more happens.
    Waits,
    /// It cannot be: what came instead.
    Mismatch(String),
    /// The mock closed.
    Over,
}

impl DialogueRunner {
    /// A dialogue that has not begun.
    pub fn new(dialogue: &Dialogue, record: SessionRecorder) -> Self {
        Self {
            mock_is: dialogue.mock_is,
            lines: dialogue.lines.iter().cloned().enumerate().map(|(at, line)| (at + 1, line)).collect(),
            observer: Observer::new(record, dialogue.mock_is),
            inbox: Vec::new(),
            replies: ReplyReader::default(),
            heard: None,
            content: None,
            began: RunTime::ZERO,
            wake: None,
            tls: None,
            peer_closed: false,
            over: false,
            out: Vec::new(),
        }
    }

    fn advance(&mut self, now: RunTime) {
        while !self.over {
            let Some((step, line)) = self.lines.pop_front() else {
                self.out.push(Output::Record(What::Completed));
                return self.end(Output::CloseFin, now);
            };
            match self.turn(&line, now) {
                Turn::Done => self.next_line(now),
                Turn::Chosen(lines) => {
                    self.next_line(now);
                    for line in lines.into_iter().rev() {
                        self.lines.push_front((step, line));
                    }
                }
                Turn::Waits => {
                    let late = within(&line).is_some_and(|within| now.since(self.began) >= within);
                    if late && !matches!(line.what, Speech::Wait(_)) {
                        let waited = crate::time::human(within(&line).unwrap_or_default());
                        let got = format!("nothing within {waited}{}", self.partial());
                        return self.mismatch(step, &line, got, now);
                    }
                    return self.lines.push_front((step, line));
                }
                Turn::Mismatch(got) => return self.mismatch(step, &line, got, now),
                Turn::Over => {}
            }
        }
    }

    fn turn(&mut self, line: &Line, now: RunTime) -> Turn {
        match &line.what {
            Speech::Say(bytes) => {
                self.out.push(Output::Send(bytes.clone()));
                Turn::Done
            }
            Speech::Wait(time) => {
                let until = *self.wake.get_or_insert(now + *time);
                if now < until { Turn::Waits } else { Turn::Done }
            }
            Speech::CloseFin => self.close(Output::CloseFin, now),
            Speech::CloseReset => self.close(Output::CloseReset { at_once: false }, now),
            Speech::HearClose => {
                if !self.inbox.is_empty() || self.heard.is_some() {
                    return Turn::Mismatch(self.what_came());
                }
                if self.peer_closed { Turn::Done } else { Turn::Waits }
            }
            Speech::HearContent => self.hear_content(),
            Speech::Hear(pattern) => match self.listen() {
                Some(heard) if heard.fits(pattern) => {
                    self.heard = None;
                    Turn::Done
                }
                Some(heard) => Turn::Mismatch(heard.text()),
                None => self.silence(),
            },
            Speech::OneOf(choices) => self.choose(choices),
            Speech::Tls(action) => self.handshake(action),
        }
    }

    /// TLS from here on. What the other side said in the clear behind the reply to STARTTLS has no place there.
    fn handshake(&mut self, action: &TlsAction) -> Turn {
        match &self.tls {
            None if !self.inbox.is_empty() || self.heard.is_some() || self.peer_closed => {
                Turn::Mismatch(self.what_came())
            }
            None => {
                if !action.clear_before.is_empty() {
                    self.out.push(Output::Send(action.clear_before.clone()));
                }
                self.out.push(Output::BeginTls(action.clone()));
                self.tls = Some(Tls::Asked);
                Turn::Waits
            }
            Some(Tls::Asked) => Turn::Waits,
            Some(Tls::Done) => Turn::Done,
            Some(Tls::Failed(why)) => Turn::Mismatch(why.clone()),
        }
    }

    /// The first alternative whose first line fits. One that begins with the mock's own word always does.
    fn choose(&mut self, choices: &[Choice]) -> Turn {
        let mut waits = false;
        for Choice(lines) in choices {
            let fits = match lines.first().map(|line| &line.what) {
                Some(Speech::Hear(pattern)) => {
                    let heard = self.listen();
                    waits |= heard.is_none() && !self.peer_closed;
                    heard.is_some_and(|heard| heard.fits(pattern))
                }
                Some(Speech::HearClose) => {
                    let closed = self.peer_closed && self.inbox.is_empty() && self.heard.is_none();
                    waits |= !self.peer_closed && self.listen().is_none();
                    closed
                }
                _ => !waits,
            };
            if fits {
                // The first line is matched again in its turn; what was heard is still there.
                return Turn::Chosen(lines.clone());
            }
        }
        if waits { Turn::Waits } else { Turn::Mismatch(self.what_came()) }
    }

    /// The next thing that the other side said, left in its place.
    fn listen(&mut self) -> Option<Heard> {
        if self.heard.is_none() {
            self.heard = match self.mock_is {
                Side::Client => {
                    let (taken, reply) = self.replies.read(&self.inbox);
                    self.inbox.drain(..taken);
                    reply.map(Heard::Reply)
                }
                Side::Server => self.inbox.iter().position(|&b| b == b'\n').map(|end| {
                    let mut line: Vec<u8> = self.inbox.drain(..=end).collect();
                    line.pop();
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    Heard::Line(String::from_utf8_lossy(&line).into_owned())
                }),
            };
        }
        self.heard.clone()
    }

    fn hear_content(&mut self) -> Turn {
        if let Some(heard) = &self.heard {
            return Turn::Mismatch(heard.text()); // taken as a line by an alternative
        }
        let reader = self.content.get_or_insert_default();
        let (mut taken, mut stop) = (0, Stop::Line);
        while stop == Stop::Line {
            let (count, why) = reader.read(&self.inbox[taken..], &mut Vec::new());
            (taken, stop) = (taken + count, why);
        }
        self.inbox.drain(..taken);
        if stop == Stop::End {
            self.content = None;
            return Turn::Done;
        }
        self.silence()
    }

    fn silence(&self) -> Turn {
        if self.is_full() {
            return Turn::Mismatch(format!("{} octets without a line's end", self.inbox.len()));
        }
        if self.peer_closed { Turn::Mismatch(self.what_came()) } else { Turn::Waits }
    }

    fn what_came(&self) -> String {
        match &self.heard {
            Some(heard) => heard.text(),
            None if self.peer_closed => format!("the connection was closed{}", self.partial()),
            None => String::from_utf8_lossy(&self.inbox).trim_end().to_owned(),
        }
    }

    /// What came of something that is not complete, as an addition to a text.
    fn partial(&self) -> String {
        let part = self.replies.partial() + &String::from_utf8_lossy(&self.inbox);
        if part.is_empty() { String::new() } else { format!(", after {part:?}") }
    }

    fn go_on(&mut self, now: RunTime) -> Vec<Output> {
        self.advance(now);
        std::mem::take(&mut self.out)
    }

    /// The connection broke: there is nothing to wait for, and no one to speak to.
    fn broken(&mut self, now: RunTime) -> Vec<Output> {
        while self.lines.pop_front_if(|(_, line)| matches!(line.what, Speech::Wait(_))).is_some() {}
        if let Some((step, line)) = self.lines.pop_front_if(|(_, line)| matches!(line.what, Speech::Say(_))) {
            self.mismatch(step, &line, "the connection was reset".to_owned(), now);
        }
        self.go_on(now)
    }

    fn next_line(&mut self, now: RunTime) {
        self.began = now;
        self.wake = None;
        self.tls = None;
    }

    fn close(&mut self, how: Output, now: RunTime) -> Turn {
        if self.lines.is_empty() {
            self.out.push(Output::Record(What::Completed));
        }
        self.end(how, now);
        Turn::Over
    }

    fn mismatch(&mut self, step: usize, line: &Line, got: String, now: RunTime) {
        let expected = expectation(&line.what);
        self.out.push(Output::Record(What::Mismatch { step, expected, got }));
        self.end(Output::CloseFin, now);
    }

    fn end(&mut self, how: Output, _now: RunTime) {
        self.out.push(how);
        self.over = true;
    }
}

impl Conversation for DialogueRunner {
    fn handle(&mut self, input: Input<'_>, now: RunTime) -> Vec<Output> {
        if self.over {
            return Vec::new();
        }
        match input {
            Input::Connected => self.next_line(now),
            Input::Bytes(bytes) => {
                self.observer.said(self.mock_is.other(), bytes, now);
                self.inbox.extend_from_slice(bytes);
            }
            Input::PeerClosed(how) => {
                self.peer_closed = true;
                if how == Close::Reset {
                    return self.broken(now);
                }
            }
            Input::TlsEstablished { version, server_name } => {
                self.observer.encrypted(version, server_name, now);
                self.replies = ReplyReader::default();
                self.tls = Some(Tls::Done);
            }
            Input::TlsFailed { why, stall, scripted } => {
                self.out.push(Output::Record(What::TlsFailed { why: why.clone() }));
                self.tls = Some(if scripted { Tls::Done } else { Tls::Failed(why) });
                if stall {
                    self.end(Output::Stall, now);
                }
            }
            Input::Timer => {}
        }
        self.go_on(now)
    }

    fn sent(&mut self, bytes: &[u8], now: RunTime) {
        self.observer.said(self.mock_is, bytes, now);
    }

    fn closed(&mut self, now: RunTime) {
        self.observer.over(now);
    }

    fn is_full(&self) -> bool {
        self.inbox.len() >= MOST_UNHEARD
    }

    fn deadline(&self) -> Option<RunTime> {
        let (_, line) = self.lines.front().filter(|_| !self.over)?;
        self.wake.or_else(|| Some(self.began + within(line)?))
    }
}

/// How long the line may wait; an alternative's own limits count where the whole has none.
fn within(line: &Line) -> Option<Duration> {
    line.within.or_else(|| match &line.what {
        Speech::OneOf(choices) => choices.iter().filter_map(|Choice(lines)| within(lines.first()?)).min(),
        _ => None,
    })
}

fn expectation(what: &Speech) -> String {
    match what {
        Speech::Hear(Pattern(pattern)) => pattern.clone(),
        Speech::HearContent => "content up to the final dot".to_owned(),
        Speech::HearClose => "the other side to close".to_owned(),
        Speech::OneOf(choices) => {
            let firsts = choices.iter().filter_map(|Choice(lines)| lines.first());
            let texts: Vec<String> = firsts.map(|line| expectation(&line.what)).collect();
            format!("one of: {}", texts.join(", "))
        }
        Speech::Tls(_) => "the TLS handshake".to_owned(),
        Speech::Say(_) | Speech::Wait(_) | Speech::CloseFin | Speech::CloseReset => "to go on".to_owned(),
    }
}
