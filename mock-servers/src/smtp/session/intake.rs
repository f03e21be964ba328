//! What comes from the client, taken up unit by unit: a command line, an answer to a challenge, a piece of content.

use super::state::Greeting;
use super::{ServerSession, Step};
use crate::script::{On, Verb};
use crate::smtp::command::{self, Request};
use crate::smtp::content::{DotReader, Stop};
use crate::time::RunTime;

/// What the client's next bytes are.
#[derive(Debug)]
pub(super) enum Mode {
    /// A command line.
    Command,
    /// The answer to a 334.
    Challenge,
    /// Content after DATA.
    Content(DotReader),
    /// Content of a BDAT chunk.
    Chunk {
        /// Octets of it that are still to come.
        left: u64,
        /// The command.
        request: Box<Request>,
    },
}

/// Bytes of the client that were not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// How many were taken off the front; `bytes` is cut now and then.
    start: usize,
    /// The client's bytes up to the end of the inbox, over the whole session.
    received: u64,
    /// Bytes up to here had come when the last reply was given.
    answered: u64,
    /// The line at the front is too long; its bytes are being thrown away.
    overlong: bool,
    /// Up to here the rest holds no CRLF.
    searched: usize,
}

/// A line of the client's.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

impl Inbox {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.received += bytes.len() as u64;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Nothing from before this moment is early any more.
    pub(super) fn answered(&mut self) {
        self.answered = self.received;
    }

    /// Throws away what the client said in the clear (RFC 3207 section 4.2).
    pub(super) fn clear(&mut self) -> usize {
        let length = self.len();
        self.skip(length);
        length
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn skip(&mut self, count: usize) {
        self.searched = 0;
        self.start += count;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > 64 * 1024 && self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Whether the byte at the front had come before the last reply was given.
    fn front_is_early(&self) -> bool {
        self.received - (self.len() as u64) < self.answered
    }

    /// The next line, how many bytes it took with its CRLF, and whether that is the end of it.
    fn line(&mut self, limit: usize) -> (usize, Option<Line>) {
        let from = self.searched;
        self.searched = self.len().saturating_sub(1);
        if let Some(end) = self.rest()[from..].windows(2).position(|w| w == b"\r\n").map(|end| from + end) {
            let too_long = std::mem::take(&mut self.overlong) || end > limit;
            let line = if too_long { Line::TooLong } else { Line::Whole(self.rest()[..end].to_vec()) };
            self.skip(end + 2);
            return (end + 2, Some(line));
        }
        let over = self.len().saturating_sub(1);
        if over <= limit {
            return (0, None);
        }
        // Keep the last byte: it may be the CR of the line's end.
        self.overlong = true;
        self.skip(over);
        (over, None)
    }
}

impl ServerSession {
    /// Takes up the next unit that is complete. `false`: nothing can be done before more comes.
    pub(super) fn take_input(&mut self, now: RunTime) -> bool {
        if self.inbox.len() == 0 && !matches!(self.mode, Mode::Chunk { left: 0, .. }) {
            return false;
        }
        match self.mode {
            Mode::Command => self.take_command(now),
            Mode::Challenge => self.take_challenge(now),
            Mode::Content(_) => self.take_content(now),
            Mode::Chunk { .. } => self.take_chunk(now),
        }
    }

    /// Writes down what the client has said and nobody answers: the rest of its content, as far as that goes, and lines.
    pub(super) fn leave_unread(&mut self) {
        let unread = self.inbox.rest().to_vec();
        self.inbox.clear();
        self.write_unread(&unread);
        self.ledger.forget_unlabelled();
    }

    /// The same with what comes after that.
    pub(super) fn write_unread(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        match &mut self.mode {
            Mode::Command | Mode::Challenge => {}
            Mode::Content(reader) => {
                let (mut taken, mut stop) = (0, Stop::Line);
                while stop == Stop::Line {
                    let (count, why) = reader.read(&rest[taken..], &mut Vec::new());
                    taken += count;
                    stop = why;
                }
                if stop == Stop::End {
                    self.mode = Mode::Command;
                }
                self.ledger.content(taken, None);
                rest = &rest[taken..];
            }
            Mode::Chunk { left, .. } => {
                let here = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= here as u64;
                self.ledger.content(here, None);
                rest = &rest[here..];
            }
        }
        self.ledger.lines(rest.len());
    }

    fn take_command(&mut self, now: RunTime) -> bool {
        let refused = self.state.greeting == Greeting::Refused;
        let early = self.inbox.front_is_early() && !self.state.may_pipeline && !refused;
        let (taken, line) = self.inbox.line(self.limits.command_line);
        self.ledger.lines(taken);
        let mut request = match line {
            None => return false,
            Some(Line::TooLong) => Request { too_long: true, ..Request::event(On::Unknown) },
            Some(Line::Whole(line)) => Request::parse(&line),
        };
        request.early = early;
        if request.on == On::Command(Verb::Bdat)
            && self.offers("CHUNKING")
            && let Some((left, _)) = command::bdat(&request.argument)
            && !self.is_rewritten(&request, now)
        {
            // The chunk is read first, whatever the reply will be (RFC 3030 section 2).
            self.mode = Mode::Chunk { left, request: Box::new(request) };
            return true;
        }
        self.begin(request, now);
        true
    }

    fn take_challenge(&mut self, now: RunTime) -> bool {
        let (taken, line) = self.inbox.line(self.limits.challenge_line);
        self.ledger.lines(taken);
        let mut request = Request::event(On::Challenge);
        match line {
            None => return false,
            Some(Line::TooLong) => request.too_long = true,
            Some(Line::Whole(line)) => request.line = String::from_utf8_lossy(&line).into_owned(),
        }
        self.mode = Mode::Command;
        self.begin(request, now);
        true
    }

    fn take_content(&mut self, now: RunTime) -> bool {
        let watches = self.watches_content();
        let Mode::Content(reader) = &mut self.mode else { return false };
        let (mut content, mut taken) = (Vec::with_capacity(self.inbox.len()), 0);
        let stop = loop {
            let (count, stop) = reader.read(&self.inbox.rest()[taken..], &mut content);
            taken += count;
            // Line by line only where a rule watches, so that it sees the same lengths however the bytes came.
            if stop != Stop::Line || watches {
                break stop;
            }
        };
        self.inbox.skip(taken);
        self.keep(taken, &content, true);
        if stop == Stop::End {
            self.mode = Mode::Command;
            self.begin(Request::event(On::EndOfData), now);
        } else if watches && !content.is_empty() {
            self.watch_content(now);
        }
        true
    }

    fn take_chunk(&mut self, now: RunTime) -> bool {
        let Mode::Chunk { left, request } = &mut self.mode else { return false };
        let here = self.inbox.rest().len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let content = self.inbox.rest()[..here].to_vec();
        *left -= here as u64;
        let complete = (*left == 0).then(|| (**request).clone());
        self.inbox.skip(here);
        if self.takes_chunks() {
            self.keep(here, &content, false);
        } else {
            self.ledger.content(here, None);
        }
        if self.watches_content() && !content.is_empty() && self.watch_content(now) {
            return true; // the chunk's own reply comes when the rule is done
        }
        if let Some(request) = complete {
            self.mode = Mode::Command;
            self.begin(request, now);
        }
        true
    }

    /// Whether anybody wants to know of each piece of the body.
    fn watches_content(&self) -> bool {
        self.watches_content || self.gate.awaits(&On::Data)
    }

    /// Asks the rules on `data`; each fires once in a transaction. Whether one fired, or the session is held.
    fn watch_content(&mut self, now: RunTime) -> bool {
        let request = Request::event(On::Data);
        self.count(&On::Data);
        let held = self.gate.awaits(&On::Data);
        let chosen = self.choose_data(&request, now);
        if !held && chosen.is_none() {
            return false;
        }
        let actions = chosen.into_iter().flat_map(|chosen| chosen.actions).map(Step::Act);
        let steps = held.then_some(Step::Hold(On::Data)).into_iter().chain(actions).collect();
        self.start(steps, request, now);
        true
    }
}
