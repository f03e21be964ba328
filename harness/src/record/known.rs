//! Naming of what varies, by type (ARCHITECTURE decision 7): the record knows from structured places what a queue id, a
//! date, a boundary, a message-id or a port *is*. Texts are then searched for those values, never for shapes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mail_parser::{MessageParser, MimeHeaders};
use mock_servers::transcript::{Part, Session, Side, What};

use regex_lite::Regex;

use super::{Clock, Place, Record, Varying, dates, mail, tokens};

/// What a varying value is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The relay's own id of a mail.
    QueueId,
    /// A moment, in seconds after the start of the run.
    Date(i64),
    /// A MIME boundary that the relay made.
    Boundary,
    /// A message-id that is not the harness's own.
    MessageId,
    /// A port that the operating system chose.
    Port,
    /// The relay's version.
    Version,
    /// What the relay's adapter calls so: `session id`.
    Named(String),
    /// The same, where it stands in one place and says nothing of any other: a process id, a delay.
    InPlace(String),
}

/// Where a varying value stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The bytes of the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// The value itself.
    pub value: String,
}

/// The varying values of one record.
#[derive(Debug, Clone, Default)]
pub struct Known {
    values: BTreeMap<String, Kind>,
    in_place: Vec<(Regex, Kind)>,
}

/// Dates are named when they fall into the run, or so long after it (`Will-Retry-Until`).
const AFTER: i64 = 30 * 86_400;

/// Shorter ones are found in too many places that have nothing to do with them, unless they mix letters and digits.
const LEAST_ID: usize = 4;

impl Known {
    /// Collects them.
    pub fn of(record: &Record) -> Self {
        let mut known = Self::default();
        known.in_adapters_words(record);
        for session in &record.sessions {
            known.in_replies(record, session);
            known.add(&session.client.port().to_string(), Kind::Port);
        }
        if record.relay.address.port() != 25 {
            known.add(&record.relay.address.port().to_string(), Kind::Port);
        }
        // what a server forwarded has the relay's own trace in it, and the server's
        let (own, forwarded): (Vec<_>, Vec<_>) =
            record.submissions.iter().partition(|s| s.forwarded.is_none());
        let own: Vec<&[u8]> = own.into_iter().map(|s| s.content.as_slice()).collect();
        for content in &own {
            known.dates_of_header(record, content);
        }
        let taken = record.deliveries.iter().map(|d| d.place).chain(record.strays.iter().copied());
        for place in taken.chain(record.notifications.iter().map(|n| n.place)) {
            known.in_content(record, content(record, place), &own);
        }
        for submission in forwarded {
            known.in_content(record, &submission.content, &own);
        }
        // mail that no server took names the same things
        for transaction in
            record.sessions.iter().filter(|s| s.mock_is == Side::Server).flat_map(|s| &s.transactions)
        {
            if !transaction.taken && !transaction.content.is_empty() {
                known.in_content(record, &transaction.content, &own);
            }
        }
        for notification in &record.notifications {
            let of_recipients = notification.recipients.iter().flat_map(|r| &r.fields);
            for (_, value) in notification.message_fields.iter().chain(of_recipients) {
                known.dates(record, value, true);
            }
        }
        for entry in record.queue.iter().flat_map(|state| &state.entries) {
            known.add(&entry.id, Kind::QueueId);
        }
        for id in record.log.iter().filter_map(|line| id_in_log(&line.text)) {
            known.add(id, Kind::QueueId);
        }
        known.values.retain(|value, kind| {
            !matches!(kind, Kind::QueueId | Kind::Named(_)) || !said_by_a_client(record, value)
        });
        known
    }

    /// Where they stand in a text, in order; of two that overlap the longer one.
    pub fn spans(&self, text: &str) -> Vec<Span> {
        let mut found: Vec<Span> = Vec::new();
        for (value, kind) in &self.values {
            for (at, _) in text.match_indices(value.as_str()) {
                if stands_alone(text, at, value, kind) {
                    found.push(Span {
                        range: at..at + value.len(),
                        kind: kind.clone(),
                        value: value.clone(),
                    });
                }
            }
        }
        for (regex, kind) in &self.in_place {
            for value in regex.captures_iter(text).filter_map(|found| found.get(1)) {
                found.push(Span {
                    range: value.range(),
                    kind: kind.clone(),
                    value: value.as_str().to_owned(),
                });
            }
        }
        found.retain(|span| !span.range.is_empty());
        found.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
        let mut end = 0;
        found.retain(|span| {
            let free = span.range.start >= end;
            end = if free { span.range.end } else { end };
            free
        });
        found
    }

    fn add(&mut self, value: &str, kind: Kind) {
        let value = value.trim();
        let letters =
            value.bytes().any(|b| b.is_ascii_alphabetic()) && value.bytes().any(|b| b.is_ascii_digit());
        let long_enough =
            value.len() >= LEAST_ID || letters && value.len() > 1 || matches!(kind, Kind::Date(_));
        if long_enough && !value.is_empty() {
            self.values.entry(value.to_owned()).or_insert(kind);
        }
    }

    /// What the relay's adapter says that varies, and its version.
    fn in_adapters_words(&mut self, record: &Record) {
        let is_version = |word: &&str| word.contains('.') && word.bytes().any(|b| b.is_ascii_digit());
        for word in record.relay.version.split_ascii_whitespace().filter(is_version) {
            self.add(word, Kind::Version);
        }
        let values = &record.relay.varies.values;
        let with_regex = |varying: &Varying| Some((varying.regex()?, kind_of(varying)));
        self.in_place = values.iter().filter(|varying| varying.in_place).filter_map(with_regex).collect();
        let announced: Vec<(Regex, Kind)> =
            values.iter().filter(|varying| !varying.in_place).filter_map(with_regex).collect();
        if announced.is_empty() {
            return;
        }
        each_text(record, &mut |text| {
            for (regex, kind) in &announced {
                for value in regex.captures_iter(text).filter_map(|found| found.get(1)) {
                    self.add(value.as_str(), kind.clone());
                }
            }
        });
    }

    fn dates(&mut self, record: &Record, text: &str, american: bool) {
        let end = record.epoch + record.end.at.since_start().as_secs().cast_signed() + AFTER;
        for (written, moment) in dates::in_text(text) {
            let (from, after) = match record.clock {
                Clock::Run => (record.epoch, moment - record.epoch),
                // Seconds of work mean nothing; what is reckoned from them, as the end of a lifetime, is whole minutes.
                Clock::Machine => (record.epoch - 1, (moment - record.epoch).div_euclid(60) * 60),
            };
            if (from..=end).contains(&moment) {
                self.add(&written, Kind::Date(after.max(0)));
                if american {
                    self.add(&dates::american(moment), Kind::Date(after.max(0)));
                }
            }
        }
    }

    fn dates_of_header(&mut self, record: &Record, content: &[u8]) {
        for field in mail::split(content).0 {
            if field.is("Date") || field.is("Received") || field.is("Resent-Date") {
                self.dates(record, &field.value, true);
            }
        }
    }

    /// Greetings tell the time, and other replies may. The reply to the end of data may tell the mail's id.
    fn in_replies(&mut self, record: &Record, session: &Session) {
        if session.mock_is == Side::Client {
            for reply in session.transactions.iter().filter_map(|t| t.final_reply.as_ref()) {
                let id =
                    reply.lines.first().filter(|_| reply.is_positive()).and_then(|line| id_in_reply(line));
                if let Some(id) = id {
                    self.add(id, Kind::QueueId);
                }
            }
        }
        for event in &session.events {
            if let What::Bytes { from: Side::Server, bytes, part: Part::Lines, .. } = &event.what {
                self.dates(record, &String::from_utf8_lossy(bytes), false);
            }
        }
    }

    fn in_content(&mut self, record: &Record, content: &[u8], own: &[&[u8]]) {
        self.in_header(record, content, own);
        let is_own = |value: &str| own.iter().any(|content| holds(content, value.as_bytes()));
        let Some(message) = MessageParser::default().parse(content) else { return };
        for part in &message.parts {
            if let Some(boundary) = part.content_type().and_then(|kind| kind.attribute("boundary"))
                && !is_own(boundary)
            {
                self.add(boundary, Kind::Boundary);
            }
        }
        for raw in returned(content, &message) {
            self.in_header(record, raw, own);
        }
    }

    fn in_header(&mut self, record: &Record, content: &[u8], own: &[&[u8]]) {
        self.dates_of_header(record, content);
        let is_own = |value: &str| own.iter().any(|content| holds(content, value.as_bytes()));
        for field in mail::split(content).0 {
            if is_own(&field.value) {
                continue;
            }
            if field.is("Message-ID") {
                // with its angle brackets, as References and In-Reply-To repeat it
                let id = field.value.as_str();
                if !id.ends_with(&format!("@{}>", tokens::DOMAIN)) {
                    self.add(id, Kind::MessageId);
                }
            }
            if field.is("Received")
                && let Some(id) = id_clause(&field.value)
            {
                self.add(id, Kind::QueueId);
            }
        }
    }
}

/// What an adapter's name for it means; those that the harness finds by itself are of the same kind.
fn kind_of(varying: &Varying) -> Kind {
    match varying.name.as_str() {
        "version" => Kind::Version,
        name if varying.in_place => Kind::InPlace(name.to_owned()),
        "queue id" => Kind::QueueId,
        "boundary" => Kind::Boundary,
        "message id" => Kind::MessageId,
        "port" => Kind::Port,
        name => Kind::Named(name.to_owned()),
    }
}

/// Every text of the relay's in which a value may be announced: its lines in sessions, the header fields of what it sent and
/// of what that returns, unfolded, and its log.
fn each_text(record: &Record, see: &mut impl FnMut(&str)) {
    for session in &record.sessions {
        for event in &session.events {
            if let What::Bytes { from, bytes, part: Part::Lines, .. } = &event.what
                && *from != session.mock_is
            {
                String::from_utf8_lossy(bytes).lines().for_each(&mut *see);
            }
        }
        for transaction in session.transactions.iter().filter(|_| session.mock_is == Side::Server) {
            each_field(&transaction.content, see);
        }
    }
    record.log.iter().for_each(|line| see(&line.text));
}

fn each_field(content: &[u8], see: &mut impl FnMut(&str)) {
    let mut fields = |content: &[u8]| {
        for field in mail::split(content).0 {
            see(&format!("{}: {}", field.name, field.value));
        }
    };
    fields(content);
    if let Some(message) = MessageParser::default().parse(content) {
        returned(content, &message).for_each(fields);
    }
}

/// What a notification returns: a whole message, or its header.
fn returned<'c>(content: &'c [u8], message: &mail_parser::Message<'_>) -> impl Iterator<Item = &'c [u8]> {
    let is_returned = |part: &&mail_parser::MessagePart<'_>| {
        part.content_type().is_some_and(|kind| {
            matches!(kind.subtype(), Some("rfc822" | "rfc822-headers" | "global" | "global-headers"))
        })
    };
    let parts = message.parts.iter().filter(is_returned);
    parts.filter_map(|part| content.get(part.offset_body as usize..part.offset_end as usize))
}

/// The ID clause of a Received field (RFC 5321 section 4.4).
pub(super) fn id_clause(received: &str) -> Option<&str> {
    let clauses = received.rsplit_once(';').map_or(received, |(clauses, _)| clauses);
    let mut words = clauses.split_ascii_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("id"))?;
    words.next().map(|id| id.trim_matches(['<', '>']))
}

/// The form of mail logs since sendmail: `X: to=<a@b>, status=…`, behind a program's name or alone.
fn id_in_log(line: &str) -> Option<&str> {
    const KEYS: [&str; 5] = ["to=", "from=", "client=", "message-id=", "uid="];
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let mut pairs = words.iter().zip(words.iter().skip(1));
    let (id, _) = pairs.find(|(_, next)| KEYS.iter().any(|key| next.starts_with(key)))?;
    id.strip_suffix(':').filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// As servers word it: `Queued as X`, `OK id=X`, `X Message accepted`. It holds a digit.
fn id_in_reply(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let named = words
        .iter()
        .zip(words.iter().skip(1))
        .find(|(word, _)| word.eq_ignore_ascii_case("as") || word.eq_ignore_ascii_case("id"));
    let prefixed = || words.iter().find_map(|word| word.strip_prefix("id="));
    // after the enhanced status code, and long enough to be no word
    let first = || words.get(1).copied().filter(|word| word.len() >= 10);
    let id = named.map(|(_, id)| *id).or_else(prefixed).or_else(first)?;
    let id = id.trim_end_matches(['.', ',', ';']);
    id.bytes().any(|b| b.is_ascii_digit()).then_some(id)
}

fn stands_alone(text: &str, at: usize, value: &str, kind: &Kind) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let before = text[..at].chars().next_back();
    let after = text[at + value.len()..].chars().next();
    match kind {
        Kind::Port => before == Some(':') && !part_of_word(after),
        Kind::Version => {
            // not within an address or a longer number
            let goes_on = text[at + value.len()..].strip_prefix('.');
            let goes_on = goes_on.is_some_and(|rest| part_of_word(rest.chars().next()));
            !part_of_word(before) && !part_of_word(after) && before != Some('.') && !goes_on
        }
        Kind::QueueId | Kind::Named(_) => {
            // `5.1.1` or `a.b` are other things than the id `1` at their end
            !part_of_word(before) && !part_of_word(after) && before != Some('.')
        }
        _ => !part_of_word(before) && !part_of_word(after),
    }
}

/// An id that a client of the scenario also says cannot be told from the relay's.
fn said_by_a_client(record: &Record, value: &str) -> bool {
    let forwarded: BTreeSet<usize> = record
        .submissions
        .iter()
        .filter_map(|s| s.forwarded.as_ref().and(s.place).map(|place| place.session))
        .collect();
    let clients = record.sessions.iter().enumerate();
    let clients =
        clients.filter(|(at, s)| s.mock_is == Side::Client && !forwarded.contains(at)).map(|(_, s)| s);
    let mut said = clients.flat_map(|s| &s.events).filter_map(|event| match &event.what {
        What::Bytes { from: Side::Client, bytes, .. } => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    });
    said.any(|text| text.match_indices(value).any(|(at, _)| stands_alone(&text, at, value, &Kind::QueueId)))
}

fn content(record: &Record, place: Place) -> &[u8] {
    &record.sessions[place.session].transactions[place.transaction].content
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
