//! The verifier against certificates as an authority makes them, and as an impostor would.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use noq_proto::rustls;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::KeyUsage;

use super::trust::{Fingerprint, Trust, TrustTable, TrustedPeer};
use super::verifier::{PeerVerifier, Refusal};
use crate::frames::CloseCode;

const NODE: &str = "spiffe://test/node/1";
const NOW_SECONDS: u64 = 1_800_000_000;
const DAY_SECONDS: u64 = 86_400;

struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

impl Authority {
    fn new() -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let certificate = parameters
            .self_signed(&key)
            .expect("certificate")
            .der()
            .clone();
        Authority(Issuer::new(parameters, key), certificate)
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let key = KeyPair::generate().expect("key");
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = vec![uri(NODE)];
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        parameters.not_before = at(NOW_SECONDS - DAY_SECONDS);
        parameters.not_after = at(NOW_SECONDS + DAY_SECONDS);
        change(&mut parameters);
        let certificate = parameters
            .signed_by(&key, &self.0)
            .expect("certificate")
            .der()
            .clone();
        let spki = webpki::EndEntityCert::try_from(&certificate)
            .expect("parses")
            .subject_public_key_info();
        Leaf {
            certificate,
            fingerprint: Fingerprint::of_public_key(&spki),
        }
    }
}

struct Leaf {
    certificate: CertificateDer<'static>,
    fingerprint: Fingerprint,
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().expect("ascii"))
}

fn at(seconds: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(seconds as i64).expect("time")
}

/// A verifier that knows the leaf as `NODE`, changed as the case needs.
fn verifier(
    authority: &Authority,
    leaf: &Leaf,
    change: impl FnOnce(&mut TrustTable),
) -> PeerVerifier {
    let peer = TrustedPeer {
        fingerprint: leaf.fingerprint,
        expires_at_ms: (NOW_SECONDS + DAY_SECONDS) * 1_000,
    };
    let mut table = TrustTable {
        trust_domain: "test".to_owned(),
        peers: HashMap::from([(NODE.to_owned(), peer)]),
        revoked: HashSet::new(),
    };
    change(&mut table);
    let trust = Trust::default();
    trust.replace(table);
    let anchor = webpki::anchor_from_trusted_cert(&authority.1)
        .expect("a CA")
        .to_owned();
    PeerVerifier {
        trust,
        anchors: vec![anchor].into(),
        provider: Arc::new(rustls::crypto::ring::default_provider()),
        expected: None,
    }
}

fn verify_at(verifier: &PeerVerifier, leaf: &Leaf, seconds: u64) -> Result<(), CloseCode> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier
        .verify(&leaf.certificate, &[], KeyUsage::client_auth(), now)
        .map_err(|refusal| refusal.code)
}

fn verify(verifier: &PeerVerifier, leaf: &Leaf) -> Result<(), CloseCode> {
    verify_at(verifier, leaf, NOW_SECONDS)
}

#[test]
fn accepts_the_peer_it_was_told_of() {
    let authority = Authority::new();
    let leaf = authority.issue(|_| {});
    let mut known = verifier(&authority, &leaf, |_| {});
    assert_eq!(verify(&known, &leaf), Ok(()));
    known.expected = Some(NODE.to_owned());
    assert_eq!(verify(&known, &leaf), Ok(()));
}

#[test]
fn refuses_another_clusters_authority() {
    let authority = Authority::new();
    let leaf = Authority::new().issue(|_| {});
    assert_eq!(
        verify(&verifier(&authority, &leaf, |_| {}), &leaf),
        Err(CloseCode::BadChain)
    );
}

#[test]
fn refuses_a_certificate_that_names_not_exactly_one_node() {
    let authority = Authority::new();
    for names in [vec![], vec![uri(NODE), uri("spiffe://test/node/2")]] {
        let leaf = authority.issue(|parameters| parameters.subject_alt_names = names);
        assert_eq!(
            verify(&verifier(&authority, &leaf, |_| {}), &leaf),
            Err(CloseCode::BadChain)
        );
    }
    let leaf = authority
        .issue(|parameters| parameters.subject_alt_names = vec![uri("spiffe://other/node/1")]);
    assert_eq!(
        verify(&verifier(&authority, &leaf, |_| {}), &leaf),
        Err(CloseCode::WrongTrustDomain)
    );
    let leaf = authority
        .issue(|parameters| parameters.subject_alt_names = vec![uri("spiffe://test/node/9")]);
    assert_eq!(
        verify(&verifier(&authority, &leaf, |_| {}), &leaf),
        Err(CloseCode::UnknownPeer)
    );
}

#[test]
fn refuses_another_peer_than_the_dialled_one() {
    let authority = Authority::new();
    let leaf = authority.issue(|_| {});
    let mut dialled = verifier(&authority, &leaf, |_| {});
    dialled.expected = Some("spiffe://test/node/2".to_owned());
    assert_eq!(verify(&dialled, &leaf), Err(CloseCode::UnknownPeer));
}

#[test]
fn refuses_another_key_under_a_known_name() {
    let authority = Authority::new();
    let (known, impostor) = (authority.issue(|_| {}), authority.issue(|_| {}));
    assert_eq!(
        verify(&verifier(&authority, &known, |_| {}), &impostor),
        Err(CloseCode::PinMismatch)
    );
}

#[test]
fn refuses_a_revoked_key_whether_or_not_it_is_still_a_peer() {
    let authority = Authority::new();
    let leaf = authority.issue(|_| {});
    let revoked = verifier(&authority, &leaf, |table| {
        table.revoked.insert(leaf.fingerprint);
    });
    assert_eq!(verify(&revoked, &leaf), Err(CloseCode::Revoked));
    let gone = verifier(&authority, &leaf, |table| {
        table.peers.clear();
        table.revoked.insert(leaf.fingerprint);
    });
    assert_eq!(verify(&gone, &leaf), Err(CloseCode::Revoked));
}

#[test]
fn refuses_a_peer_whose_intent_is_over() {
    let authority = Authority::new();
    let leaf = authority.issue(|_| {});
    let over = verifier(&authority, &leaf, |table| {
        table.peers.get_mut(NODE).expect("the peer").expires_at_ms = NOW_SECONDS * 1_000;
    });
    assert_eq!(verify(&over, &leaf), Err(CloseCode::Expired));
}

#[test]
fn allows_five_minutes_of_skew_at_both_ends_and_no_more() {
    let authority = Authority::new();
    let leaf = authority.issue(|_| {});
    let known = verifier(&authority, &leaf, |table| {
        table.peers.get_mut(NODE).expect("the peer").expires_at_ms = u64::MAX;
    });
    let (begin, end) = (NOW_SECONDS - DAY_SECONDS, NOW_SECONDS + DAY_SECONDS);
    assert_eq!(verify_at(&known, &leaf, begin - 299), Ok(()));
    assert_eq!(
        verify_at(&known, &leaf, begin - 301),
        Err(CloseCode::BadChain)
    );
    assert_eq!(verify_at(&known, &leaf, end + 299), Ok(()));
    assert_eq!(verify_at(&known, &leaf, end + 301), Err(CloseCode::Expired));
}

#[test]
fn refuses_a_certificate_for_another_use() {
    let authority = Authority::new();
    let leaf = authority.issue(|parameters| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
    });
    assert_eq!(
        verify(&verifier(&authority, &leaf, |_| {}), &leaf),
        Err(CloseCode::BadChain)
    );
}

#[test]
fn refuses_what_is_no_certificate() {
    let authority = Authority::new();
    let leaf = authority.issue(|_| {});
    let broken = Leaf {
        certificate: CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]),
        fingerprint: leaf.fingerprint,
    };
    assert_eq!(
        verify(&verifier(&authority, &leaf, |_| {}), &broken),
        Err(CloseCode::BadChain)
    );
}

#[test]
fn the_refused_side_reads_the_code_and_nothing_else() {
    let refusal = Refusal {
        code: CloseCode::PinMismatch,
        spiffe_id: Some(NODE.to_owned()),
    };
    let reason = rustls::Error::InvalidCertificate(rustls::CertificateError::Other(
        rustls::OtherError(Arc::new(refusal)),
    ));
    assert_eq!(
        Refusal::code_in_reason(&reason.to_string()),
        Some(CloseCode::PinMismatch)
    );
    assert!(!reason.to_string().contains(NODE));
    assert_eq!(
        Refusal::in_error(&reason).map(|refusal| refusal.code),
        Some(CloseCode::PinMismatch)
    );
    assert_eq!(Refusal::code_in_reason("saf:NO_SUCH_CODE"), None);
    assert_eq!(Refusal::code_in_reason("handshake failure"), None);
}
