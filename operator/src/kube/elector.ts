/**
 * Leader election by a Lease (coordination.k8s.io/v1), with the rules of client-go's leaderelection:
 *
 *   stand: every retry period look at the Lease; take it when nobody holds it, when it is ours, or when its record has not
 *          changed for its whole duration by OUR clock (clocks of the candidates are never compared)
 *   lead:  renew every retry period; when no renewal succeeded for the renew deadline, stop leading
 *   stop:  abort the leader's work, wait for its end, give the Lease back, stand again
 *
 * The deadline lies before the duration's end, so work has stopped when a successor can start. Election only makes two leaders
 * unlikely; what makes them harmless is the term in the ledger.
 */
import { sleep, type Clock } from "./clock.ts";
import { isKubeError } from "./errors.ts";
import { findObject } from "./find.ts";
import type { KubeClient } from "./client.ts";
import { LEASES, type Lease } from "./resource.ts";
import type { Log } from "../telemetry/log.ts";

export interface LeaseTimings {
  /** How long an unrenewed Lease keeps others out. */
  readonly durationMs: number;
  /** How long the leader goes on without a successful renewal. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/**
 * client-go's defaults are 15/10/2 s. Here a successor of a killed operator leads within 7 s. The price is an early step-down when
 * the API server is silent for 4 s, and that is cheap: nodes live by their snapshots meanwhile, and re-election costs one term.
 * One renewal a second is nothing to an API server.
 */
export const LEASE_TIMINGS: LeaseTimings = { durationMs: 6_000, renewDeadlineMs: 4_000, retryMs: 1_000 };

export interface ElectorOptions {
  readonly client: Pick<KubeClient, "get" | "create" | "replace">;
  readonly leaseName: string;
  /** Unlike that of every other candidate. */
  readonly identity: string;
  readonly timings: LeaseTimings;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  /** Each look at the Lease, whoever it found: `unclear`, somebody wrote at the same time; undefined, no answer. */
  readonly onLook?: (holder: "self" | "other" | "unclear" | undefined) => void;
}

/** Why one spell of leading ended. */
type Ending = "stopped" | "lost" | "finished";

export interface Elector {
  /** Stands and leads until the signal aborts. `lead` must end soon after its own signal aborts. */
  run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void>;
}

/** Asked every two seconds, one a minute is enough to read. */
const REFUSALS_PER_WARNING = 30;

export function createElector(options: ElectorOptions): Elector {
  const { client, leaseName, identity, timings, clock, random, log, onLook } = options;
  let observed: { readonly record: string; readonly atMs: number } | undefined;

  /** Waiting candidates spread out; client-go's jitter factor is 1.2. */
  const standPeriodMs = (): number => timings.retryMs * (1 + 0.2 * random());

  let refusals = 0;

  const look = (timeoutMs: number): Promise<Lease | undefined> =>
    findObject(client, LEASES, leaseName, { timeoutMs });

  const heldByOther = ({ spec }: Lease): boolean => {
    if (!spec?.holderIdentity || spec.holderIdentity === identity) return false;
    const record = JSON.stringify([spec.holderIdentity, spec.renewTime, spec.leaseTransitions]);
    if (observed?.record !== record) observed = { record, atMs: clock.nowMs() };
    return clock.nowMs() < observed.atMs + (spec.leaseDurationSeconds ?? 1) * 1000;
  };

  /** Whether the Lease is ours after this call. Throws KubeError when that could not be found out. */
  const takeOrRenew = async (timeoutMs: number): Promise<boolean> => {
    const lease = await look(timeoutMs);
    if (!lease) {
      const metadata = { name: leaseName };
      await client.create(LEASES, { ...newLease(metadata), spec: recordFor(undefined) }, { timeoutMs });
      return true;
    }
    if (heldByOther(lease)) return false;
    await client.replace(LEASES, { ...newLease(lease.metadata), spec: recordFor(lease) } as Lease, {
      timeoutMs,
    });
    return true;
  };

  const recordFor = (previous: Lease | undefined): Lease["spec"] => {
    const now = microTime(clock.nowMs());
    const same = previous?.spec?.holderIdentity === identity;
    const transitions = previous?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(timings.durationMs / 1000),
      acquireTime: (same && previous?.spec?.acquireTime) || now,
      renewTime: now,
      leaseTransitions: same || !previous ? transitions : transitions + 1,
    };
  };

  const tryOnce = async (timeoutMs: number): Promise<boolean | "unknown"> => {
    try {
      const ours = await takeOrRenew(timeoutMs);
      onLook?.(ours ? "self" : "other");
      return ours;
    } catch (error) {
      if (isKubeError(error, "FORBIDDEN") && refusals++ % REFUSALS_PER_WARNING === 0)
        log.warn({ error, leaseName }, "no right to the lease: nobody can rule");
      else log.debug({ error, leaseName }, "lease not renewed");
      const raced = isKubeError(error, "CONFLICT", "ALREADY_EXISTS");
      onLook?.(raced ? "unclear" : undefined);
      return raced ? false : "unknown";
    }
  };

  /** Resolves when the Lease is ours, or the signal aborts. */
  const stand = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      if ((await tryOnce(timings.renewDeadlineMs)) === true) return;
      await sleep(clock, standPeriodMs(), signal);
    }
  };

  /** Resolves when the Lease is lost or could not be renewed in time, or the signal aborts. */
  const renewWhile = async (signal: AbortSignal): Promise<void> => {
    let renewedMs = clock.nowMs();
    while (!signal.aborted) {
      await sleep(clock, timings.retryMs, signal);
      if (signal.aborted) return;
      const leftMs = renewedMs + timings.renewDeadlineMs - clock.nowMs();
      const sentMs = clock.nowMs();
      const result = leftMs > 0 ? await tryOnce(leftMs) : "unknown";
      if (result === true) renewedMs = sentMs;
      else if (result === false && (await stillOthers())) return;
      if (clock.nowMs() - renewedMs >= timings.renewDeadlineMs) return;
    }
  };

  /** A conflict may only mean that somebody edited the Lease: it is lost when the record names another holder. */
  const stillOthers = async (): Promise<boolean> => {
    try {
      const lease = await look(timings.retryMs);
      return lease !== undefined && heldByOther(lease);
    } catch {
      return false;
    }
  };

  const leadOnce = async (
    signal: AbortSignal,
    lead: (signal: AbortSignal) => Promise<void>,
  ): Promise<Ending> => {
    const term = new AbortController();
    const both = AbortSignal.any([signal, term.signal]);
    let ending: Ending = "stopped";
    const renew = async (): Promise<void> => {
      await renewWhile(both);
      if (!both.aborted) ending = "lost";
      term.abort();
    };
    const renewal = renew();
    try {
      await lead(both);
      if (!both.aborted) ending = "finished";
    } finally {
      term.abort();
      await renewal;
    }
    return ending;
  };

  /** So that a successor need not wait for the duration to pass. */
  const giveBack = async (): Promise<void> => {
    try {
      const lease = await look(timings.renewDeadlineMs);
      if (lease?.spec?.holderIdentity !== identity) return;
      const spec = {
        ...lease.spec,
        holderIdentity: "",
        leaseDurationSeconds: 1,
        renewTime: microTime(clock.nowMs()),
      };
      await client.replace(LEASES, { ...newLease(lease.metadata), spec } as Lease, {
        timeoutMs: timings.renewDeadlineMs,
      });
    } catch (error) {
      log.info({ error, leaseName }, "the lease could not be given back; it runs out by itself");
    }
  };

  return {
    async run(signal, lead) {
      while (!signal.aborted) {
        await stand(signal);
        if (signal.aborted) return;
        log.info({ leaseName, identity }, "leading");
        let ending: Ending = "finished";
        try {
          ending = await leadOnce(signal, lead);
        } catch (error) {
          log.error({ error }, "leading failed");
        }
        log.info({ leaseName, identity, ending }, "no longer leading");
        if (ending !== "lost") await giveBack();
        if (ending === "finished") await sleep(clock, timings.durationMs * (1 + random()), signal);
      }
    },
  };
}

function newLease(metadata: Lease["metadata"]): Pick<Lease, "apiVersion" | "kind" | "metadata"> {
  return { apiVersion: LEASES.apiVersion, kind: LEASES.kind, metadata };
}

/** metav1.MicroTime. */
function microTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replace("Z", "000Z");
}
