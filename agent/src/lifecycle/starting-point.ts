/** What a starting agent does with what it finds on disk and in its configuration. Pure. */
import type { JoinAttempt, Membership } from "../identity/membership.ts";

export interface Found {
  readonly membership: Pick<Membership, "fingerprint" | "revoked"> | null;
  readonly attempt: Pick<JoinAttempt, "tokenId" | "denied"> | null;
  /** Of the node's key. */
  readonly fingerprint: string;
  /** Id of the token that the configuration offers. */
  readonly offeredTokenId: string | null;
}

export type StartingPoint = "live" | "keyLost" | "resumeJoin" | "join" | "denied" | "idle";

export function startingPoint({ membership, attempt, fingerprint, offeredTokenId }: Found): StartingPoint {
  // An undecided attempt goes first: it began after the membership that it is to replace.
  if (attempt && !attempt.denied) return "resumeJoin";
  if (membership) return membership.revoked || membership.fingerprint === fingerprint ? "live" : "keyLost";
  // A denial stands until someone offers another token.
  if (attempt?.denied && (offeredTokenId === null || offeredTokenId === attempt.tokenId)) return "denied";
  return offeredTokenId === null ? "idle" : "join";
}
