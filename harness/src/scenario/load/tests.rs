#![allow(
    clippy::format_collect,
    clippy::format_push_string,
    clippy::similar_names,
    reason = "texts are made here by the thousand lines"
)]

use std::io::Write as _;
use std::time::Duration;

use mock_servers::script::{
    Action, Condition, Glob, On, Range, Reading, ReplyText, Rule, Speech, TlsAction, TlsVersion, Verb,
};
use proptest::prelude::*;

use super::*;
use crate::scenario::model::{
    Bdat, Body, Canonicalization, Check, Decisive, DnsEntry, DnsFault, DnsRecords, DnsTlsa, Inside, Level,
    Message, Octets, Reach, Text, TransferEncoding, WireThing,
};

const SMALL: &str = "
title: Small
servers: { hub: { serves: [hub.example] } }
messages: { note: { from: alice@origin.example, to: bob@hub.example } }
expect: [{ delivered: {} }]
";

fn read(text: &str) -> Scenario {
    let mut scenarios = cases(text);
    assert_eq!(scenarios.len(), 1, "it is no template");
    scenarios.remove(0)
}

/// The cases of a template.
fn cases(text: &str) -> Vec<Scenario> {
    parse(text, Path::new("x.yaml"), "x").unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// A scenario whose server `hub` has these keys, indented by four.
fn hub(keys: &str) -> Scenario {
    read(&format!(
        "title: x\nservers:\n  hub:\n    serves: [hub.example]\n{keys}\n\
         messages: {{ note: {{ from: alice@origin.example, to: bob@hub.example }} }}\nexpect: [{{ delivered: {{}} }}]\n"
    ))
}

fn rules(scenario: &Scenario, on: &On) -> Vec<Rule> {
    scenario.servers[0].script.rules_on(on).map(|(_, rule)| rule.clone()).collect()
}

fn reply(code: u16, text: &str) -> Action {
    Action::Reply(ReplyText { code, lines: vec![text.to_owned()] })
}

#[test]
fn a_small_scenario_sends_all_and_settles() {
    let scenario = read(SMALL);
    assert_eq!(scenario.steps, [Step::Send(vec!["note".to_owned()]), Step::Settle]);
    assert_eq!(scenario.servers[0].script.hostname, "mx.hub.example");
    assert_eq!(scenario.servers[0].script.profile.name, "rfc5321");
    assert!(scenario.messages[0].trusted && scenario.messages[0].copies == 1);
}

const TEMPLATE: &str = r#"
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

#[test]
fn an_expectation_without_a_level_only_deviates() {
    let expectation = &read(SMALL).expect[0];
    assert_eq!((expectation.level, expectation.line), (Level::Should, 5));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let scenario = read(&format!("\u{feff}{}", SMALL.replace('\n', "\r\n")));
    assert_eq!(scenario.title, "Small");
}

#[test]
fn servers_of_one_domain_have_names_of_their_own() {
    let scenario = read(
        "title: x\nservers:\n  one: { serves: [hub.example] }\n  two: { serves: [{ domain: hub.example, preference: 20 }] }\n  \
         smart: {}\n  named: { hostname: EXCH01, serves: [x.example] }\nrelay: { smarthost: smart }\n\
         messages: { note: { from: '', to: bob@hub.example } }\nexpect: [{ delivered: {} }]\n",
    );
    let names: Vec<&str> = scenario.servers.iter().map(|server| server.script.hostname.as_str()).collect();
    assert_eq!(names, ["one.hub.example", "two.hub.example", "smart.example", "EXCH01"]);
    assert_eq!(scenario.servers[1].serves[0].preference, 20);
}

#[test]
fn offers_change_the_profile_phase_by_phase() {
    let scenario = hub(
        "    offers: { add: [SIZE 50000, STARTTLS], drop: [CHUNKING, DSN], after tls: { add: [AUTH PLAIN LOGIN] } }",
    );
    let offers = &scenario.servers[0].script.profile.offers;
    assert_eq!(
        offers.list(false, false).as_ref(),
        ["PIPELINING", "SIZE 50000", "8BITMIME", "ENHANCEDSTATUSCODES", "STARTTLS"]
    );
    assert_eq!(
        offers.list(true, false).as_ref(),
        ["PIPELINING", "SIZE 50000", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN"]
    );
    assert_eq!(
        hub("    offers: []").servers[0].script.profile.offers.list(false, false),
        Vec::<String>::new()
    );
}

#[test]
fn addresses_say_what_a_connection_meets() {
    let scenario = hub("    addresses: [{ v6: filtered }, { v4: refused }, v4]");
    let met: Vec<(bool, Reach)> =
        scenario.servers[0].addresses.iter().map(|one| (one.v6, one.reach)).collect();
    assert_eq!(met, [(true, Reach::Filtered), (false, Reach::Refused), (false, Reach::Good)]);
}

#[test]
fn a_list_of_single_actions_is_one_rule_in_that_order() {
    let scenario = hub("    on: { connect: [send: \"220-hub\\r\\n\", wait: 6s, send: \"220 hub\\r\\n\"] }");
    let send = |bytes: &[u8]| Action::Send { bytes: bytes.to_vec(), means: None };
    let rules = rules(&scenario, &On::Connect);
    assert_eq!(rules.len(), 1);
    assert_eq!(
        rules[0].actions,
        [send(b"220-hub\r\n"), Action::Wait(Duration::from_secs(6)), send(b"220 hub\r\n")]
    );
}

#[test]
fn a_list_with_conditions_is_rules_in_that_order() {
    let scenario = hub(
        "    on:\n      RCPT:\n        - { when: { to: \"bob@*\", seen: 1 }, reply: \"451 4.7.1 Greylisted\" }\n        \
         - { when: { since first: ..5m }, reply: \"450 4.2.0 Come back later\" }\n        - \"250 2.1.5 OK\"",
    );
    let rules = rules(&scenario, &On::Command(Verb::Rcpt));
    assert_eq!(rules.len(), 3);
    assert_eq!(rules[0].when, [Condition::Seen(Range::exactly(1)), Condition::To(Glob("bob@*".to_owned()))]);
    assert_eq!(rules[2].actions, [reply(250, "2.1.5 OK")]);
}

#[test]
fn the_short_form_waits_replies_and_closes() {
    let scenario = hub("    on: { EHLO: { close: reset, reply: \"421 4.3.2 Bye\", wait: 1m } }");
    let expected = [
        Action::Wait(Duration::from_mins(1)),
        reply(421, "4.3.2 Bye"),
        Action::CloseReset { at_once: false },
    ];
    assert_eq!(rules(&scenario, &On::Command(Verb::Ehlo))[0].actions, expected);
}

#[test]
fn a_servers_pace_is_no_rule() {
    let scenario = hub("    pace: 1B");
    assert_eq!(scenario.servers[0].script.pace, Some(1));
    assert!(rules(&scenario, &On::Connect).is_empty());
}

#[test]
fn the_rules_of_the_language_page_can_be_read() {
    let scenario = hub(r#"    on:
      early: "554 5.5.0 Too soon"
      challenge: "334 "
      STARTTLS: { tls: { certificate: expired } }
      data: { when: { octets: 10KiB.. }, reply: "552 5.3.4 Too big", close: reset }
      end-of-data: [take: true, close: reset]
      idle: { after: 30s, reply: "421 4.4.2 Idle timeout", close: fin }"#);
    assert_eq!(
        rules(&scenario, &On::EndOfData)[0].actions,
        [Action::Take(true), Action::CloseReset { at_once: false }]
    );
    assert_eq!(scenario.servers[0].script.idle_after(), Some(Duration::from_secs(30)));
    assert_eq!(rules(&scenario, &On::Challenge)[0].actions, [reply(334, "")]);
}

#[test]
fn octets_are_octets_however_they_are_quoted() {
    let double = hub("    on: { connect: [{ send: \"220 h\\xFCb\\r\\n\" }] }");
    let single = hub("    on: { connect: [{ send: '220 h\\xFCb\\r\\n' }] }");
    let expected = Action::Send { bytes: b"220 h\xfcb\r\n".to_vec(), means: None };
    for scenario in [double, single] {
        assert_eq!(rules(&scenario, &On::Connect)[0].actions, std::slice::from_ref(&expected));
    }
}

#[test]
fn a_dialogue_says_its_own_lines_and_hears_the_others() {
    let scenario = read(
        "title: x\nclients:\n  sub2:\n    dialogue:\n      - S: 220 *\n      - C: EHLO sub2.\n      \
         - one of: [[S: 250 *], [S: 501 *, C: QUIT]]\n      - C raw: \"NOOP\\r\\nNOOP\\r\\n\"\n      \
         - within: 30s\n        S: 250 *\n      - close: reset\nexpect: [{ completed: sub2 }]\n",
    );
    let lines = &scenario.clients[0].dialogue.lines;
    assert_eq!(lines[1].what, Speech::Say(b"EHLO sub2.\r\n".to_vec()));
    assert!(
        matches!(&lines[2].what, Speech::OneOf(choices) if choices.len() == 2 && choices[1].0.len() == 2)
    );
    assert_eq!(lines[3].what, Speech::Say(b"NOOP\r\nNOOP\r\n".to_vec()));
    assert_eq!(lines[4].within, Some(Duration::from_secs(30)));
    assert_eq!(lines[5].what, Speech::CloseReset);
    assert_eq!(scenario.steps, [Step::Client("sub2".to_owned()), Step::Settle]);
}

#[test]
fn a_message_has_envelope_headers_and_content() {
    let scenario = read(
        r#"
title: x
messages:
  list:
    from: a@origin.example
    to: "u{1..3}@hub.example"
    copies: 2
    envelope: { body: 8bitmime, notify: [failure, delay], ret: hdrs, envid: Q1, size: 99999999 }
    headers: { Received: { times: 9 }, Subject: "Grüße", Date: , X-Two: [one, two] }
    content: { lines: 10000, text: "..x", newline at end: false }
expect:
  - delivered: { to: "u1@*", times: 1, octets: 7bit, attempt: 1, within: 10m }
  - returned: { to: u2@hub.example, status: 5.*, text: { contains: "5.1.1" } }
  - refused: { to: u3@*, at: RCPT, reply: 5.. }
  - wire: { first: EHLO, never: [BDAT, MAIL in clear, 8-bit content], sessions: ..4, gap: 30m.. }
"#,
    );
    let message = &scenario.messages[0];
    assert_eq!(message.to.len(), 3);
    assert_eq!(message.headers.iter().filter(|(name, _)| name == "Received").count(), 9);
    assert!(message.headers.contains(&("Date".to_owned(), None)));
    let Inside::Text(text) = &message.content.body.inside else { panic!() };
    assert_eq!((text.lines, message.content.no_final_newline), (10_000, true));
    let Check::Delivered(delivered) = &scenario.expect[0].check else { panic!() };
    assert_eq!(delivered.octets, Some(Octets::SevenBit));
    assert_eq!(delivered.within, Some(Range { from: None, to: Some(Duration::from_mins(10)) }));
    let Check::Wire(wire) = &scenario.expect[3].check else { panic!() };
    assert_eq!(
        wire.never,
        [
            WireThing::Command("BDAT".to_owned()),
            WireThing::CommandInClear("MAIL".to_owned()),
            WireThing::EightBitContent
        ]
    );
}

#[test]
fn raw_content_in_a_block_has_lines_that_end_in_crlf() {
    let scenario = read(
        "title: x\nmessages:\n  note:\n    from: a@origin.example\n    to: b@hub.example\n    content:\n      raw: |\n        \
         Subject: x\n\n        bare \\n here\nexpect: [{ refused: {} }]\n",
    );
    assert_eq!(
        scenario.messages[0].content.raw.as_deref(),
        Some(b"Subject: x\r\n\r\nbare \n here\r\n".as_slice())
    );
}

#[test]
fn names_fail_as_a_whole_by_type_and_for_a_time() {
    let scenario = read(
        r#"
title: x
servers: { hub: {} }
dns:
  shop.example: { MX: ["10 mx1.shop.example"] }
  mx1.shop.example: { A: hub, AAAA: servfail }
  null.example: { MX: ["0 ."], TXT: [v=spf1] }
  loop.example: { MX: ["10 mx1.shop.example", "20 {relay}"] }
  slow.example: { MX: servfail, until: 20m, then: { MX: ["10 mx1.shop.example"] } }
  gone.example: nxdomain
messages: { note: { from: a@origin.example, to: b@shop.example } }
expect: [{ delivered: {} }]
"#,
    );
    let DnsEntry::Records(records) = &scenario.dns[1] else { panic!() };
    let DnsRecords { a, faults, .. } = &**records;
    assert_eq!(a.as_deref(), Some(["hub".to_owned()].as_slice()));
    assert_eq!(faults, &[("AAAA".to_owned(), DnsFault::Servfail)]);
    assert!(matches!(&scenario.dns[4], DnsEntry::Until { until, .. } if *until == Duration::from_mins(20)));
    assert!(matches!(&scenario.dns[5], DnsEntry::Fault { fault: DnsFault::NxDomain, .. }));
}

#[test]
fn a_decisive_rule_is_counted_from_one() {
    let scenario = read(&format!(
        "{}decisive: {{ server: hub, on: RCPT, rule: 1 }}\n",
        SMALL.replace("serves: [hub.example]", "serves: [hub.example], on: { RCPT: \"550 5.1.1 no\" }")
    ));
    let expected = Decisive::Rule { server: "hub".to_owned(), event: "RCPT".to_owned(), index: Some(0) };
    assert_eq!(scenario.decisive, Some(expected));
}

#[test]
fn a_file_that_is_not_there_is_a_diagnostic() {
    let diagnostics = load(Path::new("nowhere/x.yaml"), Path::new("nowhere")).unwrap_err();
    assert!(diagnostics.to_string().contains("the scenario cannot be read"), "{diagnostics}");
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let text = format!("title: {}\n", "x".repeat(yaml::LARGEST));
    assert!(parse(&text, Path::new("x.yaml"), "x").unwrap_err().to_string().contains("at most"));
}

/// Refused with a word of why, in time and memory that do not run away.
fn refused(text: &str, why: &str) -> String {
    let began = std::time::Instant::now();
    let told = parse(text, Path::new("x.yaml"), "x").expect_err("refused");
    let shown = told.to_string();
    assert!(shown.contains(why), "{}", shown.chars().take(2000).collect::<String>());
    assert!(told.list().len() <= crate::yaml::MOST);
    assert!(shown.len() < 200_000, "{} octets are shown", shown.len());
    // A hundredfold of what it takes, for machines with much else to do; only what grows without measure comes near.
    assert!(began.elapsed() < Duration::from_secs(30), "took {:?}", began.elapsed());
    shown
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "title: x\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let last = format!("*a{}, ", n - 1).repeat(9);
        text += &format!("a{n}: &a{n} [{}]\n", last.trim_end_matches(", "));
    }
    refused(&text, "a reference to an anchor");
}

#[test]
fn deep_nesting_is_refused() {
    refused(&format!("title: {}{}", "[".repeat(300_000), "]".repeat(300_000)), "nested more than 64 deep");
    refused(&format!("title: {}", "{ a: ".repeat(100_000)), "nested more than 64 deep");
    refused(&"- ".repeat(200_000), "nested more than 64 deep");
}

#[test]
fn keys_by_the_thousand_are_refused() {
    let beyond: String = (0..120_000).map(|n| format!("k{n}: 1\n")).collect();
    refused(&beyond, "at most 1048576 are read");
    let many: String = (0..10_000).map(|n| format!("k{n}: 1\n")).collect();
    refused(&format!("title: x\n{many}"), "a scenario has no `k0:`");
    refused(&format!("title: x\n{}", "a: 1\n".repeat(10_000)), "the key is there twice");
    let flow: String = (0..10_000).map(|n| format!("k{n},")).collect();
    refused(&format!("title: x\nservers: {{{flow}}}\n"), "more than 20 servers");
    refused(&format!("title: x\nmessages: {{{flow}}}\n"), "a message needs `from:`");
}

#[test]
fn names_by_the_thousand_are_looked_up_in_good_time() {
    let messages: String =
        (0..1_000).map(|n| format!("  m{n}: {{ from: a@origin.example, to: b@hub.example }}\n")).collect();
    let sends: String = (0..2_500).map(|n| format!("  - send: n{n}\n")).collect();
    refused(&format!("title: x\nmessages:\n{messages}steps:\n{sends}"), "there is no message `n0`");
    let sends: String = (0..1_000).map(|n| format!("  - send: m{n}\n")).collect();
    let checks: String = (0..1_000).map(|n| format!("  - delivered: {{ message: m{n} }}\n")).collect();
    refused(
        &format!("title: x\nmessages:\n{messages}steps:\n{sends}expect:\n{checks}"),
        "more than 500 elements of `expect:`",
    );
}

#[test]
fn long_lines_are_shown_in_part() {
    let wide = "x".repeat(60_000);
    for text in [
        format!("title: x\nservers: {{ hub: {{ banner: \"{wide}\" }} }}\n"),
        format!("title: x\nservers: {{ hub: {{ {wide}: 1 }} }}\n"),
        format!("title: x\nservers: {{ hub: {{ profile: {wide} }} }}\n"),
        format!("title: x\nservers: {{ hub: {{ pace: {wide} }} }}\n"),
        format!("title: x\nmessages: [{}]\n", "a: b, ".repeat(10_000)),
        format!("title: x\nmessages: {{ n: {{ from: \"{wide}\", to: x }} }}\n"),
    ] {
        assert!(refused(&text, "x.yaml:2:").lines().all(|line| line.len() < 2000));
    }
}

#[test]
fn counts_that_would_fill_the_memory_are_refused() {
    let to = format!("[{}]", "\"u{1..100000}@hub.example\", ".repeat(1_000).trim_end_matches(", "));
    let rest = "servers: { hub: { serves: [hub.example] } }\nexpect: [{ delivered: {} }]\n";
    refused(
        &format!("title: x\nmessages: {{ n: {{ from: a@x.example, to: {to} }} }}\n{rest}"),
        "too large once this is written out",
    );
    let headers: String = (0..1_000).map(|n| format!("X-{n}: {{ times: 100000, text: hello }}, ")).collect();
    refused(
        &format!(
            "title: x\nmessages: {{ n: {{ from: a@x.example, to: b@x.example, headers: {{ {headers} }} }} }}\n{rest}"
        ),
        "too large once this is written out",
    );
}

#[test]
fn rules_and_patterns_by_the_thousand_take_good_time() {
    let rules: String = (0..1_000)
        .map(|n| {
            format!(
                "        - {{ when: {{ nth: {}, matches: \"(a{{9}}){{9}}{n}\" }}, reply: \"450 x\" }}\n",
                n + 1
            )
        })
        .collect();
    let text = format!(
        "title: x\nservers:\n  hub:\n    serves: [hub.example]\n    on:\n      RCPT:\n{rules}\
         messages: {{ n: {{ from: a@x.example, to: b@hub.example }} }}\nexpect: [{{ delivered: {{}} }}]\n"
    );
    refused(&text, "more than 500 rules on `RCPT`");
}

/// The file is sparse: it takes no room.
#[test]
fn a_file_for_content_has_a_limit_and_is_no_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let text = format!(
            "title: x\nservers: {{ hub: {{ serves: [hub.example] }} }}\nmessages: {{ n: {{ from: a@x.example, to: \
             b@hub.example, content: {{ file: {name} }} }} }}\nexpect: [delivered: {{}}]\n"
        );
        parse(&text, &directory.path().join("x.yaml"), "x").unwrap_err().to_string()
    };
    let large = std::fs::File::create(directory.path().join("large.eml")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    assert!(told("large.eml").contains("more than 67107840 octets (64 MiB)"), "{}", told("large.eml"));
    #[cfg(unix)]
    {
        let made =
            std::process::Command::new("mkfifo").arg(directory.path().join("pipe.yaml")).status().unwrap();
        assert!(made.success());
        assert!(told("pipe.yaml").contains("it is no file"), "{}", told("pipe.yaml"));
        // Nor is a pipe among the scenarios of a folder.
        let found = crate::scenario::find(&[directory.path().to_owned()]);
        assert!(matches!(found, Err(crate::scenario::FindError::Empty { .. })), "{found:?}");
    }
}

#[test]
fn files_of_a_template_have_a_limit_over_all_cases() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("large.eml")).unwrap();
    // What has a CR is taken as it is.
    (&file).write_all(b"\r").unwrap();
    file.set_len(60 * 1024 * 1024).unwrap();
    let text = "title: x\nfor each: { n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }\nservers: { hub: { serves: [hub.example] } }\n\
                messages: { n: { from: \"a{n}@x.example\", to: b@hub.example, content: { file: large.eml } } }\n\
                expect: [delivered: {}]\n";
    let told = parse(text, &directory.path().join("x.yaml"), "x").unwrap_err().to_string();
    assert!(told.contains("the template is too large once its cases are written out"), "{told}");
}

/// Only a megabyte of it is read.
#[test]
fn a_file_of_ten_megabytes_is_refused_by_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("big.yaml");
    std::fs::write(&path, "title: x\n".repeat(1_200_000)).unwrap();
    let told = load(&path, directory.path()).unwrap_err().to_string();
    assert!(told.contains("the file has 10800000 octets; at most 1048576 are read"), "{told}");
}

fn seeds() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/seeds");
    let files = crate::scenario::find(&[folder]).unwrap();
    files.iter().map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn the_founding_cases_can_be_read() {
    for (path, text) in seeds() {
        if let Err(diagnostics) = parse(&text, Path::new(&path), "x") {
            panic!("{diagnostics}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.render(true));
    }

    #[test]
    fn no_octets_in_a_file_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.yaml");
        std::fs::write(&path, octets).unwrap();
        let _ = load(&path, directory.path()).map_err(|diagnostics| diagnostics.render(true));
    }

    #[test]
    fn no_slip_in_a_template_makes_it_panic(at in any::<prop::sample::Index>(), cut in 0_usize..8, put in "[ -~\n\t\u{e9}]{0,4}") {
        let mut text = TEMPLATE.to_owned();
        let start = at.index(text.len());
        text.replace_range(start..(start + cut).min(text.len()), &put);
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.to_string());
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "([a-z]{1,3}|[-:,*&!|>'\"#%@`{}\\[\\]\\\\ \\t\\n\u{e9}\u{1f600}]){0,60}") {
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.to_string());
    }

    #[test]
    fn no_slip_in_a_founding_case_makes_it_panic(at in any::<prop::sample::Index>(), cut in 0_usize..8, put in "[ -~\n\t\u{e9}]{0,4}", which in any::<prop::sample::Index>()) {
        let seeds = seeds();
        let mut text = seeds[which.index(seeds.len())].1.clone();
        let floor = |mut at: usize| {
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(at.index(text.len()));
        let end = floor((start + cut).min(text.len())).max(start);
        text.replace_range(start..end, &put);
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.to_string());
    }
}

#[test]
fn envelopes_and_parts_are_read_as_written() {
    let scenario = read(
        r#"
title: Parts
servers: { hub: { serves: [hub.example] } }
messages:
  parts:
    from: "jürgen@origin.example"
    to: b@hub.example
    envelope: { smtputf8: true, body: binarymime, by: { bdat: 1KiB }, orcpt: "rfc822; x+y@z.example", auth: "<>" }
    content:
      multipart: alternative
      dkim: simple
      parts:
        - { text: "Gr\u00fc\u00dfe", charset: iso-8859-1, encoding: quoted-printable }
        - { raw: "\0\xFF", type: image/png, name: "a b.png", headers: { Content-ID: "<1@x>" } }
        - parts: [{ text: x, width: 1200, lines: 3 }]
expect:
  - delivered: { dkim: intact }
"#,
    );
    let Message { from, envelope, content, .. } = &scenario.messages[0];
    assert_eq!(from, "jürgen@origin.example");
    assert!(envelope.smtputf8);
    assert_eq!((envelope.body, envelope.bdat), (Some(Body::BinaryMime), Some(Bdat::Chunks(1024))));
    assert_eq!(envelope.orcpt, Some(("rfc822".to_owned(), "x+y@z.example".to_owned())));
    assert_eq!(envelope.auth.as_deref(), Some("<>"));
    assert_eq!(
        (content.dkim, content.body.kind.as_deref()),
        (Some(Canonicalization::Simple), Some("multipart/alternative"))
    );
    let Inside::Parts(parts) = &content.body.inside else { panic!() };
    assert_eq!(parts[0].encoding, Some(TransferEncoding::QuotedPrintable));
    assert_eq!(parts[1].inside, Inside::Octets(vec![0, 0xff]));
    assert_eq!((parts[1].name.as_deref(), parts[1].headers.len()), (Some("a b.png"), 1));
    let Inside::Parts(inner) = &parts[2].inside else { panic!() };
    assert_eq!(
        inner[0].inside,
        Inside::Text(Text { text: Some("x".to_owned()), lines: 3, width: Some(1200) })
    );
    let Check::Delivered(delivered) = &scenario.expect[0].check else { panic!() };
    assert!(delivered.dkim_intact);
}

#[test]
fn a_file_is_read_beside_the_scenario_and_its_lines_get_crlf() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lf.eml"), "Subject: a\n\nb\n").unwrap();
    std::fs::write(folder.path().join("mixed.eml"), "Subject: a\r\n\nb\n").unwrap();
    let scenario = folder.path().join("case.yaml");
    let yaml = "title: Files
servers: { hub: { serves: [hub.example] } }
messages:
  lf: { from: a@origin.example, to: b@hub.example, content: { file: lf.eml } }
  mixed: { from: a@origin.example, to: b@hub.example, content: { file: mixed.eml } }
  part: { from: a@origin.example, to: b@hub.example, content: { parts: [{ file: lf.eml }] } }
expect: [untouched: hub]
";
    std::fs::write(&scenario, yaml).unwrap();
    let messages = load(&scenario, folder.path()).unwrap_or_else(|bad| panic!("{bad}")).remove(0).messages;
    assert_eq!(messages[0].content.file.as_deref(), Some(&b"Subject: a\r\n\r\nb\r\n"[..]));
    assert_eq!(messages[1].content.file.as_deref(), Some(&b"Subject: a\r\n\nb\n"[..]));
    let Inside::Parts(parts) = &messages[2].content.body.inside else { panic!() };
    assert_eq!(parts[0].inside, Inside::Octets(b"Subject: a\n\nb\n".to_vec()));
}

#[test]
fn dns_words_are_read_as_written() {
    let scenario = read(
        r#"
title: DNS
servers: { hub: { serves: [hub.example] } }
messages: { note: { from: a@origin.example, to: b@hub.example } }
dns:
  hub.example: { ttl: 1m, secure: true, truncated: true, tcp: refused }
  mx1.shop.example: { A: hub, AAAA: not-implemented, MX: garbage, TXT: wrong-id }
  _25._tcp.mx1.shop.example: { TLSA: [good, "2 1 2 00 fF"] }
  _25._tcp.MX.hub.example: { TLSA: wrong }
  198.51.100.10: { PTR: other.example }
expect: [delivered: {}]
"#,
    );
    let records: Vec<&DnsRecords> = scenario
        .dns
        .iter()
        .map(|entry| if let DnsEntry::Records(records) = entry { &**records } else { panic!() })
        .collect();
    assert!(records[0].is_settings_alone() && records[0].truncated && records[0].tcp_refused);
    assert_eq!((records[0].ttl, records[0].secure), (Some(Duration::from_mins(1)), Some(true)));
    let faults = [DnsFault::Garbage, DnsFault::NotImplemented, DnsFault::WrongId];
    assert_eq!(records[1].faults.iter().map(|(_, fault)| *fault).collect::<Vec<_>>(), faults);
    let given = DnsTlsa::Given { usage: 2, selector: 1, matching: 2, data: vec![0, 0xff] };
    assert_eq!(records[2].tlsa, Some(vec![DnsTlsa::Good { server: "hub".to_owned() }, given]));
    assert_eq!(records[3].tlsa, Some(vec![DnsTlsa::Wrong]));
    assert_eq!(records[4].ptr, Some(vec!["other.example".to_owned()]));
}

#[test]
fn reading_and_tls_are_read_as_they_are_written() {
    let scenario = hub(
        "    read: 1KiB per 2m\n    offers: { add: [STARTTLS] }\n    on:\n      data: [read: 0, wait: 20m, read: freely]\n      \
         STARTTLS: { tls: { versions: [1.2, \"1.3\"], clear after: \"x\\r\\n\", resume: refuse } }\n      \
         QUIT: { reply: \"221 bye\", close: fin without close_notify }",
    );
    let every = Duration::from_mins(2);
    assert_eq!(scenario.servers[0].script.read, Reading::Slowly { octets: 1024, every });
    assert_eq!(
        rules(&scenario, &On::Data)[0].actions,
        [
            Action::Read(Reading::Nothing),
            Action::Wait(Duration::from_mins(20)),
            Action::Read(Reading::Freely)
        ]
    );
    let tls = TlsAction {
        versions: [TlsVersion::V1_2, TlsVersion::V1_3].into(),
        clear_after: b"x\r\n".to_vec(),
        refuse_resumption: true,
        ..TlsAction::default()
    };
    assert_eq!(rules(&scenario, &On::Command(Verb::StartTls))[0].actions, [Action::Tls(tls)]);
    assert_eq!(
        rules(&scenario, &On::Command(Verb::Quit))[0].actions,
        [reply(221, "bye"), Action::CloseWithoutNotify]
    );
}
