/**
 * The agent's hold on its engine: connected whenever the engine is there, and the engine's state always what the agent wants.
 *
 * The engine outlives the agent and the agent outlives the engine. On every connection, first or later, the link describes the
 * engine and applies the target; when both already agree that changes nothing and no packet is lost. A failed apply is tried
 * again with a delay for as long as the connection lasts.
 */
import type { EngineClient, Event, HelloResult, State } from "@saf/engine";
import { AgentError } from "../errors.ts";
import type { Intents } from "../peers/desired.ts";
import { backoffMs, type Backoff } from "../schedule/backoff.ts";
import type { Clock } from "../schedule/clock.ts";

/** One connection to an engine that has said hello. */
export type EngineConnection = Pick<
  EngineClient,
  "hello" | "closed" | "describe" | "apply" | "stop" | "send" | "onEvent" | "close"
>;
export type ConnectEngine = (signal: AbortSignal) => Promise<EngineConnection>;

export interface EngineObserver {
  /** The engine is there; what it does right now, before the target is applied. */
  onConnected(state: State): void;
  readonly onEvent: (event: Event) => void;
  onApplied(changed: readonly string[]): void;
  /** Connecting, applying or the connection itself failed; another attempt follows. */
  onFailure(error: unknown): void;
}

export interface EngineLinkOptions {
  readonly connect: ConnectEngine;
  /** What the engine shall do; null: nothing. */
  readonly target: () => Intents | null;
  readonly observer: EngineObserver;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface EngineLink {
  readonly hello: HelloResult | null;
  /** The target has changed. */
  readonly sync: () => void;
  /** Throws AgentError ENGINE_UNREACHABLE. */
  describe(): Promise<State>;
  /** Throws AgentError ENGINE_UNREACHABLE or EngineError. */
  readonly send: (peer: string, kind: string, payload: Uint8Array) => Promise<void>;
  /** Until the signal aborts. The engine keeps what it was told. */
  run(signal: AbortSignal): Promise<void>;
}

/** A restarted engine has its state back within 200 ms of its socket; a local connect attempt costs microseconds. */
const RECONNECT_MS = 50;
/** An engine that refuses an intent takes it when its cause is gone, as a busy interface; it is asked again more and more slowly. */
const APPLY_RETRY: Backoff = { baseMs: 250, capMs: 5000 };

export function createEngineLink({
  connect,
  target,
  observer,
  clock,
  random,
}: EngineLinkOptions): EngineLink {
  let connection: EngineConnection | null = null;
  let revision = 0;
  let applied = "";
  /** Wakes the loop that applies; replaced at each connection. */
  let wake: () => void = () => undefined;

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await serveConnection(signal).catch((error: unknown) => {
        if (!signal.aborted) observer.onFailure(error);
      });
      await clock.sleep(RECONNECT_MS, signal).catch(() => undefined);
    }
  }

  async function serveConnection(signal: AbortSignal): Promise<void> {
    const opened = await connect(signal).catch(unreachable);
    opened.onEvent(observer.onEvent); // in this turn, so that no event is missed
    const close = (): void => opened.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      signal.throwIfAborted();
      const state = await opened.describe();
      [connection, revision, applied] = [opened, state.revision, ""];
      observer.onConnected(state);
      await applyWhileOpen(opened);
    } finally {
      signal.removeEventListener("abort", close);
      connection = null;
      opened.close();
    }
    throw new AgentError("ENGINE_UNREACHABLE", "the engine closed the connection");
  }

  async function applyWhileOpen(opened: EngineConnection): Promise<void> {
    const lasting = { open: true };
    void (async () => {
      await opened.closed;
      lasting.open = false;
      wake();
    })();
    for (let failures = 0; lasting.open;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve; // before applying: a change meanwhile is not missed
      });
      const failure = await applyTarget(opened).then(() => null, asFailure);
      failures = failure ? failures + 1 : 0;
      if (failure && lasting.open) observer.onFailure(failure.error);
      await (failure ? pause(failures, woken) : woken);
    }
  }

  /** Until woken, or the delay of the retry is over. */
  async function pause(failures: number, woken: Promise<void>): Promise<void> {
    const over = new AbortController();
    const delay = clock
      .sleep(backoffMs(failures - 1, APPLY_RETRY, random), over.signal)
      .catch(() => undefined);
    await Promise.race([woken, delay]);
    over.abort();
  }

  async function applyTarget(opened: EngineConnection): Promise<void> {
    const intents = target();
    const wanted = JSON.stringify(intents);
    if (wanted === applied) return observer.onApplied([]);
    if (intents) {
      const { changed } = await opened.apply({ ...intents, revision: revision + 1 });
      revision += 1;
      observer.onApplied(changed);
    } else {
      await opened.stop();
      observer.onApplied([]);
    }
    applied = wanted;
  }

  function connected(): EngineConnection {
    if (!connection) throw new AgentError("ENGINE_UNREACHABLE", "not connected to the engine");
    return connection;
  }

  return {
    get hello() {
      return connection?.hello ?? null;
    },
    sync: () => wake(),
    describe: async () => connected().describe(),
    send: async (peer, kind, payload) => connected().send(peer, kind, payload),
    run,
  };
}

function asFailure(error: unknown): { readonly error: unknown } {
  return { error };
}

function unreachable(cause: unknown): never {
  throw new AgentError("ENGINE_UNREACHABLE", "cannot connect to the engine", { cause });
}
