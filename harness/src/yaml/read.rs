//! Takes nodes apart: mappings whose every key must be known, texts, truth values, numbers. A mistake is noted and
//! reading goes on, so that an author sees all of them at once.

use std::cell::RefCell;

use super::{Diagnostic, Entry, Node, Span, Style, Value, Words};

/// Why a value does not have its form, and a way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The cause.
    pub(crate) why: String,
    /// The way out.
    pub(crate) help: Option<String>,
}

/// A cause.
pub(crate) fn wrong(why: impl Into<String>) -> Wrong {
    Wrong { why: why.into(), help: None }
}

/// A cause and a way out.
pub(crate) fn wrong_with(why: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { why: why.into(), help: Some(help.into()) }
}

/// How many mistakes of a file are kept.
pub(crate) const MOST: usize = 1000;

/// The mistakes found so far.
#[derive(Debug)]
pub(crate) struct Problems {
    list: RefCell<Vec<Diagnostic>>,
}

impl From<Vec<Diagnostic>> for Problems {
    fn from(list: Vec<Diagnostic>) -> Self {
        Self { list: RefCell::new(list) }
    }
}

impl Problems {
    /// Notes one. Past [`MOST`] nobody reads them, and they are let go.
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        if !self.is_full() {
            self.list.borrow_mut().push(diagnostic);
        }
    }

    /// Whether no further ones are kept.
    pub(crate) fn is_full(&self) -> bool {
        self.count() >= MOST
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.borrow().len()
    }

    /// All of them.
    pub(crate) fn into_list(self) -> Vec<Diagnostic> {
        self.list.into_inner()
    }

    /// Notes "expected …, found …".
    pub(crate) fn expected(&self, node: &Node, expected: &str) -> Option<()> {
        let title = format!("expected {expected}, found {}", node.describe());
        let mut diagnostic = Diagnostic::new(node.span.clone(), title).because(match node.value {
            Value::Null => "nothing is written here".to_owned(),
            _ => format!("this is {}", node.describe()),
        });
        if let Value::Mapping(entries) = &node.value {
            let braces = entries.len() == 1 && matches!(entries[0].value.value, Value::Null);
            if braces {
                diagnostic
                    .help
                    .push(format!("a text in braces must be in quotes: \"{{{}}}\"", entries[0].key));
            } else if expected.starts_with("a list") {
                diagnostic
                    .help
                    .push("an element of a list begins with `- `, or stands in `[...]`".to_owned());
            }
        }
        self.push(diagnostic);
        None
    }

    /// Notes that a value does not have the form that it should.
    pub(crate) fn wrong(&self, node: &Node, expected: &str, wrong: Wrong) {
        let title = format!("`{}` is not {expected}", node.written.trim_end_matches('\n'));
        let mut diagnostic = Diagnostic::new(node.span.clone(), title).because(wrong.why);
        diagnostic.help.extend(wrong.help);
        self.push(diagnostic);
    }

    /// Notes a word that is not one of `known`.
    pub(crate) fn unknown(&self, span: Span, title: String, word: &str, known: &[&str]) {
        self.push(Diagnostic::new(span, title).because("unknown").help(suggestion(word, known)));
    }

    /// A text. Numbers, truth values and what other readers take for one are mistakes.
    pub(crate) fn text(&self, node: &Node, expected: &str) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Bool(_) | Value::Integer(_) | Value::Number => {
                self.push(
                    Diagnostic::new(
                        node.span.clone(),
                        format!("expected {expected}, found {}", node.describe()),
                    )
                    .because("without quotes, YAML does not read this as text")
                    .help(format!("put it in quotes: \"{}\"", node.written)),
                );
                return None;
            }
            _ => {
                self.expected(node, expected);
                return None;
            }
        };
        if node.style == Style::Plain && is_yes_or_no(text) {
            self.push(
                Diagnostic::new(
                    node.span.clone(),
                    format!("`{text}` without quotes can be a text or a truth value"),
                )
                .because("YAML 1.1 reads this as a truth value, YAML 1.2 as text")
                .help(format!("for the text, put it in quotes: \"{text}\"")),
            );
            return None;
        }
        Some(text.clone())
    }

    /// A text that is not empty.
    pub(crate) fn some_text(&self, node: &Node, expected: &str) -> Option<String> {
        let text = self.text(node, expected)?;
        if text.trim().is_empty() {
            self.push(Diagnostic::new(
                node.span.clone(),
                format!("expected {expected}, found an empty text"),
            ));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) if is_yes_or_no(text) => {
                let meant = matches!(text.to_ascii_lowercase().as_str(), "yes" | "on" | "y");
                self.push(
                    Diagnostic::new(
                        node.span.clone(),
                        format!("expected `true` or `false`, found the text `{text}`"),
                    )
                    .because("this YAML knows no other truth values")
                    .help(format!("write `{meant}`")),
                );
                None
            }
            _ => {
                self.expected(node, "`true` or `false`")?;
                None
            }
        }
    }

    /// A scalar with a form of its own: a duration, a size, a range, a pattern.
    pub(crate) fn parsed<T>(
        &self,
        node: &Node,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let written = match &node.value {
            Value::Text(text) => text,
            Value::Integer(_) | Value::Number => &node.written,
            _ => {
                self.expected(node, expected)?;
                return None;
            }
        };
        parse(written).map_err(|wrong| self.wrong(node, expected, wrong)).ok()
    }

    /// One of a fixed set of words.
    pub(crate) fn word<T: Clone>(&self, node: &Node, expected: &str, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let listed = list_of(&known);
        let Value::Text(text) = &node.value else {
            self.expected(node, &format!("{expected}: {listed}"))?;
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            self.unknown(node.span.clone(), format!("`{text}` is not {expected}"), text, &known);
        }
        found
    }

    /// A whole number.
    pub(crate) fn integer(&self, node: &Node, expected: &str) -> Option<u64> {
        if let Value::Integer(value) = node.value {
            return Some(value);
        }
        self.expected(node, expected)?;
        None
    }
}

/// A regular expression.
pub(crate) fn regular_expression(text: &str) -> Result<String, Wrong> {
    match regex_lite::RegexBuilder::new(text).size_limit(256 * 1024).build() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let error = error.to_string();
            Err(wrong(error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()))
        }
    }
}

/// One node or a list of them.
pub(crate) fn one_or_more(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// What YAML 1.1 takes for a truth value and YAML 1.2 does not.
fn is_yes_or_no(text: &str) -> bool {
    ["yes", "no", "on", "off", "y", "n"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// "did you mean …", or the list of what is known.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    // A scenario may have thousands of names.
    const COMPARED: usize = 500;
    const LISTED: usize = 60;
    let near = known.iter().take(COMPARED);
    let best = near.filter_map(|one| distance(word, one).map(|distance| (distance, one))).min();
    match best {
        Some((_, best)) => format!("did you mean `{best}`?"),
        None if known.is_empty() => "there is none to choose from".to_owned(),
        None if known.len() > LISTED => format!("{} are known here", known.len()),
        None => format!("known here: {}", list_of(known)),
    }
}

/// How far a word is from a known one, if it is near enough to be meant; case is no distance.
fn distance(word: &str, known: &str) -> Option<usize> {
    // Words that differ much in length are far apart, and comparing two long texts takes for ever.
    const LONGEST: usize = 100;
    let most = 1 + known.chars().count() / 4;
    if word.len() > LONGEST || word.chars().count().abs_diff(known.chars().count()) > most {
        return None;
    }
    let (word, known) = (word.to_lowercase(), known.to_lowercase());
    let distance = strsim::damerau_levenshtein(&word, &known);
    (distance <= most && distance < known.chars().count()).then_some(distance)
}

/// `` `a`, `b` or `c` ``
pub(crate) fn list_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A mapping whose keys are words of the language. Ends with [`Mapping::finish`], which tells the unknown ones.
#[derive(Debug)]
pub(crate) struct Mapping<'a> {
    words: &'static Words,
    span: Span,
    entries: &'a [Entry],
    problems: &'a Problems,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Mapping<'a> {
    /// The mapping in `node`, which has these words. Nothing at all is an empty mapping where `empty_is_fine`.
    pub(crate) fn new(node: &'a Node, words: &'static Words, problems: &'a Problems) -> Option<Self> {
        let what = words.what;
        let entries: &[Entry] = match &node.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            _ => {
                problems.expected(node, &format!("{what} as a mapping (`key: value`)"))?;
                return None;
            }
        };
        Some(Self { words, span: node.span.clone(), entries, problems, known: RefCell::default() })
    }

    /// The value of `key`, which is known from now on.
    pub(crate) fn take(&self, key: &'static str) -> Option<&'a Node> {
        debug_assert!(self.words.has(key), "{} has no word `{key}` in its table", self.words.what);
        self.known.borrow_mut().push(key);
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of `key`, whose absence is a mistake.
    pub(crate) fn require(&self, key: &'static str) -> Option<&'a Node> {
        let node = self.take(key);
        // A misspelt key is told as that, once.
        let misspelt =
            || self.entries.iter().any(|entry| distance(&entry.key, key).is_some_and(|far| far > 0));
        if node.is_none() && !misspelt() {
            let at = self.entries.first().map_or(self.span.clone(), |entry| entry.key_span.clone());
            self.problems.push(
                Diagnostic::new(at, format!("{} needs `{key}:`", self.words.what))
                    .because(format!("there is no `{key}:` here")),
            );
        }
        node
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The keys in the file's order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// Notes keys that nobody asked for.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        let words: Vec<&str> = self.words.list().collect();
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.problems.is_full() {
                break;
            }
            if !known.contains(&key) {
                let title = format!("{} has no `{key}:`", self.words.what);
                self.problems.unknown(entry.key_span.clone(), title, key, &words);
            }
        }
    }
}
