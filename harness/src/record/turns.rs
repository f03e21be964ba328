//! Where the mail transactions of a session stand among its events.

use std::ops::Range;

use mock_servers::transcript::{Close, Reply, Session, Side, What};

use super::conversation::{Asked, conversation};

/// The transactions of one session, found once for all of them: a session may have thousands.
#[derive(Debug, Clone)]
pub struct Turns {
    /// The events of each; empty where commands and transactions do not answer to one another.
    events: Vec<Range<usize>>,
    /// The event that ended the reply to the content of each, as far as there is one.
    answered: Vec<Option<usize>>,
    /// The event by which the client first closed.
    client_closed: Option<usize>,
    /// How many events the session has.
    all: usize,
}

impl Turns {
    /// Takes the session apart.
    pub fn of(session: &Session) -> Self {
        let (mut mails, mut ends, mut answered) = (Vec::new(), Vec::new(), Vec::new());
        for exchange in &conversation(session).exchanges {
            match exchange.verb().as_str() {
                "MAIL" => {
                    mails.push(exchange.event);
                    answered.push(None);
                }
                "RSET" | "QUIT" | "EHLO" | "HELO" => ends.push(exchange.event),
                _ => {}
            }
            let last_chunk =
                || exchange.begins_with("BDAT") && exchange.line.to_ascii_uppercase().ends_with(" LAST");
            if let Some(of_this) = answered.last_mut()
                && (exchange.asked == (Asked::Content { ended: true }) || last_chunk())
            {
                *of_this = exchange.reply.as_ref().map(|answer| answer.event);
            }
        }
        if mails.len() != session.transactions.len() {
            mails.clear();
            answered.clear();
        }
        let range = |(at, &first): (usize, &usize)| {
            let limit = mails.get(at + 1).copied().unwrap_or(session.events.len());
            let end = ends.get(ends.partition_point(|&end| end <= first));
            let stop = end.map_or(limit, |&end| end.min(limit));
            first..stop.max(first + 1)
        };
        let events = mails.iter().enumerate().map(range).collect();
        let closed = |what: &What| matches!(what, What::Closed { by: Side::Client, .. });
        let client_closed = session.events.iter().position(|event| closed(&event.what));
        Self { events, answered, client_closed, all: session.events.len() }
    }

    /// The events of a transaction: from its MAIL until what follows its end. All of the session's where that cannot be
    /// told.
    pub fn events(&self, transaction: usize) -> Range<usize> {
        self.events.get(transaction).cloned().unwrap_or(0..self.all)
    }

    /// Whether the client of a transaction could read its positive final reply: it was written, the client had not closed
    /// before, and no reset overtook it. Where not, the client rightly holds the outcome for unknown (RFC 1047).
    /// `session` is the one that this was made of.
    pub fn acknowledged(&self, session: &Session, transaction: usize) -> bool {
        let Some(done) = session.transactions.get(transaction) else { return false };
        if !done.final_reply.as_ref().is_some_and(Reply::is_positive) {
            return false;
        }
        // A client that says QUIT with the content has ended the transaction before the reply to it comes.
        let by_place = || {
            let last = session.events.iter().rposition(|event| {
                matches!(&event.what, What::Bytes { from: Side::Server, .. })
                    && done.finished.is_none_or(|at| event.at <= at)
            });
            Some(last)
        };
        let replied = self.answered.get(transaction).copied().or_else(by_place).flatten();
        let Some(replied) = replied else { return false };
        let mut after = session.events[replied + 1..].iter().map(|event| &event.what);
        let next = after.find(|what| {
            !matches!(what, What::Rule(_) | What::Taken { .. } | What::Held { .. } | What::LetGo)
        });
        let reset = matches!(next, Some(What::Closed { by: Side::Server, how: Close::Reset }));
        !reset && self.client_closed.is_none_or(|closed| closed >= replied)
    }
}

/// The events of one transaction. Who asks for many of a session has [`Turns`].
pub fn transaction_events(session: &Session, transaction: usize) -> Range<usize> {
    Turns::of(session).events(transaction)
}

/// Whether one transaction was acknowledged. Who asks for many of a session has [`Turns`].
pub fn acknowledged(session: &Session, transaction: usize) -> bool {
    Turns::of(session).acknowledged(session, transaction)
}
