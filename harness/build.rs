//! Makes a test of every scenario, and of every case of a template: `tests/scenarios.rs` includes the list that is written
//! here. Cargo looks again when a file below `scenarios/` is added, changed or removed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde_yaml::Value;

#[path = "src/scenario/cases/names.rs"]
mod names;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=scenarios");
    println!("cargo::rerun-if-changed=mock-servers/profiles");
    let mut files = Vec::new();
    scenarios(Path::new("scenarios"), &mut files)?;
    files.sort();
    let mut tests = String::from("#[rstest]\n");
    for file in files {
        let path = file.to_str().expect("a scenario's path is UTF-8");
        let name = path.trim_start_matches("scenarios/").trim_end_matches(".yaml");
        let text = fs::read_to_string(&file).unwrap_or_default();
        match cases(&text) {
            Some(cases) => {
                for case in cases {
                    let _ = writeln!(
                        tests,
                        "#[case::{}({path:?}, Some({case:?}))]",
                        word(&format!("{name}/{case}"))
                    );
                }
            }
            // What cannot be read as a template is one test, and fails with its diagnostics.
            None => _ = writeln!(tests, "#[case::{}({path:?}, None)]", word(name)),
        }
    }
    tests
        .push_str("fn judged(#[case] path: &str, #[case] case: Option<&str>) {\n    judge(path, case);\n}\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where")).join("scenario_tests.rs");
    fs::write(out, tests)
}

/// The scenario files below a directory.
fn scenarios(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            scenarios(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml")
            && path.file_name().is_some_and(|name| name != "known-failures.yaml")
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The names of a template's cases. `None`: it is none, or it is wrong.
fn cases(text: &str) -> Option<Vec<String>> {
    if !text.lines().any(|line| line.starts_with("for each")) {
        return None;
    }
    let root: Value = serde_yaml::from_str(text).ok()?;
    let variables: Vec<(&Value, Vec<String>)> = root
        .get("for each")?
        .as_mapping()?
        .iter()
        .map(|(name, values)| (name, value_names(values)))
        .collect();
    let fit = |(name, values): &(&Value, Vec<String>)| {
        name.as_str().is_some_and(names::can_be_variable)
            && values.iter().all(|name| names::can_be_part(name))
    };
    if !variables.iter().all(fit) {
        return None;
    }
    let counts: Vec<usize> = variables.iter().map(|(_, values)| values.len()).collect();
    let mut combinations = names::combinations(&counts)?;
    for element in root.get("except").map(one_or_more).unwrap_or_default() {
        let mut places = Vec::new();
        for (name, values) in element.as_mapping()? {
            let at = variables.iter().position(|(other, _)| *other == name)?;
            let place =
                |value: &Value| variables[at].1.iter().position(|one| Some(one) == scalar(value).as_ref());
            places.push((at, one_or_more(values).iter().map(place).collect::<Option<_>>()?));
        }
        combinations.retain(|combination| !names::leaves_out(&places, combination));
    }
    let name = |places: &Vec<usize>| {
        names::joined(places.iter().zip(&variables).map(|(at, (_, values))| values[*at].as_str()))
    };
    Some(combinations.iter().map(name).collect()).filter(|cases: &Vec<String>| !cases.is_empty())
}

/// What the values of a variable are called.
fn value_names(values: &Value) -> Vec<String> {
    match values {
        Value::Sequence(list) => list.iter().filter_map(scalar).collect(),
        Value::Mapping(entries) => entries.keys().filter_map(scalar).collect(),
        _ => Vec::new(),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn one_or_more(value: &Value) -> &[Value] {
    value.as_sequence().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// A name as part of a function's.
fn word(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(letter).collect()
}
