//! Every word of the language is used by a scenario of the collection: what no scenario says, no relay is tested for.
//!
//! No list of words is kept here. Keys and fixed words are those of the schema, which is made from the language's own tables;
//! the loader is asked for the rest, and for the profiles. A scenario's YAML is laid beside the schema, each case of a template
//! with its values filled in. The examples of the reference do not count.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::fits::look;
use gauntlet::scenario::{self, profile_names};
use serde_json::{Map, Value};

/// Words that no scenario on the reference relay can use, each with its reason.
const EXCEPTIONS: [(&str, &str); 3] = [
    (
        "`CNAME`, one of MX, A, AAAA, TXT, CNAME, TLSA, PTR",
        "decisive: an alias comes with the answer to another question",
    ),
    (
        "`TXT`, one of MX, A, AAAA, TXT, CNAME, TLSA, PTR",
        "decisive: it reads neither SPF nor keys, and asks for no texts",
    ),
    ("`PTR`, one of MX, A, AAAA, TXT, CNAME, TLSA, PTR", "decisive: it does not look up who its clients are"),
];

/// One set of words under several names: a check alone, with a level, and of each submission.
const CHECKS: [&str; 3] = ["check", "each", "expectation"];

/// Names that are one of a few words, though the schema does not say so: where they stand, and a scenario by which the loader
/// is asked which words these are.
const OPEN: [(&str, &str); 1] = [("on", "servers: { hub: { serves: [hub.example], on: { QQ: 250 OK } } }")];

#[test]
fn every_word_is_used_by_a_scenario() {
    let schema = scenario::schema();
    let mut known: BTreeSet<String> = profile_names().map(|name| said("profile", name)).collect();
    words(&schema, "scenario", &mut known);
    for (name, definition) in schema["definitions"].as_object().expect("the schema has definitions") {
        words(definition, name, &mut known);
    }
    for (place, text) in OPEN {
        known.extend(asked(text).iter().map(|word| said(place, word)));
    }
    let mut used = BTreeSet::new();
    for file in files() {
        for case in cases(&read(&file)) {
            used_in(&schema, &schema, &case, "scenario", &mut used);
        }
    }
    let excused: BTreeSet<String> = EXCEPTIONS.iter().map(|(word, _)| (*word).to_owned()).collect();
    let unused: Vec<String> =
        known.difference(&used).filter(|word| !excused.contains(*word)).cloned().collect();
    assert!(unused.is_empty(), "no file below scenarios/ uses:\n  {}", unused.join("\n  "));
    let needless: Vec<&String> =
        excused.iter().filter(|word| used.contains(*word) || !known.contains(*word)).collect();
    assert!(needless.is_empty(), "these are used, or are no words at all: {needless:?}");
}

/// A template is laid beside the schema as the loader fills it in.
#[test]
fn the_cases_of_a_template_have_its_values() {
    let template = serde_yaml::from_str(
        "{ for each: { a: [x, 2], b: { one: { k: '{a}!' }, two: y } }, title: '{a}-{b.k}', steps: ['{b}'], '{a}': 1 }",
    )
    .expect("it is YAML");
    let told: Vec<String> =
        cases(&template).iter().map(|case| format!("{} {}", case["title"], case["steps"])).collect();
    assert_eq!(
        told,
        [r#""x-x!" [{"k":"x!"}]"#, r#""x-{b.k}" ["y"]"#, r#""2-2!" [{"k":"2!"}]"#, r#""2-{b.k}" ["y"]"#]
    );
    assert!(cases(&template)[0].get("x").is_some(), "in keys, too");
}

/// A key of a mapping.
fn key(owner: &str, key: &str) -> String {
    format!("`{key}:` of {}", if CHECKS.contains(&owner) { "expectation" } else { owner })
}

/// A word that stands in this place.
fn said(place: &str, word: &str) -> String {
    format!("`{word}` in `{place}:`")
}

/// A fixed word: known by the words that could stand there, for several keys take the same.
fn fixed(words: &Value, word: &Value) -> String {
    let all: Vec<&str> = words.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    format!("`{}`, one of {}", word.as_str().unwrap_or_default(), all.join(", "))
}

/// The keys and fixed words of one mapping, those of the mappings in it left out.
fn words(schema: &Value, owner: &str, known: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (word, value) in object {
                match word.as_str() {
                    "definitions" => {}
                    "properties" => {
                        for (name, schema) in value.as_object().expect("a mapping") {
                            known.insert(key(owner, name));
                            words(schema, owner, known);
                        }
                    }
                    "enum" => {
                        known.extend(value.as_array().expect("a list").iter().map(|word| fixed(value, word)));
                    }
                    _ => words(value, owner, known),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|schema| words(schema, owner, known)),
        _ => {}
    }
}

/// The words that a value uses. `owner`: the mapping that it stands in.
fn used_in(root: &Value, schema: &Value, value: &Value, owner: &str, used: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/")) {
        used_in(root, &root["definitions"][name], value, name, used);
    }
    let each = |word: &str| schema[word].as_array().into_iter().flatten();
    each("allOf").for_each(|one| used_in(root, one, value, owner, used));
    for one in each("anyOf").filter(|one| look(root, one, value, "").is_ok()) {
        used_in(root, one, value, owner, used);
    }
    if schema.get("enum").is_some() {
        used.insert(fixed(&schema["enum"], value));
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        used_in(root, &schema["items"], item, owner, used);
    }
    let Some(object) = value.as_object().filter(|_| schema["type"] == "object") else { return };
    for (name, value) in object {
        if let Some(schema) = schema["properties"].get(name) {
            used.insert(key(owner, name));
            texts(name, value, used);
            used_in(root, schema, value, owner, used);
        } else if schema["additionalProperties"].is_object() {
            used_in(root, &schema["additionalProperties"], value, owner, used);
        }
    }
}

/// The keys of a mapping from names, and the texts, that stand in this place: words where the schema takes any.
fn texts(name: &str, value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => _ = used.insert(said(name, text)),
        Value::Array(list) => list.iter().for_each(|value| texts(name, value, used)),
        Value::Object(object) => used.extend(object.keys().map(|word| said(name, word))),
        _ => {}
    }
}

/// The words that the loader knows where `QQ` stands: it lists them when it meets one that resembles none.
fn asked(text: &str) -> Vec<String> {
    const NONE: &str = "resembles-no-word-of-the-language-whatsoever";
    let text = format!("title: x\n{}\nexpect: [wire: {{ sessions: 1 }}]\n", text.replace("QQ", NONE));
    let told = scenario::parse(&text, Path::new("probe.yaml"), "probe").expect_err("no such word is known");
    let about = told.list().iter().filter(|one| one.title.contains(NONE));
    let list = about.flat_map(|one| &one.help).find_map(|help| help.strip_prefix("known here: "));
    let list = list.unwrap_or_else(|| panic!("no words are listed:\n{told}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    scenario::find(&[root]).expect("there are scenarios")
}

fn read(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A scenario, or all combinations of a template's values; `except:` leaves out none, for each word stands in another one.
fn cases(scenario: &Value) -> Vec<Value> {
    let mut chosen = vec![Map::new()];
    for (variable, values) in scenario["for each"].as_object().into_iter().flatten() {
        let values: Vec<Value> = match values {
            Value::Object(named) => named.values().cloned().collect(),
            _ => values.as_array().cloned().unwrap_or_default(),
        };
        let with = |before: &Map<String, Value>, value: &Value| {
            let mut all = before.clone();
            all.insert(variable.clone(), filled(value, before));
            all
        };
        chosen =
            chosen.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect();
    }
    chosen.iter().map(|variables| filled(scenario, variables)).collect()
}

fn filled(value: &Value, variables: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => match variables.iter().find_map(|(name, value)| alone(text, name, value)) {
            Some(value) => value,
            None => Value::String(within(text, variables)),
        },
        Value::Array(list) => list.iter().map(|value| filled(value, variables)).collect(),
        Value::Object(object) => {
            let entry =
                |(name, value): (&String, &Value)| (within(name, variables), filled(value, variables));
            Value::Object(object.iter().map(entry).collect())
        }
        _ => value.clone(),
    }
}

/// What a text stands for that is nothing but this variable, or a key of its value.
fn alone(text: &str, name: &str, value: &Value) -> Option<Value> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    match inside.strip_prefix(name)?.strip_prefix('.') {
        Some(key) => value.get(key).cloned(),
        None => (inside == name).then(|| value.clone()),
    }
}

fn within(text: &str, variables: &Map<String, Value>) -> String {
    let mut text = text.to_owned();
    for (name, value) in variables {
        let keys =
            value.as_object().into_iter().flatten().map(|(key, value)| (format!("{{{name}.{key}}}"), value));
        for (place, value) in keys.chain([(format!("{{{name}}}"), value)]) {
            match value {
                Value::String(value) => text = text.replace(&place, value),
                Value::Number(value) => text = text.replace(&place, &value.to_string()),
                _ => {}
            }
        }
    }
    text
}
