/**
 * Kubernetes Events: what happened, told to people. Recording never blocks and never fails the work that it tells of.
 *
 * The same event of the same object within ten minutes is counted on one Event object. Both the waiting line and the memory of
 * what was told are bounded; what does not fit is counted and logged.
 */
import { createHash } from "node:crypto";
import type { Clock } from "./clock.ts";
import type { KubeClient } from "./client.ts";
import { isKubeError } from "./errors.ts";
import { EVENTS, type CoreEvent, type KubeObject } from "./resource.ts";
import type { Log } from "../telemetry/log.ts";

/** A burst of every node of a 1000-node fabric fits. */
const MAX_WAITING = 2_000;
/** For counting repeats: twice the burst. */
const MAX_REMEMBERED = 4_096;
/** A repeat within this raises the count of the Event there is; client-go takes ten minutes too. */
const AGGREGATION_MS = 10 * 60_000;
/** The API server refuses longer messages. */
const MAX_MESSAGE_LENGTH = 1_024;
const COMPONENT = "fabric-operator";

export interface Happening {
  readonly object: KubeObject;
  readonly type: "Normal" | "Warning";
  /** CamelCase, stable. */
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorder {
  record(happening: Happening): void;
  /** Resolves when everything recorded so far has been sent or given up. */
  flush(): Promise<void>;
}

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, "create" | "mergePatch" | "namespace">;
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly tell?: (outcome: "sent" | "failed" | "dropped") => void;
}

interface Told {
  readonly name: string;
  readonly sinceMs: number;
  count: number;
}

export function createEventRecorder({
  client,
  instance,
  clock,
  log,
  tell,
}: EventRecorderOptions): EventRecorder {
  const waiting: Happening[] = [];
  const told = new Map<string, Told>();
  let dropped = 0;
  let sending: Promise<void> | undefined;

  const remember = (key: string, entry: Told): void => {
    told.delete(key);
    told.set(key, entry);
    const oldest = told.keys().next().value;
    if (told.size > MAX_REMEMBERED && oldest !== undefined) told.delete(oldest);
  };

  const sendNew = async (key: string, happening: Happening): Promise<void> => {
    const event = newEvent(happening, key, { namespace: client.namespace, instance, nowMs: clock.nowMs() });
    await client.create(EVENTS, event);
    remember(key, { name: event.metadata.name, sinceMs: clock.nowMs(), count: 1 });
  };

  const sendAgain = async (key: string, entry: Told): Promise<void> => {
    const count = entry.count + 1;
    await client.mergePatch(EVENTS, entry.name, { count, lastTimestamp: isoTime(clock.nowMs()) });
    remember(key, { ...entry, count });
  };

  const send = async (happening: Happening): Promise<void> => {
    const key = keyOf(happening);
    const entry = told.get(key);
    if (!entry || clock.nowMs() - entry.sinceMs > AGGREGATION_MS) return sendNew(key, happening);
    try {
      await sendAgain(key, entry);
    } catch (error) {
      if (!isKubeError(error, "NOT_FOUND")) throw error;
      await sendNew(key, happening);
    }
  };

  const sendAll = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      try {
        await send(next);
        tell?.("sent");
      } catch (error) {
        tell?.("failed");
        log.warn({ error, reason: next.reason, object: next.object.metadata.name }, "event not recorded");
      }
    }
    sending = undefined;
  };

  return {
    record(happening) {
      if (waiting.length >= MAX_WAITING) {
        dropped += 1;
        tell?.("dropped");
        log.warn({ dropped }, "too many events at once");
        return;
      }
      waiting.push(happening);
      sending ??= sendAll();
    },
    async flush() {
      await sending;
    },
  };
}

function keyOf({ object, type, reason, message }: Happening): string {
  const text = JSON.stringify([
    object.kind,
    object.metadata.uid ?? object.metadata.name,
    type,
    reason,
    message,
  ]);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function newEvent(
  { object, type, reason, message }: Happening,
  key: string,
  { namespace, instance, nowMs }: { namespace: string; instance: string; nowMs: number },
): CoreEvent {
  const time = isoTime(nowMs);
  const { name, uid } = object.metadata;
  return {
    apiVersion: EVENTS.apiVersion,
    kind: EVENTS.kind,
    metadata: { name: `${name.slice(0, 200)}.${key}.${nowMs.toString(36)}`, namespace },
    involvedObject: {
      apiVersion: object.apiVersion,
      kind: object.kind,
      namespace,
      name,
      ...(uid ? { uid } : {}),
    },
    type,
    reason,
    message: message.slice(0, MAX_MESSAGE_LENGTH),
    count: 1,
    firstTimestamp: time,
    lastTimestamp: time,
    reportingComponent: COMPONENT,
    reportingInstance: instance,
    source: { component: COMPONENT },
  };
}

/** metav1.Time has whole seconds. */
function isoTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d{3}Z$/, "Z");
}
