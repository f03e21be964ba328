//! A disk without room: nothing is taken that cannot be kept, nothing that was taken is lost or sent twice, and what could
//! not be told is told later.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What the relay says to a client that hands it a message.
async fn answers(world: &World) -> String {
    let mut client = world.dial();
    let lines = "EHLO c.example\r\nMAIL FROM:<a@origin.example>\r\nRCPT TO:<bob@x.example>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n";
    client.write_all(lines.as_bytes()).await.expect("write");
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("read");
    said
}

fn files(world: &World) -> usize {
    fs::read_dir(world.spool().join("queue")).expect("a directory").count()
}

#[tokio::test(start_paused = true)]
async fn mail_is_refused_for_the_time_being_and_taken_when_there_is_room_again() {
    let world = world(plain());
    let relay = world.relay().await;
    world.disk().set_full(true);
    let said = answers(&world).await;
    assert!(said.contains("\r\n452 4.3.1 Insufficient system storage\r\n221 "), "{said}");
    assert_eq!((relay.queue(), files(&world)), (vec![], 0));
    world.disk().set_full(false);
    let said = answers(&world).await;
    assert!(said.contains("\r\n250 2.0.0 Queued as "), "{said}");
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_without_room_to_say_so_is_not_delivered_again() {
    let world = world(plain().saying("RCPT TO:<joe", "450 4.2.0 Not now"));
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@x.example"]).await;
    world.settle().await;
    world.put(MX, plain().saying("RCPT TO:<joe", "450 4.2.0 Not now"));
    world.disk().set_full(true);
    world.pass(31).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "{}", log(&relay));
    assert!(log(&relay).contains("Q1: its state could not be saved"), "{}", log(&relay));
    relay.kill();
    world.put(MX, plain());
    let relay = world.relay().await;
    world.pass(300).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "each once");
    // What is over leaves a full disk, too.
    assert_eq!((relay.queue(), files(&world)), (vec![], 0));
}

#[rstest]
#[case::it_lives_on(false)]
#[case::it_is_killed(true)]
#[tokio::test(start_paused = true)]
async fn a_notification_that_finds_no_room_is_issued_once_when_there_is_some(#[case] killed: bool) {
    let world = world(plain().saying("RCPT TO:<joe", "550 5.1.1 No such user"));
    world.clear(MX);
    let mut relay = world.relay().await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    world.put(MX, plain().saying("RCPT TO:<joe", "550 5.1.1 No such user"));
    world.disk().set_full(true);
    world.pass(31).await;
    assert_eq!(world.notifications(), []);
    let [entry] = &*relay.queue() else { panic!("the mail is gone:\n{}", log(&relay)) };
    assert_eq!(entry.recipients[0].state, RecipientState::Failed { reason: "550 5.1.1 No such user".into() });
    if killed {
        relay.kill();
        relay = world.relay().await;
        world.settle().await;
        assert_eq!(world.notifications(), []);
    }
    world.disk().set_full(false);
    world.pass(300).await;
    assert_fields(&notification(&world).content, &["Action: failed", "Status: 5.1.1"]);
    assert_eq!((relay.queue(), files(&world)), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_right_after_a_notification_does_not_double_it() {
    let world = world(plain().saying("RCPT TO:<joe", "550 5.1.1 No such user"));
    let disk = world.disk().clone();
    world.after_step(move |root| {
        // The notification's envelope is the last thing that there is room for.
        if root.join("queue/Q2.envelope").exists() {
            disk.set_full(true);
        }
    });
    world.clear([198, 51, 100, 8]);
    let relay = world.relay().await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    relay.kill();
    world.disk().set_full(false);
    world.after_step(|_| {});
    world.put([198, 51, 100, 8], Host::new("mx.origin.example"));
    let relay = world.relay().await;
    world.pass(300).await;
    assert_fields(&notification(&world).content, &["Action: failed"]);
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn that_mail_was_passed_on_is_told_though_there_was_no_room_to_note_by_whom() {
    let world = world(plain().offering(&[]));
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example> NOTIFY=SUCCESS"]).await;
    world.settle().await;
    world.put(MX, plain().offering(&[]));
    world.disk().set_full(true);
    world.pass(31).await;
    relay.kill();
    world.disk().set_full(false);
    let relay = world.relay().await;
    world.pass(300).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    let told = notification(&world).content;
    assert_fields(&told, &["Action: relayed"]);
    assert!(!told.contains("Remote-MTA"), "{told}");
    assert_eq!(relay.queue(), []);
}
