//! DANE for SMTP (RFC 7672): a host's certificate is held against its TLSA records (RFC 6698), and against no list of
//! authorities.

use std::sync::Arc;

use ring::digest::{SHA256, SHA512, digest};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What is known of a host by secure TLSA records. There is at least one: so the host speaks TLS (RFC 7672 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dane {
    /// The usable records; none: the host is to be spoken to over TLS, whoever it is.
    pub(crate) records: Vec<Association>,
    /// The TLSA base domain, which is the name for SNI too (section 8.1), then the other names that a certificate by an
    /// authority of the host may have (section 3.2.2).
    pub(crate) names: Vec<String>,
}

/// A TLSA record that can be used (RFC 6698 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Association {
    usage: Usage,
    selector: Selector,
    matching: Matching,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// DANE-TA(2): an authority that the host names itself.
    Authority,
    /// DANE-EE(3): the host's own certificate.
    Host,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selector {
    Certificate,
    Key,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    Whole,
    Sha256,
    Sha512,
}

impl Association {
    /// A record, if it is usable: usages 0 and 1 are not (RFC 7672 section 3.1.3), nor is what is unknown or cannot match
    /// anything (RFC 6698 section 4.1).
    pub(crate) fn usable(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Option<Self> {
        let usage = match usage {
            2 => Usage::Authority,
            3 => Usage::Host,
            _ => return None,
        };
        let selector = match selector {
            0 => Selector::Certificate,
            1 => Selector::Key,
            _ => return None,
        };
        let (matching, fits) = match matching {
            0 => (Matching::Whole, !data.is_empty()),
            1 => (Matching::Sha256, data.len() == 32),
            2 => (Matching::Sha512, data.len() == 64),
            _ => return None,
        };
        fits.then(|| Self { usage, selector, matching, data: data.to_vec() })
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            Selector::Certificate => certificate.as_ref().to_vec(),
            Selector::Key => match ParsedCertificate::try_from(certificate) {
                Ok(parsed) => parsed.subject_public_key_info().as_ref().to_vec(),
                Err(_) => return false,
            },
        };
        match self.matching {
            Matching::Whole => selected == self.data,
            Matching::Sha256 => digest(&SHA256, &selected).as_ref() == self.data,
            Matching::Sha512 => digest(&SHA512, &selected).as_ref() == self.data,
        }
    }

    /// The authority's certificate, when the record holds it whole: then the host need not send it.
    fn authority(&self) -> Option<CertificateDer<'_>> {
        let whole = (self.selector, self.matching) == (Selector::Certificate, Matching::Whole);
        whole.then(|| CertificateDer::from(self.data.as_slice()))
    }
}

/// Takes a certificate that one of the records stands for.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) dane: Dane,
    pub(super) provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// RFC 7672 section 3.1.2: the chain must lead to the authority, now, and the certificate be for one of the names.
    fn is_issued_by(
        &self,
        authority: &CertificateDer<'_>,
        certificate: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(certificate, &roots, intermediates, now, algorithms)?;
        let names = self.dane.names.iter().filter_map(|name| ServerName::try_from(name.as_str()).ok());
        let mut verdict = Err(Error::General("it has no name that a certificate could be for".to_owned()));
        for name in names {
            verdict = verify_server_name(certificate, &name);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut why = Error::General("none of its TLSA records matches its certificate".to_owned());
        for record in &self.dane.records {
            match record.usage {
                // RFC 7672 section 3.1.1: neither its names nor its dates matter.
                Usage::Host if record.matches(certificate) => return Ok(ServerCertVerified::assertion()),
                Usage::Host => {}
                Usage::Authority => {
                    let parsed = ParsedCertificate::try_from(certificate)?;
                    let sent = intermediates.iter().find(|authority| record.matches(authority)).cloned();
                    if let Some(authority) = sent.or_else(|| record.authority()) {
                        match self.is_issued_by(&authority, &parsed, intermediates, now) {
                            Ok(()) => return Ok(ServerCertVerified::assertion()),
                            Err(error) => why = error,
                        }
                    }
                }
            }
        }
        Err(why)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::recommended(3, 1, 1, 32, true)]
    #[case::authority(2, 0, 2, 64, true)]
    #[case::whole(3, 0, 0, 700, true)]
    #[case::pkix_authority(0, 0, 1, 32, false)]
    #[case::pkix_host(1, 1, 1, 32, false)]
    #[case::private_usage(255, 1, 1, 32, false)]
    #[case::unknown_selector(3, 2, 1, 32, false)]
    #[case::unknown_matching(3, 1, 3, 32, false)]
    #[case::short_digest(3, 1, 1, 31, false)]
    #[case::digest_of_the_other_kind(3, 1, 2, 32, false)]
    #[case::nothing(3, 0, 0, 0, false)]
    fn records_are_usable_or_not(
        #[case] usage: u8,
        #[case] selector: u8,
        #[case] matching: u8,
        #[case] octets: usize,
        #[case] usable: bool,
    ) {
        assert_eq!(Association::usable(usage, selector, matching, &vec![7; octets]).is_some(), usable);
    }
}
