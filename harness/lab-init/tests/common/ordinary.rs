//! Tests of what an ordinary user can do, where tests are run by root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Names the user that root's tests become; without it, the first in `/etc/subuid` that is no system user and has enough numbers.
const USER: &str = "GAUNTLET_TEST_USER";
/// `1`: that there is none is a failure.
const REQUIRE: &str = "GAUNTLET_REQUIRE_USER_LABS";

/// Whether the test of this name is to go on: as a user who is not root. Run by root, it runs once more by itself, as an ordinary user
/// with subordinate ids; where there is none, it says so.
pub(crate) fn is_ordinary(test: &str) -> bool {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return true;
    }
    let Some((name, user, group)) = ordinary_user() else {
        let why = format!("no user with subordinate ids, whom {USER} or /etc/subuid would name");
        assert!(std::env::var_os(REQUIRE).is_none_or(|value| value != "1"), "required, but there is {why}");
        eprintln!("skipped: {why}");
        return false;
    };
    // By the kernel's link: its directories may be root's alone.
    let mut again = Command::new("/proc/self/exe");
    again.args([test, "--exact", "--nocapture"]).uid(user).gid(group).current_dir("/");
    again.env("HOME", "/nonexistent").env("USER", &name).env_remove("TMPDIR").env_remove("GAUNTLET_ROOTS");
    // Root's are of no use to it.
    again.envs(std::env::var_os("GAUNTLET_USER_ROOTS").map(|roots| ("GAUNTLET_ROOTS", roots)));
    let output = again.output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "as {name}:\n{said}");
    said.lines().filter(|line| line.starts_with("skipped")).for_each(|line| eprintln!("{line}"));
    false
}

fn ordinary_user() -> Option<(String, u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let numbers = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    let with_numbers = || {
        let enough =
            |line: &&str| line.rsplit(':').next().and_then(|count| count.parse().ok()) >= Some(65_534);
        numbers.lines().filter(enough).filter_map(|line| line.split(':').next()).map(str::to_owned)
    };
    let wanted = std::env::var(USER).ok();
    let names: Vec<String> = wanted.map_or_else(|| with_numbers().collect(), |name| vec![name]);
    names.into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(&name))?;
        let number = |field: usize| line.split(':').nth(field)?.parse().ok();
        Some((name.clone(), number(2)?, number(3)?)).filter(|(_, user, _)| *user != 0)
    })
}
