#![allow(
    clippy::format_collect,
    clippy::format_push_string,
    clippy::similar_names,
    reason = "texts are made here by the thousand lines"
)]

mod limits;
mod panics;
mod templates;
mod words;

use std::time::Duration;

use mock_servers::script::{Action, Condition, Glob, On, Range, ReplyText, Rule, Speech, Verb};

use super::*;
use crate::scenario::model::{
    Check, Decisive, DnsEntry, DnsFault, DnsRecords, Inside, Level, Octets, Reach, WireThing,
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

/// The relay asks for the reverse name, and no address was ever asked for.
#[test]
fn a_decisive_address_stands_for_its_reverse_name() {
    for (address, name) in [
        ("198.51.100.10", "10.100.51.198.in-addr.arpa"),
        ("10.100.51.198.in-addr.arpa", "10.100.51.198.in-addr.arpa"),
    ] {
        let scenario = read(&format!("{SMALL}decisive: {{ dns: {address}, type: PTR }}\n"));
        let expected = Decisive::Name { name: name.to_owned(), record_type: Some("PTR".to_owned()) };
        assert_eq!(scenario.decisive, Some(expected));
    }
}

#[test]
fn a_file_that_is_not_there_is_a_diagnostic() {
    let diagnostics = load(Path::new("nowhere/x.yaml"), Path::new("nowhere")).unwrap_err();
    assert!(diagnostics.to_string().contains("the scenario cannot be read"), "{diagnostics}");
}
