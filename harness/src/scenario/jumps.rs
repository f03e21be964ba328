//! What cannot be asked of a run whose clock has jumped: what the relay would have done on the way is not seen.

use super::context::Context;
use super::model::Step;
use crate::yaml::{Diagnostic, Entry, Node, Value};

/// Whether time jumps in these steps.
pub(super) fn any(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Jump(_)))
}

/// Tells what in an expectation hangs on the schedule that a jump before it has left out.
pub(super) fn ask_for_no_schedule(node: &Node, cx: &Context<'_>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| ask_for_no_schedule(item, cx)),
        Value::Mapping(entries) => entries.iter().for_each(|entry| asked(entry, cx)),
        _ => {}
    }
}

fn asked(entry: &Entry, cx: &Context<'_>) {
    let (what, way) = match entry.key.as_str() {
        "within" => {
            ("when it happens", "put a `check:` behind the jump to the moment at which it must be so")
        }
        "gap" | "sessions" => ("when the relay comes again", "`wait:` lets the relay live through all of it"),
        "attempt" if !is_first_or_later(&entry.value) => {
            ("how often the relay tries", "`1` (the first) and `2..` (a later one) can be asked")
        }
        _ => return ask_for_no_schedule(&entry.value, cx),
    };
    cx.problems.push(
        Diagnostic::new(entry.key_span.clone(), format!("`{}:` behind a `jump:`", entry.key))
            .because(format!("{what} hangs on what was due on the way, and that comes due at its end"))
            .help(way)
            .help("for the relay's own schedule: `- wait: …` in place of `- jump: …`"),
    );
}

/// Both are the same, however often the relay would have come on the way.
fn is_first_or_later(node: &Node) -> bool {
    match &node.value {
        Value::Integer(attempt) => *attempt == 1,
        Value::Text(text) => ["1", "2.."].contains(&text.replace(' ', "").as_str()),
        _ => false,
    }
}
