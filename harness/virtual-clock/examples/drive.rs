//! Drives the clock of all processes of a pid namespace from deadline to deadline, for trying a relay by hand:
//!
//! `drive make PAGE LIBRARY` makes a page and writes the library; `drive PAGE SECONDS` drives until that moment of the
//! run, and tells what it cost and who waits outside the clock. It runs in the namespace, with `/proc` mounted.

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() {
    use std::collections::BTreeMap;
    use std::fs::OpenOptions;
    use std::path::Path;
    use std::time::{Duration, Instant};
    use virtual_clock::{Driver, LIBRARY, Page, Scope};

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (page, seconds) = match words[..] {
        ["make", page, library] => {
            Page::create(Path::new(page), 1_900_000_000_000_000_000).expect("a page");
            std::fs::write(library, LIBRARY).expect("the library");
            return;
        }
        [page, seconds] => (page, seconds.parse::<u64>().expect("seconds")),
        _ => panic!("usage: drive make PAGE LIBRARY | drive PAGE SECONDS"),
    };
    let until = seconds * 1_000_000_000;
    let file = OpenOptions::new().read(true).write(true).open(page).expect("the page");
    let page = Page::map(&file).expect("a page");
    let mut driver = Driver::new(page, Scope::AllBut(Vec::new())).expect("a driver");
    let started = Instant::now();
    let (mut looks, mut steps, mut woken, mut outside) = (0, 0, 0, BTreeMap::new());
    let mut at_rest = Instant::now();
    loop {
        let look = driver.look().expect("a look");
        looks += 1;
        for stranger in &look.outside {
            *outside.entry((stranger.name.clone(), format!("{:?}", stranger.why))).or_insert(0) += 1;
        }
        if at_rest.elapsed() > Duration::from_secs(10) {
            println!("never quiet: {look:?} {:?}", look.busy.and_then(|(_, tid)| driver.name(tid)));
            break;
        }
        if !look.settled {
            if look.busy.is_some() {
                std::thread::yield_now();
            }
            continue;
        }
        at_rest = Instant::now();
        match look.earliest {
            Some(deadline) if deadline <= until => woken += driver.jump(deadline).expect("a jump"),
            _ => {
                driver.jump(until.max(driver.page().now())).expect("a jump");
                break;
            }
        }
        steps += 1;
    }
    let took = started.elapsed();
    println!("{steps} steps, {looks} looks, {woken} woken in {took:?}: {:?} a step", took / steps.max(1));
    println!("told {:#x}, outside {outside:?}", driver.page().take_told());
}
