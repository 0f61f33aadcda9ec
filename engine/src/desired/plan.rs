//! A desired state that passed every check, in the engine's own types.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use crate::config::{MTU_RANGE, TunnelLimits};
use crate::policy::Prefix;
use crate::quic::{Fingerprint, trust_domain};
use crate::relay::{RelayRoute, RelaySession, RouteError};
use crate::socket::messages::{
    Authority, CommandError, Desired, IdentityIntent, PeerIntent, PortRange, TrafficRule,
    TunnelIntent, codes,
};
use crate::tun::TunnelSettings;

/// A differentiated services code point has six bits (RFC 2474).
const MAX_DSCP: u8 = 63;

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub revision: u64,
    pub trust_domain: String,
    pub expires_at_ms: u64,
    pub authority: Authority,
    pub identity: IdentityIntent,
    pub tunnel: Option<TunnelSettings>,
    /// By id.
    pub peers: BTreeMap<String, PlannedPeer>,
    pub revoked: HashSet<Fingerprint>,
    pub traffic_rules: Vec<TrafficRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPeer {
    pub id: String,
    pub spiffe_id: String,
    pub fingerprint: Fingerprint,
    /// Addresses, and keys of relay sessions.
    pub candidates: Vec<SocketAddr>,
    /// The relay sessions among the candidates.
    pub relays: Vec<RelayRoute>,
    /// Candidates that are left out, and why: a peer that tells nonsense must not keep the rest from being applied.
    pub left_out: Vec<String>,
    pub remote_prefixes: Vec<Prefix>,
    pub local_prefixes: Vec<Prefix>,
    pub expires_at_ms: u64,
}

impl Plan {
    /// Checks a desired state against itself, the limits of the configuration and the time.
    pub fn new(
        desired: &Desired,
        limits: Option<&TunnelLimits>,
        now_ms: u64,
    ) -> Result<Plan, CommandError> {
        if desired.expires_at_ms <= now_ms {
            return Err(invalid("expiresAtMs is over"));
        }
        if trust_domain(&desired.identity.spiffe_id) != Some(desired.trust_domain.as_str()) {
            return Err(invalid("identity.spiffeId is not of the trust domain"));
        }
        let tunnel = desired
            .tunnel
            .as_ref()
            .map(|tunnel| tunnel_settings(tunnel, limits))
            .transpose()?;
        let mut peers = BTreeMap::new();
        let mut sessions = HashSet::new();
        for intent in &desired.peers {
            let peer = planned_peer(intent, desired, limits, &mut sessions)?;
            if peers.insert(intent.id.clone(), peer).is_some() {
                return Err(invalid(format!("peer {} is there twice", intent.id)));
            }
        }
        check_unique(&peers)?;
        let revoked = desired
            .revoked
            .iter()
            .map(|text| fingerprint(text))
            .collect::<Result<_, _>>()?;
        check_traffic_rules(&desired.traffic_rules)?;
        Ok(Plan {
            revision: desired.revision,
            trust_domain: desired.trust_domain.clone(),
            expires_at_ms: desired.expires_at_ms,
            authority: desired.authority,
            identity: desired.identity.clone(),
            tunnel,
            peers,
            revoked,
            traffic_rules: desired.traffic_rules.clone(),
        })
    }
}

fn tunnel_settings(
    intent: &TunnelIntent,
    limits: Option<&TunnelLimits>,
) -> Result<TunnelSettings, CommandError> {
    let limits = limits.ok_or_else(|| forbidden("this engine may have no tunnel"))?;
    let mut addresses = BTreeSet::new();
    for text in &intent.addresses {
        let (address, bits) = interface_address(text)?;
        let host = Prefix::holding(address, if address.is_ipv4() { 32 } else { 128 });
        if !host.is_some_and(|host| limits.allows(&host)) {
            return Err(forbidden(format!(
                "address {text} is outside this host's limits"
            )));
        }
        addresses.insert((address, bits));
    }
    let routes = prefixes(&intent.routes, Some(limits))?
        .into_iter()
        .collect();
    let mtu = u16::try_from(intent.mtu)
        .ok()
        .filter(|mtu| mtu >= MTU_RANGE.start());
    let mtu = mtu.ok_or_else(|| invalid(format!("mtu {} is out of range", intent.mtu)))?;
    if mtu > limits.max_mtu {
        return Err(forbidden(format!(
            "mtu {mtu} is above this host's limit of {}",
            limits.max_mtu
        )));
    }
    Ok(TunnelSettings {
        addresses,
        routes,
        mtu,
    })
}

fn planned_peer(
    intent: &PeerIntent,
    desired: &Desired,
    limits: Option<&TunnelLimits>,
    sessions: &mut HashSet<RelaySession>,
) -> Result<PlannedPeer, CommandError> {
    let of_peer = |message: &str| invalid(format!("peer {}: {message}", intent.id));
    if intent.id.is_empty() {
        return Err(invalid("a peer has no id"));
    }
    if intent.spiffe_id == desired.identity.spiffe_id {
        return Err(of_peer("has our own SPIFFE id"));
    }
    if trust_domain(&intent.spiffe_id) != Some(desired.trust_domain.as_str()) {
        return Err(of_peer("spiffeId is not of the trust domain"));
    }
    let mut candidates = Vec::with_capacity(intent.candidates.len());
    let (mut relays, mut left_out): (Vec<RelayRoute>, Vec<String>) = (Vec::new(), Vec::new());
    for text in &intent.candidates {
        let (address, route) =
            candidate(text).map_err(|problem| of_peer(&format!("candidate {text} {problem}")))?;
        let candidate = route.map_or(address, |route| route.session.key());
        if candidates.contains(&candidate) {
            continue;
        }
        if RelaySession::of(address).is_some() {
            left_out.push(format!("{text} of peer {} is no host's address", intent.id));
        } else if route.is_some_and(|route| !sessions.insert(route.session)) {
            left_out.push(format!("{text} of peer {} is another peer's", intent.id));
        } else {
            candidates.push(candidate);
            relays.extend(route);
        }
    }
    Ok(PlannedPeer {
        id: intent.id.clone(),
        spiffe_id: intent.spiffe_id.clone(),
        fingerprint: fingerprint(&intent.fingerprint)?,
        candidates,
        relays,
        left_out,
        remote_prefixes: prefixes(&intent.remote_prefixes, limits)?,
        local_prefixes: prefixes(&intent.local_prefixes, limits)?,
        expires_at_ms: intent.expires_at_ms,
    })
}

/// The address that a candidate has, or that its relay has, which comes with it.
fn candidate(text: &str) -> Result<(SocketAddr, Option<RelayRoute>), &'static str> {
    let (address, route) = match text.parse::<RelayRoute>() {
        Ok(route) => (route.relay, Some(route)),
        Err(RouteError::Malformed) => return Err("is no relay:session@ip:port"),
        Err(RouteError::NotRelayed) => (text.parse().map_err(|_| "is no ip:port")?, None),
    };
    let ip = address.ip();
    if address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
        return Err("can't be dialled");
    }
    Ok((address, route))
}

/// No two peers share a name or an inner prefix: each must be one peer's alone.
fn check_unique(peers: &BTreeMap<String, PlannedPeer>) -> Result<(), CommandError> {
    let mut ids = HashSet::new();
    let mut owners: HashMap<Prefix, &str> = HashMap::new();
    for peer in peers.values() {
        if !ids.insert(&peer.spiffe_id) {
            return Err(invalid(format!(
                "spiffeId {} is there twice",
                peer.spiffe_id
            )));
        }
        for prefix in &peer.remote_prefixes {
            if let Some(other) = owners
                .insert(*prefix, &peer.id)
                .filter(|other| *other != peer.id)
            {
                return Err(invalid(format!(
                    "prefix {prefix} is both {other}'s and {}'s",
                    peer.id
                )));
            }
        }
    }
    Ok(())
}

/// A rule that cannot match is a mistake of whoever wrote it.
fn check_traffic_rules(rules: &[TrafficRule]) -> Result<(), CommandError> {
    for (number, rule) in rules.iter().enumerate() {
        let of_rule = |message: String| invalid(format!("traffic rule {number}: {message}"));
        if let Some(dscp) = rule.dscp.iter().find(|dscp| **dscp > MAX_DSCP) {
            return Err(of_rule(format!("dscp {dscp} is above {MAX_DSCP}")));
        }
        if let Some(PortRange { from, to }) = rule.ports.iter().find(|range| range.from > range.to)
        {
            return Err(of_rule(format!("no port is from {from} to {to}")));
        }
        if rule.max_packet_bytes == Some(0) || rule.below_bytes_per_second == Some(0) {
            return Err(of_rule("nothing is below 0".to_owned()));
        }
    }
    Ok(())
}

fn prefixes(texts: &[String], limits: Option<&TunnelLimits>) -> Result<Vec<Prefix>, CommandError> {
    let mut prefixes = Vec::with_capacity(texts.len());
    for text in texts {
        let prefix: Prefix = text
            .parse()
            .map_err(|error| invalid(format!("{text}: {error}")))?;
        if !limits.is_some_and(|limits| limits.allows(&prefix)) {
            return Err(forbidden(format!(
                "prefix {text} is outside this host's limits"
            )));
        }
        prefixes.push(prefix);
    }
    Ok(prefixes)
}

/// An address with the length of its network's prefix, host bits and all.
fn interface_address(text: &str) -> Result<(IpAddr, u8), CommandError> {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        Prefix::holding(address, bits).map(|_| (address, bits))
    });
    parsed.ok_or_else(|| invalid(format!("{text} is no address with a prefix length")))
}

fn fingerprint(text: &str) -> Result<Fingerprint, CommandError> {
    Fingerprint::parse(text).ok_or_else(|| invalid(format!("{text} is no fingerprint")))
}

fn invalid(message: impl Into<String>) -> CommandError {
    CommandError::new(codes::INVALID_ARGUMENT, message)
}

fn forbidden(message: impl Into<String>) -> CommandError {
    CommandError::new(codes::PREFIX_FORBIDDEN, message)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::socket::messages::{TrafficClass, TrafficProtocol};

    pub fn peer(id: &str, address: &str) -> PeerIntent {
        PeerIntent {
            id: id.to_owned(),
            spiffe_id: format!("spiffe://test/node/{id}"),
            fingerprint: "ab".repeat(32),
            candidates: vec!["192.0.2.1:7443".to_owned()],
            remote_prefixes: vec![address.to_owned()],
            local_prefixes: vec!["100.96.0.1/32".to_owned()],
            expires_at_ms: 5_000,
        }
    }

    pub fn desired(peers: Vec<PeerIntent>) -> Desired {
        Desired {
            revision: 1,
            trust_domain: "test".to_owned(),
            expires_at_ms: 5_000,
            authority: Authority { term: 1, epoch: 1 },
            identity: IdentityIntent {
                spiffe_id: "spiffe://test/node/self".to_owned(),
                certificate_chain_pem: vec![],
                ca_certificates_pem: vec![],
            },
            tunnel: Some(TunnelIntent {
                addresses: vec!["100.96.0.1/32".to_owned()],
                routes: vec!["100.96.0.0/16".to_owned()],
                mtu: 1280,
            }),
            peers,
            revoked: vec![],
            traffic_rules: vec![],
        }
    }

    pub fn limits() -> TunnelLimits {
        TunnelLimits {
            interface: "fabric0".to_owned(),
            prefixes: vec![
                "100.64.0.0/10".parse().expect("prefix"),
                "fd00::/8".parse().expect("prefix"),
            ],
            max_mtu: 1400,
        }
    }

    fn code(desired: &Desired) -> String {
        Plan::new(desired, Some(&limits()), 1_000)
            .expect_err("a refusal")
            .code
            .into_owned()
    }

    #[test]
    fn accepts_a_state_within_the_limits() {
        let plan = Plan::new(
            &desired(vec![peer("a", "100.96.0.2/32")]),
            Some(&limits()),
            1_000,
        )
        .expect("a plan");
        assert_eq!(plan.peers["a"].candidates.len(), 1);
        assert_eq!(plan.tunnel.expect("tunnel").mtu, 1280);
    }

    #[test]
    fn a_relay_session_is_a_candidate_of_one_peer() {
        let through = |session: &str| format!("relay:{session}@192.0.2.9:7443");
        let (one, other) = ("00000000000000aa", "00000000000000ab");
        let mut state = desired(vec![peer("a", "100.96.0.2/32"), peer("b", "100.96.0.3/32")]);
        state.peers[0].candidates.push(through(one));
        state.peers[1].candidates = vec![through(other)];
        let plan = Plan::new(&state, Some(&limits()), 1_000).expect("a plan");
        assert_eq!(plan.peers["a"].candidates[1], RelaySession(0xaa).key());
        assert_eq!(plan.peers["b"].relays[0].to_string(), through(other));
        let key = RelaySession(1).key().to_string();
        state.peers[1].candidates = vec![through(one), key, through(other), through(other)];
        let plan = Plan::new(&state, Some(&limits()), 1_000).expect("a plan");
        assert_eq!(plan.peers["b"].candidates, [RelaySession(0xab).key()]);
        assert_eq!(plan.peers["b"].left_out.len(), 2);
    }

    #[test]
    fn refuses_what_the_host_does_not_allow() {
        let good = desired(vec![peer("a", "100.96.0.2/32")]);
        assert_eq!(
            code(&desired(vec![peer("a", "10.0.0.0/8")])),
            codes::PREFIX_FORBIDDEN
        );
        let mut bad = good.clone();
        bad.peers[0].local_prefixes = vec!["0.0.0.0/0".to_owned()];
        assert_eq!(code(&bad), codes::PREFIX_FORBIDDEN);
        for (addresses, routes, mtu) in [
            ("10.0.0.1/32", "100.96.0.0/16", 1280),
            ("100.96.0.1/32", "0.0.0.0/0", 1280),
            ("100.96.0.1/32", "100.96.0.0/16", 1401),
        ] {
            let mut bad = good.clone();
            bad.tunnel = Some(TunnelIntent {
                addresses: vec![addresses.to_owned()],
                routes: vec![routes.to_owned()],
                mtu,
            });
            assert_eq!(code(&bad), codes::PREFIX_FORBIDDEN);
        }
        let refused = Plan::new(&good, None, 1_000).expect_err("no tunnel allowed");
        assert_eq!(refused.code, codes::PREFIX_FORBIDDEN);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        type Spoil = fn(&mut Desired);
        let spoils: [Spoil; 12] = [
            |desired| desired.expires_at_ms = 1_000,
            |desired| desired.trust_domain = "other".to_owned(),
            |desired| desired.peers[0].spiffe_id = "spiffe://other/node/a".to_owned(),
            |desired| desired.peers[0].spiffe_id = "spiffe://test/node/self".to_owned(),
            |desired| desired.peers[0].fingerprint = "zz".repeat(32),
            |desired| desired.peers[0].candidates = vec!["example.org:1".to_owned()],
            |desired| desired.peers[0].candidates = vec!["192.0.2.1:0".to_owned()],
            |desired| desired.peers[0].candidates = vec!["relay:1@192.0.2.1:1".to_owned()],
            |desired| {
                desired.peers[0].candidates = vec![format!("relay:{}@0.0.0.0:1", RelaySession(1))];
            },
            |desired| desired.peers[0].remote_prefixes = vec!["100.96.0.3/24".to_owned()],
            |desired| desired.revoked = vec!["ab".to_owned()],
            |desired| desired.tunnel.as_mut().expect("tunnel").mtu = 70_000,
        ];
        for (index, spoil) in spoils.iter().enumerate() {
            let mut bad = desired(vec![peer("a", "100.96.0.2/32")]);
            spoil(&mut bad);
            assert_eq!(code(&bad), codes::INVALID_ARGUMENT, "case {index}");
        }
    }

    #[test]
    fn refuses_traffic_rules_that_match_nothing() {
        let rule = TrafficRule {
            class: TrafficClass::Dns,
            protocol: Some(TrafficProtocol::Udp),
            ports: vec![PortRange { from: 53, to: 53 }],
            dscp: vec![MAX_DSCP],
            max_packet_bytes: Some(1),
            below_bytes_per_second: Some(1),
        };
        let mut state = desired(vec![]);
        state.traffic_rules = vec![rule.clone()];
        let plan = Plan::new(&state, Some(&limits()), 1_000).expect("a plan");
        assert_eq!(plan.traffic_rules, [rule]);
        type Spoil = fn(&mut TrafficRule);
        let spoils: [Spoil; 4] = [
            |rule| rule.ports[0].to = 52,
            |rule| rule.dscp.push(64),
            |rule| rule.max_packet_bytes = Some(0),
            |rule| rule.below_bytes_per_second = Some(0),
        ];
        for (index, spoil) in spoils.iter().enumerate() {
            let mut bad = state.clone();
            spoil(&mut bad.traffic_rules[0]);
            assert_eq!(code(&bad), codes::INVALID_ARGUMENT, "case {index}");
        }
    }

    #[test]
    fn an_id_a_name_and_a_prefix_belong_to_one_peer() {
        assert_eq!(
            code(&desired(vec![
                peer("a", "100.96.0.2/32"),
                peer("a", "100.96.0.3/32")
            ])),
            codes::INVALID_ARGUMENT
        );
        assert_eq!(
            code(&desired(vec![
                peer("a", "100.96.0.2/32"),
                peer("b", "100.96.0.2/32")
            ])),
            codes::INVALID_ARGUMENT
        );
        let mut twins = desired(vec![peer("a", "100.96.0.2/32"), peer("b", "100.96.0.3/32")]);
        twins.peers[1].spiffe_id = twins.peers[0].spiffe_id.clone();
        assert_eq!(code(&twins), codes::INVALID_ARGUMENT);
    }
}
