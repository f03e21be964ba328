//! The JSON Schema for editors: it is the language's own, it takes what the language takes, and refuses what an editor can
//! tell is wrong.

mod common;

use std::path::{Path, PathBuf};

use common::fits::fits;
use gauntlet::scenario;
use rstest::rstest;
use serde_json::Value;

const PAGE: &str = "scenarios/README.md";
const MODELINE: &str = "# yaml-language-server: $schema=";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<PathBuf> {
    scenario::find(&[root().join("scenarios")]).expect("there are scenarios")
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_committed_schema_is_what_the_command_prints() {
    let made = serde_json::to_string_pretty(&scenario::schema()).expect("it is JSON");
    let committed = text_of(&root().join("scenarios/schema.json"));
    assert!(committed.trim_end() == made, "renew it: cargo run -- schema > scenarios/schema.json");
}

#[test]
fn every_scenario_fits_the_schema() {
    let schema = scenario::schema();
    for file in files() {
        let value = serde_yaml::from_str(&text_of(&file)).expect("it is YAML");
        fits(&schema, &value).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    }
}

/// Fragments too: what they leave out is not looked at.
#[test]
fn every_example_of_the_reference_fits_the_schema() {
    let mut schema = scenario::schema();
    schema["required"] = serde_json::json!([]);
    let page = text_of(&root().join(PAGE));
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() > 10, "the reference shows examples");
    for block in blocks {
        let value = serde_yaml::from_str(block).expect("it is YAML");
        fits(&schema, &value).unwrap_or_else(|why| panic!("{why}, in\n{block}"));
    }
}

#[rstest]
#[case::no_title("servers: {}", "`title`")]
#[case::unknown_key("title: x\ntitel: y", "titel")]
#[case::unknown_server_key("title: x\nservers: { hub: { profil: x } }", "hub")]
#[case::list_for_mapping("title: x\nservers: [hub]", "servers")]
#[case::reply_without_code("title: x\nservers: { hub: { on: { RCPT: no } } }", "hub")]
#[case::rule_key(
    "title: x\nservers: { hub: { on: { RCPT: [{ when: { nht: 3 }, reply: 550 no }] } } }",
    "hub"
)]
#[case::duration("title: x\nrelay: { queue: { warn: 4 } }", "relay")]
#[case::size("title: x\nservers: { hub: { pace: 10KB } }", "hub")]
#[case::range("title: x\nexpect: [delivered: { times: many }]", "expect")]
#[case::number_for_text("title: 7", "title")]
#[case::yes("title: x\nrelay: { reuse: yes }", "relay")]
#[case::certificate("title: x\nservers: { hub: { certificate: old } }", "hub")]
#[case::message_without_sender("title: x\nmessages: { note: { to: a@b.example } }", "note")]
#[case::step("title: x\nsteps: [sleep: 3s]", "steps")]
#[case::check("title: x\nexpect: [deliverd: {}]", "expect")]
#[case::nested_check("title: x\nexpect: [any of: [{ returned: { statuses: 5.1.1 } }]]", "expect")]
#[case::dns_fault("title: x\ndns: { x.example: nxdoman }", "dns")]
#[case::outcome("title: x\nhistoric: { iis-5: fails }", "historic")]
fn what_an_editor_can_tell_does_not_fit(#[case] text: &str, #[case] place: &str) {
    let value: Value = serde_yaml::from_str(text).expect("it is YAML");
    let why = fits(&scenario::schema(), &value).expect_err("it is wrong");
    assert!(why.contains(place), "{why}");
    // The reader says the same.
    assert!(scenario::parse(text, Path::new("x.yaml"), "x").is_err());
}

/// Where a scenario has the line, it leads from its folder to the schema; those of this repository have it.
#[test]
fn the_line_for_editors_names_the_schema() {
    let schema = root().join("scenarios/schema.json").canonicalize().expect("it is committed");
    let mut with = 0;
    for file in files() {
        let text = text_of(&file);
        let Some(line) = text.lines().find(|line| line.contains("yaml-language-server")) else { continue };
        assert_eq!(text.lines().next(), Some(line), "{}: it is the first line", file.display());
        let named = line.strip_prefix(MODELINE).unwrap_or_else(|| panic!("{}: {line}", file.display()));
        let path = file.parent().expect("a folder").join(named).canonicalize();
        assert_eq!(path.ok().as_ref(), Some(&schema), "{}: {named}", file.display());
        with += 1;
    }
    assert!(with >= 14, "{with} scenarios have it");
    assert!(text_of(&root().join(PAGE)).contains(&format!("{MODELINE}../schema.json")), "{PAGE} shows it");
}
