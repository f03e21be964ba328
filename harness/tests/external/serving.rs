//! `gauntlet serve`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use reference_relay::config::Vintage;
use rstest::rstest;

use crate::standing::Standing;
use crate::{Ports, gauntlet, wait_until};

const DOMINO: &str = "scenarios/seeds/domino-8bitmime.yaml";

/// A command that serves, and what it has said so far.
struct Serving {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    stderr: ChildStderr,
}

impl Serving {
    fn start(ports: &Ports, arguments: &[&str]) -> Self {
        let (mail, dns) = (ports.mail.to_string(), ports.dns.to_string());
        let all = [&["serve", "--port", &mail, "--dns-port", &dns], arguments].concat();
        let mut child =
            gauntlet(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (stdout, stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let said = Arc::new(Mutex::new(String::new()));
        let hears = said.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut said = hears.lock().expect("nobody panics");
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, said, reader: Some(reader), stderr }
    }

    fn said(&self) -> String {
        self.said.lock().expect("nobody panics").clone()
    }

    fn hears(&mut self, words: &str) {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !self.said().contains(words) {
            let ended = self.child.try_wait().expect("it is ours");
            assert!(
                ended.is_none() && std::time::Instant::now() < deadline,
                "it did not say {words:?} ({ended:?}):\n{}",
                self.said()
            );
            std::thread::yield_now();
        }
    }

    /// Ends it by a signal; its exit code, and all that it said.
    fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
        let mut ended = None;
        wait_until("it ends", || {
            ended = self.child.try_wait().expect("it is ours");
            ended.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no panic");
        }
        let mut complaints = String::new();
        self.stderr.read_to_string(&mut complaints).expect("text");
        (ended.and_then(|status| status.code()), self.said(), complaints)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that says its lines, each after a reply to the one before.
fn talk(at: SocketAddr, from: Option<&str>, lines: &[&str]) -> Vec<String> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    if let Some(from) = from {
        let from: SocketAddr = format!("{from}:0").parse().expect("an address");
        socket.bind(&from.into()).expect("an address of loopback");
    }
    socket.connect(&at.into()).expect("somebody listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let mut reply = || {
        let mut all = String::new();
        while all.lines().last().is_none_or(|last| last.as_bytes().get(3) == Some(&b'-')) {
            let read = reader.read_line(&mut all).expect("a reply in time");
            assert!(read > 0, "it closed after {all:?}");
        }
        all
    };
    let mut replies = vec![reply()];
    for line in lines {
        stream.write_all(format!("{line}\r\n").as_bytes()).expect("sent");
        replies.push(reply());
    }
    replies
}

const MAIL: [&str; 6] = [
    "EHLO client.origin.example",
    "MAIL FROM:<alice@origin.example>",
    "RCPT TO:<bob@lotus.example>",
    "DATA",
    "Subject: hello\r\n\r\nHello.\r\n.",
    "QUIT",
];

#[rstest]
#[case("INT")]
#[case("TERM")]
fn a_relay_that_is_pointed_there_is_told_of_live_and_in_the_end(#[case] signal: &str) {
    let Some(ports) = Ports::free() else { return };
    let mut serving = Serving::start(&ports, &[DOMINO]);
    serving.hears("Ctrl-C ends it.");
    let table = serving.said();
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(
        row("lotus").contains("198.51.100.10:25") && row("lotus").contains(&ports.server().to_string()),
        "{table}"
    );
    assert!(row("lotus").contains("MX of lotus.example"), "{table}");
    assert!(row("DNS").contains(&ports.dns().to_string()), "{table}");
    assert!(table.contains(&format!("the port of its next hops is {}", ports.mail)), "{table}");

    let relay = Standing::start(ports.dns(), ports.mail, Vintage::default());
    let replies = talk(relay.address, Some("127.0.113.10"), &MAIL);
    assert!(replies[5].starts_with("250"), "{replies:?}");
    serving.hears("the server takes the mail");
    let told = serving.said();
    for line in ["dns          MX lotus.example: MX 10 ", "lotus 1      *  the relay calls, from 127.0.0.1:"]
    {
        assert!(told.contains(line), "{line:?} is missing in\n{told}");
    }
    assert!(told.contains("lotus 1      C: MAIL FROM:<alice@origin.example>"), "{told}");
    assert!(told.contains("lotus 1      C| Hello."), "{told}");

    drop(relay);
    let (code, said, complaints) = serving.end(signal);
    assert_eq!(code, Some(0), "{said}{complaints}");
    assert_eq!(complaints, "ending\n");
    let summary = said.split("\nserver ").nth(1).expect("a summary");
    let lotus = summary.lines().find(|line| line.starts_with("lotus ")).expect("a row");
    assert_eq!(lotus.split_whitespace().collect::<Vec<_>>(), ["lotus", "1", "1", "0"], "{said}");
    assert!(summary.contains("nothing that was said breaks a rule of the wire"), "{said}");
}

#[test]
fn what_breaks_a_rule_of_the_wire_is_held_against_the_relay_and_ends_with_1() {
    let Some(ports) = Ports::free() else { return };
    let mut serving = Serving::start(&ports, &[DOMINO]);
    serving.hears("Ctrl-C ends it.");
    let lines = ["EHLO relay.origin.example", "MAIL FROM: <alice@origin.example>", "QUIT"];
    talk(ports.server(), None, &lines);
    serving.hears("the relay closes");
    let (code, said, _) = serving.end("INT");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("held against what the relay said") && said.contains("RFC 5321 section 3.3"),
        "{said}"
    );
    assert!(said.contains("│ C: MAIL FROM: <alice@origin.example>"), "{said}");
}

#[rstest]
#[case(&["--listen", "8.8.8.8"], "8.8.8.8 is a public address")]
#[case(&["--listen", "0.0.0.0"], "0.0.0.0 is every address of this machine")]
#[case(&["--listen", "127.0.0.1,2600::1"], "2600::1 is a public address")]
fn a_public_address_has_to_be_meant(#[case] arguments: &[&str], #[case] told: &str) {
    let output = gauntlet(&[&["serve", DOMINO], arguments].concat()).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains(told) && complaint.contains("add --public"), "{complaint}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_place_that_is_taken_is_told_with_a_way_out() {
    let Some(ports) = Ports::free() else { return };
    let _taken = std::net::TcpListener::bind(ports.server()).expect("it was free a moment ago");
    let (mail, dns) = (ports.mail.to_string(), ports.dns.to_string());
    let output =
        gauntlet(&["serve", DOMINO, "--port", &mail, "--dns-port", &dns]).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{complaint}");
    assert!(
        complaint.contains(&ports.server().to_string()) && complaint.contains("choose another port"),
        "{complaint}"
    );
}

#[test]
fn at_one_address_each_server_has_a_port_and_dns_is_said_not_to_tell_it() {
    let Some(ports) = Ports::free() else { return };
    let mut serving =
        Serving::start(&ports, &["--listen", "127.0.0.1", "scenarios/seeds/non-fqdn-banner.yaml"]);
    serving.hears("Ctrl-C ends it.");
    let said = serving.said();
    for (server, on) in [("exchange ", 0), ("full-name ", 1), ("short-name ", 2)] {
        let row = said.lines().find(|line| line.starts_with(server)).unwrap_or_default();
        assert!(row.contains(&format!("127.0.0.1:{} ", ports.mail + on)), "{server}: {said}");
    }
    assert!(said.contains("DNS tells no ports"), "{said}");
    let greeting = talk(([127, 0, 0, 1], ports.mail + 2).into(), None, &["QUIT"]);
    assert!(greeting[0].starts_with("220"), "{greeting:?}");
    assert_eq!(serving.end("INT").0, Some(0));
}

#[test]
fn one_scenario_is_served_at_a_time() {
    let output = gauntlet(&["serve", "scenarios/seeds"]).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("one scenario is served at a time"), "{complaint}");
}

#[test]
fn it_ends_when_nobody_reads_what_it_says() {
    let Some(ports) = Ports::free() else { return };
    let (mail, dns) = (ports.mail.to_string(), ports.dns.to_string());
    let mut child = gauntlet(&["serve", DOMINO, "--port", &mail, "--dns-port", &dns])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = [0];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it says something");
    drop(child.stdout.take());
    wait_until("it listens", || TcpStream::connect(ports.server()).is_ok());
    wait_until("it ends", || child.try_wait().expect("it is ours").is_some());
}
