/**
 * How a member goes when its FabricNode is deleted, in the order in which nobody loses what was accepted and nobody is mistaken for
 * somebody else:
 *
 *   told      the node hears that it is over, and its engine says goodbye to its peers (GOAWAY) and ends
 *   revoked   in the ledger: no certificate, no session, and the next snapshots refuse its key by name
 *   removed   once those snapshots are with the nodes in session: its name is free, the object goes
 *   released  once no member can hold a snapshot that names it: its address is free
 *
 * No step waits for ever: a node that is gone already is not waited for, nor is one that does not leave, nor a peer that is away.
 */
import type { IdentityStatus } from "../../ledger/ledger.ts";

/** Far longer than an engine takes to end its sessions, and short for a person who deletes a node that hangs. */
export const DRAIN_MS = 2_000;
/** Two heartbeats: by then a node in session has confirmed, or will not soon. */
export const CONFIRM_MS = 10_000;

export interface Leaving {
  readonly status: IdentityStatus;
  /** It has a control session. */
  readonly connected: boolean;
  /** When it was told; undefined before. */
  readonly toldMs: number | undefined;
  /** What was published last, if it is without the node. */
  readonly editionWithout: { readonly sinceMs: number } | undefined;
  /** Members in session that have not confirmed that edition. */
  readonly unconfirmed: number;
  readonly nowMs: number;
}

export type LeavingStep = "tell" | "revoke" | "remove" | { readonly waitMs: number };

/** Events end a wait sooner; this is for when none comes. */
const LOOK_AGAIN_MS = 250;

export function nextStep(leaving: Leaving): LeavingStep {
  const { status, connected, toldMs, editionWithout, unconfirmed, nowMs } = leaving;
  if (status === "Active") {
    if (!connected) return "revoke";
    if (toldMs === undefined) return "tell";
    return nowMs < toldMs + DRAIN_MS ? { waitMs: toldMs + DRAIN_MS - nowMs } : "revoke";
  }
  if (!editionWithout) return { waitMs: LOOK_AGAIN_MS };
  const latestMs = editionWithout.sinceMs + CONFIRM_MS;
  if (unconfirmed > 0 && nowMs < latestMs) return { waitMs: Math.min(LOOK_AGAIN_MS, latestMs - nowMs) };
  return "remove";
}
