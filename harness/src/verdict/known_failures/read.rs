//! From `known-failures.yaml` to its entries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{KnownFailure, folder, name_of};
use crate::scenario::{self, Diagnostic, Diagnostics, KNOWN_FAILURES};
use crate::yaml::Form::{self, OneOrMore, Text};
use crate::yaml::{self, Document, Key, Mapping, Node, Problems, Value, Words, one_or_more, words};

const DOCUMENT: Document = Document {
    noun: "list of known failures",
    one: "a list of known failures",
    empty: "a list without entries is `[]`",
    large: None,
    octets: "save it as UTF-8",
};

static ENTRY: Words = Words {
    required: &["relay", "scenario", "clause", "reason", "seen"],
    ..words(
        "a known failure",
        &[&[
            Key("relay", "The relay, by its name or by the path of its adapter.", Text),
            Key(
                "scenario",
                "The scenarios, each with its case; `…/*`: all cases of a template.",
                OneOrMore(&Text),
            ),
            Key("clause", "The clauses that are broken, as a verdict tells them.", OneOrMore(&Text)),
            Key("reason", "Why.", Text),
            Key(
                "anywhere",
                "`true`: it is the relay's way, and known in every other scenario, too, where it need not show.",
                Form::Boolean,
            ),
            Key("seen", "The versions of the relay on which it was seen.", OneOrMore(&Text)),
        ]],
    )
};

/// The relay that nothing is known of, for nothing may be.
const WITHOUT: &str = "reference";

/// Reads the list in `folder`.
pub(super) fn load(folder: &Path, relays: &[&str]) -> Result<Vec<KnownFailure>, Diagnostics> {
    let path = shown(&folder.join(KNOWN_FAILURES));
    parse(&yaml::text_of(&path, &DOCUMENT)?, &path, folder, relays)
}

/// The path as people write it: from where they are.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let below = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below.unwrap_or_else(|| path.to_owned())
}

/// Reads a list that came from `path`; what it names lies below `folder`.
pub(super) fn parse(
    text: &str,
    path: &Path,
    folder: &Path,
    relays: &[&str],
) -> Result<Vec<KnownFailure>, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let root = yaml::read(text, &DOCUMENT, &mut found);
    let problems = Problems::from(found);
    let scenarios = Scenarios::below(folder);
    let reader = Reader { text, path, folder, relays, scenarios: &scenarios, problems: &problems };
    let entries = root.map(|root| reader.list(&root)).unwrap_or_default();
    let list = problems.into_list();
    if list.is_empty() { Ok(entries) } else { Err(Diagnostics::new(path, text, list)) }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    folder: &'a Path,
    relays: &'a [&'a str],
    scenarios: &'a Scenarios,
    problems: &'a Problems,
}

impl Reader<'_> {
    fn list(&self, root: &Node) -> Vec<KnownFailure> {
        let Value::List(nodes) = &root.value else {
            self.problems.expected(root, "a list of known failures");
            return Vec::new();
        };
        // A template that several entries name is read once.
        let mut cases = BTreeMap::new();
        let mut failures: Vec<KnownFailure> = Vec::new();
        let mut nodes_of: Vec<&Node> = Vec::new();
        for (failure, node) in nodes.iter().flat_map(|node| self.entry(node, &mut cases)) {
            let same = |other: &KnownFailure| {
                (&other.relay, &other.scenario) == (&failure.relay, &failure.scenario)
                    && other.clauses.iter().any(|clause| failure.clauses.contains(clause))
            };
            if let Some(first) = failures.iter().position(same) {
                self.problems.push(
                    Diagnostic::new(node.span.clone(), "this failure is listed twice")
                        .because("the second time: the same relay, scenario and clause")
                        .also(nodes_of[first].span.clone(), "the first time"),
                );
            }
            failures.push(failure);
            nodes_of.push(node);
        }
        failures
    }

    /// The failures of an entry, one for each scenario that it names, and where each stands.
    fn entry<'n>(&'n self, node: &'n Node, cases: &mut Cases<'n>) -> Vec<(KnownFailure, &'n Node)> {
        let problems = self.problems;
        let Some(mapping) = Mapping::new(node, &ENTRY, problems) else { return Vec::new() };
        let relay = mapping.require("relay").and_then(|node| self.relay(node));
        let named = mapping.require("scenario");
        let scenarios = named.and_then(|node| self.each(node, "the name of a scenario"));
        let scenarios: Vec<(String, &Node)> = scenarios
            .unwrap_or_default()
            .iter()
            .filter_map(|node| Some((self.scenario(node, cases)?, node)))
            .collect();
        let texts = |node: &Node, what: &str| -> Option<Vec<String>> {
            let texts = self.each(node, what)?.iter().map(|node| problems.some_text(node, what));
            Some(texts.flatten().collect()).filter(|texts: &Vec<String>| !texts.is_empty())
        };
        let clauses = mapping.require("clause").and_then(|node| texts(node, "the clause that is broken"));
        let reason = mapping.require("reason").and_then(|node| problems.some_text(node, "the reason"));
        let seen = mapping.require("seen").and_then(|node| texts(node, "a version of the relay"));
        let anywhere = mapping.take("anywhere").and_then(|node| problems.boolean(node)).unwrap_or_default();
        mapping.finish();
        let (Some(relay), Some(clauses), Some(reason), Some(seen)) = (relay, clauses, reason, seen) else {
            return Vec::new();
        };
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let among_others = named.is_some_and(|node| one_or_more(node).len() > 1);
        let failure = |(scenario, named): (String, &'n Node)| {
            // One alone is its entry; one of several is a line of it.
            let node = if among_others { named } else { node };
            let failure = KnownFailure {
                relay: relay.clone(),
                scenario,
                clauses: clauses.clone(),
                reason: reason.clone(),
                seen: seen.clone(),
                anywhere,
                among_others,
                place: format!("{}:{}", self.path.display(), self.line(node)),
            };
            (failure, node)
        };
        scenarios.into_iter().map(failure).collect()
    }

    /// One node or a list of at least one.
    fn each<'n>(&self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        let nodes = one_or_more(node);
        if nodes.is_empty() {
            self.problems.expected(node, what);
        }
        Some(nodes).filter(|nodes| !nodes.is_empty())
    }

    fn line(&self, node: &Node) -> usize {
        self.text[..node.span.start.min(self.text.len())].matches('\n').count() + 1
    }

    fn relay(&self, node: &Node) -> Option<String> {
        let relay = self.problems.some_text(node, "the name of a relay")?;
        if relay == WITHOUT {
            self.problems.push(
                Diagnostic::new(node.span.clone(), "the reference relay has no known failures")
                    .because("what it fails is a defect here")
                    .help("mend the relay, or the scenario"),
            );
            return None;
        }
        let adapter = Path::new(&relay);
        if relay.contains('/') || adapter.extension().is_some_and(|end| end == "yaml") {
            let at = self.folder.join(adapter);
            if !at.is_file() {
                let title = format!("there is no adapter {}", shown(&at).display());
                let why = "an adapter's path is told from the folder of this list";
                self.problems.push(Diagnostic::new(node.span.clone(), title).because(why));
            }
            return adapter.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        }
        if !self.relays.contains(&relay.as_str()) {
            let title = format!("there is no relay `{relay}`");
            self.problems.unknown(node.span.clone(), title, &relay, self.relays);
            return None;
        }
        Some(relay)
    }

    fn scenario<'n>(&'n self, node: &Node, cases: &mut Cases<'n>) -> Option<String> {
        let problems = self.problems;
        let name = problems.some_text(node, "the name of a scenario")?;
        let mistake = |title: String, why: &str, help: String| {
            problems.push(Diagnostic::new(node.span.clone(), title).because(why).help(help));
        };
        if let Some((file, path)) = self.scenarios.0.get_key_value(&name) {
            if !of(file, path, self.folder, cases).is_empty() {
                let help = format!("`{name}/*` is all of its cases, `{name}/CASE` is one");
                mistake(format!("`{name}` is a template"), "a template has a run for each case", help);
            }
            return Some(name);
        }
        let parent = name.rsplit_once('/').and_then(|(file, case)| {
            self.scenarios.0.get_key_value(file).map(|(file, path)| (file, path, case))
        });
        let Some((file, path, case)) = parent else {
            let known: Vec<&str> = self.scenarios.0.keys().map(String::as_str).collect();
            problems.unknown(node.span.clone(), format!("there is no scenario `{name}`"), &name, &known);
            return None;
        };
        let cases: Vec<&str> = of(file, path, self.folder, cases).iter().map(String::as_str).collect();
        if cases.is_empty() {
            // One that cannot be read is told by its own mistakes.
            if scenario::load(path, self.folder).is_ok() {
                let help = format!("write `{file}`");
                mistake(format!("there is no scenario `{name}`"), "this file has no cases", help);
            }
        } else if case != "*" && !cases.contains(&case) {
            problems.unknown(node.span.clone(), format!("`{file}` has no case `{case}`"), case, &cases);
        }
        Some(name)
    }
}

/// The cases of templates, by their names; none: it is no template, or it cannot be read.
type Cases<'a> = BTreeMap<&'a str, Vec<String>>;

fn of<'c, 'n>(file: &'n str, path: &Path, folder: &Path, cases: &'c mut Cases<'n>) -> &'c [String] {
    let read = || {
        let scenarios = scenario::load(path, folder).unwrap_or_default();
        scenarios.into_iter().filter_map(|scenario| scenario.case).collect()
    };
    cases.entry(file).or_insert_with(read)
}

/// The files of scenarios below a folder, by their names.
struct Scenarios(BTreeMap<String, PathBuf>);

impl Scenarios {
    fn below(root: &Path) -> Self {
        let files = scenario::find(&[root.to_owned()]).unwrap_or_default();
        let named = files.into_iter().filter_map(|file| Some((name_of(&folder(&file)?, &file, root), file)));
        Self(named.collect())
    }
}
