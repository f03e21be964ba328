//! The senders' own mailbox: where what comes back to them is collected.

use mock_servers::script::{Certificate, Script};

use super::model::Tls;
use super::profiles::profile;

/// The server of `origin.example` where a scenario has none of its own: well-behaved, and always good. It offers STARTTLS
/// where the relay may go nowhere without.
pub fn origin_mailbox(tls: Option<Tls>) -> Script {
    let mut profile =
        profile("rfc5321").expect("the plain profile is part of the program").expect("a test reads it");
    if matches!(tls, Some(Tls::Required | Tls::Dane)) {
        profile.offers.at_first.push("STARTTLS".to_owned());
    }
    Script {
        name: "origin".to_owned(),
        hostname: "mx.origin.example".to_owned(),
        profile,
        rules: Vec::new(),
        dialogue: None,
        credentials: None,
        pace: None,
        certificate: Certificate::Good,
    }
}
