//! The part for people.

use super::fields::{american_date, line, paragraph, rfc5322_date};
use super::{Action, Notification, RecipientReport, Wording};

/// `text/plain` in US-ASCII, lines ended by CRLF.
pub(super) fn text(notification: &Notification) -> String {
    match notification.wording {
        Wording::Plain => plain(notification),
        Wording::Exchange2000 => exchange_2000(notification),
    }
}

fn plain(notification: &Notification) -> String {
    let mut text = paragraph(&format!("This is the mail server {}.", notification.reporting_mta), "");
    for (action, opening) in [
        (
            Action::Failed,
            "Your message could not be delivered to the following recipients. It will not be tried again for them.",
        ),
        (
            Action::Delayed,
            "THIS IS A WARNING ONLY. You need not send your message again. It has not yet been delivered to the \
             following recipients; this server keeps it and goes on trying.",
        ),
        (
            Action::Relayed,
            "Your message was passed on for the following recipients to a server that does not send such \
             notifications. You will hear nothing more from here when it is delivered.",
        ),
    ] {
        if notification.with(action).next().is_some() {
            text += "\r\n";
            text += &paragraph(opening, "");
        }
        for recipient in notification.with(action) {
            text += "\r\n";
            text += &plain_recipient(recipient);
        }
    }
    text
}

fn plain_recipient(recipient: &RecipientReport) -> String {
    let mut text = line(&format!("<{}>", recipient.final_recipient));
    text += &paragraph(&recipient.explanation, "    ");
    if let Some(diagnostic) = &recipient.diagnostic {
        let host = recipient.remote_mta.as_deref().unwrap_or("the other server");
        text += &paragraph(&format!("{host} said: {diagnostic}"), "    ");
    }
    if let (Action::Delayed, Some(until)) = (recipient.action, recipient.will_retry_until) {
        text += &paragraph(&format!("It will be tried until {}.", rfc5322_date(until)), "    ");
    }
    text
}

/// Sentences, their case and their missing full stops are those of the articles.
fn exchange_2000(notification: &Notification) -> String {
    let mut text = "This is an automatically generated Delivery Status Notification.\r\n\r\n".to_owned();
    // RFC 3463 section 3.5, X.4.7: delivery time expired
    let expired = |recipient: &&RecipientReport| recipient.status.ends_with(".4.7");

    // Q295734
    let failed: Vec<_> = notification.with(Action::Failed).filter(|r| !expired(r)).collect();
    if !failed.is_empty() {
        text += "Delivery to the following recipients failed.\r\n";
        text += &addresses(&failed);
    }
    // Q329636 and Q301401
    let expired: Vec<_> = notification.with(Action::Failed).filter(expired).collect();
    if !expired.is_empty() {
        text += "Your message did not reach some or all of the intended recipients.\r\n\r\n\
                 The following recipient(s) could not be reached:\r\n\r\n";
        for recipient in expired {
            let when = american_date(recipient.last_attempt.unwrap_or(notification.date));
            text += &line(&format!("{} on {when}", recipient.final_recipient));
            text += "Could not deliver the message in the time limit specified. Please retry or contact your \
                     administrator.\r\n";
            text += &line(&format!("<{} #{}>", notification.reporting_mta, recipient.status));
            text += "\r\n";
        }
    }
    // Q329636
    let delayed: Vec<_> = notification.with(Action::Delayed).collect();
    if !delayed.is_empty() {
        text += "THIS IS A WARNING MESSAGE ONLY.\r\n\r\n\
                 YOU DO NOT NEED TO RESEND YOUR MESSAGE\r\n\r\n\
                 Delivery to the following recipients has been delayed\r\n";
        text += &addresses(&delayed);
    }
    // no article speaks of these
    let relayed: Vec<_> = notification.with(Action::Relayed).collect();
    if !relayed.is_empty() {
        text += "Your message has been relayed to the following recipients.\r\n";
        text += &addresses(&relayed);
    }
    text
}

fn addresses(recipients: &[&RecipientReport]) -> String {
    let lines: String = recipients.iter().map(|recipient| line(&recipient.final_recipient)).collect();
    lines + "\r\n"
}
