/** Term and epoch: who rules, and how many decisions there have been. */
import { LedgerError } from "./errors.ts";
import type { Term } from "./ledger.ts";
import type { Database } from "./schema.ts";
import { fenced, writeAudit, type Session } from "./session.ts";

export async function readTerm(db: Database): Promise<Term> {
  return db.selectFrom("authority").select(["term", "epoch", "holder"]).executeTakeFirstOrThrow();
}

export async function takeTerm(
  session: Session,
  { holder, expected }: { holder: string; expected: number },
): Promise<Term> {
  const taken = await session.db
    .updateTable("authority")
    .set({ term: expected + 1, holder })
    .where("term", "=", expected)
    .returning(["term", "epoch", "holder"])
    .executeTakeFirst();
  if (!taken) throw new LedgerError("TERM_TAKEN", `term ${expected} is no longer the term in force`);
  await writeAudit(session, taken.term, { actor: holder, action: "TermTaken", subject: "authority" });
  return taken;
}

export async function advanceEpoch({ db }: Session, term: number): Promise<number> {
  const advanced = await db
    .updateTable("authority")
    .set((eb) => ({ epoch: eb("epoch", "+", 1) }))
    .where("term", "=", term)
    .returning("epoch")
    .executeTakeFirst();
  if (!advanced) throw fenced(term, await readTerm(db));
  return advanced.epoch;
}
