//! What the relay tells senders: who is told of what, and the facts that go into the notification.
//!
//! How it is worded and laid out is [`notification`](crate::notification)'s.

use std::time::SystemTime;

use crate::config::Config;
use crate::dsn::{Ret, decoded_original_recipient};
use crate::envelope::{Addressee, Announcement, Envelope, State, Submission};
use crate::notification::{Action, Notification, RecipientReport, ReturnContent, Wording, render};

/// How large a message may be, in octets, to be returned whole to a sender that did not say what it wants.
const RETURNED_UNASKED: u64 = 1024 * 1024;

/// The recipients that are in such a state and of which nothing has been said yet.
pub(crate) fn concerned(envelope: &Envelope, what: Announcement) -> Vec<usize> {
    let is_concerned = |state: &State| match (state, what) {
        (State::Failed { announced, .. }, Announcement::Failed)
        | (State::Relayed { announced, .. }, Announcement::Relayed) => !announced,
        (State::Pending(_), Announcement::Delayed) => true,
        _ => false,
    };
    let recipients = envelope.recipients.iter().enumerate();
    recipients.filter(|(_, recipient)| is_concerned(&recipient.state)).map(|(index, _)| index).collect()
}

/// Nobody is told of mail from the null reverse-path, notifications above all (RFC 5321 section 4.5.5).
pub(crate) fn may_be_told(envelope: &Envelope, index: usize, what: Announcement) -> bool {
    !envelope.sender.is_empty() && envelope.recipients[index].to.wants(what)
}

/// Why a sender hears nothing of a failure, for the log.
pub(crate) fn why_untold(envelope: &Envelope) -> &'static str {
    if envelope.sender.is_empty() {
        "the reverse-path is null"
    } else {
        "the sender's NOTIFY does not ask for it"
    }
}

/// The word for it, for the log.
pub(crate) fn word(what: Announcement) -> &'static str {
    match what {
        Announcement::Failed => "failed",
        Announcement::Relayed => "relayed",
        Announcement::Delayed => "delayed",
    }
}

/// The notification about the recipients in `told`, as a message from the null reverse-path (RFC 5321 section 6.1).
pub(crate) fn write(
    config: &Config,
    envelope: &Envelope,
    what: Announcement,
    told: &[usize],
    id: &str,
    original: Vec<u8>,
    now: SystemTime,
) -> Submission {
    let notification = Notification {
        reporting_mta: config.hostname.clone(),
        date: now,
        // Ids are never given out twice, so neither of these is.
        message_id: format!("{id}@{}", config.hostname),
        boundary: format!("=_{id}_{}", config.hostname),
        to: envelope.sender.clone(),
        original_envelope_id: envelope.envid.as_deref().and_then(crate::address::decode_xtext),
        arrival_date: envelope.arrival,
        recipients: told.iter().map(|&index| report(config, envelope, index)).collect(),
        returned: returned(envelope, what),
        original,
        smtputf8: envelope.smtputf8,
        wording: if config.vintage.exchange_notices { Wording::Exchange2000 } else { Wording::Plain },
    };
    Submission {
        sender: String::new(),
        ret: None,
        envid: None,
        // Its own header has the address, and there UTF-8 can stand only so.
        smtputf8: !envelope.sender.is_ascii(),
        recipients: vec![Addressee { address: envelope.sender.clone(), notify: None, original: None }],
        content: render(&notification),
        received: None,
    }
}

/// RFC 3461 section 4.3: RET is about failures; other notifications bring no more than the header section. Without RET the
/// choice is the relay's, and nobody wants back by mail what is so large.
fn returned(envelope: &Envelope, what: Announcement) -> ReturnContent {
    match (what, envelope.ret) {
        (Announcement::Failed, Some(Ret::Full)) => ReturnContent::Full,
        (Announcement::Failed, None) if envelope.size <= RETURNED_UNASKED => ReturnContent::Full,
        _ => ReturnContent::Headers,
    }
}

fn report(config: &Config, envelope: &Envelope, index: usize) -> RecipientReport {
    let recipient = &envelope.recipients[index];
    let mut report = RecipientReport {
        final_recipient: recipient.to.address.clone(),
        original_recipient: recipient.to.original.as_deref().and_then(decoded_original_recipient),
        action: Action::Failed,
        status: "5.0.0".to_owned(),
        remote_mta: None,
        diagnostic: None,
        last_attempt: None,
        will_retry_until: None,
        explanation: String::new(),
    };
    match &recipient.state {
        State::Delivered => {}
        State::Relayed { host, reply, at, .. } => {
            report.action = Action::Relayed;
            "2.0.0".clone_into(&mut report.status);
            report.remote_mta = Some(host.clone()).filter(|host| !host.is_empty());
            report.diagnostic = Some(reply.clone()).filter(|reply| !reply.is_empty());
            report.last_attempt = Some(*at);
            "The message was handed over to a host that will not confirm its delivery."
                .clone_into(&mut report.explanation);
        }
        State::Failed { problem, .. } | State::Pending(Some(problem)) => {
            if recipient.state.is_pending() {
                report.action = Action::Delayed;
                report.will_retry_until = Some(envelope.arrival + config.queue.lifetime);
            }
            report.status.clone_from(&problem.status);
            report.remote_mta.clone_from(&problem.host);
            report.diagnostic.clone_from(&problem.reply);
            report.last_attempt = Some(problem.at);
            report.explanation.clone_from(&problem.explanation);
        }
        State::Pending(None) => {
            report.action = Action::Delayed;
            "4.0.0".clone_into(&mut report.status);
            "The message has not been tried yet.".clone_into(&mut report.explanation);
        }
    }
    report
}
