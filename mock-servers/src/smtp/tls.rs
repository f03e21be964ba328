//! TLS of the mock servers: a run's own authority, and the certificates it issues, good and bad. All of it is made when
//! it is first asked for, so that a run without TLS pays nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::script::{Certificate, TlsVersion};

mod client;

pub(super) use client::client_config;

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// The name on certificates that are for another host.
pub const WRONG_NAME: &str = "wrong-name.invalid";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error("cannot make a certificate for {hostname:?}; is it a host name? ({source})")]
    Certificate {
        /// The server's name.
        hostname: String,
        /// The library's words.
        source: rcgen::Error,
    },
    /// The TLS library refused the certificate.
    #[error("cannot set up TLS for {hostname:?}: {source}")]
    Setup {
        /// The server's name.
        hostname: String,
        /// The library's words.
        source: tokio_rustls::rustls::Error,
    },
}

/// The certificates of one run. Validity is counted from the run's epoch.
#[derive(Debug)]
pub struct TlsMaterial {
    epoch: SystemTime,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    /// The run's authority, and one that nobody knows.
    authorities: BTreeMap<bool, Arc<Authority>>,
    certificates: BTreeMap<(String, u8), Arc<Issued>>,
    /// Each is for the sessions of one server, so that they can be resumed.
    configs: BTreeMap<(String, u8, BTreeSet<TlsVersion>), Arc<ServerConfig>>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A server's certificate.
#[derive(Debug)]
struct Issued {
    chain: Vec<CertificateDer<'static>>,
    public_key: Vec<u8>,
    /// PKCS #8.
    private_key: Vec<u8>,
}

impl TlsMaterial {
    /// Certificates for a run that starts at `epoch`. Nothing is made yet.
    pub fn new(epoch: SystemTime) -> Self {
        Self { epoch, made: Mutex::default() }
    }

    /// The run's start in the calendar.
    pub fn epoch(&self) -> SystemTime {
        self.epoch
    }

    /// The run's authority, for whoever shall trust it.
    pub fn root_der(&self) -> Result<CertificateDer<'static>, TlsError> {
        Ok(self.authority(&mut self.lock(), true)?.der().clone())
    }

    /// The run's authority in PEM (RFC 7468).
    pub fn root_pem(&self) -> Result<String, TlsError> {
        Ok(pem("CERTIFICATE", &self.root_der()?))
    }

    /// The chain that a server of this name shows and its private key, both in PEM (RFC 7468): for a server that is not one of
    /// ours.
    pub fn pem(&self, hostname: &str, kind: Certificate) -> Result<(String, String), TlsError> {
        let issued = self.issued(hostname, kind)?;
        let chain = issued.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect();
        Ok((chain, pem("PRIVATE KEY", &issued.private_key)))
    }

    /// The chain that a server of this name shows, its own certificate first; for TLSA records.
    pub fn chain(&self, hostname: &str, kind: Certificate) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        Ok(self.issued(hostname, kind)?.chain.clone())
    }

    /// The SubjectPublicKeyInfo of that certificate, in DER; for TLSA records with selector 1 (RFC 6698 section 2.1.2).
    pub fn public_key(&self, hostname: &str, kind: Certificate) -> Result<Vec<u8>, TlsError> {
        Ok(self.issued(hostname, kind)?.public_key.clone())
    }

    /// What a server of this name needs for the handshake; without versions, all that there are. The same server gets the
    /// same, so that its clients can resume their sessions.
    pub fn server_config(
        &self,
        hostname: &str,
        kind: Certificate,
        versions: &BTreeSet<TlsVersion>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let issued = self.issued(hostname, kind)?;
        let key = (hostname.to_owned(), kind as u8, versions.clone());
        let mut made = self.lock();
        if let Some(config) = made.configs.get(&key) {
            return Ok(config.clone());
        }
        let failed = |source| TlsError::Setup { hostname: hostname.to_owned(), source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&protocol_versions(versions))
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(issued.chain.clone(), PrivateKeyDer::Pkcs8(issued.private_key.clone().into()))
            .map_err(failed)?;
        // Also with TLS 1.2 then a client that resumes shows a ticket, by which it can be told.
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        let config = Arc::new(config);
        made.configs.insert(key, config.clone());
        Ok(config)
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().expect("no holder of the certificates panics")
    }

    fn issued(&self, hostname: &str, kind: Certificate) -> Result<Arc<Issued>, TlsError> {
        let mut made = self.lock();
        let key = (hostname.to_owned(), kind as u8);
        if let Some(issued) = made.certificates.get(&key) {
            return Ok(issued.clone());
        }
        let issued = Arc::new(self.issue(&mut made, hostname, kind)?);
        made.certificates.insert(key, issued.clone());
        Ok(issued)
    }

    fn authority(&self, made: &mut Made, known: bool) -> Result<Arc<Authority>, TlsError> {
        if let Some(authority) = made.authorities.get(&known) {
            return Ok(authority.clone());
        }
        // Each has a name of its own: an unknown authority under a known one's name shows as a bad signature.
        let name = if known { "Gauntlet test authority" } else { "Gauntlet authority that nobody knows" };
        let failed = |source| TlsError::Certificate { hostname: name.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (self.epoch - 10 * YEAR).into();
        params.not_after = (self.epoch + 30 * YEAR).into();
        let key = KeyPair::generate().map_err(failed)?;
        let authority = Arc::new(CertifiedIssuer::self_signed(params, key).map_err(failed)?);
        made.authorities.insert(known, authority.clone());
        Ok(authority)
    }

    fn issue(&self, made: &mut Made, hostname: &str, kind: Certificate) -> Result<Issued, TlsError> {
        let failed = |source| TlsError::Certificate { hostname: hostname.to_owned(), source };
        let name = if kind == Certificate::WrongName { WRONG_NAME } else { hostname };
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (from, to) = match kind {
            Certificate::Expired => (self.epoch - 2 * YEAR, self.epoch - DAY),
            Certificate::NotYet => (self.epoch + 10 * YEAR, self.epoch + 20 * YEAR),
            _ => (self.epoch - YEAR, self.epoch + 10 * YEAR),
        };
        (params.not_before, params.not_after) = (from.into(), to.into());
        let key = KeyPair::generate().map_err(failed)?;
        let chain = if kind == Certificate::SelfSigned {
            vec![params.self_signed(&key).map_err(failed)?.der().clone()]
        } else {
            let authority = self.authority(made, kind != Certificate::UnknownCa)?;
            // The authority too: DANE-TA needs it in the chain (RFC 7672 section 3.1.2).
            vec![params.signed_by(&key, &authority).map_err(failed)?.der().clone(), authority.der().clone()]
        };
        let private_key = key.serialize_der();
        Ok(Issued { chain, public_key: key.subject_public_key_info(), private_key })
    }
}

/// RFC 7468: base64 in lines of 64 between the two that say what it is.
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The library's names for the versions; all, where there are none.
fn protocol_versions(versions: &BTreeSet<TlsVersion>) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::V1_3, &version::TLS13), (TlsVersion::V1_2, &version::TLS12)];
    let spoken = all.into_iter().filter(|(one, _)| versions.is_empty() || versions.contains(one));
    spoken.map(|(_, version)| version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material() -> TlsMaterial {
        TlsMaterial::new(SystemTime::UNIX_EPOCH + 50 * YEAR)
    }

    #[test]
    fn a_certificate_is_made_once_for_each_name_and_kind() {
        let tls = material();
        let good = tls.chain("hub.example", Certificate::Good).unwrap();
        assert_eq!(good, tls.chain("hub.example", Certificate::Good).unwrap());
        assert_ne!(good[0], tls.chain("hub.example", Certificate::Expired).unwrap()[0]);
        assert_ne!(good[0], tls.chain("spare.example", Certificate::Good).unwrap()[0]);
        assert_eq!(good[1], tls.root_der().unwrap());
    }

    #[test]
    fn the_unknown_authority_has_another_name_and_is_not_the_root() {
        let tls = material();
        let unknown = tls.chain("hub.example", Certificate::UnknownCa).unwrap();
        assert_ne!(unknown[1], tls.root_der().unwrap());
        let contains =
            |der: &CertificateDer<'_>, text: &str| der.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(contains(&unknown[1], "nobody knows"));
        assert!(!contains(&tls.root_der().unwrap(), "nobody knows"));
    }

    #[test]
    fn the_root_is_written_as_pem() {
        let pem = material().root_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\nMII"), "{pem}");
        assert!(pem.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn a_name_that_is_none_is_an_error_that_says_so() {
        let error = material().chain("hüb.example", Certificate::Good).unwrap_err().to_string();
        assert!(error.contains("hüb.example"), "{error}");
    }
}
