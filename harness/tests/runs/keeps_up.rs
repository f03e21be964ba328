//! The reference relay and the verdict together, where mail is not plain: what the relay does is right, and is judged so.

use rstest::rstest;

use gauntlet::run::{RunOptions, run};
use gauntlet::verdict::{State, judge};

use crate::scenario;

/// Runs and judges a scenario; every expectation must hold, and nothing be found.
fn holds(yaml: &str) {
    let scenario = scenario(yaml);
    let record = run(&scenario, "reference", &RunOptions::default()).expect("it runs");
    let verdict = judge(&scenario, &record);
    assert_eq!(verdict.findings, []);
    for result in &verdict.results {
        assert_eq!(result.state, State::Held, "{result:?}\n{:#?}", record.notifications);
    }
    assert!(!verdict.results.is_empty());
}

#[rstest]
#[case::recipient("from: a@origin.example, to: josé@hub.example, envelope: { smtputf8: true }")]
#[case::header(
    "from: a@origin.example, to: b@hub.example, envelope: { smtputf8: true, body: 8bitmime }, headers: { Subject: Grüße }"
)]
#[case::sender("from: josé@origin.example, to: b@hub.example, envelope: { smtputf8: true }")]
fn mail_beyond_ascii_goes_where_smtputf8_is_offered(#[case] message: &str) {
    holds(&format!(
        "title: SMTPUTF8\nservers:\n  hub: {{ serves: [hub.example], offers: {{ add: [8BITMIME, SMTPUTF8] }} }}\n\
         messages:\n  note: {{ {message} }}\nexpect:\n  - delivered: {{ by: hub }}\n"
    ));
}

#[rstest]
#[case::recipient(
    "to: josé@hub.example, envelope: { smtputf8: true, orcpt: \"utf-8;josé@hub.example\" }",
    "5.6.7"
)]
#[case::header(
    "to: b@hub.example, envelope: { smtputf8: true, body: 8bitmime }, headers: { Subject: Grüße }",
    "5.6.9"
)]
#[case::both(
    "to: josé@hub.example, envelope: { smtputf8: true, body: 8bitmime }, headers: { Subject: Grüße }",
    "5.6.7"
)]
fn mail_beyond_ascii_comes_back_at_once_where_it_is_not(#[case] message: &str, #[case] status: &str) {
    holds(&format!(
        "title: SMTPUTF8\nservers:\n  hub: {{ serves: [hub.example], offers: {{ add: [8BITMIME, DSN] }} }}\n\
         messages:\n  note: {{ from: a@origin.example, {message} }}\nexpect:\n  - returned: {{ status: {status} }}\n"
    ));
}

#[rstest]
#[case::to_a_host_that_takes_binary("[8BITMIME, CHUNKING, BINARYMIME]")]
#[case::to_one_that_does_not("[8BITMIME]")]
#[case::to_one_that_takes_text_in_7_bits("[]")]
fn binary_mail_keeps_every_octet(#[case] offers: &str) {
    holds(&format!(
        "title: BINARYMIME\nservers:\n  hub: {{ serves: [hub.example], offers: {offers} }}\n\
         messages:\n  album:\n    from: a@origin.example\n    to: b@hub.example\n    envelope: {{ body: binarymime }}\n    \
         content:\n      parts:\n        - {{ text: see the picture }}\n        \
         - {{ type: image/png, encoding: binary, raw: \"\\x89PNG\\r\\n\\x1a\\n\\0\\0\\xff\" }}\n\
         expect:\n  - delivered: {{ by: hub }}\n"
    ));
}
