//! Real relays in containers: the same record as in a lab of this machine, whatever goes wrong told in words, and nothing left.
//!
//! Each test needs a container engine, the images that `ci/images.sh` builds, and the right to make labs. Where one is missing a test
//! says so and passes; with `GAUNTLET_REQUIRE_CONTAINERS=1` it fails.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gauntlet::relay::{container, roots};
use gauntlet::render;
use gauntlet::run::{RunOptions, run};
use gauntlet::scenario;
use rstest::rstest;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(2);

/// The base of all images that are built here.
const BASE: &str = "debian:bookworm-slim";

/// Whether there is an engine with these images, and labs; if not, says why.
fn has(images: &[&str]) -> bool {
    let missing = images.iter().find_map(|image| container::check(image).err());
    let missing = missing.map(|error| error.to_string());
    let Some(why) = missing.or_else(|| lab_init::check().err().map(|error| error.to_string())) else {
        return true;
    };
    assert!(std::env::var_os("GAUNTLET_REQUIRE_CONTAINERS").is_none_or(|value| value != "1"), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// The whole story, log and all.
fn told(scenario: &str, relay: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenarios = scenario::load(&root.join(format!("{scenario}.yaml")), &root)
        .unwrap_or_else(|mistakes| panic!("{scenario} cannot be read:\n{mistakes}"));
    let record = run(&scenarios.remove(0), relay, &RunOptions::default())
        .unwrap_or_else(|error| panic!("{scenario} on {relay}: {error}"));
    render::story(&record)
}

/// Delivered at once; refused and retried for days, warned and returned; and by TLS.
#[rstest]
fn a_container_gives_the_same_record_as_a_lab(
    #[values("postfix", "exim")] relay: &str,
    #[values(
        "seeds/domino-8bitmime",
        "seeds/ehlo-refused-501",
        "seeds/auth-rejected-smarthost",
        "seeds/non-fqdn-banner"
    )]
    scenario: &str,
) {
    let adapter = gauntlet::relay::adapter::Adapter::named(relay).expect("shipped").expect("it can be read");
    if !has(&[&container::image_of(&adapter)]) {
        return;
    }
    if let Err(why) = roots::root(&adapter) {
        eprintln!("skipped: {why}");
        return;
    }
    let in_lab = told(scenario, relay);
    let in_container = told(scenario, &format!("container:{relay}"));
    assert!(in_lab == in_container, "in a lab:\n{in_lab}\n\nin a container:\n{in_container}");
}

/// A relay that starts and never answers, in a directory of its own, with notes to send it. Where it is not the one of the notes it
/// ends at once: it cannot show then that it follows the clock, and nobody waits for that.
struct Silent(TempDir);

impl Silent {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let adapter = format!(
            "about: It never answers\nimage: {BASE}\nprovides: /bin/sleep\nversion: echo 1\n\
             start: '[ {{{{ hostname }}}} != silent.origin.example ] || exec sleep 1000'\n\
             queue: {{ list: 'true' }}\n"
        );
        std::fs::write(directory.path().join("silent.yaml"), adapter).expect("written");
        Self(directory)
    }

    /// The command on as many scenarios, all at the same time.
    fn command(&self, relay: &str, scenarios: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
        command.args(["run", "--relay", relay, "--jobs", &scenarios.to_string()]);
        for number in 0..scenarios {
            let name = format!("note-{number}.yaml");
            let text = "title: One note\nservers: { hub: { serves: [hub.example] } }\n\
                        relay: { hostname: silent.origin.example }\n\
                        messages: { note: { from: a@origin.example, to: b@hub.example } }\n\
                        expect: [{ delivered: { message: note, by: hub } }]\n";
            std::fs::write(self.0.path().join(&name), text).expect("written");
            command.arg(name);
        }
        command.current_dir(self.0.path()).env_remove("GAUNTLET_RELAY").stdin(Stdio::null());
        command
    }

    /// The same, until it waits in so many containers.
    fn start(&self, containers: usize) -> Child {
        let mut command = self.command("container:./silent.yaml", containers);
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        until("the relays run", || (relays(child.id()) == containers).then_some(()));
        assert_eq!(containers_of(child.id()).len(), containers);
        child
    }
}

/// The containers, running or not, of the harness with this process number.
fn containers_of(harness: u32) -> Vec<String> {
    let filter = format!("label=org.gauntlet.harness={harness}");
    let output = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn docker(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).output().expect("docker can be called");
    assert!(output.status.success(), "docker {arguments:?}: {}", printed(&output));
    output
}

/// How many relays there are below this harness that wait.
fn relays(harness: u32) -> usize {
    processes(harness).iter().filter(|(_, line)| line.starts_with("sleep 1000")).count()
}

/// Every descendant of a process, with its command line.
fn processes(above: u32) -> Vec<(u32, String)> {
    let all = std::fs::read_dir("/proc").expect("proc is mounted").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |pid: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
    };
    let known: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = vec![above];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(known.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    let line = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
    };
    found.into_iter().skip(1).filter_map(line).collect()
}

/// Nothing of a harness that had these processes: no container, no process (and so no namespace, mount or network device of theirs).
fn assert_gone(harness: u32, had: &[(u32, String)]) {
    until("the containers are gone", || containers_of(harness).is_empty().then_some(()));
    until("the processes are gone", || {
        let there = |(pid, line): &(u32, String)| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|now| !now.is_empty() && String::from_utf8_lossy(&now).replace('\0', " ") == *line)
        };
        (!had.iter().any(there)).then_some(())
    });
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
}

/// All that a command printed.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_fails(output: &Output, code: i32, words: &str) {
    let text = printed(output);
    assert!(text.contains(words), "`{words}` is not in\n{text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
}

/// Asks again until there is an answer.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn without_an_engine_it_is_told_where_one_was_looked_for() {
    let own = Silent::new();
    let socket = format!("unix://{}/no.sock", own.0.path().display());
    let mut command = own.command("container:postfix", 1);
    let output = command.env("DOCKER_HOST", &socket).output().expect("the command starts");
    assert_fails(&output, 3, &format!("no container engine at {socket}: there is no such socket"));
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
    doctor.args(["doctor", "container:postfix"]).env("DOCKER_HOST", &socket);
    assert_fails(&doctor.output().expect("the command starts"), 1, "cannot be run: container:postfix");
}

#[test]
fn an_engine_that_is_not_this_machines_is_told() {
    let own = Silent::new();
    let mut command = own.command("container:postfix", 1);
    let output = command.env("DOCKER_HOST", "tcp://127.0.0.1:1").output().expect("the command starts");
    assert_fails(&output, 3, "the container engine at tcp://127.0.0.1:1 is not this machine's");
}

#[test]
fn an_engine_that_this_user_may_not_use_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let own = Silent::new();
    let mut command = own.command("container:postfix", 1);
    let directory = own.0.path();
    let socket = directory.join("engine.sock");
    let _engine = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).expect("its own");
    // Root may use any: become nobody, in a directory that nobody can read.
    if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).expect("its own");
        let program = directory.join("gauntlet");
        std::fs::copy(env!("CARGO_BIN_EXE_gauntlet"), &program).expect("copied");
        let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        command = Command::new(program);
        command.args(arguments).current_dir(directory).env_remove("GAUNTLET_RELAY").uid(65534).gid(65534);
    }
    let host = format!("unix://{}", socket.display());
    let output = command.env("DOCKER_HOST", &host).output().expect("the command starts");
    assert_fails(&output, 3, &format!("no container engine at {host}: Permission denied"));
    assert_fails(&output, 3, "this user may not use it");
}

#[test]
fn an_image_that_was_not_built_is_told_with_what_to_do() {
    if !has(&[BASE]) {
        return;
    }
    let own = Silent::new();
    let output =
        own.command("container:postfix=gauntlet/no-such-relay", 1).output().expect("the command starts");
    assert_fails(&output, 3, "there is no image gauntlet/no-such-relay here");
    assert_fails(&output, 3, "container:RELAY=IMAGE");
}

#[test]
fn an_image_without_the_relay_is_told() {
    if !has(&[BASE]) {
        return;
    }
    let own = Silent::new();
    let output = own.command(&format!("container:postfix={BASE}"), 1).output().expect("the command starts");
    assert_fails(&output, 3, &format!("the image {BASE} has no /usr/sbin/postfix"));
}

/// Neither a shell nor anything else.
#[test]
fn an_image_in_which_nothing_can_be_started_is_told_and_leaves_nothing() {
    if !has(&[BASE]) {
        return;
    }
    let name = format!("gauntlet-test-empty-{}", std::process::id());
    let mut import = Command::new("docker");
    import.args(["import", "-", &name]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut import = import.spawn().expect("docker can be called");
    // An archive of nothing: two blocks of zeros (tar(5)).
    std::io::Write::write_all(&mut import.stdin.take().expect("piped"), &[0; 1024]).expect("read");
    assert!(import.wait().expect("it ends").success());
    let own = Silent::new();
    let mut command = own.command(&format!("container:./silent.yaml={name}"), 1);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let harness = child.id();
    let output = child.wait_with_output().expect("it ends");
    let left = containers_of(harness);
    docker(&["rmi", &name]);
    assert_fails(&output, 3, "the image has no /bin/sh");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn there_is_no_container_of_a_built_in_relay() {
    let own = Silent::new();
    let output = own.command("container:iis-5", 1).output().expect("the command starts");
    assert_fails(&output, 2, "the relay `iis-5` is built into the harness");
}

#[test]
fn a_container_that_is_killed_from_outside_is_told() {
    if !has(&[BASE]) {
        return;
    }
    let own = Silent::new();
    let child = own.start(1);
    let (harness, had) = (child.id(), processes(child.id()));
    docker(&["kill", &containers_of(harness)[0]]);
    let output = child.wait_with_output().expect("it ends");
    assert_fails(&output, 3, "was ended from outside (exit code 137)");
    assert_gone(harness, &had);
}

#[test]
fn a_container_that_is_removed_from_outside_is_told() {
    if !has(&[BASE]) {
        return;
    }
    let own = Silent::new();
    let child = own.start(1);
    let (harness, had) = (child.id(), processes(child.id()));
    docker(&["rm", "--force", &containers_of(harness)[0]]);
    let output = child.wait_with_output().expect("it ends");
    assert_fails(&output, 3, "was ended from outside");
    assert_gone(harness, &had);
}

#[rstest]
#[case::killed("KILL", None)]
#[case::interrupted("INT", Some(130))]
#[case::terminated("TERM", Some(130))]
fn nothing_is_left_of_a_harness_with_ten_containers(#[case] name: &str, #[case] code: Option<i32>) {
    if !has(&[BASE]) {
        return;
    }
    let own = Silent::new();
    let mut child = own.start(10);
    let (harness, had) = (child.id(), processes(child.id()));
    signal(harness, name);
    let ended = child.wait().expect("it ends");
    assert!(code.is_none() || ended.code() == code, "{ended}");
    assert_gone(harness, &had);
}
