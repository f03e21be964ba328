//! Programs under the preload, and a driver beside them.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use virtual_clock::{Driver, LIBRARY, Look, Page, Scope};

/// About 2030.
pub(crate) const EPOCH: u64 = 1_900_000_000_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;
/// What no test may take in real time.
const GUARD: Duration = Duration::from_secs(20);

pub(crate) struct Lab {
    pub(crate) directory: TempDir,
    pub(crate) driver: Driver,
    started: Instant,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("virtual-clock.so"), LIBRARY).expect("the library");
        let page = Page::create(&directory.path().join("virtual-clock.page"), EPOCH).expect("a page");
        let driver = Driver::new(page, Scope::Sessions(Vec::new())).expect("a driver");
        Lab { directory, driver, started: Instant::now() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program under the clock, in a session of its own.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", self.path("virtual-clock.so"))
            .env("GAUNTLET_CLOCK", self.path("virtual-clock.page"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    /// Starts one of `probes` with its argument.
    pub(crate) fn probe(&mut self, name: &str) -> Program {
        let mut command = self.command(std::env::current_exe().expect("this program"));
        command.env("PROBE", name).current_dir(self.directory.path());
        self.spawn(command)
    }

    pub(crate) fn spawn(&mut self, mut command: Command) -> Program {
        // SAFETY: setsid is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
        let child = command.spawn().expect("a program");
        self.driver.watch(child.id() as i32);
        Program(child)
    }

    pub(crate) fn now(&self) -> u64 {
        self.driver.page().now()
    }

    /// Looks until all is quiet; fails after the guard.
    pub(crate) fn settle(&mut self) -> Look {
        loop {
            let look = self.driver.look().expect("a look");
            if look.settled {
                return look;
            }
            assert!(self.started.elapsed() < GUARD, "never quiet: {look:?}");
        }
    }

    /// Drives the clock from deadline to deadline until the program has ended: what it said.
    pub(crate) fn drive(&mut self, program: Program) -> String {
        self.drive_until(program, |_| {})
    }

    /// The same, with something to do at each moment of quiet before the clock moves.
    pub(crate) fn drive_until(&mut self, mut program: Program, mut at_rest: impl FnMut(&Look)) -> String {
        while program.0.try_wait().expect("a child").is_none() {
            assert!(
                self.started.elapsed() < GUARD,
                "not ended, now {}: {:?}",
                self.now(),
                self.driver.look()
            );
            let look = self.driver.look().expect("a look");
            if look.settled && look.threads > 0 {
                at_rest(&look);
                if let Some(deadline) = look.earliest {
                    self.driver.jump(deadline).expect("a jump");
                }
            }
        }
        program.said()
    }
}

/// A program of a lab's; killed when dropped.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// What it has said, once it has ended.
    pub(crate) fn said(&mut self) -> String {
        let mut said = String::new();
        self.0.stdout.take().expect("its output").read_to_string(&mut said).expect("text");
        self.0.wait().expect("a child");
        said.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
