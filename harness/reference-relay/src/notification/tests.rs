use std::time::{Duration, UNIX_EPOCH};

use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};
use proptest::prelude::*;

use super::*;

/// 11 June 2001, 12:39 UTC: the moment in KB Q301401.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_mins(16_537_719)
}

fn report(action: Action, status: &str) -> RecipientReport {
    RecipientReport {
        final_recipient: "bob@hub.example".into(),
        original_recipient: Some("rfc822;robert@hub.example".into()),
        action,
        status: status.into(),
        remote_mta: Some("mx.hub.example".into()),
        diagnostic: Some("550-5.1.1 no such\r\n550 5.1.1 user".into()),
        last_attempt: Some(noon()),
        will_retry_until: Some(noon() + Duration::from_hours(24)),
        explanation: "The other server refused the address.".into(),
    }
}

fn notification(recipients: Vec<RecipientReport>) -> Notification {
    Notification {
        reporting_mta: "mail.origin.example".into(),
        date: noon(),
        message_id: "1.n@mail.origin.example".into(),
        boundary: "=_1".into(),
        to: "alice@origin.example".into(),
        original_envelope_id: Some("QQ314159".into()),
        arrival_date: noon() - Duration::from_hours(1),
        recipients,
        returned: ReturnContent::Full,
        original: b"Subject: hello\r\nFrom: alice@origin.example\r\n\r\nbody\r\n".to_vec(),
        smtputf8: false,
        wording: Wording::Plain,
    }
}

fn rendered(n: &Notification) -> String {
    let message = render(n);
    assert!(mime::is_7bit_data(&message), "{}", String::from_utf8_lossy(&message));
    assert!(message.ends_with(b"\r\n"));
    String::from_utf8(message).expect("7-bit is UTF-8")
}

fn parse(message: &str) -> Message<'_> {
    let message = MessageParser::default().parse(message).expect("a message");
    assert_eq!(message.parts.len(), 4, "a multipart of three");
    message
}

fn status_part<'a>(message: &'a Message<'_>) -> &'a str {
    let part = &message.parts[2];
    assert!(part.is_content_type("message", "delivery-status"));
    assert!(matches!(part.body, PartType::Binary(_)));
    std::str::from_utf8(part.contents()).expect("ASCII")
}

#[test]
fn a_failure_is_a_report_of_three_parts() {
    let text = rendered(&notification(vec![report(Action::Failed, "5.1.1")]));
    let message = parse(&text);
    let kind = message.content_type().expect("a type");
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    assert_eq!(message.subject(), Some("Your message could not be delivered"));
    assert_eq!(message.message_id(), Some("1.n@mail.origin.example"));
    assert_eq!(message.header_raw("Auto-Submitted").map(str::trim), Some("auto-replied"));
    assert_eq!(message.header_raw("To").map(str::trim), Some("<alice@origin.example>"));
    assert_eq!(
        message.header_raw("From").map(str::trim),
        Some("Mail Delivery System <MAILER-DAEMON@mail.origin.example>")
    );
    assert_eq!(message.date().map(mail_parser::DateTime::to_timestamp), Some(992_263_140));
    assert!(message.parts[1].is_content_type("text", "plain"));
    assert!(message.parts[3].is_content_type("message", "rfc822"));
}

#[test]
fn the_machine_readable_part_has_the_fields_of_rfc_3464_in_their_order() {
    let text = rendered(&notification(vec![report(Action::Failed, "5.1.1")]));
    assert_eq!(
        status_part(&parse(&text)),
        "Original-Envelope-Id: QQ314159\r\n\
         Reporting-MTA: dns; mail.origin.example\r\n\
         Arrival-Date: Mon, 11 Jun 2001 11:39:00 +0000\r\n\
         \r\n\
         Original-Recipient: rfc822; robert@hub.example\r\n\
         Final-Recipient: rfc822; bob@hub.example\r\n\
         Action: failed\r\n\
         Status: 5.1.1\r\n\
         Remote-MTA: dns; mx.hub.example\r\n\
         Diagnostic-Code: smtp; 550-5.1.1 no such 550 5.1.1 user\r\n\
         Last-Attempt-Date: Mon, 11 Jun 2001 12:39:00 +0000\r\n"
    );
}

#[test]
fn only_a_delayed_recipient_says_until_when_it_will_be_tried() {
    for (action, expected) in [(Action::Failed, 0), (Action::Delayed, 1), (Action::Relayed, 0)] {
        let text = rendered(&notification(vec![report(action, "4.4.1")]));
        assert_eq!(text.matches("Will-Retry-Until: Tue, 12 Jun 2001 12:39:00 +0000\r\n").count(), expected);
    }
}

#[test]
fn a_group_per_recipient_is_preceded_by_an_empty_line() {
    let mut bare = report(Action::Delayed, "4.4.1");
    bare.original_recipient = None;
    bare.remote_mta = None;
    bare.diagnostic = None;
    bare.last_attempt = None;
    bare.will_retry_until = None;
    let text = rendered(&notification(vec![bare.clone(), bare]));
    let message = parse(&text);
    let groups: Vec<&str> = status_part(&message).split("\r\n\r\n").collect();
    assert_eq!(groups.len(), 3);
    let group = "Final-Recipient: rfc822; bob@hub.example\r\nAction: delayed\r\nStatus: 4.4.1";
    assert_eq!(groups[1], group);
    assert_eq!(groups[2].trim_end(), group);
}

#[test]
fn a_delay_says_that_it_is_a_warning_and_until_when_mail_is_tried() {
    let text = rendered(&notification(vec![report(Action::Delayed, "4.4.1")]));
    let words = parse(&text).body_text(0).expect("text").replace("\r\n", " ");
    assert!(words.contains("THIS IS A WARNING ONLY. You need not send your message again."));
    assert!(words.contains("It will be tried until Tue, 12 Jun 2001 12:39:00 +0000."));
    assert!(text.contains("Subject: Warning: your message is delayed\r\n"));
}

#[test]
fn each_recipient_stands_with_what_happened_to_it() {
    let mut late = report(Action::Delayed, "4.4.1");
    late.final_recipient = "late@hub.example".into();
    let text = rendered(&notification(vec![late, report(Action::Failed, "5.1.1")]));
    let message = parse(&text);
    let words = message.body_text(0).expect("text");
    let position = |what: &str| words.find(what).expect(what);
    assert!(position("could not be delivered") < position("<bob@hub.example>"));
    assert!(position("<bob@hub.example>") < position("WARNING"));
    assert!(position("WARNING") < position("<late@hub.example>"));
    assert_eq!(message.subject(), Some("Your message could not be delivered"));
}

fn exchange(recipient: RecipientReport) -> String {
    let mut n = notification(vec![recipient]);
    n.wording = Wording::Exchange2000;
    let text = rendered(&n);
    parse(&text).body_text(0).expect("text").into_owned()
}

#[test]
fn exchange_2000_fails_in_the_words_of_q295734() {
    assert_eq!(
        exchange(report(Action::Failed, "5.6.3")),
        "This is an automatically generated Delivery Status Notification.\r\n\r\n\
         Delivery to the following recipients failed.\r\nbob@hub.example\r\n\r\n"
    );
}

#[test]
fn exchange_2000_warns_in_the_words_of_q329636() {
    assert_eq!(
        exchange(report(Action::Delayed, "4.4.1")),
        "This is an automatically generated Delivery Status Notification.\r\n\r\n\
         THIS IS A WARNING MESSAGE ONLY.\r\n\r\nYOU DO NOT NEED TO RESEND YOUR MESSAGE\r\n\r\n\
         Delivery to the following recipients has been delayed\r\nbob@hub.example\r\n\r\n"
    );
}

#[test]
fn exchange_2000_gives_up_in_the_words_of_q301401() {
    assert_eq!(
        exchange(report(Action::Failed, "4.4.7")),
        "This is an automatically generated Delivery Status Notification.\r\n\r\n\
         Your message did not reach some or all of the intended recipients.\r\n\r\n\
         The following recipient(s) could not be reached:\r\n\r\n\
         bob@hub.example on 6/11/2001 12:39 PM\r\n\
         Could not deliver the message in the time limit specified. Please retry or contact your administrator.\r\n\
         <mail.origin.example #4.4.7>\r\n\r\n"
    );
}

#[test]
fn the_original_is_returned_whole_or_as_its_header() {
    let mut n = notification(vec![report(Action::Failed, "5.1.1")]);
    let text = rendered(&n);
    assert!(text.contains("Content-Type: message/rfc822\r\n\r\nSubject: hello\r\n"));
    assert!(text.contains("\r\n\r\nbody\r\n\r\n--=_1--\r\n"));
    n.returned = ReturnContent::Headers;
    let text = rendered(&n);
    assert!(text.contains("Content-Type: text/rfc822-headers\r\n\r\nSubject: hello\r\nFrom: "));
    assert!(!text.contains("body"));
}

#[test]
fn an_8bit_original_is_converted() {
    let mut n = notification(vec![report(Action::Failed, "5.6.3")]);
    n.original = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
                  für alle, die es noch nicht wissen\r\n"
        .into();
    let text = rendered(&n);
    let message = parse(&text);
    let original = message.parts[3].message().expect("message/rfc822");
    assert_eq!(original.body_text(0).as_deref(), Some("für alle, die es noch nicht wissen\r\n"));
}

#[test]
fn of_an_original_that_cannot_be_7bit_the_header_is_returned_without_loss() {
    for original in
        ["Subject: für dich\r\n\r\nx\r\n".to_owned(), format!("Subject: {}\r\n\r\nx\r\n", "x".repeat(2000))]
    {
        let mut n = notification(vec![report(Action::Failed, "5.6.3")]);
        n.original = original.clone().into();
        let text = rendered(&n);
        let message = parse(&text);
        assert!(message.parts[3].is_content_type("text", "rfc822-headers"));
        assert_eq!(
            message.parts[3].contents(),
            original.split_inclusive("\r\n").next().expect("a line").as_bytes()
        );
    }
}

#[test]
fn a_body_that_is_not_7bit_data_is_encoded_or_stays_out() {
    let of = |body: &str| {
        let mut n = notification(vec![report(Action::Failed, "5.6.3")]);
        n.original = format!("Subject: x\r\n\r\n{body}\r\n").into();
        rendered(&n)
    };
    for body in ["a lone\nline feed", "a string with its end \u{0}"] {
        let text = of(body);
        let message = parse(&text);
        let original = message.parts[3].message().expect("message/rfc822");
        assert_eq!(original.parts[0].contents(), format!("{body}\r\n").as_bytes());
    }
    let text = of(&"x".repeat(999));
    assert!(text.contains("text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n--=_1--\r\n"));
}

#[test]
fn an_original_with_smtputf8_comes_back_whole_or_by_its_header() {
    for (returned, kind) in [(ReturnContent::Full, "global"), (ReturnContent::Headers, "global-headers")] {
        let mut n = notification(vec![report(Action::Failed, "5.6.9")]);
        n.original = "Subject: caf\u{e9} au lait\r\n\r\nbody\r\n".into();
        (n.smtputf8, n.returned) = (true, returned);
        let text = rendered(&n);
        let head =
            format!("Content-Type: message/{kind}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
        let (_, content) = text.split_once(&head).unwrap_or_else(|| panic!("{text}"));
        assert!(content.starts_with("Subject: caf=C3=A9 au lait\r\n"), "{content}");
        assert_eq!(content.contains("\r\nbody\r\n"), returned == ReturnContent::Full);
    }
}

#[test]
fn to_an_address_beyond_ascii_the_header_is_utf8_and_the_rest_is_not() {
    let mut n = notification(vec![report(Action::Failed, "5.1.1")]);
    n.to = "ren\u{e9}@origin.example".into();
    let text = String::from_utf8(render(&n)).expect("UTF-8");
    assert!(text.contains("\r\nTo: <ren\u{e9}@origin.example>\r\n"));
    assert_eq!(text.chars().filter(|c| !c.is_ascii()).count(), 1);
}

#[test]
fn a_boundary_that_the_original_contains_is_made_longer() {
    let mut n = notification(vec![report(Action::Failed, "5.1.1")]);
    n.original = b"Subject: x\r\n\r\n--=_1\r\n--=_1_1--\r\n".to_vec();
    let text = rendered(&n);
    assert!(text.contains("boundary=\"=_1_2\"\r\n"));
    let message = parse(&text);
    let original = message.parts[3].message().expect("message/rfc822");
    assert_eq!(original.body_text(0).as_deref(), Some("--=_1\r\n--=_1_1--\r\n"));
}

#[test]
fn an_internationalised_recipient_is_given_in_the_7bit_form_of_rfc_6533() {
    let mut recipient = report(Action::Failed, "5.6.7");
    recipient.final_recipient = "jürgen+x@example".into();
    recipient.original_recipient = Some("utf-8;jürgen@example".into());
    let text = rendered(&notification(vec![recipient]));
    assert!(text.contains("Final-Recipient: utf-8; j\\x{FC}rgen\\x{2B}x@example\r\n"));
    assert!(text.contains("Original-Recipient: utf-8; j\\x{FC}rgen@example\r\n"));
}

#[test]
fn a_long_reply_is_folded_and_reads_the_same() {
    let mut recipient = report(Action::Failed, "5.7.1");
    let reply = format!("550 5.7.1 {}", "see the policy of this host ".repeat(100).trim_end());
    recipient.diagnostic = Some(reply.clone());
    let text = rendered(&notification(vec![recipient]));
    assert!(text.lines().all(|line| line.len() <= 78));
    assert!(text.replace("\r\n ", " ").contains(&format!("Diagnostic-Code: smtp; {reply}\r\n")));
}

#[test]
fn dates_have_the_form_of_rfc_5322() {
    assert_eq!(rfc5322_date(noon()), "Mon, 11 Jun 2001 12:39:00 +0000");
    assert_eq!(rfc5322_date(UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 +0000");
    assert_eq!(
        rfc5322_date(UNIX_EPOCH + Duration::from_millis(86_399_999)),
        "Thu, 01 Jan 1970 23:59:59 +0000"
    );
}

proptest! {
    #[test]
    fn whatever_it_is_told_the_message_is_7bit_data_with_three_parts(
        strings in prop::collection::vec("(\\PC| |\r\n|x{300}){0,20}", 8),
        original in prop::collection::vec(any::<u8>(), 0..300),
        exchange in any::<bool>(),
    ) {
        let mut recipient = report(Action::Failed, &strings[0]);
        recipient.final_recipient.clone_from(&strings[1]);
        recipient.original_recipient = Some(strings[2].clone());
        recipient.diagnostic = Some(strings[3].clone());
        recipient.explanation.clone_from(&strings[4]);
        let mut n = notification(vec![recipient]);
        // An address beyond ASCII is kept as it is, and so is no 7-bit data.
        n.to = strings[5].chars().filter(char::is_ascii).collect();
        n.reporting_mta.clone_from(&strings[6]);
        n.boundary.clone_from(&strings[7]);
        n.original = original;
        n.wording = if exchange { Wording::Exchange2000 } else { Wording::Plain };
        let text = rendered(&n);
        let boundary = text.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a boundary");
        prop_assert_eq!(text.matches(&format!("--{boundary}\r\n")).count(), 3);
        prop_assert_eq!(text.matches(&format!("--{boundary}--\r\n")).count(), 1);
    }
}
