//! A session while it is written: each byte once, and what is known of it in few octets more. A [`Session`], in which
//! things stand where a reader looks for them, is made of it when the transcript is read.

use std::collections::HashSet;
use std::hash::Hash;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Close, Event, Offer, Part, Recipient, Reply, Session, Side, Transaction, What};
use crate::smtp::content::DotReader;
use crate::time::RunTime;

/// The most octets of a list's room that are kept for later sessions.
const MOST_SPARE: usize = 64 * 1024;

/// One session.
#[derive(Debug)]
pub(super) struct Draft {
    mock: Arc<String>,
    mock_is: Side,
    pub(super) ordinal: u32,
    client: SocketAddr,
    pub(super) server: SocketAddr,
    opened: RunTime,
    lists: Lists,
}

/// What grows while a session is written.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// What the client sent, over the whole session.
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    entries: Vec<Entry>,
    /// Events that are rare.
    others: Vec<What>,
    transactions: Vec<Written>,
    recipients: Vec<Address>,
    /// Where the content of the transactions stands among the client's bytes, in order.
    pieces: Vec<Piece>,
    offers: Vec<Listed>,
}

/// An event: 16 octets, so that they do not outweigh the bytes that they tell of.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: Moment,
    kind: Kind,
}

/// Nanoseconds of the run; they last for 584 years.
#[derive(Debug, Clone, Copy)]
struct Moment(u64);

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// So many of the bytes of one side, behind those of the entries before.
    Bytes {
        length: u32,
        from: Side,
        tls: bool,
        part: Part,
    },
    Taken(u32),
    Closed {
        by: Side,
        how: Close,
    },
    /// An index into the draft's other events.
    Other(u32),
}

/// A transaction but for its recipients and content. What is likely to be said more than once is shared.
#[derive(Debug)]
struct Written {
    started: RunTime,
    finished: Option<RunTime>,
    helo: Option<Arc<String>>,
    from: Arc<String>,
    parameters: Arc<Vec<String>>,
    mail_reply: Option<Arc<Reply>>,
    data_reply: Option<Arc<Reply>>,
    final_reply: Option<Arc<Reply>>,
    /// How many octets of its content are kept.
    octets: u64,
    ended: bool,
    taken: bool,
}

#[derive(Debug)]
struct Address {
    transaction: u32,
    to: Arc<String>,
    parameters: Arc<Vec<String>>,
    reply: Option<Arc<Reply>>,
}

#[derive(Debug)]
struct Piece {
    transaction: u32,
    /// Whether dots are stuffed in it: content after DATA.
    stuffed: bool,
    place: Range<usize>,
}

#[derive(Debug)]
struct Listed {
    at: RunTime,
    tls: bool,
    keywords: Arc<Vec<String>>,
}

/// What sessions have in common, each kept once.
#[derive(Debug, Default)]
pub(super) struct Common {
    texts: HashSet<Arc<String>>,
    lists: HashSet<Arc<Vec<String>>>,
    replies: HashSet<Arc<Reply>>,
}

impl Common {
    pub(super) fn text(&mut self, text: &String) -> Arc<String> {
        share(&mut self.texts, text)
    }
}

fn share<T: Hash + Eq + Clone>(known: &mut HashSet<Arc<T>>, value: &T) -> Arc<T> {
    if let Some(known) = known.get(value) {
        return known.clone();
    }
    let new = Arc::new(value.clone());
    known.insert(new.clone());
    new
}

/// A list's elements in a list that has room for them alone; the room it had is kept for others, unless that is much.
fn exact<T>(list: &mut Vec<T>) -> Vec<T> {
    if list.capacity() * size_of::<T>() > MOST_SPARE {
        let mut whole = std::mem::take(list);
        whole.shrink_to_fit();
        return whole;
    }
    let mut whole = Vec::with_capacity(list.len());
    whole.append(list);
    whole
}

/// What MAIL says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) started: RunTime,
    pub(crate) helo: Option<&'a String>,
    pub(crate) from: &'a String,
    pub(crate) parameters: &'a Vec<String>,
}

impl Draft {
    pub(super) fn new(
        mock: Arc<String>,
        mock_is: Side,
        ordinal: u32,
        client: SocketAddr,
        server: SocketAddr,
        opened: RunTime,
        lists: Lists,
    ) -> Self {
        Self { mock, mock_is, ordinal, client, server, opened, lists }
    }

    /// Writes an event down.
    pub(super) fn event(&mut self, at: RunTime, what: What) {
        let kind = match what {
            What::Bytes { from, bytes, tls, part } => {
                self.bytes(at, from, &bytes, tls, part);
                return;
            }
            What::Closed { by, how } => Kind::Closed { by, how },
            What::Taken { transaction } => Kind::Taken(transaction as u32),
            other => {
                self.lists.others.push(other);
                Kind::Other(self.lists.others.len() as u32 - 1)
            }
        };
        self.lists.entries.push(Entry { at: at.into(), kind });
    }

    /// Writes bytes down; the event's index, and where they stand among those of their side.
    pub(super) fn bytes(
        &mut self,
        at: RunTime,
        from: Side,
        bytes: &[u8],
        tls: bool,
        part: Part,
    ) -> (usize, usize) {
        let side = match from {
            Side::Client => &mut self.lists.from_client,
            Side::Server => &mut self.lists.from_server,
        };
        let start = side.len();
        side.extend_from_slice(bytes);
        let kind = Kind::Bytes { length: bytes.len() as u32, from, tls, part };
        self.lists.entries.push(Entry { at: at.into(), kind });
        (self.lists.entries.len() - 1, start)
    }

    /// Tells what the bytes of an event are.
    pub(super) fn label(&mut self, event: usize, label: Part) {
        if let Some(Entry { kind: Kind::Bytes { part, .. }, .. }) = self.lists.entries.get_mut(event) {
            *part = label;
        }
    }

    /// Makes two events of one: the second begins at this byte of the first, and is lines until it is told otherwise.
    pub(super) fn split(&mut self, event: usize, at: usize) {
        let Some(first) = self.lists.entries.get_mut(event) else { return };
        let mut second = *first;
        if let (Kind::Bytes { length: first, .. }, Kind::Bytes { length: rest, part, .. }) =
            (&mut first.kind, &mut second.kind)
        {
            *first = at as u32;
            *rest -= *first;
            *part = Part::Lines;
            self.lists.entries.insert(event + 1, second);
        }
    }

    /// Writes down what an EHLO reply listed.
    pub(super) fn offer(&mut self, common: &mut Common, at: RunTime, tls: bool, keywords: &Vec<String>) {
        let keywords = share(&mut common.lists, keywords);
        self.lists.offers.push(Listed { at, tls, keywords });
    }

    pub(super) fn has_transactions(&self) -> bool {
        !self.lists.transactions.is_empty()
    }

    /// Begins a transaction; its index.
    pub(super) fn open_transaction(&mut self, common: &mut Common, opening: Opening<'_>) -> usize {
        self.lists.transactions.push(Written {
            started: opening.started,
            finished: None,
            helo: opening.helo.map(|helo| common.text(helo)),
            from: common.text(opening.from),
            parameters: share(&mut common.lists, opening.parameters),
            mail_reply: None,
            data_reply: None,
            final_reply: None,
            octets: 0,
            ended: false,
            taken: false,
        });
        self.lists.transactions.len() - 1
    }

    /// What writes in this transaction; `None`: there was no room for it.
    pub(super) fn pen<'a>(&'a mut self, common: &'a mut Common, index: usize) -> Option<Pen<'a>> {
        let written = self.lists.transactions.get_mut(index)?;
        let (recipients, pieces) = (&mut self.lists.recipients, &mut self.lists.pieces);
        Some(Pen { index: index as u32, written, recipients, pieces, common })
    }

    /// No more will be written: what was is kept in no more room than it takes, and the lists are for another session.
    pub(super) fn finish(&mut self) -> Lists {
        let mut lists = std::mem::take(&mut self.lists);
        self.lists = Lists {
            from_client: exact(&mut lists.from_client),
            from_server: exact(&mut lists.from_server),
            entries: exact(&mut lists.entries),
            others: exact(&mut lists.others),
            transactions: exact(&mut lists.transactions),
            recipients: exact(&mut lists.recipients),
            pieces: exact(&mut lists.pieces),
            offers: exact(&mut lists.offers),
        };
        lists
    }

    /// The session as it is read.
    pub(super) fn session(&self) -> Session {
        let listed = self.lists.offers.iter().map(|listed| Offer {
            at: listed.at,
            tls: listed.tls,
            keywords: listed.keywords.to_vec(),
        });
        Session {
            mock: self.mock.to_string(),
            mock_is: self.mock_is,
            ordinal: self.ordinal,
            client: self.client,
            server: self.server,
            opened: self.opened,
            events: self.events(),
            transactions: self.transactions(),
            offers: listed.collect(),
        }
    }

    /// The same, of a draft that is done with: its room is given back at once.
    pub(super) fn take(&mut self) -> Session {
        let session = self.session();
        self.lists = Lists::default();
        session
    }

    fn events(&self) -> Vec<Event> {
        let (mut from_client, mut from_server) = (&self.lists.from_client[..], &self.lists.from_server[..]);
        let event = |entry: &Entry| {
            let what = match entry.kind {
                Kind::Bytes { length, from, tls, part } => {
                    let side = match from {
                        Side::Client => &mut from_client,
                        Side::Server => &mut from_server,
                    };
                    let (bytes, rest) = side.split_at(length as usize);
                    *side = rest;
                    What::Bytes { from, bytes: bytes.to_vec(), tls, part }
                }
                Kind::Taken(transaction) => What::Taken { transaction: transaction as usize },
                Kind::Closed { by, how } => What::Closed { by, how },
                Kind::Other(index) => self.lists.others[index as usize].clone(),
            };
            Event { at: entry.at.into(), what }
        };
        self.lists.entries.iter().map(event).collect()
    }

    fn transactions(&self) -> Vec<Transaction> {
        let mut transactions: Vec<_> = self.lists.transactions.iter().map(Written::read).collect();
        for address in &self.lists.recipients {
            transactions[address.transaction as usize].recipients.push(address.read());
        }
        let mut readers = vec![DotReader::default(); transactions.len()];
        for piece in &self.lists.pieces {
            let index = piece.transaction as usize;
            self.read_piece(piece, &mut readers[index], &mut transactions[index].content);
        }
        for (transaction, written) in transactions.iter_mut().zip(&self.lists.transactions) {
            transaction.content.truncate(usize::try_from(written.octets).unwrap_or(usize::MAX));
        }
        transactions
    }

    /// One transaction as it is read.
    pub(super) fn transaction(&self, index: usize) -> Option<Transaction> {
        let written = self.lists.transactions.get(index)?;
        let mut transaction = written.read();
        let recipients = self.lists.recipients.iter().filter(|address| address.transaction as usize == index);
        transaction.recipients.extend(recipients.map(Address::read));
        let mut reader = DotReader::default();
        for piece in self.lists.pieces.iter().filter(|piece| piece.transaction as usize == index) {
            self.read_piece(piece, &mut reader, &mut transaction.content);
        }
        transaction.content.truncate(usize::try_from(written.octets).unwrap_or(usize::MAX));
        Some(transaction)
    }

    fn read_piece(&self, piece: &Piece, reader: &mut DotReader, content: &mut Vec<u8>) {
        let bytes = self.lists.from_client.get(piece.place.clone()).unwrap_or_default();
        content.reserve_exact(bytes.len());
        if !piece.stuffed {
            return content.extend_from_slice(bytes);
        }
        let mut taken = 0;
        while taken < bytes.len() {
            taken += reader.read(&bytes[taken..], content).0;
        }
    }
}

impl Written {
    fn read(&self) -> Transaction {
        let reply = |reply: &Option<Arc<Reply>>| reply.as_deref().cloned();
        Transaction {
            started: self.started,
            helo: self.helo.as_deref().cloned(),
            from: self.from.to_string(),
            parameters: self.parameters.to_vec(),
            mail_reply: reply(&self.mail_reply),
            recipients: Vec::new(),
            data_reply: reply(&self.data_reply),
            content: Vec::new(),
            ended: self.ended,
            final_reply: reply(&self.final_reply),
            finished: self.finished,
            taken: self.taken,
        }
    }
}

impl Address {
    fn read(&self) -> Recipient {
        Recipient {
            to: self.to.to_string(),
            parameters: self.parameters.to_vec(),
            reply: self.reply.as_deref().cloned(),
        }
    }
}

/// Writes in one transaction.
#[derive(Debug)]
pub(crate) struct Pen<'a> {
    index: u32,
    written: &'a mut Written,
    recipients: &'a mut Vec<Address>,
    pieces: &'a mut Vec<Piece>,
    common: &'a mut Common,
}

impl Pen<'_> {
    /// The reply to MAIL.
    pub(crate) fn mail_reply(&mut self, reply: &Reply) {
        self.written.mail_reply = Some(share(&mut self.common.replies, reply));
    }

    /// The reply to DATA.
    pub(crate) fn data_reply(&mut self, reply: &Reply) {
        self.written.data_reply = Some(share(&mut self.common.replies, reply));
    }

    /// The final reply, where there was none yet; whether this is the one that counts.
    pub(crate) fn final_reply(&mut self, reply: &Reply) -> bool {
        let common = &mut self.common.replies;
        **self.written.final_reply.get_or_insert_with(|| share(common, reply)) == *reply
    }

    /// A recipient; its place in the session.
    pub(super) fn recipient(&mut self, to: &String, parameters: &Vec<String>) -> usize {
        self.recipients.push(Address {
            transaction: self.index,
            to: self.common.text(to),
            parameters: share(&mut self.common.lists, parameters),
            reply: None,
        });
        self.recipients.len() - 1
    }

    /// The reply to a RCPT.
    pub(crate) fn recipient_reply(&mut self, place: usize, reply: &Reply) {
        if let Some(address) = self.recipients.get_mut(place) {
            address.reply = Some(share(&mut self.common.replies, reply));
        }
    }

    /// These of the client's bytes are content.
    pub(super) fn piece(&mut self, place: Range<usize>, stuffed: bool) {
        match self.pieces.last_mut() {
            Some(last)
                if last.transaction == self.index
                    && last.stuffed == stuffed
                    && last.place.end == place.start =>
            {
                last.place.end = place.end;
            }
            _ => self.pieces.push(Piece { transaction: self.index, stuffed, place }),
        }
    }

    /// So many more octets of content are kept.
    pub(crate) fn keep(&mut self, octets: u64) {
        self.written.octets += octets;
    }

    /// The end of data was seen, or sent.
    pub(crate) fn ended(&mut self) {
        self.written.ended = true;
    }

    /// It is over, whatever was said before.
    pub(crate) fn finished(&mut self, at: Option<RunTime>) {
        self.written.finished = at;
    }

    /// It is over, if it was not already.
    pub(crate) fn over(&mut self, at: RunTime) {
        self.written.finished.get_or_insert(at);
    }

    /// The server keeps the mail; whether that is new.
    pub(crate) fn take(&mut self) -> bool {
        !std::mem::replace(&mut self.written.taken, true)
    }
}

impl From<RunTime> for Moment {
    fn from(at: RunTime) -> Self {
        Self(u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Moment> for RunTime {
    fn from(at: Moment) -> Self {
        Self::new(Duration::from_nanos(at.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{EVENT, Recorder, Room, SessionRecorder};

    fn open(recorder: &Recorder) -> SessionRecorder {
        let here = "127.0.0.1:1".parse().unwrap();
        recorder.open("m", Side::Server, here, here, RunTime::ZERO)
    }

    fn mail(record: &SessionRecorder) -> usize {
        let (from, parameters) = (&"a@b".to_owned(), &Vec::new());
        record.open_transaction(Opening { started: RunTime::ZERO, helo: None, from, parameters })
    }

    #[test]
    fn content_is_read_from_the_clients_bytes_wherever_the_server_spoke_between() {
        let recorder = Recorder::default();
        let record = open(&recorder);
        let (first, second) = (mail(&record), mail(&record));
        record.bytes(RunTime::ZERO, Side::Client, b"..a\r", false);
        record.bytes(RunTime::ZERO, Side::Server, b"451 early\r\n", false);
        record.bytes(RunTime::ZERO, Side::Client, b"\n.\r\nBDAT 2\r\n..", false);
        record.piece(first, 0..4, true);
        record.piece(first, 4..8, true);
        record.piece(second, 16..18, false);
        record.transaction(first, |mut t| t.keep(3));
        record.transaction(second, |mut t| t.keep(2));
        let session = recorder.sessions().remove(0);
        let contents: Vec<_> = session.transactions.iter().map(|t| t.content.as_slice()).collect();
        assert_eq!(contents, [&b".a\r"[..], b".."], "dots are unstuffed, and no more is kept than is said");
        assert_eq!(record.read_transaction(first).as_ref(), Some(&session.transactions[0]));
    }

    #[test]
    fn without_room_the_first_transaction_is_written_down_and_no_other_and_no_recipient() {
        let recorder = Recorder::with_room(Room { session: EVENT, ..Room::default() });
        let record = open(&recorder);
        let (first, second) = (mail(&record), mail(&record));
        let recipient = record.recipient(first, &"c@d".to_owned(), &Vec::new());
        let refused = Reply { code: 550, lines: vec!["no".to_owned()] };
        record.transaction(first, |mut t| t.recipient_reply(recipient, &refused));
        assert_eq!(record.transaction(second, |mut t| t.take()), None);
        let session = recorder.sessions().remove(0);
        assert_eq!(session.transactions.len(), 1);
        assert!(session.transactions[0].recipients.is_empty());
        assert_eq!(
            session.events.last().map(|event| &event.what),
            Some(&What::Omitted { events: 2, octets: 0, sessions: 0 })
        );
    }
}
