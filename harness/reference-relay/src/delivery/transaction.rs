//! One mail transaction: MAIL, RCPT, DATA or BDAT, and a verdict on each recipient (RFC 5321 section 3.3).

use std::borrow::Cow;
use std::time::Duration;

use super::connection::{AwaitsContent, Broken};
use super::memory::Trouble;
use super::problem;
use super::session::Session;
use super::utf8::{Needs, Passage};
use crate::config::Timeouts;
use crate::dsn::original_in_ascii;
use crate::envelope::{Envelope, Problem};
use crate::mime;
use crate::queue::Outcome;
use crate::reply::Reply;

/// Pipelined commands are sent in groups of about this many octets, and their replies read before the next group: a
/// client that writes while its peer waits to be read from waits for ever (RFC 2920 section 3.1).
const GROUP: usize = 4096;

/// What a transaction came to.
pub(super) struct Done {
    /// One for each recipient that was asked for.
    pub(super) verdicts: Vec<(usize, Verdict)>,
    pub(super) fate: Fate,
}

/// What became of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Delivered or refused for good.
    Settled(Outcome),
    /// Another host, or another time.
    PutOff(Problem),
    /// The host takes no more recipients in one transaction; it may take this one in the next.
    LeftOver(Problem),
}

/// What became of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It can be used again.
    Open,
    /// It takes no second MAIL: another session with the same host may take what this one would not.
    Stale,
    Closed,
    /// Closed, and the message had been sent whole: the host may have it or not (RFC 1047).
    InDoubt,
}

/// The replies, as far as they came.
#[derive(Default)]
struct Replies {
    mail: Option<Reply>,
    rcpt: Vec<Reply>,
    data: Option<Reply>,
    /// Why no more came.
    broken: Option<Problem>,
}

/// What kind of content the next hop is told of (RFC 6152 section 2, RFC 3030 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    SevenBit,
    EightBit,
    Binary,
}

/// Runs a transaction for those recipients at `indexes` whose addresses the host can be given; the others are put off to the
/// next host, which may take them.
pub(super) async fn run(
    session: &mut Session,
    envelope: &Envelope,
    content: &[u8],
    indexes: &[usize],
) -> Done {
    let passage = match Passage::of(session.offer("SMTPUTF8").is_some(), envelope, content) {
        Ok(passage) => passage,
        Err(needs) => {
            return Done { verdicts: not_carried(session, envelope, needs, indexes), fate: fate(session) };
        }
    };
    let (fit, unfit): (Vec<usize>, Vec<usize>) =
        indexes.iter().partition(|&&index| passage.carries(&envelope.recipients[index].to.address));
    let mut verdicts = not_carried(session, envelope, Needs::Address, &unfit);
    if fit.is_empty() {
        return Done { verdicts, fate: fate(session) };
    }
    let done = for_all(session, envelope, content, &fit, passage).await;
    verdicts.extend(done.verdicts);
    Done { verdicts, fate: done.fate }
}

/// The verdict on recipients that this host cannot be told of. One whose own address is beyond ASCII is told of that, whatever
/// else there is.
fn not_carried(
    session: &Session,
    envelope: &Envelope,
    needs: Needs,
    indexes: &[usize],
) -> Vec<(usize, Verdict)> {
    let problem = |needs: Needs| {
        let problem =
            problem::own(&session.connection.context, needs.status(), needs.explain(session.host()));
        Verdict::PutOff(Problem { host: Some(session.host().to_owned()), ..problem })
    };
    let needs_of = |index: usize| {
        let carried = Passage::Ascii.carries(&envelope.recipients[index].to.address);
        if carried { needs } else { Needs::Address }
    };
    indexes.iter().map(|&index| (index, problem(needs_of(index)))).collect()
}

/// Runs a transaction for the recipients at `indexes`.
async fn for_all(
    session: &mut Session,
    envelope: &Envelope,
    content: &[u8],
    indexes: &[usize],
    passage: Passage,
) -> Done {
    let all = |fate, verdict: Verdict| Done {
        verdicts: indexes.iter().map(|&index| (index, verdict.clone())).collect(),
        fate,
    };
    let (message, body) = match prepare(session, content) {
        Ok(prepared) => prepared,
        Err(Unfit { status, explanation, given_up }) => {
            let problem = problem::own(&session.connection.context, status, explanation);
            let problem = Problem { host: Some(session.host().to_owned()), ..problem };
            if !given_up {
                // Another host may take what this one cannot.
                return all(Fate::Open, Verdict::PutOff(problem));
            }
            session.mid_transaction = true;
            // Whatever comes of it, the mail goes back.
            let _ = reset(session).await;
            return all(fate(session), Verdict::Settled(Outcome::Failed(problem)));
        }
    };
    if session.used && !session.takes_more_mail() {
        let problem =
            problem::own(&session.connection.context, "4.5.0", "The session has carried enough.".to_owned());
        return all(Fate::Stale, Verdict::PutOff(problem));
    }
    if session.used && session.connection.is_spoilt().await {
        // It has closed, or said what nobody asked for: either is about the mail before this one, or about none.
        let relay = &session.connection.context;
        let problem = problem::broken(relay, session.host(), &Broken::OutOfStep, "between two messages");
        return all(Fate::Stale, Verdict::PutOff(problem));
    }
    if let Err(problem) = reset(session).await {
        // It is about the mail before this one; a session of its own is owed to the next.
        return all(if session.used { Fate::Stale } else { fate(session) }, Verdict::PutOff(problem));
    }
    let used = session.used;
    let chunked = session.takes_chunks(body == Body::Binary);
    let mut transaction = Transaction { session, envelope, indexes, passage, body, chunked };
    let replies = transaction.up_to_data(&message).await;
    transaction.session.mails += 1;
    // RFC 5321 section 4.1.4: 503 is about the order of commands, and a MAIL that follows a finished transaction is in order.
    // It is so about the session that was used before, and neither about the sender nor about the recipients.
    let stale = used && replies.mail.as_ref().is_some_and(|mail| mail.code == 503);
    transaction.session.used |= replies.mail.as_ref().is_some_and(Reply::is_positive);
    let mut done = transaction.finish(replies, &message).await;
    learn(transaction.session, &done.verdicts);
    if stale {
        done.fate = Fate::Stale;
        for (_, verdict) in &mut done.verdicts {
            if let Verdict::Settled(Outcome::Failed(problem)) = verdict {
                *verdict = Verdict::PutOff(problem.clone());
            }
        }
    }
    done
}

/// How many recipients a host has room for, when it took some and then none: to name the others again and again would take
/// the square of their number.
fn learn(session: &mut Session, verdicts: &[(usize, Verdict)]) {
    let is_left_over = |(_, verdict): &(usize, Verdict)| matches!(verdict, Verdict::LeftOver(_));
    let before = verdicts.iter().position(is_left_over);
    if let Some(before) = before.filter(|&before| before > 0 && verdicts[before..].iter().all(is_left_over)) {
        session.room = Some(before);
    }
}

/// Why this host cannot take a message.
struct Unfit {
    status: &'static str,
    explanation: String,
    /// No other host is to be asked either, and RSET is sent.
    given_up: bool,
}

/// The message as this host can take it.
fn prepare<'a>(session: &Session, content: &'a [u8]) -> Result<(Cow<'a, [u8]>, Body), Unfit> {
    let vintage = &session.connection.context.config.vintage;
    let host = session.host();
    let (binary, eight_bit) = (mime::is_binary(content), mime::has_8bit(content));
    let as_it_is =
        if binary { session.takes_binary() } else { !eight_bit || session.offer("8BITMIME").is_some() };
    let message = if as_it_is {
        Cow::Borrowed(content)
    } else if vintage.returns_8bit_mail && !binary {
        // Vintage, KB Q295734: EHLO, RSET, and the mail goes back.
        let explanation = format!("{host} does not take 8-bit mail, and this relay does not convert it.");
        return Err(Unfit { status: "5.6.3", explanation, given_up: true });
    } else {
        // RFC 6152 and RFC 3030, section 3 of each: convert it, or return it; to send it as it is is not among the choices.
        let kind = if binary { "binary" } else { "8-bit" };
        let unfit = |why: &str| {
            let explanation = format!("{host} does not take {kind} mail, and it cannot be converted: {why}.");
            Unfit { status: "5.6.3", explanation, given_up: false }
        };
        let converted = mime::to_7bit(content).map_err(|why| unfit(&why.to_string()))?;
        if mime::is_binary(&converted) {
            return Err(unfit("it has NUL, or CR or LF alone, where no encoding can be declared"));
        }
        Cow::Owned(converted)
    };
    let body = match &message {
        Cow::Borrowed(_) if binary => Body::Binary,
        Cow::Borrowed(_) if eight_bit => Body::EightBit,
        _ => Body::SevenBit,
    };
    // RFC 1870 section 3: no number, or zero, is no fixed limit.
    let limit = session.offer("SIZE").and_then(|size| size.parse::<usize>().ok()).filter(|&limit| limit > 0);
    if let Some(limit) = limit.filter(|&limit| message.len() > limit) {
        let size = message.len();
        let explanation = format!("The message has {size} octets, and {host} takes no more than {limit}.");
        return Err(Unfit { status: "5.3.4", explanation, given_up: false });
    }
    Ok((message, body))
}

/// Whether the session can be used again.
pub(super) fn fate(session: &Session) -> Fate {
    if session.connection.is_over() { Fate::Closed } else { Fate::Open }
}

/// RSET, if it is due.
async fn reset(session: &mut Session) -> Result<(), Problem> {
    if !session.mid_transaction {
        return Ok(());
    }
    let context = session.connection.context.clone();
    let reply = session.connection.ask("RSET", context.config.timeouts.command).await;
    let reply = reply.map_err(|broken| problem::broken(&context, session.host(), &broken, "after RSET"))?;
    session.mid_transaction = !reply.is_positive();
    session.chunk_failed &= session.mid_transaction;
    if session.mid_transaction {
        // Whatever its code, nothing was said of this mail yet.
        let refusal = problem::refusal(&context, session.host(), &reply, "refused RSET");
        return Err(Problem { permanent: false, status: "4.5.0".to_owned(), ..refusal });
    }
    Ok(())
}

/// What is said and heard, or how and when that came to an end.
type Talk<T = ()> = Result<T, (Broken, &'static str)>;

/// A transaction under way.
pub(super) struct Transaction<'a> {
    pub(super) session: &'a mut Session,
    envelope: &'a Envelope,
    indexes: &'a [usize],
    passage: Passage,
    body: Body,
    /// By BDAT in place of DATA.
    chunked: bool,
}

impl Transaction<'_> {
    /// MAIL, RCPT, DATA unless BDAT is to come, and the replies to them.
    async fn up_to_data(&mut self, content: &[u8]) -> Replies {
        let mut replies = Replies::default();
        self.session.mid_transaction = true;
        let mail = self.mail_command(content);
        let rcpt = self.indexes.iter().map(|&index| self.rcpt_command(index)).collect();
        let outcome = if self.session.pipelines() {
            let outcome = self.pipelined(mail, rcpt, &mut replies).await;
            if matches!(
                outcome,
                Err((Broken::TimedOut | Broken::Stuck | Broken::OutOfStep | Broken::Garbled(_), _))
            ) {
                // RFC 2920 section 3.2 asks of a server not to lose what has come. One that does may do better one by one.
                self.session.note(Trouble::Pipelining);
            }
            outcome
        } else {
            self.in_lock_step(&mail, rcpt, &mut replies).await
        };
        if let Err((broken, when)) = outcome {
            if matches!(broken, Broken::OutOfStep) {
                // Nobody can tell any more which of them is to which command.
                replies = Replies::default();
            }
            replies.broken = Some(self.broken(&broken, when));
        }
        replies
    }

    /// RFC 2920 section 3.1: all of it in one group, DATA last. BDAT waits for the replies (RFC 3030 section 2).
    async fn pipelined(&mut self, mail: String, rcpt: Vec<String>, replies: &mut Replies) -> Talk {
        let mut commands = vec![mail];
        commands.extend(rcpt);
        if !self.chunked {
            commands.push("DATA".to_owned());
        }
        let data = (!self.chunked).then(|| commands.len() - 1);
        let first = 0;
        let limits = self.limits();
        let mut next = first;
        for group in groups(&commands) {
            let octets: String = group.iter().flat_map(|command| [command.as_str(), "\r\n"]).collect();
            let sent = self.session.connection.send(octets.as_bytes()).await;
            sent.map_err(|broken| (broken, "while it was told of the mail"))?;
            for (number, _) in group.iter().enumerate() {
                // With the last group DATA is on its way.
                let to_come = group.len() - number;
                let with_data = data.is_some_and(|data| next + to_come > data);
                self.session.connection.awaits_content =
                    if with_data { content_after(to_come) } else { AwaitsContent::No };
                if next == first {
                    replies.mail = Some(self.reply(limits.command, "after MAIL").await?);
                } else if data == Some(next) {
                    let data = self.reply(limits.data, "after DATA").await?;
                    self.session.connection.awaits_content = AwaitsContent::No;
                    replies.data = Some(data);
                } else {
                    replies.rcpt.push(self.reply(limits.rcpt, "after RCPT").await?);
                }
                if self.session.connection.is_over() {
                    return Ok(());
                }
                next += 1;
            }
        }
        self.session.connection.in_step().map_err(|broken| (broken, "after RCPT"))
    }

    /// One command, one reply; and no further than makes sense.
    async fn in_lock_step(&mut self, mail: &str, rcpt: Vec<String>, replies: &mut Replies) -> Talk {
        let limits = self.limits();
        let reply = self.ask(mail, limits.command, "after MAIL").await?;
        let accepted = reply.is_positive();
        replies.mail = Some(reply);
        if !accepted {
            return Ok(());
        }
        for command in rcpt {
            replies.rcpt.push(self.ask(&command, limits.rcpt, "after RCPT").await?);
            if self.session.connection.is_over() {
                return Ok(());
            }
        }
        if !self.chunked && replies.rcpt.iter().any(Reply::is_positive) {
            self.session.connection.awaits_content = content_after(1);
            replies.data = Some(self.ask("DATA", limits.data, "after DATA").await?);
            self.session.connection.awaits_content = AwaitsContent::No;
        }
        Ok(())
    }

    async fn ask(&mut self, command: &str, limit: Duration, when: &'static str) -> Talk<Reply> {
        self.session.connection.ask(command, limit).await.map_err(|broken| (broken, when))
    }

    async fn reply(&mut self, limit: Duration, when: &'static str) -> Talk<Reply> {
        self.session.connection.reply(limit).await.map_err(|broken| (broken, when))
    }

    /// The content, if it is wanted, and the verdicts.
    async fn finish(&mut self, replies: Replies, content: &[u8]) -> Done {
        let mut verdicts = self.before_data(&replies);
        let anyone = verdicts.iter().any(|(_, verdict)| verdict.is_none());
        let goes_on = self.chunked && replies.broken.is_none() && !self.session.connection.is_over();
        let (verdict, fate) = match &replies.data {
            // RFC 3030 section 2 has BDAT where a recipient was accepted; for nobody there is nothing to send.
            None if goes_on && anyone => self.in_chunks(content).await,
            Some(data) if data.code == 354 => self.after_data(content, anyone).await,
            Some(data) => {
                let what = what(data, "refused DATA", "gave an unexpected reply to DATA");
                (self.refused(data, what), fate(self.session))
            }
            None => (Verdict::PutOff(self.unanswered(&replies)), fate(self.session)),
        };
        // The reply to the content is about every recipient that was accepted (RFC 5321 section 4.2.5).
        for (_, open) in verdicts.iter_mut().filter(|(_, verdict)| verdict.is_none()) {
            *open = Some(verdict.clone());
        }
        let verdicts = verdicts.into_iter().filter_map(|(index, verdict)| Some((index, verdict?))).collect();
        Done { verdicts, fate }
    }

    /// Verdicts by the replies to MAIL and RCPT alone; `None` for recipients that were accepted.
    fn before_data(&self, replies: &Replies) -> Vec<(usize, Option<Verdict>)> {
        let mut accepted = 0;
        let verdict = |(number, &index): (usize, &usize)| {
            let verdict = match (&replies.mail, replies.rcpt.get(number)) {
                (Some(mail), _) if !mail.is_positive() => Some(self.refused(mail, at_mail(mail))),
                (Some(_), Some(rcpt)) if rcpt.is_positive() => {
                    accepted += 1;
                    None
                }
                (Some(_), Some(rcpt)) => Some(self.recipient_refused(rcpt, accepted)),
                _ => Some(Verdict::PutOff(self.unanswered(replies))),
            };
            (index, verdict)
        };
        self.indexes.iter().enumerate().map(verdict).collect()
    }

    /// A refusal of the whole transaction.
    pub(super) fn refused(&self, reply: &Reply, what: &str) -> Verdict {
        let problem = self.refusal(reply, what);
        let told = reply.status();
        let unsaid = self.session.auth_refused && told.is_none_or(|status| status.starts_with("5.7."));
        if reply.is_permanent() && self.session.unauthenticated && (reply.code == 530 || unsaid) {
            // RFC 4954 section 6: authentication is required. Ours was refused, or not asked for, which the operator can
            // mend. Hosts say so in many ways, "relaying denied" above all; only a status code that speaks of something
            // else than security is taken to be about the mail.
            return Verdict::PutOff(Problem { permanent: false, status: "4.7.0".to_owned(), ..problem });
        }
        if problem.permanent { Verdict::Settled(Outcome::Failed(problem)) } else { Verdict::PutOff(problem) }
    }

    pub(super) fn refusal(&self, reply: &Reply, what: &str) -> Problem {
        problem::refusal(&self.session.connection.context, self.session.host(), reply, what)
    }

    /// A refusal of one recipient, after `accepted` others.
    fn recipient_refused(&self, reply: &Reply, accepted: usize) -> Verdict {
        // Section 4.5.3.1.10: 452, or 552 as RFC 821 had it, means that there are too many recipients; those left over
        // are to be sent again. Both codes say other things too, a full mailbox or disk above all. So it is read that way
        // only if others were accepted, and no enhanced status code says otherwise (RFC 3463: X.5.3).
        let too_many = accepted > 0
            && matches!(reply.code, 452 | 552)
            && reply.status().is_none_or(|status| status.ends_with(".5.3"));
        match self.refused(reply, what(reply, "refused the recipient", "gave an unexpected reply to RCPT")) {
            Verdict::Settled(Outcome::Failed(problem)) | Verdict::PutOff(problem) if too_many => {
                let status = "4.5.3".to_owned();
                Verdict::LeftOver(Problem { permanent: false, status, ..problem })
            }
            verdict => verdict,
        }
    }

    /// Why there is no reply about a recipient: the session broke, or it was ended by the reply to another command.
    fn unanswered(&self, replies: &Replies) -> Problem {
        let last = replies.data.iter().chain(replies.rcpt.last()).chain(&replies.mail).next();
        match (&replies.broken, last) {
            (Some(problem), _) => problem.clone(),
            (None, Some(last)) => {
                let context = &self.session.connection.context;
                problem::refusal(context, self.session.host(), last, "ended the session")
            }
            (None, None) => self.broken(&Broken::Closed, "during the transaction"),
        }
    }

    pub(super) fn broken(&self, broken: &Broken, when: &str) -> Problem {
        problem::broken(&self.session.connection.context, self.session.host(), broken, when)
    }

    pub(super) fn limits(&self) -> Timeouts {
        let config = &self.session.connection.context.config;
        let mut limits = config.timeouts.clone();
        if let Some(patience) = config.vintage.dot_patience {
            limits.end_of_data = limits.end_of_data.min(patience);
        }
        limits
    }

    /// Parameters stand only where this session's EHLO reply offers them (section 4.1.1.11).
    fn mail_command(&self, message: &[u8]) -> String {
        let mut words = vec![format!("MAIL FROM:<{}>", self.passage.spell(&self.envelope.sender))];
        if self.session.offer("SIZE").is_some() {
            words.push(format!("SIZE={}", message.len()));
        }
        match self.body {
            Body::SevenBit => {}
            Body::EightBit => words.push("BODY=8BITMIME".to_owned()),
            Body::Binary => words.push("BODY=BINARYMIME".to_owned()),
        }
        if self.passage == Passage::Utf8 {
            words.push("SMTPUTF8".to_owned());
        }
        // RFC 3461 section 5.2.1: what came with the message goes on with it, and nothing else.
        if self.session.offer("DSN").is_some() {
            words.extend(self.envelope.ret.map(|ret| format!("RET={}", ret.value())));
            words.extend(self.envelope.envid.as_ref().map(|id| format!("ENVID={id}")));
        }
        words.join(" ")
    }

    fn rcpt_command(&self, index: usize) -> String {
        let to = &self.envelope.recipients[index].to;
        let mut words = vec![format!("RCPT TO:<{}>", self.passage.spell(&to.address))];
        if self.session.offer("DSN").is_some() {
            words.extend(to.notify.as_ref().map(|notify| format!("NOTIFY={}", notify.value())));
            // RFC 6533 section 3 lets octets above 127 stand only where SMTPUTF8 is offered.
            let original = to.original.as_deref().map(|original| match self.session.offer("SMTPUTF8") {
                Some(_) => Cow::Borrowed(original),
                None => original_in_ascii(original),
            });
            words.extend(original.map(|original| format!("ORCPT={original}")));
        }
        words.join(" ")
    }
}

/// What a host has done with a reply that is not the one to go on with: refused, or said what has no meaning there.
pub(super) fn what(reply: &Reply, refused: &'static str, unexpected: &'static str) -> &'static str {
    if reply.is_negative() { refused } else { unexpected }
}

/// What a host has done that did not accept MAIL. Many such replies are not about the sender: a host that is out of room,
/// closing, or wants a login (RFC 5321 section 4.2.3, RFC 4954 section 6).
fn at_mail(reply: &Reply) -> &'static str {
    let of_address = reply.status().is_none_or(|status| {
        let subject = status.split('.').nth(1);
        matches!(subject, Some("0" | "1" | "7"))
    });
    match reply.code {
        421 => "ended the session at MAIL",
        450 | 501 | 550 | 551 | 553 if of_address => "refused the sender",
        _ => what(reply, "refused MAIL", "gave an unexpected reply to MAIL"),
    }
}

/// What the peer may take QUIT for while so many replies are to come, the last of them to DATA.
fn content_after(replies: usize) -> AwaitsContent {
    if replies == 1 { AwaitsContent::IfThisSaysSo } else { AwaitsContent::IfALaterSaysSo }
}

/// Cuts commands into groups of at most [`GROUP`] octets, or of one command.
fn groups(commands: &[String]) -> Vec<&[String]> {
    let mut groups = Vec::new();
    let mut start = 0;
    let mut octets = 0;
    for (number, command) in commands.iter().enumerate() {
        if number > start && octets + command.len() + 2 > GROUP {
            groups.push(&commands[start..number]);
            start = number;
            octets = 0;
        }
        octets += command.len() + 2;
    }
    groups.push(&commands[start..]);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_commands_are_one_group_and_many_are_several() {
        let commands = |n: usize| vec!["x".repeat(98); n];
        assert_eq!(groups(&commands(40)).len(), 1);
        let many = commands(1000);
        assert!(groups(&many).iter().all(|group| group.len() <= 40));
        assert_eq!(groups(&many).concat(), many);
        assert_eq!(groups(&["x".repeat(5000), "y".to_owned()]).len(), 2);
    }
}
