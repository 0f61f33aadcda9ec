/**
 * A controller: a queue of names and a function that brings one of them to where it should be. The function may be called at any
 * time, any number of times; it looks at everything afresh. What a failure means is decided here, once for all:
 *
 *   fenced        another operator rules: the whole scope ends
 *   conflict, gone ledger or API server, anything else: the name comes back after its backoff
 */
import type { Backoff } from "../kube/backoff.ts";
import { isKubeError, lackedRight, type KubeError } from "../kube/errors.ts";
import { createWorkQueue, type Again, type WorkQueue } from "../kube/work-queue.ts";
import type { Scope } from "./scope.ts";

/** A conflict is usually over at the next try; an outage of a minute costs about twenty tries of each name. */
const BACKOFF: Backoff = { baseMs: 50, capMs: 5_000 };
/** The database pool and the API server's fairness both have room for more than this. */
const CONCURRENCY = 8;
/** At the longest backoff, about once a minute. */
const FAILURES_PER_WORD = 12;

export interface Controller extends Pick<WorkQueue, "add" | "addAfter"> {
  readonly name: string;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface ControllerInit {
  readonly name: string;
  readonly scope: Pick<Scope, "clock" | "random" | "log" | "events" | "cluster" | "telemetry">;
  readonly reconcile: (key: string) => Promise<Again | undefined>;
  /** Ends the scope. */
  readonly onFenced: (error: unknown) => void;
  readonly concurrency?: number;
}

export function createController({
  name,
  scope,
  reconcile,
  onFenced,
  concurrency,
}: ControllerInit): Controller {
  const { clock, random, log } = scope;
  const { metrics } = scope.telemetry;
  const queue = createWorkQueue({
    clock,
    random,
    concurrency: concurrency ?? CONCURRENCY,
    backoff: BACKOFF,
    work: async (key) => {
      const startedMs = performance.now();
      const tell = (outcome: "done" | "conflict" | "failed"): void =>
        metrics.reconciled(name, outcome, (performance.now() - startedMs) / 1000);
      try {
        const again = await reconcile(key);
        tell("done");
        return again;
      } catch (error) {
        tell(isKubeError(error, "CONFLICT") ? "conflict" : "failed");
        throw error;
      }
    },
    onFailure: (key, error, failures) => {
      if (codeOf(error) === "FENCED") onFenced(error);
      else if (isKubeError(error, "CONFLICT")) log.debug({ controller: name, key, error }, "conflict; again");
      else if (isKubeError(error, "FORBIDDEN") && failures % FAILURES_PER_WORD === 1)
        tellForbidden(scope, error);
      else if (failures <= 3 || failures % 10 === 0)
        log.warn({ controller: name, key, failures, error }, "reconcile failed; again");
    },
  });
  const run = async (signal: AbortSignal): Promise<void> => {
    const forget = metrics.queue(name, queue.depth);
    await queue.run(signal).finally(forget);
  };
  return { name, add: queue.add, addAfter: queue.addAfter, run };
}

function tellForbidden({ cluster, events, log }: ControllerInit["scope"], error: KubeError): void {
  log.warn({ error }, "the operator lacks a right");
  const message = lackedRight(error);
  events.record({ object: cluster(), type: "Warning", reason: "PermissionMissing", message });
}

export function codeOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}
