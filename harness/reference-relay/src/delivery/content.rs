//! The content of a mail transaction: after DATA, or in the chunks of BDAT (RFC 3030).

use super::connection::Broken;
use super::memory::Trouble;
use super::transaction::{Fate, Transaction, Verdict, fate, what};
use crate::queue::Outcome;
use crate::reply::Reply;

/// The size of a chunk. RFC 3030 section 2: a server can only object when it has read one to its end.
const CHUNK: usize = 64 * 1024;

impl Transaction<'_> {
    /// Sends the content, or nothing of it when it is for nobody: a server that answers 354 all the same gets a lone dot
    /// (RFC 2920 section 3.1).
    pub(super) async fn after_data(&mut self, content: &[u8], for_anyone: bool) -> (Verdict, Fate) {
        let octets = if for_anyone { stuffed(content) } else { b".\r\n".to_vec() };
        let limit = self.limits().end_of_data;
        let reply = match self.session.connection.send_content(&octets).await {
            Ok(()) => self.session.connection.reply(limit).await,
            Err(broken) => Err(broken),
        };
        match reply {
            Ok(reply) => self.after_content(&reply),
            Err(broken) => self.without_reply(&broken, for_anyone),
        }
    }

    /// Sends the content by BDAT, one chunk after the other, and reads the reply to each before the next.
    pub(super) async fn in_chunks(&mut self, content: &[u8]) -> (Verdict, Fate) {
        let limit = self.limits().end_of_data;
        let mut rest = content;
        loop {
            let (chunk, after) = rest.split_at(rest.len().min(CHUNK));
            let last = if after.is_empty() { " LAST" } else { "" };
            let mut octets = format!("BDAT {}{last}\r\n", chunk.len()).into_bytes();
            octets.extend_from_slice(chunk);
            let reply = match self.session.connection.send_content(&octets).await {
                Ok(()) => self.session.connection.reply(limit).await,
                Err(broken) => Err(broken),
            };
            let reply = match reply {
                Ok(reply) => reply,
                Err(broken) => {
                    self.session.note(Trouble::Chunking);
                    return self.without_reply(&broken, after.is_empty());
                }
            };
            if is_unknown_command(&reply) && !self.session.connection.is_over() {
                // The server, or what stands between, knows no BDAT, and has taken the chunk for commands, or will.
                // Another session, by DATA, owes nothing to this one.
                self.session.note(Trouble::Chunking);
                self.session.chunk_failed = true;
                let verdict = Verdict::PutOff(self.refusal(&reply, "does not know BDAT, which it offers"));
                return (verdict, Fate::Stale);
            }
            self.session.chunk_failed = !reply.is_positive();
            let goes_on = reply.is_positive() && !after.is_empty();
            if !goes_on || self.session.connection.is_over() {
                if goes_on {
                    // Cut off: this reply is to a chunk that the host cannot have.
                    let verdict = Verdict::PutOff(self.broken(&Broken::Closed, "during the message"));
                    return (verdict, Fate::Closed);
                }
                let (verdict, fate) = self.after_content(&reply);
                // RFC 3030 section 2: after a BDAT that failed, RSET before anything else.
                self.session.mid_transaction = !reply.is_positive();
                return (verdict, fate);
            }
            if let Err(broken) = self.session.connection.in_step() {
                let verdict = Verdict::PutOff(self.broken(&broken, "during the message"));
                return (verdict, Fate::Closed);
            }
            rest = after;
        }
    }

    /// What the reply to the whole content means.
    fn after_content(&mut self, reply: &Reply) -> (Verdict, Fate) {
        // Taken or refused, the transaction is over (RFC 5321 section 4.1.1.4).
        self.session.mid_transaction = false;
        let cut_off = !self.session.connection.has_sent_all();
        let verdict = if reply.is_positive() && cut_off {
            // It is about something else: the host cannot have the message.
            Verdict::PutOff(self.broken(&Broken::Closed, "during the message"))
        } else if reply.is_positive() {
            Verdict::Settled(Outcome::Delivered {
                host: self.session.host().to_owned(),
                reply: reply.on_one_line(),
                speaks_dsn: self.session.offer("DSN").is_some(),
            })
        } else {
            self.refused(reply, what(reply, "refused the message", "gave an unexpected reply to the message"))
        };
        (verdict, fate(self.session))
    }

    /// No reply to the content: the host may have the message if all of it was sent.
    fn without_reply(&self, broken: &Broken, is_whole: bool) -> (Verdict, Fate) {
        let sent_whole = is_whole && self.session.connection.has_sent_all();
        let fate = if sent_whole { Fate::InDoubt } else { Fate::Closed };
        let when = if sent_whole { "after the message" } else { "during the message" };
        (Verdict::PutOff(self.broken(broken, when)), fate)
    }
}

/// Replies that say that there is no such command (RFC 5321 section 4.2.4), or not here (503).
fn is_unknown_command(reply: &Reply) -> bool {
    matches!(reply.code, 500 | 502 | 503)
}

/// The content as it goes over the wire: dots doubled at the start of lines, and the end (section 4.5.2).
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    if !octets.is_empty() && !octets.ends_with(b"\r\n") {
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(b".\r\n");
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_at_the_start_of_lines_and_the_end_is_marked() {
        assert_eq!(stuffed(b"a.\r\n.b\r\n..\r\n"), b"a.\r\n..b\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
        assert_eq!(stuffed(b""), b".\r\n");
    }
}
