/** Nonces of signed requests, kept as long as a copy of the request could still be believed. */
import { REQUEST_WINDOW_SECONDS } from "@saf/protocol";
import { LedgerError } from "./errors.ts";
import type { Session } from "./session.ts";

/** A request may be dated a window ahead and is believed a window after its date. */
const NONCE_LIFETIME_SECONDS = 2 * REQUEST_WINDOW_SECONDS;
/** More than one for each one that comes: the table shrinks back by itself. */
const PRUNE_BATCH = 10;

export async function useNonce({ db, now }: Session, fingerprint: string, nonce: string): Promise<void> {
  const fresh = await db
    .insertInto("nonces")
    .values({ fingerprint, nonce, expiresAt: now + NONCE_LIFETIME_SECONDS })
    .onConflict((conflict) => conflict.doNothing())
    .returning("nonce")
    .executeTakeFirst();
  if (!fresh) throw new LedgerError("REPLAYED", "this very request was made before");
  await prune({ db, now });
}

/** Rows that another transaction is pruning are its own: nobody waits. */
async function prune({ db, now }: Session): Promise<void> {
  await db
    .deleteFrom("nonces")
    .where((eb) =>
      eb(
        eb.refTuple("fingerprint", "nonce"),
        "in",
        eb
          .selectFrom("nonces")
          .select(["fingerprint", "nonce"])
          .where("expiresAt", "<", now)
          .limit(PRUNE_BATCH)
          .forUpdate()
          .skipLocked()
          .$asTuple("fingerprint", "nonce"),
      ),
    )
    .execute();
}
