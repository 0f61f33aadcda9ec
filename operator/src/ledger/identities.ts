/** Members of the fabric: a node id, a key, a name and an address each, from approval until removal. */
import { addressesAt, lockAddresses, lowestFreeOrdinal } from "./address-pool.ts";
import { LedgerError } from "./errors.ts";
import type { AddressPools, Identity, IdentityStatus, JoinRequestRecord } from "./ledger.ts";
import type { Database, Schema } from "./schema.ts";
import type { Selectable } from "kysely";
import { writeAudit, type DecidingSession } from "./session.ts";

export async function requireFreeName(db: Database, nodeName: string): Promise<void> {
  const holder = await db
    .selectFrom("identities")
    .select("nodeId")
    .where("nodeName", "=", nodeName)
    .where("status", "<>", "Removed")
    .executeTakeFirst();
  if (holder) throw new LedgerError("NODE_NAME_TAKEN", `a node ${nodeName} exists`);
}

export async function createIdentity(
  { db, now }: DecidingSession,
  nodeId: string,
  { requestId, nodeName, fingerprint, area }: JoinRequestRecord,
  pools: AddressPools,
): Promise<void> {
  // The lock makes the name check hold too: names are taken and freed under it only.
  await lockAddresses(db);
  await requireFreeName(db, nodeName);
  const ordinal = await lowestFreeOrdinal(db, pools);
  await db
    .insertInto("identities")
    .values({
      nodeId,
      nodeName,
      requestId,
      fingerprint,
      area,
      ...addressesAt(pools, ordinal),
      createdAt: now,
    })
    .execute();
  await db.insertInto("addresses").values({ ordinal, nodeId }).execute();
}

export async function listIdentities(db: Database): Promise<Identity[]> {
  const rows = await db
    .selectFrom("identities")
    .selectAll()
    .where("status", "<>", "Removed")
    .orderBy("nodeName")
    .execute();
  return rows.map(toIdentity);
}

export async function listEndedIdentities(db: Database, aliveAfter: number): Promise<Identity[]> {
  const rows = await db
    .selectFrom("identities")
    .selectAll()
    .where("status", "=", "Removed")
    .where("certificateNotAfter", ">", aliveAfter)
    .orderBy("nodeId")
    .execute();
  return rows.map(toIdentity);
}

export async function findIdentity(db: Database, nodeId: string): Promise<Identity | undefined> {
  const row = await db.selectFrom("identities").selectAll().where("nodeId", "=", nodeId).executeTakeFirst();
  return row && toIdentity(row);
}

/** Locked until the transaction ends. Throws IDENTITY_UNKNOWN. */
export async function lockIdentity(db: Database, nodeId: string): Promise<Identity> {
  const row = await db
    .selectFrom("identities")
    .selectAll()
    .where("nodeId", "=", nodeId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!row) throw new LedgerError("IDENTITY_UNKNOWN", `no identity ${nodeId}`);
  return toIdentity(row);
}

export interface Ending {
  readonly nodeId: string;
  readonly actor: string;
  readonly reason: string;
}

export async function revokeIdentity(session: DecidingSession, ending: Ending): Promise<Identity> {
  const identity = await lockIdentity(session.db, ending.nodeId);
  if (identity.status !== "Active") return identity;
  return endIdentity(session, ending, "Revoked", ending.reason);
}

export interface Removal extends Ending {
  /** The first epoch whose snapshots do not name the node. */
  readonly epoch: number;
  /** Until when an older snapshot can be lived by, unix seconds. */
  readonly heldUntil: number;
}

export async function removeIdentity(session: DecidingSession, removal: Removal): Promise<Identity> {
  const { epoch, heldUntil, ...ending } = removal;
  const identity = await lockIdentity(session.db, ending.nodeId);
  if (identity.status === "Removed") return identity;
  await session.db
    .updateTable("addresses")
    .set({ heldEpoch: epoch, heldUntil })
    .where("nodeId", "=", ending.nodeId)
    .execute();
  return endIdentity(session, ending, "Removed", identity.reason ?? ending.reason);
}

export async function releaseAddresses(
  { db, now }: DecidingSession,
  confirmedEpoch: number,
): Promise<number> {
  await lockAddresses(db);
  const released = await db
    .deleteFrom("addresses")
    .where((eb) => eb.or([eb("heldEpoch", "<=", confirmedEpoch), eb("heldUntil", "<=", now)]))
    .returning("nodeId")
    .execute();
  return released.length;
}

async function endIdentity(
  session: DecidingSession,
  { nodeId, actor, reason }: Ending,
  status: Exclude<IdentityStatus, "Active">,
  shown: string,
): Promise<Identity> {
  const row = await session.db
    .updateTable("identities")
    .set({ status, reason: shown })
    .where("nodeId", "=", nodeId)
    .returningAll()
    .executeTakeFirstOrThrow();
  await writeAudit(session, session.authority.term, {
    actor,
    action: status === "Revoked" ? "NodeRevoked" : "NodeRemoved",
    subject: `node/${nodeId}`,
    detail: { nodeName: row.nodeName, reason },
  });
  return toIdentity(row);
}

function toIdentity({ ipv4, ipv6, ...row }: Selectable<Schema["identities"]>): Identity {
  return { ...row, addresses: { ipv4, ipv6 } };
}
