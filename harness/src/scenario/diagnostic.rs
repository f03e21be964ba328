//! What is wrong in a file, where, why, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// How many mistakes of one file are shown; the rest is counted.
const SHOWN: usize = 50;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub title: String,
    /// The offending text, in octets of the file. `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands under the caret: the cause.
    pub label: String,
    /// Another place that matters, and why: the first of two equal keys.
    pub also: Option<(Range<usize>, String)>,
    /// Ways out, each a sentence without a full stop.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(span: Range<usize>, title: impl Into<String>) -> Self {
        Self { title: title.into(), span: Some(span), label: String::new(), also: None, help: Vec::new() }
    }

    /// A mistake of the whole file.
    pub fn of_file(title: impl Into<String>) -> Self {
        Self { title: title.into(), span: None, label: String::new(), also: None, help: Vec::new() }
    }

    /// With the cause, shown under the caret.
    pub fn because(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// With another place.
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }
}

/// The mistakes of one file, in its order. Shown in plain text by [`fmt::Display`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    path: PathBuf,
    source: String,
    list: Vec<Diagnostic>,
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Diagnostics {
    /// The mistakes of `source`, which came from `path`; put in order here.
    pub(super) fn new(path: &Path, source: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|one| one.span.as_ref().map_or(0, |span| span.start));
        Self { path: path.to_owned(), source: source.to_owned(), list }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mistakes; at least one.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Line and column of a mistake, from 1, in characters; `None` for one of the whole file.
    pub fn position(&self, one: &Diagnostic) -> Option<(usize, usize)> {
        let start = self.within(one.span.as_ref()?.clone()).start;
        let before = &self.source[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// All of it as text for people, with or without colours.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut shown: Vec<String> =
            self.list.iter().take(SHOWN).map(|one| self.render_one(one, &renderer)).collect();
        if self.list.len() > SHOWN {
            shown.push(format!("… and {} more in {}", self.list.len() - SHOWN, self.path.display()));
        }
        shown.join("\n\n") + "\n"
    }

    fn render_one(&self, one: &Diagnostic, renderer: &Renderer) -> String {
        let path = self.path.display().to_string();
        let mut group = match &one.span {
            None => Group::with_title(Level::ERROR.primary_title(&one.title))
                .element(annotate_snippets::Origin::path(path)),
            Some(span) => {
                let mark = AnnotationKind::Primary.span(self.within(span.clone())).label(&one.label);
                let mut snippet = Snippet::source(&self.source).path(path).annotation(mark);
                if let Some((span, label)) = &one.also {
                    snippet = snippet
                        .annotation(AnnotationKind::Context.span(self.within(span.clone())).label(label));
                }
                Group::with_title(Level::ERROR.primary_title(&one.title)).element(snippet)
            }
        };
        for help in &one.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// The part of a span that lies on its first line, on character boundaries: a caret under forty lines of YAML says
    /// less than one under the first.
    fn within(&self, span: Range<usize>) -> Range<usize> {
        let boundary = |mut at: usize| {
            at = at.min(self.source.len());
            while !self.source.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(span.start);
        let end = boundary(span.end).max(start);
        let line = self.source[start..end].split(['\n', '\r']).next().unwrap_or_default();
        start..start + line.trim_end().len()
    }
}
