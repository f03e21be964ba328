//! `for each:` — one file, many cases. It is taken apart here, and each case becomes a tree of its own before anything
//! else of the language is read.
//!
//! ```yaml
//! for each:
//!   stage: [MAIL, RCPT]                             # values that are names themselves
//!   reply: { later: "451 4.7.1 Later", never: "550 5.7.1 No" }   # values with names
//! except:
//!   - { stage: MAIL, reply: never }
//! ```

mod fill;
mod names;

use super::context::entries;
use crate::yaml::{Diagnostic, Entry, Node, Problems, Value, list_of, one_or_more, suggestion};
use names::MOST;

pub(super) use fill::Budget;

/// The two keys of the language that belong to templates; a case's tree has neither.
pub(super) const FOR_EACH: &str = "for each";
pub(super) const EXCEPT: &str = "except";

/// What replies and `dns:` fill in, at the time of the run.
const PLACEHOLDERS: [&str; 7] = ["host", "client", "helo", "from", "to", "date", "relay"];

/// A file with `for each:`, taken apart.
#[derive(Debug)]
pub(super) struct Template<'a> {
    root: &'a Node,
    variables: Vec<Variable<'a>>,
    combinations: Vec<Vec<usize>>,
}

/// A variable and the values that it goes through.
#[derive(Debug)]
struct Variable<'a> {
    entry: &'a Entry,
    values: Vec<Choice<'a>>,
}

/// A value, and what it is called in the names of cases.
#[derive(Debug)]
struct Choice<'a> {
    name: String,
    node: &'a Node,
}

/// One case of a template.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// `RCPT-451`.
    pub(super) name: String,
    /// `stage=RCPT, reply=451`, for diagnostics.
    pub(super) label: String,
    template: &'a Template<'a>,
    combination: &'a [usize],
}

/// Whether a file is a template.
pub(super) fn is_template(root: &Node) -> bool {
    entries(root).any(|(key, _)| key == FOR_EACH)
}

/// Takes `for each:` and `except:` apart. `None`: there are no cases to go on with, and `problems` say why.
pub(super) fn template<'a>(root: &'a Node, problems: &Problems) -> Option<Template<'a>> {
    let entry = top_level(root, FOR_EACH)?;
    let variables = variables(&entry.value, problems)?;
    unused(root, &variables, problems);
    let counts: Vec<usize> = variables.iter().map(|variable| variable.values.len()).collect();
    let Some(mut combinations) = names::combinations(&counts) else {
        let product: Vec<String> = counts.iter().map(ToString::to_string).collect();
        problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("`for each:` makes more than {MOST} cases"))
                .because(format!("{} of them", product.join(" × ")))
                .help("make several files of it, or fewer values"),
        );
        return None;
    };
    if let Some(except) = top_level(root, EXCEPT) {
        leave_out(except, &variables, &mut combinations, problems)?;
    }
    let template = Template { root, variables, combinations };
    template.names_differ(entry, problems)?;
    Some(template)
}

impl Template<'_> {
    /// The cases, in order.
    pub(super) fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.combinations.iter().map(|combination| {
            let chosen = || self.variables.iter().zip(combination).map(|(one, at)| (one, &one.values[*at]));
            let label = |(variable, choice): (&Variable<'_>, &Choice<'_>)| {
                format!("{}={}", variable.entry.key, choice.name)
            };
            Case {
                name: names::joined(chosen().map(|(_, choice)| choice.name.as_str())),
                label: chosen().map(label).collect::<Vec<_>>().join(", "),
                template: self,
                combination,
            }
        })
    }

    /// Two cases of one name would share test and snapshot, in some file systems also where only capitals differ.
    fn names_differ(&self, entry: &Entry, problems: &Problems) -> Option<()> {
        let mut seen = std::collections::BTreeMap::new();
        for case in self.cases() {
            if let Some(first) = seen.insert(case.name.to_ascii_lowercase(), case.label.clone()) {
                problems.push(
                    Diagnostic::new(entry.key_span.clone(), format!("two cases are called `{}`", case.name))
                        .because(format!("{first}; and {}", case.label))
                        .help("give the values names: `{ first: value, second: value }` in place of a list"),
                );
                return None;
            }
        }
        Some(())
    }
}

impl Case<'_> {
    /// The file as it reads in this case.
    pub(super) fn tree(&self, budget: &Budget, problems: &Problems) -> Option<Node> {
        let chosen = self.template.variables.iter().zip(self.combination);
        let chosen = chosen.map(|(variable, at)| {
            let choice = &variable.values[*at];
            (variable.entry.key.as_str(), choice.name.as_str(), choice.node)
        });
        fill::case(self.template.root, chosen, budget, problems)
    }
}

fn top_level<'a>(root: &'a Node, key: &str) -> Option<&'a Entry> {
    let Value::Mapping(list) = &root.value else { return None };
    list.iter().find(|entry| entry.key == key)
}

fn variables<'a>(node: &'a Node, problems: &Problems) -> Option<Vec<Variable<'a>>> {
    let Value::Mapping(list) = &node.value else {
        problems.expected(node, "a mapping from variables to their values")?;
        return None;
    };
    if list.is_empty() {
        problems.push(
            Diagnostic::new(node.span.clone(), "`for each:` without a variable")
                .because("for each what?")
                .help("`for each: { stage: [MAIL, RCPT] }`, and `{stage}` wherever it is to stand"),
        );
        return None;
    }
    let read: Vec<Option<Variable<'a>>> = list.iter().map(|entry| variable(entry, problems)).collect();
    read.into_iter().collect()
}

fn variable<'a>(entry: &'a Entry, problems: &Problems) -> Option<Variable<'a>> {
    let at = || entry.key_span.clone();
    let name = entry.key.as_str();
    if !names::can_be_variable(name) {
        problems.push(
            Diagnostic::new(at(), format!("`{name}` cannot be a variable"))
                .because("a letter, then letters, digits and hyphens"),
        );
        return None;
    }
    if PLACEHOLDERS.contains(&name) {
        problems.push(
            Diagnostic::new(at(), format!("`{name}` cannot be a variable"))
                .because(format!("`{{{name}}}` is filled in while the scenario runs"))
                .help(format!("taken are {}", list_of(&PLACEHOLDERS))),
        );
        return None;
    }
    let values: Vec<Option<Choice<'a>>> = match &entry.value.value {
        Value::List(items) => items.iter().map(|node| plain_choice(node, problems)).collect(),
        Value::Mapping(list) => list.iter().map(|entry| named_choice(entry, problems)).collect(),
        _ => {
            problems.expected(&entry.value, "a list of values, or a mapping from their names to them")?;
            return None;
        }
    };
    if values.is_empty() {
        problems.push(
            Diagnostic::new(entry.value.span.clone(), format!("the variable `{name}` has no value"))
                .because("no case can be made of it")
                .help(format!("`{name}: [MAIL, RCPT]`")),
        );
        return None;
    }
    let values = values.into_iter().collect::<Option<_>>()?;
    Some(Variable { entry, values })
}

/// An element of a list: its own name.
fn plain_choice<'a>(node: &'a Node, problems: &Problems) -> Option<Choice<'a>> {
    const NAMED: &str = "give it a name: `{ name: value, … }` in place of the list";
    let name = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(value) => value.to_string(),
        // The build script sees the number, not how it is written.
        Value::Number if node.written.parse::<f64>().is_ok_and(|n| n.to_string() == node.written) => {
            node.written.clone()
        }
        Value::Bool(value) => value.to_string(),
        Value::Number => {
            problems.push(
                Diagnostic::new(node.span.clone(), format!("the number {} has no plain name", node.written))
                    .because("it can be written in another way")
                    .help(format!("put it in quotes: \"{}\"", node.written)),
            );
            return None;
        }
        _ => {
            let title = format!("expected a text or a number, found {}", node.describe());
            problems.push(
                Diagnostic::new(node.span.clone(), title)
                    .because("a list has values that are names themselves")
                    .help(NAMED),
            );
            return None;
        }
    };
    if !names::can_be_part(&name) {
        problems.push(
            Diagnostic::new(
                node.span.clone(),
                format!("{} cannot be part of a case's name", node.describe()),
            )
            .because("letters, digits, hyphens, and full stops inside; at most 60")
            .help(NAMED),
        );
        return None;
    }
    Some(Choice { name, node })
}

/// An entry of a mapping: the name, and any value.
fn named_choice<'a>(entry: &'a Entry, problems: &Problems) -> Option<Choice<'a>> {
    if !names::can_be_part(&entry.key) {
        problems.push(
            Diagnostic::new(
                entry.key_span.clone(),
                format!("`{}` cannot be part of a case's name", entry.key.escape_default()),
            )
            .because("letters, digits, hyphens, and full stops inside; at most 60"),
        );
        return None;
    }
    Some(Choice { name: entry.key.clone(), node: &entry.value })
}

/// A variable that stands nowhere makes the same case again and again.
fn unused(root: &Node, variables: &[Variable<'_>], problems: &Problems) {
    let mut used = std::collections::BTreeSet::new();
    let Value::Mapping(list) = &root.value else { return };
    for entry in list.iter().filter(|entry| entry.key != FOR_EACH && entry.key != EXCEPT) {
        fill::names_in_text(&entry.key, &mut used);
        fill::names_in(&entry.value, &mut used);
    }
    for (at, Variable { entry, values }) in variables.iter().enumerate() {
        let mut here = std::collections::BTreeSet::new();
        for choice in values {
            fill::names_in(choice.node, &mut here);
        }
        if let Some(late) = variables[at..].iter().find(|one| here.contains(one.entry.key.as_str())) {
            let (late, own) = (&late.entry.key, &entry.key);
            problems.push(
                Diagnostic::new(entry.key_span.clone(), format!("a value of `{own}` asks for `{{{late}}}`"))
                    .because("values are put in place in this order, each into those after it")
                    .help(format!("let `{late}` stand before `{own}`")),
            );
        }
        used.extend(here);
    }
    for Variable { entry, .. } in variables.iter().filter(|one| !used.contains(one.entry.key.as_str())) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("a variable that nothing uses: `{}`", entry.key))
                .because("each of its values makes the same case")
                .help(format!("write `{{{}}}` where its value is to stand, in quotes", entry.key)),
        );
    }
}

/// Takes out what `except:` names.
fn leave_out(
    except: &Entry,
    variables: &[Variable<'_>],
    combinations: &mut Vec<Vec<usize>>,
    problems: &Problems,
) -> Option<()> {
    let elements = one_or_more(&except.value);
    for node in elements {
        let element = element(node, variables, problems)?;
        let before = combinations.len();
        combinations.retain(|combination| !names::leaves_out(&element, combination));
        if combinations.len() == before {
            problems.push(
                Diagnostic::new(node.span.clone(), "this leaves no case out")
                    .because("what stands before it leaves these cases out already"),
            );
        }
    }
    if elements.is_empty() {
        problems.push(
            Diagnostic::new(except.value.span.clone(), "`except:` without an element")
                .because("this leaves no case out")
                .help("leave it out, or name a combination: `except: [{ stage: MAIL, reply: 550 }]`"),
        );
    }
    if combinations.is_empty() {
        problems.push(
            Diagnostic::new(except.key_span.clone(), "`except:` leaves every case out")
                .because("nothing is left to run"),
        );
        return None;
    }
    Some(())
}

/// `{ stage: MAIL, reply: [550, 554] }`
fn element(node: &Node, variables: &[Variable<'_>], problems: &Problems) -> Option<Vec<(usize, Vec<usize>)>> {
    let Value::Mapping(list) = &node.value else {
        problems.expected(node, "a mapping from variables to names of their values")?;
        return None;
    };
    let mut read = Vec::new();
    for entry in list {
        let Some(at) = variables.iter().position(|one| one.entry.key == entry.key) else {
            let known: Vec<&str> = variables.iter().map(|one| one.entry.key.as_str()).collect();
            let title = format!("`for each:` has no variable `{}`", entry.key);
            problems.unknown(entry.key_span.clone(), title, &entry.key, &known);
            return None;
        };
        let places = one_or_more(&entry.value).iter().map(|node| value(node, &variables[at], problems));
        read.push((at, places.collect::<Option<Vec<_>>>()?));
    }
    Some(read)
}

/// The place of a value, by its name.
fn value(node: &Node, variable: &Variable<'_>, problems: &Problems) -> Option<usize> {
    let name = match &node.value {
        Value::Text(text) => text.as_str(),
        Value::Integer(_) | Value::Number | Value::Bool(_) => &node.written,
        _ => {
            problems.expected(node, &format!("the name of a value of `{}`", variable.entry.key))?;
            return None;
        }
    };
    let place = variable.values.iter().position(|one| one.name == name);
    if place.is_none() {
        let known: Vec<&str> = variable.values.iter().map(|one| one.name.as_str()).collect();
        problems.push(
            Diagnostic::new(node.span.clone(), format!("`{}` has no value `{name}`", variable.entry.key))
                .because("no such value")
                .help(suggestion(name, &known)),
        );
    }
    place
}
