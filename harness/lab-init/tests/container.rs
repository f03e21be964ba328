//! A lab in a container; no engine is needed: what is entered are the namespaces of any process.
#![cfg(target_os = "linux")]

mod common;

use common::{bash, ip, lab, lab_of, run};
use lab_init::Layout;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A process in namespaces of its own, with a file and few rights; ends with this.
struct Container {
    child: Child,
    process: u32,
}

impl Container {
    /// `None` where labs cannot be made either.
    fn start() -> Option<Self> {
        lab()?.stop().unwrap();
        let script = "mount -t tmpfs none /mnt && echo from the container >/mnt/file && hostname container && \
                      exec setpriv --bounding-set=-all,+chown,+kill sh -c 'read -r process rest </proc/self/stat; echo $process; exec sleep 600'";
        let mut child = Command::new("unshare")
            .args([
                "--mount",
                "--uts",
                "--ipc",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                script,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Its `/proc` is the machine's still, so it tells its number there.
        Some(Container { child, process: line.trim().parse().unwrap() })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn layout(container: &Container) -> Layout {
    Layout { container: Some(container.process), ..Layout::default() }
}

#[test]
fn the_relay_has_the_containers_network_and_host_name_and_reaches_the_servers() {
    let Some(container) = Container::start() else { return };
    let lab = lab_of(&layout(&container)).unwrap();
    lab.add_addresses(&[ip("198.51.100.7"), ip("2001:db8::7")]).unwrap();
    for at in ["198.51.100.7:25", "[2001:db8::7]:25"] {
        let at: SocketAddr = at.parse().unwrap();
        let listener = lab.bind_tcp(at).unwrap();
        let (_, status) = run(&lab, bash(&format!("exec 3<>/dev/tcp/{}/25", at.ip())));
        assert!(status.success(), "{at}");
        let (_, from) = listener.accept().unwrap();
        assert!(Layout::default().addresses.contains(&from.ip()), "{from} is the relay's");
    }
    for kind in ["net", "uts", "ipc"] {
        let (inside, _) = run(&lab, bash(&format!("readlink /proc/self/ns/{kind}")));
        let own = std::fs::read_link(format!("/proc/{}/ns/{kind}", container.process)).unwrap();
        assert_eq!(inside.trim(), own.to_str().unwrap());
    }
    lab.stop().unwrap();
}

#[test]
fn what_the_relay_writes_stays_in_the_lab() {
    let Some(container) = Container::start() else { return };
    let lab = lab_of(&layout(&container)).unwrap();
    let (_, status) =
        run(&lab, bash("echo changed >/etc/hostname.gauntlet && echo x >/usr/gauntlet-was-here"));
    assert!(status.success());
    lab.stop().unwrap();
    let there = format!("/proc/{}/root/usr/gauntlet-was-here", container.process);
    assert!(!std::path::Path::new(&there).exists());
}

#[test]
fn the_relay_has_no_right_that_the_container_has_not() {
    let Some(container) = Container::start() else { return };
    let lab = lab_of(&layout(&container)).unwrap();
    // CAP_CHOWN is bit 0, CAP_KILL bit 5 (capabilities(7)).
    let (said, _) = run(&lab, bash("grep -E '^Cap(Eff|Bnd)' /proc/self/status"));
    assert_eq!(said, "CapEff:\t0000000000000021\nCapBnd:\t0000000000000021\n");
    lab.stop().unwrap();
}

#[test]
fn the_end_of_the_container_is_the_end_of_the_lab() {
    let Some(mut container) = Container::start() else { return };
    let lab = lab_of(&layout(&container)).unwrap();
    let mut process = lab.spawn(bash("sleep 600")).unwrap();
    container.child.kill().unwrap();
    container.child.wait().unwrap();
    let error = process.wait(common::LIMIT).unwrap_err();
    assert!(error.to_string().contains("the lab has ended"), "{error}");
    assert!(lab.tasks().is_err());
    lab.stop().unwrap();
}

#[test]
fn a_container_that_is_gone_is_told() {
    let Some(container) = Container::start() else { return };
    let gone = layout(&container);
    drop(container);
    let error = lab_init::Lab::start(&gone).unwrap_err();
    assert!(error.to_string().contains("of the container"), "{error}");
}
