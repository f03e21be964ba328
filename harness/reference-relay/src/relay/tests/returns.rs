//! Mail that comes back, and what senders are told or not.

use super::*;

#[rstest]
#[case::greeting_554("", "554 5.3.2 No SMTP service here", "5.3.2")]
#[case::greeting_521("", "521 Host does not accept mail", "5.0.0")]
#[case::mail("MAIL", "550 5.7.1 Not from you", "5.7.1")]
#[case::rcpt("RCPT", "550 5.1.1 No such user", "5.1.1")]
#[case::rcpt_moved("RCPT", "551 User not local", "5.0.0")]
#[case::rcpt_full("RCPT", "552 5.2.2 Mailbox full", "5.2.2")]
#[case::rcpt_null_mx("RCPT", "556 5.1.10 Domain does not accept mail", "5.1.10")]
#[case::data("DATA", "554 5.7.1 No", "5.7.1")]
#[case::content(".", "554 5.6.0 No", "5.6.0")]
#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_is_returned_at_once(
    #[case] at: &'static str,
    #[case] line: &'static str,
    #[case] status: &str,
) {
    let world = world(plain().saying(at, line));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let returned = notification(&world);
    assert_eq!((&*returned.sender, &*returned.recipients), ("", &["a@origin.example".to_owned()][..]));
    let (status, diagnostic) = (format!("Status: {status}"), format!("Diagnostic-Code: smtp; {line}"));
    assert_fields(
        &returned.content,
        &["Action: failed", &status, &diagnostic, "Remote-MTA: dns; mx.x.example"],
    );
    assert!(returned.content.contains("Hello\r\n"), "the message comes back whole");
    assert_eq!(relay.queue(), []);
    assert_eq!(world.when("mx.x.example", "QUIT").len(), 1);
}

#[rstest]
#[case::nxdomain("bob@nowhere.example", "5.1.2")]
#[case::null_mx("bob@null.example", "5.1.10")]
#[case::no_address("bob@nothing.example", "5.4.4")]
#[case::exchanger_without_address("bob@hollow.example", "5.4.4")]
#[case::own_name("bob@mine.example", "5.4.6")]
#[case::own_address("bob@known.example", "5.4.6")]
#[case::own_address_beside_another("bob@beside.example", "5.4.6")]
#[case::own_address_without_mx("bob@other-name.example", "5.4.6")]
#[tokio::test(start_paused = true)]
async fn what_dns_rules_out_is_returned_at_once(#[case] recipient: &str, #[case] status: &str) {
    let world = World::new();
    world.names(|zone| {
        zone.mx("null.example", 0, ".");
        zone.nothing("nothing.example");
        zone.mx("hollow.example", 10, "nowhere.example");
        zone.mx("mine.example", 10, "relay.example");
        zone.mx("mine.example", 20, "mx.x.example");
        zone.a("other-name.example", RELAY);
        zone.mx("known.example", 10, "other-name.example");
        zone.mx("known.example", 20, "mx.x.example");
        zone.mx("beside.example", 10, "mx.x.example");
        zone.mx("beside.example", 10, "other-name.example");
    });
    world.put(MX, plain());
    let relay = world.relay().await;
    world.submit(&[recipient]).await;
    world.settle().await;
    assert_fields(&notification(&world).content, &["Action: failed", &format!("Status: {status}")]);
    assert_eq!(relay.queue(), []);
    assert_eq!(world.heard("mx.x.example"), [""; 0]);
}

/// RFC 5321 section 5.1: a relay may be known by its address, under whatever name.
#[tokio::test(start_paused = true)]
async fn exchangers_after_the_relays_own_address_are_not_tried() {
    let world = with_second(World::new(), second());
    world.names(|zone| {
        zone.mx("x.example", 15, "backup.x.example");
        zone.a("backup.x.example", RELAY);
    });
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.heard("mx2.x.example"), [""; 0]);
    assert_eq!(world.notifications(), []);
    world.put(MX, plain());
    world.pass(60).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "{}", log(&relay));
}

#[tokio::test(start_paused = true)]
async fn recipients_that_fail_together_stand_in_one_notification() {
    let world = world(plain().saying("RCPT", "550 5.1.1 No such user"));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@x.example", "sue@nowhere.example"]).await;
    world.settle().await;
    assert_eq!(notification(&world).content.matches("\r\nAction: failed\r\n").count(), 3);
}

#[rstest]
#[case::null_sender("", "bob@x.example")]
#[case::never("a@origin.example", "bob@x.example> NOTIFY=NEVER")]
#[case::success_only("a@origin.example", "bob@x.example> NOTIFY=SUCCESS,DELAY")]
#[tokio::test(start_paused = true)]
async fn nobody_is_told_who_is_not_to_be_told(#[case] sender: &str, #[case] recipient: &str) {
    let world = world(plain().saying("RCPT", "550 5.1.1 No such user"));
    let relay = world.relay().await;
    world.submit_as(sender, "", &[recipient], "\r\nHi\r\n").await;
    world.settle().await;
    assert_eq!(world.notifications(), []);
    assert_eq!(relay.queue(), []);
    assert!(log(&relay).contains("dropped without notification"), "{}", log(&relay));
}

#[rstest]
#[case::not_asked("", false)]
#[case::asked("> NOTIFY=DELAY", true)]
#[case::not_among("> NOTIFY=FAILURE", false)]
#[tokio::test(start_paused = true)]
async fn a_delay_is_told_unless_notify_leaves_it_out(#[case] notify: &str, #[case] asked: bool) {
    let world = world(plain().saying("RCPT", "450 4.2.0 Not now"));
    let _relay = world.relay().await;
    world.submit(&[&format!("bob@x.example{notify}")]).await;
    world.pass(300).await;
    assert_eq!(world.notifications().len(), usize::from(asked || notify.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn success_is_reported_as_relayed_where_the_next_hop_cannot_report_it() {
    let world = world(plain().offering(&["PIPELINING"]));
    let relay = world.relay().await;
    let content = "Subject: hi\r\n\r\nBody of it\r\n";
    let recipients =
        ["bob@x.example> NOTIFY=SUCCESS,FAILURE", "joe@x.example> NOTIFY=FAILURE", "sue@x.example"];
    world.submit_as("a@origin.example", " ENVID=e+2B1", &recipients, content).await;
    world.settle().await;
    let report = notification(&world).content;
    assert_fields(&report, &["Action: relayed", "Status: 2.0.0", "Original-Envelope-Id: e+1"]);
    assert_eq!(report.matches("\r\nAction: ").count(), 1);
    assert!(!report.contains("Body of it"), "only failures bring the message back");
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn ret_hdrs_brings_the_header_section_only() {
    let world = world(plain().saying("RCPT", "550 5.1.1 No such user"));
    let _relay = world.relay().await;
    let recipient = "bob@x.example> NOTIFY=FAILURE ORCPT=rfc822;Robert+2B@old.example";
    world.submit_as("a@origin.example", " RET=HDRS", &[recipient], "Subject: hi\r\n\r\nBody of it\r\n").await;
    world.settle().await;
    let report = notification(&world).content;
    assert!(report.contains("Subject: hi") && !report.contains("Body of it"), "{report}");
    assert!(report.contains("Robert+@old.example"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_cannot_be_delivered_is_dropped() {
    let world = world(plain().saying("RCPT", "550 5.1.1 No such user"));
    world.put([198, 51, 100, 8], Host::new("mx.origin.example").saying("RCPT", "550 5.1.1 Nor here"));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(relay.queue(), []);
    assert_eq!(world.when("mx.origin.example", "MAIL").len(), 1);
    assert!(
        log(&relay)
            .contains("Q2: to=<a@origin.example>, dropped without notification: the reverse-path is null")
    );
}

#[tokio::test(start_paused = true)]
async fn a_notification_waits_like_any_mail() {
    let world = world(plain().saying("RCPT", "550 5.1.1 No such user"));
    world.clear([198, 51, 100, 8]);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let entry = relay.queue().remove(0);
    assert_eq!((&*entry.id, entry.is_notification, &*entry.sender), ("Q2", true, ""));
    world.put([198, 51, 100, 8], Host::new("mx.origin.example"));
    world.pass(31).await;
    notification(&world);
}

#[tokio::test(start_paused = true)]
async fn eight_bit_mail_that_cannot_be_converted_is_returned() {
    let world = world(plain().offering(&[]));
    let relay = world.relay().await;
    world
        .submit_as("a@origin.example", " BODY=8BITMIME", &["bob@x.example"], "Subject: caf\u{e9}\r\n\r\n")
        .await;
    world.settle().await;
    let returned = notification(&world).content;
    assert_fields(&returned, &["Status: 5.6.3"]);
    assert!(returned.is_ascii(), "{returned}");
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "QUIT"]);
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_for_every_host_is_not_sent() {
    let world = world(plain().offering(&["SIZE 100"]));
    let _relay = world.relay().await;
    world.submit_as("a@origin.example", "", &["bob@x.example"], &"A line.\r\n".repeat(100)).await;
    world.settle().await;
    assert_fields(&notification(&world).content, &["Status: 5.3.4"]);
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "QUIT"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_and_a_lost_session_of_the_other_are_kept_apart() {
    let world = world(plain().offering(&[]).scripted(|heard| match heard {
        heard if heard.starts_with("RCPT TO:<bob") => "550 5.1.1 No such user".into(),
        heard if heard.starts_with("RCPT TO:<joe") => Say::Close,
        _ => Say::Usual,
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@x.example", "sue@x.example"]).await;
    world.settle().await;
    assert!(notification(&world).content.contains("bob@x.example"));
    let pending: Vec<_> = relay.queue().remove(0).recipients.into_iter().map(|r| r.address).collect();
    assert_eq!(pending, ["joe@x.example", "sue@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn many_refused_recipients_are_written_down_in_one_step() {
    let world = world(plain().saying("", "554 5.7.1 Not you"));
    let changes = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = changes.clone();
    world.after_step(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let relay = world.relay().await;
    let all: Vec<_> = (0..500).map(|n| format!("r{n}@x.example")).collect();
    world.submit(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(notification(&world).content.matches("\r\nAction: failed\r\n").count(), 500);
    assert_eq!(relay.queue(), []);
    assert!(changes.load(Ordering::Relaxed) < 50, "{changes:?}");
}

/// A host that says why it will not go on in the middle of the content, and closes while it is being written to.
#[rstest]
#[case::refuses("552 5.3.4 Too big", "5.3.4")]
#[tokio::test(start_paused = true)]
async fn a_reply_in_mid_content_is_heard(#[case] line: &'static str, #[case] status: &str) {
    for then in [Early::Closes, Early::Stalls, Early::ReadsOn] {
        let world = world(plain().speaking_up(line, then));
        let relay = world.relay().await;
        let content = "0123456789abcde\r\n".repeat(20_000);
        world.submit_as("a@origin.example", "", &["bob@x.example"], &content).await;
        world.pass(5).await;
        assert_eq!(relay.queue(), [], "{then:?}: {}", log(&relay));
        let returned = notification(&world).content;
        assert_fields(&returned, &[&format!("Status: {status}"), &format!("Diagnostic-Code: smtp; {line}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_cut_off_is_not_delivered_whatever_was_said() {
    let world = world(plain().speaking_up("250 2.0.0 Fine", Early::Closes));
    let relay = world.relay().await;
    let content = "0123456789abcde\r\n".repeat(20_000);
    world.submit_as("a@origin.example", "", &["bob@x.example"], &content).await;
    world.pass(5).await;
    assert_eq!(relay.queue().len(), 1, "{}", log(&relay));
}

#[rstest]
#[case::unasked("", false)]
#[case::asked_for(" RET=FULL", true)]
#[tokio::test(start_paused = true)]
async fn large_mail_is_returned_whole_only_on_demand(#[case] ret: &str, #[case] whole: bool) {
    let world = world(plain().saying("RCPT", "550 5.1.1 No such user"));
    let _relay = world.relay_with(|config| config.size_limit = None).await;
    let line = format!("{}\r\n", "x".repeat(98));
    let content = format!("Subject: large\r\n\r\n{}", line.repeat(11_000));
    world.submit_as("a@origin.example", ret, &["bob@x.example"], &content).await;
    world.settle().await;
    let told = notification(&world).content;
    assert_eq!(told.contains(&line), whole);
    assert!(told.contains("\r\nSubject: large\r\n"));
}
