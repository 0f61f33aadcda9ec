//! `apply`: checks everything first, changes the tunnel, which may fail, and then does the rest, which can't.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde_json::json;

use super::Engine;
use super::peers::Peer;
use crate::desired::{PeerChange, Plan, PlannedPeer, changes};
use crate::frames::CloseCode;
use crate::log;
use crate::policy::{PeerIndex, Policy};
use crate::quic::{Identity, IdentityError, IdentityParts, TrustTable, TrustedPeer};
use crate::socket::messages::{ApplyResult, CommandError, Desired, IdentityIntent, codes};

/// A P-256 key in PEM is 241 bytes.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// What an identity is made of; another one makes another identity.
#[derive(PartialEq)]
pub(super) struct IdentitySource {
    intent: IdentityIntent,
    trust_domain: String,
    /// Of the key file; the key itself is not kept.
    key_digest: Vec<u8>,
}

impl Engine {
    pub(super) fn apply(&mut self, desired: &Desired) -> Result<ApplyResult, CommandError> {
        let plan = Plan::new(desired, self.config.tunnel.as_ref(), self.now.unix_ms)?;
        let identity = self.changed_identity(&plan)?;
        let mut changed = Vec::new();
        if self.change_tunnel(plan.tunnel.as_ref())? {
            changed.push("tunnel".to_owned());
        }
        if let Some((identity, source)) = identity {
            self.endpoint.set_identity(Some(Arc::new(identity)));
            self.identity_source = Some(source);
            changed.push("identity".to_owned());
        }
        self.change_plan(plan, &mut changed);
        if !changed.is_empty() {
            log::info(
                "applied",
                json!({ "revision": desired.revision, "changes": changed.len() }),
            );
        }
        Ok(ApplyResult { changed })
    }

    /// The identity of the plan, if it is not the present one.
    fn changed_identity(
        &self,
        plan: &Plan,
    ) -> Result<Option<(Identity, IdentitySource)>, CommandError> {
        let key_pem = self
            .read_key()
            .map_err(|error| CommandError::new(codes::KEY_UNREADABLE, error.to_string()))?;
        let source = IdentitySource {
            intent: plan.identity.clone(),
            trust_domain: plan.trust_domain.clone(),
            key_digest: digest(&SHA256, &key_pem).as_ref().to_vec(),
        };
        if self.identity_source.as_ref() == Some(&source) {
            return Ok(None);
        }
        let parts = IdentityParts {
            spiffe_id: &source.intent.spiffe_id,
            trust_domain: &source.trust_domain,
            chain_pem: &source.intent.certificate_chain_pem,
            ca_pem: &source.intent.ca_certificates_pem,
            key_pem: &key_pem,
        };
        let identity =
            Identity::new(&parts, self.trust.clone(), self.now.unix_ms).map_err(identity_error)?;
        Ok(Some((identity, source)))
    }

    fn read_key(&self) -> io::Result<Vec<u8>> {
        let path = &self.config.key_file;
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        read_regular_file(path).map_err(named)
    }

    fn change_plan(&mut self, plan: Plan, changed: &mut Vec<String>) {
        let ours = &plan.identity.spiffe_id;
        let old = self
            .plan
            .take()
            .filter(|old| old.identity.spiffe_id == *ours);
        if old.is_none() {
            // Sessions under another name of ours say nothing about this one.
            self.drop_peers(CloseCode::GoingAway, "another identity");
        }
        let peer_changes = changes(old.as_ref(), &plan);
        changed.extend(peer_changes.iter().map(PeerChange::describe));
        if let Some(old) = &old {
            let differs = [
                ("authority", old.authority != plan.authority),
                ("revoked", old.revoked != plan.revoked),
                ("expiry", old.expires_at_ms != plan.expires_at_ms),
                ("trafficRules", old.traffic_rules != plan.traffic_rules),
            ];
            changed.extend(
                differs
                    .iter()
                    .filter(|(_, differs)| *differs)
                    .map(|(name, _)| (*name).to_owned()),
            );
        }
        // The verifier must know the new table before anyone dials by it.
        self.trust.replace(trust_table(&plan));
        let routes = plan.peers.values().flat_map(|peer| &peer.relays);
        self.relays
            .extend(routes.map(|route| (route.session, route.relay)));
        for problem in plan.peers.values().flat_map(|peer| &peer.left_out) {
            log::error("a candidate is left out", json!({ "problem": problem }));
        }
        self.classifier.set_rules(&plan.traffic_rules);
        self.plan = Some(plan);
        for change in peer_changes {
            self.change_peer(change);
        }
        self.cut_off_revoked();
        self.rebuild_policy();
        self.announce_authority();
        self.expire_peers();
        self.dial_idle_peers();
        self.set_housekeeping_timer();
    }

    fn change_peer(&mut self, change: PeerChange) {
        match change {
            PeerChange::Added(peer) => self.add_peer(peer),
            PeerChange::Removed(id) => self.remove_peer(&id),
            PeerChange::Replaced(peer) => {
                self.remove_peer(&peer.id);
                self.add_peer(peer);
            }
            PeerChange::Updated(plan) => self.update_peer(plan),
        }
    }

    fn add_peer(&mut self, plan: PlannedPeer) {
        let candidates = self.reachable(&plan.candidates);
        self.peers
            .insert(Peer::new(plan, candidates, self.now.unix_ms));
    }

    fn remove_peer(&mut self, id: &str) {
        if let Some(index) = self.peers.by_id(id) {
            self.cut_off(index, CloseCode::Revoked, "no longer a peer");
            self.peers.remove(index);
        }
    }

    fn update_peer(&mut self, plan: PlannedPeer) {
        let candidates = self.reachable(&plan.candidates);
        let now = self.now;
        let Some(index) = self.peers.by_id(&plan.id) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        peer.expired &= plan.expires_at_ms <= now.unix_ms;
        peer.plan = plan;
        peer.dialer.set_candidates(candidates, now.instant);
        self.set_dial_timer(index);
        self.spread(index);
    }

    /// Peers that were expired or revoked, or had no candidates, and now can be dialled.
    fn dial_idle_peers(&mut self) {
        for index in self.peers.indexes() {
            let idle = |peer: &Peer| {
                peer.dialer.is_idle() && peer.links().is_empty() && !self.is_revoked(peer)
            };
            if self.peers.get(index).is_some_and(idle) {
                self.begin_dialing(index);
            }
        }
    }

    fn is_revoked(&self, peer: &Peer) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.revoked.contains(&peer.plan.fingerprint))
    }

    /// The candidates that one of our sockets speaks to: it has their family, or that of the relay.
    pub(super) fn reachable(&self, candidates: &[SocketAddr]) -> Vec<SocketAddr> {
        candidates
            .iter()
            .copied()
            .filter(|candidate| {
                let outer = self.outer(*candidate);
                outer.is_some_and(|outer| self.sockets.reaches(outer))
            })
            .collect()
    }

    fn cut_off_revoked(&mut self) {
        let peers = self.peers.iter();
        let revoked: Vec<PeerIndex> = peers
            .filter_map(|(index, peer)| self.is_revoked(peer).then_some(index))
            .collect();
        for index in revoked {
            self.cut_off(index, CloseCode::Revoked, "revoked");
        }
    }

    pub(super) fn rebuild_policy(&mut self) {
        let mut policy = Policy::default();
        for (index, peer) in self.peers.iter() {
            if !peer.expired && !self.is_revoked(peer) {
                let plan = &peer.plan;
                policy.insert(index, &plan.remote_prefixes, &plan.local_prefixes);
            }
        }
        self.policy = policy;
    }

    fn announce_authority(&mut self) {
        let Some(authority) = self.plan.as_ref().map(|plan| plan.authority) else {
            return;
        };
        for key in 0..self.links.len() {
            if let Some(session) = self.link_mut(key).and_then(|link| link.session.as_mut()) {
                session.set_authority(authority);
                self.schedule(key);
            }
        }
    }

    /// Wants nothing any more: no peers, no tunnel, no handshakes. With GOING_AWAY the sessions say goodbye; else they end at once.
    pub(super) fn drop_intents(&mut self, code: CloseCode, message: &str) {
        self.drop_peers(code, message);
        self.plan = None;
        self.identity_source = None;
        self.endpoint.set_identity(None);
        self.trust.replace(TrustTable::default());
        self.policy = Policy::default();
        self.tunnel = None;
    }

    fn drop_peers(&mut self, code: CloseCode, message: &str) {
        for index in self.peers.indexes() {
            if code == CloseCode::GoingAway {
                self.say_goodbye(index, message);
            } else {
                self.cut_off(index, code, message);
            }
            self.peers.remove(index);
        }
    }
}

/// The folder is the agent's: a pipe in the file's place must not stop packets, nor a link make root open a device.
fn read_regular_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_KEY_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn trust_table(plan: &Plan) -> TrustTable {
    let trusted = |peer: &PlannedPeer| {
        let peer_trust = TrustedPeer {
            fingerprint: peer.fingerprint,
            expires_at_ms: peer.expires_at_ms,
        };
        (peer.spiffe_id.clone(), peer_trust)
    };
    TrustTable {
        trust_domain: plan.trust_domain.clone(),
        peers: plan.peers.values().map(trusted).collect::<HashMap<_, _>>(),
        revoked: plan.revoked.clone(),
    }
}

fn identity_error(error: IdentityError) -> CommandError {
    match error {
        IdentityError::Invalid(message) => CommandError::new(codes::IDENTITY_INVALID, message),
        IdentityError::KeyMismatch => CommandError::new(
            codes::CERTIFICATE_KEY_MISMATCH,
            "the certificate is for another key",
        ),
        IdentityError::KeyUnreadable(message) => CommandError::new(codes::KEY_UNREADABLE, message),
    }
}
