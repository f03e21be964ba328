//! Vendor profiles: `mock-servers/profiles/*.yaml`, in which each fact names its source.
//!
//! A fact is a mapping with `text:` (or `keyword:`, or a rule's own keys) and `source:`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mock_servers::profiles::ALL;
use mock_servers::script::{Offers, On, Profile, ReplyText, Rule};

use super::context::Context;
use super::{replies, rules, words};
use crate::yaml::{self, Diagnostic, Diagnostics, Document, Mapping, Node, Problems, one_or_more};

/// The names of all profiles.
pub fn profile_names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The profile of this name; `None`: there is none. An error means that the file in `mock-servers/profiles` is wrong.
pub fn profile(name: &str) -> Option<Result<Profile, Diagnostics>> {
    // The profiles that were asked for, each read once: every server of every scenario has one.
    static READ: Mutex<BTreeMap<&str, Result<Profile, Diagnostics>>> = Mutex::new(BTreeMap::new());
    let (name, text) = ALL.iter().find(|(other, _)| *other == name)?;
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let parse = || parse(text, Path::new(&format!("mock-servers/profiles/{name}.yaml")), name);
    Some(read.entry(name).or_insert_with(parse).clone())
}

/// What is said of a file that is no profile at all.
const DOCUMENT: Document = Document {
    noun: "profile",
    one: "a profile",
    empty: "a profile begins with `profile:`, its name",
    large: None,
    octets: "save it as UTF-8",
};

/// Reads a profile.
pub(super) fn parse(text: &str, path: &Path, name: &str) -> Result<Profile, Diagnostics> {
    let mut found = Vec::new();
    let root = yaml::read(text, &DOCUMENT, &mut found);
    let problems = Problems::from(found);
    let profile = root.as_ref().and_then(|root| read(root, &Context::new(text, root, &problems), name));
    let list = problems.into_list();
    profile.filter(|_| list.is_empty()).ok_or_else(|| Diagnostics::new(path, text, list))
}

fn read(root: &Node, cx: &Context<'_>, name: &str) -> Option<Profile> {
    let mapping = Mapping::new(root, &words::PROFILE, cx.problems)?;
    if let Some(node) = mapping.require("profile")
        && let Some(written) = cx.problems.text(node, "the profile's name")
        && written != name
    {
        cx.problems.push(
            Diagnostic::new(
                node.span.clone(),
                format!("the file is named `{name}`, the profile `{written}`"),
            )
            .help(format!("write `{name}`")),
        );
    }
    if let Some(node) = mapping.require("about") {
        cx.problems.some_text(node, "what the profile is about");
    }
    let banner = mapping.require("banner").and_then(|node| text_fact(node, cx));
    let ehlo_greeting = mapping.require("greeting").and_then(|node| text_fact(node, cx));
    let at_first = mapping.require("offers").map(one_or_more).unwrap_or_default();
    let at_first = at_first.iter().filter_map(|node| keyword_fact(node, cx)).collect();
    let replies = mapping.take("replies").map(one_or_more).unwrap_or_default();
    let replies = replies.iter().filter_map(|node| reply_fact(node, cx)).collect();
    let habits = mapping.take("habits").map(one_or_more).unwrap_or_default();
    let habits = habits.iter().filter_map(|node| habit(node, cx)).collect();
    mapping.finish();
    Some(Profile {
        name: name.to_owned(),
        banner: banner?,
        ehlo_greeting: ehlo_greeting?,
        offers: Offers { at_first, after_tls: None, after_auth: None },
        replies,
        habits,
    })
}

/// `{ text: "220 …", source: … }`
fn text_fact(node: &Node, cx: &Context<'_>) -> Option<ReplyText> {
    let mapping = Mapping::new(node, &words::FACT, cx.problems)?;
    let text = mapping.require("text").and_then(|node| replies::reply(node, cx));
    source(mapping, cx);
    text
}

/// `{ keyword: SIZE 10240000, source: … }`
fn keyword_fact(node: &Node, cx: &Context<'_>) -> Option<String> {
    let mapping = Mapping::new(node, &words::OFFER, cx.problems)?;
    let keyword = mapping.require("keyword").and_then(|node| cx.problems.some_text(node, "an EHLO keyword"));
    source(mapping, cx);
    keyword
}

/// `{ to: RCPT, text: "250 …", source: … }`
fn reply_fact(node: &Node, cx: &Context<'_>) -> Option<(On, ReplyText)> {
    let mapping = Mapping::new(node, &words::REPLY_FACT, cx.problems)?;
    let event = mapping.require("to").and_then(|node| rules::event_word(node, cx));
    let text = mapping.require("text").and_then(|node| replies::reply(node, cx));
    source(mapping, cx);
    Some((rules::parse_event(&event?)?, text?))
}

/// `{ on: RCPT, rules: [...], source: … }`
fn habit(node: &Node, cx: &Context<'_>) -> Option<(On, Vec<Rule>)> {
    let mapping = Mapping::new(node, &words::HABIT, cx.problems)?;
    let event = mapping.require("on").and_then(|node| rules::event_word(node, cx));
    let event = event.as_deref().and_then(rules::parse_event);
    let rules = mapping.require("rules");
    let rules = rules.map(|node| rules::plain_rules(event.as_ref(), node, cx)).unwrap_or_default();
    source(mapping, cx);
    Some((event?, rules))
}

fn source(mapping: Mapping<'_>, cx: &Context<'_>) {
    if let Some(node) = mapping.require("source") {
        cx.problems.some_text(node, "where this is known from");
    }
    mapping.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_be_read() {
        for name in profile_names() {
            if let Some(Err(diagnostics)) = profile(name) {
                panic!("{diagnostics}");
            }
        }
    }

    #[test]
    fn a_mistake_in_a_profile_is_shown_where_it_is() {
        let text = "profile: x\nabout: y\nbanner: { text: 220 x, sorce: z }\ngreeting: { text: 250 x, source: z }\noffers: []\n";
        let shown = parse(text, Path::new("x.yaml"), "x").unwrap_err().to_string();
        assert!(shown.contains("x.yaml:3:24") && shown.contains("did you mean `source`?"), "{shown}");
    }
}
