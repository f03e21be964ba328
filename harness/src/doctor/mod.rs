//! What is here, what is missing, and the command that installs it: `gauntlet doctor`.
//!
//! `look` gathers the facts of a machine; [`Diagnosis::of`] says what they mean, as data; `page` shows that.

mod containers;
mod look;
mod page;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use containers::{Containers, Image};
pub use look::look;

/// What a machine has. Nothing is judged yet.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where runs keep their files, or why there can be none: a socket on loopback, and a directory.
    pub embedded: Result<PathBuf, String>,
    /// How long it took to make a lab and to end it, or why there is none.
    pub lab: Result<Duration, NoLab>,
    /// Whether a program in a lab lives by the virtual clock, and if not, why; `None`: without labs nobody can tell. Where it does:
    /// whether a relay's programs run in turn.
    pub clock: Option<Result<bool, String>>,
    /// What a lab is made of.
    pub kernel: Kernel,
    /// The real relays that were asked about.
    pub relays: Vec<Relay>,
    /// What makes their roots.
    pub mmdebstrap: Program,
    /// Whether this user is root, who alone makes roots.
    pub is_root: bool,
    /// What there is for relays in containers.
    pub containers: Containers,
    /// Whether this user has user numbers of its own, in `/etc/subuid`: for labs without root.
    pub subordinate_ids: bool,
    /// Where `newuidmap` is.
    pub newuidmap: Option<PathBuf>,
}

/// Why no lab could be made.
#[derive(Debug, Clone)]
pub struct NoLab {
    /// What was being done, and the system's words.
    pub why: String,
    /// The right that is missing, and the command that grants it.
    pub mend: Option<String>,
}

/// What a kernel offers. `None`: it does not tell.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    /// The effective capabilities of this process, each a bit (capabilities(7)).
    pub rights: Option<u64>,
    /// The kinds of namespaces that there are (namespaces(7)).
    pub namespaces: Option<Vec<String>>,
    /// Whether there is overlayfs.
    pub overlayfs: Option<bool>,
    /// Whether there is tmpfs.
    pub tmpfs: Option<bool>,
    /// Whether there are pairs of virtual Ethernet devices (veth(4)).
    pub veth: Option<bool>,
    /// Whether there is IPv6.
    pub ipv6: Option<bool>,
}

/// A real relay.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Its name.
    pub name: String,
    /// What a lab of it is made from; `None`: it is nowhere.
    pub root: Option<PathBuf>,
    /// Where it was looked for.
    pub looked_for: String,
    /// The command that prepares a root of it.
    pub command: Option<String>,
    /// Its version, as it tells it in a lab of its own; `None`: it does not, before it is configured.
    pub version: Option<String>,
    /// Whether its root would be made in the same way today; `None`: it is no prepared root, or has no record.
    pub is_up_to_date: Option<bool>,
}

/// A program on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// It is not here.
    Missing,
    /// It is here, and answered so.
    Answers(String),
    /// It is here, and complained so.
    Fails(String),
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is here and works.
    Ok,
    /// It is here, and made by another recipe than today's.
    OutOfDate,
    /// It is not here, or does not work.
    Missing,
    /// The system does not tell.
    Unknown,
    /// Nothing asks for it yet.
    NotUsedYet,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it belongs to: `labs`.
    pub group: &'static str,
    /// Its name: `overlayfs`.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Where it is, or what is wrong with it.
    pub says: String,
    /// What mends it: a command, mostly.
    pub mend: Option<String>,
}

/// What facts mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// All that was looked at, by groups.
    pub checks: Vec<Check>,
    /// What scenarios can be run on here: `reference` for all that are built in, and real relays by their names.
    pub can_run: Vec<String>,
    /// The others.
    pub cannot_run: Vec<String>,
}

/// The groups, in their order on the page.
const EMBEDDED: &str = "built-in relays";
const LABS: &str = "labs, for real relays";
const RELAYS: &str = "real relays";
const ROOTS: &str = "to prepare roots of real relays";
const CONTAINERS: &str = "real relays in containers";
const WITHOUT_ROOT: &str = "labs without root";

/// All embedded relays, by the name of the first.
const REFERENCE: &str = "reference";

/// The rights that a lab needs: name, and number of the bit (capabilities(7)).
const RIGHTS: [(&str, u32); 2] = [("NET_ADMIN", 12), ("SYS_ADMIN", 21)];
/// The namespaces that a lab has of its own, as they are called below `/proc/self/ns`.
const NAMESPACES: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

impl Diagnosis {
    /// Says what the facts mean.
    pub fn of(facts: &Facts) -> Self {
        let mut checks = vec![match &facts.embedded {
            Ok(place) => {
                check(EMBEDDED, REFERENCE, State::Ok, format!("runs keep their files in {}", place.display()))
            }
            Err(why) => check(EMBEDDED, REFERENCE, State::Missing, why.clone()),
        }];
        checks.extend(labs(facts));
        checks.push(clock(facts));
        checks.extend(order(facts));
        checks.extend(facts.relays.iter().map(relay));
        checks.extend(roots(facts));
        checks.extend(containers::checks(&facts.containers));
        let subuid = if facts.subordinate_ids {
            "this user has user numbers of its own"
        } else {
            "none for this user"
        };
        checks.push(check(WITHOUT_ROOT, "/etc/subuid", State::NotUsedYet, subuid.to_owned()));
        let newuidmap =
            facts.newuidmap.as_ref().map_or("not here".to_owned(), |path| path.display().to_string());
        checks.push(check(WITHOUT_ROOT, "newuidmap", State::NotUsedYet, newuidmap));

        let (mut can_run, mut cannot_run) = (Vec::new(), Vec::new());
        let mut sort =
            |name: &str, can: bool| if can { &mut can_run } else { &mut cannot_run }.push(name.to_owned());
        sort(REFERENCE, facts.embedded.is_ok());
        for relay in &facts.relays {
            sort(&relay.name, facts.lab.is_ok() && relay.root.is_some());
        }
        for (choice, can) in facts.containers.can_run() {
            sort(choice, can);
        }
        Self { checks, can_run, cannot_run }
    }

    /// Whether the embedded relays, and all of these real ones, can be run.
    pub fn can_run(&self, asked: &[String]) -> bool {
        [REFERENCE.to_owned()].iter().chain(asked).all(|name| self.can_run.contains(name))
    }
}

fn check(group: &'static str, name: &str, state: State, says: String) -> Check {
    Check { group, name: name.to_owned(), state, says, mend: None }
}

fn labs(facts: &Facts) -> Vec<Check> {
    let lab = match &facts.lab {
        Ok(took) => {
            let says = format!("one was made and taken away in {} ms", took.as_millis().max(1));
            check(LABS, "a lab", State::Ok, says)
        }
        Err(NoLab { why, mend }) => {
            Check { mend: mend.clone(), ..check(LABS, "a lab", State::Missing, why.clone()) }
        }
    };
    let kernel = &facts.kernel;
    let works = facts.lab.is_ok();
    // What a lab was made of is there, whatever else the system tells of it.
    let part = |name, there: Option<bool>, says: String, mend: &str| {
        let state = match there {
            _ if works => State::Ok,
            Some(true) => State::Ok,
            Some(false) => State::Missing,
            None => State::Unknown,
        };
        let mend = Some(mend.to_owned()).filter(|_| state == State::Missing);
        Check { mend, ..check(LABS, name, state, says) }
    };
    let lacking = |lacks: Vec<&str>, all: &[&str]| match lacks.as_slice() {
        [] => all.join(", "),
        lacks => format!("without {}", lacks.join(", ")),
    };
    let lacks = |mask: u64| -> Vec<&str> {
        RIGHTS.iter().filter(|(_, bit)| mask >> bit & 1 == 0).map(|(name, _)| *name).collect()
    };
    let rights = kernel.rights.map(lacks);
    let absent = |there: &Vec<String>| -> Vec<&str> {
        NAMESPACES.into_iter().filter(|name| !there.iter().any(|known| known == name)).collect()
    };
    let namespaces = kernel.namespaces.as_ref().map(absent);
    let says = |lacks: &Option<Vec<&str>>, all: &[&str]| match lacks {
        _ if works => all.join(", "),
        Some(lacks) => lacking(lacks.clone(), all),
        None => "the system does not tell".to_owned(),
    };
    let told = |name: &str, there: Option<bool>| match there {
        _ if works => name.to_owned(),
        Some(true) => name.to_owned(),
        Some(false) => "the kernel has none".to_owned(),
        None => "the kernel does not tell".to_owned(),
    };
    vec![
        lab,
        part(
            "rights",
            rights.as_ref().map(Vec::is_empty),
            says(&rights, &RIGHTS.map(|(name, _)| name)),
            "run as root, or: docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN",
        ),
        part(
            "namespaces",
            namespaces.as_ref().map(Vec::is_empty),
            says(&namespaces, &NAMESPACES),
            "a kernel with CONFIG_NAMESPACES and all kinds of them",
        ),
        part(
            "overlayfs",
            kernel.overlayfs,
            told("files over a root that is only read", kernel.overlayfs),
            "modprobe overlay",
        ),
        part("tmpfs", kernel.tmpfs, told("files in memory", kernel.tmpfs), "a kernel with CONFIG_TMPFS"),
        part("veth", kernel.veth, told("the wire between relay and Internet", kernel.veth), "modprobe veth"),
        part(
            "IPv6",
            kernel.ipv6,
            told("addresses of both families", kernel.ipv6),
            "boot without ipv6.disable=1; in a container: docker run --sysctl net.ipv6.conf.all.disable_ipv6=0",
        ),
    ]
}

/// Runs are judged without it too; it is their records that may differ.
fn order(facts: &Facts) -> Option<Check> {
    let Some(Ok(in_turn)) = &facts.clock else { return None };
    if *in_turn {
        let says = "a relay's programs run in turn: each run has one order";
        return Some(check(LABS, "order", State::Ok, says.to_owned()));
    }
    let says =
        "without SYS_NICE: what a relay's programs do at one moment may come in another order each time";
    let mend = Some("run as root, or: docker run --cap-add SYS_NICE".to_owned());
    Some(Check { mend, ..check(LABS, "order", State::Missing, says.to_owned()) })
}

/// Real relays are run without it too, but for what depends on time.
fn clock(facts: &Facts) -> Check {
    let (state, says) = match &facts.clock {
        Some(Ok(_)) => (State::Ok, "virtual: a day passes in a lab when all wait for it".to_owned()),
        Some(Err(why)) => {
            (State::Missing, format!("{why}: scenarios that depend on time are unsupported on real relays"))
        }
        None => (State::Unknown, "without labs it cannot be tried".to_owned()),
    };
    let mend = (state == State::Missing)
        .then(|| "Linux with glibc on x86_64 or aarch64; a kernel with CONFIG_SCHED_INFO".to_owned());
    Check { mend, ..check(LABS, "clock", state, says) }
}

fn relay(relay: &Relay) -> Check {
    let Relay { name, root, looked_for, command, version, is_up_to_date } = relay;
    let Some(root) = root else {
        let mend = command.clone().map_or_else(
            || "install it, or have its adapter name its packages (`install:`)".to_owned(),
            |command| format!("sudo {command}"),
        );
        return Check {
            mend: Some(mend),
            ..check(RELAYS, name, State::Missing, format!("there is {looked_for}"))
        };
    };
    let place = if root.as_os_str() == "/" {
        "as it is installed on this machine".to_owned()
    } else {
        format!("in {}", root.display())
    };
    let version = version.as_ref().map_or_else(String::new, |version| format!("{version}, "));
    let says = format!("{version}{place}");
    if *is_up_to_date == Some(false) {
        let mend = command.as_ref().map(|command| format!("sudo {command}"));
        return Check {
            mend,
            ..check(RELAYS, name, State::OutOfDate, format!("{says}: made by another recipe than today's"))
        };
    }
    check(RELAYS, name, State::Ok, says)
}

fn roots(facts: &Facts) -> Vec<Check> {
    let mmdebstrap = match &facts.mmdebstrap {
        Program::Answers(version) => check(ROOTS, "mmdebstrap", State::Ok, version.clone()),
        Program::Fails(why) => check(ROOTS, "mmdebstrap", State::Missing, why.clone()),
        Program::Missing => {
            let says = "not here; ci/relay-roots.sh installs it where it can".to_owned();
            check(ROOTS, "mmdebstrap", State::Missing, says)
        }
    };
    let install = "sudo apt-get install mmdebstrap debian-archive-keyring".to_owned();
    let mend = Some(install).filter(|_| mmdebstrap.state == State::Missing);
    let root = if facts.is_root {
        check(ROOTS, "root", State::Ok, "this user is root".to_owned())
    } else {
        let says = "this user is not root: a root's files belong to many users".to_owned();
        Check {
            mend: Some("sudo -E ci/relay-roots.sh".to_owned()),
            ..check(ROOTS, "root", State::Missing, says)
        }
    };
    vec![Check { mend, ..mmdebstrap }, root]
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OutOfDate => "out of date",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::NotUsedYet => "not used yet",
        }
    }
}
