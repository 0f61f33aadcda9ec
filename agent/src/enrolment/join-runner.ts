/**
 * One join at a time: begun by a person or the configuration, taken up again after a restart, remembered until it is decided.
 * The token's secret is on disk (0600) only while the decision is open.
 */
import type { JoinAttempt, Membership } from "../identity/membership.ts";
import type { NodeKey } from "../identity/node-key.ts";
import type { Reporter } from "../lifecycle/reporter.ts";
import type { DurableRecord } from "../state/durable-record.ts";
import { enrol, type EnrolComponents, type Enrolled } from "./enrol.ts";

export interface JoinRunnerOptions {
  readonly record: DurableRecord<JoinAttempt>;
  readonly reporter: Reporter;
  readonly components: Omit<EnrolComponents, "key" | "onAccepted" | "onRetry" | "onApproved">;
  /** Keeps the membership; a passing failure (a full disk) makes the join come back for it. */
  readonly onApproved: (membership: Membership, trustRoot: string) => Promise<void>;
}

export interface JoinRunner {
  readonly attempt: JoinAttempt | null;
  /** Reads the attempt that an earlier run left. */
  load(): Promise<JoinAttempt | null>;
  /** Begins, in place of any other attempt. Throws AgentError STATE_* when it cannot be remembered. */
  begin(attempt: JoinAttempt, key: NodeKey): Promise<void>;
  /** Takes the loaded attempt up again. */
  resume(key: NodeKey): void;
  /** Stops without forgetting. */
  stop(): Promise<void>;
}

export function createJoinRunner({
  record,
  reporter,
  components,
  onApproved,
}: JoinRunnerOptions): JoinRunner {
  let attempt: JoinAttempt | null = null;
  let stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  async function load(): Promise<JoinAttempt | null> {
    attempt = await record.load();
    return attempt;
  }

  async function begin(next: JoinAttempt, key: NodeKey): Promise<void> {
    await stop();
    await record.save(next);
    attempt = next;
    resume(key);
  }

  function resume(key: NodeKey): void {
    if (!attempt) return;
    stopping = new AbortController();
    reporter.event({ type: "joinStarted" });
    if (attempt.requestId) reporter.event({ type: "joinAccepted" });
    running = run(attempt, key, stopping.signal);
  }

  async function run(started: JoinAttempt, key: NodeKey, signal: AbortSignal): Promise<void> {
    try {
      await conclude(await enrol(started, { ...components, key, onAccepted, onRetry, onApproved }, signal));
    } catch (error) {
      if (signal.aborted) return;
      reporter.event({ type: "joinRefused", reason: reporter.error(error, "join") });
      await forget();
    }
  }

  async function onAccepted(requestId: string): Promise<void> {
    reporter.event({ type: "joinAccepted" });
    reporter.log.info({ requestId }, "the request is taken; waiting for a person to decide");
    await keep({ requestId });
  }

  function onRetry(error: unknown): void {
    reporter.event({ type: "joinDelayed", reason: reporter.error(error, "join") });
  }

  async function conclude(enrolled: Enrolled): Promise<void> {
    if (enrolled.decision === "approved") return forget();
    const { reason } = enrolled;
    reporter.event({ type: "joinDenied", reason });
    try {
      await record.erase(); // no older generation keeps the secret
      await keep({ secret: null, denied: { reason } });
    } catch (error) {
      reporter.error(error, "remembering the denial");
    }
  }

  async function keep(change: Partial<JoinAttempt>): Promise<void> {
    if (!attempt) return;
    attempt = { ...attempt, ...change };
    await record.save(attempt);
  }

  async function forget(): Promise<void> {
    attempt = null;
    await record.erase().catch((error: unknown) => void reporter.error(error, "forgetting the token"));
  }

  async function stop(): Promise<void> {
    stopping.abort();
    await running;
  }

  return {
    get attempt() {
      return attempt;
    },
    load,
    begin,
    resume,
    stop,
  };
}
