//! The senders' own mailbox: where what comes back to them is collected.

use mock_servers::script::{Certificate, Script};

use super::profiles::profile;

/// The server of `origin.example` where a scenario has none of its own: well-behaved, and always good.
pub fn origin_mailbox() -> Script {
    let profile =
        profile("rfc5321").expect("the plain profile is part of the program").expect("a test reads it");
    Script {
        name: "origin".to_owned(),
        hostname: "mx.origin.example".to_owned(),
        profile,
        rules: Vec::new(),
        dialogue: None,
        credentials: None,
        certificate: Certificate::Good,
    }
}
