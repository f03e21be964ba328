//! A lab's clock from outside: it is looked at and moved, and what it does not carry is told.
#![cfg(target_os = "linux")]

mod common;

use common::{LIMIT, bash, ip, lab, until};
use lab_init::{Command, InFlight, Jump, Lab, Look, Output, Process, Told};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

const START: u64 = 1_900_000_000;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A lab with a clock; `None`: see [`lab`].
fn lab_with_clock() -> Option<Lab> {
    let lab = lab()?;
    lab.start_clock(SystemTime::UNIX_EPOCH + at(START), 0).unwrap();
    Some(lab)
}

fn jump(to: Duration) -> Jump {
    Jump { to, sleep_on: false, on_before: None, log: None }
}

/// Looks until nobody has run between two looks.
fn settled(lab: &Lab) -> Look {
    let mut last = None;
    until("all is quiet", || {
        let look = lab.look().unwrap();
        let same = last == Some(look.mark) && !look.busy;
        last = Some(look.mark);
        same.then_some(look)
    })
}

/// A shell's script, and the lines that it says.
fn started(lab: &Lab, script: &str) -> (Process, impl Iterator<Item = String>) {
    let mut process = lab.spawn(bash(script).output(Output::Merged)).unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    (process, lines)
}

#[test]
fn who_waits_goes_on_when_the_clock_has_come_there() {
    let Some(lab) = lab_with_clock() else { return };
    let (mut process, mut lines) = started(&lab, "sleep 86400; date +%s");
    let look = settled(&lab);
    assert_eq!(
        (look.next.map(|next| next.as_secs()), look.outside.as_slice()),
        (Some(86_400), [].as_slice())
    );
    assert_eq!(lab.jump(jump(look.next.unwrap())).unwrap().steps, 1);
    assert_eq!(lines.next(), Some((START + 86_400).to_string()));
    assert!(process.wait(LIMIT).unwrap().success());
}

#[test]
fn who_is_due_sleeps_on_until_the_next_jump_when_something_comes_first() {
    let Some(lab) = lab_with_clock() else { return };
    let (mut process, mut lines) = started(&lab, "sleep 60; date +%s");
    let next = settled(&lab).next.unwrap();
    lab.jump(Jump { sleep_on: true, ..jump(next) }).unwrap();
    for _ in 0..20 {
        let look = settled(&lab);
        assert_eq!((look.busy, look.next), (false, Some(next)), "it is due, and sleeps");
    }
    // To the same moment.
    lab.jump(jump(next)).unwrap();
    assert_eq!(lines.next(), Some((START + 60).to_string()));
    assert!(process.wait(LIMIT).unwrap().success());
}

#[test]
fn the_clock_does_not_go_back() {
    let Some(lab) = lab_with_clock() else { return };
    lab.jump(jump(at(60))).unwrap();
    let error = lab.jump(jump(at(59))).unwrap_err().to_string();
    assert!(error.contains("moving the lab's clock") && error.contains("59"), "{error}");
    // Nothing has broken.
    lab.jump(jump(at(60))).unwrap();
    let (_process, mut lines) = started(&lab, "date +%s");
    assert_eq!(lines.next(), Some((START + 60).to_string()));
}

#[test]
fn a_program_that_reads_the_clock_very_often_comes_ahead_and_stops_nobody() {
    let Some(lab) = lab_with_clock() else { return };
    // Each reading is a microsecond: some tenths of a second.
    let reads = "use Time::HiRes 'time'; time for 1 .. 300_000; print qq(done\\n); sleep 1000";
    let mut command = lab.spawn(Command::new(["perl", "-e", reads]).output(Output::Merged)).unwrap();
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines();
    // What it prints is written when it sleeps or ends; it sleeps for good.
    settled(&lab);
    for moment in [1, 2, 3] {
        lab.jump(Jump { sleep_on: true, ..jump(Duration::from_millis(moment)) }).unwrap();
    }
    lab.jump(jump(at(2000))).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "done");
}

#[test]
fn what_a_program_asks_for_in_vain_is_told_once() {
    let Some(lab) = lab_with_clock() else { return };
    // As one who may not, so that the machine's own clock is in no danger.
    let asks = "$) = $( = 65534; $< = $> = 65534; exec 'date', '-s', '@1'";
    let mut process = lab.spawn(Command::new(["perl", "-e", asks])).unwrap();
    assert!(!process.wait(LIMIT).unwrap().success());
    assert_eq!(lab.look().unwrap().told, [Told::SetsClock]);
    assert_eq!(lab.look().unwrap().told, []);
}

#[test]
fn programs_outside_the_clock_are_told_by_name() {
    let Some(lab) = lab_with_clock() else { return };
    let number = if cfg!(target_arch = "x86_64") { 35 } else { 101 };
    let sleeps = format!("syscall({number}, my $time = pack('qq', 1000, 0), 0)");
    lab.spawn(Command::new(["perl", "-e", &sleeps])).unwrap();
    let one = until("it sleeps", || lab.look().unwrap().outside.pop());
    assert_eq!((one.program.as_str(), one.follows), ("perl", true));
    assert!(one.how.contains("nanosleep"), "{}", one.how);
    lab.kill_everything().unwrap();
    lab.write_file("/etc/ld.so.preload", 0o644, &lab_init::Owner::Root, "").unwrap();
    lab.spawn(Command::new(["sleep", "1000"])).unwrap();
    let one = until("it sleeps", || lab.look().unwrap().outside.pop());
    assert_eq!((one.program.as_str(), one.follows), ("sleep", false));
}

#[test]
fn octets_and_questions_under_way_are_seen() {
    let Some(lab) = lab_with_clock() else { return };
    let server = ip("198.51.100.7");
    lab.add_addresses(&[server]).unwrap();
    let tcp = lab.bind_tcp(SocketAddr::new(server, 25)).unwrap();
    let udp = lab.bind_udp(SocketAddr::new(server, 53)).unwrap();
    let script =
        format!("exec 3<>/dev/tcp/{server}/25; read -u 3 word; echo $word >/dev/udp/{server}/53; sleep 1000");
    let (_process, _lines) = started(&lab, &script);
    let (mut stream, _) = until("it calls", || tcp.accept().ok());
    let before = settled(&lab);
    assert!(before.in_flight.is_none() && before.next.is_none(), "{before:?}");
    stream.write_all(b"question\n").unwrap();
    // Nobody has read the datagram yet.
    let look = until("it sleeps", || Some(settled(&lab)).filter(|look| look.next.is_some()));
    assert!(look.in_flight == Some(InFlight::Between) && look.mark != before.mark, "{look:?}");
    let mut question = [0; 32];
    assert_eq!(until("it comes", || udp.recv(&mut question).ok()), 9);
    assert!(settled(&lab).in_flight.is_none());
}
