/** Brings the schema up to this program's, and says which ledger this is. Safe when several operators start at once. */
import { randomUUID } from "node:crypto";
import { Migrator } from "kysely/migration";
import { migrations } from "../../../migrations/index.ts";
import { asLedgerError, messageOf } from "./database-failure.ts";
import { LedgerError } from "./errors.ts";
import type { Database } from "./schema.ts";

/** Throws SCHEMA_NEWER when the database has seen migrations that this program has not, LEDGER_UNAVAILABLE. */
export async function migrate(db: Database): Promise<void> {
  const provider = { getMigrations: () => Promise.resolve({ ...migrations }) };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  if (error === undefined) return;
  if (/corrupted migrations/.test(messageOf(error)))
    throw new LedgerError("SCHEMA_NEWER", "the ledger was written by a newer version of the operator", {
      cause: error,
    });
  throw asLedgerError(error);
}

/** The ledger's id, made the first time. Throws FOREIGN_LEDGER when it is another trust domain's. */
export async function claimLedger(db: Database, trustDomain: string, now: number): Promise<string> {
  await db
    .insertInto("ledger")
    .values({ id: randomUUID(), trustDomain, createdAt: now })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await db
    .insertInto("authority")
    .values({ term: 0, epoch: 0, holder: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const ledger = await db.selectFrom("ledger").select(["id", "trustDomain"]).executeTakeFirstOrThrow();
  if (ledger.trustDomain !== trustDomain)
    throw new LedgerError(
      "FOREIGN_LEDGER",
      `the ledger belongs to ${ledger.trustDomain}, not ${trustDomain}`,
    );
  return ledger.id;
}
