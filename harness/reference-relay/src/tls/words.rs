//! Why TLS failed, in words for people: letters to senders have them, and the log.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error};

/// What went wrong in a handshake or behind it. `None`: TLS did nothing wrong, the connection below it was lost.
pub(crate) fn of_tls(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<Error>().map(in_words)
}

/// Why a handshake came to nothing.
pub(crate) fn of_handshake(error: &io::Error) -> String {
    of_tls(error).unwrap_or_else(|| match error.kind() {
        io::ErrorKind::UnexpectedEof => "the host closed the connection in the handshake".to_owned(),
        io::ErrorKind::ConnectionReset => "the host reset the connection in the handshake".to_owned(),
        _ => error.to_string(),
    })
}

fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::InvalidMessage(_) => "what came is no TLS".to_owned(),
        Error::AlertReceived(alert) => format!("the host sent the alert {alert:?}"),
        // Of our own verifiers.
        Error::General(why) => why.clone(),
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    let what = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::UnknownIssuer => "comes from no authority that is known here",
        CertificateError::BadSignature => "has a wrong signature",
        CertificateError::BadEncoding => "cannot be read",
        CertificateError::Revoked => "was revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not one of a server"
        }
        CertificateError::NotValidForName => "is for another host",
        CertificateError::NotValidForNameContext { expected, .. } => {
            return format!("its certificate is not for {}", expected.to_str());
        }
        other => return format!("its certificate is not valid: {other}"),
    };
    format!("its certificate {what}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
    use tokio_rustls::rustls::{AlertDescription, InvalidMessage};

    use super::*;

    fn expired() -> CertificateError {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_hours(490_992));
        CertificateError::ExpiredContext { time: now, not_after: now }
    }

    fn of_another_host() -> CertificateError {
        let expected = ServerName::try_from("mx.x.example").expect("it is a name");
        let presented = vec!["DnsName(\"wrong-name.invalid\")".to_owned()];
        CertificateError::NotValidForNameContext { expected, presented }
    }

    #[rstest]
    #[case(expired().into(), "its certificate has expired")]
    #[case(of_another_host().into(), "its certificate is not for mx.x.example")]
    #[case(CertificateError::UnknownIssuer.into(), "its certificate comes from no authority that is known here")]
    #[case(Error::General("none of its TLSA records matches".to_owned()), "none of its TLSA records matches")]
    #[case(InvalidMessage::InvalidContentType.into(), "what came is no TLS")]
    #[case(
        Error::AlertReceived(AlertDescription::HandshakeFailure),
        "the host sent the alert HandshakeFailure"
    )]
    fn no_debug_names_and_no_seconds_since_1970(#[case] error: Error, #[case] words: &str) {
        assert_eq!(of_handshake(&io::Error::new(io::ErrorKind::InvalidData, error)), words);
    }

    #[test]
    fn a_connection_that_was_lost_is_not_the_fault_of_tls() {
        let lost = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(of_tls(&lost), None);
        assert_eq!(of_handshake(&lost), "the host reset the connection in the handshake");
    }
}
