/** Join tokens: what their JoinToken says, and how often they were used, which only the ledger knows. */
import { LedgerError } from "./errors.ts";
import type { Token, TokenSpec } from "./ledger.ts";
import type { Database } from "./schema.ts";
import { writeAudit, type DecidingSession, type Session } from "./session.ts";

const COLUMNS = ["name", "hash", "expiresAt", "maxUses", "uses", "revoked", "allowedRoles", "area"] as const;

export async function putToken(session: DecidingSession, spec: TokenSpec): Promise<Token> {
  const before = await session.db
    .selectFrom("tokens")
    .select([...COLUMNS, "removed"])
    .where("name", "=", spec.name)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (before && !before.removed && before.hash !== spec.hash)
    throw new LedgerError("TOKEN_CONFLICT", `a token ${spec.name} with another hash exists`);
  // Deleted and made again it is still the same secret: neither its uses nor its revocation are forgotten.
  const known = before?.hash === spec.hash ? before : undefined;
  const row = {
    ...spec,
    allowedRoles: [...spec.allowedRoles],
    removed: false,
    revoked: spec.revoked || (known?.revoked ?? false),
    uses: known?.uses ?? 0,
  };
  const after = await session.db
    .insertInto("tokens")
    .values(row)
    .onConflict((conflict) => conflict.column("name").doUpdateSet(row))
    .returning(COLUMNS)
    .executeTakeFirstOrThrow();
  await auditToken(session, before, after);
  return after;
}

async function auditToken(
  session: DecidingSession,
  before: (Token & { removed: boolean }) | undefined,
  { name, expiresAt, maxUses, revoked }: Token,
): Promise<void> {
  const made = !before || before.removed;
  const same = before?.revoked === revoked && before.expiresAt === expiresAt && before.maxUses === maxUses;
  if (!made && same) return;
  await writeAudit(session, session.authority.term, {
    actor: "operator",
    action: made ? "TokenRegistered" : "TokenChanged",
    subject: `token/${name}`,
    detail: { expiresAt, maxUses, revoked },
  });
}

export async function removeToken(session: DecidingSession, name: string): Promise<void> {
  const removed = await session.db
    .updateTable("tokens")
    .set({ removed: true })
    .where("name", "=", name)
    .where("removed", "=", false)
    .returning("name")
    .executeTakeFirst();
  if (!removed) return;
  await writeAudit(session, session.authority.term, {
    actor: "operator",
    action: "TokenRemoved",
    subject: `token/${name}`,
  });
}

export async function findToken(db: Database, name: string): Promise<Token | undefined> {
  return db
    .selectFrom("tokens")
    .select(COLUMNS)
    .where("name", "=", name)
    .where("removed", "=", false)
    .executeTakeFirst();
}

export async function listTokens(db: Database): Promise<Token[]> {
  return db.selectFrom("tokens").select(COLUMNS).where("removed", "=", false).orderBy("name").execute();
}

/** The token, once its use is taken. Throws TOKEN_UNKNOWN, TOKEN_REVOKED, TOKEN_EXPIRED, ROLE_NOT_ALLOWED, TOKEN_EXHAUSTED. */
export async function takeTokenUse(
  { db, now }: Session,
  name: string,
  requestedRoles: readonly string[],
): Promise<void> {
  const token = await db
    .selectFrom("tokens")
    .select([...COLUMNS, "removed"])
    .where("name", "=", name)
    .forNoKeyUpdate()
    .executeTakeFirst();
  requireUsable(token?.removed ? undefined : token, requestedRoles, now);
  await db
    .updateTable("tokens")
    .set((eb) => ({ uses: eb("uses", "+", 1) }))
    .where("name", "=", name)
    .execute();
}

function requireUsable(token: Token | undefined, requestedRoles: readonly string[], now: number): void {
  if (!token) throw new LedgerError("TOKEN_UNKNOWN", "no such token");
  if (token.revoked) throw new LedgerError("TOKEN_REVOKED", "the token was revoked");
  if (token.expiresAt <= now) throw new LedgerError("TOKEN_EXPIRED", "the token has expired");
  const refused = requestedRoles.find((role) => !token.allowedRoles.includes(role));
  if (refused !== undefined)
    throw new LedgerError("ROLE_NOT_ALLOWED", `the token does not allow the role ${refused}`);
  if (token.uses >= token.maxUses)
    throw new LedgerError("TOKEN_EXHAUSTED", `the token's ${token.maxUses} uses are used up`);
}
