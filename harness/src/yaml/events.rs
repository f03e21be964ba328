//! Places, by `granit-parser`: the shape of a document, each part with its span, and what YAML's own traps look like.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle};

use super::{DEEPEST, Diagnostic, Document, MOST, Span, Style};

/// A part of the document, with its place.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) span: Span,
    pub(crate) kind: ShapeKind,
}

/// What kind of part it is.
#[derive(Debug)]
pub(crate) enum ShapeKind {
    Scalar { text: String, style: Style },
    List(Vec<Shape>),
    Mapping(Vec<(Shape, Shape)>),
}

/// The title of the one problem with which reading can go on: both entries are kept.
const DUPLICATE: &str = "the key is there twice";

/// Whether reading can go on with these problems.
pub(crate) fn only_duplicate_keys(problems: &[Diagnostic]) -> bool {
    problems.iter().all(|one| one.title.starts_with(DUPLICATE))
}

/// The shape of the only document in `text`.
pub(crate) fn shape(text: &str, document: &Document, problems: &mut Vec<Diagnostic>) -> Option<Shape> {
    let options = granit_parser::options! { emit_unresolved_aliases: true, emit_comments: false };
    let mut builder = Builder { text, document, problems, open: Vec::new(), root: None };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                let span = span.byte_range().unwrap_or(0..0);
                builder.event(event, span)?;
            }
            Err(error) => {
                let diagnostic = scan_error(text, document, &error);
                builder.problems.push(diagnostic);
                return None;
            }
        }
    }
    let root = builder.root;
    if root.is_none() {
        problems.push(Diagnostic::of_file("the file is empty").help(document.empty));
    }
    root
}

struct Builder<'a> {
    text: &'a str,
    document: &'a Document,
    problems: &'a mut Vec<Diagnostic>,
    open: Vec<Open>,
    root: Option<Shape>,
}

/// A collection that is not at its end yet.
struct Open {
    start: usize,
    flow: bool,
    mapping: bool,
    items: Vec<Shape>,
}

impl Builder<'_> {
    /// Takes one event; `None` where there is no sense in going on.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.problems.push(
                    Diagnostic::new(span, "the file holds more than one document")
                        .because("a second one begins here")
                        .help(format!("put each {} into a file of its own", self.document.noun)),
                );
                return None;
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.alias(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(anchor, tag.is_some(), &span);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::SingleQuoted,
                    ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                // Where nothing is written, the reader says `~`.
                let text = if span.is_empty() { String::new() } else { text.into_owned() };
                self.put(Shape { span, kind: ShapeKind::Scalar { text, style } });
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse(anchor, tag.is_some(), &span);
                self.begin(&span, style == StructureStyle::Flow, false)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse(anchor, tag.is_some(), &span);
                self.begin(&span, style == StructureStyle::Flow, true)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span),
            _ => {}
        }
        Some(())
    }

    fn begin(&mut self, span: &Span, flow: bool, mapping: bool) -> Option<()> {
        if self.open.len() == DEEPEST {
            self.problems.push(too_deep(span.clone(), self.document));
            return None;
        }
        self.open.push(Open { start: span.start, flow, mapping, items: Vec::new() });
        Some(())
    }

    fn end(&mut self, span: &Span) {
        let Some(open) = self.open.pop() else { return };
        // A block collection has no end of its own; the reader gives it the next token's place.
        let end = match open.items.last() {
            Some(last) if !open.flow => last.span.end,
            _ => span.end,
        };
        let start = match open.items.first() {
            Some(first) if !open.flow && open.mapping => first.span.start,
            _ => open.start,
        };
        let span = start..end.max(start);
        let kind = if open.mapping {
            let mut pairs = Vec::new();
            let mut items = open.items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            self.keys(&pairs);
            ShapeKind::Mapping(pairs)
        } else {
            ShapeKind::List(open.items)
        };
        self.put(Shape { span, kind });
    }

    fn put(&mut self, shape: Shape) {
        match self.open.last_mut() {
            Some(open) => open.items.push(shape),
            None => self.root = Some(shape),
        }
    }

    /// Keys must be texts, each there once.
    fn keys(&mut self, pairs: &[(Shape, Shape)]) {
        let mut seen: HashMap<&str, &Span> = HashMap::with_capacity(pairs.len());
        for (key, _) in pairs {
            let ShapeKind::Scalar { text, .. } = &key.kind else {
                self.problems.push(
                    Diagnostic::new(key.span.clone(), "a key must be a word or a text")
                        .because("this is a list or a mapping")
                        .help("a text that begins with `{` or `[` must be in quotes"),
                );
                continue;
            };
            if self.problems.len() >= MOST {
                break;
            }
            if let Some(first) = seen.get(text.as_str()) {
                self.problems.push(
                    Diagnostic::new(key.span.clone(), format!("{DUPLICATE}: `{text}`"))
                        .because("the second time")
                        .also(Span::clone(first), "the first time")
                        .help("join the two, or rename one; things to be done in order are a list: `[a: 1, a: 2]`"),
                );
            } else {
                seen.insert(text, &key.span);
            }
        }
    }

    fn alias(&mut self, span: Span) {
        // A key like `*@x` ends before the colon for one reader and after it for the other; the line shows it all.
        let rest = &self.text[span.start..];
        let word: &str = rest.split([' ', ',', '\n', '\r', '}', ']']).next().unwrap_or_default();
        self.problems.push(
            Diagnostic::new(
                span.start..span.start + word.len().max(1),
                "a text that begins with `*` needs quotes",
            )
            .because("YAML reads this as a reference to an anchor")
            .help(format!("write `\"{word}\"`")),
        );
        self.put(Shape { span, kind: ShapeKind::Scalar { text: String::new(), style: Style::Plain } });
    }

    fn refuse(&mut self, anchor: usize, tag: bool, span: &Span) {
        let what = match (anchor != 0, tag) {
            (true, _) => "an anchor (`&name`)",
            (_, true) => "a tag (`!name`)",
            _ => return,
        };
        let sign = if anchor == 0 { '!' } else { '&' };
        let start = self.text[..span.start].rfind(sign).unwrap_or(span.start);
        let word = self.text[start..].split([' ', '\n', '\r', ',']).next().map_or(1, str::len);
        self.problems.push(
            Diagnostic::new(start..start + word, format!("{what} is not part of the language"))
                .because(format!("YAML gives a meaning to `{sign}` at the beginning of a text"))
                .help("write what it stands for; a text that begins with this sign must be in quotes"),
        );
    }
}

fn too_deep(span: Span, document: &Document) -> Diagnostic {
    Diagnostic::new(span, format!("nested more than {DEEPEST} deep"))
        .because(format!("no part of {} is as deep as that", document.one))
}

/// What stopped the reader, in words for the author.
fn scan_error(text: &str, document: &Document, error: &ScanError) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let line_start = text[..floor(text, at)].rfind('\n').map_or(0, |at| at + 1);
    if let Some(tab) = tab_in_indentation(text, line_start) {
        return Diagnostic::new(tab..tab + 1, "a tab in the indentation")
            .because("YAML indents with spaces only")
            .help("replace each tab at the beginning of a line with two spaces");
    }
    let info = error.info();
    if info.contains("recursion limit") {
        return too_deep(at..at + 1, document);
    }
    let here = &text[floor(text, at)..];
    if let Some(sign @ ('@' | '`' | '%')) = here.chars().next() {
        let word = here.split([' ', ',', '\n', '\r', '}', ']']).next().unwrap_or_default();
        return Diagnostic::new(
            at..at + word.len(),
            format!("a text that begins with `{sign}` needs quotes"),
        )
        .because("YAML keeps this sign for itself")
        .help(format!("write `\"{word}\"`"));
    }
    let line = text[line_start..].lines().next().unwrap_or_default();
    if let Some(why) = odd_indentation(text, line_start).filter(|_| line[..at - line_start].trim().is_empty())
    {
        return Diagnostic::new(
            at..at + 1,
            "this line is indented like none above it that it could belong to",
        )
        .because(why)
        .help("lines of one mapping or list begin in the same column");
    }
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim());
    if info.contains("mapping values") && !value.is_empty() {
        return Diagnostic::new(at..at + 1, "a text with `: ` in it needs quotes")
            .because("YAML takes what stands before this colon for a key")
            .help(format!("write `\"{value}\"`"));
    }
    let help = match &info {
        info if info.contains("quote") => "close the quote that is opened here",
        info if info.contains("bracket") || info.contains("flow") => {
            "close the list or mapping that is opened here"
        }
        _ => "look for a missing quote, bracket or space after a colon here or on the line before",
    };
    Diagnostic::new(at..at + 1, format!("this is not YAML: {info}")).help(help)
}

/// The first tab in the indentation of the line at `line_start`, or of the one before.
fn tab_in_indentation(text: &str, line_start: usize) -> Option<usize> {
    let before = text[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
    [line_start, before].into_iter().find_map(|start| {
        let line = text[start..].lines().next().unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        indent.find('\t').map(|at| start + at)
    })
}

/// How a line is indented, and the lines above, where it stands between two of them.
fn odd_indentation(text: &str, line_start: usize) -> Option<String> {
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let here = spaces(text[line_start..].lines().next()?);
    let above = text[..line_start].lines().rev().filter(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    });
    let mut deepest = None;
    for line in above {
        let there = spaces(line);
        if there <= here {
            let last = deepest.filter(|_| there < here)?;
            return Some(format!("{here} spaces here; {there} and {last} above"));
        }
        deepest = Some(there);
    }
    None
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
