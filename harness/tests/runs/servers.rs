//! What stands between the relay and the servers that it meets: loops, middleboxes, credentials, vendors' habits.

use std::time::Duration;

use gauntlet::record::Ending;
use gauntlet::run::{RunOptions, run};
use gauntlet::scenario::profile_names;
use gauntlet::verdict::{self, State};
use rstest::rstest;

use crate::scenario;

const LOOP: &str = r#"
title: A hub that sends mail back to the relay
servers:
  hub: { serves: [hub.example], on: { end-of-data: { FORWARD } } }
messages:
  note: { from: a@origin.example, to: b@hub.example }
expect:
  - must: RFC 5321 section 6.3
    any of: [{ refused: { at: end-of-data, reply: "554" } }, { returned: { status: 5.4.6 } }]
"#;

#[test]
fn a_loop_is_cut_where_the_relay_counts_hops() {
    let scenario = scenario(&LOOP.replace("FORWARD", "forward: relay"));
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    assert_eq!(record.end.how, Ending::Finished);
    let forwarded: Vec<_> = record.submissions.iter().filter_map(|s| s.forwarded.as_ref()).collect();
    assert_eq!(forwarded.len(), 51, "the relay takes up to 100 Received fields, and each round adds two");
    assert!(forwarded.iter().all(|forwarded| forwarded.by == "hub" && forwarded.of == Some(0)));
    // each round's copy is its own submission's
    let of: Vec<usize> = record.deliveries.iter().map(|delivery| delivery.submission).collect();
    assert_eq!(of, (0..51).collect::<Vec<_>>());
    assert!(record.deliveries.iter().all(|delivery| delivery.attempt == 1));
    let verdict = verdict::judge(&scenario, &record);
    assert_eq!(verdict.findings, [], "the loop is the hub's; the relay is conformant");
    assert_eq!(verdict.results[0].state, State::Held, "{:?}", verdict.results);
}

#[test]
fn a_loop_that_nobody_can_count_ends_all_the_same() {
    let forward = "forward: relay, rewrite: { drop: [Received], set: { Subject: again } }";
    let scenario = scenario(&LOOP.replace("FORWARD", forward));
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    assert_eq!(record.end.how, Ending::Finished);
    assert_eq!(record.submissions.len() as u64, 1 + mock_servers::smtp::forward::MOST_FORWARDED);
    let last = record.deliveries.last().expect("the hub kept the last one");
    let content = &record.sessions[last.place.session].transactions[last.place.transaction].content;
    let content = String::from_utf8_lossy(content);
    assert_eq!(content.matches("\nSubject: again\r\n").count(), 1, "{content}");
    assert_eq!(content.matches("Received: ").count(), 2, "{content}");
    let verdict = verdict::judge(&scenario, &record);
    assert_eq!(verdict.findings.iter().filter(|f| f.rule.starts_with("invariant")).count(), 0);
    assert_eq!(verdict.results[0].state, State::Broken);
}

#[test]
fn a_forwarded_mail_that_is_returned_was_not_delivered_and_returned() {
    // A hub that sends on what it took the first time, and has no such mailbox the second time.
    let scenario = scenario(
        r#"
title: A filter sends mail back, and refuses it then
servers:
  hub:
    serves: [hub.example]
    on:
      RCPT: { when: { seen: 2.. }, reply: "550 5.1.1 No such user" }
      end-of-data: { forward: relay }
messages:
  note: { from: a@origin.example, to: b@hub.example }
expect:
  - delivered: { by: hub, times: 1 }
  - returned: { status: 5.1.1 }
"#,
    );
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    let about: Vec<_> = record.notifications.iter().map(|n| n.submission).collect();
    assert_eq!(about, [Some(1)], "the second responsibility failed, not the first");
    let verdict = verdict::judge(&scenario, &record);
    assert_eq!(verdict.findings, []);
}

#[test]
fn a_server_waits_for_a_relay_that_is_down() {
    let scenario = scenario(
        "
title: The relay is away when the hub sends mail back
servers:
  hub:
    serves: [hub.example]
    on: { end-of-data: { when: { session: 1 }, forward: relay } }
messages:
  note: { from: a@origin.example, to: b@hub.example }
steps: [send: note, wait: 500ms, kill: relay, wait: 10m, restart: relay, settle]
expect:
  - delivered: { by: hub, times: 2 }
",
    );
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    let forwarded: Vec<_> = record.submissions.iter().filter(|s| s.forwarded.is_some()).collect();
    assert_eq!(forwarded.len(), 1);
    assert!(forwarded[0].at.since_start() >= Duration::from_mins(30), "{:?}", forwarded[0].at);
    assert_eq!(record.deliveries.len(), 2);
}

/// What each profile's server meets, and that it takes the mail.
#[rstest]
#[case::cisco_asa("cisco-asa", &["EHLO"], &["STARTTLS", "BDAT"])]
#[case::cisco_pix("cisco-pix", &["EHLO", "HELO"], &["STARTTLS", "BDAT"])]
#[case::domino("domino-r5", &["EHLO"], &[])]
#[case::exchange_2000("exchange-2000", &["EHLO"], &[])]
#[case::exchange_55("exchange-5.5", &["EHLO"], &[])]
#[case::exchange_online("exchange-online", &["EHLO", "STARTTLS"], &["MAIL in clear"])]
#[case::gmail("gmail", &["EHLO", "STARTTLS"], &["MAIL in clear"])]
#[case::iis("iis-5", &["EHLO"], &[])]
#[case::mcis("mcis", &["EHLO"], &[])]
#[case::postfix("postfix", &["EHLO", "STARTTLS"], &["MAIL in clear"])]
fn mail_passes_to_every_profile(#[case] profile: &str, #[case] once: &[&str], #[case] never: &[&str]) {
    let yaml = format!(
        "title: A profile\nservers: {{ hub: {{ profile: {profile}, serves: [hub.example] }} }}\n\
         messages:\n  note: {{ from: a@origin.example, to: b@hub.example, envelope: {{ body: 8bitmime }}, content: {{ text: Smörgåsbord }} }}\n\
         expect:\n  - delivered: {{ attempt: 1 }}\n  - wire: {{ at: hub, once: [{}], never: [VRFY, {}] }}\n",
        once.join(", "),
        never.join(", "),
    );
    let scenario = scenario(&yaml.replace(", ]", "]"));
    let verdict =
        verdict::judge(&scenario, &run(&scenario, "reference", &RunOptions::default()).expect("it runs"));
    assert_eq!(verdict.findings, []);
    assert!(verdict.outcome.is_pass(), "{:?}", verdict.results);
}

#[test]
fn no_profile_is_forgotten_above() {
    let source = include_str!("servers.rs");
    for profile in profile_names().filter(|name| *name != "rfc5321") {
        assert!(source.contains(&format!("(\"{profile}\", ")), "{profile}");
    }
}

/// A middlebox between relay and server that masks BDAT, and one that drops parameters.
#[test]
fn a_middlebox_is_what_the_relay_meets() {
    let yaml = r#"
title: A firewall turns EHLO into X's
servers:
  hub:
    serves: [hub.example]
    on:
      EHLO: { rewrite: "XXXX {argument}" }
      unknown: { when: { matches: "^XXXX relay" }, reply: "500 5.5.2 Masked" }
messages:
  note: { from: a@origin.example, to: b@hub.example }
expect:
  - delivered: { attempt: 1 }
  - wire: { at: hub, once: [EHLO, HELO] }
decisive: { server: hub, on: unknown, rule: 1 }
"#;
    let scenario = scenario(yaml);
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    let verdict = verdict::judge(&scenario, &record);
    assert_eq!(verdict.findings, []);
    assert!(verdict.outcome.is_pass(), "{:?}", verdict.results);
}

/// AUTH by each mechanism that the relay is told, with the credentials that the server asks for.
#[rstest]
#[case::plain("AUTH PLAIN LOGIN CRAM-MD5", "PLAIN", "secret", "AUTH PLAIN", true)]
#[case::login("AUTH PLAIN LOGIN CRAM-MD5", "LOGIN", "secret", "AUTH LOGIN", true)]
#[case::old_style("AUTH=LOGIN", "LOGIN", "secret", "AUTH LOGIN", true)]
#[case::wrong("AUTH PLAIN LOGIN CRAM-MD5", "PLAIN", "wrong", "AUTH PLAIN", false)]
fn a_server_asks_for_its_credentials(
    #[case] offer: &str,
    #[case] mechanism: &str,
    #[case] password: &str,
    #[case] said: &str,
    #[case] accepted: bool,
) {
    let yaml = format!(
        "title: AUTH\nservers:\n  hub:\n    serves: [hub.example]\n    offers: {{ add: [\"{offer}\"] }}\n    \
         credentials: {{ user: relay, password: secret }}\n    on:\n      \
         MAIL: {{ when: {{ authenticated: false }}, reply: \"530 5.7.0 Authentication required\" }}\n\
         relay: {{ smarthost: hub, tls: off, auth: {{ to: hub, user: relay, password: {password}, mechanisms: [{mechanism}] }} }}\n\
         messages:\n  note: {{ from: a@origin.example, to: b@hub.example }}\n\
         expect:\n  - wire: {{ at: hub, once: [{said}] }}\n  - delivered: {{ times: {} }}\n",
        u8::from(accepted)
    );
    let scenario = scenario(&yaml);
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    let verdict = verdict::judge(&scenario, &record);
    assert!(verdict.results.iter().all(|r| r.state == State::Held), "{:?}", verdict.results);
}
