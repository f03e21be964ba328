//! What a look and a step of the clock cost, beside a plain system call of the same run; and what the preload adds to a
//! program's start. `cargo bench -p virtual-clock`.

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() {
    match std::env::var("WAITER") {
        Ok(seconds) => linux::wait_forever(seconds.parse().expect("seconds")),
        Err(_) => linux::measure(),
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod linux {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use virtual_clock::{Driver, LIBRARY, Page, Scope};

    const PROGRAMS: u64 = 12;
    const STEPS: u32 = 11_000;

    pub(super) fn wait_forever(seconds: u64) -> ! {
        loop {
            std::thread::sleep(Duration::from_secs(seconds));
        }
    }

    fn settle(driver: &mut Driver) -> u64 {
        loop {
            let look = driver.look().expect("a look");
            if let (true, Some(deadline)) = (look.settled, look.earliest) {
                return deadline;
            }
        }
    }

    fn mean(times: u32, mut work: impl FnMut()) -> f64 {
        let started = Instant::now();
        (0..times).for_each(|_| work());
        started.elapsed().as_secs_f64() * 1e6 / f64::from(times)
    }

    pub(super) fn measure() {
        let directory = tempfile::tempdir().expect("a directory");
        let (library, page) =
            (directory.path().join("virtual-clock.so"), directory.path().join("virtual-clock.page"));
        std::fs::write(&library, LIBRARY).expect("the library");
        let mapped = Page::create(&page, 1_900_000_000_000_000_000).expect("a page");
        let mut driver = Driver::new(mapped, Scope::Sessions(Vec::new())).expect("a driver");
        let mut programs: Vec<Child> = (1..=PROGRAMS)
            .map(|number| {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.env("LD_PRELOAD", &library).env("GAUNTLET_CLOCK", &page);
                // Periods of a relay's daemons, no two alike.
                command.env("WAITER", (60 + number * 7).to_string());
                // SAFETY: setsid is async-signal-safe.
                unsafe {
                    command.pre_exec(|| {
                        if libc::setsid() > 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
                    })
                };
                let child = command.spawn().expect("a program");
                driver.watch(child.id() as i32);
                child
            })
            .collect();
        // All are there, and wait.
        while driver.look().expect("a look").threads < PROGRAMS as usize {}
        settle(&mut driver);

        // SAFETY: without arguments.
        let plain = mean(100_000, || assert!(unsafe { libc::syscall(libc::SYS_getppid) } >= 0));
        let look = mean(5_000, || drop(driver.look().expect("a look")));
        let mut looks = 0;
        let step = mean(STEPS, || {
            let deadline = loop {
                looks += 1;
                let look = driver.look().expect("a look");
                if let (true, Some(deadline)) = (look.settled, look.earliest) {
                    break deadline;
                }
            };
            driver.jump(deadline).expect("a jump");
        });
        println!("plain system call            {plain:8.2} us");
        println!("look at {PROGRAMS} programs          {look:8.2} us  ({:.0} system calls)", look / plain);
        println!(
            "step: settle, jump, wake     {step:8.2} us  ({:.1} looks each)",
            f64::from(looks) / f64::from(STEPS)
        );
        println!("{STEPS} steps                  {:8.2} s", f64::from(STEPS) * step / 1e6);

        let start = |preloaded: bool| {
            let mut command = Command::new("/bin/true");
            command.stdout(Stdio::null());
            if preloaded {
                command.env("LD_PRELOAD", &library).env("GAUNTLET_CLOCK", &page);
            }
            assert!(command.status().expect("true").success());
        };
        let (without, with) = (mean(500, || start(false)), mean(500, || start(true)));
        println!("start of a program           {without:8.2} us without, {with:.2} us with the preload");
        for program in &mut programs {
            program.kill().expect("a signal");
            program.wait().expect("a child");
        }
    }
}
