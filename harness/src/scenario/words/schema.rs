//! The JSON Schema by which editors complete and check scenarios: draft-07, which they read best.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::yaml::{Form, Words};

/// The schema, made from the tables of words. It knows keys, kinds of values and fixed words; what only the reader can tell
/// (names, rules that never fire) it lets pass.
pub fn schema() -> Value {
    let mut schemas = Schemas { definitions: BTreeMap::new() };
    let root = schemas.mapping(&super::SCENARIO);
    let definitions: Map<String, Value> =
        schemas.definitions.into_iter().map(|(name, (_, schema))| (name, schema)).collect();
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A scenario for Gauntlet",
        "description": "See scenarios/README.md. Made by `gauntlet schema`; not to be changed by hand.",
    });
    let whole = schema.as_object_mut().expect("made as one");
    whole.extend(root.as_object().cloned().unwrap_or_default());
    whole.insert("definitions".to_owned(), Value::Object(definitions));
    schema
}

/// What a template fills in may stand for any value.
const FILLED: &str = r"^\{[A-Za-z][^{}]*\}$";

const DURATION: &str = r"^([0-9]+(ms|s|m|h|d))+$";
const SIZE: &str = r"^[0-9]+ ?(B|KiB|MiB|GiB)?$";
const RANGE: &str = r"^([0-9]+|[0-9]+ ?\.\.( ?[0-9]+)?|\.\. ?[0-9]+)$";
const REPLY: &str = r"^([2-5][0-5][0-9]([ -]|$)|.*\{)";

struct Schemas {
    /// By name; nothing as long as it is being made.
    definitions: BTreeMap<String, (&'static Words, Value)>,
}

impl Schemas {
    fn mapping(&mut self, words: &'static Words) -> Value {
        let mut properties = Map::new();
        for key in words.keys() {
            let mut schema = self.form(&key.2);
            if let Some(object) = schema.as_object_mut() {
                // Beside a reference draft-07 reads nothing.
                if let Some(reference) = object.remove("$ref") {
                    object.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
                }
                object.insert("description".to_owned(), key.1.into());
            }
            properties.insert(key.0.to_owned(), schema);
        }
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "patternProperties": { FILLED: {} },
            "additionalProperties": false,
        });
        if !words.required.is_empty() {
            schema["required"] = json!(words.required);
        }
        schema
    }

    fn form(&mut self, form: &'static Form) -> Value {
        match form {
            Form::Anything => json!({}),
            Form::Null => json!({ "type": "null" }),
            Form::Text => json!({ "type": "string" }),
            Form::Boolean => filled(json!({ "type": "boolean" })),
            Form::Whole => filled(json!({ "type": "integer", "minimum": 0 })),
            Form::Duration => filled(json!({ "type": "string", "pattern": DURATION })),
            Form::Size => filled(number_or(SIZE)),
            Form::Range => filled(number_or(RANGE)),
            Form::DurationRange | Form::SizeRange => json!({ "type": ["string", "integer"] }),
            Form::Reply => {
                let line = json!({ "type": "string", "pattern": REPLY });
                json!({ "anyOf": [line, { "type": "array", "items": line, "minItems": 1 }] })
            }
            Form::Word(words) => filled(json!({ "enum": words })),
            Form::Is(words) => filled(json!({ "$ref": format!("#/definitions/{}", self.define(words)) })),
            Form::Named(form) => filled(json!({ "type": "object", "additionalProperties": self.form(form) })),
            Form::List(form) => filled(json!({ "type": "array", "items": self.form(form) })),
            Form::OneOrMore(form) => {
                let one = self.form(form);
                json!({ "anyOf": [one, { "type": "array", "items": one }] })
            }
            Form::OneOf(forms) => {
                let forms: Vec<Value> = forms.iter().map(|form| self.form(form)).collect();
                json!({ "anyOf": forms })
            }
        }
    }

    /// The name of a mapping's definition, which is made the first time that it is asked for.
    fn define(&mut self, words: &'static Words) -> String {
        let name: String = words.what.trim_start_matches("a ").trim_start_matches("an ").replace('`', "");
        let name = name.replace([' ', '…'], "-").trim_end_matches('-').to_owned();
        if let Some((other, _)) = self.definitions.get(&name) {
            assert!(std::ptr::eq(*other, words), "two mappings are called `{name}`");
            return name;
        }
        self.definitions.insert(name.clone(), (words, Value::Null));
        // Nothing at all is an empty mapping.
        let schema = json!({ "anyOf": [self.mapping(words), { "type": "null" }] });
        self.definitions.insert(name.clone(), (words, schema));
        name
    }
}

#[allow(clippy::needless_pass_by_value, reason = "each is made for this call")]
fn filled(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": FILLED }] })
}

fn number_or(pattern: &str) -> Value {
    json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": pattern }] })
}
