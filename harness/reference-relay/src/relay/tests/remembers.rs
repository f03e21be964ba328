//! Hosts that offer more than they can do, and hosts that say more or less than they should.

use super::*;

/// Two messages for `host`, in one session as far as it goes.
async fn two(host: impl Fn() -> Host) -> (World, Relay) {
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    world.put(MX, host());
    relay.run_queue();
    world.settle().await;
    (world, relay)
}

/// KB Q100352: EHLO is refused, and the connection gone before HELO.
#[tokio::test(start_paused = true)]
async fn a_host_that_closes_after_refusing_ehlo_is_told_helo_at_once() {
    let refused = std::sync::Mutex::new(false);
    let world = world(plain().scripted(move |heard| {
        let mut refused = refused.lock().expect("no test panics here");
        match heard {
            "" => *refused = false,
            heard if heard.starts_with("EHLO") => *refused = true,
            heard if heard.starts_with("HELO") && *refused => return Say::Close,
            _ => {}
        }
        if heard.starts_with("EHLO") { "550 Huh?".into() } else { Say::Usual }
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "{}", log(&relay));
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 1, "it is remembered");
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_of_ehlo_is_reported_where_helo_fares_no_better() {
    let world = world(plain().scripted(|heard| match heard {
        heard if heard.starts_with("EHLO") => "550 5.7.1 Bad name".into(),
        heard if heard.starts_with("HELO") => Say::Close,
        _ => Say::Usual,
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "550 5.7.1 Bad name");
}

/// RFC 5321 section 3.2: HELO is for a host that does not recognize EHLO. One that was cut off may offer everything.
#[tokio::test(start_paused = true)]
async fn a_host_that_is_lost_at_ehlo_is_told_ehlo_again() {
    let cut = std::sync::Mutex::new(0);
    let world = world(plain().scripted(move |heard| {
        let mut cut = cut.lock().expect("no test panics here");
        if *cut < 2 && heard.starts_with("EHLO") {
            *cut += 1;
            return Say::Close;
        }
        Say::Usual
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.pass(120).await;
    assert_eq!(world.when("mx.x.example", "EHLO"), [0, 30, 90]);
    assert_eq!(world.when("mx.x.example", "HELO"), Vec::<u64>::new());
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "{}", log(&relay));
}

/// RFC 2920 section 3.2 forbids it: what has come is lost at each reply.
#[tokio::test(start_paused = true)]
async fn a_host_that_loses_pipelined_commands_gets_them_one_by_one_at_the_next_attempt() {
    let pipelined = first(1);
    let world = world(plain().scripted(move |heard| {
        if heard.starts_with("RCPT") && pipelined() { Say::Nothing } else { Say::Usual }
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.pass(40).await;
    let heard = world.heard("mx.x.example");
    let second = heard.iter().rposition(|line| line.starts_with("MAIL")).expect("a second attempt");
    let lines = ["> 250 2.0.0 OK", "RCPT TO:<bob@x.example>", "> 250 2.0.0 OK", "DATA", "> 354 Go on"];
    assert_eq!(heard[second + 1..second + 6], lines, "{}", log(&relay));
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

/// Catalogue: reply-two-for-one. Neither reply counts for the mail after.
#[tokio::test(start_paused = true)]
async fn a_reply_too_many_is_not_taken_for_that_to_the_next_command() {
    let (world, relay) = two(|| {
        plain().scripted(|heard| match heard {
            "." => "250 2.0.0 Taken\r\n550 5.1.1 What?".into(),
            _ => Say::Usual,
        })
    })
    .await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "{}", log(&relay));
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 2, "the session is not used again");
    assert_eq!(world.notifications(), []);
}

#[tokio::test(start_paused = true)]
async fn a_reply_too_many_among_pipelined_ones_refuses_nobody() {
    let world = world(plain().scripted(|heard| match heard {
        heard if heard.starts_with("MAIL") => "250 2.1.0 OK\r\n550 5.1.1 What?".into(),
        _ => Say::Usual,
    }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.notifications(), []);
    assert_eq!(relay.queue().len(), 1, "{}", log(&relay));
}

/// RFC 5321 section 3.8: at any time.
#[rstest]
#[case::told("421 4.4.2 Idle for too long")]
#[case::chatty("250 Still here")]
#[tokio::test(start_paused = true)]
async fn what_is_said_while_nothing_is_asked_costs_a_connection_and_no_attempt(#[case] line: &'static str) {
    let (world, relay) = two(move || {
        let once = first(1);
        plain().scripted(move |heard| match heard {
            "." if once() => Say::This(format!("250 2.0.0 Taken\r\n{line}")),
            _ => Say::Usual,
        })
    })
    .await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "{}", log(&relay));
    assert!(
        log(&relay)
            .contains("Q2: to=<joe@x.example>, relay=mx.x.example[198.51.100.7], attempt=2, status=sent")
    );
}

#[tokio::test(start_paused = true)]
async fn limits_are_kept() {
    let offers = ["PIPELINING", "LIMITS MAILMAX=2 RCPTMAX=2"];
    let world = world(plain().offering(&offers));
    let relay = world.relay().await;
    let all = ["r1@x.example", "r2@x.example", "r3@x.example", "r4@x.example", "r5@x.example"];
    world.submit(&all).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), all, "{}", log(&relay));
    let counts: Vec<_> = world.delivered().iter().map(|mail| mail.recipients.len()).collect();
    assert_eq!(counts, [2, 2, 1]);
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 2);
}

/// A recipient more than there is room for is named once, and not in each transaction again.
#[tokio::test(start_paused = true)]
async fn a_host_with_room_for_a_hundred_hears_of_each_of_a_thousand_about_once() {
    let taken = AtomicUsize::new(0);
    let world = world(plain().scripted(move |heard| {
        if heard.starts_with("MAIL") {
            taken.store(0, Ordering::Relaxed);
        }
        let full = heard.starts_with("RCPT") && taken.fetch_add(1, Ordering::Relaxed) >= 100;
        if full { "452 4.5.3 Too many".into() } else { Say::Usual }
    }));
    let relay = world.relay().await;
    let all: Vec<String> = (0..1000).map(|n| format!("r{n}@x.example")).collect();
    world.submit(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), all);
    assert_eq!(world.delivered().len(), 10);
    assert_eq!(
        world.when("mx.x.example", "RCPT").len(),
        1900,
        "each once, and 900 in the transaction that showed it"
    );
    assert_eq!(relay.queue(), []);
}

#[rstest]
#[case::six_hundred("650 Hm")]
#[case::nine_hundred("950 Hm")]
#[case::short("25 OK")]
#[case::none("OK")]
#[case::changing("250-a\r\n550 b")]
#[tokio::test(start_paused = true)]
async fn what_is_no_reply_defers_at_every_stage(
    #[case] reply: &'static str,
    #[values("", "EHLO", "MAIL", "RCPT", "DATA", ".")] stage: &'static str,
) {
    let world = world(plain().saying(stage, reply));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.notifications(), []);
    assert_eq!(relay.queue().len(), 1, "{}", log(&relay));
    assert!(reason(&relay).contains("did not speak SMTP"), "{}", reason(&relay));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_421_and_a_close_defer_at_every_stage(
    #[values("", "EHLO", "MAIL", "RCPT", "DATA", ".")] stage: &'static str,
    #[values(true, false)] told: bool,
    #[values(true, false)] pipelining: bool,
) {
    let offers: &[&str] = if pipelining { &["PIPELINING"] } else { &[] };
    let host = plain().offering(offers).scripted(move |heard| {
        let here = if stage.is_empty() { heard.is_empty() } else { heard.starts_with(stage) };
        match (here, told) {
            (false, _) => Say::Usual,
            (true, false) => Say::Close,
            (true, true) => "421 4.3.2 Closing".into(),
        }
    });
    let world = world(host);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.notifications(), []);
    assert_eq!(relay.queue().len(), 1, "{}", log(&relay));
    world.put(MX, plain());
    world.pass(240).await;
    assert_eq!(recipients(&world, "mx.x.example").last().map(String::as_str), Some("bob@x.example"));
    assert_eq!(relay.queue(), []);
}
