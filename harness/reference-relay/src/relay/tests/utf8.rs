//! SMTPUTF8: to whom mail beyond ASCII goes, how, and what its sender is told when nobody takes it.

use super::*;

const JOSE: &str = "jos\u{e9}@x.example";
const SMTPUTF8: &[&str] = &["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"];

fn capable() -> Host {
    plain().offering(SMTPUTF8)
}

/// The commands MAIL and RCPT that a host heard.
fn envelope(world: &World, host: &str) -> Vec<String> {
    let is_envelope = |line: &String| line.starts_with("MAIL") || line.starts_with("RCPT");
    commands(world, host).into_iter().filter(is_envelope).collect()
}

/// `é` as it goes over the wire, in the form that [`World::submit_as`] wants.
const E: &str = "\u{c3}\u{a9}";

#[tokio::test(start_paused = true)]
async fn a_utf8_recipient_goes_to_a_host_with_smtputf8_and_the_flag_survives_a_restart() {
    let world = world(capable());
    world.clear(MX);
    let relay = world.relay().await;
    let recipient = format!("{JOSE}> ORCPT=utf-8;{JOSE}");
    world.submit_as("a@origin.example", " SMTPUTF8", &[&recipient], "Subject: hi\r\n\r\nHello\r\n").await;
    world.settle().await;
    relay.kill();
    world.put(MX, capable());
    let relay = world.relay().await;
    world.pass(31).await;
    let rcpt = format!("RCPT TO:<{JOSE}> ORCPT=utf-8;{JOSE}");
    assert_eq!(envelope(&world, "mx.x.example"), ["MAIL FROM:<a@origin.example> SMTPUTF8", &rcpt]);
    assert_eq!(relay.queue(), []);
    assert!(world.delivered()[0].content.starts_with(
        "Received: from client.example ([198.51.100.9])\r\n\tby relay.example with UTF8SMTP id Q1;\r\n"
    ));
}

#[tokio::test(start_paused = true)]
async fn what_is_ascii_after_all_goes_without() {
    for host in [plain(), capable()] {
        let world = world(host);
        let _relay = world.relay().await;
        world
            .submit_as("a@origin.example", " SMTPUTF8", &["bob@x.example"], "Subject: hi\r\n\r\nHello\r\n")
            .await;
        world.settle().await;
        assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
        assert!(envelope(&world, "mx.x.example")[0].starts_with("MAIL FROM:<a@origin.example>"));
        assert!(!envelope(&world, "mx.x.example")[0].contains("SMTPUTF8"), "RFC 6531 section 3.4");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_without_it_is_given_a_labels_and_spelt_out_originals() {
    let world = world(plain());
    world.names(|zone| zone.mx("xn--bcher-kva.example", 10, "mx.x.example"));
    let _relay = world.relay().await;
    let recipient = "bob@b\u{fc}cher.example> ORCPT=utf-8;bob@b\u{fc}cher.example";
    world.submit_as("a@b\u{fc}cher.example", " SMTPUTF8", &[recipient], "Subject: hi\r\n\r\nHello\r\n").await;
    world.settle().await;
    let sent = envelope(&world, "mx.x.example");
    assert!(sent[0].starts_with("MAIL FROM:<a@xn--bcher-kva.example> "), "{sent:?}");
    assert_eq!(sent[1], "RCPT TO:<bob@xn--bcher-kva.example> ORCPT=utf-8;bob@b\\x{FC}cher.example");
}

#[tokio::test(start_paused = true)]
async fn the_next_exchanger_may_have_it() {
    let world = with_second(world(plain()), second().offering(SMTPUTF8));
    let relay = world.relay().await;
    world
        .submit_as("a@origin.example", " SMTPUTF8", &[JOSE, "bob@x.example"], "Subject: hi\r\n\r\nHello\r\n")
        .await;
    world.settle().await;
    assert_eq!(
        recipients(&world, "mx.x.example"),
        ["bob@x.example"],
        "who needs nothing of the kind waits for nobody"
    );
    assert_eq!(recipients(&world, "mx2.x.example"), [JOSE]);
    assert_eq!((relay.queue(), world.notifications()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_no_host_takes_is_returned_at_once() {
    let world = with_second(world(plain()), second());
    let relay = world.relay().await;
    world
        .submit_as("a@origin.example", " SMTPUTF8", &[JOSE, "bob@x.example"], "Subject: hi\r\n\r\nHello\r\n")
        .await;
    world.settle().await;
    assert_eq!(relay.queue(), [], "{}", log(&relay));
    let told = notification(&world);
    assert_fields(
        &told.content,
        &[
            "Final-Recipient: utf-8; jos\\x{E9}@x.example",
            "Action: failed",
            "Status: 5.6.7",
            "Content-Type: message/rfc822",
        ],
    );
    assert!(told.content.contains("<jos=C3=A9@x.example>"), "people read it as it is: {}", told.content);
    assert!(told.content.is_ascii());
    assert!(!envelope(&world, "mx.origin.example")[0].contains("SMTPUTF8"));
}

#[rstest]
#[case::header("Subject: caf{E}\r\n\r\nHello\r\n", "message/global")]
#[case::header_of_a_part(
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: {E}\r\n\r\nx\r\n--b--\r\n",
    "message/global"
)]
#[tokio::test(start_paused = true)]
async fn a_utf8_header_goes_to_nobody_who_did_not_offer_it(#[case] content: &str, #[case] kind: &str) {
    let world = world(plain());
    let relay = world.relay().await;
    world.submit_as("a@origin.example", " SMTPUTF8", &["bob@x.example"], &content.replace("{E}", E)).await;
    world.settle().await;
    assert_eq!((envelope(&world, "mx.x.example"), relay.queue()), (vec![], vec![]));
    let told = notification(&world).content;
    assert_fields(&told, &["Action: failed", "Status: 5.6.9", &format!("Content-Type: {kind}")]);
    assert!(told.contains("=C3=A9") && told.is_ascii(), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_utf8_body_is_no_utf8_header() {
    let world = world(plain().offering(&["8BITMIME"]));
    let _relay = world.relay().await;
    let content = format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{E}\r\n"
    );
    world.submit_as("a@origin.example", " SMTPUTF8", &["bob@x.example"], &content).await;
    world.settle().await;
    assert_eq!(envelope(&world, "mx.x.example")[0], "MAIL FROM:<a@origin.example> BODY=8BITMIME");
}

#[tokio::test(start_paused = true)]
async fn a_sender_beyond_ascii_is_told_by_smtputf8_or_not_at_all() {
    for offers in [SMTPUTF8, &["8BITMIME"]] {
        let world = world(capable().saying("RCPT", "550 5.1.1 No such user"));
        world.put([198, 51, 100, 8], Host::new("mx.origin.example").offering(offers));
        let relay = world.relay().await;
        world
            .submit_as(
                "ren\u{e9}@origin.example",
                " SMTPUTF8",
                &["bob@x.example"],
                "Subject: hi\r\n\r\nHello\r\n",
            )
            .await;
        world.settle().await;
        assert_eq!(relay.queue(), [], "{}", log(&relay));
        if offers == SMTPUTF8 {
            let told = notification(&world);
            assert_eq!(told.recipients, ["ren\u{e9}@origin.example"]);
            assert!(
                told.content.contains(&format!("\r\nTo: <ren{E}@origin.example>\r\n")),
                "{}",
                told.content
            );
            assert_eq!(envelope(&world, "mx.origin.example")[0], "MAIL FROM:<> BODY=8BITMIME SMTPUTF8");
        } else {
            assert_eq!(envelope(&world, "mx.origin.example"), Vec::<String>::new());
        }
    }
}
