//! The relay as a server, with sockets and time: STARTTLS, clients that go away, large mail and long lists.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::ServerName;

use super::*;
use crate::config::Certificate;
use crate::environment::Stream;
use crate::tls::Tls;

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["relay.example".to_owned()]).expect("a certificate");
    let pem = |label: &str, der: &[u8]| {
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    };
    Certificate {
        chain: pem("CERTIFICATE", made.cert.der()),
        key: pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    }
}

/// Reads up to what ends so.
async fn until(stream: &mut dyn Stream, end: &str) -> String {
    let mut said = Vec::new();
    while !said.ends_with(end.as_bytes()) {
        let mut octet = [0];
        assert_eq!(stream.read(&mut octet).await.expect("read"), 1, "{}", String::from_utf8_lossy(&said));
        said.push(octet[0]);
    }
    String::from_utf8(said).expect("ASCII")
}

#[tokio::test(start_paused = true)]
async fn mail_comes_over_tls_and_what_was_slipped_in_before_it_does_not() {
    let world = world(plain());
    let _relay = world.relay_with(|config| config.certificate = Some(certificate())).await;
    let mut clear = world.dial();
    clear.write_all(b"EHLO c.example\r\n").await.expect("write");
    assert!(until(&mut clear, "250 STARTTLS\r\n").await.contains("250-PIPELINING\r\n"));
    clear.write_all(b"STARTTLS\r\nRSET\r\nEHLO evil\r\nMAIL FROM:<evil@x.example>\r\n").await.expect("write");
    until(&mut clear, "220 2.0.0 Ready to start TLS\r\n").await;
    let connector = Tls::new(&[], Arc::new(world.clone())).expect("TLS").opportunistic;
    let name = ServerName::try_from("relay.example").expect("a name");
    let mut tls = connector.connect(name, clear).await.expect("a handshake");
    tls.write_all(b"MAIL FROM:<a@origin.example>\r\nEHLO c.example\r\n").await.expect("write");
    let said = until(&mut tls, "250 SMTPUTF8\r\n").await;
    assert!(said.starts_with("503 5.5.1 Say EHLO or HELO first\r\n250-relay.example"), "{said}");
    let rest = b"MAIL FROM:<a@origin.example>\r\nRCPT TO:<bob@x.example>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n";
    tls.write_all(rest).await.expect("write");
    let mut said = String::new();
    tls.read_to_string(&mut said).await.expect("closed in order, by close_notify");
    assert!(said.contains("Queued as Q1"), "{said}");
    world.settle().await;
    let [mail] = &*world.delivered() else { panic!("not delivered") };
    assert!(mail.content.contains("by relay.example with ESMTPS id Q1"), "{}", mail.content);
    assert_eq!(mail.sender, "a@origin.example");
}

/// `in-starttls-then-close`, and silence in its place.
#[rstest]
#[case::closes(true, 0, "TLS failed: ")]
#[case::is_silent(false, 5, "no TLS handshake came")]
#[tokio::test(start_paused = true)]
async fn a_client_that_begins_no_handshake_is_let_go(
    #[case] closes: bool,
    #[case] minutes: u64,
    #[case] why: &str,
) {
    let world = world(plain());
    let relay = world.relay_with(|config| config.certificate = Some(certificate())).await;
    let mut client = world.dial();
    client.write_all(b"STARTTLS\r\n").await.expect("write");
    until(&mut client, "220 2.0.0 Ready to start TLS\r\n").await;
    if closes {
        client.shutdown().await.expect("shutdown");
    }
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("read");
    assert_eq!(world.minute(), minutes);
    assert!(log(&relay).contains(&format!("client [198.51.100.9]: {why}")), "{}", log(&relay));
    assert!(
        rest.iter().all(|octet| !octet.is_ascii_alphabetic()) || rest.first() == Some(&21),
        "only a TLS alert"
    );
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_none_is_told_at_the_start() {
    let world = world(plain());
    let nothing = Certificate { chain: String::new(), key: "secret".to_owned() };
    let config = crate::config::Config {
        spool: world.spool().to_owned(),
        certificate: Some(nothing),
        ..crate::testing::config()
    };
    assert!(!format!("{config:?}").contains("secret"), "a key is nobody's to see");
    let started = Relay::start(config, Arc::new(world.clone()), Arc::new(world.clone())).await;
    let Err(error) = started else { panic!("it started") };
    assert!(error.to_string().starts_with("the certificate cannot be used: "), "{error}");
}

/// `in-drop-before-dot`: no part of a message is mail.
#[rstest]
#[case::in_data("DATA\r\nSubject: hi\r\n\r\nhalf of")]
#[case::before_the_last_lf("DATA\r\nhalf of it\r\n.\r")]
#[case::in_a_chunk("BDAT 100 LAST\r\nhalf of")]
#[case::between_chunks("BDAT 7\r\nhalf of")]
#[tokio::test(start_paused = true)]
async fn a_client_that_drops_before_the_end_has_sent_nothing(#[case] rest: &str) {
    let world = world(plain());
    let relay = world.relay().await;
    let mut client = world.dial();
    let start = "EHLO c.example\r\nMAIL FROM:<a@origin.example>\r\nRCPT TO:<bob@x.example>\r\n";
    client.write_all(format!("{start}{rest}").as_bytes()).await.expect("write");
    drop(client);
    world.pass(600).await;
    assert_eq!((relay.queue(), world.delivered()), (vec![], vec![]));
}

/// `in-drop-after-dot` and `in-close-without-quit`: what is stored is delivered, once, whether its 250 is heard or not.
#[tokio::test(start_paused = true)]
async fn a_client_that_drops_after_the_dot_has_sent_its_mail_once() {
    let world = world(plain());
    let relay = world.relay().await;
    let mut client = world.dial();
    let talk = "EHLO c.example\r\nMAIL FROM:<a@origin.example>\r\nRCPT TO:<bob@x.example>\r\nDATA\r\n";
    client.write_all(talk.as_bytes()).await.expect("write");
    until(&mut client, "354 Go ahead, and end with CRLF . CRLF\r\n").await;
    client.write_all(b"hi\r\n.\r\n").await.expect("write");
    drop(client);
    world.pass(600).await;
    assert_eq!(
        (relay.queue(), recipients(&world, "mx.x.example")),
        (vec![], vec!["bob@x.example".to_owned()])
    );
    assert_eq!(world.notifications(), []);
}

/// `in-idle-after-250`.
#[tokio::test(start_paused = true)]
async fn a_client_that_stays_is_told_421_after_five_minutes_and_its_mail_is_safe() {
    let world = world(plain());
    let _relay = world.relay().await;
    let mut client = world.dial();
    let talk =
        "EHLO c.example\r\nMAIL FROM:<a@origin.example>\r\nRCPT TO:<bob@x.example>\r\nDATA\r\nhi\r\n.\r\n";
    client.write_all(talk.as_bytes()).await.expect("write");
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("read");
    assert!(said.contains("\r\n250 2.0.0 Queued as Q1\r\n421 4.4.2 "), "{said}");
    assert_eq!((world.minute(), recipients(&world, "mx.x.example").len()), (5, 1));
}

/// Says all of it while it hears the answers, as a client must that pipelines much.
async fn pour(world: &World, talk: Vec<u8>) -> String {
    let (mut hears, mut says) = tokio::io::split(world.dial());
    let saying = tokio::spawn(async move { says.write_all(&talk).await });
    let mut said = String::new();
    hears.read_to_string(&mut said).await.expect("read");
    saying.await.expect("no panic").expect("write");
    said
}

/// Its time is that of reading it: were it quadratic, this would not end.
#[tokio::test(start_paused = true)]
async fn ten_megabytes_come_and_go() {
    let world = world(plain());
    let relay = world.relay_with(|config| config.size_limit = None).await;
    let mut talk = b"EHLO c.example\r\nMAIL FROM:<a@origin.example>\r\nRCPT TO:<bob@x.example>\r\n".to_vec();
    let line = format!("{}\r\n", "x".repeat(98));
    talk.extend_from_slice(b"BDAT 10000000 LAST\r\n");
    talk.extend_from_slice(line.repeat(100_000).as_bytes());
    talk.extend_from_slice(b"QUIT\r\n");
    let said = pour(&world, talk).await;
    assert!(said.contains("Queued as Q1"), "{said}");
    world.settle().await;
    let [mail] = &*world.delivered() else { panic!("{}", log(&relay)) };
    assert!(mail.content.len() > 10_000_000 && mail.content.ends_with(&line));
    assert_eq!(relay.queue(), []);
}

/// Ten thousand recipients, a thousand for each of ten domains that turn away every hundredth: the disk is written to a
/// few times for each next hop and not for each recipient.
#[tokio::test(start_paused = true)]
async fn ten_thousand_recipients_are_a_few_steps_on_disk() {
    let world = world(plain());
    for n in 0..10 {
        world.names(|zone| zone.mx(&format!("d{n}.example"), 10, "mx.x.example"));
    }
    world.put(
        MX,
        plain().scripted(|heard| {
            if heard.starts_with("RCPT") && heard.contains("99@") {
                "550 5.1.1 No".into()
            } else {
                Say::Usual
            }
        }),
    );
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = steps.clone();
    world.after_step(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let relay = world.relay().await;
    let mut talk = "EHLO c.example\r\nMAIL FROM:<a@origin.example>\r\n".to_owned();
    for n in 0..10_000 {
        talk.extend(["RCPT TO:<r", &n.to_string(), "@d", &(n / 1000).to_string(), ".example>\r\n"]);
    }
    talk += "DATA\r\nhi\r\n.\r\nQUIT\r\n";
    let said = pour(&world, talk.into_bytes()).await;
    assert!(said.contains("Queued as Q1"));
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example").len(), 9_900);
    assert_eq!(notification(&world).content.matches("\r\nAction: failed\r\n").count(), 100);
    assert_eq!(relay.queue(), []);
    let steps = steps.load(Ordering::Relaxed);
    assert!(steps < 60, "{steps} steps");
}
