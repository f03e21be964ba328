//! What the parts of one file know of each other: names, and who mentioned whom.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::yaml::{Diagnostic, Node, Problems, Span, Value, suggestion};

/// What can be mentioned by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// A server.
    Server,
    /// A message.
    Message,
    /// A client.
    Client,
    /// A client, or a server that is a dialogue.
    Dialogue,
}

impl Kind {
    /// The word for it, and the key under which they stand.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Server => ("server", "servers"),
            Self::Message => ("message", "messages"),
            Self::Client => ("client", "clients"),
            Self::Dialogue => ("dialogue", "clients"),
        }
    }
}

/// Names, mentions and mistakes of one file.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The text.
    pub(super) text: &'a str,
    /// The mistakes.
    pub(super) problems: &'a Problems,
    names: Vec<(Kind, &'a str)>,
    known: HashSet<(Kind, &'a str)>,
    mentioned: RefCell<BTreeSet<(Kind, String)>>,
    line_ends: OnceCell<Vec<usize>>,
    written_out: Cell<usize>,
    dues: RefCell<Vec<Due>>,
    doubts: RefCell<Vec<Diagnostic>>,
    relays: Option<&'a [&'a str]>,
}

/// Something that comes after so much time of the run.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// Where the time is written.
    pub(super) span: Span,
    /// From the start of the run, at the earliest.
    pub(super) time: Duration,
    /// What comes then.
    pub(super) what: Late,
}

/// What can come too late for any run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// What a mock does once it has waited.
    Waited,
    /// A rule on `idle`.
    Silence,
    /// A condition's `since first`.
    Condition,
    /// The second of two answers of the DNS.
    Answer,
    /// A delivery or a notification.
    Expected,
}

/// How much recipients, header fields and the like may come to once their counts are written out, in octets.
const WRITTEN_OUT: usize = 64 * 1024 * 1024;

impl<'a> Context<'a> {
    /// Collects the names of a scenario.
    pub(super) fn new(text: &'a str, root: &'a Node, problems: &'a Problems) -> Self {
        let mut names = Vec::new();
        for (key, node) in entries(root) {
            for (name, node) in entries(node) {
                match key {
                    "servers" => {
                        names.push((Kind::Server, name));
                        names.extend(
                            entries(node).any(|(key, _)| key == "dialogue").then_some((Kind::Dialogue, name)),
                        );
                    }
                    "messages" => names.push((Kind::Message, name)),
                    "clients" => names.extend([(Kind::Client, name), (Kind::Dialogue, name)]),
                    _ => {}
                }
            }
        }
        let known = names.iter().copied().collect();
        Self {
            text,
            problems,
            names,
            known,
            mentioned: RefCell::default(),
            line_ends: OnceCell::new(),
            written_out: Cell::new(0),
            dues: RefCell::default(),
            doubts: RefCell::default(),
            relays: None,
        }
    }

    /// With the names that relays of the past have; without them any name will do.
    pub(super) fn knowing(self, relays: Option<&'a [&'a str]>) -> Self {
        Self { relays, ..self }
    }

    /// The names that relays of the past have, if that is known.
    pub(super) fn relays(&self) -> Option<&'a [&'a str]> {
        self.relays
    }

    /// Notes a time that the run must last for. How long it lasts is known only when all was read.
    pub(super) fn due(&self, node: &Node, time: Duration, what: Late) {
        self.dues.borrow_mut().push(Due { span: node.span.clone(), time, what });
    }

    /// All times that were noted.
    pub(super) fn dues(&self) -> Vec<Due> {
        self.dues.borrow().clone()
    }

    /// Notes a mistake that may only follow from another one: a server whose domain is misspelt has none. It is told where
    /// there is no other.
    pub(super) fn doubt(&self, diagnostic: Diagnostic) {
        self.doubts.borrow_mut().push(diagnostic);
    }

    /// Tells what was noted so.
    pub(super) fn tell_doubts(&self) {
        for diagnostic in self.doubts.take() {
            self.problems.push(diagnostic);
        }
    }

    /// What the counts that were written out came to, in octets.
    pub(super) fn written_out(&self) -> usize {
        self.written_out.get()
    }

    /// The names of a kind, in the file's order.
    pub(super) fn names(&self, kind: Kind) -> Vec<&'a str> {
        self.names.iter().filter(|(other, _)| *other == kind).map(|(_, name)| *name).collect()
    }

    /// A name of this kind, which is mentioned from now on.
    pub(super) fn name(&self, node: &Node, kind: Kind) -> Option<String> {
        let (what, _) = kind.words();
        let text = self.problems.text(node, &format!("the name of a {what}"))?;
        self.known(text, node.span.clone(), kind)
    }

    /// The same for a name that was read already and stands here.
    pub(super) fn known(&self, text: String, span: Span, kind: Kind) -> Option<String> {
        let (what, key) = kind.words();
        if !self.known.contains(&(kind, text.as_str())) {
            if self.problems.is_full() {
                return None;
            }
            let known = self.names(kind);
            let help = if known.is_empty() {
                format!("the scenario has no `{key}:`")
            } else {
                suggestion(&text, &known)
            };
            let title = format!("there is no {what} `{text}`");
            self.problems.push(Diagnostic::new(span, title).because("no such name").help(help));
            return None;
        }
        self.mention(kind, &text);
        Some(text)
    }

    /// The line that a span begins on, from 1.
    pub(super) fn line(&self, span: &Span) -> usize {
        let ends = self.line_ends.get_or_init(|| self.text.match_indices('\n').map(|(at, _)| at).collect());
        ends.partition_point(|end| *end < span.start) + 1
    }

    /// Whether there is room for something `times` times, each of so many octets; if not, that is a mistake.
    pub(super) fn has_room(&self, node: &Node, times: u64, octets: usize) -> bool {
        // What keeping one costs beside its text.
        const EACH: usize = 24;
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        let sum = self.written_out.get().saturating_add(times.saturating_mul(octets + EACH));
        if sum > WRITTEN_OUT {
            self.problems.push(
                Diagnostic::new(node.span.clone(), "the scenario is too large once this is written out")
                    .because(format!(
                        "with what stands before it, it comes to more than {WRITTEN_OUT} octets"
                    )),
            );
            return false;
        }
        self.written_out.set(sum);
        true
    }

    /// Notes a mention.
    pub(super) fn mention(&self, kind: Kind, name: &str) {
        let kinds = if kind == Kind::Dialogue { vec![Kind::Client, Kind::Server] } else { vec![kind] };
        self.mentioned.borrow_mut().extend(kinds.into_iter().map(|kind| (kind, name.to_owned())));
    }

    /// Whether it was mentioned.
    pub(super) fn is_mentioned(&self, kind: Kind, name: &str) -> bool {
        self.mentioned.borrow().contains(&(kind, name.to_owned()))
    }
}

/// The entries of a mapping; none of anything else.
pub(super) fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.value {
        Value::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
}

/// Where a key of a mapping stands; the whole node where it is not there.
pub(super) fn key_span(node: &Node, key: &str) -> Span {
    let entries = match &node.value {
        Value::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().find(|entry| entry.key == key).map_or(node.span.clone(), |entry| entry.key_span.clone())
}
