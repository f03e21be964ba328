//! Parameters of MAIL and RCPT: each belongs to a keyword of the EHLO reply.

use super::ServerSession;
use crate::script::{On, Verb};
use crate::smtp::command::Request;

/// Why a MAIL or RCPT is not acceptable: code, enhanced status code, text.
pub(super) type Refusal = (u16, &'static str, &'static str);

const NOT_IMPLEMENTED: Refusal = (555, "5.5.4", "Parameter not recognized or not implemented");
const BAD_VALUE: Refusal = (501, "5.5.4", "Syntax error in parameter");

/// The keywords that bring a parameter, by verb. `SMTPUTF8` and `REQUIRETLS` have no value.
const PARAMETERS: [(Verb, &str, &str); 14] = [
    (Verb::Mail, "SIZE", "SIZE"),
    (Verb::Mail, "BODY", "8BITMIME"),
    (Verb::Mail, "RET", "DSN"),
    (Verb::Mail, "ENVID", "DSN"),
    (Verb::Rcpt, "NOTIFY", "DSN"),
    (Verb::Rcpt, "ORCPT", "DSN"),
    (Verb::Mail, "SMTPUTF8", "SMTPUTF8"),
    (Verb::Mail, "AUTH", "AUTH"),
    (Verb::Mail, "BY", "DELIVERBY"),
    (Verb::Mail, "MT-PRIORITY", "MT-PRIORITY"),
    (Verb::Mail, "HOLDFOR", "FUTURERELEASE"),
    (Verb::Mail, "HOLDUNTIL", "FUTURERELEASE"),
    (Verb::Mail, "REQUIRETLS", "REQUIRETLS"),
    (Verb::Rcpt, "RRVS", "RRVS"),
];

impl ServerSession {
    /// Whether the parameters and the address are of the offered extensions (RFC 5321 section 4.1.1.11).
    pub(super) fn check_parameters(&self, verb: Verb, request: &Request) -> Result<(), Refusal> {
        let Some(path) = &request.path else { return Err((501, "5.5.4", "Syntax error in address")) };
        for parameter in &path.parameters {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = name.to_ascii_uppercase();
            let known = PARAMETERS.iter().find(|(of, known, _)| *of == verb && *known == name);
            let (_, _, keyword) = known.ok_or(NOT_IMPLEMENTED)?;
            let binary = name == "BODY" && self.offers("BINARYMIME");
            if !self.offers(keyword) && !binary {
                return Err(NOT_IMPLEMENTED);
            }
            self.check_value(&name, &value.to_ascii_uppercase())?;
        }
        // What is no UTF-8 was replaced when the line was read; no address has such a character (RFC 6531 section 3.3).
        if path.address.contains(char::REPLACEMENT_CHARACTER) {
            let enhanced = if verb == Verb::Mail { "5.1.7" } else { "5.1.3" };
            return Err((501, enhanced, "Address is not UTF-8"));
        }
        let utf8 = match &self.state.mail {
            Some(mail) if verb == Verb::Rcpt => mail.parameter("SMTPUTF8"),
            _ => request.parameter("SMTPUTF8"),
        };
        if utf8.is_none() && !path.address.is_ascii() {
            // RFC 6531 section 3.5.
            let code = if verb == Verb::Mail { 550 } else { 553 };
            return Err((code, "5.6.7", "Non-ASCII address not permitted"));
        }
        Ok(())
    }

    fn check_value(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let good = match name {
            "SIZE" => value.parse::<u64>().is_ok(),
            "BODY" if value == "BINARYMIME" => {
                // RFC 3030 section 3: the value comes with the keyword of its name.
                return if self.offers("BINARYMIME") { Ok(()) } else { Err(NOT_IMPLEMENTED) };
            }
            "BODY" => matches!(value, "7BIT" | "8BITMIME"),
            // RFC 3461 sections 4.3 and 4.1.
            "RET" => matches!(value, "FULL" | "HDRS"),
            "NOTIFY" => {
                let alone = value == "NEVER";
                alone || value.split(',').all(|word| matches!(word, "SUCCESS" | "FAILURE" | "DELAY"))
            }
            "SMTPUTF8" | "REQUIRETLS" => value.is_empty(),
            _ => !value.is_empty(),
        };
        if good { Ok(()) } else { Err(BAD_VALUE) }
    }

    /// Whether MAIL declares more than the server takes (RFC 1870 section 6.1).
    pub(super) fn declares_too_much(&self, request: &Request) -> bool {
        let declared = request.parameter("SIZE").and_then(|size| size.parse::<u64>().ok());
        declared.zip(self.size_limit()).is_some_and(|(declared, limit)| declared > limit)
    }

    /// Whether the content is larger than the server takes (RFC 1870 section 6.3).
    pub(super) fn content_too_large(&self) -> bool {
        let octets = self.state.mail.as_ref().map_or(0, |mail| mail.measure.octets);
        self.size_limit().is_some_and(|limit| octets > limit)
    }

    /// The event whose wording the profile may have.
    pub(super) fn wording(&self, on: &On) -> Option<&crate::script::ReplyText> {
        self.script.profile.reply_to(on)
    }
}
