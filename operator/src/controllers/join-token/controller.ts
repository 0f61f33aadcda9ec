/**
 * JoinToken: copies what the owner wants to the ledger, which alone counts uses, and shows what the ledger counted.
 * A deleted token is unknown to the ledger before its object goes.
 */
import type { JoinToken } from "@saf/crds";
import { addFinalizer, hasFinalizer, removeFinalizer } from "../../kube/finalizers.ts";
import type { Again } from "../../kube/work-queue.ts";
import type { Token } from "../../ledger/ledger.ts";
import { codeOf } from "../controller.ts";
import { JOIN_TOKENS } from "../resources.ts";
import type { Scope } from "../scope.ts";
import { writeStatus } from "../status-writer.ts";
import { decideToken, ledgerTokenOf } from "./decide.ts";

export function reconcileToken(scope: Scope): (name: string) => Promise<Again | undefined> {
  const { client, caches, clock, ledger, term } = scope;

  const end = async (token: JoinToken): Promise<undefined> => {
    if (hasFinalizer(token)) await ledger.removeToken(term, token.metadata.name);
    await removeFinalizer(client, JOIN_TOKENS, token);
  };

  return async (name) => {
    const token = caches.tokens.get(name);
    if (!token) return undefined;
    if (token.metadata.deletionTimestamp) return end(token);
    await addFinalizer(client, JOIN_TOKENS, token);
    const { status, nextMs } = decideToken({
      token,
      known: await register(scope, token),
      nowMs: clock.nowMs(),
    });
    await writeStatus(scope, JOIN_TOKENS, token, status);
    return nextMs === null ? undefined : { afterMs: nextMs - clock.nowMs() };
  };
}

/** Null when the name was used with another secret. */
async function register({ ledger, term }: Scope, token: JoinToken): Promise<Token | null> {
  try {
    return await ledger.putToken(term, ledgerTokenOf(token));
  } catch (error) {
    if (codeOf(error) === "TOKEN_CONFLICT") return null;
    throw error;
  }
}
