/** What every method of the ledger works in: one transaction at one time, and for those that decide, under one term. */
import type { AuditEntry, Term } from "./ledger.ts";
import { LedgerError } from "./errors.ts";
import type { Database } from "./schema.ts";

export interface Session {
  readonly db: Database;
  /** Unix seconds. */
  readonly now: number;
}

export interface DecidingSession extends Session {
  readonly authority: Term;
}

/** Holds the term until the transaction ends: a new term waits for this lock, and finds the decision made. */
export async function requireTerm(db: Database, term: number): Promise<Term> {
  const authority = await db
    .selectFrom("authority")
    .select(["term", "epoch", "holder"])
    .forShare()
    .executeTakeFirstOrThrow();
  if (authority.term !== term) throw fenced(term, authority);
  return authority;
}

export function fenced(term: number, inForce: Term): LedgerError {
  return new LedgerError(
    "FENCED",
    `term ${term} has passed: term ${inForce.term} of ${inForce.holder ?? "nobody"} is in force`,
  );
}

export async function writeAudit(
  { db, now }: Session,
  term: number,
  { actor, action, subject, detail = {} }: AuditEntry,
): Promise<void> {
  await db
    .insertInto("audit")
    .values({ at: now, term, actor, action, subject, detail: JSON.stringify(detail) })
    .execute();
}
