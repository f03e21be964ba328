//! Replies as text: written, read back, and with their placeholders filled in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::script::ReplyText;
use crate::time::RunTime;
use crate::transcript::Reply;

/// The most lines, and the most octets of one line, that a reply may have before its reader gives up on it. RFC 5321
/// section 4.5.3.1.5 allows lines of 512 octets; the rest is patience.
const MOST_LINES: usize = 1_000;
const LONGEST_LINE: usize = 64 * 1024;

/// What the placeholders of a reply stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placeholders<'a> {
    /// `{host}`: the server's own name.
    pub(super) host: &'a str,
    /// `{client}`: the client's address.
    pub(super) client: &'a str,
    /// `{helo}`: what the client called itself.
    pub(super) helo: &'a str,
    /// `{from}`: the reverse-path at hand.
    pub(super) from: &'a str,
    /// `{to}`: the forward-path at hand.
    pub(super) to: &'a str,
    /// `{argument}`: what follows the verb of the command at hand.
    pub(super) argument: &'a str,
    /// `{id}`: the server's own name for the mail at hand.
    pub(super) id: &'a str,
    /// `{message-id}`: the Message-ID of the content at hand, or one of the server's making.
    pub(super) message_id: &'a str,
    /// When the run began, in the calendar.
    pub(super) epoch: SystemTime,
    /// The moment, for `{date}`.
    pub(super) now: RunTime,
}

impl Placeholders<'_> {
    /// The reply with its placeholders filled in. What is no placeholder stays as it is.
    pub(super) fn fill(&self, reply: &ReplyText) -> Reply {
        Reply { code: reply.code, lines: reply.lines.iter().map(|line| self.fill_line(line)).collect() }
    }

    /// Whether there is anything in the reply that may have to be filled in.
    pub(super) fn any_in(reply: &ReplyText) -> bool {
        reply.lines.iter().any(|line| line.contains('{'))
    }

    /// A command line with its placeholders filled in.
    pub(super) fn fill_command(&self, line: &str) -> String {
        self.fill_line(line)
    }

    /// One pass, so that a name with braces in it is not filled in again.
    fn fill_line(&self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(open) = rest.find('{') {
            out += &rest[..open];
            rest = &rest[open..];
            let value =
                rest[1..].split_once('}').and_then(|(name, _)| Some((name.len() + 2, self.value(name)?)));
            let (length, value) = value.unwrap_or_else(|| (1, "{".to_owned()));
            out += &value;
            rest = &rest[length..];
        }
        out + rest
    }

    fn value(&self, name: &str) -> Option<String> {
        Some(match name {
            "host" => self.host.to_owned(),
            "client" => self.client.to_owned(),
            "helo" => self.helo.to_owned(),
            "from" => self.from.to_owned(),
            "to" => self.to.to_owned(),
            "argument" => self.argument.to_owned(),
            "id" => self.id.to_owned(),
            "message-id" => self.message_id.to_owned(),
            "date" => date(self.epoch, self.now),
            _ => return None,
        })
    }
}

/// Adds a reply as bytes: code and hyphen on all lines but the last (RFC 5321 section 4.2.1).
pub(super) fn encode(reply: &Reply, out: &mut Vec<u8>) {
    let last = reply.lines.len().saturating_sub(1);
    out.reserve(reply.lines.iter().map(|line| line.len() + "250 \r\n".len()).sum());
    let code = [100, 10, 1].map(|place| b'0' + (reply.code / place % 10) as u8);
    for (at, line) in reply.lines.iter().enumerate() {
        // A code without a text has no space either, except for the empty challenge `334 ` (RFC 4954 section 4).
        let separator = match (at == last, line.is_empty() && reply.code != 334) {
            (false, _) => &b"-"[..],
            (true, false) => b" ",
            (true, true) => b"",
        };
        for part in [&code, separator, line.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

/// What raw bytes say: the code of the first line, and the texts of all, complete or not.
pub(super) fn read_loosely(bytes: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
    let mut replies = lines.map(|line| line.strip_suffix('\r').unwrap_or(line)).map(|line| {
        let read = ReplyText::parse(line).map(|mut reply| (reply.code, reply.lines.swap_remove(0)));
        read.unwrap_or_else(|| (0, line.to_owned()))
    });
    let (code, first) = replies.next().unwrap_or_default();
    Reply { code, lines: std::iter::once(first).chain(replies.map(|(_, line)| line)).collect() }
}

/// Puts replies together from the bytes of a server.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    line: Vec<u8>,
    lines: Vec<String>,
}

impl ReplyReader {
    /// Takes bytes up to the end of the next reply, and returns how many, and the reply. `None`: it is not yet complete,
    /// and all bytes were taken. A line that starts with no code is a reply with code 0. A bare LF ends a line too:
    /// what a server may not send is for others to judge.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Option<Reply>) {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let Some(end) = rest.iter().position(|&b| b == b'\n') else {
                let room = LONGEST_LINE.saturating_sub(self.line.len());
                self.line.extend_from_slice(&rest[..rest.len().min(room)]);
                return (bytes.len(), None);
            };
            self.line.extend_from_slice(&rest[..end]);
            taken += end + 1;
            if let Some(reply) = self.end_line() {
                return (taken, Some(reply));
            }
        }
        (taken, None)
    }

    /// What came of a reply that is not complete.
    pub(super) fn partial(&self) -> String {
        let mut text = self.lines.join(" / ");
        if !self.line.is_empty() {
            text += &String::from_utf8_lossy(&self.line);
        }
        text
    }

    fn end_line(&mut self) -> Option<Reply> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let code = line.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit));
        let Some(code) = code.map(|digits| digits.iter().fold(0, |code, d| code * 10 + u16::from(d - b'0')))
        else {
            self.lines.push(String::from_utf8_lossy(&line).into_owned());
            return Some(Reply { code: 0, lines: std::mem::take(&mut self.lines) });
        };
        let separator = line.get(3).copied();
        let text = line.get(if matches!(separator, Some(b' ' | b'-')) { 4 } else { 3 }..).unwrap_or_default();
        self.lines.push(String::from_utf8_lossy(text).into_owned());
        let more = separator == Some(b'-') && self.lines.len() < MOST_LINES;
        (!more).then(|| Reply { code, lines: std::mem::take(&mut self.lines) })
    }
}

/// The moment in the form of RFC 5322 section 3.3, in UTC.
pub(super) fn date(epoch: SystemTime, now: RunTime) -> String {
    let since_1970 =
        epoch.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).saturating_add(now.since_start());
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let (year, month, day) = civil(days);
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// Year, month from 0 and day from 1 of a number of days since 1970, in the Gregorian calendar. Years are counted from
/// March, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, usize, u64) {
    let days = days + 719_468; // from 1 March of the year 0
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    (era * 400 + year_of_era + u64::from(month < 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "Thu, 1 Jan 1970 00:00:00 +0000")]
    #[case(951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000")]
    #[case(1_709_251_199, "Thu, 29 Feb 2024 23:59:59 +0000")]
    #[case(4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000")]
    fn dates_follow_the_calendar(#[case] seconds: u64, #[case] written: &str) {
        assert_eq!(date(UNIX_EPOCH, RunTime::new(Duration::from_secs(seconds))), written);
    }

    #[test]
    fn placeholders_are_filled_once_and_other_braces_stay() {
        let fill = Placeholders {
            host: "{client}",
            client: "198.51.100.9",
            helo: "me",
            from: "a@x",
            to: "b@y",
            argument: "",
            id: "",
            message_id: "",
            epoch: UNIX_EPOCH,
            now: RunTime::ZERO,
        };
        let filled = fill.fill_line("{host} {x} { {client} {from}{to} {date");
        assert_eq!(filled, "{client} {x} { 198.51.100.9 a@xb@y {date");
    }

    #[rstest]
    #[case(&[(250, "one"), (250, "two")], "250-one\r\n250 two\r\n")]
    #[case(&[(250, "")], "250\r\n")]
    #[case(&[(334, "")], "334 \r\n")]
    fn a_reply_survives_writing_and_reading(#[case] lines: &[(u16, &str)], #[case] wire: &str) {
        let reply = Reply { code: lines[0].0, lines: lines.iter().map(|l| l.1.to_owned()).collect() };
        let mut written = Vec::new();
        encode(&reply, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), wire);
        assert_eq!(ReplyReader::default().read(wire.as_bytes()), (wire.len(), Some(reply.clone())));
        let mut reader = ReplyReader::default();
        let mut read = wire.bytes().filter_map(|byte| reader.read(&[byte]).1);
        assert_eq!(read.next(), Some(reply));
    }

    #[rstest]
    #[case("OK\r\n", 0, "OK")]
    #[case("550#5.1.0 no\r\n", 550, "#5.1.0 no")]
    #[case("250-a\n251 b\n", 251, "a / b")]
    #[case("250-a\r\nrubbish\r\n", 0, "a / rubbish")]
    fn odd_replies_are_read_as_far_as_they_go(#[case] wire: &str, #[case] code: u16, #[case] text: &str) {
        let reply = ReplyReader::default().read(wire.as_bytes()).1.unwrap();
        assert_eq!((reply.code, reply.lines.join(" / ").as_str()), (code, text));
    }
}
