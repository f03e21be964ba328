//! `tls:` — what STARTTLS leads to, in a rule or in a dialogue.

use mock_servers::script::{Certificate, TlsAction, TlsFault};
use mock_servers::transcript::Side;

use super::context::Context;
use super::replies::bytes;
use super::{values, words};
use crate::yaml::{Diagnostic, Mapping, Node, one_or_more};

/// What only the server's side of a handshake has.
const OF_SERVERS: [&str; 3] = ["certificate", "fail", "resume"];

/// What is never come to where the handshake fails.
const AFTER_A_FAILURE: [&str; 4] = ["certificate", "versions", "clear after", "resume"];

/// The value of `tls:`, for a mock on this side.
pub(super) fn tls(node: &Node, side: Side, cx: &Context<'_>) -> Option<TlsAction> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::TLS, problems)?;
    let mut action = TlsAction::default();
    if let Some(node) = mapping.take("certificate") {
        action.certificate = certificate(node, cx);
    }
    if let Some(node) = mapping.take("versions") {
        if one_or_more(node).is_empty() {
            problems.expected(node, "at least one version");
        }
        let version = |node| problems.parsed(node, "a version of TLS", values::tls_version);
        action.versions = one_or_more(node).iter().filter_map(version).collect();
    }
    if let Some(node) = mapping.take("fail") {
        let words = [
            ("eof", TlsFault::Eof),
            ("corrupt", TlsFault::Corrupt),
            ("alert", TlsFault::Alert),
            ("stall", TlsFault::Stall),
        ];
        action.fault = problems.word(node, "a way for TLS to fail", &words);
    }
    if let Some(node) = mapping.take("resume") {
        action.refuse_resumption =
            problems.word(node, "what an offer to resume meets", &[("refuse", true)]).unwrap_or_default();
    }
    if let Some(node) = mapping.take("clear before") {
        action.clear_before = bytes(node, cx).unwrap_or_default();
    }
    if let Some(node) = mapping.take("clear after") {
        action.clear_after = bytes(node, cx).unwrap_or_default();
    }
    for entry in OF_SERVERS.iter().filter_map(|word| mapping.entry(word)).filter(|_| side == Side::Client) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("`{}:` on the client's side of TLS", entry.key))
                .because("this is the server's to do")
                .help("a client breaks a handshake with `C raw: …`, `wait: …` or `close: …` in place of `tls: {}`"),
        );
    }
    let fails = side == Side::Server && mapping.entry("fail").is_some();
    for entry in AFTER_A_FAILURE.iter().filter_map(|word| mapping.entry(word)).filter(|_| fails) {
        problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("`{}:` beside `fail:`", entry.key))
                .because("the handshake fails before it comes to this")
                .help("take one of the two"),
        );
    }
    mapping.finish();
    Some(action)
}

/// A kind of certificate.
pub(super) fn certificate(node: &Node, cx: &Context<'_>) -> Option<Certificate> {
    let words = [
        ("good", Certificate::Good),
        ("self-signed", Certificate::SelfSigned),
        ("expired", Certificate::Expired),
        ("not-yet", Certificate::NotYet),
        ("wrong-name", Certificate::WrongName),
        ("unknown-ca", Certificate::UnknownCa),
    ];
    cx.problems.word(node, "a kind of certificate", &words)
}
