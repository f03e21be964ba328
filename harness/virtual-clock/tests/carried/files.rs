//! The times of files.

use super::lab::{EPOCH, Lab, SECOND};
use std::ffi::CString;
use std::mem::zeroed;
use std::ptr::null;

fn modified(path: &CString) -> i64 {
    // SAFETY: a place of ours.
    unsafe {
        let mut stat: libc::stat = zeroed();
        assert_eq!(libc::stat(path.as_ptr(), &raw mut stat), 0);
        let mut by_descriptor: libc::statx = zeroed();
        libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, libc::STATX_BASIC_STATS, &raw mut by_descriptor);
        assert_eq!(by_descriptor.stx_mtime.tv_sec, stat.st_mtime);
        stat.st_mtime
    }
}

/// Writes files an hour apart, and touches one in each way.
pub(crate) fn probe() {
    let say = |what: &str, path: &CString| {
        println!("{what} {}", modified(path) - EPOCH.cast_signed() / 1_000_000_000);
    };
    let names: Vec<CString> = (0..4).map(|n| CString::new(format!("file-{n}")).expect("a name")).collect();
    // SAFETY: the C library's functions with places of ours.
    unsafe {
        for name in &names {
            std::fs::write(name.to_str().expect("text"), "x").expect("a file");
            libc::sleep(3_600);
        }
        for name in &names {
            say("written", name);
        }
        libc::utime(names[0].as_ptr(), null());
        say("utime", &names[0]);
        libc::sleep(3_600);
        libc::utimes(names[0].as_ptr(), null());
        say("utimes", &names[0]);
        libc::sleep(3_600);
        libc::utimensat(libc::AT_FDCWD, names[0].as_ptr(), null(), 0);
        say("utimensat", &names[0]);
        libc::sleep(3_600);
        let file = std::fs::File::open("file-0").expect("a file");
        libc::futimens(std::os::fd::AsRawFd::as_raw_fd(&file), null());
        say("futimens", &names[0]);
        let times = libc::utimbuf { actime: 12_345, modtime: 12_345 };
        libc::utime(names[0].as_ptr(), &raw const times);
        println!("explicit {}", modified(&names[0]));
        println!("of old {}", modified(&CString::new("/bin/sh").expect("a path")) < 1_800_000_000);
    }
}

#[test]
fn times_of_files_are_of_the_run() {
    let mut lab = Lab::new();
    let program = lab.probe("file-times");
    let said = lab.drive(program);
    let hours = |what: &str, hour: u64| format!("{what} {}", hour * 3_600);
    let expected = [
        hours("written", 0),
        hours("written", 1),
        hours("written", 2),
        hours("written", 3),
        hours("utime", 4),
        hours("utimes", 5),
        hours("utimensat", 6),
        hours("futimens", 7),
        "explicit 12345".to_owned(),
        "of old true".to_owned(),
    ];
    let said: Vec<&str> = said.lines().collect();
    // Files are dated by the kernel's tick (4 ms): what is written within one with later jumps looks younger, never older.
    for (said, expected) in said.iter().zip(&expected) {
        if expected.starts_with("written") {
            let seconds = |line: &str| line.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
            assert!(
                seconds(said) >= seconds(expected) && seconds(said) <= Some(4 * 3_600),
                "{said}: {expected}"
            );
        } else {
            assert_eq!(said, expected);
        }
    }
    assert_eq!(said.len(), expected.len());
    assert_eq!(lab.now(), 7 * 3_600 * SECOND);
}
