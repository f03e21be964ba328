//! A scenario told in words: who is there, what they do, what is sent, what is required and by which clause. For authors
//! who want to know whether they said what they meant, and for readers who do not know the language.
//!
//! [`explain`] is pure: a checked scenario goes in, text comes out. Nothing is run.

mod mail;
mod page;
mod requirements;
mod rules;
mod servers;
#[cfg(test)]
mod tests;

use crate::scenario::Scenario;
use page::Page;

/// The whole scenario in words, in lines of at most 100 columns where a word is not longer than that.
pub fn explain(scenario: &Scenario) -> String {
    let mut page = Page::default();
    page.line(0, &scenario.title);
    let case = scenario.case.as_ref().map_or_else(String::new, |case| format!("the case {case} of "));
    page.line(0, &format!("({}, {case}{})", scenario.name, scenario.path.display()));
    if !scenario.tags.is_empty() {
        page.line(0, &format!("Tags: {}", scenario.tags.join(", ")));
    }
    for paragraph in scenario.about.split("\n\n").map(str::trim).filter(|text| !text.is_empty()) {
        page.gap();
        page.hanging(2, 2, paragraph);
    }
    if !scenario.sources.is_empty() {
        page.heading("Known from");
        for source in &scenario.sources {
            page.line(2, source);
        }
    }
    servers::tell(scenario, &mut page);
    mail::tell(scenario, &mut page);
    requirements::tell(scenario, &mut page);
    page.text()
}
