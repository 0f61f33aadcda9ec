/** The tables as Kysely sees them (camelCase here, snake_case in SQL). The authority is `migrations/`. */
import type { Generated, GeneratedAlways, JSONColumnType, Kysely } from "kysely";
import type { Capabilities, Facts } from "@saf/protocol";
import type { AttestedPod, Decision, IdentityStatus } from "./ledger.ts";

export interface Schema {
  ledger: { singleton: Generated<boolean>; id: string; trustDomain: string; createdAt: number };
  authority: { singleton: Generated<boolean>; term: number; epoch: number; holder: string | null };
  tokens: {
    name: string;
    hash: string;
    expiresAt: number;
    maxUses: number;
    uses: Generated<number>;
    revoked: boolean;
    removed: Generated<boolean>;
    allowedRoles: string[];
    area: string | null;
  };
  joinRequests: {
    requestId: string;
    nodeName: string;
    fingerprint: string;
    csrPem: string;
    tokenName: string | null;
    pod: JSONColumnType<AttestedPod | null, string | null, string | null>;
    requestedRoles: string[];
    area: string | null;
    facts: JSONColumnType<Facts>;
    capabilities: JSONColumnType<Capabilities>;
    candidates: string[];
    createdAt: number;
    decision: Generated<Decision>;
    decidedBy: Generated<string | null>;
    decidedAt: Generated<number | null>;
    reason: Generated<string | null>;
    nodeId: Generated<string | null>;
  };
  identities: {
    nodeId: string;
    nodeName: string;
    requestId: string;
    fingerprint: string;
    ipv4: string;
    ipv6: string;
    area: string | null;
    status: Generated<IdentityStatus>;
    reason: Generated<string | null>;
    createdAt: number;
    certificateNotAfter: Generated<number | null>;
  };
  addresses: {
    ordinal: number;
    nodeId: string;
    heldEpoch: Generated<number | null>;
    heldUntil: Generated<number | null>;
  };
  certificates: {
    serial: string;
    nodeId: string;
    chainPem: string[];
    issuedAt: number;
    notAfter: number;
  };
  nonces: { fingerprint: string; nonce: string; expiresAt: number };
  audit: {
    id: GeneratedAlways<number>;
    at: number;
    term: number;
    actor: string;
    action: string;
    subject: string;
    detail: JSONColumnType<Record<string, unknown>>;
  };
}

/** The database, or a transaction on it. */
export type Database = Kysely<Schema>;
