//! Restarts, kills and damage: mail is neither lost nor doubled.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_killed_relay_goes_on_where_it_was() {
    let world = world(plain().saying("RCPT TO:<joe", "450 4.2.0 Not now"));
    let relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@x.example"]).await;
    world.settle().await;
    let before = relay.queue();
    relay.kill();
    let relay = world.relay().await;
    assert_eq!(relay.queue(), before, "the schedule holds");
    world.put(MX, plain());
    world.pass(31).await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"]);
    assert_eq!(world.when("mx.x.example", "MAIL"), [0, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_killed_in_mid_transaction_sends_the_mail_later() {
    let world = world(plain().scripted(|heard| if heard == "DATA" { Say::Nothing } else { Say::Usual }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    relay.kill();
    assert_eq!(commands(&world, "mx.x.example").last().map(String::as_str), Some("DATA"));
    world.put(MX, plain());
    let relay = world.relay().await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn queue_ids_are_never_given_out_twice() {
    let world = world(plain());
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    relay.kill();
    fs::remove_file(world.spool().join("counter")).expect("there is a counter");
    fs::write(world.spool().join("damaged/Q7.content"), "x").expect("it can be written");
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(log(&relay).starts_with("Q8: from="), "{}", log(&relay));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_relay_tells_its_clients_and_finishes_what_it_began() {
    let world = world(
        plain().scripted(|heard| if heard == "RCPT TO:<joe@x.example>" { Say::Nothing } else { Say::Usual }),
    );
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.submit(&["joe@x.example"]).await;
    let mut client = world.dial();
    world.settle().await;
    relay.stop().await;
    assert_eq!(world.second(), 20, "the attempt under way hangs, and is given up before its own timeout");
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut client, &mut said).await.expect("it is closed");
    assert!(said.contains("\r\n421 4.3.2 relay.example "), "{said}");
    let relay = world.relay().await;
    assert_eq!(ids(&relay.queue()), ["Q2"]);
    assert!(reason(&relay).starts_with("mx.x.example did not answer in time"), "{}", reason(&relay));
}

#[tokio::test(start_paused = true)]
async fn what_can_be_finished_is_finished_before_a_relay_stops() {
    let world = world(plain());
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    relay.stop().await;
    assert_eq!(world.second(), 0);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

/// One host after the other that hangs, and DNS that is silent besides, would keep it for long.
#[tokio::test(start_paused = true)]
async fn a_relay_stops_in_half_a_minute_whatever_hangs() {
    let hangs = || plain().scripted(|_| Say::Nothing);
    let world = with_second(world(hangs()), hangs());
    for n in 3..60 {
        world.names(|zone| {
            zone.mx("x.example", n, &format!("mx{n}.x.example"));
            zone.a(&format!("mx{n}.x.example"), [198, 51, 100, 100 + n as u8]);
        });
        world.put([198, 51, 100, 100 + n as u8], hangs());
    }
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    relay.stop().await;
    assert!(world.second() <= 30, "{}", world.second());
    assert_eq!(ids(&world.relay().await.queue()), ["Q1"]);
}

#[tokio::test(start_paused = true)]
async fn damage_is_moved_aside_and_told() {
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    for _ in 0..4 {
        world.submit(&["bob@x.example"]).await;
    }
    world.settle().await;
    relay.kill();
    let queue = world.spool().join("queue");
    let envelope = fs::read(queue.join("Q1.envelope")).expect("it is there");
    fs::write(queue.join("Q1.envelope"), &envelope[..envelope.len() / 2]).expect("write");
    fs::write(queue.join("Q2.content"), "half").expect("write");
    fs::remove_file(queue.join("Q3.content")).expect("remove");
    fs::write(queue.join("Q9.content"), "never accepted").expect("write");
    fs::write(queue.join("Q4.envelope.new"), "never finished").expect("write");
    fs::write(queue.join("notes.txt"), "what is this").expect("write");
    let relay = world.relay().await;
    assert_eq!(ids(&relay.queue()), ["Q4"]);
    for id in [
        "Q1: moved",
        "Q2: moved",
        "Q3: moved",
        "Q9.content: moved",
        "Q4.envelope.new: removed",
        "notes.txt: moved",
    ] {
        assert!(log(&relay).contains(&format!("spool: {id}")), "{id} not told in\n{}", log(&relay));
    }
    let mut aside: Vec<_> = names(&world.spool().join("damaged"));
    aside.sort();
    assert_eq!(
        aside,
        ["Q1.content", "Q1.envelope", "Q2.content", "Q2.envelope", "Q3.envelope", "Q9.content", "notes.txt"]
    );
    world.put(MX, plain());
    relay.run_queue();
    world.settle().await;
    assert_eq!(world.delivered().len(), 1);
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("a copy");
        }
    }
}

/// The disk after some step, and what had arrived by then.
struct Moment {
    disk: PathBuf,
    delivered: usize,
}

fn host() -> Host {
    plain().offering(&[]).scripted(|heard| match heard {
        heard if heard.starts_with("RCPT TO:<never") => "550 5.1.1 No such user".into(),
        _ => Say::Usual,
    })
}

/// A relay that dies after any one step that changes the disk, and one that is started from what is there then, together
/// deliver each recipient's mail and report each failure: at least once always, and once except where it died between the
/// next hop's reply and the step that keeps it.
#[tokio::test(start_paused = true)]
async fn a_death_at_any_step_loses_nothing() {
    let moments = Arc::new(Mutex::new(Vec::<Moment>::new()));
    let copies = tempfile::tempdir().expect("a temporary directory");
    let first = world(host());
    let (kept, root, at) = (moments.clone(), copies.path().to_owned(), first.clone());
    first.after_step(move |disk| {
        let mut moments = kept.lock().expect("moments");
        let to = root.join(moments.len().to_string());
        copy(disk, &to);
        moments.push(Moment { disk: to, delivered: at.delivered().len() });
    });
    let relay = first.relay().await;
    let all = ["bob@x.example> NOTIFY=SUCCESS,FAILURE", "never@x.example", "joe@x.example"];
    first.submit(&all).await;
    first.settle().await;
    assert_eq!((relay.queue(), first.delivered().len()), (vec![], 3), "{}", log(&relay));
    let moments = std::mem::take(&mut *moments.lock().expect("moments"));
    assert!(moments.len() > 20, "{} steps", moments.len());
    let deliveries = first.delivered();
    let mut doubled = 0;
    let mut begun = false;
    for Moment { disk, delivered } in moments {
        let second = world(host());
        copy(&disk, second.spool());
        let relay = second.relay().await;
        let taken_up = ids(&relay.queue()).len();
        second.settle().await;
        assert_eq!(relay.queue(), [], "{}", log(&relay));
        // Before its envelope was there the message had not been accepted, and is the client's.
        begun |= taken_up > 0;
        if !begun {
            assert_eq!(second.delivered(), []);
            continue;
        }
        let both: Vec<_> = deliveries[..delivered].iter().cloned().chain(second.delivered()).collect();
        let count = |is: &dyn Fn(&Delivered) -> bool| both.iter().filter(|mail| is(mail)).count();
        let arrived = count(&|mail| mail.host == "mx.x.example");
        let failed = count(&|mail| mail.content.contains("\r\nAction: failed\r\n"));
        let relayed = count(&|mail| mail.content.contains("\r\nAction: relayed\r\n"));
        let place = disk.display();
        assert!(arrived >= 1 && failed >= 1 && relayed >= 1, "{place}: {arrived}, {failed}, {relayed}");
        doubled += arrived + failed + relayed - 3;
    }
    // The mail itself is sent again if the relay died after the reply, when its new state was written and not yet in its
    // place; RFC 5321 section 6.1 has it so: twice is better than never. The notifications' deliveries are marked in one
    // step, before which the disk shows nothing of the reply, and after which all.
    assert_eq!(doubled, 1);
}

#[tokio::test(start_paused = true)]
async fn what_one_host_has_taken_is_kept_while_another_still_thinks() {
    let world = world(plain());
    world.names(|zone| {
        zone.mx("y.example", 10, "mx.y.example");
        zone.a("mx.y.example", MX2);
    });
    world.put(
        MX2,
        Host::new("mx.y.example").scripted(|heard| if heard == "DATA" { Say::Nothing } else { Say::Usual }),
    );
    let relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@y.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    relay.kill();
    world.put(MX2, Host::new("mx.y.example"));
    let relay = world.relay().await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "not again");
    assert_eq!(recipients(&world, "mx.y.example"), ["joe@y.example"]);
    assert_eq!(relay.queue(), []);
}
