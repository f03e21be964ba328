//! The JSON Schema for editors: it is the language's own, it takes what the language takes, and refuses what an editor can
//! tell is wrong.
//!
//! The validator below knows the words of JSON Schema (draft-07) that the schema uses, and fails on any other.

use std::path::{Path, PathBuf};

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

/// Whether a value fits; if not, where and why.
fn fits(root: &Value, value: &Value) -> Result<(), String> {
    look(root, root, value, "")
}

fn look(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let list = |words: &Value| -> Vec<Value> { words.as_array().expect("a list").clone() };
    for (word, said) in schema.as_object().expect("a schema") {
        match word.as_str() {
            "$ref" => {
                let name =
                    said.as_str().and_then(|said| said.strip_prefix("#/definitions/")).expect("a definition");
                look(root, &root["definitions"][name], value, at)?;
            }
            "anyOf" => {
                let tried: Vec<_> = list(said).iter().map(|one| look(root, one, value, at)).collect();
                if !tried.iter().any(Result::is_ok) {
                    let why: Vec<String> = tried.into_iter().filter_map(Result::err).collect();
                    return Err(format!("{at} fits nothing: {}", why.join("; ")));
                }
            }
            "allOf" => list(said).iter().try_for_each(|one| look(root, one, value, at))?,
            "enum" if !list(said).contains(value) => return Err(format!("{at}: {value} is none of {said}")),
            "type" => {
                let kinds = if said.is_array() { list(said) } else { vec![said.clone()] };
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_f64() => "number",
                    Value::Number(_) => "integer",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                if !kinds.iter().any(|one| one == kind) {
                    return Err(format!("{at}: {value} is no {said}"));
                }
            }
            "pattern" => {
                let pattern = regex_lite::Regex::new(said.as_str().expect("a text")).expect("a pattern");
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    return Err(format!("{at}: {value} does not match {said}"));
                }
            }
            "minimum" if value.as_i64().is_some_and(|value| value < said.as_i64().expect("a number")) => {
                return Err(format!("{at}: {value} is too small"));
            }
            "minItems"
                if value
                    .as_array()
                    .is_some_and(|all| all.len() < said.as_u64().expect("a number") as usize) =>
            {
                return Err(format!("{at} is too short"));
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    look(root, said, item, &format!("{at}[{index}]"))?;
                }
            }
            "required" => {
                let missing = list(said)
                    .into_iter()
                    .find(|key| value.is_object() && value.get(key.as_str().expect("a key")).is_none());
                if let Some(key) = missing {
                    return Err(format!("{at} has no `{}`", key.as_str().unwrap_or_default()));
                }
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{key}");
                    let patterns = schema.get("patternProperties").and_then(Value::as_object);
                    let filled = patterns.into_iter().flatten().find(|(pattern, _)| {
                        regex_lite::Regex::new(pattern).expect("a pattern").is_match(key)
                    });
                    match (schema["properties"].get(key), filled) {
                        (Some(schema), _) | (None, Some((_, schema))) => look(root, schema, value, &at)?,
                        (None, None) if *said == Value::Bool(false) => {
                            return Err(format!("{at} is unknown"));
                        }
                        (None, None) => look(root, said, value, &at)?,
                    }
                }
            }
            "$schema" | "title" | "description" | "definitions" | "patternProperties" | "properties"
            | "enum" | "minimum" | "minItems" => {}
            other => panic!("the schema has `{other}`, which nobody looks at"),
        }
    }
    Ok(())
}
