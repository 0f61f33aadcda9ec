/** What a JoinToken's status says. */
import type { JoinToken, JoinTokenStatus } from "@saf/crds";
import type { Token, TokenSpec } from "../../ledger/ledger.ts";
import { conditionsFrom, finding, type Finding } from "../condition.ts";

export interface TokenInput {
  readonly token: JoinToken;
  /** As the ledger has it; null when the ledger refuses it because its name was used with another secret. */
  readonly known: Pick<Token, "uses" | "revoked"> | null;
  readonly nowMs: number;
}

export interface TokenOutcome {
  readonly status: JoinTokenStatus;
  /** When time alone changes the outcome, unix ms. */
  readonly nextMs: number | null;
}

export function decideToken({ token, known, nowMs }: TokenInput): TokenOutcome {
  const ready = readiness({ token, known, nowMs });
  const { generation } = token.metadata;
  const conditions = conditionsFrom([ready], { previous: token.status?.conditions, generation, nowMs });
  const expiresMs = Date.parse(token.spec.expiresAt);
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const status: JoinTokenStatus = { ...observed, conditions, uses: known?.uses ?? token.status?.uses ?? 0 };
  return { status, nextMs: expiresMs > nowMs ? expiresMs : null };
}

function readiness({ token: { spec }, known, nowMs }: TokenInput): Finding {
  if (known === null)
    return finding(
      "Ready",
      "False",
      "NameReused",
      "the name was used with another secret; make a token with a new name",
    );
  if (spec.revoked) return finding("Ready", "False", "Revoked", "revoked by its owner");
  if (known.revoked)
    return finding(
      "Ready",
      "False",
      "Revoked",
      "revoked before it was made again; make a token with a new name",
    );
  if (Date.parse(spec.expiresAt) <= nowMs)
    return finding("Ready", "False", "Expired", `expired at ${spec.expiresAt}`);
  if (known.uses >= spec.maxUses)
    return finding("Ready", "False", "Exhausted", `used ${known.uses} of ${spec.maxUses} times`);
  return finding("Ready", "True", "Active", "hosts may ask to join with it");
}

/** The token as the ledger keeps it. */
export function ledgerTokenOf({ metadata, spec }: JoinToken): TokenSpec {
  return {
    name: metadata.name,
    hash: spec.tokenHash,
    expiresAt: Math.floor(Date.parse(spec.expiresAt) / 1000),
    maxUses: spec.maxUses,
    revoked: spec.revoked,
    allowedRoles: spec.allowedRoles,
    area: spec.area ?? null,
  };
}
