//! However a lab ends, nothing of it is left: no process, namespace, mount or file.
#![cfg(target_os = "linux")]

mod common;

use common::{LIMIT, bash, lab, run, until};
use lab_init::{Command, Lab};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

/// Set for this program when it runs as the harness that is to be killed.
const VICTIM: &str = "GAUNTLET_TEST_VICTIM";
const KINDS: [&str; 5] = ["pid", "mnt", "net", "uts", "ipc"];

/// The names of a lab's namespaces.
fn namespaces(lab: &Lab) -> BTreeSet<String> {
    let links = |lab: &Lab, space| {
        let names = KINDS.map(|kind| format!("/proc/self/ns/{kind}"));
        run(lab, Command::new([&["readlink".to_owned()], names.as_slice()].concat()).space(space)).0
    };
    let both = links(lab, lab_init::Space::Relay) + &links(lab, lab_init::Space::Internet);
    both.lines().map(str::to_owned).collect()
}

/// Processes of this machine that are in one of the namespaces.
fn inhabitants(namespaces: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for kind in KINDS {
            let Ok(link) = std::fs::read_link(process.path().join("ns").join(kind)) else { continue };
            if namespaces.contains(&*link.to_string_lossy()) {
                found.push(format!("{} in {}", process.path().display(), link.display()));
            }
        }
    }
    found
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// A lab with many processes, in sessions of their own, that would go on for long.
fn busy(lab: &Lab) {
    let script = "trap '' HUP INT TERM; for n in $(seq 24); do setsid sleep 1000 & done; wait";
    // Its handle is dropped, and it runs on.
    lab.spawn(bash(script)).unwrap();
    until("all sleep", || {
        let tasks = lab.tasks().unwrap();
        (tasks.iter().filter(|task| task.comm == "sleep").count() == 24).then_some(())
    });
}

#[test]
fn after_its_stop_its_drop_and_a_panic() {
    let before = mounts();
    let stop = |lab: Lab| lab.stop().unwrap();
    let panic = |lab: Lab| {
        let ended = std::thread::spawn(move || {
            let _lab = lab;
            std::panic::resume_unwind(Box::new("as a failed assertion does"));
        });
        assert!(ended.join().is_err());
    };
    for end in [&stop as &dyn Fn(Lab), &drop::<Lab>, &panic] {
        let Some(lab) = lab() else { return };
        busy(&lab);
        let names = namespaces(&lab);
        assert_eq!(names.len(), KINDS.len() + 1, "two of the network: {names:?}");
        assert!(inhabitants(&names).len() > 24);
        end(lab);
        // At once: the end of a lab is waited for.
        assert_eq!(inhabitants(&names), Vec::<String>::new());
    }
    assert_eq!(mounts(), before);
}

/// Not a test: the harness that the tests below kill. It makes labs, tells their namespaces, and waits for its death.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let labs: Vec<Lab> = (0..2).map(|_| Lab::start(&lab_init::Layout::default()).unwrap()).collect();
    let mut out = std::io::stderr();
    for lab in &labs {
        busy(lab);
        for name in namespaces(lab) {
            writeln!(out, "{name}").unwrap();
        }
    }
    writeln!(out, "ready").unwrap();
    std::io::stdin().read_exact(&mut [0]).unwrap();
}

fn victim_of_its_own() -> (Child, BTreeSet<String>) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, "1")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let names: BTreeSet<String> =
        said.take_while(|line| line != "ready").filter(|line| line.contains(":[")).collect();
    assert_eq!(names.len(), 2 * (KINDS.len() + 1), "{names:?}");
    assert!(inhabitants(&names).len() > 48);
    (child, names)
}

#[test]
fn after_the_harness_was_killed() {
    let Some(lab) = lab() else { return };
    drop(lab);
    let before = mounts();
    let (mut harness, names) = victim_of_its_own();
    harness.kill().unwrap();
    harness.wait().unwrap();
    until("all is gone", || inhabitants(&names).is_empty().then_some(()));
    assert_eq!(mounts(), before);
}

#[test]
fn after_control_c() {
    let Some(lab) = lab() else { return };
    drop(lab);
    let (mut harness, names) = victim_of_its_own();
    // What a terminal does: the signal goes to the whole group of the harness, and to no lab.
    let group = rustix::process::Pid::from_child(&harness);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    harness.wait().unwrap();
    until("all is gone", || inhabitants(&names).is_empty().then_some(()));
}

#[test]
fn the_harness_is_told_when_the_lab_ends_by_itself() {
    let Some(lab) = lab() else { return };
    let mut sleeper = lab.spawn(Command::new(["sleep", "1000"])).unwrap();
    // Out of memory, or a hand from outside: process 1, as this machine numbers it, is killed.
    let names = namespaces(&lab);
    let first = inhabitants(&names)
        .iter()
        .filter_map(|line| line.strip_prefix("/proc/")?.split(' ').next()?.parse::<i32>().ok())
        .min()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    rustix::process::kill_process(first, rustix::process::Signal::KILL).unwrap();
    let error = sleeper.wait(LIMIT).unwrap_err();
    assert!(error.to_string().contains("the lab has ended"), "{error}");
    let error = lab.tasks().unwrap_err();
    assert!(error.to_string().contains("it has ended"), "{error}");
    until("all is gone", || inhabitants(&names).is_empty().then_some(()));
}
