//! Mail that waits, and for how long.

use super::*;

/// Each is something after which the mail is tried again, and nobody is told.
#[rstest]
#[case::greeting_421("", "421 Not now", "421 Not now")]
#[case::greeting_250("", "250 Hello", "mx.x.example did not greet: 250 Hello")]
#[case::ehlo_421("EHLO", "421 Not now", "421 Not now")]
#[case::ehlo_554("EHLO", "554 Go away", "554 Go away")]
#[case::mail_450("MAIL", "450 4.1.8 Not now", "450 4.1.8 Not now")]
#[case::rcpt_greylisted("RCPT", "451 4.7.1 Greylisted", "451 4.7.1 Greylisted")]
#[case::rcpt_421("RCPT", "421 4.3.2 Going", "421 4.3.2 Going")]
#[case::data_451("DATA", "451 Not now", "451 Not now")]
#[case::content_451(".", "451 4.3.0 Not now", "451 4.3.0 Not now")]
#[case::content_421(".", "421 4.3.0 Not now", "421 4.3.0 Not now")]
#[case::mailbox_full("RCPT", "452 4.2.2 Full", "452 4.2.2 Full")]
#[case::six_hundred("RCPT", "600 Who knows", "mx.x.example did not speak SMTP after RCPT")]
#[case::mixed_codes("EHLO", "250-a\r\n550 b", "mx.x.example did not speak SMTP after EHLO")]
#[case::http("MAIL", "HTTP/1.1 400 Bad Request", "mx.x.example did not speak SMTP after MAIL")]
#[case::data_250("DATA", "250 OK", "mx.x.example gave an unexpected reply to DATA: 250 OK")]
#[tokio::test(start_paused = true)]
async fn a_temporary_failure_is_tried_again(
    #[case] at: &'static str,
    #[case] line: &'static str,
    #[case] why: &str,
) {
    let world = world(plain().saying(at, line));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(reason(&relay).starts_with(why), "{}", reason(&relay));
    world.put(MX, plain());
    world.pass(31).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    assert_eq!(world.notifications(), []);
    assert_eq!(relay.queue(), []);
}

/// RFC 5321 section 4.5.3.2.5: each block of content has its time, also where the host reads none.
#[tokio::test(start_paused = true)]
async fn a_host_that_never_reads_is_given_up_after_the_time_for_a_block() {
    let world = world(plain().reading_no_content());
    let relay = world.relay().await;
    let content = format!("\r\n{}", "All work and no play makes Jack a dull boy.\r\n".repeat(3000));
    world.submit_as("a@origin.example", "", &["bob@x.example"], &content).await;
    world.pass(2).await;
    assert_eq!(relay.queue()[0].recipients[0].state, RecipientState::Active);
    world.pass(2).await;
    assert_eq!(reason(&relay), "mx.x.example took nothing more during the message.");
    world.put(MX, plain());
    world.pass(60).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    assert_eq!(relay.queue(), []);
}

#[rstest]
#[case("")]
#[case("EHLO")]
#[case("MAIL")]
#[case("RCPT")]
#[case("DATA")]
#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_leaves_the_mail_in_the_queue(#[case] at: &'static str) {
    let host = plain().scripted(move |heard| {
        let here = if at.is_empty() { heard.is_empty() } else { heard.starts_with(at) };
        if here { Say::Close } else { Say::Usual }
    });
    let world = world(host);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(reason(&relay).starts_with("mx.x.example closed the connection"), "{}", reason(&relay));
    assert_eq!(world.delivered(), []);
}

#[rstest]
#[case("", 5)]
#[case("EHLO", 5)]
#[case("MAIL", 5)]
#[case("RCPT", 5)]
#[case("DATA", 2)]
#[case(".", 10)]
#[tokio::test(start_paused = true)]
async fn a_silent_host_is_left_when_its_time_is_over(#[case] at: &'static str, #[case] minutes: u64) {
    let host = plain().scripted(move |heard| {
        let here = if at.is_empty() { heard.is_empty() } else { heard.starts_with(at) };
        if here { Say::Nothing } else { Say::Usual }
    });
    let world = world(host);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.pass(minutes).await;
    world.settle().await;
    assert!(reason(&relay).starts_with("mx.x.example did not answer in time"), "{}", reason(&relay));
    assert_eq!(world.minute(), minutes);
    assert!(!commands(&world, "mx.x.example").contains(&"QUIT".to_owned()), "the host does not listen");
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_reply_to_the_content_no_other_host_is_given_it_at_once() {
    let host = plain().scripted(|heard| if heard == "." { Say::Close } else { Say::Usual });
    let world = with_second(world(host), second());
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "mx.x.example closed the connection after the message.");
    assert_eq!(recipients(&world, "mx2.x.example"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn attempts_follow_the_schedule_until_the_end_and_the_sender_is_told_twice() {
    let world = world(plain().saying("RCPT", "451 4.7.1 Greylisted"));
    let relay = world.relay_with(|config| config.queue.lifetime = Duration::from_hours(24)).await;
    world.submit(&["bob@x.example"]).await;
    world.pass(3 * 60).await;
    let entry = relay.queue().remove(0);
    assert_eq!((entry.attempts, entry.is_notification), (3, false));
    assert_eq!(world.notifications(), []);
    world.pass(60).await;
    world.settle().await;
    let warning = notification(&world);
    assert_eq!(warning.minute, 4 * 60, "exactly then, and not at the attempt after");
    assert_fields(
        &warning.content,
        &["Action: delayed", "Status: 4.7.1", "Diagnostic-Code: smtp; 451 4.7.1 Greylisted"],
    );
    assert_eq!(ids(&relay.queue()), ["Q1"]);
    world.pass(40 * 60).await;
    let attempts = [0, 30, 90, 210, 450, 690, 930, 1170, 1410, 1440];
    assert_eq!(world.when("mx.x.example", "RCPT"), attempts);
    let [_, failure] = &*world.notifications() else { panic!("{}", log(&relay)) };
    assert_eq!((failure.minute, &*failure.sender), (1440, ""));
    assert_fields(
        &failure.content,
        &["Action: failed", "Status: 4.7.1", "Diagnostic-Code: smtp; 451 4.7.1 Greylisted"],
    );
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn recipients_have_outcomes_of_their_own() {
    let late = first(3);
    let world = world(plain().scripted(move |heard| match heard {
        heard if heard.starts_with("RCPT TO:<never") => "550 5.1.1 No such user".into(),
        heard if heard.starts_with("RCPT TO:<late") && late() => "450 4.2.1 Not now".into(),
        heard if heard.starts_with("RCPT TO:<full") => "452 4.2.2 Full".into(),
        _ => Say::Usual,
    }));
    let relay = world.relay_with(|config| config.queue.warn = None).await;
    world.submit(&["bob@x.example", "never@x.example", "late@x.example", "full@x.example"]).await;
    world.settle().await;
    let pending: Vec<_> = relay.queue().remove(0).recipients.into_iter().map(|r| r.address).collect();
    assert_eq!(pending, ["late@x.example", "full@x.example"]);
    let failure = notification(&world);
    assert!(
        failure.content.contains("rfc822; never@x.example")
            || failure.content.contains("rfc822;never@x.example")
    );
    assert!(!failure.content.contains("rfc822;late@") && !failure.content.contains("rfc822; late@"));
    world.pass(6 * 24 * 60).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "late@x.example"]);
    assert_eq!(world.notifications().len(), 2);
    assert_fields(
        &world.notifications()[1].content,
        &["Status: 4.2.2", "Diagnostic-Code: smtp; 452 4.2.2 Full"],
    );
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn run_queue_does_not_wait_for_the_schedule() {
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "mx.x.example could not be reached: connection refused.");
    world.put(MX, plain());
    relay.run_queue();
    world.settle().await;
    assert_eq!((world.minute(), relay.queue()), (0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_fails_makes_mail_wait() {
    let world = world(plain());
    world.names(|zone| zone.fails = true);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(reason(&relay).starts_with("The domain x.example could not be looked up"), "{}", reason(&relay));
}

#[tokio::test(start_paused = true)]
async fn a_mistake_of_the_operator_makes_mail_wait() {
    let world = World::new();
    let relay =
        world.relay_with(|config| config.smarthost = Some(NextHop::Name("nowhere.example".into()))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(reason(&relay).starts_with("The configured host nowhere.example has no known address"));
}

#[tokio::test(start_paused = true)]
async fn one_that_may_take_it_later_keeps_the_mail_waiting() {
    let world =
        with_second(world(plain().saying("", "421 Not now")), second().saying("", "554 No SMTP here"));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "421 Not now");
}

#[tokio::test(start_paused = true)]
async fn neither_ehlo_nor_helo_makes_mail_wait_for_the_operator() {
    let world = world(plain().scripted(|heard| match heard {
        heard if heard.contains("LO ") => "501 Invalid Address".into(),
        _ => Say::Usual,
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "501 Invalid Address");
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "HELO relay.example", "QUIT"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_told_so_and_left() {
    let world = world(plain());
    let _relay = world.relay().await;
    let mut client = world.dial();
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut client, &mut said).await.expect("it is closed");
    assert_eq!(world.minute(), 5);
    assert!(said.starts_with("220 ") && said.contains("\r\n421 4.4.2 relay.example "), "{said}");
}
