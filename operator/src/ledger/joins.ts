/** Join requests: admitted once per key, decided once. */
import { randomUUID } from "node:crypto";
import { requestIdFor } from "@saf/protocol";
import { sql } from "kysely";
import { LedgerError } from "./errors.ts";
import { createIdentity, requireFreeName } from "./identities.ts";
import type { AttestedPod, Decision, JoinDecision, JoinInput, JoinRequestRecord } from "./ledger.ts";
import { useNonce } from "./nonces.ts";
import type { Database } from "./schema.ts";
import { writeAudit, type DecidingSession } from "./session.ts";
import { findToken, takeTokenUse } from "./tokens.ts";

const COLUMNS = [
  "requestId",
  "nodeName",
  "fingerprint",
  "csrPem",
  "tokenName",
  "pod",
  "requestedRoles",
  "area",
  "facts",
  "capabilities",
  "candidates",
  "createdAt",
  "decision",
  "decidedBy",
  "decidedAt",
  "reason",
  "nodeId",
] as const;

export async function admitJoin(
  session: DecidingSession,
  input: JoinInput,
): Promise<{ requestId: string; created: boolean }> {
  await useNonce(session, input.fingerprint, input.nonce);
  const requestId = requestIdFor(input.nodeName, input.fingerprint);
  if (!(await insertPending(session, requestId, input)))
    return { requestId: await knownRequest(session.db, input), created: false };
  if (input.tokenName !== null) await takeTokenUse(session, input.tokenName, input.requestedRoles);
  else requireAllowed(input);
  await requireFreeName(session.db, input.nodeName);
  await writeAudit(session, session.authority.term, {
    actor: askerOf(input),
    action: "JoinRequested",
    subject: `request/${requestId}`,
    detail: {
      fingerprint: input.fingerprint,
      source: input.source,
      ...(input.pod ? { pod: input.pod.name, podUid: input.pod.uid, node: input.pod.node } : {}),
    },
  });
  return { requestId, created: true };
}

function askerOf({ tokenName, pod }: JoinInput): string {
  return pod ? `serviceaccount/${pod.namespace}/${pod.serviceAccount}` : `token/${tokenName}`;
}

function requireAllowed({ requestedRoles, pod }: JoinInput): void {
  const refused = requestedRoles.find((role) => !pod?.allowedRoles.includes(role));
  if (refused !== undefined)
    throw new LedgerError("ROLE_NOT_ALLOWED", `the Cluster does not allow these nodes the role ${refused}`);
}

/** False when the key or the id is known. Of two at once, the later waits here for what becomes of the first. */
async function insertPending(
  { db, now }: DecidingSession,
  requestId: string,
  { nonce: _nonce, source: _source, pod, ...input }: JoinInput,
): Promise<boolean> {
  const area = await areaOf(db, input);
  const inserted = await db
    .insertInto("joinRequests")
    .values({
      ...input,
      requestId,
      pod: pod ? JSON.stringify(attestationOf(pod)) : null,
      requestedRoles: [...input.requestedRoles],
      candidates: [...input.candidates],
      facts: JSON.stringify(input.facts),
      capabilities: JSON.stringify(input.capabilities),
      area,
      createdAt: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning("requestId")
    .executeTakeFirst();
  return inserted !== undefined;
}

/** What is kept of it: not what its policy allowed at the time. */
function attestationOf(pod: AttestedPod): AttestedPod {
  const { namespace, name, uid, serviceAccount, audience, node, source, fromNode } = pod;
  return { namespace, name, uid, serviceAccount, audience, node, source, fromNode };
}

async function areaOf(db: Database, { tokenName }: Pick<JoinInput, "tokenName">): Promise<string | null> {
  if (tokenName === null) return null;
  const token = await findToken(db, tokenName);
  if (!token) throw new LedgerError("TOKEN_UNKNOWN", "no such token");
  return token.area;
}

async function knownRequest(db: Database, { fingerprint, nodeName, pod }: JoinInput): Promise<string> {
  const known = await db
    .selectFrom("joinRequests")
    .leftJoin("identities", "identities.requestId", "joinRequests.requestId")
    .select(["joinRequests.requestId", "joinRequests.nodeName", "identities.status"])
    .where("joinRequests.fingerprint", "=", fingerprint)
    .executeTakeFirst();
  if (!known && pod && (await hasAsked(db, pod.uid)))
    throw new LedgerError(
      "POD_ALREADY_USED",
      `the pod ${pod.name} asked with another key before: delete it, and its successor may ask`,
    );
  if (!known)
    throw new LedgerError(
      "NODE_NAME_TAKEN",
      "another key with the same short name asked to join: make a new one",
    );
  if (known.nodeName !== nodeName)
    throw new LedgerError("NODE_NAME_TAKEN", `this key asked to join as ${known.nodeName}`);
  if (known.status === "Revoked" || known.status === "Removed")
    throw new LedgerError("REVOKED", "the membership of this key has ended");
  return known.requestId;
}

async function hasAsked(db: Database, podUid: string): Promise<boolean> {
  const row = await db
    .selectFrom("joinRequests")
    .select("requestId")
    .where(sql<string>`pod ->> 'uid'`, "=", podUid)
    .executeTakeFirst();
  return row !== undefined;
}

export async function findJoinRequest(
  db: Database,
  requestId: string,
): Promise<JoinRequestRecord | undefined> {
  return db.selectFrom("joinRequests").select(COLUMNS).where("requestId", "=", requestId).executeTakeFirst();
}

export async function listJoinRequests(db: Database, decision?: Decision): Promise<JoinRequestRecord[]> {
  return db
    .selectFrom("joinRequests")
    .select(COLUMNS)
    .$if(decision !== undefined, (query) => query.where("decision", "=", decision as Decision))
    .orderBy("createdAt")
    .orderBy("requestId")
    .execute();
}

export async function decideJoin(session: DecidingSession, input: JoinDecision): Promise<JoinRequestRecord> {
  const request = await session.db
    .selectFrom("joinRequests")
    .select(COLUMNS)
    .where("requestId", "=", input.requestId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!request) throw new LedgerError("REQUEST_UNKNOWN", `no join request ${input.requestId}`);
  if (request.decision !== "Pending") return request;
  const nodeId = input.decision === "Approved" ? randomUUID() : null;
  if (nodeId !== null) await createIdentity(session, nodeId, request, input.pools);
  await writeAudit(session, session.authority.term, {
    actor: input.actor,
    action: nodeId === null ? "JoinDenied" : "JoinApproved",
    subject: `request/${input.requestId}`,
    detail: { nodeName: request.nodeName, nodeId, reason: input.reason },
  });
  return session.db
    .updateTable("joinRequests")
    .set({
      decision: input.decision,
      decidedBy: input.actor,
      decidedAt: session.now,
      reason: input.reason,
      nodeId,
    })
    .where("requestId", "=", input.requestId)
    .returning(COLUMNS)
    .executeTakeFirstOrThrow();
}
