//! The well-behaved server's own answers, in the profile's words where it has any.

use super::effects::ends_chunks;
use super::state::Greeting;
use super::{Request, ServerSession};
use crate::script::{On, Verb};
use crate::smtp::command;
use crate::time::RunTime;
use crate::transcript::Reply;

impl ServerSession {
    /// What the profile says to the occasion; `None` where nothing is due.
    pub(super) fn plain_answer(&mut self, now: RunTime) -> Option<Reply> {
        let request = self.occasion.request.clone();
        if self.state.greeting == Greeting::Refused
            && request.is_command()
            && request.on != On::Command(Verb::Quit)
        {
            return Some(self.refuse(503, "5.5.1", "Bad sequence of commands"));
        }
        Some(match &request.on {
            On::Connect => self.fill(&self.script.profile.banner, now),
            On::Command(verb) => self.answer_command(*verb, &request, now),
            On::Challenge => self.answer_challenge(&request),
            On::EndOfData => self.answer_end_of_data(now)?,
            On::Unknown if request.too_long => self.refuse(500, "5.5.2", "Line too long"),
            On::Unknown if request.line.contains(['\r', '\n']) => {
                self.refuse(500, "5.5.2", "Bare CR or LF in a command")
            }
            On::Unknown => match self.wording(&On::Unknown) {
                Some(text) => self.fill(text, now),
                None => self.refuse(500, "5.5.2", "Command unrecognized"),
            },
            On::Early | On::Data | On::Idle | On::Any => return None,
        })
    }

    fn answer_command(&mut self, verb: Verb, request: &Request, now: RunTime) -> Reply {
        let on = &request.on;
        match verb {
            Verb::Helo | Verb::Ehlo => self.answer_greeting(verb, request, now),
            Verb::Mail => self.answer_mail(request, now),
            Verb::Rcpt => self.answer_rcpt(request, now),
            Verb::Data => self.answer_data(request, now),
            Verb::Bdat => self.answer_bdat(request, now),
            Verb::Auth => self.answer_auth(&request.argument),
            Verb::StartTls => self.answer_starttls(request, now),
            // RFC 5321 section 4.3.2: 501 for an argument to a command that has none.
            Verb::Rset | Verb::Quit if !request.argument.is_empty() => self.no_argument(),
            Verb::Rset => self.accept(on, 250, "2.0.0", "Reset", now),
            Verb::Noop => self.accept(on, 250, "2.0.0", "OK", now),
            // The domain is the first word (RFC 5321 section 4.2), behind the status code where there is one.
            Verb::Quit => self.accept(on, 221, "2.0.0", "{host} Service closing transmission channel", now),
            Verb::Vrfy => self.accept(on, 252, "2.0.0", "Cannot VRFY user, but will accept message", now),
            Verb::Help => self.accept(on, 214, "2.0.0", "See RFC 5321", now),
            Verb::Expn => self.refuse(502, "5.5.1", "EXPN is not implemented"),
        }
    }

    fn answer_greeting(&self, verb: Verb, request: &Request, now: RunTime) -> Reply {
        let profile = &self.script.profile;
        if request.argument.is_empty() {
            // No enhanced status code in any reply to HELO or EHLO (RFC 2034 section 4).
            return Reply { code: 501, lines: vec![format!("Syntax: {} domain", verb.name())] };
        }
        let mut reply = self.fill(profile.reply_to_verb(verb).unwrap_or(&profile.ehlo_greeting), now);
        if verb == Verb::Ehlo {
            reply.lines.truncate(1);
            if reply.code / 100 == 2 {
                reply.lines.extend_from_slice(&profile.offers.list(self.state.tls, self.state.authenticated));
            }
        }
        reply
    }

    fn answer_mail(&self, request: &Request, now: RunTime) -> Reply {
        if self.state.helo.is_none() {
            return self.refuse(503, "5.5.1", "Send HELO or EHLO first");
        }
        if self.state.open_mail().is_some() {
            return self.refuse(503, "5.5.1", "Nested MAIL command");
        }
        if let Err((code, enhanced, text)) = self.check_parameters(Verb::Mail, request) {
            return self.refuse(code, enhanced, text);
        }
        if self.declares_too_much(request) {
            return self.refuse(552, "5.3.4", "Message size exceeds fixed maximum message size");
        }
        self.accept(&request.on, 250, "2.1.0", "Sender OK", now)
    }

    fn answer_rcpt(&self, request: &Request, now: RunTime) -> Reply {
        if self.state.open_mail().is_none() {
            return self.refuse(503, "5.5.1", "Need MAIL command");
        }
        if let Err((code, enhanced, text)) = self.check_parameters(Verb::Rcpt, request) {
            return self.refuse(code, enhanced, text);
        }
        if request.path.as_ref().is_some_and(|path| path.address.is_empty()) {
            return self.refuse(501, "5.1.3", "Bad recipient address");
        }
        self.accept(&request.on, 250, "2.1.5", "Recipient OK", now)
    }

    fn answer_data(&self, request: &Request, now: RunTime) -> Reply {
        let Some(mail) = self.state.open_mail() else {
            return self.refuse(503, "5.5.1", "Need MAIL command");
        };
        if !request.argument.is_empty() {
            return self.no_argument();
        }
        // RFC 3030 sections 2 and 3.
        let binary = mail.parameter("BODY").is_some_and(|body| body.eq_ignore_ascii_case("BINARYMIME"));
        if mail.bdat_commands > 0 || binary {
            return self.refuse(503, "5.5.1", "DATA cannot be used in this transaction");
        }
        if let Some(refusal) = self.need_recipients() {
            return refusal;
        }
        self.accept(&request.on, 354, "", "Start mail input; end with <CRLF>.<CRLF>", now)
    }

    fn answer_bdat(&self, request: &Request, now: RunTime) -> Reply {
        if !self.offers("CHUNKING") {
            return self.refuse(502, "5.5.1", "BDAT is not implemented");
        }
        let Some((size, _)) = command::bdat(&request.argument) else {
            return self.refuse(501, "5.5.4", "Syntax: BDAT size [LAST]");
        };
        match self.state.open_mail() {
            None => return self.refuse(503, "5.5.1", "Need MAIL command"),
            Some(mail) if mail.failed => return self.refuse(503, "5.5.1", "An earlier chunk was refused"),
            Some(_) => {}
        }
        if let Some(refusal) = self.need_recipients() {
            return refusal;
        }
        if self.content_too_large() {
            return self.too_large();
        }
        if ends_chunks(request) {
            return self.accept(&On::EndOfData, 250, "2.0.0", "Message accepted", now);
        }
        self.accept(&request.on, 250, "2.0.0", &format!("{size} octets received"), now)
    }

    fn answer_end_of_data(&self, now: RunTime) -> Option<Reply> {
        let Some(mail) = self.state.open_mail() else {
            return Some(self.refuse(503, "5.5.1", "Need MAIL command"));
        };
        if mail.answered_early {
            return None; // the body had its reply while it came
        }
        // RFC 2920 section 3.2: whoever said 354 without recipients must not take the message.
        Some(self.need_recipients().unwrap_or_else(|| {
            if self.content_too_large() {
                return self.too_large();
            }
            self.accept(&On::EndOfData, 250, "2.0.0", "Message accepted", now)
        }))
    }

    fn answer_starttls(&self, request: &Request, now: RunTime) -> Reply {
        if self.state.tls {
            return self.refuse(503, "5.5.1", "TLS is already active");
        }
        if !self.offers("STARTTLS") {
            return self.refuse(502, "5.5.1", "STARTTLS is not implemented");
        }
        if !request.argument.is_empty() {
            return self.no_argument();
        }
        self.accept(&request.on, 220, "2.0.0", "Ready to start TLS", now)
    }

    /// 503 where no RCPT came, 554 where none was accepted (RFC 5321 section 3.3).
    fn need_recipients(&self) -> Option<Reply> {
        let mail = self.state.open_mail().filter(|mail| mail.recipients.is_empty())?;
        Some(if mail.rcpt_commands == 0 {
            self.refuse(503, "5.5.1", "Need RCPT command")
        } else {
            self.refuse(554, "5.5.1", "No valid recipients")
        })
    }

    fn too_large(&self) -> Reply {
        self.refuse(552, "5.3.4", "Message size exceeds fixed maximum message size")
    }

    fn no_argument(&self) -> Reply {
        self.refuse(501, "5.5.4", "No argument allowed")
    }

    pub(super) fn accept_auth(&self) -> Reply {
        let on = On::Command(Verb::Auth);
        self.accept(&on, 235, "2.7.0", "Authentication succeeded", self.occasion.at)
    }

    /// The profile's wording as it stands, else the plain server's.
    fn accept(&self, on: &On, code: u16, enhanced: &str, text: &str, now: RunTime) -> Reply {
        if let Some(wording) = self.wording(on) {
            return self.fill(wording, now);
        }
        let mut reply = self.refuse(code, enhanced, text);
        for line in &mut reply.lines {
            if line.contains('{') {
                *line = line.replace("{host}", &self.script.hostname);
            }
        }
        reply
    }

    /// A reply in the plain server's words; with its enhanced status code where they are offered (RFC 2034 section 4).
    pub(super) fn refuse(&self, code: u16, enhanced: &str, text: &str) -> Reply {
        let coded = !enhanced.is_empty() && self.has_enhanced_codes();
        let text = if coded { format!("{enhanced} {text}") } else { text.to_owned() };
        Reply { code, lines: vec![text] }
    }
}
