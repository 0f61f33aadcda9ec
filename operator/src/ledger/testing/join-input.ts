/** Joins as the enrolment API hands them to the ledger, each by a key of its own. */
import { randomBytes } from "node:crypto";
import type { JoinInput, TokenSpec } from "../ledger.ts";
import { START } from "./test-postgres.ts";

/** For a removal: no snapshot ever named the node. */
export const unnamed = { epoch: 0, heldUntil: START } as const;

export const pools = { ipv4: "100.96.0.0/16", ipv6: "fd5a::/64" } as const;

export function tokenSpec(overrides: Partial<TokenSpec> = {}): TokenSpec {
  return {
    name: "lab",
    hash: "sha256:c2FsdHNhbHRzYWx0c2FsdA:aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
    expiresAt: START + 3600,
    maxUses: 1000,
    revoked: false,
    allowedRoles: ["relay", "exit"],
    area: "home",
    ...overrides,
  };
}

export function joinInput(overrides: Partial<JoinInput> = {}): JoinInput {
  const fingerprint = randomBytes(32).toString("hex");
  return {
    tokenName: "lab",
    nodeName: `node-${fingerprint.slice(0, 12)}`,
    fingerprint,
    csrPem: "-----BEGIN CERTIFICATE REQUEST-----",
    requestedRoles: ["relay"],
    facts: {
      hostname: "host",
      os: "linux",
      arch: "x64",
      kernel: "6.1",
      cpus: 2,
      memoryBytes: 2 ** 33,
      agentVersion: "0.1.0",
    },
    capabilities: { protocolVersions: ["saf/1"] },
    candidates: ["192.0.2.1:7443"],
    nonce: randomBytes(16).toString("base64url"),
    source: "192.0.2.1",
    ...overrides,
  };
}
