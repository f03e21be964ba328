//! What is required, by which clause, and what is only noted.

use super::page::Page;
use crate::scenario::{Decisive, Expectation, HistoricOutcome, Level, Scenario, phrases};

pub(super) fn tell(scenario: &Scenario, page: &mut Page) {
    if !scenario.expect.is_empty() {
        page.heading("What is required of the relay");
        for one in &scenario.expect {
            expectation(one, 2, page);
        }
    }
    if !scenario.observe.is_empty() {
        page.heading("What is noted, and not judged");
        for one in &scenario.observe {
            page.line(2, &format!("{}.", in_words(one)));
        }
    }
    page.heading("Besides");
    page.line(
        2,
        "As in every run: no mail is lost or doubled, content and notifications are in order, and so is what \
         the relay says on the wire.",
    );
    match &scenario.decisive {
        None => page.line(
            2,
            "It shows something once a server that mail was meant for was met, and a rule fired where there are \
             rules.",
        ),
        Some(decisive) => page.line(2, &format!("It shows something only if {}.", met(decisive))),
    }
    for (relay, outcome) in &scenario.historic {
        let how = match outcome {
            HistoricOutcome::Passes => "passes: what it did was legal, and nobody's loss",
            HistoricOutcome::Deviates => "deviates: what it did was legal, and its users' loss",
            HistoricOutcome::Violates => "violates",
        };
        page.line(2, &format!("On {relay}, a relay of the past, it {how}."));
    }
}

/// What must have happened, in words.
fn met(decisive: &Decisive) -> String {
    match decisive {
        Decisive::Session(server) => format!("{server} was met"),
        Decisive::Rule { server, event, index } => {
            let rule = index.map_or_else(|| "a rule".to_owned(), |index| format!("rule {}", index + 1));
            format!("{rule} of {server} on {event} fired")
        }
        Decisive::Name { name, record_type } => {
            let what =
                record_type.as_ref().map_or_else(String::new, |record_type| format!("{record_type} of "));
            format!("the relay asked the DNS for {what}{name}")
        }
        Decisive::All(all) => all.iter().map(met).collect::<Vec<_>>().join(", and "),
    }
}

/// One of them, with its level and clause, from this column on.
pub(super) fn expectation(one: &Expectation, indent: usize, page: &mut Page) {
    let level = match one.level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    };
    page.hanging(indent, indent + 2, &format!("{level} {} ({})", it(one), one.clause));
    if one.it.is_some() {
        page.hanging(indent + 2, indent + 4, &format!("looked at: {}", phrases::of(&one.check)));
    }
}

fn it(one: &Expectation) -> String {
    one.it.clone().unwrap_or_else(|| phrases::of(&one.check))
}

fn in_words(one: &Expectation) -> String {
    match &one.it {
        Some(it) => format!("Whether it {it}: {}", phrases::of(&one.check)),
        None => format!("Whether it {}", phrases::of(&one.check)),
    }
}
