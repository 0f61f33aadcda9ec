/**
 * A cache of one kind in one namespace, kept by list and watch.
 *
 *   list ─► watch from the list's version ─► events move the cache on
 *     ▲          │ ended or cut off: watch again from the newest version seen (backoff with jitter)
 *     └──────────┘ 410 Gone: the version is too old, list again
 *
 * Listeners are told which name changed and look at the cache; they never see an event's type (a missed or merged event must
 * not matter). An error never ends the informer, only its signal does.
 */
import { backoffMs, type Backoff } from "./backoff.ts";
import { sleep, type Clock } from "./clock.ts";
import { isKubeError, KubeError } from "./errors.ts";
import type { KubeClient } from "./client.ts";
import type { KubeObject, Resource } from "./resource.ts";
import type { WatchEvent } from "./watch-stream.ts";
import type { Log } from "../telemetry/log.ts";

/** Waits after failures: quick at first because most are a connection cut; capped so that a returning server is seen soon. */
const BACKOFF: Backoff = { baseMs: 200, capMs: 5_000 };
/** The server ends a watch after this; spread, so that watches of many clients do not end together. */
const WATCH_SECONDS = { least: 300, spread: 300 } as const;
/** A watch shorter than this counts as a failure: a server that ends each one at once must not be hammered. */
const SHORT_WATCH_MS = 1_000;

export interface Informer<T extends KubeObject> {
  get(name: string): T | undefined;
  list(): readonly T[];
  /** Resolves when the first list is in the cache. */
  readonly synced: Promise<void>;
  /** Called with the name of each object that appeared, changed or went. */
  onChange(listener: (name: string) => void): void;
  /** Runs until the signal aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface InformerOptions<T extends KubeObject> {
  readonly client: Pick<KubeClient, "list" | "watch">;
  readonly resource: Resource<T>;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  /** The API server answers, but with no: no right to list or watch, or no such kind. Called at the first time and now and again. */
  readonly onRefused?: (error: KubeError) => void;
}

/** At the longest backoff, about every five minutes. */
const FAILURES_PER_WORD = 10;

export function createInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const { client, resource, clock, random, log } = options;
  const cache = new Map<string, T>();
  const listeners: ((name: string) => void)[] = [];
  const synced = Promise.withResolvers<void>();
  let version: string | undefined;
  let failures = 0;

  const tell = (name: string): void => listeners.forEach((listener) => listener(name));

  const put = (object: T): void => {
    const { name, resourceVersion } = object.metadata;
    if (cache.get(name)?.metadata.resourceVersion === resourceVersion) return;
    cache.set(name, object);
    tell(name);
  };

  const drop = (name: string): void => {
    if (cache.delete(name)) tell(name);
  };

  const relist = async (signal: AbortSignal): Promise<void> => {
    const { items, resourceVersion } = await listAll(client, resource, signal);
    const present = new Set(items.map((item) => item.metadata.name));
    items.forEach(put);
    [...cache.keys()].filter((name) => !present.has(name)).forEach(drop);
    version = resourceVersion;
    synced.resolve();
  };

  const accept = ({ type, object }: WatchEvent<T>): void => {
    version = object.metadata.resourceVersion ?? version;
    if (type === "DELETED") drop(object.metadata.name);
    else if (type !== "BOOKMARK") put(object);
    failures = 0;
  };

  const follow = async (resourceVersion: string, signal: AbortSignal): Promise<void> => {
    const startedMs = clock.nowMs();
    const timeoutSeconds = WATCH_SECONDS.least + Math.floor(random() * WATCH_SECONDS.spread);
    for await (const event of client.watch(resource, { resourceVersion, timeoutSeconds, signal }))
      accept(event);
    if (clock.nowMs() - startedMs < SHORT_WATCH_MS)
      throw new KubeError("UNAVAILABLE", "the watch ended at once");
  };

  const recover = async (error: unknown, signal: AbortSignal): Promise<void> => {
    if (isKubeError(error, "GONE")) version = undefined;
    const askedMs = error instanceof KubeError ? error.retryAfterMs : 0;
    const waitMs = Math.max(askedMs, backoffMs(BACKOFF, failures, random()));
    if (isKubeError(error, "FORBIDDEN", "NOT_FOUND") && failures % FAILURES_PER_WORD === 0)
      options.onRefused?.(error);
    failures += 1;
    log.debug({ kind: resource.kind, failures, waitMs, error }, "watch interrupted");
    if (failures === 5) log.warn({ kind: resource.kind, error }, "the API server does not answer; trying on");
    await sleep(clock, waitMs, signal);
  };

  return {
    get: (name) => cache.get(name),
    list: () => [...cache.values()],
    synced: synced.promise,
    onChange: (listener) => listeners.push(listener),
    async run(signal) {
      while (!signal.aborted) {
        try {
          if (version === undefined) await relist(signal);
          if (version !== undefined) await follow(version, signal);
        } catch (error) {
          if (!signal.aborted) await recover(error, signal);
        }
      }
    },
  };
}

async function listAll<T extends KubeObject>(
  client: Pick<KubeClient, "list">,
  resource: Resource<T>,
  signal: AbortSignal,
): Promise<{ items: T[]; resourceVersion: string }> {
  const items: T[] = [];
  let next: string | undefined;
  let resourceVersion = "";
  do {
    const page = await client.list(resource, { signal, ...(next ? { continue: next } : {}) });
    items.push(...page.items);
    resourceVersion = page.metadata.resourceVersion;
    next = page.metadata.continue || undefined;
  } while (next);
  return { items: items.map((item) => named(resource, item)), resourceVersion };
}

/** Items of a list carry no kind of their own; watch events do. */
function named<T extends KubeObject>({ apiVersion, kind }: Resource<T>, item: T): T {
  return { ...item, apiVersion, kind };
}
