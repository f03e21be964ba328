//! BDAT (RFC 3030).

use super::*;

const OFFERS: [&str; 4] = ["PIPELINING", "8BITMIME", "SIZE", "CHUNKING"];

fn chunking() -> Host {
    plain().offering(&OFFERS)
}

/// The commands but for their sizes: `MAIL`, `BDAT LAST`.
fn verbs(world: &World) -> Vec<String> {
    let verb = |line: String| match line.split_once(' ') {
        Some(("BDAT", rest)) if rest.ends_with("LAST") => "BDAT LAST".to_owned(),
        Some((verb, _)) => verb.to_owned(),
        None => line,
    };
    commands(world, "mx.x.example").into_iter().map(verb).collect()
}

#[rstest]
#[case::pipelined(&OFFERS)]
#[case::in_lock_step(&OFFERS[1..])]
#[tokio::test(start_paused = true)]
async fn mail_goes_by_bdat_where_it_is_offered_dots_and_all(#[case] offers: &[&str]) {
    let world = world(plain().offering(offers));
    let relay = world.relay().await;
    world.submit_as("a@origin.example", "", &["bob@x.example"], "\r\n..\r\n..b\r\n").await;
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "BDAT LAST", "QUIT"]);
    let [mail] = &*world.delivered() else { panic!("{}", log(&relay)) };
    assert!(mail.content.ends_with("\r\n\r\n.\r\n.b\r\n"), "{:?}", mail.content);
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn mail_goes_by_data_where_bdat_is_switched_off() {
    let world = world(chunking());
    let _relay = world.relay_with(|config| config.chunking = false).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]);
}

fn large() -> String {
    "All work and no play makes Jack a dull boy.\r\n".repeat(3000)
}

#[tokio::test(start_paused = true)]
async fn a_large_message_goes_in_several_chunks() {
    let world = world(chunking());
    let relay = world.relay().await;
    world.submit_as("a@origin.example", "", &["bob@x.example"], &format!("\r\n{}", large())).await;
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "BDAT", "BDAT", "BDAT LAST", "QUIT"]);
    let [mail] = &*world.delivered() else { panic!("{}", log(&relay)) };
    assert!(mail.content.ends_with(&large()));
}

#[rstest]
#[case::in_chunks(&OFFERS)]
#[case::by_data(&["PIPELINING", "DSN"])]
#[case::in_lock_step(&[])]
#[tokio::test(start_paused = true)]
async fn replies_may_come_octet_by_octet(#[case] offers: &[&str]) {
    let (tls, _) = super::secures::certified("mx.x.example");
    for encrypted in [false, true] {
        let host = plain().offering(offers).octet_by_octet();
        let world = world(if encrypted { host.with_tls(tls.clone()) } else { host });
        let relay = world.relay().await;
        world.submit(&["bob@x.example", "joe@x.example"]).await;
        world.pass(1).await;
        assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "{}", log(&relay));
        assert_eq!(relay.queue(), []);
    }
}

/// RFC 3030 section 2: no further chunk, and RSET before anything else.
#[tokio::test(start_paused = true)]
async fn after_a_refused_chunk_nothing_but_rset_is_sent() {
    let chunks = AtomicUsize::new(0);
    let world = world(chunking().scripted(move |heard| {
        let second = heard.starts_with("BDAT") && chunks.fetch_add(1, Ordering::Relaxed) == 1;
        if second { "552 5.3.4 Too large".into() } else { Say::Usual }
    }));
    let relay = world.relay().await;
    world.submit_as("a@origin.example", "", &["bob@x.example"], &format!("\r\n{}", large())).await;
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "BDAT", "BDAT", "RSET", "QUIT"]);
    assert_fields(&notification(&world).content, &["Status: 5.3.4"]);
    assert_eq!(relay.queue(), []);
}

#[rstest]
#[case::permanent("550 5.7.1 Not this", 1)]
#[case::for_now("451 4.3.0 Not now", 0)]
#[tokio::test(start_paused = true)]
async fn a_refused_last_chunk_refuses_the_message(#[case] reply: &'static str, #[case] reports: usize) {
    let world = world(chunking().saying("BDAT", reply));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "BDAT LAST", "RSET", "QUIT"]);
    assert_eq!(world.notifications().len(), reports);
    assert_eq!(relay.queue().len(), 1 - reports);
}

#[tokio::test(start_paused = true)]
async fn for_nobody_there_is_no_bdat_and_the_next_mail_goes() {
    let world = world(chunking().saying("RCPT TO:<never", "550 5.1.1 No such user"));
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["never@x.example"]).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    world.put(MX, chunking().saying("RCPT TO:<never", "550 5.1.1 No such user"));
    relay.run_queue();
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "BDAT LAST", "QUIT"]);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    assert_fields(&notification(&world).content, &["Status: 5.1.1"]);
}

/// The host offers what something on the way takes away: it is asked anew, by DATA, which RFC 3030 section 2 says must work.
#[rstest]
#[case("500 #5.5.1 command not recognized")]
#[case("502 5.5.1 Not implemented")]
#[case("503 5.5.1 Bad sequence")]
#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_know_bdat_gets_data_at_once_and_from_then_on(#[case] reply: &'static str) {
    let world = world(chunking().saying("BDAT", reply));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let first = ["EHLO", "MAIL", "RCPT", "BDAT LAST", "RSET", "QUIT"];
    let second = ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"];
    assert_eq!(verbs(&world), [&first[..], &second[..]].concat(), "{}", log(&relay));
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    assert_eq!(verbs(&world)[11..], second);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"]);
    assert_eq!(world.notifications(), []);
}

#[rstest]
#[case::stalls(Say::Nothing)]
#[case::closes(Say::Close)]
#[tokio::test(start_paused = true)]
async fn where_bdat_comes_to_nothing_the_next_attempt_is_by_data(#[case] say: Say) {
    let says = say.clone();
    let stalls = move |heard: &str| if heard.starts_with("BDAT") { says.clone() } else { Say::Usual };
    let world = world(chunking().scripted(stalls));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.pass(60).await;
    let verbs = verbs(&world);
    assert_eq!(verbs.iter().filter(|verb| verb.starts_with("BDAT")).count(), 1, "{verbs:?}");
    assert_eq!(world.when("mx.x.example", "DATA").len(), 1);
    // A host that closes at the last chunk may have taken it (RFC 1047): then there are two.
    let copies = if say == Say::Close { 2 } else { 1 };
    assert_eq!(recipients(&world, "mx.x.example").len(), copies, "{}", log(&relay));
    assert_eq!(relay.queue(), []);
}

/// RFC 3030 section 3: binary mail goes on as it is, octet for octet, to a host that takes it.
#[tokio::test(start_paused = true)]
async fn binary_mail_goes_on_as_it_is() {
    let world = world(plain().offering(&["PIPELINING", "8BITMIME", "SIZE", "CHUNKING", "BINARYMIME"]));
    let relay = world.relay().await;
    let header = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    let content = format!("{header}\0\r\n.\r\n\u{ff}\n\r.\n{}\r", "x".repeat(2000));
    let octets: Vec<u8> = content.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
    let mut client = world.dial();
    let (envelope, size) =
        ("MAIL FROM:<a@origin.example> BODY=BINARYMIME\r\nRCPT TO:<bob@x.example>", octets.len());
    let lines = format!("EHLO client.example\r\n{envelope}\r\nBDAT {size} LAST\r\n");
    let submission = [lines.as_bytes(), &octets, b"QUIT\r\n"].concat();
    tokio::io::AsyncWriteExt::write_all(&mut client, &submission).await.expect("write");
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut client, &mut said).await.expect("read");
    assert!(said.contains("Queued as"), "{said}");
    world.settle().await;
    assert_eq!(verbs(&world), ["EHLO", "MAIL", "RCPT", "BDAT LAST", "QUIT"]);
    assert!(commands(&world, "mx.x.example")[1].contains(" BODY=BINARYMIME"), "{}", log(&relay));
    let [mail] = &*world.delivered() else { panic!("{}", log(&relay)) };
    assert!(mail.content.ends_with(&content), "{:?}", mail.content);
    assert_eq!(relay.queue(), []);
}
