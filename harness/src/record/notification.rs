//! Notifications (RFC 3464 in the multipart/report of RFC 6522), and what passes for one.

use std::collections::BTreeSet;

use mail_parser::{Encoding, MessageParser, MimeHeaders, PartType};
use mock_servers::transcript::{Session, Transaction};

use super::mail::{self, Field};
use super::tokens::Tokens;
use super::{Accepted, Notification, NotifiedRecipient, Place, Submission};

/// Whether the header says multipart/report.
pub(super) fn is_report(fields: &[Field]) -> bool {
    mail::first(fields, "Content-Type").is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("multipart/report")
    })
}

/// Reads one; which submission it is about is found by [`about`].
pub(super) fn read(place: Place, session: &Session, mail: &Transaction, to: Vec<String>) -> Notification {
    let (fields, body) = mail::split(&mail.content);
    let report = is_report(&fields);
    let mut groups: Vec<Vec<(String, String)>> = Vec::new();
    let (mut text, mut returns_body) = (None, false);
    if let Some(message) = MessageParser::default().parse(&mail.content) {
        for part in &message.parts {
            let kind = part.content_type().map_or_else(String::new, |kind| {
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase()
            });
            // a part that calls itself a header may be a whole mail
            if matches!(
                kind.as_str(),
                "message/rfc822" | "message/global" | "text/rfc822-headers" | "message/global-headers"
            ) && matches!(part.encoding, Encoding::None)
            {
                let returned = mail.content.get(part.offset_body as usize..part.offset_end as usize);
                returns_body |= !mail::split(returned.unwrap_or_default()).1.trim_ascii().is_empty();
            }
            match &part.body {
                PartType::Binary(bytes) | PartType::InlineBinary(bytes)
                    if matches!(
                        kind.as_str(),
                        "message/delivery-status" | "message/global-delivery-status"
                    ) =>
                {
                    groups = field_groups(bytes);
                }
                PartType::Text(words) if text.is_none() && !kind.ends_with("rfc822-headers") => {
                    text = Some(words.trim_end().replace("\r\n", "\n"));
                }
                _ => {}
            }
        }
    }
    let well_formed = report && groups.len() > 1;
    let mut groups = groups.into_iter();
    let message_fields = groups.next().unwrap_or_default();
    Notification {
        place,
        server: session.mock.clone(),
        at: mail.finished.unwrap_or(mail.started),
        from: mail.from.clone(),
        to,
        submission: None,
        well_formed,
        message_fields,
        recipients: groups.map(recipient).collect(),
        subject: mail::first(&fields, "Subject").unwrap_or_default().to_owned(),
        text: text.unwrap_or_else(|| String::from_utf8_lossy(body).trim_end().replace("\r\n", "\n")),
        returns_body,
        headers: fields.into_iter().map(|f| (f.name, f.value)).collect(),
    }
}

/// RFC 3464 section 2.1: groups of fields with empty lines between; unfolded.
fn field_groups(status: &[u8]) -> Vec<Vec<(String, String)>> {
    let mut groups = Vec::new();
    let mut rest = status;
    while !rest.is_empty() {
        let (fields, after) = mail::split(rest);
        if !fields.is_empty() {
            groups.push(fields.into_iter().map(|f| (f.name, f.value)).collect());
        }
        if after.len() == rest.len() {
            // no field: the line is passed over
            let line = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
            rest = &rest[line..];
        } else {
            rest = after;
        }
    }
    groups
}

fn recipient(fields: Vec<(String, String)>) -> NotifiedRecipient {
    let field = |name: &str| fields.iter().find(|f| f.0.eq_ignore_ascii_case(name)).map(|f| f.1.clone());
    // RFC 3464 section 2.3.2: `rfc822; a@b`; RFC 6533 section 3: `utf-8; j\x{FC}rgen@b`
    let address = |value: String| match value.split_once(';') {
        Some((kind, address)) if kind.trim().eq_ignore_ascii_case("utf-8") => unspelt(address.trim()),
        Some((_, address)) => address.trim().to_owned(),
        None => value,
    };
    NotifiedRecipient {
        to: field("Final-Recipient").map(address).unwrap_or_default(),
        original: field("Original-Recipient").map(address),
        action: without_comments(&field("Action").unwrap_or_default()).to_ascii_lowercase(),
        // RFC 3464 section 2.3.4: a comment may follow
        status: field("Status")
            .and_then(|s| s.split([' ', '\t', '(']).next().map(str::to_owned))
            .unwrap_or_default(),
        fields,
    }
}

/// A field's value without its comments, which may stand in any (RFC 3464 section 2.1.2): `relayed (to non-DSN-aware mailer)`.
fn without_comments(value: &str) -> String {
    let (mut depth, mut escaped) = (0_u32, false);
    let kept = value.chars().filter(|&c| {
        let before = depth;
        match c {
            _ if escaped => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = c == '\\' && !escaped && depth > 0;
        before == 0 && depth == 0
    });
    kept.collect::<String>().trim().to_owned()
}

/// An address of the type `utf-8` with its `\x{…}` undone; what is none stays.
fn unspelt(address: &str) -> String {
    let mut pieces = address.split("\\x{");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let spelt = piece
            .split_once('}')
            .and_then(|(hex, rest)| Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, rest)));
        if let Some((character, rest)) = spelt {
            text.push(character);
            text += rest;
        } else {
            text += "\\x{";
            text += piece;
        }
    }
    text
}

/// The submission that a notification is about: by the token in what it returns, else by its envelope where that fits one
/// alone, else by what it returns. Of submissions that are the same in all that, the one that was told this the least often
/// yet: `told` counts.
pub(super) fn about(
    notification: &Notification,
    mail: &Transaction,
    submissions: &[Submission],
    tokens: &Tokens<'_>,
    told: impl Fn(usize) -> usize,
) -> Option<usize> {
    let returned = tokens.in_body(&mail.content).map(|s| tokens.furthest(s, &mail.content, notification.at));
    let references = || {
        let named = |(name, _): &&(String, String)| {
            name.eq_ignore_ascii_case("In-Reply-To") || name.eq_ignore_ascii_case("References")
        };
        notification.headers.iter().filter(named).find_map(|(_, id)| tokens.in_text(id.as_bytes()))
    };
    returned.or_else(references).or_else(|| match &*fitting(notification, submissions) {
        [one] => Some(*one),
        several => {
            let originals = mail::returned(&mail.content);
            let comes_back = |s: &Submission| originals.iter().any(|original| is_of(original, &s.content));
            let alike: Vec<usize> =
                several.iter().copied().filter(|&at| comes_back(&submissions[at])).collect();
            let (first, others) = alike.split_first()?;
            let same = |at: &usize| submissions[*at].content == submissions[*first].content;
            others.iter().all(same).then(|| alike.iter().copied().min_by_key(|&at| told(at)))?
        }
    })
}

/// Whether what was returned is this content, whole or by its header: what the relay may add or encode anew is not looked at.
fn is_of(original: &[u8], content: &[u8]) -> bool {
    let (fields, body) = mail::split(original);
    let (own, _) = mail::split(content);
    let same = |name: &str| {
        mail::first(&own, name).is_none_or(|value| mail::first(&fields, name).is_some_and(|v| v == value))
    };
    ["Message-ID", "Date", "From", "To", "Subject"].into_iter().all(same)
        && (body.trim_ascii().is_empty() || mail::leaves(original) == mail::leaves(content))
}

/// The submissions whose envelope fits what a notification says.
fn fitting(notification: &Notification, submissions: &[Submission]) -> Vec<usize> {
    let fits = |submission: &Submission| {
        let to_sender = notification.to.iter().any(|to| mail::normal(to) == mail::normal(&submission.from));
        if !to_sender {
            return false;
        }
        let own: BTreeSet<String> = submission.recipients.iter().map(|r| mail::normal(&r.to)).collect();
        let names = |recipient: &NotifiedRecipient| {
            own.contains(&mail::normal(&recipient.to))
                || recipient.original.as_ref().is_some_and(|to| own.contains(&mail::normal(to)))
        };
        let text = notification.text.to_lowercase();
        let told = notification.recipients.iter().any(names)
            || notification.recipients.is_empty() && own.iter().any(|to| text.contains(&to.to_lowercase()));
        let refused = submission.recipients.iter().all(|r| matches!(r.fate, Accepted::No { .. }));
        told && !refused && submission.at <= notification.at
    };
    submissions.iter().enumerate().filter(|(_, s)| fits(s)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Run, mime_like, minutes};
    use super::without_comments;

    #[test]
    fn comments_are_no_part_of_a_value() {
        let cases = [
            ("relayed (to (non-DSN-aware) mailer)", "relayed"),
            ("(x)failed (a \\) b)", "failed"),
            ("delayed", "delayed"),
        ];
        for (written, value) in cases {
            assert_eq!(without_comments(written), value);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever comes from the null reverse-path is read, and what it says is no longer than itself.
        #[test]
        fn no_notification_makes_it_panic(body in mime_like(), report in any::<bool>()) {
            let kind = if report { "multipart/report; report-type=delivery-status" } else { "multipart/mixed" };
            let head = format!("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: {kind}; boundary=b\r\n\r\n");
            let content = [head.as_bytes(), &body].concat();
            let record =
                Run::new().sent("note", &["bob@hub.example"]).notified(1, minutes(1), &content).record();
            for notification in &record.notifications {
                let fields = notification.message_fields.len() + notification.recipients.len();
                prop_assert!(fields <= content.len());
                // what is no UTF-8 is replaced by three octets each
                prop_assert!(notification.text.len() <= 3 * content.len());
            }
            prop_assert!(record.notifications.len() + record.strays.len() + record.deliveries.len() == 1);
        }
    }
}
