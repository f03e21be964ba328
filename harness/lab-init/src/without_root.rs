//! Labs in the hands of an ordinary user: a user namespace (user_namespaces(7)), in which that user is root, and numbers from
//! `/etc/subuid` and `/etc/subgid` stand for everybody else.

use std::fs;
use std::path::{Path, PathBuf};

/// So many numbers a lab needs beyond root's: those of a system's users, up to 65534, who is nobody.
pub(crate) const NUMBERS: u32 = 65_534;
/// Where a first range is usually given (`SUB_UID_MIN` of login.defs(5)).
const FIRST: u32 = 100_000;

/// What labs without root are made of, as it stands for this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithoutRoot {
    /// The user's name, or number where it has none.
    pub user: String,
    /// User numbers of its own (subuid(5)): the first, and how many.
    pub users: Option<(u32, u32)>,
    /// Group numbers of its own (subgid(5)).
    pub groups: Option<(u32, u32)>,
    /// The first numbers that are nobody's yet, of users and of groups.
    pub free: (u32, u32),
    /// The program that has the kernel take the user numbers (newuidmap(1)).
    pub newuidmap: Option<PathBuf>,
    /// The same for group numbers (newgidmap(1)).
    pub newgidmap: Option<PathBuf>,
    /// The setting of this system that keeps user namespaces from ordinary users, and its value that would not.
    pub forbidden: Option<(&'static str, &'static str)>,
}

impl WithoutRoot {
    /// Looks at this system, for the user of this process.
    pub fn look() -> Self {
        let number = effective_user().unwrap_or_default();
        let names = read("/etc/passwd");
        let name = names.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
        });
        let user = name.unwrap_or_else(|| number.to_string());
        let (users, groups) = (read("/etc/subuid"), read("/etc/subgid"));
        Self {
            users: range(&users, &user, number),
            groups: range(&groups, &user, number),
            free: (free(&users), free(&groups)),
            newuidmap: program("newuidmap"),
            newgidmap: program("newgidmap"),
            forbidden: forbidden(),
            user,
        }
    }

    /// What is missing, and the command that mends it. Empty: labs can be tried.
    pub fn missing(&self) -> Vec<(String, String)> {
        let mut missing = Vec::new();
        if let Some((setting, value)) = self.forbidden {
            let says = format!("{setting} keeps user namespaces from ordinary users");
            missing.push((says, format!("sudo sysctl -w {setting}={value}")));
        }
        let programs = [("newuidmap", &self.newuidmap), ("newgidmap", &self.newgidmap)];
        let absent: Vec<_> =
            programs.iter().filter(|(_, path)| path.is_none()).map(|(name, _)| *name).collect();
        if !absent.is_empty() {
            let says = format!("there is no {}", absent.join(" and no "));
            missing.push((says, "sudo apt-get install uidmap".to_owned()));
        }
        let ranges = [
            ("/etc/subuid", "uids", self.users, self.free.0),
            ("/etc/subgid", "gids", self.groups, self.free.1),
        ];
        for (file, kind, range, first) in ranges {
            let count = range.map_or(0, |(_, count)| count);
            if count < NUMBERS {
                let says = match count {
                    0 => format!("{file} has no numbers for {}", self.user),
                    _ => format!("{file} has {count} numbers for {}, and a lab needs {NUMBERS}", self.user),
                };
                let last = first + 65_535;
                missing.push((says, format!("sudo usermod --add-sub{kind} {first}-{last} {}", self.user)));
            }
        }
        missing
    }
}

#[cfg(target_os = "linux")]
/// Whether this process is in a user namespace other than the system's own, which has all numbers.
pub(crate) fn is_in_user_namespace() -> bool {
    let map = read("/proc/self/uid_map");
    !map.is_empty() && map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// The effective user's number (proc_pid_status(5)).
pub(crate) fn effective_user() -> Option<u32> {
    let status = read("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A user's largest range in a file of subuid(5)'s form, which names users by name or number.
fn range(file: &str, user: &str, number: u32) -> Option<(u32, u32)> {
    let number = number.to_string();
    let ranges = file.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == user || owner == number).then_some(range)
    });
    ranges.max_by_key(|(_, count)| *count)
}

/// The first number behind all that are given.
fn free(file: &str) -> u32 {
    let ends = file.lines().filter_map(|line| {
        let mut fields = line.trim().split(':').skip(1);
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        first.checked_add(count)
    });
    ends.max().unwrap_or_default().max(FIRST)
}

fn forbidden() -> Option<(&'static str, &'static str)> {
    let settings = [
        ("user.max_user_namespaces", "0", "10000"),
        // Of Debian's kernels.
        ("kernel.unprivileged_userns_clone", "0", "1"),
        // Of Ubuntu's: the namespace can be made, and nothing in it.
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ];
    let is = |setting: &str, value: &str| {
        read(Path::new("/proc/sys").join(setting.replace('.', "/"))).trim() == value
    };
    settings.into_iter().find(|(setting, bad, _)| is(setting, bad)).map(|(setting, _, good)| (setting, good))
}

/// Where a program is, among the directories of `PATH` and those where it usually is.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// A file's text; nothing where it cannot be read.
fn read(path: impl AsRef<Path>) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "alice:100000:65536\n# none\n1001:231072:1000\nbob:165536:65536\nbob:300000:70000\n";

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        assert_eq!(range(FILE, "alice", 1000), Some((100_000, 65_536)));
        assert_eq!(range(FILE, "carol", 1001), Some((231_072, 1000)));
        assert_eq!(range(FILE, "bob", 1002), Some((300_000, 70_000)), "the largest");
        assert_eq!(range(FILE, "dora", 1003), None);
    }

    #[test]
    fn each_thing_that_is_missing_has_its_command() {
        assert_eq!((free(""), free(FILE)), (100_000, 370_000));
        let here = WithoutRoot {
            user: "carol".to_owned(),
            users: Some((100_000, NUMBERS)),
            groups: Some((100_000, 65_536)),
            free: (165_536, 100_000),
            newuidmap: Some("/usr/bin/newuidmap".into()),
            newgidmap: Some("/usr/bin/newgidmap".into()),
            forbidden: None,
        };
        assert_eq!(here.missing(), []);
        let bare = WithoutRoot {
            users: Some((1, 1000)),
            groups: None,
            newuidmap: None,
            newgidmap: None,
            forbidden: Some(("user.max_user_namespaces", "10000")),
            ..here
        };
        let told = bare.missing();
        let says: Vec<_> = told.iter().map(|(says, _)| says.as_str()).collect();
        assert_eq!(
            says,
            [
                "user.max_user_namespaces keeps user namespaces from ordinary users",
                "there is no newuidmap and no newgidmap",
                "/etc/subuid has 1000 numbers for carol, and a lab needs 65534",
                "/etc/subgid has no numbers for carol"
            ]
        );
        let mends: Vec<_> = told.iter().map(|(_, mend)| mend.as_str()).collect();
        assert_eq!(
            mends,
            [
                "sudo sysctl -w user.max_user_namespaces=10000",
                "sudo apt-get install uidmap",
                "sudo usermod --add-subuids 165536-231071 carol",
                "sudo usermod --add-subgids 100000-165535 carol"
            ]
        );
    }
}
