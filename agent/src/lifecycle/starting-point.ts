/** What a starting agent does with what it finds on disk and in its configuration. Pure. */
import type { JoinAttempt, Membership } from "../identity/membership.ts";

export interface Found {
  readonly membership: Pick<Membership, "fingerprint" | "revoked"> | null;
  readonly attempt: Pick<JoinAttempt, "tokenId" | "denied"> | null;
  /** Of the node's key. */
  readonly fingerprint: string;
  /** Id of the token that the configuration offers. */
  readonly offeredTokenId: string | null;
  /** The configuration says to join with the pod's service-account token. */
  readonly byServiceAccount: boolean;
}

export type StartingPoint = "live" | "keyLost" | "resumeJoin" | "join" | "denied" | "idle";

export function startingPoint(found: Found): StartingPoint {
  const { membership, attempt, fingerprint, offeredTokenId, byServiceAccount } = found;
  // An undecided attempt goes first: it began after the membership that it is to replace.
  if (attempt && !attempt.denied) return "resumeJoin";
  if (membership) {
    const keyLost = !membership.revoked && membership.fingerprint !== fingerprint;
    const isOver = membership.revoked || keyLost;
    // A pod's successor asks anew for a host whose membership is over. The operator refuses it while the old node's name stands.
    if (!isOver || !byServiceAccount) return keyLost ? "keyLost" : "live";
  }
  // A denial stands until someone offers another token.
  if (attempt?.denied && (offeredTokenId === null || offeredTokenId === attempt.tokenId)) return "denied";
  return offeredTokenId === null && !byServiceAccount ? "idle" : "join";
}
