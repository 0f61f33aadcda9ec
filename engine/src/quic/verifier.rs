//! Who may finish a TLS handshake with this node.
//!
//! In this order, each with its code: the certificate names one SPIFFE id of our trust domain; its chain reaches a CA of the
//! cluster, for the right use, now (5 minutes of clock skew allowed); its key is not revoked; the id is one the engine was told
//! of, and, when we dialled, the one we dialled; the intent for that peer has not run out; its key is the pinned one.
//! What comes before the chain is only claimed, and reveals nothing of the table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use noq_proto::rustls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage};

use super::trust::{Fingerprint, Trust};
use crate::frames::CloseCode;

/// Clocks of nodes may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// No chain of ours is longer; more is not looked at.
const MAX_INTERMEDIATES: usize = 8;
/// As much of a refused id as is worth telling.
const MAX_CLAIMED_BYTES: usize = 256;
/// How the code stands in the reason that the refused side reads.
const WIRE_PREFIX: &str = "saf:";

/// Why a handshake was refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: CloseCode,
    /// The SPIFFE id the other side showed; only claimed, when the code is BAD_CHAIN or WRONG_TRUST_DOMAIN.
    pub spiffe_id: Option<String>,
}

impl Refusal {
    /// The refusal inside an error of our own verifier.
    pub fn in_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refusal> {
        match error.downcast_ref::<Error>()? {
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<Refusal>()
            }
            _ => None,
        }
    }

    /// The code in the reason that the other side's TLS sent us, if it is one of ours.
    pub fn code_in_reason(reason: &str) -> Option<CloseCode> {
        let (_, rest) = reason.split_once(WIRE_PREFIX)?;
        let end = rest
            .find(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
            .unwrap_or(rest.len());
        CloseCode::ALL
            .into_iter()
            .find(|code| code.name() == &rest[..end])
    }
}

// rustls puts the debug form into the reason that the other side is told: the code and nothing else.
impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{WIRE_PREFIX}{}", self.code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl std::error::Error for Refusal {}

/// Verifies the other side of a connection; `expected` is set on a connection that we dialled.
#[derive(Debug)]
pub struct PeerVerifier {
    pub trust: Trust,
    pub anchors: Arc<[TrustAnchor<'static>]>,
    pub provider: Arc<CryptoProvider>,
    pub expected: Option<String>,
}

impl PeerVerifier {
    /// Checks all of the above for a certificate used as `usage`.
    pub fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let refuse = |code, spiffe_id: Option<&str>| Refusal {
            code,
            spiffe_id: spiffe_id
                .filter(|id| id.len() <= MAX_CLAIMED_BYTES)
                .map(str::to_owned),
        };
        let table = self.trust.current();
        let certificate =
            EndEntityCert::try_from(certificate).map_err(|_| refuse(CloseCode::BadChain, None))?;
        let id = only_uri(&certificate).ok_or_else(|| refuse(CloseCode::BadChain, None))?;
        if trust_domain(id) != Some(table.trust_domain.as_str()) {
            return Err(refuse(CloseCode::WrongTrustDomain, Some(id)));
        }
        self.verify_chain(&certificate, intermediates, usage, now)
            .map_err(|code| refuse(code, Some(id)))?;
        let fingerprint = Fingerprint::of_public_key(&certificate.subject_public_key_info());
        if table.revoked.contains(&fingerprint) {
            return Err(refuse(CloseCode::Revoked, Some(id)));
        }
        let peer = table.peers.get(id).filter(|_| {
            self.expected
                .as_deref()
                .is_none_or(|expected| expected == id)
        });
        let peer = peer.ok_or_else(|| refuse(CloseCode::UnknownPeer, Some(id)))?;
        if Duration::from_millis(peer.expires_at_ms) <= Duration::from_secs(now.as_secs()) {
            return Err(refuse(CloseCode::Expired, Some(id)));
        }
        if peer.fingerprint != fingerprint {
            return Err(refuse(CloseCode::PinMismatch, Some(id)));
        }
        Ok(())
    }

    fn verify_chain(
        &self,
        certificate: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), CloseCode> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_chain(
            certificate,
            intermediates,
            &self.anchors,
            algorithms,
            usage,
            now,
        )
        .map_err(|error| match error {
            webpki::Error::CertExpired { .. } => CloseCode::Expired,
            _ => CloseCode::BadChain,
        })
    }

    fn verify_for_tls(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.verify(certificate, intermediates, usage, now)
            .map_err(|refusal| {
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
            })
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
}

/// Whether the chain reaches one of the anchors for this use at this time, skew allowed.
pub fn verify_chain(
    certificate: &EndEntityCert<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    usage: KeyUsage,
    now: UnixTime,
) -> Result<(), webpki::Error> {
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(webpki::Error::MaximumPathDepthExceeded);
    }
    let verify_at = |time| {
        certificate
            .verify_for_usage(algorithms, anchors, intermediates, time, usage, None, None)
            .map(|_| ())
    };
    // Skew is allowed in the direction that failed, and only there.
    match verify_at(now) {
        Err(webpki::Error::CertExpired { .. }) => {
            verify_at(shifted(now.as_secs().saturating_sub(CLOCK_SKEW.as_secs())))
        }
        Err(webpki::Error::CertNotValidYet { .. }) => {
            verify_at(shifted(now.as_secs().saturating_add(CLOCK_SKEW.as_secs())))
        }
        other => other,
    }
}

fn shifted(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The certificate's URI name, when it has exactly one.
pub fn only_uri<'a>(certificate: &EndEntityCert<'a>) -> Option<&'a str> {
    let mut names = certificate.valid_uri_names();
    let name = names.next()?;
    names.next().is_none().then_some(name)
}

/// The trust domain of a SPIFFE id.
pub fn trust_domain(spiffe_id: &str) -> Option<&str> {
    let (domain, path) = spiffe_id.strip_prefix("spiffe://")?.split_once('/')?;
    (!domain.is_empty() && !path.is_empty()).then_some(domain)
}

fn tls12_is_not_spoken<T>() -> Result<T, Error> {
    Err(Error::PeerIncompatible(
        rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13,
    ))
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify_for_tls(certificate, intermediates, KeyUsage::server_auth(), now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12_is_not_spoken()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify_for_tls(certificate, intermediates, KeyUsage::client_auth(), now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12_is_not_spoken()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
