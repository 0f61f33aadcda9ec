/**
 * What the node knows of its own condition, in one place: the state, the last errors, and a log line for each change.
 * Its parts tell it events and errors; it tells them when the state that people see has changed.
 */
import { codeOf, EnrolmentRefused, messageOf } from "../errors.ts";
import { nowSeconds, type Clock } from "../schedule/clock.ts";
import { createErrorLog, type LoggedError } from "../telemetry/error-log.ts";
import type { Log } from "../telemetry/log.ts";
import { INITIAL_NODE, reduce, tell, type NodeEvent, type Reason, type ToldState } from "./node-state.ts";

export interface Reporter {
  readonly told: ToldState;
  readonly errors: readonly LoggedError[];
  readonly log: Log;
  event(event: NodeEvent): void;
  /** Records an error that the node lives with. */
  error(error: unknown, during: string): Reason;
  onChange(listener: () => void): void;
}

/** @param onError hears the code of each error */
export function createReporter(log: Log, clock: Clock, onError: (code: string) => void): Reporter {
  const errors = createErrorLog();
  const listeners: (() => void)[] = [];
  let model = INITIAL_NODE;
  let told = tell(model);

  function event(happened: NodeEvent): void {
    model = reduce(model, happened);
    const next = tell(model);
    if (next.state === told.state && next.reason?.code === told.reason?.code) return;
    log.info({ event: happened.type, state: next.state, was: told.state, reason: next.reason }, "node state");
    told = next;
    for (const listener of listeners) listener();
  }

  function error(failure: unknown, during: string): Reason {
    const { code, message, count } = errors.record(failure, nowSeconds(clock));
    onError(code);
    const cause = failure instanceof Error && failure.cause ? messageOf(failure.cause) : undefined;
    const request = failure instanceof EnrolmentRefused ? failure.request : undefined;
    const line = { code, during, cause, request, ...(code === "INTERNAL" ? { err: failure } : {}) };
    if (count === 1) log.warn(line, message);
    else log.debug({ ...line, count }, message);
    return { code: codeOf(failure), message };
  }

  return {
    get told() {
      return told;
    },
    get errors() {
      return errors.list();
    },
    log,
    event,
    error,
    onChange: (listener) => listeners.push(listener),
  };
}
