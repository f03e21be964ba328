//! Delivery status notifications (RFC 3464) in their envelope `multipart/report` (RFC 6522).
//!
//! Pure: the caller says what happened, [`render`] gives the message. It is 7-bit whatever the original holds, so that
//! it can go to any server; only an address to which it goes that is not ASCII itself makes its header need SMTPUTF8. So
//! RFC 6533's types appear where nothing else can hold the original, and encoded, which its section 4.4 allows. It is for the caller to send it with the null reverse-path, and never to send one about a
//! message that came with it (RFC 5321 section 6.1).

mod fields;
#[cfg(test)]
mod tests;
mod wording;

use std::borrow::Cow;
use std::time::SystemTime;

use crate::mime;
use fields::{date, header_field, line, typed_address};

pub use fields::rfc5322_date;

/// What the relay did with a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It could not be delivered, and will not be tried again.
    Failed,
    /// It has not been delivered so far, and will be tried again.
    Delayed,
    /// It went to a server that does not know of notifications (RFC 3461 section 5.2.2).
    Relayed,
}

impl Action {
    /// The value of the field `Action`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }
}

/// How much of the original is returned (RFC 3461 section 4.3, RET).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnContent {
    /// All of it, unless it cannot be put into 7-bit MIME (RFC 6522 section 3); then its header.
    Full,
    /// Its header.
    Headers,
}

/// Whose words the part for people speaks. The part for programs is the same in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wording {
    /// Our own.
    #[default]
    Plain,
    /// Those of Exchange 2000 and the SMTP service of Windows 2000, as quoted in KB Q295734, Q301401 and Q329636.
    Exchange2000,
}

/// What is reported about one recipient (RFC 3464 section 2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientReport {
    /// The address that the relay tried, without `<` and `>`.
    pub final_recipient: String,
    /// ORCPT as it was given, with its type and its xtext decoded: `rfc822;a@b` (RFC 3461 section 4.2).
    pub original_recipient: Option<String>,
    /// What was done.
    pub action: Action,
    /// The enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: String,
    /// The host that gave [`RecipientReport::diagnostic`], if one did (RFC 3464 section 2.3.5).
    pub remote_mta: Option<String>,
    /// That host's reply, such as `550 5.1.1 no such user`; the lines of a longer one divided by line ends or spaces.
    pub diagnostic: Option<String>,
    /// When it was last tried.
    pub last_attempt: Option<SystemTime>,
    /// When it will be given up. Only shown for [`Action::Delayed`]: RFC 3464 section 2.3.9 forbids it elsewhere.
    pub will_retry_until: Option<SystemTime>,
    /// One sentence for people.
    pub explanation: String,
}

/// A notification that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The relay's name.
    pub reporting_mta: String,
    /// When the notification is written.
    pub date: SystemTime,
    /// Its Message-ID, without `<` and `>`.
    pub message_id: String,
    /// Its boundary. If something in the message contains it, it is made longer.
    pub boundary: String,
    /// The envelope sender of the original.
    pub to: String,
    /// ENVID, its xtext decoded (RFC 3461 section 4.4).
    pub original_envelope_id: Option<String>,
    /// When the relay took the original.
    pub arrival_date: SystemTime,
    /// Those that are reported on, and no others.
    pub recipients: Vec<RecipientReport>,
    /// How much of the original goes back.
    pub returned: ReturnContent,
    /// The original, as it was received.
    pub original: Vec<u8>,
    /// Whether the original came with SMTPUTF8, so that what is not ASCII in its header is UTF-8.
    pub smtputf8: bool,
    /// In whose words.
    pub wording: Wording,
}

impl Notification {
    /// The recipients with that action, in their order.
    fn with(&self, action: Action) -> impl Iterator<Item = &RecipientReport> {
        self.recipients.iter().filter(move |recipient| recipient.action == action)
    }

    /// What the subject speaks of: the worst that happened.
    fn gravest(&self) -> Action {
        let has = |action| self.with(action).next().is_some();
        [Action::Failed, Action::Delayed].into_iter().find(|&action| has(action)).unwrap_or(Action::Relayed)
    }
}

/// Writes the whole message: 7-bit, each line ended by CRLF and of at most 998 octets.
pub fn render(notification: &Notification) -> Vec<u8> {
    let returned = Returned::of(notification);
    let text = wording::text(notification);
    let (text_kind, text) = if text.is_ascii() {
        ("Content-Type: text/plain; charset=us-ascii\r\n", text.into_bytes())
    } else {
        let kind =
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n";
        (kind, mime::quoted_printable(text.as_bytes()))
    };
    let status = delivery_status(notification);
    let boundary = free_boundary(&notification.boundary, &[&text, status.as_bytes(), &returned.content]);

    let mut message = header(notification, &boundary).into_bytes();
    for (kind, content) in [
        (text_kind, text.as_slice()),
        ("Content-Type: message/delivery-status\r\n", status.as_bytes()),
        (&*returned.kind, &returned.content),
    ] {
        message.extend_from_slice(format!("--{boundary}\r\n{kind}\r\n").as_bytes());
        message.extend_from_slice(content);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    message
}

fn header(notification: &Notification, boundary: &str) -> String {
    let host = &notification.reporting_mta;
    let (from, subject) = match notification.wording {
        Wording::Plain => (
            format!("Mail Delivery System <MAILER-DAEMON@{host}>"),
            match notification.gravest() {
                Action::Failed => "Your message could not be delivered",
                Action::Delayed => "Warning: your message is delayed",
                Action::Relayed => "Your message was passed on",
            },
        ),
        Wording::Exchange2000 => (
            // Q329636: "notification from the Postmaster or Administrator of the local Exchange server"
            format!("Postmaster <postmaster@{host}>"),
            match notification.gravest() {
                Action::Failed => "Delivery Status Notification (Failure)",
                Action::Delayed => "Delivery Status Notification (Delay)",
                Action::Relayed => "Delivery Status Notification (Relay)",
            },
        ),
    };
    [
        header_field("From", &from),
        // An address has no white space to fold at, and none of its octets may be lost.
        if notification.to.is_ascii() {
            header_field("To", &format!("<{}>", notification.to))
        } else {
            format!("To: {}", line(&format!("<{}>", notification.to)))
        },
        header_field("Subject", subject),
        header_field("Date", &rfc5322_date(notification.date)),
        header_field("Message-ID", &format!("<{}>", notification.message_id)),
        // RFC 3834 section 5.2: "auto-generated" MUST NOT be used on a notification, "auto-replied" MAY
        header_field("Auto-Submitted", "auto-replied"),
        header_field("MIME-Version", "1.0"),
        format!(
            "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n"
        ),
        "\r\n".to_owned(),
    ]
    .concat()
}

/// The part for programs (RFC 3464 section 2.1): the message's fields, then a group per recipient.
fn delivery_status(notification: &Notification) -> String {
    let mut status = String::new();
    if let Some(id) = &notification.original_envelope_id {
        status += &header_field("Original-Envelope-Id", id);
    }
    status += &header_field("Reporting-MTA", &format!("dns; {}", notification.reporting_mta));
    status += &date("Arrival-Date", notification.arrival_date);
    for recipient in &notification.recipients {
        status += "\r\n";
        if let Some(original) = &recipient.original_recipient {
            let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
            status += &header_field("Original-Recipient", &typed_address(kind.trim(), address.trim()));
        }
        status += &header_field("Final-Recipient", &typed_address("rfc822", &recipient.final_recipient));
        status += &header_field("Action", recipient.action.as_str());
        status += &header_field("Status", &recipient.status);
        if let Some(host) = &recipient.remote_mta {
            status += &header_field("Remote-MTA", &format!("dns; {host}"));
        }
        if let Some(diagnostic) = &recipient.diagnostic {
            status += &header_field("Diagnostic-Code", &format!("smtp; {diagnostic}"));
        }
        if let Some(time) = recipient.last_attempt {
            status += &date("Last-Attempt-Date", time);
        }
        if let (Action::Delayed, Some(time)) = (recipient.action, recipient.will_retry_until) {
            status += &date("Will-Retry-Until", time);
        }
    }
    status
}

/// The third part: its header, and what it holds.
struct Returned {
    kind: Cow<'static, str>,
    content: Vec<u8>,
}

impl Returned {
    /// RFC 6522 section 3: an 8-bit original is re-encoded, or its header alone is returned.
    fn of(notification: &Notification) -> Self {
        if notification.returned == ReturnContent::Full
            && let Ok(content) = mime::to_7bit(&notification.original)
            && mime::is_7bit_data(&content)
        {
            return Self { kind: "Content-Type: message/rfc822\r\n".into(), content };
        }
        let (head, _) = mime::split_header(&notification.original);
        if notification.smtputf8 && notification.returned == ReturnContent::Full {
            return Self::encoded("message/global", &notification.original);
        }
        if mime::is_7bit_data(head) {
            return Self { kind: "Content-Type: text/rfc822-headers\r\n".into(), content: head.to_vec() };
        }
        if notification.smtputf8 {
            return Self::encoded("message/global-headers", head);
        }
        // RFC 6522 section 4 allows this one encoding, so that nothing of a broken header is lost
        Self {
            kind: "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n"
                .into(),
            content: mime::quoted_printable(head),
        }
    }

    /// RFC 6533 section 4.5: in an encoding, since the way back may not have SMTPUTF8.
    fn encoded(kind: &str, content: &[u8]) -> Self {
        let (encoding, content) = mime::encode(content, true);
        let kind = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n");
        Self { kind: kind.into(), content }
    }
}

/// A boundary that is valid and does not occur in the parts: the one that was asked for, if it can be.
fn free_boundary(wanted: &str, parts: &[&[u8]]) -> String {
    // RFC 2046 section 5.1.1, without the space: 70 characters at most, of which ten are kept for what is added
    let valid = |c: &char| c.is_ascii_alphanumeric() || "'()+_,-./:=?".contains(*c);
    let wanted: String = wanted.chars().filter(valid).take(60).collect();
    let mut boundary = if wanted.is_empty() { "=_report".to_owned() } else { wanted.clone() };
    let mut n = 0_u32;
    while parts.iter().any(|part| occurs(boundary.as_bytes(), part)) {
        n += 1;
        boundary = format!("{wanted}_{n}");
    }
    boundary
}

fn occurs(needle: &[u8], content: &[u8]) -> bool {
    content.windows(needle.len()).any(|window| window == needle)
}
