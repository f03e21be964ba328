//! From a file to the model.

use std::path::Path;

use super::context::Context;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::model::{HistoricOutcome, Scenario, Step};
use super::read::{Mapping, Problems, one_or_more};
use super::yaml::{self, Entry, Node, Value};
use super::{checks, dialogue, dns, expect, messages, relay, servers, steps};

/// Reads the scenario in `path`; its name is its path below `root` without the ending.
pub fn load(path: &Path, root: &Path) -> Result<Scenario, Diagnostics> {
    let below = path.strip_prefix(root).ok().filter(|below| below.file_name().is_some());
    let below = below.unwrap_or_else(|| path.file_name().map_or(path, Path::new)).with_extension("");
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let alone = |text: &str, diagnostic| Diagnostics::new(path, text, vec![diagnostic]);
    let octets = std::fs::read(path)
        .map_err(|error| alone("", Diagnostic::of_file(format!("the scenario cannot be read: {error}"))))?;
    match std::str::from_utf8(&octets) {
        Ok(text) => parse(text, path, &parts.join("/")),
        Err(error) => {
            let text = String::from_utf8_lossy(&octets);
            let at = error.valid_up_to();
            let diagnostic = Diagnostic::new(at..at + 3, "the file is not in UTF-8")
                .because(format!("the octet {:#04X} here begins no character", octets[at]))
                .help("save it as UTF-8; octets in content and replies are written `\\xNN`");
            Err(alone(&text, diagnostic))
        }
    }
}

/// Reads a scenario that came from `path`. All mistakes are told, not the first alone.
pub fn parse(text: &str, path: &Path, name: &str) -> Result<Scenario, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let root = yaml::read(text, &mut found);
    let problems = Problems::from(found);
    let scenario =
        root.as_ref().and_then(|root| scenario(root, path, name, &Context::new(text, root, &problems)));
    let list = problems.into_list();
    scenario.filter(|_| list.is_empty()).ok_or_else(|| Diagnostics::new(path, text, list))
}

fn scenario(root: &Node, path: &Path, name: &str, cx: &Context<'_>) -> Option<Scenario> {
    let problems = cx.problems;
    let mapping = Mapping::new(root, "a scenario", problems)?;
    let texts = |node: &Node, what: &str| -> Vec<String> {
        one_or_more(node).iter().filter_map(|node| problems.some_text(node, what)).collect()
    };
    let title =
        mapping.require("title").and_then(|node| problems.some_text(node, "a title")).unwrap_or_default();
    let about =
        mapping.take("about").and_then(|node| problems.text(node, "what it is about")).unwrap_or_default();
    let sources = mapping.take("sources").map(|node| texts(node, "a source")).unwrap_or_default();
    let tags = mapping.take("tags").map(|node| texts(node, "a tag")).unwrap_or_default();
    checks::names(root, cx);
    let servers = mapping.take("servers").map(|node| servers::servers(node, cx)).unwrap_or_default();
    let clients = mapping.take("clients").map(|node| dialogue::clients(node, cx)).unwrap_or_default();
    let relay = mapping.take("relay").map(|node| relay::relay(node, cx)).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    let messages =
        mapping.take("messages").map(|node| messages::messages(node, folder, cx)).unwrap_or_default();
    let dns = mapping.take("dns").map(|node| dns::dns(node, &servers, cx)).unwrap_or_default();
    let steps_node = mapping.take("steps");
    let steps = steps_node.map(|node| steps::steps(node, &messages, cx));
    let list = |key: &'static str| {
        let node = mapping.take(key);
        node.map(|node| expect::expectations(node, key, &messages, cx)).unwrap_or_default()
    };
    let (expect, observe) = (list("expect"), list("observe"));
    let decisive = mapping.take("decisive").and_then(|node| checks::decisive(node, &servers, cx));
    let historic = mapping.take("historic").map(|node| historic(node, cx)).unwrap_or_default();
    mapping.finish();
    let mut scenario = Scenario {
        path: path.to_owned(),
        name: name.to_owned(),
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
        expect,
        observe,
        decisive,
        historic,
    };
    scenario.steps = steps.unwrap_or_else(|| default_steps(&scenario));
    let sent: Vec<String> = scenario.steps.iter().flat_map(sent).cloned().collect();
    let run: Vec<String> = scenario.steps.iter().filter_map(run).cloned().collect();
    // What is misspelt elsewhere looks unused here.
    if problems.count() == 0 {
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
