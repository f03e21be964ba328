//! Where sessions are written down, and how much of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::draft::{Common, Draft, Lists, Opening, Pen};
use super::{Event, Part, Session, Side, Transaction, What};
use crate::time::RunTime;

/// How much is written down. What is beyond it is counted ([`What::Omitted`]), and carried out all the same.
///
/// In memory a message of a kilobyte in a session that is used again takes about 1.65 kB: its bytes and those of its
/// dialogue once, 16 octets for each event, and some 150 for the transaction. One in a session of its own takes about 2.4 kB,
/// with the greetings (`cargo bench -p mock-servers --bench throughput`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Octets of one session; an event is counted as its bytes and [`EVENT`] more, and so are a recipient and any transaction
    /// but the first.
    pub session: u64,
    /// Octets of all sessions together, counted likewise; a session is [`EVENT`] octets by itself.
    pub run: u64,
    /// Sessions.
    pub sessions: usize,
}

impl Default for Room {
    /// 512 MiB for a session, 2 GiB and 100,000 sessions for a run.
    fn default() -> Self {
        Self { session: 512 * 1024 * 1024, run: 2 * 1024 * 1024 * 1024, sessions: 100_000 }
    }
}

/// What an event counts for beside its bytes, in octets.
pub const EVENT: u64 = 128;

/// The most spare lists that are kept.
const MOST_SPARE: usize = 64;

/// The most bytes of one event.
const MOST_OF_AN_EVENT: u64 = u32::MAX as u64;

/// Where mocks write their sessions down. Clones write to the same transcript.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// Each session, and what it holds.
    #[expect(
        clippy::vec_box,
        reason = "a list of the sessions themselves would keep room for as many again"
    )]
    sessions: Vec<Box<(Draft, Account)>>,
    common: Common,
    /// Lists that sessions which are over have left: growing them anew for each session costs more than filling them.
    spare: Vec<Lists>,
    /// How many sessions each mock had.
    ordinals: BTreeMap<(Side, Arc<String>), u32>,
    budget: Budget,
    omitted_sessions: u64,
    /// How often anything was written.
    touched: u64,
}

#[derive(Debug, Default)]
struct Budget {
    room: Room,
    /// Octets of all sessions.
    held: u64,
}

/// What a session holds, and what of it was omitted.
#[derive(Debug, Default)]
struct Account {
    held: u64,
    omitted_events: u64,
    omitted_octets: u64,
    /// Nobody writes in it any more.
    over: bool,
}

/// A session that is being written. Once the last clone is gone, nothing is written in it any more.
#[derive(Debug, Clone)]
pub struct SessionRecorder(Arc<Place>);

/// Where a session is written: one for which there was no room stands in a book of its own, which nobody reads.
#[derive(Debug)]
struct Place {
    book: Arc<Mutex<Book>>,
    index: usize,
}

impl Recorder {
    /// Starts a session's record; its ordinal is the next one of that mock.
    pub fn open(
        &self,
        mock: &str,
        mock_is: Side,
        client: SocketAddr,
        server: SocketAddr,
        at: RunTime,
    ) -> SessionRecorder {
        let mut book = lock(&self.0);
        book.touched += 1;
        let mock = book.common.text(&mock.to_owned());
        let ordinal = book.ordinals.entry((mock_is, mock.clone())).or_default();
        *ordinal += 1;
        let ordinal = *ordinal;
        let lists = book.spare.pop().unwrap_or_default();
        let draft = Draft::new(mock, mock_is, ordinal, client, server, at, lists);
        let room = book.budget.room;
        if book.sessions.len() < room.sessions && book.budget.held + EVENT <= room.run {
            book.budget.held += EVENT;
            book.sessions.push(Box::new((draft, Account { held: EVENT, ..Account::default() })));
            let index = book.sessions.len() - 1;
            return SessionRecorder(Arc::new(Place { book: self.0.clone(), index }));
        }
        book.omitted_sessions += 1;
        let budget = Budget { room: Room { session: 0, run: 0, sessions: 1 }, held: 0 };
        let sessions = vec![Box::new((draft, Account::default()))];
        let aside = Book { sessions, budget, ..Book::default() };
        SessionRecorder(Arc::new(Place { book: Arc::new(Mutex::new(aside)), index: 0 }))
    }

    /// An empty transcript with bounds of its own.
    pub fn with_room(room: Room) -> Self {
        Self(Arc::new(Mutex::new(Book { budget: Budget { room, held: 0 }, ..Book::default() })))
    }

    /// Grows with everything that is written: when it is the same as before, nothing has happened.
    pub fn touched(&self) -> u64 {
        lock(&self.0).touched
    }

    /// What was written so far, in order of opening. A session of which something was omitted ends with saying so.
    pub fn sessions(&self) -> Vec<Session> {
        lock(&self.0).read(|draft| draft.session())
    }

    /// The session with this index in the order of opening, as far as it was written, and whether it is over: nothing more
    /// will be written in it. `None`: there is none yet.
    pub fn session(&self, index: usize) -> Option<(Session, bool)> {
        let book = lock(&self.0);
        let (draft, account) = &**book.sessions.get(index)?;
        Some((draft.session(), account.over))
    }

    /// The same at the end of a run, when nothing more is to be written: the transcript gives back what it held of a
    /// session as soon as that is read, so that large mail does not stand in memory once more.
    pub fn take_sessions(&self) -> Vec<Session> {
        lock(&self.0).read(Draft::take)
    }
}

impl Book {
    fn read(&mut self, read: impl Fn(&mut Draft) -> Session) -> Vec<Session> {
        let last = self.sessions.len().saturating_sub(1);
        let omitted_sessions = self.omitted_sessions;
        let read = |(index, entry): (usize, &mut Box<(Draft, Account)>)| {
            let (draft, account) = &mut **entry;
            let mut session = read(draft);
            let (events, octets) = (account.omitted_events, account.omitted_octets);
            let sessions = if index == last { omitted_sessions } else { 0 };
            if events + octets + sessions > 0 {
                let at = session.events.last().map_or(session.opened, |event| event.at);
                session.events.push(Event { at, what: What::Omitted { events, octets, sessions } });
            }
            session
        };
        self.sessions.iter_mut().enumerate().map(read).collect()
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().expect("no holder of the transcript panics")
}

impl Budget {
    /// Takes room for an event with so many octets of bytes; how many of them are to be written down. `None`: there is none
    /// for the event at all. From then on there is none for any other of that session.
    fn take(&mut self, account: &mut Account, octets: usize) -> Option<usize> {
        let free =
            self.room.session.saturating_sub(account.held).min(self.room.run.saturating_sub(self.held));
        let Some(room) = free.checked_sub(EVENT).filter(|room| *room > 0 || octets == 0) else {
            account.omitted_events += 1;
            account.omitted_octets += octets as u64;
            return None;
        };
        let kept = octets.min(usize::try_from(room.min(MOST_OF_AN_EVENT)).unwrap_or(usize::MAX));
        account.held += EVENT + kept as u64;
        account.omitted_octets += (octets - kept) as u64;
        self.held += EVENT + kept as u64;
        Some(kept)
    }
}

/// What is open of a book while one of its sessions is written.
struct Writing<'a> {
    draft: &'a mut Draft,
    account: &'a mut Account,
    common: &'a mut Common,
    budget: &'a mut Budget,
}

impl SessionRecorder {
    /// The session's number at its mock, from 1.
    pub fn ordinal(&self) -> u32 {
        self.write(|w| w.draft.ordinal)
    }

    /// Where the server's end is.
    pub fn server(&self) -> SocketAddr {
        self.write(|w| w.draft.server)
    }

    /// Writes an event down.
    pub fn event(&self, at: RunTime, what: What) {
        self.write(|w| match what {
            What::Bytes { from, bytes, tls, part } => {
                if let Some(kept) = w.budget.take(w.account, bytes.len()) {
                    w.draft.bytes(at, from, &bytes[..kept], tls, part);
                }
            }
            // How a session ended is told in any case: there are few of these.
            What::Closed { .. } | What::Completed | What::Mismatch { .. } => w.draft.event(at, what),
            _ if w.budget.take(w.account, 0).is_some() => w.draft.event(at, what),
            _ => {}
        });
    }

    /// Writes bytes down, as lines at first; the event's index, where they stand among those of their side, and how many
    /// of them there was room for.
    pub(crate) fn bytes(
        &self,
        at: RunTime,
        from: Side,
        bytes: &[u8],
        tls: bool,
    ) -> Option<(usize, usize, usize)> {
        self.write(|w| {
            let kept = w.budget.take(w.account, bytes.len())?;
            let (event, start) = w.draft.bytes(at, from, &bytes[..kept], tls, Part::Lines);
            Some((event, start, kept))
        })
    }

    /// Tells what the bytes of an event are.
    pub(crate) fn label(&self, event: usize, part: Part) {
        self.write(|w| w.draft.label(event, part));
    }

    /// Makes two events of one: the second begins at this byte of the first, and is lines until it is told otherwise.
    pub(crate) fn split(&self, event: usize, at: usize) {
        self.write(|w| w.draft.split(event, at));
    }

    /// Writes down what an EHLO reply listed.
    pub(crate) fn offer(&self, at: RunTime, tls: bool, keywords: &Vec<String>) {
        self.write(|w| w.draft.offer(w.common, at, tls, keywords));
    }

    /// Begins a transaction, and returns its index. One for which there is no room has an index that stands for none.
    pub(crate) fn open_transaction(&self, opening: Opening<'_>) -> usize {
        self.write(|w| {
            if w.draft.has_transactions() && w.budget.take(w.account, 0).is_none() {
                return usize::MAX;
            }
            w.draft.open_transaction(w.common, opening)
        })
    }

    /// Changes a transaction's record; `None`: it has none.
    pub(crate) fn transaction<T>(&self, index: usize, change: impl FnOnce(Pen<'_>) -> T) -> Option<T> {
        self.write(|w| w.draft.pen(w.common, index).map(change))
    }

    /// Adds a recipient to a transaction; its place, which stands for none where there was no room.
    pub(crate) fn recipient(&self, index: usize, to: &String, parameters: &Vec<String>) -> usize {
        self.write(|w| {
            let Some(mut pen) = w.draft.pen(w.common, index) else { return usize::MAX };
            let room = w.budget.take(w.account, 0);
            room.map_or(usize::MAX, |_| pen.recipient(to, parameters))
        })
    }

    /// These of the client's bytes are content of a transaction; dots are stuffed in them or not.
    pub(crate) fn piece(&self, index: usize, place: Range<usize>, stuffed: bool) {
        self.transaction(index, |mut pen| pen.piece(place, stuffed));
    }

    /// A transaction as it was written so far.
    pub(crate) fn read_transaction(&self, index: usize) -> Option<Transaction> {
        self.write(|w| w.draft.transaction(index))
    }

    fn write<T>(&self, change: impl FnOnce(Writing<'_>) -> T) -> T {
        let mut book = lock(&self.0.book);
        let Book { sessions, common, budget, touched, .. } = &mut *book;
        *touched += 1;
        let (draft, account) = &mut *sessions[self.0.index];
        change(Writing { draft, account, common, budget })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A panic elsewhere is not made worse here.
        if let Ok(mut book) = self.book.lock() {
            let (draft, account) = &mut *book.sessions[self.index];
            account.over = true;
            let spare = draft.finish();
            if book.spare.len() < MOST_SPARE {
                book.spare.push(spare);
            }
        }
    }
}
