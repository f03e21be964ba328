//! `gauntlet run --relay` with the adapter of a relay that runs elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;

use reference_relay::config::Vintage;
use reference_relay::vintage::vintage;
use tempfile::TempDir;

use crate::standing::Standing;
use crate::{Ports, gauntlet};

/// An adapter in a directory of its own.
struct Adapter {
    _directory: TempDir,
    path: PathBuf,
}

impl Adapter {
    /// For this relay, with these lines beside where it is and where it meets its servers.
    fn new(ports: &Ports, address: SocketAddr, lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rack.yaml");
        let text = format!(
            "about: A relay in the rack\naddress: {address}\nserve: {{ port: {}, dns port: {} }}\nrest: 1s\n{lines}",
            ports.mail, ports.dns
        );
        std::fs::write(&path, text).expect("written");
        Self { _directory: directory, path }
    }

    /// With all that a standing relay can be asked.
    fn of(ports: &Ports, relay: &Standing) -> Self {
        let ask = |at: SocketAddr| format!("bash -c 'cat </dev/tcp/{}/{}'", at.ip(), at.port());
        let [list, flush, empty] = [relay.queue, relay.flush, relay.empty].map(ask);
        let lines = format!("list: {list}\nflush: {flush}\nempty: {empty}\nversion: echo 7.0\n");
        Self::new(ports, relay.address, &lines)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let path = self.path.to_string_lossy();
        gauntlet(&[&["run", "--relay", &path], arguments].concat()).output().expect("it starts")
    }
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The line of a scenario.
fn line(told: &str, scenario: &str) -> String {
    let with = |line: &&str| line.split("  ").any(|part| part == scenario);
    told.lines().find(with).unwrap_or_else(|| panic!("{scenario} is not told of:\n{told}")).trim().to_owned()
}

#[test]
fn the_seeds_run_as_far_as_they_can_and_what_cannot_is_told_why() {
    let Some(ports) = Ports::free() else { return };
    let relay = Standing::start(ports.dns(), ports.mail, Vintage::default());
    let output = Adapter::of(&ports, &relay).run(&["scenarios/seeds"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for scenario in ["domino-8bitmime", "ehlo-refused-501", "non-fqdn-banner", "send-again"] {
        let line = line(&told, &format!("seeds/{scenario}"));
        assert!(line.starts_with("pass "), "{line}\n{told}");
    }
    let smarthost = line(&told, "seeds/auth-rejected-smarthost");
    assert!(
        smarthost.starts_with("unsupported ") && smarthost.contains("its adapter has no `configure:`"),
        "{told}"
    );
    let retried = line(&told, "seeds/ehlo-refused-421");
    assert!(retried.starts_with("unsupported ") && retried.contains("no virtual clock"), "{told}");
}

#[test]
fn what_it_does_wrong_is_held_against_it() {
    let Some(ports) = Ports::free() else { return };
    let old = vintage("iis-5").expect("it is built in");
    let relay = Standing::start(ports.dns(), ports.mail, old);
    let output = Adapter::of(&ports, &relay).run(&["--strict", "scenarios/seeds/domino-8bitmime.yaml"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(line(&told, "seeds/domino-8bitmime").starts_with("deviates "), "{told}");
    assert!(told.contains("Microsoft KB Q295734"), "{told}");
}

#[test]
fn a_queue_that_cannot_be_listed_leaves_mail_in_doubt_and_is_left_alone_after() {
    let Some(ports) = Ports::free() else { return };
    let relay = Standing::start(ports.dns(), ports.mail, Vintage::default());
    let adapter = Adapter::new(&ports, relay.address, "");
    let output = adapter.run(&[
        "--jobs",
        "1",
        "scenarios/seeds/domino-8bitmime.yaml",
        "scenarios/seeds/send-again.yaml",
    ]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(line(&told, "seeds/domino-8bitmime").starts_with("pass "), "{told}");
    assert!(line(&told, "seeds/send-again").contains("may still be in its queue"), "{told}");
}

#[test]
fn mail_that_is_there_before_is_not_judged() {
    let Some(ports) = Ports::free() else { return };
    let relay = Standing::start(ports.dns(), ports.mail, Vintage::default());
    let left = "list: printf 'id=Q7\\tfrom=a@b.example\\tto=c@d.example\\tarrived=1\\n'\n";
    let adapter = Adapter::new(&ports, relay.address, left);
    let output = adapter.run(&["scenarios/seeds/domino-8bitmime.yaml"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("holds 1 mail that is not of this run") && told.contains("`empty:`"), "{told}");
}

#[test]
fn a_command_that_fails_is_told_and_no_verdict_is_given() {
    let Some(ports) = Ports::free() else { return };
    let relay = Standing::start(ports.dns(), ports.mail, Vintage::default());
    let adapter = Adapter::new(&ports, relay.address, "list: echo no such host >&2; exit 255\n");
    let output = adapter.run(&["scenarios/seeds/domino-8bitmime.yaml"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("no such host") && told.contains("exit status: 255"), "{told}");
}

#[test]
fn it_is_told_what_a_scenario_asks_for_where_there_is_a_command_for_that() {
    let Some(ports) = Ports::free() else { return };
    let relay = Standing::start(ports.dns(), ports.mail, Vintage::default());
    let directory = tempfile::tempdir().expect("a directory");
    let told_to = directory.path().join("settings");
    let configure = "configure: 'echo {{ smarthost }} {{ auth.user }} {{ trusted | first }} {{ resolver }}";
    let adapter = Adapter::new(&ports, relay.address, &format!("{configure} >{}'\n", told_to.display()));
    let output = adapter.run(&["scenarios/seeds/auth-rejected-smarthost.yaml"]);
    let settings =
        std::fs::read_to_string(&told_to).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let words: Vec<&str> = settings.split_whitespace().collect();
    let [smarthost, _user, trusted, resolver] = words[..] else { panic!("{settings}") };
    assert_eq!((smarthost, trusted, resolver), ("hub.example", "127.0.113.10", "127.51.100.3"), "{settings}");
    assert!(!told(&output).contains("cannot be told"), "{}", told(&output));
}

#[test]
fn where_nobody_listens_the_address_is_told() {
    let Some(ports) = Ports::free() else { return };
    let adapter = Adapter::new(&ports, "127.0.0.1:9".parse().expect("an address"), "");
    let doctor = gauntlet(&["doctor", &adapter.path.to_string_lossy()]).output().expect("it starts");
    assert_eq!(doctor.status.code(), Some(1), "{}", told(&doctor));
    assert!(told(&doctor).contains("nobody listens at 127.0.0.1:9"), "{}", told(&doctor));
}

#[test]
fn mistakes_in_the_adapter_are_told_with_place_and_way_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let wrong = |text: &str| {
        let path = directory.path().join("rack.yaml");
        std::fs::write(&path, text).expect("written");
        let output = gauntlet(&["run", "--relay", &path.to_string_lossy(), "scenarios/seeds"])
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        told(&output)
    };
    let base = "about: A relay\naddress: 127.0.0.1:2500\n";
    let started = wrong(&format!("{base}start: exec relay\n"));
    assert!(started.contains("rack.yaml:3:1") && started.contains("`start:`"), "{started}");
    assert!(wrong(&format!("{base}serve: {{ listen: 8.8.8.8 }}\n")).contains("say `public: true`"));
    assert!(wrong(&format!("{base}serve: {{ prot: 25 }}\n")).contains("did you mean `port`?"));
    assert!(wrong(&format!("{base}cannot: {{ auth: never }}\n")).contains("`cannot:` needs `configure:`"));
    assert!(wrong("about: A relay\naddress: \"relay:99999\"\n").contains("ports are 1 to 65535"));
    assert!(wrong(&format!("{base}rest: 5\n")).contains("write `5s`"));
}
