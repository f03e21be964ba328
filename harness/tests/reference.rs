//! The language's reference keeps its word: what it shows can be run, and it knows every word.
//!
//! Looked at are the ```yaml blocks of `scenarios/README.md` and of the top `README.md`:
//!
//! - A block with `title:` is a whole scenario. It is read and run on the reference relay, and must pass there; on each
//!   relay of its `historic:` it must come out as it says.
//! - Any other block is a fragment: its top-level keys take the place of those of the first block of
//!   `scenarios/README.md`. Together they must be a scenario without mistakes.
//!
//! Mistakes are shown with the page's own line numbers.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use gauntlet::scenario::{self, Diagnostics, HistoricOutcome, Scenario, profile_names};
use gauntlet::verdict::Outcome;
use gauntlet::{run, verdict};
use mock_servers::script::Verb;
use rstest::rstest;

const REFERENCE: &str = "scenarios/README.md";
const PAGES: [&str; 2] = [REFERENCE, "README.md"];

#[test]
fn every_example_does_what_the_page_says() {
    let base = base();
    let mut wrong = Vec::new();
    for page in PAGES {
        let blocks = blocks(page);
        assert!(!blocks.is_empty(), "{page} shows no ```yaml block: has its form changed?");
        for block in blocks {
            wrong.extend(block.mistake(&base).map(|told| format!("{page}:{}: {told}", block.line)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} example(s) do not do what they should:\n\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

/// No list is kept here: the loader is asked, by a word that it cannot know, which ones it knows.
#[rstest]
#[case::top("QQ: 1")]
#[case::profiles("servers: { hub: { profile: QQ } }")]
#[case::server("servers: { hub: { QQ: 1 } }")]
#[case::serves("servers: { hub: { serves: [{ QQ: 1 }] } }")]
#[case::address("servers: { hub: { addresses: [QQ] } }")]
#[case::reach("servers: { hub: { addresses: [{ v4: QQ }] } }")]
#[case::offers("servers: { hub: { offers: { QQ: 1 } } }")]
#[case::credentials("servers: { hub: { credentials: { QQ: 1 } } }")]
#[case::certificate("servers: { hub: { certificate: QQ } }")]
#[case::event("servers: { hub: { on: { QQ: 250 OK } } }")]
#[case::rule("servers: { hub: { on: { RCPT: { QQ: 1 } } } }")]
#[case::condition("servers: { hub: { on: { RCPT: { when: { QQ: 1 }, reply: 250 OK } } } }")]
#[case::sent_as("servers: { hub: { on: { RCPT: { send: x, as: QQ } } } }")]
#[case::close("servers: { hub: { on: { RCPT: { close: QQ } } } }")]
#[case::tls("servers: { hub: { on: { STARTTLS: { tls: { QQ: 1 } } } } }")]
#[case::tls_fails("servers: { hub: { on: { STARTTLS: { tls: { fail: QQ } } } } }")]
#[case::server_dialogue("servers: { hub: { dialogue: [QQ: 1] } }")]
#[case::client("clients: { c: { QQ: 1 } }")]
#[case::client_dialogue("clients: { c: { dialogue: [QQ: 1] } }")]
#[case::dialogue_hears("clients: { c: { dialogue: [hear: QQ] } }")]
#[case::dialogue_closes("clients: { c: { dialogue: [close: QQ] } }")]
#[case::relay("relay: { QQ: 1 }")]
#[case::relay_auth("relay: { auth: { QQ: 1 } }")]
#[case::relay_tls("relay: { tls: QQ }")]
#[case::relay_queue("relay: { queue: { QQ: 1 } }")]
#[case::relay_retry("relay: { queue: { retry: { QQ: 1 } } }")]
#[case::relay_limits("relay: { limits: { QQ: 1 } }")]
#[case::relay_timeouts("relay: { timeouts: { QQ: 1 } }")]
#[case::message("messages: { note: { QQ: 1 } }")]
#[case::envelope("messages: { note: { envelope: { QQ: 1 } } }")]
#[case::body("messages: { note: { envelope: { body: QQ } } }")]
#[case::notify("messages: { note: { envelope: { notify: QQ } } }")]
#[case::ret("messages: { note: { envelope: { ret: QQ } } }")]
#[case::header("messages: { note: { headers: { Received: { QQ: 1 } } } }")]
#[case::content("messages: { note: { content: { QQ: 1 } } }")]
#[case::part("messages: { note: { content: { parts: [{ text: x, QQ: 1 }] } } }")]
#[case::encoding("messages: { note: { content: { encoding: QQ } } }")]
#[case::dkim("messages: { note: { content: { dkim: QQ } } }")]
#[case::by("messages: { note: { envelope: { by: QQ } } }")]
#[case::chunks("messages: { note: { envelope: { by: { QQ: 1 } } } }")]
#[case::dns("dns: { x.example: { QQ: 1 } }")]
#[case::dns_tcp("dns: { x.example: { tcp: QQ } }")]
#[case::tlsa("dns: { _25._tcp.mx.hub.example: { TLSA: QQ } }")]
#[case::dns_fault("dns: { x.example: QQ }")]
#[case::step("steps: [QQ: 1]")]
#[case::plain_step("steps: [QQ]")]
#[case::kill("steps: [kill: QQ]")]
#[case::queue_run("steps: [queue run: QQ]")]
#[case::fault("steps: [fault: { QQ: 1 }]")]
#[case::relay_fault("steps: [fault: { relay: QQ }]")]
#[case::check("steps: [check: [QQ: 1]]")]
#[case::expectation("expect: [QQ: 1]")]
#[case::delivered("expect: [delivered: { QQ: 1 }]")]
#[case::octets("expect: [delivered: { octets: QQ }]")]
#[case::signature("expect: [delivered: { dkim: QQ }]")]
#[case::returned("expect: [returned: { QQ: 1 }]")]
#[case::text("expect: [returned: { text: { QQ: 1 } }]")]
#[case::refused("expect: [refused: { QQ: 1 }]")]
#[case::refused_at("expect: [refused: { at: QQ }]")]
#[case::queued("expect: [queued: { QQ: 1 }]")]
#[case::delayed("expect: [delayed: { QQ: 1 }]")]
#[case::notified("expect: [notified: { QQ: 1 }]")]
#[case::action("expect: [notified: { action: QQ }]")]
#[case::wire("expect: [wire: { QQ: 1 }]")]
#[case::each("expect: [each: { QQ: 1 }]")]
#[case::decisive("decisive: { QQ: 1 }")]
#[case::decisive_name("decisive: { dns: x.example, QQ: 1 }")]
#[case::decisive_type("decisive: { dns: x.example, type: QQ }")]
#[case::historic("historic: { iis-5: QQ }")]
fn every_word_is_in_the_reference(#[case] place: &str) {
    let spans = code_spans();
    let words = known_at(place);
    let missing: Vec<&String> = words.iter().filter(|word| !is_in(&spans, word)).collect();
    assert!(missing.is_empty(), "{REFERENCE} does not name {missing:?}, known at `{place}`");
}

#[test]
fn every_verb_and_every_profile_is_in_the_reference() {
    let spans = code_spans();
    let words = Verb::ALL.map(Verb::name).into_iter().chain(profile_names());
    let missing: Vec<&str> = words.filter(|word| !is_in(&spans, word)).collect();
    assert!(missing.is_empty(), "{REFERENCE} does not name {missing:?}");
}

/// A ```yaml block of a page.
struct Block {
    page: &'static str,
    /// The line of the page on which its text begins, from 1.
    line: usize,
    text: String,
}

impl Block {
    /// What is wrong with it, if anything is.
    fn mistake(&self, base: &[Section]) -> Option<String> {
        let whole = sections(&self.text).iter().any(|section| section.key == "title");
        let text = if whole { self.text.clone() } else { merged(&self.text, base) };
        match parsed(&text, self.line, self.page) {
            Err(diagnostics) if whole => Some(format!("the scenario is refused\n{diagnostics}")),
            Err(diagnostics) => Some(format!(
                "the fragment, put into the first block of {REFERENCE}, is refused (lines past its end are that block's)\n\
                 {diagnostics}"
            )),
            Ok(scenarios) if whole => {
                let wrong: String = scenarios.iter().filter_map(comes_out).collect();
                (!wrong.is_empty()).then_some(wrong)
            }
            Ok(_) => None,
        }
    }
}

/// What does not come out as it should when the scenario runs.
fn comes_out(scenario: &Scenario) -> Option<String> {
    let mut wrong = String::new();
    let historic = scenario.historic.iter().map(|(relay, outcome)| (relay.as_str(), *outcome));
    for (relay, expected) in std::iter::once(("reference", HistoricOutcome::Passes)).chain(historic) {
        let record = match run::run(scenario, relay, &run::RunOptions::default()) {
            Ok(record) => record,
            Err(error) => {
                let _ = writeln!(wrong, "on {relay} it does not run: {error}");
                continue;
            }
        };
        let verdict = verdict::judge(scenario, &record);
        let as_expected = match expected {
            HistoricOutcome::Passes => verdict.outcome == Outcome::Pass,
            HistoricOutcome::Deviates => verdict.outcome == Outcome::Deviates,
            HistoricOutcome::Violates => verdict.outcome == Outcome::Violates,
        };
        if !as_expected {
            let found = common::findings(scenario, relay, &verdict);
            let _ = writeln!(wrong, "required is {expected:?}; found: {found}");
        }
    }
    (!wrong.is_empty()).then_some(wrong)
}

/// Reads a text as if it stood on this line of a page, so that mistakes are shown there.
fn parsed(text: &str, line: usize, page: &str) -> Result<Vec<Scenario>, Diagnostics> {
    scenario::parse(&format!("{}{text}", "\n".repeat(line - 1)), Path::new(page), "an-example")
}

/// One top-level key of a block, with all that belongs to it.
struct Section {
    key: String,
    text: String,
}

/// A block's top-level keys, in its order. Comments and empty lines belong to the key above them.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        let key = line.split_once(':').map(|(key, _)| key).filter(|key| !key.starts_with([' ', '#', '-']));
        match (key, sections.last_mut()) {
            (Some(key), _) => sections.push(Section { key: key.to_owned(), text: format!("{line}\n") }),
            (None, Some(last)) => _ = writeln!(last.text, "{line}"),
            (None, None) => {}
        }
    }
    sections
}

/// A fragment, followed by what it leaves of the base. It stands first, so that its lines keep their numbers.
fn merged(fragment: &str, base: &[Section]) -> String {
    let own: BTreeSet<String> = sections(fragment).into_iter().map(|section| section.key).collect();
    let rest = base.iter().filter(|section| !own.contains(&section.key));
    rest.fold(format!("{fragment}\n"), |text, section| text + &section.text)
}

/// The first block of the reference: what every fragment is put into.
fn base() -> Vec<Section> {
    let first = blocks(REFERENCE).into_iter().next().expect("the reference shows an example");
    let base = sections(&first.text);
    assert!(
        base.iter().any(|section| section.key == "title"),
        "the first block of {REFERENCE} is no whole scenario"
    );
    base
}

fn text_of(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page))
        .unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn blocks(page: &'static str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, Block)> = None;
    for (index, line) in text_of(page).lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let written = language.trim();
                assert!(
                    written != "yml",
                    "{page}:{}: write ```yaml, or the example is looked at by nobody",
                    index + 1
                );
                let block = Block { page, line: index + 2, text: String::new() };
                open = Some((written == "yaml", block));
            }
            (Some(_), Some(_)) => {
                blocks.extend(open.take().filter(|(is_yaml, _)| *is_yaml).map(|(_, block)| block));
            }
            (None, Some((_, block))) => _ = writeln!(block.text, "{line}"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block is never closed");
    blocks
}

/// What stands between backticks in the reference's prose and tables.
fn code_spans() -> Vec<String> {
    let mut inside = false;
    let mut spans = Vec::new();
    for line in text_of(REFERENCE).lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// Whether the word stands in one of the spans, as a whole.
fn is_in(spans: &[String], word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    spans.iter().any(|span| {
        span.match_indices(word).any(|(at, _)| {
            !span[..at].ends_with(part_of_a_word) && !span[at + word.len()..].starts_with(part_of_a_word)
        })
    })
}

/// The words that the loader knows where `QQ` stands: it lists them when it meets one that resembles none.
fn known_at(place: &str) -> Vec<String> {
    const NONE: &str = "resembles-no-word-of-the-language-whatsoever";
    let text = merged(&place.replace("QQ", NONE), &base());
    let told = parsed(&text, 1, "probe.yaml").expect_err("no such word is known");
    let about = told.list().iter().filter(|one| one.title.contains(NONE));
    let list = about.flat_map(|one| &one.help).find_map(|help| help.strip_prefix("known here: "));
    let list = list.unwrap_or_else(|| panic!("at `{place}` no words are listed:\n{told}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
