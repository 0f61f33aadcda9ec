/** What the operator's engine should hold: its own certificate, and one peer for each member that may have a control session. */
import type { Desired, PeerIntent } from "@saf/engine";
import { spiffeIdOfNode } from "@saf/protocol";
import type { Authority, IssuedCertificate } from "../authority/authority.ts";
import type { Identity } from "../ledger/ledger.ts";

/**
 * A dead man's switch. The engine outlives its operator, and nodes would stay with the sessions of an operator that is gone; so what
 * it holds ends by itself, and they dial the next endpoint. Long enough to survive an operator's restart.
 */
export const INTENT_LIFETIME_MS = 30_000;

export interface DesiredInput {
  readonly trustDomain: string;
  readonly authority: Pick<Authority, "term" | "control" | "caCertificatePem">;
  readonly epoch: number;
  readonly certificate: IssuedCertificate;
  readonly identities: readonly Identity[];
  readonly revision: number;
  readonly nowMs: number;
}

export function desiredState(input: DesiredInput): Desired {
  const { trustDomain, authority, certificate, identities, nowMs } = input;
  const expiresAtMs = nowMs + INTENT_LIFETIME_MS;
  return {
    revision: input.revision,
    trustDomain,
    expiresAtMs,
    authority: { term: authority.term, epoch: input.epoch },
    identity: {
      spiffeId: authority.control.spiffeId,
      certificateChainPem: [...certificate.chainPem],
      caCertificatesPem: [authority.caCertificatePem],
    },
    tunnel: null,
    peers: identities
      .filter(({ status }) => status === "Active")
      .map((identity) => peerFor(identity, trustDomain, expiresAtMs)),
    // Control sessions carry no packets to classify.
    trafficRules: [],
    revoked: identities.filter(({ status }) => status !== "Active").map(({ fingerprint }) => fingerprint),
  };
}

/** No candidates: nodes dial the operator, never the other way. No prefixes: a control session carries no packets. */
function peerFor({ nodeId, fingerprint }: Identity, trustDomain: string, expiresAtMs: number): PeerIntent {
  return {
    id: nodeId,
    spiffeId: spiffeIdOfNode(trustDomain, nodeId),
    fingerprint,
    candidates: [],
    remotePrefixes: [],
    localPrefixes: [],
    expiresAtMs,
  };
}
