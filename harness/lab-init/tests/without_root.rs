//! Labs in the hands of an ordinary user, who is root in them.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/ordinary.rs"]
mod ordinary;

use common::{LIMIT, bash, ip, lab, lab_of, run, until};
use lab_init::{Command, Lab, Layout, Owner};
use ordinary::is_ordinary;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn the_user_is_root_among_users_of_its_own() {
    if !is_ordinary("the_user_is_root_among_users_of_its_own") {
        return;
    }
    let Some(lab) = lab() else { return };
    let own = std::fs::metadata("/proc/self").unwrap().uid().to_string();
    let (map, _) = run(&lab, Command::new(["cat", "/proc/self/uid_map"]));
    assert_eq!(map.split_whitespace().take(3).collect::<Vec<_>>(), ["0", &own, "1"], "{map}");
    assert_eq!(run(&lab, bash("id -u; id -g; id -G")).0, "0\n0\n0\n");
    // Somebody else, nobody among them.
    for id in ["8", "65534"] {
        let user = Owner::Ids(id.parse().unwrap(), 12);
        assert_eq!(run(&lab, bash("id -u; id -g").user(user)).0, format!("{id}\n12\n"));
    }
    assert_eq!(
        run(&lab, bash("hostname; echo x >/dev/null && head -c3 /dev/zero | wc -c")).0,
        "relay.example\n3\n"
    );
    lab.stop().unwrap();
}

#[test]
fn a_relay_reaches_the_servers_of_the_harness() {
    if !is_ordinary("a_relay_reaches_the_servers_of_the_harness") {
        return;
    }
    let Some(lab) = lab() else { return };
    for at in ["198.51.100.7:25", "[2001:db8::7]:25"] {
        let at: SocketAddr = at.parse().unwrap();
        lab.add_addresses(&[at.ip()]).unwrap();
        let server = lab.bind_tcp(at).unwrap();
        let script = format!("exec 3<>/dev/tcp/{}/25 && echo connected", at.ip());
        let (said, status) = run(&lab, bash(&script));
        assert_eq!((said.as_str(), status.code()), ("connected\n", Some(0)), "{at}");
        assert!(Layout::default().addresses.contains(&server.accept().unwrap().1.ip()));
    }
    let (said, status) = run(&lab, bash(&format!("exec 3<>/dev/tcp/{}/25", ip("198.51.100.7"))));
    assert!(!status.success() && said.contains("Connection refused"), "{said}");
}

#[test]
fn files_of_this_machine_are_only_read() {
    if !is_ordinary("files_of_this_machine_are_only_read") {
        return;
    }
    let Some(lab) = lab() else { return };
    // Over one that is there, beside others, in directories that are not there yet.
    let places =
        ["/etc/hosts", "/etc/our-relay.conf", "/var/spool/our-relay/queue/1", "/usr/local/lib/our-relay/x"];
    for place in places {
        lab.write_file(place, 0o640, &Owner::Ids(8, 12), "ours")
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        let made = lab.open(place).unwrap().metadata().unwrap();
        assert_eq!(run(&lab, Command::new(["stat", "-c", "%u %g %a", place])).0, "8 12 640\n");
        assert_eq!(
            (lab.read_file(place).unwrap().as_slice(), made.permissions().mode() & 0o777),
            (&b"ours"[..], 0o640)
        );
    }
    assert_ne!(std::fs::read("/etc/hosts").unwrap(), b"ours");
    assert!(places[1..].iter().all(|place| !std::path::Path::new(place).exists()));
    // Programs are this machine's; what its users keep to themselves stays theirs.
    assert!(run(&lab, bash("ls /usr/bin | wc -l")).1.success());
    assert!(!run(&lab, bash("cat /etc/shadow")).1.success());
}

#[test]
fn a_root_is_its_makers() {
    if !is_ordinary("a_root_is_its_makers") {
        return;
    }
    let Some(_) = lab() else { return };
    let theirs = Layout { root: "/usr".into(), ..Layout::default() };
    let error = Lab::start(&theirs).expect_err("it is root's");
    assert!(error.is_missing_right() && error.to_string().contains("somebody else"), "{error}");

    let prepared = tempfile::tempdir().unwrap();
    std::fs::create_dir(prepared.path().join("etc")).unwrap();
    std::fs::write(prepared.path().join("etc/passwd"), "root:x:0:0::/:\nmail:x:8:12::/:\n").unwrap();
    let layout = Layout { root: prepared.path().to_owned(), ..Layout::default() };
    let Some(lab) = lab_of(&layout) else { return };
    lab.write_file("/etc/passwd", 0o644, &Owner::User("mail".to_owned()), "changed").unwrap();
    let mut changed = String::new();
    lab.open("/etc/passwd").unwrap().read_to_string(&mut changed).unwrap();
    assert_eq!(changed, "changed");
    lab.stop().unwrap();
    assert!(std::fs::read(prepared.path().join("etc/passwd")).unwrap().starts_with(b"root"));
}

#[test]
fn nothing_is_left_of_it() {
    if !is_ordinary("nothing_is_left_of_it") {
        return;
    }
    let Some(lab) = lab() else { return };
    let space = run(&lab, Command::new(["readlink", "/proc/self/ns/pid"])).0.trim().to_owned();
    lab.spawn(bash("trap '' HUP INT TERM; for n in 1 2 3; do setsid sleep 1000 & done; wait")).unwrap();
    until("all sleep", || {
        let tasks = lab.tasks().unwrap();
        (tasks.iter().filter(|task| task.comm == "sleep").count() == 3).then_some(())
    });
    let inhabitants = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let links = all.filter_map(|one| std::fs::read_link(one.path().join("ns/pid")).ok());
        links.filter(|link| link.to_string_lossy() == space).count()
    };
    // Those that are root in the lab are this user's.
    assert!(inhabitants() > 3, "{}", inhabitants());
    let began = std::time::Instant::now();
    lab.stop().unwrap();
    assert_eq!(inhabitants(), 0);
    assert!(began.elapsed() < LIMIT);
}
