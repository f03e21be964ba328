//! From a file to the model.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::context::Context;
use super::model::{HistoricOutcome, Scenario, Step};
use super::{cases, checks, decisive, dialogue, dns, expect, messages, reach, relay, servers, steps, words};
use crate::yaml::{
    self, Cases, Diagnostic, Diagnostics, Document, Entry, Mapping, Node, Problems, Value, one_or_more,
};

/// What is said of a file that is no scenario at all.
const DOCUMENT: Document = Document {
    noun: "scenario",
    one: "a scenario",
    empty: "a scenario begins with `title:`; scenarios/README.md shows one",
    large: Some("large content can be made from a line: `content: { text: x, lines: 10000 }`"),
    octets: "save it as UTF-8; octets in content and replies are written `\\xNN`",
};

/// Reads the scenarios in `path`: one, or a case each of a template (`for each:`), in its order. The name is the path below
/// `root` without the ending, followed by the case's. `historic:` may name any relay.
pub fn load(path: &Path, root: &Path) -> Result<Vec<Scenario>, Diagnostics> {
    read(path, root, None)
}

/// The same; what `historic:` names must be one of `relays`.
pub fn load_knowing(path: &Path, root: &Path, relays: &[&str]) -> Result<Vec<Scenario>, Diagnostics> {
    read(path, root, Some(relays))
}

fn read(path: &Path, root: &Path, relays: Option<&[&str]>) -> Result<Vec<Scenario>, Diagnostics> {
    let below = path.strip_prefix(root).ok().filter(|below| below.file_name().is_some());
    let below = below.unwrap_or_else(|| path.file_name().map_or(path, Path::new)).with_extension("");
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parse_knowing(&yaml::text_of(path, &DOCUMENT)?, path, &parts.join("/"), relays)
}

/// Reads scenarios that came from `path`: one, or the cases of a template; never none. All mistakes are told, not the
/// first alone.
pub fn parse(text: &str, path: &Path, name: &str) -> Result<Vec<Scenario>, Diagnostics> {
    parse_knowing(text, path, name, None)
}

fn parse_knowing(
    text: &str,
    path: &Path,
    name: &str,
    relays: Option<&[&str]>,
) -> Result<Vec<Scenario>, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let root = yaml::read(text, &DOCUMENT, &mut found);
    let problems = Problems::from(found);
    let scenarios = match &root {
        None => Vec::new(),
        Some(root) if cases::is_template(root) => template(text, root, path, name, relays, &problems),
        Some(root) => {
            let cx = Context::new(text, root, &problems).knowing(relays);
            scenario(root, path, name, None, &cx).into_iter().collect()
        }
    };
    let list = problems.into_list();
    if list.is_empty() { Ok(scenarios) } else { Err(Diagnostics::new(path, text, list)) }
}

/// The cases of a template. A mistake that several have is told once.
fn template(
    text: &str,
    root: &Node,
    path: &Path,
    name: &str,
    relays: Option<&[&str]>,
    problems: &Problems,
) -> Vec<Scenario> {
    let Some(template) = cases::template(root, problems) else { return Vec::new() };
    let budget = cases::Budget::default();
    let (mut scenarios, mut unmade, mut unread) = (Vec::new(), Told::default(), Told::default());
    let mut written_out = 0;
    for case in template.cases() {
        let here = Problems::from(Vec::new());
        match case.tree(&budget, &here) {
            None => unmade.add(&case.label, here.into_list()),
            Some(tree) => {
                let cx = Context::new(text, &tree, &here).knowing(relays);
                let name = format!("{name}/{}", case.name);
                scenarios.extend(scenario(&tree, path, &name, Some(case.name), &cx));
                written_out += cx.written_out();
                unread.add(&case.label, here.into_list());
            }
        }
        if unmade.list.len() + unread.list.len() >= ENOUGH {
            break;
        }
        if written_out > MOST_WRITTEN_OUT {
            problems.push(
                Diagnostic::of_file("the template is too large once its cases are written out")
                    .because(format!("they come to more than {MOST_WRITTEN_OUT} octets"))
                    .help("make fewer cases, or smaller messages; or two files of it"),
            );
            break;
        }
    }
    let cases = unmade.cases + unread.cases;
    unmade.tell(cases, problems);
    let cases = unread.cases;
    unread.tell(cases, problems);
    scenarios
}

/// How much the recipients, header fields and files of all cases may come to, in octets.
const MOST_WRITTEN_OUT: usize = 256 * 1024 * 1024;

/// How many different mistakes are enough to read no further cases.
const ENOUGH: usize = 100;

/// The mistakes of several cases, each once.
#[derive(Default)]
struct Told {
    list: Vec<(Diagnostic, Cases)>,
    places: HashMap<Diagnostic, usize>,
    /// How many cases it was told of.
    cases: usize,
}

impl Told {
    fn add(&mut self, case: &str, list: Vec<Diagnostic>) {
        self.cases += 1;
        let mut here = HashSet::new();
        for diagnostic in list {
            let next = self.list.len();
            let place = *self.places.entry(diagnostic.clone()).or_insert(next);
            // A case may have one mistake twice: where a value stands in two places.
            if !here.insert(place) {
                continue;
            }
            match self.list.get_mut(place) {
                Some((_, cases)) => cases.count += 1,
                None => self.list.push((diagnostic, Cases { first: case.to_owned(), count: 1 })),
            }
        }
    }

    /// Tells them; what all of so many cases have is the file's own mistake.
    fn tell(self, all: usize, problems: &Problems) {
        for (diagnostic, cases) in self.list {
            let cases = Some(cases).filter(|cases| cases.count < all);
            problems.push(Diagnostic { cases, ..diagnostic });
        }
    }
}

fn scenario(
    root: &Node,
    path: &Path,
    name: &str,
    case: Option<String>,
    cx: &Context<'_>,
) -> Option<Scenario> {
    let problems = cx.problems;
    let mapping = Mapping::new(root, &words::SCENARIO, problems)?;
    let texts = |node: &Node, what: &str| -> Vec<String> {
        one_or_more(node).iter().filter_map(|node| problems.some_text(node, what)).collect()
    };
    let title =
        mapping.require("title").and_then(|node| problems.some_text(node, "a title")).unwrap_or_default();
    let about =
        mapping.take("about").and_then(|node| problems.text(node, "what it is about")).unwrap_or_default();
    let sources = mapping.take("sources").map(|node| texts(node, "a source")).unwrap_or_default();
    let tags = mapping.take("tags").map(|node| texts(node, "a tag")).unwrap_or_default();
    // The tree of a case has neither of these.
    mapping.take(cases::FOR_EACH);
    if let (Some(_), Some(entry)) = (mapping.take(cases::EXCEPT), mapping.entry(cases::EXCEPT)) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), "`except:` without `for each:`")
                .because("there are no cases to leave out"),
        );
    }
    checks::names(root, cx);
    let servers = mapping.take("servers").map(|node| servers::servers(node, cx)).unwrap_or_default();
    let clients = mapping.take("clients").map(|node| dialogue::clients(node, cx)).unwrap_or_default();
    let relay = mapping.take("relay").map(|node| relay::relay(node, cx)).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let messages =
        mapping.take("messages").map(|node| messages::messages(node, folder, cx)).unwrap_or_default();
    let dns = mapping.take("dns").map(|node| dns::dns(node, &servers, cx)).unwrap_or_default();
    let mut scenario = Scenario {
        path: path.to_owned(),
        name: name.to_owned(),
        case,
        title,
        about,
        sources,
        tags,
        servers,
        clients,
        relay,
        messages,
        dns,
        steps: Vec::new(),
        expect: Vec::new(),
        observe: Vec::new(),
        decisive: None,
        historic: Vec::new(),
    };
    let steps_node = mapping.take("steps");
    scenario.steps = match steps_node {
        Some(node) => steps::steps(node, &scenario, cx),
        None => default_steps(&scenario),
    };
    let list = |key: &'static str| {
        let node = mapping.take(key);
        node.map(|node| expect::expectations(node, key, &scenario, None, cx)).unwrap_or_default()
    };
    (scenario.expect, scenario.observe) = (list("expect"), list("observe"));
    let decisive = mapping.take("decisive");
    scenario.decisive = decisive.and_then(|node| decisive::decisive(node, &scenario, cx));
    scenario.historic = mapping.take("historic").map(|node| historic(node, cx)).unwrap_or_default();
    mapping.finish();
    reach::challenges(root, &scenario.servers, cx);
    reach::too_late(&scenario, cx);
    let sent: Vec<String> = scenario.steps.iter().flat_map(sent).cloned().collect();
    let run: Vec<String> = scenario.steps.iter().filter_map(run).cloned().collect();
    // What is misspelt elsewhere looks unused here.
    if problems.count() == 0 {
        cx.tell_doubts();
        checks::unused(root, steps_node.is_some(), &sent, &run, cx);
    }
    checks::purpose(root, &scenario, cx);
    Some(scenario)
}

/// `historic:` — on which relay of the past it bites, and how.
fn historic(node: &Node, cx: &Context<'_>) -> Vec<(String, HistoricOutcome)> {
    let words = [
        ("passes", HistoricOutcome::Passes),
        ("deviates", HistoricOutcome::Deviates),
        ("violates", HistoricOutcome::Violates),
    ];
    let Value::Mapping(entries) = &node.value else {
        cx.problems.expected(node, "relays of the past, each with `passes`, `deviates` or `violates`");
        return Vec::new();
    };
    let outcome = |entry: &Entry| {
        if let Some(relays) = cx.relays()
            && !relays.contains(&entry.key.as_str())
        {
            let title = format!("there is no relay `{}`", entry.key);
            cx.problems.unknown(entry.key_span.clone(), title, &entry.key, relays);
        }
        let outcome = cx.problems.word(&entry.value, "how the scenario comes out there", &words)?;
        Some((entry.key.clone(), outcome))
    };
    entries.iter().filter_map(outcome).collect()
}

/// Without `steps:` each client runs, every message is sent, and all settles.
fn default_steps(scenario: &Scenario) -> Vec<Step> {
    let mut steps: Vec<Step> =
        scenario.clients.iter().map(|client| Step::Client(client.name.clone())).collect();
    if !scenario.messages.is_empty() {
        steps.push(Step::Send(scenario.messages.iter().map(|message| message.name.clone()).collect()));
    }
    steps.push(Step::Settle);
    steps
}

fn sent(step: &Step) -> &[String] {
    if let Step::Send(names) = step { names } else { &[] }
}

fn run(step: &Step) -> Option<&String> {
    if let Step::Client(name) = step { Some(name) } else { None }
}

#[cfg(test)]
mod tests;
