//! What is known of the mappings of a language: for each its keys, what each says, and the form of its value.

/// A mapping of the language.
#[derive(Debug)]
pub(crate) struct Words {
    /// What it is, for "… has no `key:`": `a server`.
    pub(crate) what: &'static str,
    /// Its keys, in groups that several mappings may share.
    pub(crate) groups: &'static [&'static [Key]],
    /// Keys that must be there.
    pub(crate) required: &'static [&'static str],
}

/// A key: its word, what it says in one line, and the form of its value.
#[derive(Debug)]
pub(crate) struct Key(pub(crate) &'static str, pub(crate) &'static str, pub(crate) Form);

/// What a value looks like, as far as an editor can tell.
#[derive(Debug)]
pub(crate) enum Form {
    Anything,
    Null,
    Text,
    Boolean,
    Whole,
    Duration,
    Size,
    Range,
    DurationRange,
    SizeRange,
    Reply,
    /// One of these.
    Word(&'static [&'static str]),
    /// This mapping.
    Is(&'static Words),
    /// A mapping from names to values of this form.
    Named(&'static Form),
    List(&'static Form),
    OneOrMore(&'static Form),
    OneOf(&'static [Form]),
}

impl Words {
    /// Whether the mapping has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys().any(|one| one.0 == key)
    }

    /// All keys, in the table's order.
    pub(crate) fn list(&self) -> impl Iterator<Item = &'static str> {
        self.keys().map(|key| key.0)
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.iter())
    }
}

/// A mapping none of whose keys must be there.
pub(crate) const fn words(what: &'static str, groups: &'static [&'static [Key]]) -> Words {
    Words { what, groups, required: &[] }
}
