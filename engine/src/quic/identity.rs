//! This node's certificate and key, and the TLS configurations made of them.
//!
//! A renewed certificate makes a new `Identity`: handshakes from then on use it, sessions that live go on.

use std::sync::Arc;

use noq_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use noq_proto::rustls;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::not_after_ms;
use super::cipher::Cipher;
use super::trust::{Fingerprint, Trust};
use super::verifier::{PeerVerifier, only_uri, trust_domain, verify_chain};

const ALPN: &[u8] = b"saf/1";

/// Why the given certificates or key can't be used.
#[derive(Debug, PartialEq, Eq)]
pub enum IdentityError {
    Invalid(String),
    KeyMismatch,
    KeyUnreadable(String),
}

/// What an identity is made of.
pub struct IdentityParts<'a> {
    pub spiffe_id: &'a str,
    pub trust_domain: &'a str,
    pub chain_pem: &'a [String],
    pub ca_pem: &'a [String],
    pub key_pem: &'a [u8],
}

pub struct Identity {
    spiffe_id: String,
    fingerprint: Fingerprint,
    not_after_ms: u64,
    anchors: Arc<[TrustAnchor<'static>]>,
    provider: Arc<CryptoProvider>,
    key: Arc<SingleCertAndKey>,
    trust: Trust,
    server: Arc<QuicServerConfig>,
}

impl Identity {
    /// Checks that the parts belong together: the key to the certificate, the certificate to the id, its chain to the CAs.
    pub fn new(
        parts: &IdentityParts<'_>,
        trust: Trust,
        now_ms: u64,
    ) -> Result<Identity, IdentityError> {
        let invalid = |message: &str| IdentityError::Invalid(message.to_owned());
        let provider = Arc::new(crypto_provider());
        let chain = certificates(parts.chain_pem)?;
        let anchors = anchors(parts.ca_pem)?;
        let key = PrivateKeyDer::from_pem_slice(parts.key_pem)
            .map_err(|error| IdentityError::KeyUnreadable(format!("not a PEM key: {error}")))?;
        let (leaf, intermediates) = chain
            .split_first()
            .ok_or_else(|| invalid("the chain is empty"))?;
        let certificate = EndEntityCert::try_from(leaf)
            .map_err(|error| IdentityError::Invalid(error.to_string()))?;
        if only_uri(&certificate) != Some(parts.spiffe_id) {
            return Err(invalid("the certificate names another SPIFFE id"));
        }
        if trust_domain(parts.spiffe_id) != Some(parts.trust_domain) {
            return Err(invalid("the SPIFFE id is of another trust domain"));
        }
        for usage in [KeyUsage::client_auth(), KeyUsage::server_auth()] {
            let algorithms = provider.signature_verification_algorithms.all;
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(now_ms));
            verify_chain(
                &certificate,
                intermediates,
                &anchors,
                algorithms,
                usage,
                now,
            )
            .map_err(|error| {
                IdentityError::Invalid(format!("the chain does not verify: {error}"))
            })?;
        }
        let fingerprint = Fingerprint::of_public_key(&certificate.subject_public_key_info());
        let not_after_ms =
            not_after_ms(leaf).ok_or_else(|| invalid("the certificate has no validity"))?;
        let key =
            CertifiedKey::from_der(chain.clone(), key, &provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => IdentityError::KeyMismatch,
                other => IdentityError::KeyUnreadable(other.to_string()),
            })?;
        let key = Arc::new(SingleCertAndKey::from(key));
        let anchors: Arc<[_]> = anchors.into();
        let verifier = PeerVerifier {
            trust: trust.clone(),
            anchors: anchors.clone(),
            provider: provider.clone(),
            expected: None,
        };
        let server = Arc::new(server_config(verifier, key.clone())?);
        let spiffe_id = parts.spiffe_id.to_owned();
        Ok(Identity {
            spiffe_id,
            fingerprint,
            not_after_ms,
            anchors,
            provider,
            key,
            trust,
            server,
        })
    }

    pub fn spiffe_id(&self) -> &str {
        &self.spiffe_id
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }

    /// For connections that others dial.
    pub(super) fn server_config(&self) -> Arc<QuicServerConfig> {
        self.server.clone()
    }

    /// For one connection that we dial to the peer with this SPIFFE id.
    pub(super) fn client_config(&self, expected: &str) -> Result<QuicClientConfig, IdentityError> {
        let verifier = PeerVerifier {
            trust: self.trust.clone(),
            anchors: self.anchors.clone(),
            provider: self.provider.clone(),
            expected: Some(expected.to_owned()),
        };
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(self.key.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = false;
        config.resumption = rustls::client::Resumption::disabled();
        QuicClientConfig::try_from(config)
            .map_err(|error| IdentityError::Invalid(error.to_string()))
    }
}

fn server_config(
    verifier: PeerVerifier,
    key: Arc<SingleCertAndKey>,
) -> Result<QuicServerConfig, IdentityError> {
    let mut config = rustls::ServerConfig::builder_with_provider(verifier.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(key);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would skip the verifier: no tickets, no memory of sessions.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    QuicServerConfig::try_from(config).map_err(|error| IdentityError::Invalid(error.to_string()))
}

fn unusable(error: rustls::Error) -> IdentityError {
    IdentityError::Invalid(error.to_string())
}

/// ring, with the cipher first that this CPU is faster at.
fn crypto_provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: Cipher::fastest().suites(),
        ..provider::default_provider()
    }
}

fn certificates(pem: &[String]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    pem.iter()
        .flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(|error| IdentityError::Invalid(format!("not a PEM certificate: {error}")))
}

fn anchors(pem: &[String]) -> Result<Vec<TrustAnchor<'static>>, IdentityError> {
    let certificates = certificates(pem)?;
    if certificates.is_empty() {
        return Err(IdentityError::Invalid("no CA certificate".to_owned()));
    }
    let anchor =
        |certificate| webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned());
    certificates
        .iter()
        .map(anchor)
        .collect::<Result<_, _>>()
        .map_err(|error| IdentityError::Invalid(format!("not a CA: {error}")))
}
