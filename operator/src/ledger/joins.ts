/** Join requests: admitted once per key, decided once. */
import { randomUUID } from "node:crypto";
import { requestIdFor } from "@saf/protocol";
import { LedgerError } from "./errors.ts";
import { createIdentity, requireFreeName } from "./identities.ts";
import type { Decision, JoinDecision, JoinInput, JoinRequestRecord } from "./ledger.ts";
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
  await takeTokenUse(session, input.tokenName, input.requestedRoles);
  await requireFreeName(session.db, input.nodeName);
  await writeAudit(session, session.authority.term, {
    actor: `token/${input.tokenName}`,
    action: "JoinRequested",
    subject: `request/${requestId}`,
    detail: { fingerprint: input.fingerprint, source: input.source },
  });
  return { requestId, created: true };
}

/** False when the key or the id is known. Of two at once, the later waits here for what becomes of the first. */
async function insertPending(
  { db, now }: DecidingSession,
  requestId: string,
  { nonce: _nonce, source: _source, ...input }: JoinInput,
): Promise<boolean> {
  const token = await findToken(db, input.tokenName);
  if (!token) throw new LedgerError("TOKEN_UNKNOWN", "no such token");
  const inserted = await db
    .insertInto("joinRequests")
    .values({
      ...input,
      requestId,
      requestedRoles: [...input.requestedRoles],
      candidates: [...input.candidates],
      facts: JSON.stringify(input.facts),
      capabilities: JSON.stringify(input.capabilities),
      area: token.area,
      createdAt: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning("requestId")
    .executeTakeFirst();
  return inserted !== undefined;
}

async function knownRequest(db: Database, { fingerprint, nodeName }: JoinInput): Promise<string> {
  const known = await db
    .selectFrom("joinRequests")
    .leftJoin("identities", "identities.requestId", "joinRequests.requestId")
    .select(["joinRequests.requestId", "joinRequests.nodeName", "identities.status"])
    .where("joinRequests.fingerprint", "=", fingerprint)
    .executeTakeFirst();
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
