//! A cluster's certificate authority, and nodes with certificates of it.

use std::time::{SystemTime, UNIX_EPOCH};

use fabric_engine::quic::Fingerprint;
use fabric_engine::socket::messages::{IdentityIntent, PeerIntent};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};

pub const TRUST_DOMAIN: &str = "test.internal";

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

pub struct Node {
    pub id: String,
    pub spiffe_id: String,
    pub fingerprint: Fingerprint,
    pub key_pem: String,
    pub identity: IdentityIntent,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    pub fn node(&self, id: &str) -> Node {
        let spiffe_id = format!("spiffe://{TRUST_DOMAIN}/node/{id}");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        let uri = spiffe_id.as_str().try_into().expect("ASCII");
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Node {
            id: id.into(),
            fingerprint: Fingerprint::of_public_key(&key.subject_public_key_info()),
            key_pem: key.serialize_pem(),
            identity: IdentityIntent {
                spiffe_id: spiffe_id.clone(),
                certificate_chain_pem: vec![certificate.pem()],
                ca_certificates_pem: vec![self.0.as_ref().pem()],
            },
            spiffe_id,
        }
    }
}

impl Node {
    /// This node as a peer of another, never dialled, without packets.
    pub fn as_peer(&self) -> PeerIntent {
        PeerIntent {
            id: self.id.clone(),
            spiffe_id: self.spiffe_id.clone(),
            fingerprint: self.fingerprint.to_string(),
            candidates: vec![],
            remote_prefixes: vec![],
            local_prefixes: vec![],
            expires_at_ms: in_an_hour_ms(),
        }
    }
}

pub fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.expect("after 1970").as_millis() as u64
}

pub fn in_an_hour_ms() -> u64 {
    now_ms() + 3_600_000
}
