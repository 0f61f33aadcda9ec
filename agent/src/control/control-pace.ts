/**
 * When to speak to the operator. A state machine without I/O: time comes in, what is due comes out.
 *
 * - a heartbeat every 5 s while there is a session, and at once after a change, yet never more than four a second
 * - silent when no acknowledgement came for 15 s, session or not: three heartbeats lost is no accident
 * - renewal at its time, asked again every 15 s until the new certificate is there
 */

export const HEARTBEAT_INTERVAL_MS = 5000;
export const SILENCE_MS = 15_000;
/** A storm of changes becomes four heartbeats a second. */
export const MIN_HEARTBEAT_GAP_MS = 250;
export const RENEWAL_RETRY_MS = 15_000;

export interface Due {
  readonly heartbeat: boolean;
  readonly renewal: boolean;
}

export interface ControlPace {
  readonly sessionReady: boolean;
  /** Unix milliseconds, null before the first. */
  readonly lastAckMs: number | null;
  session(ready: boolean): void;
  /** Something that the operator should hear of soon. */
  readonly changed: () => void;
  acknowledged(nowMs: number): void;
  renewAt(timeMs: number): void;
  /** What to do now; asking counts as doing. */
  due(nowMs: number): Due;
  silent(nowMs: number): boolean;
}

export function createControlPace(startedMs: number): ControlPace {
  let sessionReady = false;
  let lastAckMs: number | null = null;
  let lastHeartbeatMs = Number.NEGATIVE_INFINITY;
  let changePending = false;
  let renewalMs = Number.POSITIVE_INFINITY;

  function session(ready: boolean): void {
    if (ready && !sessionReady) changePending = true;
    sessionReady = ready;
  }

  function heartbeatDue(nowMs: number): boolean {
    const elapsedMs = nowMs - lastHeartbeatMs;
    const due = elapsedMs >= HEARTBEAT_INTERVAL_MS || (changePending && elapsedMs >= MIN_HEARTBEAT_GAP_MS);
    if (!sessionReady || !due) return false;
    lastHeartbeatMs = nowMs;
    changePending = false;
    return true;
  }

  function renewalDue(nowMs: number): boolean {
    if (!sessionReady || nowMs < renewalMs) return false;
    renewalMs = nowMs + RENEWAL_RETRY_MS;
    return true;
  }

  return {
    get sessionReady() {
      return sessionReady;
    },
    get lastAckMs() {
      return lastAckMs;
    },
    session,
    changed: () => {
      changePending = true;
    },
    acknowledged: (nowMs) => {
      lastAckMs = nowMs;
    },
    renewAt: (timeMs) => {
      renewalMs = timeMs;
    },
    due: (nowMs) => ({ heartbeat: heartbeatDue(nowMs), renewal: renewalDue(nowMs) }),
    silent: (nowMs) => nowMs - (lastAckMs ?? startedMs) > SILENCE_MS,
  };
}
