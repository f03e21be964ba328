//! The senders' own mailbox: where what comes back to them is collected.

use mock_servers::script::{Certificate, Reading, Script};

use super::model::{Scenario, Tls};
use super::profiles::profile;

/// The server of `origin.example` where a scenario has none of its own: well-behaved, and always good. It offers STARTTLS
/// where the relay may go nowhere without, and SMTPUTF8 where mail asks for it: what is told of such mail may need it too
/// (RFC 6533 section 4).
pub fn origin_mailbox(scenario: &Scenario) -> Script {
    let mut profile =
        profile("rfc5321").expect("the plain profile is part of the program").expect("a test reads it");
    if matches!(scenario.relay.tls, Some(Tls::Required | Tls::Dane)) {
        profile.offers.at_first.push("STARTTLS".to_owned());
    }
    if scenario.messages.iter().any(|message| message.envelope.smtputf8 || !message.from.is_ascii()) {
        profile.offers.at_first.push("SMTPUTF8".to_owned());
    }
    Script {
        name: "origin".to_owned(),
        hostname: "mx.origin.example".to_owned(),
        profile,
        rules: Vec::new(),
        dialogue: None,
        credentials: None,
        pace: None,
        read: Reading::Freely,
        certificate: Certificate::Good,
    }
}
