//! Templates: cases, and values in their places.

use mock_servers::script::{Action, Condition, On, Range, Verb};

use super::*;
use crate::scenario::model::{Check, WireThing};

pub(super) const TEMPLATE: &str = r#"
title: "{reply} at {stage}, {fault.times} times"
for each:
  stage: [MAIL, RCPT]
  reply: { later: "451 4.7.1 Later", never: "550 5.7.1 No" }
  fault: { once: { times: 1, at: ["{stage}"] }, often: { times: 2.., at: [DATA, "{stage}"] } }
except: [{ stage: RCPT, fault: [often] }, { stage: MAIL, reply: later, fault: once }]
servers:
  hub: { serves: [hub.example], on: { "{stage}": { when: { session: "{fault.times}" }, reply: "{reply}" }, VRFY: "250 {host} {words}" } }
messages: { note: { from: alice@origin.example, to: bob@hub.example } }
expect: [{ delivered: {} }]
observe: [{ wire: { never: "{fault.at}" } }]
"#;

#[test]
fn a_template_makes_a_case_of_each_combination_but_those_left_out() {
    let cases = cases(TEMPLATE);
    let names: Vec<(&str, &str)> =
        cases.iter().map(|one| (one.name.as_str(), one.case.as_deref().unwrap())).collect();
    assert_eq!(
        names,
        [
            ("x/MAIL-later-often", "MAIL-later-often"),
            ("x/MAIL-never-once", "MAIL-never-once"),
            ("x/MAIL-never-often", "MAIL-never-often"),
            ("x/RCPT-later-once", "RCPT-later-once"),
            ("x/RCPT-never-once", "RCPT-never-once"),
        ]
    );
}

#[test]
fn values_stand_in_keys_texts_and_in_place_of_any_value() {
    let cases = cases(TEMPLATE);
    assert_eq!(cases[0].title, "451 4.7.1 Later at MAIL, 2.. times");
    let mail = rules(&cases[0], &On::Command(Verb::Mail));
    assert_eq!(mail[0].when, [Condition::Session(Range { from: Some(2), to: None })]);
    assert_eq!(mail[0].actions, [reply(451, "4.7.1 Later")]);
    assert_eq!(
        rules(&cases[1], &On::Command(Verb::Mail))[0].when,
        [Condition::Session(Range::exactly(1))],
        "a number alone is a number"
    );
    let vrfy = &rules(&cases[0], &On::Command(Verb::Vrfy))[0];
    assert_eq!(vrfy.actions, [reply(250, "{host} {words}")], "what is no variable stays");
    let Check::Wire(wire) = &cases[0].observe[0].check else { panic!() };
    assert_eq!(
        wire.never,
        [WireThing::Command("DATA".to_owned()), WireThing::Command("MAIL".to_owned())],
        "a value has the variables before its own"
    );
    assert!(rules(&cases[4], &On::Command(Verb::Mail)).is_empty());
}

#[test]
fn octets_in_a_value_are_octets_in_the_text_around_it() {
    let scenario = &cases(
        r#"
title: x
for each: { name: { high: "h\xFCb" } }
servers: { hub: { serves: [hub.example], on: { connect: [send: "220 {name}\r\n"] } } }
messages: { note: { from: alice@origin.example, to: bob@hub.example } }
expect: [{ delivered: {} }]
"#,
    )[0];
    let expected = Action::Send { bytes: b"220 h\xfcb\r\n".to_vec(), means: None };
    assert_eq!(rules(scenario, &On::Connect)[0].actions, [expected]);
}

/// Each variable holds the one before it many times.
#[test]
fn values_that_multiply_are_refused_before_they_are_made() {
    let ten = |name: &str| format!("{{{name}}}").repeat(10);
    let mut text = format!("title: x\nfor each:\n  v0: {{ x: {} }}\n", "x".repeat(1000));
    for n in 1..12 {
        text += &format!("  v{n}: {{ x: \"{}\" }}\n", ten(&format!("v{}", n - 1)));
    }
    text += "about: \"{v11}\"\n";
    let told = parse(&text, Path::new("x.yaml"), "x").unwrap_err().to_string();
    assert!(told.contains("the cases of this file are too large"), "{told}");

    let mut text = "title: x\nfor each:\n  v0: { x: [[[[[[[[[[1]]]]]]]]]] }\n".to_owned();
    for n in 1..12 {
        text += &format!("  v{n}: {{ x: [[[[[[[[[[\"{{v{}}}\"]]]]]]]]]] }}\n", n - 1);
    }
    text += "tags: \"{v11}\"\n";
    let told = parse(&text, Path::new("x.yaml"), "x").unwrap_err().to_string();
    assert!(told.contains("nested more than 64 deep, once values are in place"), "{told}");
}
