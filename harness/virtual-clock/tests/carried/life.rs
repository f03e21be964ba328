//! Programs beside each other, that begin, end, and misbehave.

use super::lab::{EPOCH, Lab, SECOND};
use std::io::Write as _;
use std::process::Stdio;
use virtual_clock::{ClockError, Why};

#[test]
fn data_ends_a_wait_before_its_time() {
    let mut lab = Lab::new();
    let mut command = lab.command(std::env::current_exe().expect("this program"));
    command.env("PROBE", "poll-stdin").stdin(Stdio::piped());
    let mut program = lab.spawn(command);
    assert_eq!(lab.settle().earliest, Some(3_600 * SECOND));
    lab.driver.jump(60 * SECOND).expect("a jump");
    program.0.stdin.as_mut().expect("its input").write_all(b"x").expect("a byte");
    assert_eq!(lab.drive(program), "1 after 60000 ms");
    assert_eq!(lab.now(), 60 * SECOND, "the deadline is no one's any more");
}

#[test]
fn children_end_in_the_order_of_their_deadlines() {
    let mut lab = Lab::new();
    let program = lab.probe("forks");
    assert_eq!(lab.drive(program), "0 after 10000 ms\n0 after 20000 ms\n0 after 30000 ms\nall");
    assert_eq!(lab.now(), 30 * SECOND);
}

/// What all hangs on: the clock does not move while anyone has something to do, however briefly each of them runs.
#[test]
fn the_clock_stands_while_a_token_goes_round() {
    let mut lab = Lab::new();
    let program = lab.probe("ring");
    assert_eq!(lab.drive(program), "round");
    assert_eq!(lab.now(), 0);
}

#[test]
fn the_clock_stands_while_children_are_born() {
    let mut lab = Lab::new();
    let program = lab.probe("births");
    let said = lab.drive(program);
    assert_eq!(lab.now(), 0, "{said}");
}

/// Callers who look at sockets between two looks compare marks.
#[test]
fn equal_marks_say_that_nobody_ran_between() {
    let mut lab = Lab::new();
    let _first = lab.probe("poll");
    // Here the namespace is the whole machine's: a process that begins elsewhere makes the list doubtful too.
    let rest = loop {
        let rest = lab.settle();
        let again = lab.driver.look().expect("a look");
        assert!(!again.settled || again.mark == rest.mark);
        if again.settled {
            break rest;
        }
    };
    let _second = lab.probe("poll");
    let fresh: Vec<u64> = (0..2).map(|_| lab.driver.look().expect("a look").mark).collect();
    assert!(fresh[0] != rest.mark && fresh[0] != fresh[1], "a list of threads that is not known to be whole");
    assert_eq!(lab.settle().threads, 2);
}

#[test]
fn two_programs_alternate_on_one_clock() {
    let mut lab = Lab::new();
    let other = lab.probe("clock-alternation");
    lab.settle();
    lab.driver.jump(5 * SECOND).expect("a jump");
    let program = lab.probe("clock-alternation");
    let second = lab.drive(program);
    let first = lab.drive(other);
    let epoch = EPOCH / SECOND;
    let expected = |start: u64| (1..=50).map(|n| (epoch + start + n * 10).to_string()).collect::<Vec<_>>();
    assert_eq!(first.lines().collect::<Vec<_>>(), expected(0));
    assert_eq!(second.lines().collect::<Vec<_>>(), expected(5));
}

#[test]
fn who_dies_in_a_wait_does_not_hold_the_clock() {
    let mut lab = Lab::new();
    let mut dead = lab.probe("poll");
    let program = lab.probe("poll-twice");
    assert_eq!(lab.settle().earliest, Some(90 * SECOND));
    dead.0.kill().expect("a signal");
    assert_eq!(lab.drive(program), "0 after 90000 ms\n0 after 30000 ms");
    dead.0.wait().expect("a child");
    let look = lab.settle();
    assert_eq!((look.threads, look.earliest), (0, None));
}

#[test]
fn the_alarm_of_a_dead_process_is_forgotten() {
    let mut lab = Lab::new();
    let mut dead = lab.probe("alarm");
    assert_eq!(lab.settle().earliest, Some(600 * SECOND));
    dead.0.kill().expect("a signal");
    dead.0.wait().expect("a child");
    let program = lab.probe("poll-now");
    lab.drive(program);
    assert_eq!(lab.settle().earliest, None);
}

#[test]
fn a_wait_without_end_is_quiet_and_has_no_deadline() {
    let mut lab = Lab::new();
    let _program = lab.probe("poll-forever");
    let look = lab.settle();
    assert_eq!((look.threads, look.earliest, look.outside.len()), (1, None, 0));
}

#[test]
fn a_process_that_spins_is_never_quiet() {
    let mut lab = Lab::new();
    let program = lab.probe("spin");
    for _ in 0..300 {
        assert!(!lab.driver.look().expect("a look").settled);
    }
    let look = lab.driver.look().expect("a look");
    assert_eq!(look.busy, Some((program.pid(), program.pid())));
    assert_eq!(lab.driver.name(program.pid()).as_deref(), Some(name_of_this().as_str()));
}

/// As the kernel keeps it: fifteen bytes.
fn name_of_this() -> String {
    let path = std::env::current_exe().expect("this program");
    path.file_name().and_then(|name| name.to_str()).expect("a name").chars().take(15).collect()
}

#[test]
fn the_clock_does_not_go_back() {
    let mut lab = Lab::new();
    lab.driver.jump(10 * SECOND).expect("forward");
    let error = lab.driver.jump(9 * SECOND).expect_err("back");
    assert!(matches!(error, ClockError::Back { .. }));
    assert_eq!(
        error.to_string(),
        "virtual clock: asked to go back from 10s to 9s of the run: it only goes forward"
    );
    assert_eq!(lab.now(), 10 * SECOND);
}

#[test]
fn who_waits_in_real_time_is_told_of() {
    let mut lab = Lab::new();
    let program = lab.probe("raw-sleep");
    let outside = loop {
        let look = lab.settle();
        if let Some(outside) = look.outside.first() {
            break outside.clone();
        }
    };
    assert_eq!((outside.pid, outside.why), (program.pid(), Why::RealTimeout("nanosleep")));
}

#[test]
fn who_does_not_have_the_page_is_told_of() {
    let mut lab = Lab::new();
    let mut command = lab.command("sleep");
    command.arg("3600").env_remove("LD_PRELOAD");
    let program = lab.spawn(command);
    let look = lab.settle();
    let whys: Vec<Why> = look.outside.iter().map(|outside| outside.why).collect();
    assert_eq!(whys, [Why::RealTimeout("clock_nanosleep"), Why::NotAttached]);
    assert!(look.outside.iter().all(|outside| outside.pid == program.pid() && outside.name == "sleep"));
}

#[test]
fn without_a_page_nothing_is_changed() {
    let lab = Lab::new();
    let mut command = lab.command("sh");
    command.args(["-c", "date +%Y; sleep 0.01; perl -e 'print time > 1e9, \"\\n\"'"]);
    command.env("GAUNTLET_CLOCK", "/nowhere");
    let output = command.output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.starts_with("2030") && said.ends_with("\n1\n"), "{said}");
}

#[test]
fn shells_and_perl_live_by_it() {
    let mut lab = Lab::new();
    let mut command = lab.command("sh");
    let script = r#"
        date -u +%s
        sleep 3600 & (sleep 1800; date -u +%s) | cat
        wait
        date -u +%s
        perl -e '$SIG{ALRM} = sub { print "rang ", time, "\n" }; alarm 60; sleep 600; select undef, undef, undef, 5.5; print time, "\n"'
        touch here; perl -e 'print +(stat "here")[9] >= 1900003665 ? "dated\n" : "not\n"'
        find here -mmin -10
    "#;
    command.args(["-c", script]).current_dir(lab.directory.path());
    let program = lab.spawn(command);
    let expected = "1900000000\n1900001800\n1900003600\nrang 1900003660\n1900003665\ndated\nhere";
    assert_eq!(lab.drive(program), expected);
}

/// The C library's resolver waits inside the C library: five seconds a try, two tries, as resolv.conf(5) says.
#[test]
fn the_resolver_gives_up_in_the_clocks_time() {
    // SAFETY: without arguments.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: a resolv.conf of its own needs a mount namespace, and that needs root");
        return;
    }
    let mut lab = Lab::new();
    let program = lab.probe("resolver");
    assert_eq!(lab.drive(program), "-3 after 10000 ms");
    assert_eq!(lab.driver.page().take_told() & virtual_clock::page::told::RESOLVER_REAL, 0);
}
