//! A diagnosis as people and programs read it.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Check, Diagnosis};

impl Diagnosis {
    /// A table for a terminal, with what mends it under each thing that is amiss.
    pub fn page(&self) -> String {
        let width =
            |of: fn(&Check) -> &str| self.checks.iter().map(|check| of(check).len()).max().unwrap_or(0);
        let (states, names) = (width(|check| check.state.word()), width(|check| &check.name));
        let mut page = String::new();
        let mut group = "";
        for check in &self.checks {
            if check.group != group {
                group = check.group;
                // A text takes all that is written to it.
                let _ = writeln!(page, "{}{group}", if page.is_empty() { "" } else { "\n" });
            }
            let _ = writeln!(page, "  {:states$}  {:names$}  {}", check.state.word(), check.name, check.says);
            if let Some(mend) = &check.mend {
                let _ = writeln!(page, "  {:states$}  {:names$}  → {mend}", "", "");
            }
        }
        let _ = write!(page, "\ncan be run here: {}", list(&self.can_run));
        if !self.cannot_run.is_empty() {
            let _ = write!(page, "\ncannot be run: {}", list(&self.cannot_run));
        }
        page
    }

    /// One JSON array with an object for each thing that was looked at. README.md has the form; it only grows.
    pub fn json(&self) -> String {
        let all: Vec<Entry<'_>> = self.checks.iter().map(entry).collect();
        serde_json::to_string_pretty(&all).expect("texts alone")
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    group: &'a str,
    name: &'a str,
    state: &'a str,
    says: &'a str,
    mend: Option<&'a str>,
}

fn entry(check: &Check) -> Entry<'_> {
    let Check { group, name, state, says, mend } = check;
    Entry { group, name, state: state.word(), says, mend: mend.as_deref() }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
