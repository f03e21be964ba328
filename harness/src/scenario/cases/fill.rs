//! A case's tree: the file's own, with values in place of `{variable}`.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::{EXCEPT, FOR_EACH};
use crate::yaml::{DEEPEST, Diagnostic, Entry, Node, Problems, Style, Value, suggestion};

/// What the cases of one file may come to when they are written out, in octets: as much as 64 files of the largest size.
const LARGEST: usize = 64 * 1024 * 1024;

/// What a node costs beside its text.
const NODE: usize = 16;

/// How much of [`LARGEST`] is left.
#[derive(Debug)]
pub(in crate::scenario) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(LARGEST))
    }
}

impl Budget {
    /// Takes a node's part of it; `None` where there is not enough left.
    fn spend(&self, octets: usize) -> Option<()> {
        self.0.set(self.0.get().checked_sub(octets + NODE)?);
        Some(())
    }
}

/// The file's tree with `chosen` (variable, the value's name, the value) in place, and without `for each:`. `None`: it
/// cannot be made, and `problems` say why.
pub(super) fn case<'a>(
    root: &'a Node,
    chosen: impl Iterator<Item = (&'a str, &'a str, &'a Node)>,
    budget: &Budget,
    problems: &Problems,
) -> Option<Node> {
    let before = problems.count();
    let mut fill = Fill { bound: Vec::new(), budget, problems };
    for (variable, name, node) in chosen {
        // A value may have the variables that stand before its own.
        let node = fill.node(node, 0)?;
        fill.bound.push(Bound { variable, name, node });
    }
    let Value::Mapping(list) = &root.value else { return None };
    let own: Vec<&Entry> = list.iter().filter(|entry| entry.key != FOR_EACH && entry.key != EXCEPT).collect();
    let value = Value::Mapping(fill.entries(&own, 0)?);
    let tree = Node { value, ..frame(root) };
    (problems.count() == before).then_some(tree)
}

/// The variables that stand in a node, keys included.
pub(super) fn names_in<'a>(node: &'a Node, names: &mut BTreeSet<&'a str>) {
    match &node.value {
        Value::Text(text) => names_in_text(text, names),
        Value::List(items) => items.iter().for_each(|item| names_in(item, names)),
        Value::Mapping(list) => {
            for entry in list {
                names_in_text(&entry.key, names);
                names_in(&entry.value, names);
            }
        }
        _ => {}
    }
}

/// The variables that stand in a text.
pub(super) fn names_in_text<'a>(text: &'a str, names: &mut BTreeSet<&'a str>) {
    names.extend(pieces(text).filter_map(|piece| match piece {
        Piece::Braces(inside) => inside.split('.').next(),
        Piece::Plain(_) => None,
    }));
}

struct Bound<'a> {
    variable: &'a str,
    name: &'a str,
    node: Node,
}

struct Fill<'a> {
    bound: Vec<Bound<'a>>,
    budget: &'a Budget,
    problems: &'a Problems,
}

impl Fill<'_> {
    fn node(&self, node: &Node, depth: usize) -> Option<Node> {
        self.room(node, depth)?;
        let value = match &node.value {
            Value::Text(text) => return self.scalar(node, text, depth),
            Value::List(items) => {
                let items = items.iter().map(|item| self.node(item, depth + 1));
                Value::List(items.collect::<Option<_>>()?)
            }
            Value::Mapping(list) => Value::Mapping(self.entries(&list.iter().collect::<Vec<_>>(), depth)?),
            other => other.clone(),
        };
        Some(Node { value, ..frame(node) })
    }

    fn entries(&self, list: &[&Entry], depth: usize) -> Option<Vec<Entry>> {
        let mut filled: Vec<Entry> = Vec::with_capacity(list.len());
        let mut changed = false;
        for entry in list {
            let key = self.key(entry)?;
            changed |= key != entry.key;
            let value = self.node(&entry.value, depth + 1)?;
            filled.push(Entry { key, key_span: entry.key_span.clone(), value });
        }
        if changed {
            self.duplicates(&filled);
        }
        Some(filled)
    }

    /// Keys that have become equal.
    fn duplicates(&self, list: &[Entry]) {
        let mut seen = std::collections::BTreeMap::new();
        for entry in list {
            if let Some(first) = seen.insert(entry.key.as_str(), &entry.key_span) {
                self.problems.push(
                    Diagnostic::new(
                        entry.key_span.clone(),
                        format!("the key is there twice: `{}`", entry.key),
                    )
                    .because("the second time")
                    .also(first.clone(), "the first time")
                    .help("leave this combination out with `except:`, or rename one"),
                );
            }
        }
    }

    fn key(&self, entry: &Entry) -> Option<String> {
        if !entry.key.contains('{') {
            self.spend(entry.key.len(), &entry.key_span)?;
            return Some(entry.key.clone());
        }
        let node = Node {
            span: entry.key_span.clone(),
            value: Value::Null,
            written: String::new(),
            style: Style::Plain,
            sources: Vec::new(),
        };
        let (text, _) = self.text(&node, &entry.key)?;
        Some(text)
    }

    fn scalar(&self, node: &Node, text: &str, depth: usize) -> Option<Node> {
        if !text.contains('{') {
            self.spend(text.len(), &node.span)?;
            return Some(Node { value: Value::Text(text.to_owned()), ..frame(node) });
        }
        let mut parts = pieces(text);
        if let (Some(Piece::Braces(inside)), None) = (parts.next(), parts.next())
            && let Some(found) = self.lookup(inside, node)
        {
            return self.copy(found?.1, depth);
        }
        let (text, sources) = self.text(node, text)?;
        Some(Node { value: Value::Text(text.clone()), written: text, sources, ..frame(node) })
    }

    /// A text with values in it, and where these stand.
    fn text(&self, node: &Node, text: &str) -> Option<(String, Vec<std::ops::Range<usize>>)> {
        let (mut filled, mut sources) = (String::new(), Vec::new());
        for piece in pieces(text) {
            let before = filled.len();
            match piece {
                Piece::Plain(plain) => filled.push_str(plain),
                Piece::Braces(inside) => match self.lookup(inside, node) {
                    None => {
                        filled.push('{');
                        filled.push_str(inside);
                        filled.push('}');
                    }
                    Some(found) => {
                        let (name, value) = found?;
                        match &value.value {
                            Value::Text(text) => filled.push_str(text),
                            Value::List(_) | Value::Mapping(_) if !inside.contains('.') => {
                                filled.push_str(name);
                            }
                            Value::List(_) | Value::Mapping(_) => {
                                self.problems.push(
                                    Diagnostic::new(
                                        node.span.clone(),
                                        format!("`{{{inside}}}` is {} here", value.describe()),
                                    )
                                    .because("only a text or a number can stand within a text")
                                    .also(value.span.clone(), "this value"),
                                );
                            }
                            _ => filled.push_str(&value.written),
                        }
                        sources.push(value.span.clone());
                    }
                },
            }
            self.spend(filled.len() - before, &node.span)?;
        }
        Some((filled, sources))
    }

    /// What stands for `inside` (`stage`, `fault.reply`): the value's name, and the value or the part of it. `None`: no
    /// variable; `Some(None)`: a part that is not there.
    #[allow(clippy::option_option, reason = "no variable, and a variable without this part, are two things")]
    fn lookup(&self, inside: &str, at: &Node) -> Option<Option<(&str, &Node)>> {
        let mut path = inside.split('.');
        let variable = path.next().unwrap_or_default();
        let bound = self.bound.iter().find(|bound| bound.variable == variable)?;
        let mut node = &bound.node;
        for key in path {
            let entries = match &node.value {
                Value::Mapping(entries) => entries.as_slice(),
                _ => &[],
            };
            let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
                let known: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
                let help = match &node.value {
                    Value::Mapping(_) => suggestion(key, &known),
                    _ => format!("its value is {}: write `{{{variable}}}`", node.describe()),
                };
                self.problems.push(
                    Diagnostic::new(at.span.clone(), format!("`{{{inside}}}` is nothing"))
                        .because(format!("`{}` has no `{key}`", bound.name))
                        .also(node.span.clone(), "this value")
                        .help(help),
                );
                return Some(None);
            };
            node = &entry.value;
        }
        Some(Some((bound.name, node)))
    }

    /// A value put in place of a text; it is filled in already.
    fn copy(&self, node: &Node, depth: usize) -> Option<Node> {
        self.room(node, depth)?;
        let value = match &node.value {
            Value::List(items) => {
                Value::List(items.iter().map(|item| self.copy(item, depth + 1)).collect::<Option<_>>()?)
            }
            Value::Mapping(list) => {
                let copy = |entry: &Entry| {
                    self.spend(entry.key.len(), &entry.key_span)?;
                    let value = self.copy(&entry.value, depth + 1)?;
                    Some(Entry { key: entry.key.clone(), key_span: entry.key_span.clone(), value })
                };
                Value::Mapping(list.iter().map(copy).collect::<Option<_>>()?)
            }
            Value::Text(text) => {
                self.spend(text.len(), &node.span)?;
                Value::Text(text.clone())
            }
            other => other.clone(),
        };
        Some(Node { value, ..frame(node) })
    }

    fn room(&self, node: &Node, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            self.problems.push(
                Diagnostic::new(
                    node.span.clone(),
                    format!("nested more than {DEEPEST} deep, once values are in place"),
                )
                .because("no part of a scenario is as deep as that"),
            );
            return None;
        }
        self.spend(0, &node.span)
    }

    fn spend(&self, octets: usize, at: &std::ops::Range<usize>) -> Option<()> {
        let spent = self.budget.spend(octets);
        if spent.is_none() {
            self.problems.push(
                Diagnostic::new(at.clone(), "the cases of this file are too large")
                    .because(format!("written out, they come to more than {LARGEST} octets"))
                    .help("large content can be made from a line: `content: { text: x, lines: 10000 }`"),
            );
        }
        spent
    }
}

/// A node without its value.
fn frame(node: &Node) -> Node {
    Node {
        span: node.span.clone(),
        value: Value::Null,
        written: node.written.clone(),
        style: node.style,
        sources: node.sources.clone(),
    }
}

/// A part of a text.
enum Piece<'a> {
    Plain(&'a str),
    /// `{…}`, without the braces.
    Braces(&'a str),
}

/// A text in parts: what stands in braces, and the rest.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let closed = rest.starts_with('{').then(|| rest[1..].find(['{', '}'])).flatten();
        if let Some(length) = closed.filter(|at| rest[1 + at..].starts_with('}')) {
            let inside = &rest[1..=length];
            rest = &rest[length + 2..];
            return Some(Piece::Braces(inside));
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find('{').map_or(rest.len(), |at| first + at);
        let (plain, tail) = rest.split_at(end);
        rest = tail;
        Some(Piece::Plain(plain))
    })
}
