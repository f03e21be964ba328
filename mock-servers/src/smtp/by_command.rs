//! Mail that is handed to a relay by a command of its own machine, as `sendmail` is one, in place of a session. It is written
//! down as one all the same ([`Session::is_by_command`]): the command and the content for the client's side, how the
//! command ended for the relay's.
//!
//! [`Session::is_by_command`]: crate::transcript::Session::is_by_command

use super::ledger::{Body, Ledger};
use crate::time::RunTime;
use crate::transcript::{Opening, Reply, SessionRecorder};

/// Mail under way.
#[derive(Debug)]
pub struct ByCommand {
    ledger: Ledger,
    transaction: usize,
    recipients: Vec<usize>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; `None`: a signal ended it, or nobody could wait for it, and whether it took the mail is in doubt.
    pub status: Option<i32>,
    /// What it printed.
    pub said: String,
}

/// What sysexits.h calls a failure that may pass: EX_TEMPFAIL.
const MAY_PASS: i32 = 75;

impl ByCommand {
    /// Writes down that this mail is handed over. `record` was opened for a client, and port 0 of the relay.
    pub fn begin(
        record: SessionRecorder,
        command: &str,
        from: &String,
        recipients: &[String],
        content: &[u8],
        at: RunTime,
    ) -> Self {
        let mut ledger = Ledger::new(record);
        let line = format!("{command}\r\n");
        ledger.client_sent(line.as_bytes(), at);
        ledger.lines(line.len());
        let opening = Opening { started: at, helo: None, from, parameters: &Vec::new() };
        let transaction = ledger.open_transaction(opening);
        let recipients = recipients.iter().map(|to| ledger.recipient(transaction, to, &Vec::new())).collect();
        ledger.client_sent(content, at);
        ledger.content(content.len(), Some(Body { transaction, stuffed: false, octets: content.len() }));
        ledger.transaction(transaction, |mut t| t.ended());
        Self { ledger, transaction, recipients }
    }

    /// Writes down how the command ended. In SMTP's words exit status 0 is 250 for the mail and all that it is for, EX_TEMPFAIL
    /// (75) is 450, and any other 550; the text says what it was.
    pub fn end(self, ended: &Ended, at: RunTime) {
        let Self { ledger, transaction, recipients } = self;
        let line = match ended.status {
            Some(status) => format!("exit status {status}"),
            None => "no exit status".to_owned(),
        };
        let said: Vec<String> = ended.said.lines().map(str::to_owned).collect();
        let text = std::iter::once(line).chain(said).collect::<Vec<_>>();
        ledger.server_sent(format!("{}\r\n", text.join("\r\n")).as_bytes(), at);
        let taken = Reply { code: 250, lines: vec!["taken with the command".to_owned()] };
        ledger.transaction(transaction, |mut t| {
            t.mail_reply(&taken);
            for place in recipients {
                t.recipient_reply(place, &taken);
            }
        });
        let Some(status) = ended.status else {
            ledger.transaction(transaction, |mut t| t.over(at));
            return;
        };
        let code = match status {
            0 => 250,
            MAY_PASS => 450,
            _ => 550,
        };
        ledger.final_reply(transaction, &Reply { code, lines: text }, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Recorder, Session, Side, What};

    fn handed(status: Option<i32>) -> Session {
        let recorder = Recorder::default();
        let record = recorder.open(
            "client",
            Side::Client,
            "203.0.113.25:0".parse().unwrap(),
            "203.0.113.25:0".parse().unwrap(),
            RunTime::ZERO,
        );
        let to = ["bob@hub.example".to_owned(), "carol@hub.example".to_owned()];
        let mail = ByCommand::begin(
            record,
            "sendmail -i",
            &"a@b.example".into(),
            &to,
            b"S: x\r\n\r\n.\r\n",
            RunTime::ZERO,
        );
        mail.end(&Ended { status, said: "no such user\n".into() }, RunTime::ZERO);
        recorder.sessions().remove(0)
    }

    #[test]
    fn a_mail_that_a_command_takes_is_a_transaction() {
        let session = handed(Some(0));
        assert!(session.is_by_command());
        let [mail] = &session.transactions[..] else { panic!("{:?}", session.transactions) };
        assert_eq!(
            (mail.from.as_str(), mail.content.as_slice()),
            ("a@b.example", b"S: x\r\n\r\n.\r\n".as_slice())
        );
        let replies: Vec<_> =
            mail.recipients.iter().map(|r| (r.to.as_str(), r.reply.as_ref().unwrap().code)).collect();
        assert_eq!(replies, [("bob@hub.example", 250), ("carol@hub.example", 250)]);
        assert_eq!(mail.final_reply.as_ref().unwrap().text(), "250 exit status 0 / no such user");
        assert!(mail.ended && mail.finished.is_some());
        let said: Vec<String> = session
            .events
            .iter()
            .filter_map(|event| match &event.what {
                What::Bytes { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(said, ["sendmail -i\r\n", "S: x\r\n\r\n.\r\n", "exit status 0\r\nno such user\r\n"]);
    }

    #[test]
    fn what_the_command_refuses_is_refused_and_what_was_killed_is_in_doubt() {
        let code = |status| handed(status).transactions[0].final_reply.as_ref().map(|reply| reply.code);
        assert_eq!((code(Some(75)), code(Some(67)), code(None)), (Some(450), Some(550), None));
        assert!(handed(None).transactions[0].finished.is_some());
    }
}
