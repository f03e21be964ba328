//! What one session writes into the transcript: bytes as they came, each piece known as lines or content once it was
//! understood.

use std::collections::VecDeque;

use crate::time::RunTime;
use crate::transcript::{Event, Part, SessionRecorder, Side, Transaction, What};

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
    /// Where in the session's events; `None`: there was no more room for them.
    event: Option<usize>,
    length: usize,
    labelled: usize,
    part: Option<Part>,
}

impl Ledger {
    /// A ledger that writes down as much as the transcript has room for.
    pub(super) fn new(record: SessionRecorder) -> Self {
        Self { record, tls: false, unlabelled: VecDeque::new() }
    }

    /// Adds to a transaction's content what there is room for.
    pub(super) fn keep(&self, index: usize, content: &[u8]) {
        let room = self.record.room_for(content.len());
        self.transaction(index, |t| t.content.extend_from_slice(&content[..room]));
    }

    /// Writes an event down.
    pub(super) fn event(&self, at: RunTime, what: What) {
        self.record.event(at, what);
    }

    /// The client sent these bytes.
    pub(super) fn client_sent(&mut self, bytes: &[u8], at: RunTime) {
        let written = self.record.bytes(at, Side::Client, bytes, self.tls);
        let kept = written.map_or(0, |(_, kept)| kept);
        for (length, event) in [(kept, written.map(|(event, _)| event)), (bytes.len() - kept, None)] {
            if length > 0 {
                self.unlabelled.push_back(Unlabelled { event, length, labelled: 0, part: None });
            }
        }
    }

    /// The server sent these bytes.
    pub(super) fn server_sent(&self, bytes: &[u8], at: RunTime) {
        self.record.bytes(at, Side::Server, bytes, self.tls);
    }

    /// The next `count` of the client's bytes are understood: they are `part`.
    pub(super) fn label(&mut self, mut count: usize, part: Part) {
        while count > 0 {
            let Some(next) = self.unlabelled.front_mut() else { return };
            if next.part.is_some_and(|before| before != part) {
                self.split();
                continue;
            }
            next.part = Some(part);
            let here = count.min(next.length - next.labelled);
            next.labelled += here;
            count -= here;
            if next.labelled == next.length {
                let done = self.unlabelled.pop_front();
                self.write_part(done.as_ref());
            }
        }
    }

    /// Whatever the client sent and nobody looked at is lines.
    pub(super) fn forget_unlabelled(&mut self) {
        self.unlabelled.clear();
    }

    /// Splits the first event that is not wholly labelled behind its label.
    fn split(&mut self) {
        let Some(first) = self.unlabelled.pop_front() else { return };
        self.write_part(Some(&first));
        let event = first.event.map(|index| {
            self.record.with(|session| {
                let Event { at, what: What::Bytes { from, bytes, tls, part } } = &mut session.events[index]
                else {
                    return index;
                };
                let rest = bytes.split_off(first.labelled);
                let rest =
                    Event { at: *at, what: What::Bytes { from: *from, bytes: rest, tls: *tls, part: *part } };
                session.events.insert(index + 1, rest);
                index + 1
            })
        });
        if event.is_some() {
            for later in self.unlabelled.iter_mut().filter_map(|later| later.event.as_mut()) {
                *later += 1;
            }
        }
        let length = first.length - first.labelled;
        self.unlabelled.push_front(Unlabelled { event, length, labelled: 0, part: None });
    }

    fn write_part(&self, done: Option<&Unlabelled>) {
        if let Some(Unlabelled { event: Some(index), part: Some(label), .. }) = done {
            self.record.with(|session| {
                if let What::Bytes { part, .. } = &mut session.events[*index].what {
                    *part = *label;
                }
            });
        }
    }

    /// Opens the record of a transaction, and returns its index.
    pub(super) fn open_transaction(&self, transaction: Transaction) -> usize {
        self.record.with(|session| {
            session.transactions.push(transaction);
            session.transactions.len() - 1
        })
    }

    /// Changes a transaction's record.
    pub(super) fn transaction<T>(&self, index: usize, change: impl FnOnce(&mut Transaction) -> T) -> T {
        self.record.with(|session| change(&mut session.transactions[index]))
    }

    /// Writes down that the server keeps the mail of this transaction; once.
    pub(super) fn take(&self, index: usize, at: RunTime) {
        let taken_before = self.transaction(index, |t| std::mem::replace(&mut t.taken, true));
        if !taken_before {
            self.event(at, What::Taken { transaction: index });
        }
    }

    /// Writes down what an EHLO reply listed.
    pub(super) fn offer(&self, keywords: &[String], at: RunTime) {
        let keywords = keywords.iter().map(|k| k.to_ascii_uppercase()).collect();
        let tls = self.tls;
        self.record.with(|session| session.offers.push(crate::transcript::Offer { at, tls, keywords }));
    }
}

/// A transaction of which only MAIL was seen.
pub(super) fn new_transaction(
    started: RunTime,
    helo: Option<String>,
    from: String,
    parameters: Vec<String>,
) -> Transaction {
    Transaction {
        started,
        helo,
        from,
        parameters,
        mail_reply: None,
        recipients: Vec::new(),
        data_reply: None,
        content: Vec::new(),
        ended: false,
        final_reply: None,
        finished: None,
        taken: false,
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
        ledger.label(6, Part::Lines);
        ledger.label(6, Part::Lines);
        ledger.label(6, Part::Content);
        ledger.label(6, Part::Lines);
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
    fn what_is_beyond_the_room_is_understood_but_not_kept() {
        let recorder = Recorder::with_room(Room { session: 2 * EVENT + 4, ..Room::default() });
        let here = "127.0.0.1:1".parse().unwrap();
        let mut ledger = Ledger::new(recorder.open("m", Side::Server, here, here, RunTime::ZERO));
        ledger.client_sent(b"abcdef", RunTime::ZERO);
        ledger.label(2, Part::Lines);
        ledger.label(4, Part::Content);
        assert_eq!(pieces(&recorder), [("ab".to_owned(), Part::Lines), ("cd".to_owned(), Part::Content)]);
    }
}
