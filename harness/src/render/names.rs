//! Names for what varies, numbered by order of appearance.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use mock_servers::time::human;
use mock_servers::transcript::{Side, What};

use crate::record::{Kind, Known, Record};

/// The names of one record.
pub(super) struct Names {
    known: Known,
    numbers: BTreeMap<(Cow<'static, str>, String), usize>,
    next: BTreeMap<Cow<'static, str>, usize>,
}

impl Names {
    /// Numbers every value in the order in which sessions, queue and log show it.
    pub(super) fn of(record: &Record) -> Self {
        let mut names = Self { known: Known::of(record), numbers: BTreeMap::new(), next: BTreeMap::new() };
        for session in &record.sessions {
            // one side's bytes together: a value may be cut into several segments
            for side in [Side::Server, Side::Client] {
                let mut text = Vec::new();
                for event in &session.events {
                    if let What::Bytes { from, bytes, .. } = &event.what
                        && *from == side
                    {
                        text.extend_from_slice(bytes);
                    }
                }
                names.number(&String::from_utf8_lossy(&text));
            }
        }
        for entry in record.queue.iter().flat_map(|state| &state.entries) {
            names.give(word(&Kind::QueueId), &entry.id);
        }
        for line in &record.log {
            names.number(&line.text);
        }
        names
    }

    fn number(&mut self, text: &str) {
        for span in self.known.spans(text) {
            if is_numbered(&span.kind) {
                self.give(word(&span.kind), &span.value);
            }
        }
    }

    fn give(&mut self, word: Cow<'static, str>, value: &str) {
        let key = (word.clone(), value.to_owned());
        if !self.numbers.contains_key(&key) {
            let next = self.next.entry(word).or_default();
            *next += 1;
            self.numbers.insert(key, *next);
        }
    }

    /// A text with names put in.
    pub(super) fn put(&self, text: &str) -> String {
        self.replace(text, |kind, value| match kind {
            Kind::Date(after) => format!("<date +{}>", human(Duration::from_secs(after.unsigned_abs()))),
            _ => self.named(kind, value),
        })
    }

    /// A text in which dates are all the same: for telling whether something was said again.
    pub(super) fn put_timeless(&self, text: &str) -> String {
        self.replace(text, |kind, value| match kind {
            Kind::Date(_) => "<date>".to_owned(),
            _ => self.named(kind, value),
        })
    }

    /// A text in which what varies is told by what it is alone: for a set of texts, where none comes first.
    pub(super) fn put_unnumbered(&self, text: &str) -> String {
        self.replace(text, |kind, _| format!("<{}>", word(kind)))
    }

    /// The name of a queue entry.
    pub(super) fn queue_id(&self, id: &str) -> String {
        self.named(&Kind::QueueId, id)
    }

    /// Whether a text holds the name of a mail in the queue.
    pub(super) fn holds_queue_id(&self, text: &str) -> bool {
        self.known.spans(text).iter().any(|span| span.kind == Kind::QueueId)
    }

    fn named(&self, kind: &Kind, value: &str) -> String {
        let word = word(kind);
        match self.numbers.get(&(word.clone(), value.to_owned())) {
            Some(number) => format!("<{word} {number}>"),
            None => format!("<{word}>"),
        }
    }

    fn replace(&self, text: &str, name: impl Fn(&Kind, &str) -> String) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for span in self.known.spans(text) {
            out += &text[from..span.range.start];
            out += &name(&span.kind, &span.value);
            from = span.range.end;
        }
        out + &text[from..]
    }
}

/// Of what stands in one place two that are equal need not be the same.
fn is_numbered(kind: &Kind) -> bool {
    !matches!(kind, Kind::Version | Kind::InPlace(_))
}

fn word(kind: &Kind) -> Cow<'static, str> {
    match kind {
        Kind::QueueId => "queue-id".into(),
        Kind::Date(_) => "date".into(),
        Kind::Boundary => "boundary".into(),
        Kind::MessageId => "message-id".into(),
        Kind::Port => "port".into(),
        Kind::Version => "version".into(),
        Kind::Named(name) | Kind::InPlace(name) => name.replace(' ', "-").into(),
    }
}
