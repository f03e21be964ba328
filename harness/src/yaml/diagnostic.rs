//! What is wrong in a file, where, why, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A line with more octets than this is shown in part.
const WIDE: usize = 500;

/// Cuts what a mistake quotes from the file, and a long list, to what people read.
fn shorten(text: &mut String) {
    const LONGEST: usize = 1500;
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
}

/// How many mistakes of one file are shown; the rest is counted.
const SHOWN: usize = 50;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// The cases of a template that have this mistake; `None`: all of them, or the file is no template.
    pub cases: Option<Cases>,
}

/// Some cases of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cases {
    /// The first of them, by its values: `stage=RCPT, reply=451`.
    pub first: String,
    /// How many they are, the first included.
    pub count: usize,
}

impl fmt::Display for Cases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "in the case {}", self.first),
            2 => write!(f, "in the case {}, and in one more", self.first),
            count => write!(f, "in the case {}, and in {} more", self.first, count - 1),
        }
    }
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(span: Range<usize>, title: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::of_file(title) }
    }

    /// A mistake of the whole file.
    pub fn of_file(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            span: None,
            label: String::new(),
            also: None,
            help: Vec::new(),
            cases: None,
        }
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

/// Where a span begins and ends: line and column, both from 1, columns in characters. The end is the place after the last
/// character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the first character.
    pub start: (usize, usize),
    /// After the last one.
    pub end: (usize, usize),
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
    pub(crate) fn new(path: &Path, source: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|one| one.span.as_ref().map_or(0, |span| span.start));
        for one in &mut list {
            let also = one.also.as_mut().map(|(_, label)| label);
            for text in [&mut one.title, &mut one.label].into_iter().chain(also).chain(&mut one.help) {
                shorten(text);
            }
        }
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

    /// The one mistake of a file as a whole.
    pub fn of_file(path: &Path, diagnostic: Diagnostic) -> Self {
        Self::new(path, "", vec![diagnostic])
    }

    /// Where a span begins and ends, white space at its end left out.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = self.boundary(span.start);
        let end = start + self.source[start..self.boundary(span.end).max(start)].trim_end().len();
        Place { start: self.position(start), end: self.position(end) }
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.source[..at];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
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
        let mut misplaced = None;
        let mut group = match &one.span {
            None => Group::with_title(Level::ERROR.primary_title(&one.title))
                .element(annotate_snippets::Origin::path(path)),
            Some(span) if self.line_of(span.start).len() > WIDE => {
                let (line, column) = self.position(self.boundary(span.start));
                let (part, span) = self.part_of_line(span);
                let before = part[..span.start].chars().count();
                let mark = AnnotationKind::Primary.span(span).label(&one.label);
                let snippet = Snippet::source(part).line_start(line).path(path).annotation(mark);
                // The renderer counts columns in the part that it is given.
                misplaced = Some((format!(":{line}:{}", before + 1), format!(":{line}:{column}")));
                Group::with_title(Level::ERROR.primary_title(&one.title)).element(snippet)
            }
            Some(span) => {
                let mark = AnnotationKind::Primary.span(self.within(span.clone())).label(&one.label);
                let mut snippet = Snippet::source(&self.source).path(path).annotation(mark);
                if let Some((span, label)) = &one.also
                    && self.line_of(span.start).len() <= WIDE
                {
                    snippet = snippet
                        .annotation(AnnotationKind::Context.span(self.within(span.clone())).label(label));
                }
                Group::with_title(Level::ERROR.primary_title(&one.title)).element(snippet)
            }
        };
        if let Some(cases) = &one.cases {
            group = group.element(Level::NOTE.message(cases.to_string()));
        }
        for help in &one.help {
            group = group.element(Level::HELP.message(help));
        }
        let shown = renderer.render(&[group]);
        match misplaced {
            Some((seen, right)) => shown.replacen(&seen, &right, 1),
            None => shown,
        }
    }

    /// The part of a span that lies on its first line, on character boundaries: a caret under forty lines of YAML says
    /// less than one under the first.
    fn within(&self, span: Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end).max(start);
        let line = self.source[start..end].split(['\n', '\r']).next().unwrap_or_default();
        start..start + line.trim_end().len()
    }

    /// The line that holds an octet.
    fn line_of(&self, at: usize) -> Range<usize> {
        let at = self.boundary(at);
        let start = self.source[..at].rfind('\n').map_or(0, |at| at + 1);
        start..self.source[at..].find('\n').map_or(self.source.len(), |end| at + end)
    }

    /// A wide line around a span, and where the span is in it.
    fn part_of_line(&self, span: &Range<usize>) -> (String, Range<usize>) {
        const AROUND: usize = 60;
        const CUT: &str = "…";
        let (line, span) = (self.line_of(span.start), self.within(span.clone()));
        let from = self.boundary(span.start.saturating_sub(AROUND)).max(line.start);
        let to = self.boundary(span.end.min(span.start + AROUND) + AROUND).min(line.end);
        let cut = |cut: bool| if cut { CUT } else { "" };
        let before = cut(from > line.start);
        let part = format!("{before}{}{}", &self.source[from..to], cut(to < line.end));
        let start = before.len() + span.start - from;
        (part, start..start + span.end.min(to) - span.start)
    }

    /// The character that an octet belongs to.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.source.len());
        while !self.source.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}
