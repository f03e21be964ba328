//! What relays are known to fail: `known-failures.yaml`, a list beside the scenarios. scenarios/README.md has its words.
//!
//! An entry names a relay, a scenario and the clauses that are broken there. What it names and nothing else is a known
//! failure; where nothing of it is broken any more, the entry is out of date, and that is an error.

mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Finding, Outcome, Severity, Verdict};
use crate::scenario::{Diagnostics, KNOWN_FAILURES, Scenario};

/// Which relays fail where, and why: the lists of any number of folders.
#[derive(Debug, Clone, Default)]
pub struct KnownFailures {
    /// By folder; each in its file's order.
    lists: BTreeMap<PathBuf, Vec<KnownFailure>>,
}

/// A failure that is listed: an entry, or one of the scenarios that an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFailure {
    /// The relay's name; of a user's own adapter, that of the file.
    pub relay: String,
    /// The scenario's path below the list's folder without its ending, with the case of a template; or all of its cases: `…/*`.
    pub scenario: String,
    /// The clauses that are broken, as a verdict tells them. At least one.
    pub clauses: Vec<String>,
    /// Why it fails.
    pub reason: String,
    /// The versions of the relay on which it was seen. At least one.
    pub seen: Vec<String>,
    /// It is the relay's way and no matter of the scenario: what breaks these clauses is known wherever else it shows, too.
    pub anywhere: bool,
    /// Whether its entry names further scenarios.
    pub among_others: bool,
    /// Where it stands: file and line.
    pub place: String,
}

impl KnownFailures {
    /// The lists that hold for these files: for each of them that of the nearest folder above it that has one. A list may
    /// name the relays in `relays`, and adapters by their path. The mistakes of each list that has any come second.
    pub fn above(files: &[PathBuf], relays: &[&str]) -> (Self, Vec<Diagnostics>) {
        let folders: BTreeSet<PathBuf> = files.iter().filter_map(|file| folder(file)).collect();
        let with_list = |folder: &PathBuf| {
            folder.ancestors().find(|above| above.join(KNOWN_FAILURES).is_file()).map(Path::to_owned)
        };
        let folders: BTreeSet<PathBuf> = folders.iter().filter_map(with_list).collect();
        let (mut known, mut wrong) = (Self::default(), Vec::new());
        for folder in folders {
            match read::load(&folder, relays) {
                Ok(list) => _ = known.lists.insert(folder, list),
                Err(diagnostics) => wrong.push(diagnostics),
            }
        }
        (known, wrong)
    }

    /// What is known of a scenario on a relay.
    pub fn of(&self, scenario: &Scenario, relay: &str) -> Vec<&KnownFailure> {
        self.known(scenario, relay).0
    }

    /// The same, and second what may show there as anywhere.
    fn known(&self, scenario: &Scenario, relay: &str) -> (Vec<&KnownFailure>, Vec<&KnownFailure>) {
        let Some(folder) = folder(&scenario.path) else { return Default::default() };
        let Some((root, list)) = folder.ancestors().find_map(|above| Some((above, self.lists.get(above)?)))
        else {
            return Default::default();
        };
        let name = name_of(&folder, &scenario.path, root);
        let of_relay = list.iter().filter(|entry| entry.relay == relay);
        let (named, other): (Vec<_>, Vec<_>) = of_relay.partition(|entry| entry.is_about(&name, scenario));
        (named, other.into_iter().filter(|entry| entry.anywhere).collect())
    }

    /// Tells the failures that are known from those that are not, in the verdict on a run of `scenario` on `relay`.
    pub fn apply(&self, scenario: &Scenario, relay: &str, verdict: &mut Verdict) {
        let (entries, anywhere) = self.known(scenario, relay);
        if !entries.is_empty() || !anywhere.is_empty() {
            verdict.outcome = outcome(&entries, &anywhere, verdict);
        }
    }
}

fn outcome(entries: &[&KnownFailure], anywhere: &[&KnownFailure], verdict: &Verdict) -> Outcome {
    let fails = match verdict.outcome {
        Outcome::Pass => false,
        Outcome::Deviates | Outcome::Violates => true,
        _ => return verdict.outcome.clone(),
    };
    let held: Vec<&Finding> = verdict.findings.iter().filter(|one| one.severity != Severity::Note).collect();
    let known = || entries.iter().chain(anywhere);
    let unknown = held.iter().filter(|finding| !known().any(|entry| entry.explains(finding)));
    match unknown.map(|finding| finding.severity).min() {
        // A finding may weigh more than the outcome: what a run did not put to the test.
        Some(Severity::Violates) if fails => return verdict.outcome.clone(),
        Some(_) if fails => return Outcome::Deviates,
        _ => {}
    }
    let gone = |entry: &&&KnownFailure| !held.iter().any(|finding| entry.explains(finding));
    let gone: Vec<&&KnownFailure> = entries.iter().filter(gone).collect();
    let join = |texts: Vec<&str>, between: &str| texts.join(between);
    if gone.is_empty() {
        let mut reasons: Vec<&str> = Vec::new();
        for entry in known().filter(|entry| held.iter().any(|finding| entry.explains(finding))) {
            if !reasons.contains(&entry.reason.as_str()) {
                reasons.push(&entry.reason);
            }
        }
        // Nothing that is known has shown: it passes as others do.
        let passes = reasons.is_empty();
        return if passes {
            verdict.outcome.clone()
        } else {
            Outcome::KnownFailure { reason: join(reasons, "; ") }
        };
    }
    let places = join(gone.iter().map(|entry| entry.place.as_str()).collect(), ", ");
    // The other scenarios of an entry may fail as ever.
    let mut named: Vec<String> = Vec::new();
    for entry in &gone {
        let what = if entry.among_others { format!("`{}`", entry.scenario) } else { "it".to_owned() };
        if !named.contains(&what) {
            named.push(what);
        }
    }
    let named = named.join(" and ");
    let rest = if gone.iter().any(|entry| entry.all_cases().is_some()) {
        ", or name the cases that still fail"
    } else {
        ""
    };
    Outcome::KnownFailurePasses { reason: format!("a known failure passes: remove {named}{rest} ({places})") }
}

impl KnownFailure {
    /// The template, where the entry is about all of its cases.
    fn all_cases(&self) -> Option<&str> {
        self.scenario.strip_suffix("/*")
    }

    fn is_about(&self, file: &str, scenario: &Scenario) -> bool {
        match (&scenario.case, self.all_cases()) {
            (Some(_), Some(template)) => template == file,
            (Some(case), None) => self.scenario.strip_prefix(file) == Some(format!("/{case}").as_str()),
            (None, _) => self.scenario == file,
        }
    }

    fn explains(&self, finding: &Finding) -> bool {
        self.clauses.contains(&finding.clause)
    }
}

/// The folder that a file lies in, by its one true name: a list is above a scenario however the two were asked for.
fn folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().ok()
}

/// What a list in `root` calls the scenario file of this name in `folder`.
fn name_of(folder: &Path, file: &Path, root: &Path) -> String {
    let below = folder.strip_prefix(root).unwrap_or(folder).join(file.file_stem().unwrap_or_default());
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
