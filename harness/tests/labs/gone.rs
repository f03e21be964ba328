//! However a run ends, nothing of it is left: no process, namespace, mount, directory or file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use gauntlet::lab::{self, Kind, Sim, World};
use gauntlet::relay::{self, Chosen};
use gauntlet::run::{Cancel, RunError, RunOptions, run};
use rstest::rstest;

use crate::{LIMIT, Own, SETTLE, has_labs, note, parsed, until};

const AT_THE_START: &str = "waits";
const IN_MID_SESSION: &str = "waits in mid-session";
const KINDS: [&str; 5] = ["pid", "mnt", "net", "uts", "ipc"];

/// What a run holds, as seen while its relay waits for a signal.
struct Held {
    /// The relay's process.
    relay: u32,
    /// Those of the lab, as `net:[4026532299]`.
    namespaces: BTreeSet<String>,
    /// The relay, process 1 of the lab, and the process outside of it.
    processes: Vec<u32>,
    directories: Vec<PathBuf>,
}

impl Held {
    /// Waits until the relay of this host name waits; its run is done by the process `harness`.
    fn wait(hostname: &str, harness: u32) -> Self {
        let relay = until("the relay waits", || {
            processes().find(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).starts_with(&format!("own-relay that waits, {hostname}"))
            })
        });
        let mut chain = vec![relay];
        while let Some(parent) = chain.last().and_then(|pid| parent(*pid)).filter(|pid| *pid != harness) {
            chain.push(parent);
        }
        assert_eq!(chain.len(), 3, "the relay, process 1 of its lab, and lab-init: {chain:?}");
        let ours: BTreeSet<String> = namespaces(std::process::id()).collect();
        // Process 1 is in the relay's network at times.
        let namespaces = until("there are namespaces, two of the network", || {
            let theirs: BTreeSet<String> = chain[..2].iter().copied().flat_map(namespaces).collect();
            let namespaces: BTreeSet<String> = theirs.difference(&ours).cloned().collect();
            (namespaces.len() == KINDS.len() + 1).then_some(namespaces)
        });
        let directories: Vec<PathBuf> = links(&format!("/proc/{harness}/fd"))
            .filter(|path| path.ends_with(".gauntlet-in-use"))
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        assert!(!directories.is_empty(), "the run has a directory");
        Self { relay, namespaces, processes: chain, directories }
    }

    /// Lets the relay go on.
    fn release(&self) {
        signal(self.relay, "USR1");
    }

    /// What is still there of the lab.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for pid in &self.processes {
            left.extend(Path::new(&format!("/proc/{pid}")).exists().then(|| format!("process {pid}")));
        }
        for pid in processes() {
            let held = namespaces(pid)
                .chain(links(&format!("/proc/{pid}/fd")).map(|path| path.to_string_lossy().into_owned()));
            left.extend(
                held.filter(|name| self.namespaces.contains(name)).map(|name| format!("{name} by {pid}")),
            );
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
        let directories = self.directories.iter().map(|path| path.to_string_lossy().into_owned());
        let named: Vec<String> = self.namespaces.iter().cloned().chain(directories).collect();
        let ours = mounts.lines().filter(|line| named.iter().any(|name| line.contains(name)));
        left.extend(ours.map(|line| format!("mount {line}")));
        left
    }

    /// The directories that are still there.
    fn directories_left(&self) -> Vec<&PathBuf> {
        self.directories.iter().filter(|path| path.exists()).collect()
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .expect("proc is mounted")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

fn namespaces(pid: u32) -> impl Iterator<Item = String> {
    let links =
        KINDS.into_iter().filter_map(move |kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok());
    links.map(|link| link.to_string_lossy().into_owned())
}

/// Where the links of a directory lead. What is gone meanwhile is left out.
fn links(directory: &str) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
}

/// One note for a relay of this name, by which it is known among the machine's processes.
fn named_note() -> (String, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let hostname =
        format!("r{}-{}.origin.example", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let yaml = note(SETTLE).replace("smarthost: hub", &format!("smarthost: hub, hostname: {hostname}"));
    (hostname, yaml)
}

/// A command with a relay that waits, and what it holds.
fn command(habit: &str) -> (Own, Child, Held) {
    let own = Own::that(habit);
    let mut command = own.command();
    let (hostname, yaml) = named_note();
    own.write(&yaml);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts");
    let held = Held::wait(&hostname, child.id());
    (own, child, held)
}

#[rstest]
#[case::verdict(AT_THE_START, None, Some(0))]
// How a relay that pauses is judged depends on how long the machine makes the pause; that nothing is left does not.
#[case::late_verdict(IN_MID_SESSION, None, None)]
#[case::ctrl_c(AT_THE_START, Some("INT"), Some(130))]
#[case::ctrl_c_in_mid_session(IN_MID_SESSION, Some("INT"), Some(130))]
#[case::terminated(IN_MID_SESSION, Some("TERM"), Some(130))]
fn after_a_command(#[case] habit: &str, #[case] name: Option<&str>, #[case] code: Option<i32>) {
    if !has_labs() {
        return;
    }
    let (_own, mut child, held) = command(habit);
    match name {
        Some(name) => signal(child.id(), name),
        None => held.release(),
    }
    let ended = child.wait().expect("it ends");
    assert!(code.is_none() || ended.code() == code, "{ended}");
    assert_gone(&held);
}

#[rstest]
#[case::at_the_start(AT_THE_START)]
#[case::in_mid_session(IN_MID_SESSION)]
fn after_a_command_that_is_killed(#[case] habit: &str) {
    if !has_labs() {
        return;
    }
    let (own, mut child, held) = command(habit);
    signal(child.id(), "KILL");
    child.wait().expect("it ends");
    until("the lab is gone", || held.left().is_empty().then_some(()));
    // Nobody was left to take its directory away; whoever comes next does, which may be another test's run.
    let next = own.command_on("reference").output().expect("the command starts");
    assert!(next.status.code().is_some());
    until("the directory is gone", || held.directories_left().is_empty().then_some(()));
}

/// After runs in this process, whose other tests have directories of their own for a while.
fn assert_gone(held: &Held) {
    // The kernel gives a namespace that is gone's number to the next one that is made, which may be another test's.
    until("nothing of the lab is left", || held.left().is_empty().then_some(()));
    until("the directories are gone", || held.directories_left().is_empty().then_some(()));
}

#[rstest]
#[case::at_the_start(AT_THE_START)]
#[case::in_mid_session(IN_MID_SESSION)]
fn after_a_run_that_is_cancelled(#[case] habit: &str) {
    if !has_labs() {
        return;
    }
    let own = Own::that(habit);
    let (hostname, yaml) = named_note();
    let cancel = Cancel::default();
    let options = RunOptions { cancel: cancel.clone(), ..RunOptions::default() };
    let path = own.path();
    let running = std::thread::spawn(move || run(&parsed(&yaml), &path, &options));
    let held = Held::wait(&hostname, std::process::id());
    cancel.cancel();
    let ended = running.join().expect("it does not panic");
    assert!(matches!(ended, Err(RunError::Cancelled)), "{ended:?}");
    assert_gone(&held);
}

#[test]
fn after_a_panic() {
    if !has_labs() {
        return;
    }
    let own = Own::that(AT_THE_START);
    let (hostname, yaml) = named_note();
    let Ok(Chosen::Process(adapter)) = relay::choose(&own.path()) else { panic!("it is an adapter") };
    let running = std::thread::spawn(move || {
        let (sim, kind) = (
            Sim::default(),
            Kind::Process { adapter, clock: gauntlet::record::Clock::Machine, patience: LIMIT },
        );
        let inner = sim.clone();
        lab::block_on_real(&sim, async move {
            let _world = World::build(&parsed(&yaml), "own-relay", &kind, &inner).await.expect("it starts");
            std::panic::resume_unwind(Box::new("as a failed assertion does"));
        })
        .expect("there is an event queue");
    });
    let held = Held::wait(&hostname, std::process::id());
    held.release();
    assert!(running.join().is_err(), "it panics");
    assert_gone(&held);
}
