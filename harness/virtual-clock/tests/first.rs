//! x
use std::process::*;
use std::os::unix::process::CommandExt;
use virtual_clock::*;
#[test]
fn sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let lib = dir.path().join("virtual-clock.so");
    std::fs::write(&lib, LIBRARY).unwrap();
    let pagep = dir.path().join("virtual-clock.page");
    let page = Page::create(&pagep, 1_900_000_000_000_000_000).unwrap();
    unsafe extern "C" { fn setsid() -> i32; }
    let mut c = Command::new("sh");
    c.args(["-c", "date +%s.%N; sleep 3600; date +%s.%N; perl -e 'select undef,undef,undef,5.5; alarm 3; print time,\"\\n\"; sleep 10; print time, \"\\n\"'"]).env("LD_PRELOAD", &lib).env("GAUNTLET_CLOCK", &pagep);
    unsafe { c.pre_exec(|| { setsid(); Ok(()) }); }
    let mut child = c.spawn().unwrap();
    let mut driver = Driver::new(page, Scope::Session(child.id() as i32)).unwrap();
    let t = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        let look = driver.look().unwrap();
        if look.settled { println!("{:?} {look:?}", t.elapsed()); if let Some(e) = look.earliest { driver.jump(e).unwrap(); } }
        assert!(t.elapsed().as_secs() < 5, "{look:?}");
    }
    println!("{:?} now {}", t.elapsed(), driver.page().now());
}
