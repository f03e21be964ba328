//! What one session writes into the transcript: bytes as they came, each piece known as lines or content once it was
//! understood.

use std::collections::VecDeque;

use crate::time::RunTime;
use crate::transcript::{Opening, Part, Pen, Reply, SessionRecorder, Side, Transaction, What};

/// Writes a session's record.
///
/// The client's bytes are written down the moment they come, even while the session waits and cannot yet tell what they
/// are; the ledger remembers where they stand, and splits an event where lines turn into content.
#[derive(Debug)]
pub(super) struct Ledger {
    record: SessionRecorder,
    /// Whether the session is encrypted by now.
    pub(super) tls: bool,
    unlabelled: VecDeque<Unlabelled>,
}

/// Bytes of the client of which it is not yet known what they are.
#[derive(Debug)]
struct Unlabelled {
    /// Where they were written; `None`: there was no more room for them.
    place: Option<Place>,
    length: usize,
    labelled: usize,
    part: Option<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// Which of the session's events.
    event: usize,
    /// Behind how many of the client's bytes.
    start: usize,
}

/// Whose content some of the client's bytes are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    /// The transaction's index.
    pub(super) transaction: usize,
    /// Whether dots are stuffed in it: content after DATA.
    pub(super) stuffed: bool,
    /// How many octets of it, without these dots, are kept.
    pub(super) octets: usize,
}

impl Ledger {
    /// A ledger that writes down as much as the transcript has room for.
    pub(super) fn new(record: SessionRecorder) -> Self {
        Self { record, tls: false, unlabelled: VecDeque::new() }
    }

    /// Writes an event down.
    pub(super) fn event(&self, at: RunTime, what: What) {
        self.record.event(at, what);
    }

    /// The client sent these bytes.
    pub(super) fn client_sent(&mut self, bytes: &[u8], at: RunTime) {
        let written = self.record.bytes(at, Side::Client, bytes, self.tls);
        let (place, kept) =
            written.map_or((None, 0), |(event, start, kept)| (Some(Place { event, start }), kept));
        for (length, place) in [(kept, place), (bytes.len() - kept, None)] {
            if length > 0 {
                self.unlabelled.push_back(Unlabelled { place, length, labelled: 0, part: None });
            }
        }
    }

    /// The server sent these bytes.
    pub(super) fn server_sent(&self, bytes: &[u8], at: RunTime) {
        self.record.bytes(at, Side::Server, bytes, self.tls);
    }

    /// The next `count` of the client's bytes are lines.
    pub(super) fn lines(&mut self, count: usize) {
        self.label(count, Part::Lines, None);
    }

    /// The next `count` of the client's bytes are content; without a `body`, of no transaction.
    pub(super) fn content(&mut self, count: usize, body: Option<Body>) {
        self.label(count, Part::Content, body);
        if let Some(body) = body {
            self.transaction(body.transaction, |mut t| t.keep(body.octets as u64));
        }
    }

    fn label(&mut self, mut count: usize, part: Part, body: Option<Body>) {
        while count > 0 {
            let Some(next) = self.unlabelled.front_mut() else { return };
            if next.part.is_some_and(|before| before != part) {
                self.split();
                continue;
            }
            next.part = Some(part);
            let here = count.min(next.length - next.labelled);
            if let (Some(body), Some(place)) = (body, next.place) {
                let start = place.start + next.labelled;
                self.record.piece(body.transaction, start..start + here, body.stuffed);
            }
            next.labelled += here;
            count -= here;
            if next.labelled == next.length {
                let done = self.unlabelled.pop_front();
                self.write_part(done.as_ref());
            }
        }
    }

    /// Nobody looks at what is left. It is what the piece before it is, where both came in one read, and else lines.
    pub(super) fn forget_unlabelled(&mut self) {
        self.write_part(self.unlabelled.front());
        self.unlabelled.clear();
    }

    /// Splits the first event that is not wholly labelled behind its label.
    fn split(&mut self) {
        let Some(first) = self.unlabelled.pop_front() else { return };
        self.write_part(Some(&first));
        let place = first.place.map(|Place { event, start }| {
            self.record.split(event, first.labelled);
            Place { event: event + 1, start: start + first.labelled }
        });
        if place.is_some() {
            for later in self.unlabelled.iter_mut().filter_map(|later| later.place.as_mut()) {
                later.event += 1;
            }
        }
        let length = first.length - first.labelled;
        self.unlabelled.push_front(Unlabelled { place, length, labelled: 0, part: None });
    }

    fn write_part(&self, done: Option<&Unlabelled>) {
        // They were written down as lines.
        if let Some(Unlabelled { place: Some(place), part: Some(Part::Content), .. }) = done {
            self.record.label(place.event, Part::Content);
        }
    }

    /// Opens the record of a transaction, and returns its index.
    pub(super) fn open_transaction(&self, opening: Opening<'_>) -> usize {
        self.record.open_transaction(opening)
    }

    /// Changes a transaction's record; `None`: there was no room for it.
    pub(super) fn transaction<T>(&self, index: usize, change: impl FnOnce(Pen<'_>) -> T) -> Option<T> {
        self.record.transaction(index, change)
    }

    /// Adds a recipient to a transaction, and returns its place for [`Pen::recipient_reply`].
    pub(super) fn recipient(&self, index: usize, to: &String, parameters: &Vec<String>) -> usize {
        self.record.recipient(index, to, parameters)
    }

    /// A transaction as it was written so far.
    pub(super) fn read_transaction(&self, index: usize) -> Option<Transaction> {
        self.record.read_transaction(index)
    }

    /// The final reply to a transaction, which is over with it.
    pub(super) fn final_reply(&self, index: usize, reply: &Reply, at: RunTime) -> bool {
        let counts = self.transaction(index, |mut t| {
            t.finished(Some(at));
            t.final_reply(reply)
        });
        counts.unwrap_or_default()
    }

    /// Writes down that the server keeps the mail of this transaction; once.
    pub(super) fn take(&self, index: usize, at: RunTime) {
        if self.transaction(index, |mut t| t.take()) == Some(true) {
            self.event(at, What::Taken { transaction: index });
        }
    }

    /// Writes down what an EHLO reply listed.
    pub(super) fn offer(&self, keywords: &[String], at: RunTime) {
        let keywords = keywords.iter().map(|k| k.to_ascii_uppercase()).collect();
        self.record.offer(at, self.tls, &keywords);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{EVENT, Recorder, Room};

    fn pieces(recorder: &Recorder) -> Vec<(String, Part)> {
        let events = recorder.sessions().remove(0).events;
        let bytes = events.into_iter().filter_map(|event| match event.what {
            What::Bytes { bytes, part, .. } => Some((String::from_utf8(bytes).unwrap(), part)),
            _ => None,
        });
        bytes.collect()
    }

    #[test]
    fn one_read_is_split_where_lines_turn_into_content_and_back() {
        let recorder = Recorder::default();
        let here = "127.0.0.1:1".parse().unwrap();
        let mut ledger = Ledger::new(recorder.open("m", Side::Server, here, here, RunTime::ZERO));
        ledger.client_sent(b"MAIL\r\nDATA\r\nx\r\n", RunTime::ZERO);
        ledger.client_sent(b".\r\nQUIT\r\n", RunTime::ZERO);
        ledger.lines(6);
        ledger.lines(6);
        ledger.content(6, None);
        ledger.lines(6);
        let text = |s: &str, part| (s.to_owned(), part);
        assert_eq!(
            pieces(&recorder),
            [
                text("MAIL\r\nDATA\r\n", Part::Lines),
                text("x\r\n", Part::Content),
                text(".\r\n", Part::Content),
                text("QUIT\r\n", Part::Lines)
            ]
        );
    }

    #[test]
    fn the_rest_of_a_read_that_nobody_looks_at_is_content_as_its_beginning_is() {
        let recorder = Recorder::default();
        let here = "127.0.0.1:1".parse().unwrap();
        let mut ledger = Ledger::new(recorder.open("m", Side::Server, here, here, RunTime::ZERO));
        ledger.client_sent(b"DATA\r\nSubject: x\r\nTo: y\r\n", RunTime::ZERO);
        ledger.client_sent(b"QUIT\r\n", RunTime::ZERO);
        ledger.lines(6);
        ledger.content(12, None);
        ledger.forget_unlabelled();
        let text = |s: &str, part| (s.to_owned(), part);
        assert_eq!(
            pieces(&recorder),
            [
                text("DATA\r\n", Part::Lines),
                text("Subject: x\r\nTo: y\r\n", Part::Content),
                text("QUIT\r\n", Part::Lines)
            ]
        );
    }

    #[test]
    fn what_is_beyond_the_room_is_understood_but_not_kept() {
        let recorder = Recorder::with_room(Room { session: 2 * EVENT + 4, ..Room::default() });
        let here = "127.0.0.1:1".parse().unwrap();
        let mut ledger = Ledger::new(recorder.open("m", Side::Server, here, here, RunTime::ZERO));
        ledger.client_sent(b"abcdef", RunTime::ZERO);
        ledger.lines(2);
        ledger.content(4, None);
        assert_eq!(pieces(&recorder), [("ab".to_owned(), Part::Lines), ("cd".to_owned(), Part::Content)]);
    }
}
