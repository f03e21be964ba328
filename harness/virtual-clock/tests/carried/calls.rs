//! What each call does at its deadline, before it, and when a signal comes.

use super::lab::{EPOCH, Lab, SECOND};
use virtual_clock::page::told;

/// The probe's words when it is driven from deadline to deadline.
fn driven(name: &str) -> (String, u64) {
    let mut lab = Lab::new();
    let program = lab.probe(name);
    let said = lab.drive(program);
    (said, lab.now())
}

macro_rules! at_deadline {
    ($($test:ident $probe:literal => $said:literal, $seconds:literal;)*) => {$(
        #[test]
        fn $test() {
            assert_eq!(driven($probe), ($said.to_owned(), $seconds * SECOND), "{}", $probe);
        }
    )*};
}

at_deadline! {
    poll "poll" => "0 after 3600000 ms", 3_600;
    poll_counts_from_each_call "poll-twice" => "0 after 90000 ms\n0 after 30000 ms", 120;
    poll_without_timeout_asks_once "poll-now" => "0 after 0 ms", 0;
    poll_with_data_does_not_move_the_clock "poll-data" => "1 after 0 ms", 0;
    poll_with_all_signals_blocked_and_reset "poll-blocked" => "0 after 3600000 ms", 3_600;
    ppoll "ppoll" => "0 after 3600000 ms", 3_600;
    select "select" => "0 after 3600000 ms\nset false left 0", 3_600;
    select_with_data "select-data" => "1 after 0 ms\nset true left 3599", 0;
    pselect "pselect" => "0 after 3600000 ms", 3_600;
    epoll_wait "epoll_wait" => "0 after 3600000 ms", 3_600;
    epoll_pwait "epoll_pwait" => "0 after 3600000 ms", 3_600;
    epoll_pwait2 "epoll_pwait2" => "0 after 3600000 ms", 3_600;
    nanosleep "nanosleep" => "0 after 3600000 ms", 3_600;
    clock_nanosleep "clock_nanosleep" => "0 after 3600000 ms", 3_600;
    sleep "sleep" => "0 after 3600000 ms", 3_600;
    usleep "usleep" => "0 after 3600000 ms", 3_600;
    sigtimedwait "sigtimedwait" => "-1 errno 11 after 3600000 ms", 3_600;
    alarm "alarm" => "-1 errno 4 after 600000 ms\n-1 errno 4 after 600000 ms\nrang true\nleft 500 0", 1_300;
    alarm_is_not_the_childs "alarm-fork" => "the child's: 0\n-1 errno 4 after 600000 ms", 600;
    alarm_survives_exec "alarm-exec" => "left 600", 0;
    setitimer "setitimer" => "-1 errno 4 after 600000 ms\n-1 errno 4 after 60000 ms\ninterval 60 left 59", 660;
    timerfd "timerfd" => "8 after 3600000 ms\ncount 1", 3_600;
    timerfd_in_epoll "timerfd-epoll" =>
        "1 after 3600000 ms\n1 after 60000 ms\n1 after 60000 ms\ncount 1 interval 60 left 59", 3_720;
    timer_create "timer_create" => "-1 errno 4 after 3600000 ms\ndeleted 0", 3_600;
    semtimedop "semtimedop" => "-1 errno 11 after 3600000 ms\n0 after 0 ms", 3_600;
    rcvtimeo "rcvtimeo" => "-1 errno 11 after 300000 ms\n-1 errno 11 after 300000 ms", 600;
    sndtimeo "sndtimeo" => "-1 errno 11 after 300000 ms", 300;
    connect_gives_up_when_the_kernel_would "connect" => "0 after 0 ms\n-1 errno 110 after 127000 ms", 127;
    threads "threads" => "0 after 10000 ms\n0 after 20000 ms\n0 after 30000 ms", 30;
    children_that_come_and_go "fork-storm" => "0 after 3600000 ms", 3_600;
}

/// Deadlines that the program computes from a reading lie a few ticks behind.
fn about(probe: &str, said: &str, seconds: u64) {
    let (words, now) = driven(probe);
    assert_eq!(words, said);
    assert_eq!(now / 1_000_000, seconds * 1_000, "{probe} ended at {now}");
}

#[test]
fn clock_nanosleep_until_a_moment() {
    about("clock_nanosleep-absolute", "0 after 3600000 ms\n0 after 3600000 ms", 7_200);
}

#[test]
fn timed_waits_of_threads() {
    about("sem_timedwait", "-1 errno 110 after 3600000 ms", 3_600);
    about("cond_timedwait", "110 after 3600000 ms\n110 after 3600000 ms", 7_200);
    about("mutex_timedlock", "110 after 3600000 ms", 3_600);
}

#[test]
fn timed_waits_for_messages_in_a_queue() {
    let (said, _) = driven("mq_timedsend");
    assert_eq!(said, "0 after 0 ms\n-1 errno 110 after 3600000 ms");
    let (said, _) = driven("mq_timedreceive");
    assert_eq!(said, "-1 errno 110 after 3600000 ms\n3 after 60000 ms\n-1 errno 11 after 0 ms");
}

#[test]
fn all_clocks_agree_and_increase() {
    let (said, _) = driven("clocks");
    let epoch = EPOCH / SECOND;
    assert_eq!(said, format!("{epoch} {epoch} {epoch} {epoch}\n1000000 1000000 1000000 increasing true"));
}

#[test]
fn nobody_sets_the_clock_and_who_tries_is_told_of() {
    let mut lab = Lab::new();
    let program = lab.probe("set-clock");
    assert_eq!(lab.drive(program), ["-1 errno 1 after 0 ms"; 3].join("\n"));
    assert_eq!(lab.driver.page().take_told(), told::SET_CLOCK);
}

#[test]
fn a_signal_ends_a_wait_before_its_time() {
    for (probe, said) in [
        ("poll-signal", "-1 errno 4 after 1800000 ms"),
        ("nanosleep-signal", "-1 errno 4 after 1800000 ms\nleft 1800"),
        ("sleep-signal", "1800 after 1800000 ms"),
    ] {
        let mut lab = Lab::new();
        let program = lab.probe(probe);
        assert_eq!(lab.settle().earliest, Some(3_600 * SECOND));
        lab.driver.jump(1_800 * SECOND).expect("a jump to a moment of our own");
        assert_eq!(lab.settle().earliest, Some(3_600 * SECOND), "nobody was to wake");
        // SAFETY: numbers alone.
        unsafe { libc::kill(program.pid(), libc::SIGUSR1) };
        assert_eq!(lab.drive(program), said, "{probe}");
    }
}

#[test]
fn random_numbers_are_the_same_in_each_run_and_differ_from_each_other() {
    let (first, _) = driven("random");
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(lines.len(), 9, "{first}");
    assert_eq!([lines[0], lines[2], lines[4], lines[8]], ["13", "0", "-1", "0"], "{first}");
    assert_eq!(lines[7], "Some(0) Some(5)", "every number below six came, and none beyond");
    let drawn = [lines[1], lines[3], lines[5], lines[6]];
    assert!((1..4).all(|at| !drawn[..at].contains(&drawn[at])), "{first}");
    assert_eq!(driven("random").0, first);
}

#[test]
fn with_another_seed_they_are_others() {
    let drawn = |seed: Option<u32>| {
        let mut lab = Lab::new();
        if let Some(seed) = seed {
            lab.driver.page().seed(seed);
        }
        let program = lab.probe("random");
        lab.drive(program).lines().nth(1).map(str::to_owned)
    };
    assert_eq!(drawn(None), drawn(Some(0)));
    assert_eq!(drawn(Some(7)), drawn(Some(7)));
    assert_ne!(drawn(Some(7)), drawn(Some(8)));
}
