//! The only place that reads YAML, whatever it is about: scenarios, profiles of servers, adapters of relays. `serde_yaml`
//! reads the values, `granit-parser` says where each stands; here the two are joined, and what YAML allows but nobody needs
//! (anchors, tags, several documents) is refused.
//!
//! `read` takes mappings apart and notes what is unknown, missing or of the wrong kind; `words` is what it knows of them;
//! `diagnostic` shows mistakes, with the place of each.

mod diagnostic;
mod events;
mod file;
mod read;
mod values;
mod words;

use std::ops::Range;

use events::{Shape, ShapeKind};
use values::Tree;

pub use diagnostic::{Cases, Diagnostic, Diagnostics, Place};
pub(crate) use file::text_of;
pub(crate) use read::{
    MOST, Mapping, Problems, Wrong, list_of, one_or_more, regular_expression, suggestion, wrong, wrong_with,
};
pub(crate) use words::{Form, Key, Words, words};

/// What a kind of file is called, and what is said of one that cannot be read at all.
#[derive(Debug)]
pub(crate) struct Document {
    /// In one word: `scenario`.
    pub(crate) noun: &'static str,
    /// The same with its article.
    pub(crate) one: &'static str,
    /// The way out of an empty file.
    pub(crate) empty: &'static str,
    /// The way out of a file that is too large, if there is one.
    pub(crate) large: Option<&'static str>,
    /// The way out of a file that is not in UTF-8.
    pub(crate) octets: &'static str,
}

/// The largest file that is read, in octets.
pub(crate) const LARGEST: usize = 1024 * 1024;

/// The deepest nesting that is read.
pub(crate) const DEEPEST: usize = 64;

/// A place in the text, in octets.
pub(crate) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it stands: a scalar with its quotes, a flow collection with its brackets.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
    /// A scalar's text before YAML made a number or a truth value of it.
    pub(crate) written: String,
    /// How a scalar is written.
    pub(crate) style: Style,
    /// Where the values stand that a template has put into this text; empty where it is as written.
    pub(crate) sources: Vec<Span>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
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
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// The value.
    pub(crate) value: Node,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
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
pub(crate) fn read(text: &str, document: &Document, problems: &mut Vec<Diagnostic>) -> Option<Node> {
    if text.len() > LARGEST {
        problems.push(too_large(text.len() as u64, document));
        return None;
    }
    let before = problems.len();
    let shape = events::shape(text, document, problems)?;
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
fn too_large(octets: u64, document: &Document) -> Diagnostic {
    let diagnostic = Diagnostic::of_file(format!("the file has {octets} octets; at most {LARGEST} are read"));
    document.large.into_iter().fold(diagnostic, Diagnostic::help)
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
    pub(crate) fn describe(&self) -> String {
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
