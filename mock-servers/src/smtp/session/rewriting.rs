//! What stands between client and server: lines that come to the server as others, and mail that it sends on.

use std::collections::VecDeque;

use super::state::Mail;
use super::{ServerSession, Step};
use crate::script::{Action, On, Verb};
use crate::smtp::command::Request;
use crate::smtp::forward::{self, Taken};
use crate::smtp::reply;
use crate::time::RunTime;
use crate::transcript::Reply;

impl ServerSession {
    /// The line that a rule puts in place of this one, and the rule's other actions. It is not rewritten a second time.
    pub(super) fn rewritten(
        &mut self,
        request: &Request,
        now: RunTime,
        steps: &mut VecDeque<Step>,
    ) -> Option<Request> {
        let chosen = self.choose_rewriting(request, now)?;
        let mut line = None;
        for action in chosen.actions {
            match action {
                Action::Rewrite(text) => line = line.or(Some(text)),
                action => steps.push_back(Step::Act(action)),
            }
        }
        let line = self.with_placeholders(request, now, |fill| fill.fill_command(&line.unwrap_or_default()));
        let mut understood = Request::parse(line.as_bytes());
        understood.early = request.early;
        if understood.on == request.on {
            self.understand_otherwise(request, &understood);
        } else {
            self.prepare(&understood, now);
        }
        Some(understood)
    }

    /// Whether a BDAT comes to the server as something else, so that its octets are taken for commands. Asked before the
    /// command is counted.
    pub(super) fn is_rewritten(&mut self, request: &Request, now: RunTime) -> bool {
        self.expect_bdat(|number| *number += 1);
        let found = self.rewriting_rule(request, now).is_some();
        self.expect_bdat(|number| *number -= 1);
        found
    }

    fn expect_bdat(&mut self, step: fn(&mut u64)) {
        step(&mut self.state.commands);
        if let Some(mail) = &mut self.state.mail {
            step(&mut mail.bdat_commands);
        }
    }

    /// The same verb with another argument: the record has what the client said, the session goes by what came.
    fn understand_otherwise(&mut self, said: &Request, understood: &Request) {
        let Some(mail) = &mut self.state.mail else { return };
        let Some(path) = &understood.path else { return };
        match understood.on {
            On::Command(Verb::Mail) if !mail.accepted => {
                mail.from.clone_from(&path.address);
                mail.parameters.clone_from(&path.parameters);
            }
            On::Command(Verb::Rcpt) => {
                let was = said.path.as_ref().map_or(&said.argument, |path| &path.address);
                if let Some(seen) = mail.seen.get(&was.to_lowercase()).copied() {
                    mail.seen.entry(path.address.to_lowercase()).or_insert(seen);
                }
            }
            _ => {}
        }
    }

    /// The reply that the client takes for one to what it said, where the server understood another verb.
    pub(super) fn settle_rewritten(&mut self, positive: bool, reply: &Reply) {
        let Some(said) = self.occasion.said.as_ref().filter(|said| **said != self.occasion.request.on) else {
            return;
        };
        let Some(mail) = &self.state.mail else { return };
        self.ledger.transaction(mail.index, |mut t| match said {
            On::Command(Verb::Mail) if !mail.accepted => t.mail_reply(reply),
            On::Command(Verb::Rcpt) => t.recipient_reply(mail.last_recipient, reply),
            On::Command(Verb::Data) => t.data_reply(reply),
            On::Command(Verb::Bdat) if !positive => _ = t.final_reply(reply),
            _ => {}
        });
    }

    /// Sends a mail on that is over and was taken.
    pub(super) fn forward(&self, mail: &Mail, now: RunTime) {
        let Some(changes) = &mail.forward else { return };
        let Some(written) = self.ledger.read_transaction(mail.index).filter(|written| written.taken) else {
            return;
        };
        let accepted = written.recipients.into_iter();
        let accepted = accepted.filter(|r| r.reply.as_ref().is_some_and(Reply::is_positive));
        let recipients = accepted.map(|r| (r.to, r.parameters)).collect();
        self.visit.forward(|number| {
            let server = self.script.name.as_str();
            let trace = self.trace(&forward::id(number, server), now);
            let taken = Taken {
                server,
                hostname: &self.script.hostname,
                trace,
                from: &mail.from,
                from_parameters: &mail.parameters,
                recipients,
                content: &written.content,
            };
            forward::forwarded(taken, changes)
        });
    }

    /// A Received field's value (RFC 5321 section 4.4, RFC 3848).
    fn trace(&self, id: &str, now: RunTime) -> String {
        let state = &self.state;
        let client = match self.client {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("IPv6:{v6}"),
        };
        let with = match (&state.offers, state.tls, state.authenticated) {
            (None, ..) => "SMTP",
            (_, false, false) => "ESMTP",
            (_, true, false) => "ESMTPS",
            (_, false, true) => "ESMTPA",
            (_, true, true) => "ESMTPSA",
        };
        let (helo, host) = (state.helo.as_deref().unwrap_or("unknown"), &self.script.hostname);
        let date = reply::date(self.epoch, now);
        format!("from {helo} ([{client}])\r\n\tby {host} with {with} id {id};\r\n\t{date}")
    }
}
