//! A session as it goes on, line by line: for people who watch. Nothing is given a name here: what varies is what they want to
//! see.

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Part, Session, Side, What};

use super::line::{WIDTH, cut, whole};

/// As many lines of a message are shown.
const CONTENT: usize = 12;

/// How much of a session was told.
#[derive(Debug, Default)]
pub struct Live {
    /// Events.
    told: usize,
    /// What each side has begun to say and not ended.
    begun: [Vec<u8>; 2],
    /// Lines of the message that is on its way, and octets.
    content: (usize, usize),
}

impl Live {
    /// What has happened since the last time, a line for each thing and when it was.
    pub fn more(&mut self, session: &Session) -> Vec<(RunTime, String)> {
        let mut lines = Vec::new();
        for event in session.events.iter().skip(self.told) {
            self.event(&event.what, &mut |text| lines.push((event.at, text)));
        }
        self.told = session.events.len();
        lines
    }

    fn event(&mut self, what: &What, tell: &mut impl FnMut(String)) {
        match what {
            What::Bytes { from, bytes, part: Part::Content, .. } => self.content(*from, bytes, tell),
            What::Bytes { from, bytes, part: Part::Lines, .. } => {
                self.content_is_over(tell);
                self.lines(*from, bytes, tell);
            }
            other => {
                self.content_is_over(tell);
                self.rest(tell);
                tell(format!("*  {}", told(other)));
            }
        }
    }

    fn lines(&mut self, from: Side, bytes: &[u8], tell: &mut impl FnMut(String)) {
        let begun = &mut self.begun[index(from)];
        begun.extend_from_slice(bytes);
        let end = begun.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = begun.drain(..end).collect();
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            tell(format!("{}: {}", letter(from), one(line)));
        }
    }

    fn content(&mut self, from: Side, bytes: &[u8], tell: &mut impl FnMut(String)) {
        let (lines, octets) = &mut self.content;
        *octets += bytes.len();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if *lines < CONTENT {
                tell(format!("{}| {}", letter(from), one(line)));
            }
            *lines += 1;
        }
    }

    fn content_is_over(&mut self, tell: &mut impl FnMut(String)) {
        let (lines, octets) = std::mem::take(&mut self.content);
        if lines > CONTENT {
            tell(format!("C| … {} more lines, {octets} octets in all", lines - CONTENT));
        }
    }

    /// What has no end, when something else comes.
    fn rest(&mut self, tell: &mut impl FnMut(String)) {
        for side in [Side::Client, Side::Server] {
            let begun = std::mem::take(&mut self.begun[index(side)]);
            if !begun.is_empty() {
                tell(format!("{}: {} (no line end)", letter(side), one(&begun)));
            }
        }
    }
}

fn one(line: &[u8]) -> String {
    let text = line.strip_suffix(b"\r\n").unwrap_or(line);
    cut(whole(text), WIDTH, &format!(" ({} octets)", text.len()))
}

fn told(what: &What) -> String {
    match what {
        What::Bytes { .. } => String::new(),
        What::Rule(rule) => format!("rule {} on {}", rule.index + 1, rule.event),
        What::Held { event } => format!("held at {event}"),
        What::LetGo => "let go".to_owned(),
        What::Taken { .. } => "the server takes the mail".to_owned(),
        What::TlsStarted { version, server_name: Some(name) } => {
            format!("TLS from here on: {version}, asked for {name}")
        }
        What::TlsStarted { version, .. } => format!("TLS from here on: {version}"),
        What::TlsFailed { why } => format!("TLS failed: {why}"),
        What::Closed { by, how: Close::Fin } => format!("{} closes", who(*by)),
        What::Closed { by, how: Close::Reset } => format!("{} resets", who(*by)),
        What::Mismatch { expected, got, .. } => format!("expected {expected}, got {got}"),
        What::Completed => "the dialogue is over".to_owned(),
        What::Omitted { events, .. } => format!("too much to be written down: {events} more events"),
    }
}

fn who(side: Side) -> &'static str {
    match side {
        Side::Client => "the relay",
        Side::Server => "the server",
    }
}

fn letter(side: Side) -> char {
    match side {
        Side::Client => 'C',
        Side::Server => 'S',
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}

#[cfg(test)]
mod tests {
    use mock_servers::transcript::Event;

    use super::*;

    fn session(events: Vec<What>) -> Session {
        let at = RunTime::ZERO;
        Session {
            mock: "hub".to_owned(),
            mock_is: Side::Server,
            ordinal: 1,
            client: "127.0.0.1:4000".parse().unwrap(),
            server: "198.51.100.10:25".parse().unwrap(),
            opened: at,
            events: events.into_iter().map(|what| Event { at, what }).collect(),
            transactions: Vec::new(),
            offers: Vec::new(),
        }
    }

    fn bytes(from: Side, text: &str, part: Part) -> What {
        What::Bytes { from, bytes: text.as_bytes().to_vec(), tls: false, part }
    }

    /// Told event by event, and all at once: the same.
    fn told(events: &[What]) -> Vec<String> {
        let lines = |live: &mut Live, session: &Session| {
            live.more(session).into_iter().map(|(_, line)| line).collect::<Vec<_>>()
        };
        let mut live = Live::default();
        let single =
            (0..=events.len()).flat_map(|n| lines(&mut live, &session(events[..n].to_vec()))).collect();
        assert_eq!(lines(&mut Live::default(), &session(events.to_vec())), single);
        single
    }

    #[test]
    fn a_line_is_told_when_it_is_whole() {
        let pieces = [
            bytes(Side::Server, "220 hub\r\n", Part::Lines),
            bytes(Side::Client, "EH", Part::Lines),
            bytes(Side::Client, "LO x\r\nQU", Part::Lines),
            What::Closed { by: Side::Client, how: Close::Reset },
        ];
        assert_eq!(told(&pieces), ["S: 220 hub", "C: EHLO x", "C: QU (no line end)", "*  the relay resets"]);
    }

    #[test]
    fn of_a_message_the_beginning_is_told_and_how_long_it_is() {
        let body = "line\r\n".repeat(20);
        let pieces = [
            bytes(Side::Client, &body, Part::Content),
            bytes(Side::Server, "250 OK\r\n", Part::Lines),
            bytes(Side::Client, "one\r\n.\r\n", Part::Content),
            bytes(Side::Server, "250 OK\r\n", Part::Lines),
        ];
        let lines = told(&pieces);
        assert_eq!(lines.iter().filter(|line| *line == "C| line").count(), CONTENT);
        assert_eq!(
            lines[CONTENT..],
            ["C| … 8 more lines, 120 octets in all", "S: 250 OK", "C| one", "C| .", "S: 250 OK"]
        );
    }
}
