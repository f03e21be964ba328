//! A lab from outside: what the harness sees of it.
#![cfg(target_os = "linux")]

mod common;

use common::{LIMIT, bash, ip, lab, lab_of, run, until};
use lab_init::{Command, Layout, Output, Owner, Space, Stdin};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;

const CONNECTING: u8 = 2;

#[test]
fn a_relay_reaches_the_servers_of_the_harness() {
    let Some(lab) = lab() else { return };
    lab.add_addresses(&[ip("198.51.100.7"), ip("2001:db8::7")]).unwrap();
    for at in ["198.51.100.7:25", "[2001:db8::7]:25"] {
        let at: SocketAddr = at.parse().unwrap();
        let (tcp, udp) = (lab.bind_tcp(at).unwrap(), lab.bind_udp(at).unwrap());
        let script =
            format!("exec 3<>/dev/tcp/{0}/25 && echo connected; echo question > /dev/udp/{0}/25", at.ip());
        let (said, status) = run(&lab, bash(&script));
        assert_eq!((said.as_str(), status.code()), ("connected\n", Some(0)), "{at}");
        let (_, from) = tcp.accept().unwrap();
        assert!(Layout::default().addresses.contains(&from.ip()), "{from} is the relay's");
        let mut question = [0; 32];
        let length = udp.recv(&mut question).unwrap();
        assert_eq!(&question[..length], b"question\n");
    }
    lab.stop().unwrap();
}

#[test]
fn many_labs_side_by_side_have_the_same_addresses() {
    std::thread::scope(|threads| {
        for number in 0..12 {
            threads.spawn(move || {
                let Some(lab) = lab() else { return };
                let server = ip("2001:db8::25");
                lab.add_addresses(&[server]).unwrap();
                let listener = lab.bind_tcp(SocketAddr::new(server, 25)).unwrap();
                let script = format!("exec 3<>/dev/tcp/{server}/25 && echo {number} >&3");
                assert!(run(&lab, bash(&script)).1.success());
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_nonblocking(false).unwrap();
                let mut said = String::new();
                stream.read_to_string(&mut said).unwrap();
                assert_eq!(said, format!("{number}\n"));
            });
        }
    });
}

#[test]
fn an_address_without_a_listener_refuses() {
    let Some(lab) = lab() else { return };
    for address in ["198.51.100.8", "2001:db8::8"] {
        lab.add_addresses(&[ip(address)]).unwrap();
        let (said, status) = run(&lab, bash(&format!("exec 3<>/dev/tcp/{address}/25")));
        assert!(!status.success() && said.contains("Connection refused"), "{said}");
    }
}

#[test]
fn what_goes_elsewhere_vanishes_inside_the_lab() {
    let Some(lab) = lab() else { return };
    lab.add_addresses(&[ip("198.51.100.9"), ip("198.51.100.10")]).unwrap();
    lab.remove_addresses(&[ip("198.51.100.10")]).unwrap();
    let nowhere = ["192.0.2.1", "198.51.100.10", "203.0.113.200", "2001:db8:ffff::1"];
    let mut tries: Vec<_> = nowhere
        .iter()
        .map(|address| lab.spawn(bash(&format!("exec 3<>/dev/tcp/{address}/25"))).unwrap())
        .collect();
    until("each is connecting", || {
        let connecting = lab.connections().unwrap();
        let to = |address: &str| {
            connecting.iter().any(|c| c.of_relay && c.state == CONNECTING && c.remote.ip() == ip(address))
        };
        nowhere.iter().all(|address| to(address)).then_some(())
    });
    // A whole round trip later, nobody has said no to them.
    assert!(!run(&lab, bash("exec 3<>/dev/tcp/198.51.100.9/25")).1.success());
    for process in &mut tries {
        assert_eq!(process.try_wait().unwrap(), None);
    }
    for (space, devices) in [(Space::Relay, vec!["eth0", "lo"]), (Space::Internet, vec!["lo", "relay"])] {
        let (said, _) = run(&lab, Command::new(["cat", "/proc/net/dev"]).space(space));
        let mut names: Vec<&str> =
            said.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        names.sort_unstable();
        assert_eq!(names, devices, "in {space:?}");
    }
}

#[test]
fn a_client_on_the_internet_reaches_the_relay() {
    let Some(lab) = lab() else { return };
    let from = ip("198.51.100.77");
    let unknown = lab.client_tcp(from).unwrap_err();
    assert!(unknown.to_string().contains("does not exist"), "{unknown}");
    lab.add_addresses(&[from]).unwrap();
    let client = lab.client_tcp(from).unwrap();
    let relay = SocketAddr::new(ip("203.0.113.25"), 25);
    // The relay's kernel refuses, as nobody listens there: it was reached.
    if let Err(error) = rustix::net::connect(&client, &relay) {
        assert_eq!(error, Errno::INPROGRESS);
    }
    let limit = LIMIT.try_into().unwrap();
    assert_eq!(poll(&mut [PollFd::new(&client, PollFlags::OUT)], Some(&limit)), Ok(1));
    let refused = rustix::net::sockopt::socket_error(&client).unwrap();
    assert_eq!(refused, Err(Errno::CONNREFUSED));
}

#[test]
fn a_prepared_root_is_only_read() {
    let prepared = tempfile::tempdir().unwrap();
    std::fs::create_dir(prepared.path().join("etc")).unwrap();
    std::fs::create_dir_all(prepared.path().join("run/daemon")).unwrap();
    std::fs::write(prepared.path().join("etc/passwd"), "root:x:0:0::/:\nmail:x:8:12:Caf\u{e9}:/:\n").unwrap();
    let layout = Layout { root: prepared.path().to_owned(), ..Layout::default() };
    let Some(lab) = lab_of(&layout) else { return };
    assert!(lab.read_file("/etc/passwd").unwrap().starts_with(b"root"));
    lab.write_file("/etc/passwd", 0o644, &Owner::Root, "changed").unwrap();
    lab.write_file("/var/spool/new", 0o600, &Owner::Ids(8, 12), vec![7; 100_000]).unwrap();
    assert_eq!(lab.read_file("/etc/passwd").unwrap(), b"changed");
    let new = lab.open("/var/spool/new").unwrap().metadata().unwrap();
    assert_eq!((new.uid(), new.gid(), new.permissions().mode() & 0o7777, new.len()), (8, 12, 0o600, 100_000));
    assert!(lab.open("/run/daemon").unwrap().metadata().unwrap().is_dir());
    lab.stop().unwrap();
    assert!(std::fs::read(prepared.path().join("etc/passwd")).unwrap().starts_with(b"root"));
    assert!(!prepared.path().join("var").exists());
}

#[test]
fn the_machines_own_root_is_only_read() {
    let Some(lab) = lab() else { return };
    let (said, status) = run(
        &lab,
        bash(
            "echo x > /etc/gauntlet-was-here && touch /tmp/gauntlet-was-here /run/gauntlet-was-here /dev/gauntlet-was-here; hostname; echo $$ > /dev/null; ls /dev/shm /dev/pts; cat /proc/1/comm",
        ),
    );
    assert!(status.success(), "{said}");
    assert!(said.starts_with("relay.example\n"), "{said}");
    for directory in ["/etc", "/tmp", "/run", "/dev"] {
        let name = format!("{directory}/gauntlet-was-here");
        assert!(lab.open(&name).is_ok(), "{name} is in the lab");
        assert!(!std::path::Path::new(&name).exists(), "{name} is not outside");
    }
    // Mounts of the lab are all that it sees.
    let mounts = String::from_utf8(lab.read_file("/proc/1/mountinfo").unwrap()).unwrap();
    let mut at: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    at.sort_unstable();
    assert_eq!(at, ["/", "/dev", "/dev/pts", "/proc", "/run", "/tmp"]);
}

#[test]
fn a_disk_that_is_full() {
    let layout = Layout { upper_bytes: 1 << 20, ..Layout::default() };
    let Some(lab) = lab_of(&layout) else { return };
    let error = lab.write_file("/var/spool/large", 0o644, &Owner::Root, vec![0; 2 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
}

#[test]
fn files_that_are_not_there_and_names_that_nobody_has() {
    let Some(lab) = lab() else { return };
    let error = lab.open("/no/such/file").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/no/such/file") && !error.is_missing_right(), "{error}");
    let error = lab.create("/x", 0o600, &Owner::User("nobody-of-that-name".into())).unwrap_err();
    assert!(error.to_string().contains("nobody-of-that-name"), "{error}");
    let error = lab.spawn(Command::new(["no-such-program"])).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("no-such-program")), (ErrorKind::NotFound, true));
}

#[test]
fn a_command_has_what_it_was_given() {
    let Some(lab) = lab() else { return };
    let command =
        bash("cat; echo $WORD $HOME.; pwd; id -u; grep -c . /proc/self/status > /dev/null; echo bad >&2")
            .env("WORD", "given")
            .cwd("/usr")
            .user(Owner::Ids(8, 12))
            .stdin(Stdin::Bytes(b"read\n".to_vec()))
            .output(Output::Split);
    let mut process = lab.spawn(command).unwrap();
    assert!(process.wait(LIMIT).unwrap().success());
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    process.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("read\ngiven .\n/usr\n8\n", "bad\n"));
    // A long list crosses like a short one.
    let long = "x".repeat(60_000);
    assert_eq!(run(&lab, Command::new(["printf", "%s", &long, &long])).0.len(), 120_000);
}

#[test]
fn ends_orphans_and_the_death_of_all() {
    let Some(lab) = lab() else { return };
    assert_eq!(run(&lab, bash("exit 7")).1.code(), Some(7));
    let mut sleeper = lab.spawn(Command::new(["sleep", "1000"])).unwrap();
    lab.signal(sleeper.pid(), 15).unwrap();
    assert_eq!(sleeper.wait(LIMIT).unwrap().signal(), Some(15));
    assert!(lab.signal(1, 15).is_err(), "lab-init is not the relay's");

    // Its orphan ends too, and leaves no zombie.
    assert!(run(&lab, bash("( : ) & exit 0")).1.success());
    until("nobody is left", || lab.tasks().unwrap().is_empty().then_some(()));

    let mut parent = lab.spawn(bash("for n in 1 2 3 4 5; do setsid sleep 1000 & done; wait")).unwrap();
    let tasks = until("all sleep", || {
        let tasks = lab.tasks().unwrap();
        let asleep = tasks.iter().filter(|task| task.comm == "sleep" && task.state == 'S').count();
        (asleep == 5).then_some(tasks)
    });
    assert!(tasks.iter().any(|task| task.pid == parent.pid() && task.parent == 1 && task.tid == task.pid));
    assert!(tasks.iter().all(|task| task.pid != 1 && task.switches > 0), "{tasks:?}");
    lab.kill_everything().unwrap();
    assert_eq!(lab.tasks().unwrap(), []);
    assert_eq!(parent.wait(LIMIT).unwrap().signal(), Some(9));
    assert_eq!(run(&lab, bash("echo again")).0, "again\n");
}

#[test]
fn bytes_on_the_way_are_seen() {
    let Some(lab) = lab() else { return };
    lab.add_addresses(&[ip("198.51.100.7")]).unwrap();
    let listener = lab.bind_tcp("198.51.100.7:25".parse().unwrap()).unwrap();
    assert_eq!(lab.connections().unwrap(), []);
    let _client = lab.spawn(bash("exec 3<>/dev/tcp/198.51.100.7/25; echo hello >&3; cat <&3")).unwrap();
    let mut stream = until("it connects", || Some(listener.accept().ok()?.0));
    let unread = until("it writes", || {
        let found = lab.connections().unwrap();
        found.into_iter().find(|c| !c.of_relay && c.unread == 6)
    });
    assert_eq!(unread.local.to_string(), "198.51.100.7:25");
    stream.read_exact(&mut [0; 6]).unwrap();
    until("all is quiet", || lab.connections().unwrap().is_empty().then_some(()));
}

#[test]
fn the_system_log_is_the_harnesss() {
    let Some(lab) = lab() else { return };
    if !std::path::Path::new("/usr/bin/logger").exists() {
        eprintln!("skipped: there is no logger(1) here");
        return;
    }
    let script = "for n in $(seq 40); do echo line $n; done | logger -u /dev/log -p mail.info -t relay";
    assert!(run(&lab, bash(script)).1.success(), "more messages than are read do not stop it");
    let mut message = [0; 1024];
    let length = lab.syslog().recv(&mut message).unwrap();
    let text = String::from_utf8_lossy(&message[..length]);
    assert!(text.starts_with("<22>") && text.contains("relay") && text.contains("line 1"), "{text}");
}
