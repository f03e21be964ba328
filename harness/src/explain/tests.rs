use std::path::Path;

use super::page::quoted;
use crate::scenario;

/// A scenario with one of nearly everything.
const RICH: &str = r#"
title: One of nearly everything
tags: [tls, dialogues]
about: |
  The first paragraph, which goes on for so long that it has to be wrapped somewhere, since no terminal is wide enough for it.

  The second one.
sources: [RFC 5321 section 4.2, a field report]
servers:
  hub:
    profile: domino-r5
    serves: [hub.example, { domain: other.example, preference: 20 }]
    offers: { add: [STARTTLS, SIZE 50000], after tls: { add: [AUTH PLAIN] } }
    addresses: [{ v6: filtered }, v4]
    credentials: { user: relay, password: secret }
    on:
      connect: [send: "220-hub\r\n", wait: 6s, send: "220 hub\r\n"]
      EHLO: { reply: ["502-Not", "502 here"] }
      RCPT:
        - { when: { to: "bob@*", seen: 1 }, reply: "451 4.7.1 Greylisted" }
        - { when: { since first: ..5m, nth: 2.. }, wait: 20s, reply: "450 4.2.0 Later", close: fin }
        - "250 2.1.5 Fine"
      STARTTLS: { tls: { certificate: expired, clear before: "250 injected\r\n" } }
      idle: { after: 30s, reply: "421 4.4.2 Idle timeout", close: reset at once }
  strict:
    serves: [strict.example]
    dialogue: [S: 220 strict, C: EHLO *, S: 250 strict, one of: [[{ within: 5m, C: MAIL * }], [C: QUIT]], close: reset]
clients:
  odd: { dialogue: [S: 220 *, C raw: "EHLO a\r\nNOOP\xFF\r\n", { within: 30s, S: 250 * }, close: fin] }
relay: { smarthost: hub, tls: required, offers tls: true, queue: { retry: { first: 15m, at most: 4h }, lifetime: 2d }, auth: { to: hub, user: relay, password: secret } }
dns:
  gone.example: nxdomain
  slow.example: { MX: servfail, until: 20m, then: { MX: "10 mx.hub.example" } }
  hub.example: { ttl: 1m, secure: true, truncated: true, tcp: refused }
  _25._tcp.mx.hub.example: { TLSA: [good, wrong, "2 0 1 00ff"], TXT: wrong-id }
  203.0.113.25: { PTR: other.example }
messages:
  list: { from: "", to: "u{1..250}@hub.example", copies: 2, envelope: { notify: [failure, delay], envid: Q1 }, headers: { Received: { times: 99 }, Date: null } }
  odd: { from: a@origin.example, to: "b@hub.example ", trusted: false, content: { text: "..x", lines: 3, newline at end: false } }
  parts:
    from: "jürgen@origin.example"
    to: b@hub.example
    envelope: { smtputf8: true, body: binarymime, by: { bdat: 1KiB }, orcpt: "rfc822;x@y.example", auth: "<>" }
    content: { dkim: true, parts: [{ text: x, width: 1000, lines: 2 }, { raw: "\xFF", type: image/png, encoding: base64, name: a.png }] }
steps: [client: odd, send: [list, odd, parts], wait: 1d, check: [{ it: keeps what nobody took, should: RFC 5321 section 4.5.4.1, queued: { message: list } }], kill: relay, restart: relay, settle]
expect:
  - it: keeps to the pace of the slow
    must: RFC 5321 section 4.5.4.1
    wire: { at: hub, gap: 30m.., never: [MAIL in clear] }
  - delivered: { message: parts, dkim: intact }
  - any of: [delivered: { message: odd, by: hub }, returned: { message: odd, status: 5.* }]
  - completed: odd
  - returned: { message: odd, times: 0 }
  - all of:
      - any of: [delivered: { message: odd, times: 0 }, returned: { message: odd, times: 0.., text: { contains: why }, within: ..2d }]
      - any of: [delayed: { message: odd, text: WARNING, within: 4h..5h }, queued: odd]
observe:
  - delayed: { message: list }
decisive: { server: hub, on: RCPT, rule: 1 }
historic: { mcis: violates }
"#;

fn explained(text: &str) -> String {
    let scenarios = scenario::parse(text, Path::new("rich.yaml"), "rich");
    super::explain(&scenarios.unwrap_or_else(|mistakes| panic!("{mistakes}"))[0])
}

#[test]
fn a_scenario_is_told_in_words() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/explained"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("rich", explained(RICH)));
}

#[test]
fn a_scenario_without_anything_of_its_own_is_told_with_its_defaults() {
    let told = explained(
        "title: Plain\nservers: { hub: { serves: [hub.example] } }\nmessages: { note: { from: a@origin.example, to: \
         b@hub.example } }\nexpect: [delivered: {}]\n",
    );
    for part in [
        "hub (mx.hub.example) takes the mail of hub.example (MX 10)",
        "its own defaults",
        "note is submitted",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

#[test]
fn bytes_are_written_as_the_language_writes_them() {
    assert_eq!(quoted(b"a\r\n\0\xE9\\\"\x07\xC3\xA9"), r#""a\r\n\0\xE9\\\"\x07é""#);
}

/// What a check asks for is told whole: that mail is *not* returned, the words of a report, how many there are.
#[test]
fn a_check_is_told_whole() {
    let told = explained(
        "title: Plain\nservers: { hub: { serves: [hub.example] } }\nrelay: { offers tls: true }\nmessages: { note: { \
         from: a@origin.example, to: b@hub.example } }\nexpect:\n- returned: { times: 0 }\nobserve:\n- \
         returned: { text: too big, status: 5.3.4, times: 1.., within: 1h }\n- delayed: { text: WARNING, within: 4h.. \
         }\n",
    );
    for part in [
        "SHOULD does not return note (",
        "returns note in 1 or more notifications with 5.3.4, in a text that says `too big`, at most 1h after the submission",
        "sends 1 or more delay warnings about note, in a text that says `WARNING`, at least 4h after the submission",
        "It offers STARTTLS to clients.",
    ] {
        assert!(told.replace("\n    ", " ").contains(part), "no {part:?} in {told}");
    }
}
