//! STARTTLS (RFC 3207): as a client, with three ways of looking at a certificate, and as a server.

mod dane;
mod words;

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) use dane::{Association, Dane};
pub(crate) use words::{of_handshake, of_tls};

use crate::config::Certificate;
use crate::environment::Clock;

/// TLS towards next hops.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Any certificate will do: encryption without knowing to whom is still better than none.
    pub(crate) opportunistic: TlsConnector,
    /// The certificate must be valid for the host's name, now, and come from one of the configured roots.
    pub(crate) verified: TlsConnector,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
}

/// What is wrong with the configured roots.
#[derive(Debug, thiserror::Error)]
pub enum BadRoots {
    /// Not PEM.
    #[error("tls_roots[{0}] is not a PEM certificate: {1}")]
    Pem(usize, String),
    /// Not usable as an authority.
    #[error("tls_roots[{0}] cannot be a certificate authority: {1}")]
    Authority(usize, Error),
    /// Not usable by the library.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// What is wrong with the relay's own certificate.
#[derive(Debug, thiserror::Error)]
#[error(
    "the certificate cannot be used: {0}; it must be a PEM chain with the PEM key of its first certificate"
)]
pub struct BadCertificate(String);

impl Tls {
    pub(crate) fn new(roots: &[String], clock: Arc<dyn Clock>) -> Result<Self, BadRoots> {
        let provider = Arc::new(ring::default_provider());
        let time: Arc<dyn TimeProvider> = Arc::new(RunTime(clock));
        let builder = || {
            ClientConfig::builder_with_details(provider.clone(), time.clone())
                .with_safe_default_protocol_versions()
                .map_err(|error| BadRoots::Setup(error.to_string()))
        };
        let mut opportunistic = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider.clone())))
            .with_no_client_auth();
        let mut authorities = RootCertStore::empty();
        for (number, pem) in roots.iter().enumerate() {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| BadRoots::Pem(number, error.to_string()))?;
                authorities.add(certificate).map_err(|error| BadRoots::Authority(number, error))?;
            }
        }
        let mut verified = if authorities.is_empty() {
            // The library's own verifier cannot be made without authorities; without any, nothing is valid.
            builder()?.dangerous().with_custom_certificate_verifier(Arc::new(NoCertificate(provider.clone())))
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(authorities.into(), provider.clone())
                .build()
                .map_err(|error| BadRoots::Setup(error.to_string()))?;
            builder()?.with_webpki_verifier(verifier)
        }
        .with_no_client_auth();
        for config in [&mut opportunistic, &mut verified] {
            // Each session is to show its own handshake, whatever came before it.
            config.resumption = Resumption::disabled();
        }
        Ok(Self {
            opportunistic: TlsConnector::from(Arc::new(opportunistic)),
            verified: TlsConnector::from(Arc::new(verified)),
            provider,
            time,
        })
    }

    /// The certificate must be the one that the host's TLSA records stand for; any will do if none of them can be used
    /// (RFC 7672 section 2.2).
    ///
    /// # Errors
    /// When the library cannot be set up so.
    pub(crate) fn dane(&self, dane: &Dane) -> Result<TlsConnector, Error> {
        if dane.records.is_empty() {
            return Ok(self.opportunistic.clone());
        }
        let verifier = dane::Verifier { dane: dane.clone(), provider: self.provider.clone() };
        let mut config = ClientConfig::builder_with_details(self.provider.clone(), self.time.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// TLS towards clients, with the relay's certificate.
pub(crate) fn acceptor(
    certificate: &Certificate,
    clock: Arc<dyn Clock>,
) -> Result<TlsAcceptor, BadCertificate> {
    let failed = |error: &dyn std::fmt::Display| BadCertificate(error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).map_err(|error| failed(&error))?;
    let time: Arc<dyn TimeProvider> = Arc::new(RunTime(clock));
    let config = ServerConfig::builder_with_details(Arc::new(ring::default_provider()), time)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|error| failed(&error))?, key)
        .map_err(|error| failed(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Certificates are valid or not at the time of the injected clock.
struct RunTime(Arc<dyn Clock>);

impl std::fmt::Debug for RunTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunTime")
    }
}

impl TimeProvider for RunTime {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.now().duration_since(std::time::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Takes any certificate; that its owner holds the key is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// Takes none.
#[derive(Debug)]
struct NoCertificate(Arc<CryptoProvider>);

macro_rules! verifier {
    ($name:ident, $verdict:expr) => {
        impl ServerCertVerifier for $name {
            fn verify_server_cert(
                &self,
                _: &CertificateDer<'_>,
                _: &[CertificateDer<'_>],
                _: &ServerName<'_>,
                _: &[u8],
                _: UnixTime,
            ) -> Result<ServerCertVerified, Error> {
                $verdict
            }

            fn verify_tls12_signature(
                &self,
                message: &[u8],
                certificate: &CertificateDer<'_>,
                signature: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                let algorithms = &self.0.signature_verification_algorithms;
                tokio_rustls::rustls::crypto::verify_tls12_signature(
                    message,
                    certificate,
                    signature,
                    algorithms,
                )
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                certificate: &CertificateDer<'_>,
                signature: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                let algorithms = &self.0.signature_verification_algorithms;
                tokio_rustls::rustls::crypto::verify_tls13_signature(
                    message,
                    certificate,
                    signature,
                    algorithms,
                )
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.0.signature_verification_algorithms.supported_schemes()
            }
        }
    };
}

verifier!(AnyCertificate, Ok(ServerCertVerified::assertion()));
verifier!(NoCertificate, Err(Error::General("no certificate authority is configured".to_owned())));
