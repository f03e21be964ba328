//! Whether a value fits a JSON Schema. It knows the words of draft-07 that the language's schema uses, and fails on any
//! other.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

/// Whether a value fits; if not, where and why.
pub(crate) fn fits(root: &Value, value: &Value) -> Result<(), String> {
    look(root, root, value, "")
}

pub(crate) fn look(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
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
                if value.as_str().is_some_and(|text| !matches(said.as_str().expect("a text"), text)) {
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
                    let filled = patterns.into_iter().flatten().find(|(pattern, _)| matches(pattern, key));
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

/// Few patterns are asked often.
fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static MADE: RefCell<BTreeMap<String, regex_lite::Regex>> = const { RefCell::new(BTreeMap::new()) };
    }
    MADE.with_borrow_mut(|made| {
        let new = || regex_lite::Regex::new(pattern).expect("a pattern");
        made.entry(pattern.to_owned()).or_insert_with(new).is_match(text)
    })
}
