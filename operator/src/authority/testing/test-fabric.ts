/** A ledger with a term, an authority on it, and nodes with real keys, for tests of what stands on them. */
import { createPrivateKey, randomBytes, type KeyObject } from "node:crypto";
import { createCsr, createToken, fingerprintOfKey, generateNodeKey, parseToken } from "@saf/protocol";
import type { Identity, Ledger, TokenSpec } from "../../ledger/ledger.ts";
import { joinInput, pools, tokenSpec } from "../../ledger/testing/join-input.ts";
import {
  openTestLedger,
  START,
  TRUST_DOMAIN,
  type TestClock,
  type TestPostgres,
} from "../../ledger/testing/test-postgres.ts";
import type { Authority, AuthoritySecrets } from "../authority.ts";
import { generateAuthoritySecrets } from "../authority-secrets.ts";
import { createAuthority } from "../create-authority.ts";

export const NODE_LIFETIME_SECONDS = 86_400;

export interface TestFabric {
  readonly url: string;
  readonly clock: TestClock;
  readonly ledger: Ledger;
  readonly secrets: AuthoritySecrets;
  readonly authority: Authority;
  readonly term: number;
}

export interface TestNode {
  readonly keyPem: string;
  readonly key: KeyObject;
  readonly fingerprint: string;
  readonly name: string;
}

export async function createTestFabric(
  postgres: TestPostgres,
  clock: TestClock = { now: START },
): Promise<TestFabric> {
  const url = await postgres.createDatabase();
  const ledger = await openTestLedger(url, clock);
  const { term } = await ledger.takeTerm({ holder: "first", expected: 0 });
  const secrets = await generateAuthoritySecrets(TRUST_DOMAIN, clock.now);
  const authority = await createAuthority({
    secrets,
    ledger,
    term,
    trustDomain: TRUST_DOMAIN,
    clock: () => clock.now,
    nodeLifetimeSeconds: () => NODE_LIFETIME_SECONDS,
  });
  return { url, clock, ledger, secrets, authority, term };
}

export function createTestNode(name: string = `node-${randomBytes(4).toString("hex")}`): TestNode {
  const keyPem = generateNodeKey();
  const key = createPrivateKey(keyPem);
  return { keyPem, key, fingerprint: fingerprintOfKey(key), name };
}

/** Puts a token into the ledger; returns its id and secret. */
export async function addToken(
  { ledger, term, authority }: TestFabric,
  overrides: Partial<TokenSpec> = {},
): Promise<{ id: string; secret: string }> {
  const { token, hash } = createToken({ id: overrides.name ?? "lab", pin: authority.caPin });
  await ledger.putToken(term, tokenSpec({ hash, ...overrides }));
  return parseToken(token);
}

/** Approves a node without the API. Needs a token `lab`. */
export async function approveNode({ ledger, term }: TestFabric, node: TestNode): Promise<Identity> {
  const csrPem = await createCsr(node.keyPem, node.name);
  const { requestId } = await ledger.admitJoin(
    term,
    joinInput({ nodeName: node.name, fingerprint: node.fingerprint, csrPem }),
  );
  const decision = { requestId, decision: "Approved", actor: "alice", reason: "", pools } as const;
  const { nodeId } = await ledger.decideJoin(term, decision);
  const identity = await ledger.identity(nodeId ?? "");
  if (!identity) throw new Error("approved without an identity");
  return identity;
}
