/**
 * What a node holds as a member of one fabric cluster, and what it holds while it asks to become one.
 * Trust (the trust root) and intent (the snapshot) are documents and live in documents/.
 */
import path from "node:path";
import { z } from "zod";
import {
  FINGERPRINT_PATTERN,
  MAX_ENDPOINT_LENGTH,
  NODE_ID_PATTERN,
  PIN_PATTERN,
  TOKEN_ID_PATTERN,
  TRUST_DOMAIN_PATTERN,
  requestIdPattern,
} from "@saf/protocol";
import { durableRecord, type DurableRecord } from "../state/durable-record.ts";

export const membership = z.object({
  trustDomain: z.string().regex(TRUST_DOMAIN_PATTERN),
  nodeId: z.string().regex(NODE_ID_PATTERN),
  /** Of the node's own key: another key cannot use this membership. */
  fingerprint: z.string().regex(FINGERPRINT_PATTERN),
  /** PEM, leaf first. */
  certificateChain: z.array(z.string().max(4096)).min(1).max(4),
  /** Where the operator was when this node was approved; a snapshot's word supersedes it. */
  control: z.object({
    endpoints: z.array(z.string().max(MAX_ENDPOINT_LENGTH)).min(1).max(8),
    spiffeId: z.string().max(128),
    fingerprint: z.string().regex(FINGERPRINT_PATTERN),
  }),
  /** Set once the operator or a snapshot said that this identity is over; only a new join ends it. */
  revoked: z.object({ reason: z.string().max(512) }).nullable(),
});
export type Membership = z.infer<typeof membership>;

export const joinAttempt = z.object({
  /** `https://host:port` */
  server: z.string().max(512),
  /** Of the join token, with its pin; both null: the node asks with its pod's service-account token, from the files that the configuration names. */
  tokenId: z.string().regex(TOKEN_ID_PATTERN).nullable(),
  pin: z.string().regex(PIN_PATTERN).nullable(),
  /** The token's secret, forgotten as soon as the attempt is decided. */
  secret: z.string().regex(PIN_PATTERN).nullable(),
  requestedRoles: z.array(z.string().max(32)).max(16),
  /** Known once the server has accepted the request. */
  requestId: z.string().regex(requestIdPattern).nullable(),
  /** The operator's reason, kept for `fabric status`. */
  denied: z.object({ reason: z.string().max(256) }).nullable(),
});
export type JoinAttempt = z.infer<typeof joinAttempt>;

export interface IdentityRecords {
  readonly membership: DurableRecord<Membership>;
  readonly joinAttempt: DurableRecord<JoinAttempt>;
}

export function identityRecords(folder: string, onRecovered: (name: string) => void): IdentityRecords {
  const at = (name: string) => ({ path: path.join(folder, name), maxBytes: 64 * 1024, onRecovered });
  return {
    membership: durableRecord({ ...at("membership"), schema: membership }),
    joinAttempt: durableRecord({ ...at("join"), schema: joinAttempt }),
  };
}
