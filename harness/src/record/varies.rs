//! What a relay does not do alike from run to run, in its adapter's words.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// What a relay does not promise. The default promises everything: it is a function of what comes to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Varies {
    /// Its values that are new in each run.
    #[serde(default)]
    pub values: Vec<Varying>,
    /// The order in which it names recipients.
    #[serde(default)]
    pub recipient_order: bool,
    /// It works in processes of its own, side by side: what they do at one moment has no order, and nor have their lines in
    /// the log.
    #[serde(default)]
    pub side_by_side: bool,
    /// That it waits by chance between attempts, and within which bounds, in the adapter's words.
    #[serde(default)]
    pub waits: Option<String>,
    /// Lines of the log that come or do not come by chance: regular expressions.
    #[serde(default)]
    pub chance: Vec<String>,
}

/// A value that is new in each run, and where it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Varying {
    /// What it is: `queue id`.
    pub name: String,
    /// A regular expression, in the syntax of `regex-lite`; its only group is the value.
    pub pattern: String,
    /// It is named where the expression finds it, and nowhere else: a process id may be any number. Otherwise it is
    /// announced there, and named wherever it stands.
    #[serde(default)]
    pub in_place: bool,
}

impl Varies {
    /// Whether all is promised.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a line of the log may be there or not.
    pub(crate) fn by_chance(&self) -> impl Fn(&str) -> bool + use<> {
        let patterns: Vec<Regex> =
            self.chance.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect();
        move |line| patterns.iter().any(|pattern| pattern.is_match(line))
    }
}

impl Varying {
    /// The expression, and what it finds. An adapter's expressions are known to be ones; of a record from elsewhere one that
    /// is not finds nothing.
    pub(super) fn regex(&self) -> Option<Regex> {
        Regex::new(&self.pattern).ok()
    }
}
