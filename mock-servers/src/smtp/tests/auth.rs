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
#[case::nobody_knows("AUTH GSSAPI", 504)]
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

/// RFC 2195 section 2: its example, challenge and all.
const EXAMPLE: &str = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";

fn cram(credentials: Option<(&str, &str)>, challenge: Option<&str>) -> Script {
    let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
    let rules = challenge.map(|line| (on(Verb::Auth), always(vec![reply(line)])));
    Script { credentials, rules: rules.into_iter().collect(), ..server(&["AUTH PLAIN CRAM-MD5"]) }
}

#[rstest]
#[case::the_example("tim b913a602c7eda7a495b4e6e7334d3890", 235)]
#[case::another_user("tom b913a602c7eda7a495b4e6e7334d3890", 535)]
#[case::another_digest("tim b913a602c7eda7a495b4e6e7334d3891", 535)]
#[case::capitals("tim B913A602C7EDA7A495B4E6E7334D3890", 535)]
#[case::no_digest("tim b913", 501)]
#[case::no_user("b913a602c7eda7a495b4e6e7334d3890", 501)]
fn cram_md5_is_held_to_the_challenge_that_went_out(#[case] response: &str, #[case] code: u16) {
    let script = cram(Some(("tim", "tanstaaftanstaaf")), Some(EXAMPLE));
    assert_eq!(codes(&script, &["AUTH CRAM-MD5".to_owned(), encoded(response)]), [334, code]);
}

#[test]
fn the_servers_own_challenge_is_the_same_in_every_run_and_never_twice_in_one() {
    let script = cram(None, None);
    let response = encoded("anyone 00000000000000000000000000000000");
    let lines = ["AUTH CRAM-MD5".to_owned(), "*".to_owned(), "auth cram-md5".to_owned(), response];
    assert_eq!(codes(&script, &lines), [334, 501, 334, 235], "without credentials anyone is let in");
    let input = [say(EHLO), say("AUTH CRAM-MD5\r\n*\r\n"), pass(90), say("AUTH CRAM-MD5\r\n")];
    let text = run_both_ways(&script, &input).text();
    let challenges: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("334 "))
        .map(|line| String::from_utf8(STANDARD.decode(line).unwrap()).unwrap())
        .collect();
    assert_eq!(challenges, ["<10002.0@hub.example>", "<10003.90@hub.example>"]);
}

#[rstest]
#[case::a_challenge_that_is_no_base64("334 rubbish!", 535)]
#[case::no_challenge("334 ", 535)]
#[case::another_intermediate_code("350 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", 235)]
fn a_broken_challenge_leaves_the_server_on_its_feet(#[case] challenge: &str, #[case] code: u16) {
    let script = cram(Some(("tim", "tanstaaftanstaaf")), Some(challenge));
    let lines =
        ["AUTH CRAM-MD5".to_owned(), encoded("tim b913a602c7eda7a495b4e6e7334d3890"), "NOOP".to_owned()];
    assert_eq!(codes(&script, &lines)[1..], [code, 250]);
}

#[test]
fn cram_md5_has_no_initial_response() {
    let line = format!("AUTH CRAM-MD5 {}", encoded("tim b913a602c7eda7a495b4e6e7334d3890"));
    assert_eq!(codes(&cram(None, None), &[line, "AUTH CRAM-MD5 =".to_owned()]), [501, 501]);
}

/// `AUTH=LOGIN` is how servers wrote it before RFC 2554; clients that know no better take it at its word.
#[rstest]
#[case::the_old_line_alone(&["AUTH=LOGIN"], "AUTH LOGIN", 334)]
#[case::several_on_the_old_line(&["AUTH=PLAIN CRAM-MD5"], "AUTH CRAM-MD5", 334)]
#[case::one_on_each(&["AUTH CRAM-MD5", "AUTH=LOGIN"], "AUTH LOGIN", 334)]
#[case::on_neither(&["AUTH CRAM-MD5", "AUTH=LOGIN"], "AUTH PLAIN", 504)]
fn mechanisms_of_the_old_line_count_as_offered(
    #[case] offers: &[&str],
    #[case] line: &str,
    #[case] code: u16,
) {
    assert_eq!(codes(&server(offers), &[line.to_owned()]), [code]);
}

#[test]
fn the_same_credentials_hold_for_all_three() {
    let script = Script { credentials: script().credentials, ..server(&["AUTH PLAIN LOGIN CRAM-MD5"]) };
    // HMAC-MD5 of `<10002.0@hub.example>` under the key `secret`
    let digest = encoded("relay 47d8ed9a65db7df1db89bcb6e2278b01");
    assert_eq!(codes(&script, &["AUTH CRAM-MD5".to_owned(), digest]), [334, 235]);
    assert_eq!(codes(&script, &[format!("AUTH PLAIN {}", encoded("\0relay\0secret"))]), [235]);
    let login = ["AUTH LOGIN".to_owned(), encoded("relay"), encoded("secret")];
    assert_eq!(codes(&script, &login), [334, 334, 235]);
    let wrong = encoded("relay 00000000000000000000000000000000");
    assert_eq!(codes(&script, &["AUTH CRAM-MD5".to_owned(), wrong]), [334, 535]);
}

#[test]
fn what_is_offered_after_tls_is_not_there_before() {
    let mut script = server(&["STARTTLS"]);
    script.profile.offers.after_tls =
        Some(["AUTH CRAM-MD5", "SMTPUTF8", "CHUNKING", "BINARYMIME"].map(str::to_owned).to_vec());
    let lines = "AUTH CRAM-MD5\r\nMAIL FROM:<\u{e4}@b> SMTPUTF8\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nBDAT 0 LAST\r\n";
    let input = [say(EHLO), say(lines), say("STARTTLS\r\n"), super::bench::Do::Tls, say(lines)];
    let input: Vec<Do> =
        input.into_iter().chain([say(EHLO), say("AUTH CRAM-MD5\r\n*\r\n"), say(lines)]).collect();
    let run = run_both_ways(&script, &input);
    let before_ehlo = [502, 503, 503, 502];
    assert_eq!(run.codes()[2..6], [502, 555, 555, 502], "before TLS");
    assert_eq!(run.codes()[7..11], before_ehlo, "after TLS, before EHLO");
    assert_eq!(run.codes()[12..14], [334, 501]);
}
