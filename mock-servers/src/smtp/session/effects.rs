//! What a reply does to the session's state, whoever gave it: the profile or a rule.

use std::collections::VecDeque;

use super::intake::Mode;
use super::moments::Idle;
use super::state::{Greeting, Mail, State};
use super::{Output, ServerSession, Step};
use crate::script::{Action, On, Verb};
use crate::smtp::command::{self, Request};
use crate::smtp::content::DotReader;
use crate::smtp::ledger::Body;
use crate::time::RunTime;
use crate::transcript::{Opening, Reply, What};

/// What a reply's first digit says (RFC 5321 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 2yz.
    Positive,
    /// 3yz.
    Intermediate,
    /// 4yz, 5yz, and what is no reply code at all.
    Negative,
}

impl Outcome {
    pub(super) fn of(code: u16) -> Self {
        match code / 100 {
            2 => Self::Positive,
            3 => Self::Intermediate,
            _ => Self::Negative,
        }
    }
}

/// Whether the command ends the content of its transaction.
pub(super) fn ends_chunks(request: &Request) -> bool {
    request.on == On::Command(Verb::Bdat) && command::bdat(&request.argument).is_some_and(|(_, last)| last)
}

impl ServerSession {
    /// Counts the event, and writes down what it says, before any rule is asked.
    pub(super) fn prepare(&mut self, request: &Request, now: RunTime) {
        self.count(&request.on);
        match &request.on {
            On::Command(Verb::Mail) if self.state.mail.is_none() => self.open_transaction(request, now),
            On::Command(Verb::Rcpt) => self.add_recipient(request, now),
            On::Command(Verb::Bdat) => {
                if let Some(mail) = &mut self.state.mail {
                    mail.bdat_commands += 1;
                }
            }
            On::Command(Verb::Auth) => self.begin_exchange(&request.argument),
            _ => {}
        }
        if let Some(mail) = &self.state.mail
            && (request.on == On::EndOfData || ends_chunks(request) && !mail.failed)
        {
            self.ledger.transaction(mail.index, |mut t| t.ended());
        }
    }

    fn open_transaction(&mut self, request: &Request, now: RunTime) {
        self.state.transactions += 1;
        let path = request
            .path
            .clone()
            .unwrap_or_else(|| command::Path { address: request.argument.clone(), parameters: Vec::new() });
        let (from, parameters) = (path.address, path.parameters);
        let helo = self.state.helo.as_ref();
        let opening = Opening { started: now, helo, from: &from, parameters: &parameters };
        let index = self.ledger.open_transaction(opening);
        let first_seen = self.visit.sender(&from, now);
        self.state.mail = Some(Mail::new(index, from, parameters, first_seen));
    }

    fn add_recipient(&mut self, request: &Request, now: RunTime) {
        let Some(mail) = self.state.mail.as_mut().filter(|mail| mail.accepted) else { return };
        mail.rcpt_commands += 1;
        let (to, parameters) = match &request.path {
            Some(path) => (path.address.clone(), path.parameters.clone()),
            None => (request.argument.clone(), Vec::new()),
        };
        // The same address twice in one transaction came once.
        let key = to.to_lowercase();
        mail.seen.entry(key).or_insert_with(|| self.visit.pair(&mail.from, &to, now));
        mail.last_recipient = self.ledger.recipient(mail.index, &to, &parameters);
    }

    /// The first reply to an occasion changes the state; whatever is said after it changes nothing.
    pub(super) fn settle(&mut self, outcome: Outcome, reply: &Reply, now: RunTime) {
        if std::mem::replace(&mut self.occasion.settled, true) {
            return;
        }
        let request = self.occasion.request.clone();
        let positive = outcome == Outcome::Positive;
        self.settle_rewritten(positive, reply);
        match &request.on {
            On::Connect | On::Early if !self.state.greeted() => {
                self.state.greeting = if positive { Greeting::Given } else { Greeting::Refused };
            }
            On::Command(Verb::Ehlo | Verb::Helo) if positive => self.greet(&request, reply, now),
            On::Command(Verb::Mail) => self.settle_mail(positive, &request, reply, now),
            On::Command(Verb::Rcpt) => {
                if let Some(mail) = self.state.mail.as_mut().filter(|mail| mail.accepted) {
                    let path = request.path.as_ref();
                    mail.recipients.extend(path.filter(|_| positive).map(|path| path.address.clone()));
                    let last = mail.last_recipient;
                    self.ledger.transaction(mail.index, |mut t| t.recipient_reply(last, reply));
                }
            }
            On::Command(Verb::Data) => {
                if let Some(mail) = &self.state.mail {
                    self.ledger.transaction(mail.index, |mut t| t.data_reply(reply));
                }
                if outcome == Outcome::Intermediate {
                    self.mode = Mode::Content(DotReader::default());
                }
            }
            On::Command(Verb::Bdat) if !ends_chunks(&request) => {
                if let Some(mail) = self.state.mail.as_mut().filter(|mail| !positive && !mail.failed) {
                    mail.failed = true;
                    self.ledger.transaction(mail.index, |mut t| t.final_reply(reply));
                }
            }
            On::Command(Verb::Bdat) | On::EndOfData | On::Data => self.settle_content(positive, reply, now),
            On::Command(Verb::Rset) if positive => self.abort_transaction(now),
            On::Command(Verb::Auth) | On::Challenge => self.settle_exchange(outcome, reply),
            On::Command(Verb::StartTls) => self.occasion.begins_tls = positive,
            _ => {}
        }
    }

    /// A good HELO or EHLO: the state is as after RSET (RFC 5321 section 4.1.4).
    fn greet(&mut self, request: &Request, reply: &Reply, now: RunTime) {
        self.abort_transaction(now);
        self.state.helo = Some(request.argument.clone());
        self.state.offers = None;
        if request.on == On::Command(Verb::Ehlo) {
            let keywords = reply.lines.iter().skip(1).cloned().collect::<Vec<_>>();
            self.ledger.offer(&keywords, now);
            self.state.offers = Some(keywords);
        }
    }

    fn settle_mail(&mut self, positive: bool, request: &Request, reply: &Reply, now: RunTime) {
        if self.state.open_mail().is_some() {
            if !positive {
                return; // a nested MAIL was refused: the open transaction is as it was
            }
            self.abort_transaction(now);
            self.open_transaction(request, self.occasion.at);
        }
        if let Some(mail) = &mut self.state.mail {
            mail.accepted = positive;
            self.ledger.transaction(mail.index, |mut t| t.mail_reply(reply));
        }
    }

    fn settle_content(&mut self, positive: bool, reply: &Reply, now: RunTime) {
        let early = self.occasion.request.on == On::Data;
        let Some(mail) = self.state.mail.as_mut().filter(|mail| !mail.answered_early) else { return };
        mail.answered_early = early;
        let index = mail.index;
        let keeps = mail.take.unwrap_or(positive && !mail.failed);
        self.ledger.final_reply(index, reply, now);
        if keeps {
            self.ledger.take(index, now);
        }
    }

    /// All actions of an occasion were taken.
    pub(super) fn finish(&mut self, now: RunTime) {
        let on = self.occasion.request.on.clone();
        let ends = on == On::EndOfData || ends_chunks(&self.occasion.request);
        if on == On::Connect && !self.state.greeted() {
            self.state.greeting = Greeting::Given; // in raw bytes, whatever they say
        }
        let mail = On::Command(Verb::Mail);
        let was_mail = on == mail || self.occasion.said.as_ref() == Some(&mail);
        let refused_mail = was_mail && self.state.open_mail().is_none();
        if ends || refused_mail {
            self.abort_transaction(now);
        }
        if on == On::Command(Verb::Quit) || self.occasion.closes {
            return self.close(Output::CloseFin, now);
        }
        // A rule that says 220 in its own way and then `tls` means it.
        let scripted = self.occasion.tls.is_some() && !self.occasion.by_profile;
        let begins_tls = self.occasion.begins_tls || scripted;
        if on == On::Command(Verb::StartTls) && begins_tls {
            let mut tls = self.occasion.tls.take().unwrap_or_default();
            tls.certificate.get_or_insert(self.script.certificate);
            // In one segment with the 220: that is how a reply is slipped in before the handshake.
            self.pending.extend_from_slice(&tls.clear_before);
            self.flush();
            self.awaits_tls = true;
            return self.out.push(Output::BeginTls(tls));
        }
        // RFC 2920 section 3.2: replies to these may share a segment with the next ones; the others may not wait.
        let groups = matches!(on, On::Command(Verb::Rset | Verb::Mail | Verb::Rcpt) | On::EndOfData);
        if !groups {
            self.flush();
        }
        let chunk = on == On::Command(Verb::Bdat);
        self.state.may_pipeline = (groups || chunk) && self.offers("PIPELINING");
        // What came before the banner was noticed once; that is enough.
        let excused = on == On::Connect && self.state.early_noticed;
        if !excused && !matches!(on, On::Idle | On::Data | On::Early) {
            self.inbox.answered();
        }
        if on != On::Idle {
            self.idle = Idle::since(now);
        }
    }

    /// Whatever transaction is open is over.
    pub(super) fn abort_transaction(&mut self, now: RunTime) {
        if let Some(mail) = self.state.mail.take() {
            self.ledger.transaction(mail.index, |mut t| t.over(now));
            self.forward(&mail, now);
        }
    }

    /// The handshake succeeded: whatever the client said in the clear is forgotten (RFC 3207 section 4.2).
    pub(super) fn start_over_encrypted(
        &mut self,
        version: String,
        server_name: Option<String>,
        now: RunTime,
    ) {
        self.abort_transaction(now);
        let said = self.inbox.clear();
        self.ledger.lines(said);
        self.ledger.tls = true;
        self.ledger.event(now, What::TlsStarted { version, server_name });
        self.idle = Idle::since(now);
        let before = std::mem::take(&mut self.state);
        self.state = State {
            greeting: before.greeting,
            tls: true,
            transactions: before.transactions,
            counts: before.counts,
            commands: before.commands,
            ..State::default()
        };
    }

    /// What the steps say about keeping the mail holds for the reply too, wherever in the list it stands.
    pub(super) fn note_take(&mut self, steps: &VecDeque<Step>) {
        let takes = steps.iter().rev().find_map(|step| match step {
            Step::Act(Action::Take(keep)) => Some(*keep),
            _ => None,
        });
        if let (Some(keep), Some(mail)) = (takes, &mut self.state.mail) {
            mail.take = Some(keep);
        }
        let forwards = steps.iter().find_map(|step| match step {
            Step::Act(Action::Forward(changes)) => Some(changes.clone()),
            _ => None,
        });
        if let (Some(changes), Some(mail)) = (forwards, &mut self.state.mail) {
            mail.forward = Some(changes);
        }
    }

    /// At the end of data the mail is kept at this moment; a word said earlier counts then.
    pub(super) fn take(&mut self, keep: bool, now: RunTime) {
        let request = &self.occasion.request;
        let ends = request.on == On::EndOfData || ends_chunks(request);
        if let Some(mail) = self.state.mail.as_ref().filter(|_| keep && ends) {
            self.ledger.take(mail.index, now);
        }
    }

    /// More content came: so many of the client's bytes, and what they mean.
    pub(super) fn keep(&mut self, count: usize, content: &[u8], stuffed: bool) {
        let Some(mail) = &mut self.state.mail else { return self.ledger.content(count, None) };
        mail.measure.add(content);
        let room = usize::try_from(self.limits.content.saturating_sub(mail.kept)).unwrap_or(usize::MAX);
        let octets = content.len().min(room);
        mail.kept += octets as u64;
        self.ledger.content(count, Some(Body { transaction: mail.index, stuffed, octets }));
    }

    /// Whether a chunk belongs to the open transaction.
    pub(super) fn takes_chunks(&self) -> bool {
        self.state.open_mail().is_some_and(|mail| !mail.failed && !mail.recipients.is_empty())
    }
}

impl Mail {
    fn new(index: usize, from: String, parameters: Vec<String>, first_seen: RunTime) -> Self {
        Self {
            index,
            accepted: false,
            from,
            parameters,
            first_seen,
            recipients: Vec::new(),
            last_recipient: usize::MAX,
            seen: std::collections::BTreeMap::new(),
            rcpt_commands: 0,
            bdat_commands: 0,
            failed: false,
            measure: crate::smtp::content::Measure::default(),
            kept: 0,
            data_rules_fired: std::collections::BTreeSet::new(),
            answered_early: false,
            take: None,
            forward: None,
        }
    }
}
