//! The defects of the past, each beside the article that tells of it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::vintage::vintage;

async fn relay_of(name: &str, world: &World) -> Relay {
    let vintage = vintage(name).expect("it is listed");
    world.relay_with(|config| config.vintage = vintage).await
}

/// KB Q295734.
#[tokio::test(start_paused = true)]
async fn iis_5_returns_8bit_mail_after_rset() {
    let world = world(plain().offering(&["PIPELINING"]));
    let relay = relay_of("iis-5", &world).await;
    let content = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ncaf\u{c3}\u{a9}\r\n";
    world.submit_as("a@origin.example", " BODY=8BITMIME", &["bob@x.example"], content).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "RSET", "QUIT"]);
    let returned = notification(&world).content;
    assert_fields(&returned, &["Action: failed", "Status: 5.6.3"]);
    assert!(
        returned.contains("This is an automatically generated Delivery Status Notification"),
        "{returned}"
    );
    assert_eq!(relay.queue(), []);
}

/// KB Q240832, the sending side.
#[tokio::test(start_paused = true)]
async fn mcis_gives_up_when_neither_of_its_introductions_is_taken() {
    let world = world(plain().scripted(|heard| match heard {
        "EHLO sub2." | "HELO sub2." => "501 Invalid Address".into(),
        _ => Say::Usual,
    }));
    let relay = relay_of("mcis", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO sub2.", "HELO sub2.", "QUIT"]);
    assert_eq!(reason(&relay), "501 Invalid Address");
}

/// KB Q301401.
#[tokio::test(start_paused = true)]
async fn exchange_2000_never_delivers_to_a_short_banner_with_x_exps() {
    let world = world(
        plain().offering(&["X-EXPS GSSAPI NTLM"]).saying("", "220 exch2000 Microsoft ESMTP MAIL Service"),
    );
    let relay = relay_of("exchange-2000", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.pass(6 * 24 * 60).await;
    assert_eq!(world.when("mx.x.example", "MAIL"), [0; 0]);
    assert_eq!(relay.queue(), []);
    let [_, failure] = &*world.notifications() else { panic!("{}", log(&relay)) };
    assert_fields(&failure.content, &["Status: 4.4.7"]);
    assert!(
        failure.content.contains("Could not deliver the message in the time limit specified."),
        "{}",
        failure.content
    );
}

#[rstest]
#[case::full_name("220 mx.x.example ESMTP", "X-EXPS")]
#[case::no_x_exps("220 exch2000 ESMTP", "SIZE")]
#[tokio::test(start_paused = true)]
async fn exchange_2000_delivers_to_all_others(#[case] banner: &'static str, #[case] offer: &'static str) {
    let world = world(plain().offering(&[offer]).saying("", banner));
    let _relay = relay_of("exchange-2000", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

/// KB Q329636.
#[tokio::test(start_paused = true)]
async fn exchange_2000_with_outbound_security_waits_when_auth_is_rejected() {
    let world =
        world(plain().offering(&["AUTH LOGIN"]).saying("AUTH", "504 5.7.4 Unrecognized authentication type"));
    let switches = vintage("exchange-2000-auth").expect("it is listed");
    let relay = world
        .relay_with(|config| {
            config.vintage = switches;
            let mechanisms = vec![Mechanism::Login];
            config.auth =
                Some(Auth { to: AuthScope::Any, user: "u".into(), password: "p".into(), mechanisms });
        })
        .await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "AUTH LOGIN", "QUIT"]);
    assert!(log(&relay).contains("The remote SMTP service rejected AUTH negotiation"), "{}", log(&relay));
    world.pass(6 * 24 * 60).await;
    let [warning, failure] = &*world.notifications() else { panic!("{}", log(&relay)) };
    assert!(warning.content.contains("THIS IS A WARNING MESSAGE ONLY."), "{}", warning.content);
    assert_fields(&failure.content, &["Status: 4.4.7"]);
    assert_eq!(relay.queue(), []);
}

/// KB Q254893.
#[tokio::test(start_paused = true)]
async fn exchange_5_5_reports_a_recipient_once() {
    let world = World::new();
    let relay = relay_of("exchange-5.5", &world).await;
    for _ in 0..2 {
        world.submit(&["joeuser@invaliddomain.example "]).await;
        world.settle().await;
    }
    notification(&world);
    assert!(log(&relay).contains("MSExchangeIMC event 4120: In the process of creating a notification"));
    assert_eq!(relay.queue(), []);
    let archived = relay.archived();
    assert_eq!(ids(&archived), ["Q3"]);
    assert!(matches!(archived[0].recipients[0].state, RecipientState::Failed { .. }));
}

#[tokio::test(start_paused = true)]
async fn the_reference_relay_reports_it_each_time() {
    let world = World::new();
    let relay = world.relay().await;
    for _ in 0..2 {
        world.submit(&["joeuser@invaliddomain.example"]).await;
        world.settle().await;
    }
    assert_eq!(world.notifications().len(), 2);
    assert_eq!(relay.archived(), []);
}

/// Haraka's pull request 360.
#[tokio::test(start_paused = true)]
async fn haraka_returned_mail_at_once_where_ehlo_was_refused() {
    let world = world(plain().saying("EHLO", "500 Command unrecognized"));
    let relay = relay_of("haraka-2.0", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "QUIT"]);
    assert_fields(
        &notification(&world).content,
        &["Action: failed", "Diagnostic-Code: smtp; 500 Command unrecognized"],
    );
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn haraka_waited_where_ehlo_was_refused_for_now() {
    let world = world(plain().saying("EHLO", "450 Not now"));
    let relay = relay_of("haraka-2.0", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "450 Not now");
}

/// A host that puts the first recipient off, and takes all others.
fn first_time_later() -> impl Fn(&str) -> Say + Send + Sync + 'static {
    let said = AtomicBool::new(false);
    move |heard| {
        if heard.starts_with("RCPT") && !said.swap(true, Ordering::SeqCst) {
            "451 4.7.1 Later".into()
        } else {
            Say::Usual
        }
    }
}

/// KB Q154083.
#[tokio::test(start_paused = true)]
async fn msn_sends_again_after_ninety_seconds_without_a_reply_to_the_dot() {
    let world = world(plain().scripted(|heard| match heard {
        "." => Say::Nothing,
        _ => Say::Usual,
    }));
    let relay = relay_of("msn", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.pass(2).await;
    let queue = relay.queue();
    assert_eq!(queue[0].attempts, 1);
    let RecipientState::Deferred { .. } = queue[0].recipients[0].state else {
        panic!("after two minutes it has given up waiting: {queue:?}")
    };
}

/// KB 950757, 826948.
#[tokio::test(start_paused = true)]
async fn exchange_2003_does_not_try_again_until_it_is_started_again() {
    let world = world(plain().scripted(first_time_later()));
    let relay = relay_of("exchange-2003", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.pass(24 * 60).await;
    assert_eq!(relay.queue()[0].attempts, 1, "a day later");
    relay.kill();
    let relay = relay_of("exchange-2003", &world).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    assert_eq!(relay.queue(), []);
}

/// The list of the DCC.
#[tokio::test(start_paused = true)]
async fn groupwise_returned_what_was_put_off() {
    let world = world(plain().scripted(first_time_later()));
    let relay = relay_of("groupwise-6.5", &world).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_fields(
        &notification(&world).content,
        &["Action: failed", "Diagnostic-Code: smtp; 451 4.7.1 Later"],
    );
    assert_eq!(relay.queue(), []);
}
