//! The facts of this machine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use lab_init::{Jump, Lab, Layout};

use super::{Facts, Kernel, NoLab, Program, Relay, containers};
use crate::relay::adapter::Adapter;
use crate::relay::roots::{self, Whereabouts};

/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at this machine, and for these relays. Makes a lab, and one for each relay that is here, and one in a container, and takes
/// them away.
pub fn look(relays: &[Adapter]) -> Facts {
    let began = Instant::now();
    let lab = lab_init::check().map(|()| began.elapsed());
    let labs_work = lab.is_ok();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Facts {
        embedded: embedded(),
        clock: labs_work.then(clock),
        lab: lab.map_err(|error| NoLab { why: error.cause(), mend: error.help().map(str::to_owned) }),
        kernel: kernel(&status),
        relays: relays
            .iter()
            .filter(|adapter| adapter.container.is_none())
            .map(|adapter| relay(adapter, labs_work))
            .collect(),
        mmdebstrap: ask("mmdebstrap", &["--version"]),
        is_root: user(&status) == Some(0),
        containers: containers::look(relays),
        subordinate_ids: subordinate_ids(user(&status)),
        newuidmap: program("newuidmap"),
    }
}

/// What a run on an embedded relay needs: a socket on loopback, and a directory.
fn embedded() -> Result<PathBuf, String> {
    let socket = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
    socket.map_err(|error| format!("no socket on loopback: {error}"))?;
    let place = std::env::temp_dir();
    let directory = tempfile::Builder::new().prefix("gauntlet-doctor").tempdir_in(&place);
    directory.map_err(|error| format!("no directory can be made in {}: {error}", place.display()))?;
    Ok(place)
}

fn kernel(status: &str) -> Kernel {
    let namespaces = fs::read_dir("/proc/self/ns").ok().map(|entries| {
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    });
    let file_systems = fs::read_to_string("/proc/filesystems").ok();
    let has = |name: &str| {
        let known = |all: &String| all.lines().any(|line| line.split_whitespace().last() == Some(name));
        file_systems.as_ref().map(known)
    };
    // A module that is not loaded yet is loaded when it is asked for.
    let or_module = |there: Option<bool>| there.filter(|&there| there);
    let is_linux = file_systems.is_some();
    Kernel {
        rights: field(status, "CapEff").and_then(|mask| u64::from_str_radix(mask, 16).ok()),
        namespaces,
        overlayfs: or_module(has("overlay")),
        tmpfs: has("tmpfs"),
        veth: or_module(Some(Path::new("/sys/module/veth").exists())),
        ipv6: is_linux.then(|| Path::new("/proc/net/if_inet6").exists()),
    }
}

/// The value of a line of `/proc/self/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The effective user's number (proc_pid_status(5)).
fn user(status: &str) -> Option<u32> {
    field(status, "Uid")?.split_whitespace().nth(1)?.parse().ok()
}

/// Whether `/etc/subuid` names this user, by number or name (subuid(5)).
fn subordinate_ids(user: Option<u32>) -> bool {
    let Some(user) = user.map(|user| user.to_string()) else { return false };
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = names.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == user).then_some(name)
    });
    let listed = fs::read_to_string("/etc/subuid").unwrap_or_default();
    listed.lines().filter_map(|line| line.split(':').next()).any(|one| one == user || Some(one) == name)
}

fn relay(adapter: &Adapter, labs_work: bool) -> Relay {
    let Whereabouts { prepared, root } = roots::find(adapter);
    let is_prepared = root.is_some() && root == prepared;
    let made = root.as_ref().filter(|_| is_prepared).and_then(|root| roots::made(adapter, root));
    Relay {
        name: adapter.name.clone(),
        version: root.as_ref().filter(|_| labs_work).and_then(|root| version(adapter, root)),
        looked_for: roots::nowhere(adapter, prepared.as_deref()),
        root,
        command: roots::command(adapter),
        is_up_to_date: made.map(|made| made.is_up_to_date),
    }
}

/// Whether a program dates things by the virtual clock of its lab, a day on; if so, whether programs run in turn.
fn clock() -> Result<bool, String> {
    const DAY: Duration = Duration::from_hours(24);
    let told = |error: lab_init::LabError| error.to_string();
    let date = SystemTime::UNIX_EPOCH + 20_000 * DAY;
    let lab = Lab::start(&Layout::default()).map_err(told)?;
    lab.start_clock(date, 0).map_err(told)?;
    lab.jump(Jump { to: DAY, sleep_on: false, on_before: None, log: None }).map_err(told)?;
    let asked = lab_init::Command::new(["/bin/sh", "-c", "date +%s"]).output(lab_init::Output::Split);
    let mut process = lab.spawn(asked).map_err(told)?;
    let answer = read_aside(process.stdout.take());
    process.wait(PATIENCE).map_err(told)?;
    let said = answer.recv_timeout(PATIENCE).unwrap_or_default();
    let expected = (date + DAY).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    match said.trim().parse::<u64>() {
        Ok(said) if said == expected => Ok(lab.is_in_turn()),
        _ => Err(format!(
            "a program that is asked for the time a day on says \"{}\", not {expected}",
            said.trim()
        )),
    }
}

/// What it says of itself, in a lab of its own.
fn version(adapter: &Adapter, root: &Path) -> Option<String> {
    let lab = Lab::start(&Layout { root: root.to_owned(), ..Layout::default() }).ok()?;
    let asked =
        lab_init::Command::new(["/bin/sh", "-c", adapter.version_command()]).output(lab_init::Output::Split);
    let mut process = lab.spawn(asked).ok()?;
    let answer = read_aside(process.stdout.take());
    let ended = process.wait(PATIENCE).ok()?;
    let answer = answer.recv_timeout(PATIENCE).ok()?;
    answer
        .lines()
        .next()
        .map(|line| line.trim().to_owned())
        .filter(|line| ended.success() && !line.is_empty())
}

/// Where a program is, among the directories of `PATH` and those where programs for root are.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let root = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(root).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The first line of what a program answers.
fn ask(name: &str, arguments: &[&str]) -> Program {
    let Some(path) = program(name) else { return Program::Missing };
    let mut asked = Command::new(path);
    asked.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match asked.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Program::Missing,
        Err(error) => return Program::Fails(error.to_string()),
    };
    let (answer, complaint) = (read_aside(child.stdout.take()), read_aside(child.stderr.take()));
    let first = |text: Result<String, _>| -> Option<String> {
        let text: String = text.ok()?;
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    };
    // Its output ends with it.
    let Ok(answer) = answer.recv_timeout(PATIENCE) else {
        // It may have ended at this very moment.
        let _ = child.kill();
        let _ = child.wait();
        return Program::Fails(format!("no answer for {PATIENCE:?}"));
    };
    let succeeded = child.wait().is_ok_and(|status| status.success());
    match first(Ok::<_, mpsc::RecvTimeoutError>(answer)) {
        Some(line) if succeeded => Program::Answers(line),
        _ => Program::Fails(first(complaint.recv_timeout(PATIENCE)).unwrap_or_else(|| "no words".to_owned())),
    }
}

/// Reads to the end without waiting for it; what is no UTF-8 is marked.
fn read_aside(pipe: Option<impl std::io::Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is what there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Where nobody waits any more it was given up.
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}
