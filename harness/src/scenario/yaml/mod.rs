//! The only place that reads YAML. `serde_yaml` reads the values, `granit-parser` says where each stands; here the two
//! are joined, and what YAML allows but a scenario does not need (anchors, tags, several documents) is refused.

mod events;
mod values;

use std::ops::Range;

use super::diagnostic::Diagnostic;
use events::{Shape, ShapeKind};
use values::Tree;

/// The largest file that is read, in octets.
pub(super) const LARGEST: usize = 1024 * 1024;

/// The deepest nesting that is read.
pub(super) const DEEPEST: usize = 64;

/// A place in the text, in octets.
pub(super) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where it stands: a scalar with its quotes, a flow collection with its brackets.
    pub(super) span: Span,
    /// What it is.
    pub(super) value: Value,
    /// A scalar's text before YAML made a number or a truth value of it.
    pub(super) written: String,
    /// How a scalar is written.
    pub(super) style: Style,
    /// Where the values stand that a template has put into this text; empty where it is as written.
    pub(super) sources: Vec<Span>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Integer(u64),
    /// Any other number.
    Number,
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The key's text.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_span: Span,
    /// The value.
    pub(super) value: Node,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes. Collections have this too.
    Plain,
    /// `'…'`: no escapes.
    SingleQuoted,
    /// `"…"`: YAML's escapes.
    DoubleQuoted,
    /// `|` or `>`: lines.
    Block,
}

/// Reads a text. What is wrong with it as YAML goes to `problems`; `None`: there is no tree to go on with.
pub(super) fn read(text: &str, problems: &mut Vec<Diagnostic>) -> Option<Node> {
    if text.len() > LARGEST {
        problems.push(too_large(text.len() as u64));
        return None;
    }
    let before = problems.len();
    let shape = events::shape(text, problems)?;
    if problems.len() > before && !events::only_duplicate_keys(&problems[before..]) {
        return None;
    }
    let tree = match values::tree(text) {
        Ok(tree) => tree,
        Err(error) => {
            problems.push(values::diagnostic(text, &error));
            return None;
        }
    };
    let node = join(shape, tree);
    if let Err(span) = &node {
        problems.push(
            Diagnostic::new(span.clone(), "this can be read as YAML in two ways")
                .because("two YAML readers make different things of it")
                .help("write it more simply: with quotes, or on lines of its own"),
        );
    }
    node.ok()
}

/// What is said of a file of so many octets.
pub(super) fn too_large(octets: u64) -> Diagnostic {
    Diagnostic::of_file(format!("the file has {octets} octets; at most {LARGEST} are read"))
        .help("large content can be made from a line: `content: { text: x, lines: 10000 }`")
}

/// Joins places and values; the place where they do not fit together otherwise.
fn join(shape: Shape, tree: Tree) -> Result<Node, Span> {
    let Shape { span, kind } = shape;
    let (value, written, style) = match (kind, tree) {
        (ShapeKind::Scalar { text, style }, tree) => {
            let value = match tree {
                Tree::Null => Value::Null,
                Tree::Bool(value) => Value::Bool(value),
                Tree::Integer(value) => Value::Integer(value),
                Tree::Number => Value::Number,
                Tree::Text(value) => Value::Text(value),
                Tree::List(_) | Tree::Mapping(_) => return Err(span),
            };
            (value, text, style)
        }
        (ShapeKind::List(shapes), Tree::List(trees)) if shapes.len() == trees.len() => {
            let items = shapes.into_iter().zip(trees).map(|(shape, tree)| join(shape, tree));
            (Value::List(items.collect::<Result<_, _>>()?), String::new(), Style::Plain)
        }
        (ShapeKind::Mapping(shapes), Tree::Mapping(trees)) if shapes.len() == trees.len() => {
            let entries = shapes.into_iter().zip(trees).map(|((key, value), (key_tree, value_tree))| {
                let key = join(key, key_tree)?;
                let text = match key.value {
                    Value::Text(text) => text,
                    Value::List(_) | Value::Mapping(_) => return Err(key.span),
                    _ => key.written,
                };
                Ok(Entry { key: text, key_span: key.span, value: join(value, value_tree)? })
            });
            (Value::Mapping(entries.collect::<Result<_, _>>()?), String::new(), Style::Plain)
        }
        _ => return Err(span),
    };
    Ok(Node { span, value, written, style, sources: Vec::new() })
}

impl Node {
    /// What the node is, for "expected …, found …".
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Null if self.written.is_empty() => "nothing".to_owned(),
            Value::Null => format!("`{}`, which is nothing", self.written),
            Value::Bool(_) => format!("`{}`, which is a truth value", self.written),
            Value::Integer(_) | Value::Number => format!("the number {}", self.written),
            Value::Text(text) if text.chars().count() <= 40 && !text.contains('\n') => {
                format!("the text `{text}`")
            }
            Value::Text(_) => "a text".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}
