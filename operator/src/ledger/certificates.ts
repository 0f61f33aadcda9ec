/** Node certificates issued: the latest is given again on a retry, and bounds how long a snapshot may live. */
import { LedgerError } from "./errors.ts";
import { lockIdentity } from "./identities.ts";
import type { CertificateRecord, Term } from "./ledger.ts";
import type { Database } from "./schema.ts";
import { writeAudit, type DecidingSession } from "./session.ts";

export async function recordCertificate(
  session: DecidingSession,
  certificate: CertificateRecord,
): Promise<void> {
  const { nodeId, serial, notAfter } = certificate;
  const identity = await lockIdentity(session.db, nodeId);
  if (identity.status !== "Active")
    throw new LedgerError("REVOKED", `${identity.nodeName} is ${identity.status.toLowerCase()}`);
  // Expired ones are of no use; the audit still names them.
  await session.db
    .deleteFrom("certificates")
    .where("nodeId", "=", nodeId)
    .where("notAfter", "<", session.now)
    .execute();
  await session.db
    .insertInto("certificates")
    .values({ ...certificate, chainPem: [...certificate.chainPem] })
    .execute();
  await session.db
    .updateTable("identities")
    .set({ certificateNotAfter: notAfter })
    .where("nodeId", "=", nodeId)
    .execute();
  await writeAudit(session, session.authority.term, {
    actor: "operator",
    action: "CertificateIssued",
    subject: `node/${nodeId}`,
    detail: { nodeName: identity.nodeName, serial, notAfter },
  });
}

export async function latestCertificate(
  db: Database,
  nodeId: string,
): Promise<CertificateRecord | undefined> {
  return db
    .selectFrom("certificates")
    .selectAll()
    .where("nodeId", "=", nodeId)
    .orderBy("issuedAt", "desc")
    .orderBy("notAfter", "desc")
    .limit(1)
    .executeTakeFirst();
}

export async function certificateExpiries({
  db,
  authority,
}: DecidingSession): Promise<{ authority: Term; notAfter: ReadonlyMap<string, number> }> {
  const rows = await db
    .selectFrom("identities")
    .select(["nodeId", "certificateNotAfter"])
    .where("status", "=", "Active")
    .where("certificateNotAfter", "is not", null)
    .execute();
  const notAfter = new Map(rows.map((row) => [row.nodeId, row.certificateNotAfter ?? 0]));
  return { authority, notAfter };
}
