//! AUTH (RFC 4954).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;

use super::bench::{Do, EHLO, always, on, pass, reply, run_both_ways, say, server};
use crate::script::{On, Script, Verb};

fn script() -> Script {
    let credentials = Some(("relay".to_owned(), "secret".to_owned()));
    Script { credentials, ..server(&["AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES"]) }
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

fn codes(script: &Script, lines: &[String]) -> Vec<u16> {
    let lines = lines.iter().map(|line| say(format!("{line}\r\n")));
    let input: Vec<Do> = std::iter::once(say(EHLO)).chain(lines).collect();
    run_both_ways(script, &input).codes()[2..].to_vec()
}

#[rstest]
#[case::good("\0relay\0secret", 235)]
#[case::with_an_authorization_identity("x\0relay\0secret", 235)]
#[case::wrong("\0relay\0wrong", 535)]
#[case::no_message("relay", 501)]
fn plain_works_with_and_without_an_initial_response(#[case] message: &str, #[case] code: u16) {
    let message = encoded(message);
    assert_eq!(codes(&script(), &[format!("AUTH PLAIN {message}")]), [code]);
    assert_eq!(codes(&script(), &["auth plain".to_owned(), message]), [334, code]);
}

#[rstest]
#[case("secret", 235)]
#[case("wrong", 535)]
fn login_asks_for_user_and_password(#[case] password: &str, #[case] code: u16) {
    let (user, password) = (encoded("relay"), encoded(password));
    let lines = ["AUTH LOGIN".to_owned(), user.clone(), password.clone()];
    assert_eq!(codes(&script(), &lines), [334, 334, code]);
    assert_eq!(codes(&script(), &[format!("AUTH LOGIN {user}"), password]), [334, code]);
}

#[test]
fn challenges_are_what_clients_expect() {
    let lines = [say(EHLO), say("AUTH LOGIN\r\n"), say("cg==\r\n*\r\nAUTH PLAIN\r\n*\r\n")];
    let run = run_both_ways(&script(), &lines);
    let text = run.text();
    assert!(
        text.ends_with(
            "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n501 5.7.0 Authentication cancelled\r\n\
             334 \r\n501 5.7.0 Authentication cancelled\r\n"
        ),
        "{text}"
    );
}

#[rstest]
#[case::mechanism("AUTH CRAM-MD5", 504)]
#[case::none("AUTH", 501)]
#[case::no_base64("AUTH PLAIN ???", 501)]
#[case::padding_inside("AUTH PLAIN =AAA", 501)]
#[case::empty_response("AUTH PLAIN =", 501)]
fn what_cannot_be_understood_is_refused(#[case] line: &str, #[case] code: u16) {
    assert_eq!(codes(&script(), &[line.to_owned(), "NOOP".to_owned()]), [code, 250]);
}

#[test]
fn auth_is_refused_in_a_transaction_and_once_it_succeeded() {
    let auth = format!("AUTH PLAIN {}", encoded("\0relay\0secret"));
    let lines = ["MAIL FROM:<a@b>".to_owned(), auth.clone(), "RSET".to_owned(), auth.clone(), auth];
    assert_eq!(codes(&script(), &lines), [250, 503, 250, 235, 503]);
}

#[test]
fn an_answer_that_is_too_long_ends_the_exchange() {
    assert_eq!(
        codes(&script(), &["AUTH PLAIN".to_owned(), "A".repeat(20_000), "NOOP".to_owned()]),
        [334, 500, 250]
    );
}

#[test]
fn without_credentials_anyone_is_let_in() {
    let lines = [format!("AUTH PLAIN {}", encoded("\0any\0thing"))];
    assert_eq!(codes(&server(&["AUTH PLAIN"]), &lines), [235]);
}

#[test]
fn offers_may_change_with_authentication() {
    let mut script = script();
    script.profile.offers.after_auth = Some(vec!["SIZE 5".to_owned()]);
    let auth = format!("AUTH PLAIN {}\r\nEHLO x\r\n", encoded("\0relay\0secret"));
    let run = run_both_ways(&script, &[say(EHLO), say(auth)]);
    assert_eq!(run.record.offers.last().unwrap().keywords, ["SIZE 5"]);
}

#[test]
fn a_rule_can_ask_without_end() {
    let mut script = script();
    script.rules = vec![(On::Challenge, always(vec![reply("334 ")]))];
    let lines: Vec<String> = ["AUTH PLAIN", "a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(codes(&script, &lines), [334, 334, 334, 334]);
}

#[test]
fn a_rule_can_begin_an_exchange_that_the_server_ends() {
    let mut script = script();
    script.rules = vec![(on(Verb::Auth), always(vec![reply("334 ")]))];
    let lines = ["AUTH PLAIN".to_owned(), encoded("\0relay\0secret"), "AUTH NTLM".to_owned(), "x".to_owned()];
    assert_eq!(codes(&script, &lines), [334, 235, 334, 501]);
    script.rules = vec![(on(Verb::Auth), always(vec![reply("535 5.7.3 Authentication unsuccessful")]))];
    let run = run_both_ways(&script, &[say(EHLO), say("AUTH LOGIN\r\nNOOP\r\n"), pass(1)]);
    assert_eq!(run.codes()[2..], [535, 250]);
}
