/**
 * What probes are told. Ready: the node holds a snapshot that is in force and its engine lives by it; without the operator it is
 * ready still, and says degraded. Not alive is only an agent that stands still, because nothing else is mended by starting it again.
 */
import type { Health } from "@saf/telemetry";
import type { StatusView } from "../local-api/views.ts";

/** The loop of the agent turns four times a second; this long without a turn is a hang, not a busy host. */
const HUNG_AFTER_MS = 60_000;

/** What a degraded node can carry packets with. */
function isOfControlOnly(reason: string | null): boolean {
  return (
    reason === "OPERATOR_UNHEARD" || reason === "OPERATOR_SILENT" || reason?.startsWith("STATE_") === true
  );
}

export function readiness({
  state,
  reasonCode: reason,
  snapshot,
  engine,
}: Pick<StatusView, "state" | "reasonCode" | "snapshot" | "engine">): Health {
  const carries = snapshot !== null && engine.connected;
  const ok = carries && (state === "running" || (state === "degraded" && isOfControlOnly(reason)));
  return { ok, state, reason };
}

export interface Pulse {
  readonly beat: () => void;
  readonly live: () => Health;
}

export function createPulse(elapsedMs: () => number): Pulse {
  let beatMs = elapsedMs();
  return {
    beat: () => {
      beatMs = elapsedMs();
    },
    live: () => {
      const ok = elapsedMs() - beatMs < HUNG_AFTER_MS;
      return { ok, state: ok ? "alive" : "hung", reason: ok ? null : "LOOP_HANGS" };
    },
  };
}
