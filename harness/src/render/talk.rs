//! A session line by line: `C:` and `S:`, and what happened between them.

use std::fmt::Write as _;
use std::ops::Range;

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Part, Session, Side, What};

use super::fold::fold;
use super::line::{Line, WIDTH, cut, shown, whole};
use super::recipients;
use crate::record::{Notification, Place, Record};

/// As many lines of a header are shown.
const HEADER: usize = 24;
/// As many lines of a body; a notification's has three parts, which belong together.
const BODY: usize = 12;
const REPORT: usize = 40;
/// `relay → lotus (session 1)`.
pub(super) fn heading(session: &Session) -> String {
    let (from, to) = match session.mock_is {
        Side::Server => ("relay", session.mock.as_str()),
        Side::Client => (session.mock.as_str(), "relay"),
    };
    format!("{from} → {to} (session {})", session.ordinal)
}

/// The lines of some of a session's events.
pub(super) fn lines(record: &Record, index: usize, events: Range<usize>) -> Vec<Line> {
    let session = &record.sessions[index];
    let end = events.end.min(session.events.len());
    let mut telling = Telling::new(record, index);
    let before = &session.events[..events.start.min(end)];
    if before.iter().any(|event| matches!(event.what, What::TlsStarted { .. })) {
        telling.note(before.last().map_or(session.opened, |event| event.at), "over TLS");
        telling.tls = true;
    }
    for event in &session.events[events.start.min(end)..end] {
        telling.event(event.at, &event.what);
    }
    telling.flush();
    if record.relay.varies.side_by_side && events.start == 0 {
        quit_before_its_reply(&mut telling.lines);
    }
    // In which order a client of the scenario names recipients is the scenario's.
    let chosen = session.mock_is == Side::Client;
    if record.relay.varies.recipient_order && !chosen && events.start == 0 {
        return fold(recipients::by_name(telling.lines));
    }
    fold(telling.lines)
}

/// QUIT may be sent before the last reply has come (RFC 2920 section 3.1), and how soon it is then read is chance: it is told
/// where it is answered, or where nothing more is said.
fn quit_before_its_reply(lines: &mut Vec<Line>) {
    let is_quit = |line: &Line| line.text.eq_ignore_ascii_case("C: QUIT");
    let Some(at) = lines.iter().rposition(is_quit) else { return };
    // what answers it is the last reply, if anything was said after it
    let ends = |line: &Line| line.text.starts_with("S: ") && line.text.as_bytes().get(6) != Some(&b'-');
    let replies: Vec<usize> = (at..lines.len()).filter(|&index| ends(&lines[index])).collect();
    let [.., before, _] = replies.as_slice() else { return };
    if lines[at + 1..].iter().any(|line| line.text.starts_with('C')) {
        return;
    }
    let mut quit = lines.remove(at);
    let after = lines[*before - 1].at;
    if quit.at != after {
        quit.text += " (before the reply)";
        quit.at = after;
    }
    lines.insert(*before, quit);
}

struct Telling<'a> {
    record: &'a Record,
    index: usize,
    session: &'a Session,
    lines: Vec<Line>,
    /// Bytes of one side that wait for their end.
    pending: Option<(RunTime, Side, Part, Vec<u8>)>,
    /// Rules that fired within a line; they are told after it.
    fired: Vec<(RunTime, String)>,
    /// The header of the message that is being told is over.
    in_body: bool,
    /// The last bytes that were told went through TLS, or the next ones are to.
    tls: bool,
    quit: bool,
    /// Whether the chunk that is being told (BDAT) is the last one; `None`: it is no chunk.
    last_chunk: Option<bool>,
    /// The chunk before ended within a line.
    torn: bool,
    /// Who sent the last bytes.
    last: Option<Side>,
}

impl<'a> Telling<'a> {
    fn new(record: &'a Record, index: usize) -> Self {
        Self {
            record,
            index,
            session: &record.sessions[index],
            lines: Vec::new(),
            pending: None,
            fired: Vec::new(),
            in_body: false,
            tls: false,
            quit: false,
            last_chunk: None,
            torn: false,
            last: None,
        }
    }

    fn event(&mut self, at: RunTime, what: &What) {
        if let What::Bytes { from, bytes, tls, part } = what {
            self.layer(at, *tls);
            self.bytes(at, *from, *part, bytes);
            return;
        }
        if !matches!(what, What::Rule(_)) {
            self.flush();
        }
        match what {
            What::Bytes { .. } => {}
            What::Rule(rule) => self.rule(at, format!("rule {} on {}", rule.index + 1, rule.event)),
            What::Held { event } => {
                self.note(at, &format!("{} is held at {event}", self.who(self.session.mock_is)));
            }
            What::LetGo => self.note(at, &format!("{} is let go", self.who(self.session.mock_is))),
            What::Taken { transaction } => self.taken(at, *transaction),
            What::TlsStarted { version, server_name } => {
                self.tls = true;
                let asked =
                    server_name.as_ref().map_or_else(String::new, |name| format!(", asked for {name}"));
                self.note(at, &format!("TLS from here on: {version}{asked}"));
            }
            What::TlsFailed { why } => self.note(at, &format!("TLS failed: {why}")),
            What::Closed { by, how } => {
                let in_order = *how == Close::Fin || self.is_reset_by_chance(*by);
                if !(self.quit && in_order) {
                    let who = self.who(*by).to_owned();
                    self.note(at, &format!("{who} {}", if in_order { "closes" } else { "resets" }));
                }
            }
            What::Mismatch { step, expected, got } => {
                let octets = format!(" ({} octets)", got.len());
                let got = cut(shown(got.as_bytes()), WIDTH, &octets);
                self.note(at, &format!("line {step} waited for `{expected}`, got `{got}`"));
            }
            What::Completed => self.note(at, "the dialogue is complete"),
            What::Omitted { events, octets, sessions } => {
                let more = if *sessions > 0 { format!("; {sessions} more sessions") } else { String::new() };
                let text =
                    format!("too much to be written down: {octets} octets more, {events} events{more}");
                self.note(at, &text);
            }
        }
    }

    fn who(&self, side: Side) -> &str {
        if side == self.session.mock_is { &self.session.mock } else { "relay" }
    }

    /// One that closes before it has read all makes a reset of it (RFC 1122 section 4.2.2.13). Where the mock said the last
    /// word, it is chance whether that had come by then; that the relay closed is certain.
    fn is_reset_by_chance(&self, by: Side) -> bool {
        let mock = self.session.mock_is;
        self.record.relay.varies.side_by_side && by != mock && self.last == Some(mock)
    }

    fn note(&mut self, at: RunTime, text: &str) {
        self.lines.push(Line::new(at, format!("*  {text}")));
    }

    /// Bytes that go past TLS once it has begun are told apart from those within.
    fn layer(&mut self, at: RunTime, tls: bool) {
        if tls != self.tls {
            self.flush();
            self.note(at, if tls { "within TLS again" } else { "in the clear, outside of TLS" });
            self.tls = tls;
        }
    }

    /// A rule that fires between two lines is told there; one that fires within a line, which came in several segments,
    /// would tear it.
    fn rule(&mut self, at: RunTime, text: String) {
        if self.pending.as_ref().is_some_and(|(_, _, _, bytes)| !bytes.ends_with(b"\n")) {
            self.fired.push((at, text));
        } else {
            self.flush();
            self.note(at, &text);
        }
    }

    fn bytes(&mut self, at: RunTime, from: Side, part: Part, bytes: &[u8]) {
        self.last = Some(from);
        if self.pending.as_ref().is_some_and(|(_, side, kind, _)| (*side, *kind) != (from, part)) {
            self.flush();
        }
        self.in_body &= part == Part::Content || from == self.session.mock_is;
        let line_end = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |end| end + 1);
        let (line, rest) = bytes.split_at(if self.fired.is_empty() { bytes.len() } else { line_end });
        self.append(at, from, part, line);
        if !self.fired.is_empty() && line.ends_with(b"\n") {
            self.flush();
        }
        if !rest.is_empty() {
            self.append(at, from, part, rest);
        }
    }

    fn append(&mut self, at: RunTime, from: Side, part: Part, bytes: &[u8]) {
        let (began, _, _, buffer) = self.pending.get_or_insert_with(|| (at, from, part, Vec::new()));
        let began = *began;
        buffer.extend_from_slice(bytes);
        if part == Part::Lines && buffer.ends_with(b"\n") {
            let whole = std::mem::take(buffer);
            self.pending = None;
            for line in whole.split_inclusive(|&b| b == b'\n') {
                self.line(began, from, line);
            }
        }
    }

    fn line(&mut self, at: RunTime, from: Side, line: &[u8]) {
        self.quit |= from == Side::Client && line.to_ascii_uppercase().starts_with(b"QUIT");
        if from == Side::Client {
            let command = line.trim_ascii_end().to_ascii_uppercase();
            self.last_chunk = command.starts_with(b"BDAT ").then(|| command.ends_with(b" LAST"));
        }
        // any other line end is shown
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let text = whole(line);
        let text = match from {
            Side::Client if self.session.is_by_command() => format!("$ {text}"),
            Side::Server if self.session.is_by_command() => format!("*  {text}"),
            _ => format!("{}: {text}", letter(from)),
        };
        let text = text.trim_end().to_owned();
        self.lines.push(Line { at, text, octets: line.len() });
    }

    /// Tells what waits: bytes, and the rules that fired within them.
    fn flush(&mut self) {
        match self.pending.take() {
            Some((at, from, Part::Content, bytes)) => self.content(at, from, &bytes),
            Some((at, from, Part::Lines, bytes)) => {
                let octets = format!(" ({} octets)", bytes.len());
                let said = cut(shown(&bytes), WIDTH, &octets);
                self.lines.push(Line::new(at, format!("{}: {said} (no line end)", letter(from))));
            }
            None => {}
        }
        for (at, text) in std::mem::take(&mut self.fired) {
            self.note(at, &text);
        }
    }

    fn content(&mut self, at: RunTime, from: Side, bytes: &[u8]) {
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
        // A chunk may begin and end within a line, and a date would not be known by a part of it.
        let first = usize::from(self.torn && !lines.is_empty());
        self.torn = !bytes.ends_with(b"\n") && self.last_chunk == Some(false);
        let (torn, lines) = lines.split_at(first);
        let (lines, torn_off) = lines.split_at(lines.len() - usize::from(self.torn && !lines.is_empty()));
        self.pieces(at, from, torn);
        let header = lines.iter().position(|line| matches!(*line, b"\r\n" | b"\n")).map(|at| at + 1);
        let header = header.filter(|_| !self.in_body);
        self.in_body |= header.is_some();
        let header = header.unwrap_or(0);
        let is_report =
            bytes[..bytes.len().min(8192)].windows(16).any(|w| w.eq_ignore_ascii_case(b"multipart/report"));
        let (header, body) = lines.split_at(header);
        self.cut(at, from, header, HEADER);
        self.cut(at, from, body, if is_report { REPORT } else { BODY });
        self.pieces(at, from, torn_off);
    }

    /// Parts of lines, by their length.
    fn pieces(&mut self, at: RunTime, from: Side, pieces: &[&[u8]]) {
        for piece in pieces {
            let octets =
                if piece.len() == 1 { "1 octet".to_owned() } else { format!("{} octets", piece.len()) };
            self.lines.push(Line::new(at, format!("{}| … {octets} of a line", letter(from))));
        }
    }

    fn cut(&mut self, at: RunTime, from: Side, lines: &[&[u8]], most: usize) {
        // a few lines more are not worth a cut; the last one shows how it ends
        let cut = lines.len() > most + 6;
        let (shown_first, last) = if cut { (most, lines.len() - 1) } else { (lines.len(), lines.len()) };
        for line in &lines[..shown_first] {
            self.content_line(at, from, line);
        }
        if cut {
            let hidden = last - shown_first;
            self.lines.push(Line::new(at, format!("{}| … {hidden} more lines", letter(from))));
            self.content_line(at, from, lines[last]);
        }
    }

    fn content_line(&mut self, at: RunTime, from: Side, line: &[u8]) {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let text = whole(line);
        let text = format!("{}| {text}", letter(from)).trim_end().to_owned();
        self.lines.push(Line { at, text, octets: line.len() });
    }

    /// What the server took, as the record understands it.
    fn taken(&mut self, at: RunTime, transaction: usize) {
        let place = Place { session: self.index, transaction };
        if let Some(delivery) = self.record.deliveries.iter().find(|d| d.place == place) {
            let of = &self.record.submissions[delivery.submission];
            let several = self.record.submissions.iter().filter(|s| s.message == of.message).count() > 1;
            let which = if several { format!(" (submission {})", of.copy) } else { String::new() };
            let mut text = format!(
                "{} takes {}{which} for {}: attempt {}, {}",
                delivery.server,
                of.message,
                listed(&delivery.recipients),
                delivery.attempt,
                if delivery.eight_bit { "8-bit" } else { "7-bit" }
            );
            if !delivery.acknowledged {
                text += "; the relay cannot know it";
            }
            self.note(at, &text);
        } else if let Some(notification) = self.record.notifications.iter().find(|n| n.place == place) {
            self.notification(at, notification);
        } else {
            let mock = self.session.mock.clone();
            self.note(at, &format!("{mock} takes a mail that is neither a copy nor a notification"));
        }
    }

    fn notification(&mut self, at: RunTime, notification: &Notification) {
        let about = notification.submission.map_or_else(
            || "something unknown".to_owned(),
            |index| self.record.submissions[index].message.clone(),
        );
        let form = if notification.well_formed { "" } else { ", not in the form of RFC 3464" };
        let to = listed(&notification.to);
        self.note(at, &format!("{} takes a notification about {about} for {to}{form}", notification.server));
        for recipient in notification.recipients.iter().take(8) {
            self.note(at, &format!("   {}: {} {}", recipient.to, recipient.action, recipient.status));
        }
        if notification.recipients.len() > 8 {
            self.note(at, &format!("   … {} more recipients", notification.recipients.len() - 8));
        }
    }
}

fn letter(side: Side) -> char {
    match side {
        Side::Client => 'C',
        Side::Server => 'S',
    }
}

/// Some addresses, and how many more.
pub(super) fn listed(addresses: &[String]) -> String {
    let mut text = addresses.iter().take(3).map(|to| to.trim()).collect::<Vec<_>>().join(", ");
    if addresses.len() > 3 {
        let _ = write!(text, " and {} more", addresses.len() - 3);
    }
    text
}
