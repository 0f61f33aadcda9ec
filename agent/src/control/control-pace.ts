/**
 * When to speak to the operator. A state machine without I/O: time comes in, what is due comes out. Intervals are counted in
 * elapsed time (Clock.elapsedMs), so that setting the host's clock neither hurries nor hushes it.
 *
 * - a heartbeat every 5 s while there is a session, and at once after a change, yet never more than four a second
 * - silent when no acknowledgement came for 15 s, session or not: three heartbeats lost is no accident
 * - renewal at its time, asked again every 15 s until the new certificate is there
 */

export const HEARTBEAT_INTERVAL_MS = 5000;
/** Three heartbeats without an answer: the operator is gone or out of reach. */
export const SILENCE_MS = 15_000;
/** A storm of changes becomes four heartbeats a second. */
export const MIN_HEARTBEAT_GAP_MS = 250;
/** A third of a certificate's life is left when renewal begins; no hurry, and no storm at an operator that has just come back. */
export const RENEWAL_RETRY_MS = 15_000;

export interface Due {
  readonly heartbeat: boolean;
  readonly renewal: boolean;
}

export interface ControlPace {
  readonly sessionReady: boolean;
  session(ready: boolean): void;
  /** Something that the operator should hear of soon. */
  readonly changed: () => void;
  acknowledged(elapsedMs: number): void;
  /** @param unixMs when the certificate wants renewing */
  renewAt(unixMs: number): void;
  /** What to do now; asking counts as doing. */
  due(elapsedMs: number, unixMs: number): Due;
  silent(elapsedMs: number): boolean;
}

export function createControlPace(startedMs: number): ControlPace {
  let sessionReady = false;
  let lastAckMs = startedMs;
  let lastHeartbeatMs = Number.NEGATIVE_INFINITY;
  let changePending = false;
  let renewalUnixMs = Number.POSITIVE_INFINITY;
  let lastRenewalMs = Number.NEGATIVE_INFINITY;

  function session(ready: boolean): void {
    if (ready && !sessionReady) changePending = true;
    sessionReady = ready;
  }

  function heartbeatDue(elapsedMs: number): boolean {
    const sinceMs = elapsedMs - lastHeartbeatMs;
    const due = sinceMs >= HEARTBEAT_INTERVAL_MS || (changePending && sinceMs >= MIN_HEARTBEAT_GAP_MS);
    if (!sessionReady || !due) return false;
    lastHeartbeatMs = elapsedMs;
    changePending = false;
    return true;
  }

  function renewalDue(elapsedMs: number, unixMs: number): boolean {
    if (!sessionReady || unixMs < renewalUnixMs || elapsedMs - lastRenewalMs < RENEWAL_RETRY_MS) return false;
    lastRenewalMs = elapsedMs;
    return true;
  }

  return {
    get sessionReady() {
      return sessionReady;
    },
    session,
    changed: () => {
      changePending = true;
    },
    acknowledged: (elapsedMs) => {
      lastAckMs = elapsedMs;
    },
    renewAt: (unixMs) => {
      renewalUnixMs = unixMs;
    },
    due: (elapsedMs, unixMs) => ({
      heartbeat: heartbeatDue(elapsedMs),
      renewal: renewalDue(elapsedMs, unixMs),
    }),
    silent: (elapsedMs) => elapsedMs - lastAckMs > SILENCE_MS,
  };
}
