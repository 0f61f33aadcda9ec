/**
 * The operator's end of the control sessions. The engine carries them; this tells it whom to let in and hears what it has to say.
 *
 *   connect to the engine ─► learn the sessions that are up ─► apply the desired state ─► events, until the engine goes
 *        ▲                                                                                   │
 *        └────────────────────────── backoff ◄───────────────────────────────────────────────┘
 *
 * The desired state is applied again whenever it changes, and every few seconds because it ends by itself.
 */
import { randomUUID } from "node:crypto";
import type { Event, State } from "@saf/engine";
import { encodeEnvelope, type OperatorEnvelope } from "@saf/protocol";
import type { Authority, IssuedCertificate } from "../authority/authority.ts";
import type { IdentityDirectory } from "./identity-directory.ts";
import { backoffMs, type Backoff } from "../kube/backoff.ts";
import { sleep, type Clock } from "../kube/clock.ts";
import { createWorkQueue } from "../kube/work-queue.ts";
import type { Log } from "../telemetry/log.ts";
import type { OperatorTelemetry } from "../telemetry/operator-telemetry.ts";
import { desiredState, INTENT_LIFETIME_MS } from "./desired.ts";
import type { ConnectEngine, EnginePort } from "./engine-port.ts";
import type { Fleet } from "./fleet.ts";
import { createMessageHandler } from "./messages.ts";
import { createSessionLog } from "./session-log.ts";
import { writePrivateFile } from "./private-file.ts";

/** An engine is back within a second of a crash. */
const RECONNECT: Backoff = { baseMs: 100, capMs: 2_000 };
/** What the engine refuses once it may take when the next change is in; it is asked every few seconds anyway. */
const APPLY_RETRY: Backoff = { baseMs: 100, capMs: 5_000 };
/** Three chances before the intents end. */
const REFRESH_MS = INTENT_LIFETIME_MS / 3;
/** Approvals that come together are applied together. */
const DEBOUNCE_MS = 5;
/** What is left of a leader's time when it must stop is short. */
const STOP_TIMEOUT_MS = 1_000;
/** For one sentence to cross the longest path and the goodbye to come back. */
const FAREWELL_MS = 500;
const STATE = "state";

export interface ControlServerInit {
  readonly connect: ConnectEngine;
  /** Where the engine reads the private key of control sessions. */
  readonly keyFile: string;
  readonly trustDomain: string;
  readonly authority: Authority;
  readonly identities: IdentityDirectory;
  readonly fleet: Fleet;
  readonly epoch: () => number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly telemetry: OperatorTelemetry;
  readonly onRenewed: (nodeId: string) => void;
  readonly onFenced: (error: unknown) => void;
}

export interface ControlServer {
  /** Whom to let in may have changed. */
  changed(): void;
  /** Resolves to whether a session took it. */
  readonly send: (nodeId: string, envelope: OperatorEnvelope) => Promise<boolean>;
  run(signal: AbortSignal): Promise<void>;
}

export function createControlServer(init: ControlServerInit): ControlServer {
  const { authority, identities, fleet, clock, random, log } = init;
  const { duty, metrics } = init.telemetry;
  let engine: EnginePort | undefined;
  let certificate: IssuedCertificate | undefined;
  let renewAtMs = 0;
  let revision = 0;
  let onSessionClosed = (): void => {};

  const applyState = async (): Promise<{ afterMs: number } | undefined> => {
    if (!engine) return undefined;
    certificate = await currentCertificate();
    revision = Math.max(revision + 1, clock.nowMs());
    const desired = desiredState({
      trustDomain: init.trustDomain,
      authority,
      epoch: init.epoch(),
      certificate,
      identities: [...identities.all(), ...identities.ended()],
      revision,
      nowMs: clock.nowMs(),
    });
    await tellRevoked();
    await engine?.apply(desired);
    return { afterMs: REFRESH_MS };
  };

  /**
   * The last thing a revoked node hears before its session is cut: why. It takes its leave at once; one that does not is cut a moment
   * later, and reads in the refusal of its next dial that it is revoked.
   */
  const tellRevoked = async (): Promise<void> => {
    const told: string[] = [];
    for (const { nodeId, status, reason } of identities.all()) {
      const body = { code: "REVOKED", message: (reason ?? "").slice(0, 512) };
      if (status === "Revoked" && (await send(nodeId, { kind: "refused", body }))) told.push(nodeId);
    }
    const gone = Promise.withResolvers<void>();
    onSessionClosed = () => {
      if (told.every((nodeId) => !fleet.facts(nodeId).session)) gone.resolve();
    };
    onSessionClosed();
    const timeout = new AbortController();
    await Promise.race([gone.promise, sleep(clock, FAREWELL_MS, timeout.signal)]);
    timeout.abort();
  };

  /** Renewed after half its life, as nodes' are; issuing asks the ledger, so a fenced operator ends here. */
  const currentCertificate = async (): Promise<IssuedCertificate> => {
    if (certificate && clock.nowMs() < renewAtMs) return certificate;
    const issued = await authority.issueControlCertificate();
    renewAtMs = (clock.nowMs() + issued.notAfter * 1000) / 2;
    return issued;
  };

  const applies = createWorkQueue({
    clock,
    random,
    concurrency: 1,
    backoff: APPLY_RETRY,
    work: applyState,
    onFailure: (_key, error, failures) => {
      if (error instanceof Error && "code" in error && error.code === "FENCED") init.onFenced(error);
      else if (isWorthTelling(failures - 1)) log.warn({ error, failures }, "engine state not applied; again");
    },
  });

  const send = async (nodeId: string, envelope: OperatorEnvelope): Promise<boolean> => {
    if (!engine || !fleet.facts(nodeId).session) return false;
    const { kind, payload } = encodeEnvelope(envelope);
    try {
      await engine.send(nodeId, kind, payload);
      return true;
    } catch (error) {
      log.debug({ nodeId, kind, error }, "not sent");
      return false;
    }
  };

  const sessions = createSessionLog({ fleet, identities, log, metrics, newId: randomUUID });
  const handle = createMessageHandler({
    authority,
    fleet,
    clock,
    log,
    metrics,
    sessionOf: sessions.idOf,
    reply: send,
    onRenewed: init.onRenewed,
  });

  const learn = (state: State): void => {
    const up = new Map(
      state.peers.flatMap(({ id, session, remote }) =>
        session === "ready" && remote ? [[id, remote] as const] : [],
      ),
    );
    fleet
      .connected()
      .filter((nodeId) => !up.has(nodeId))
      .forEach((nodeId) => fleet.sessionClosed(nodeId));
    up.forEach((remote, nodeId) => fleet.sessionReady(nodeId, remote, clock.nowMs()));
  };

  const relearn = async (): Promise<void> => {
    const state = await engine?.describe();
    if (state) learn(state);
  };

  const accept = (event: Event): void => {
    if (event.type === "sessionReady") fleet.sessionReady(event.peer, event.remote, clock.nowMs());
    else if (event.type === "sessionClosed") {
      fleet.sessionClosed(event.peer);
      onSessionClosed();
    } else if (event.type === "message") background(handle(event.peer, event.kind, event.payload));
    else if (event.type === "resync") background(relearn());
    else if (event.type === "expired") applies.add(STATE);
    else if (event.type === "refused") {
      metrics.refusedHandshakes(event.code, event.count);
      log.info({ ...event }, "connection refused");
    }
  };

  const background = (work: Promise<void>): void => {
    work.catch((error: unknown) => log.warn({ error }, "event not handled"));
  };

  const serve = async (port: EnginePort, signal: AbortSignal): Promise<void> => {
    engine = port;
    port.onEvent(accept);
    learn(await port.describe());
    duty.engine(true);
    applies.add(STATE);
    const stopped = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    await Promise.race([port.closed, stopped]);
  };

  /** The sessions end with the office: nodes then dial whoever holds it next. */
  const leave = async (port: EnginePort, signal: AbortSignal): Promise<void> => {
    engine = undefined;
    duty.engine(false);
    if (signal.aborted)
      await Promise.race([port.stop().catch(() => undefined), sleep(clock, STOP_TIMEOUT_MS)]);
    port.close();
    fleet.connected().forEach((nodeId) => fleet.sessionClosed(nodeId));
  };

  const serveOnce = async (signal: AbortSignal): Promise<void> => {
    const port = await init.connect(signal);
    try {
      await serve(port, signal);
    } finally {
      await leave(port, signal);
    }
  };

  const serveOn = async (signal: AbortSignal): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const startedMs = clock.nowMs();
      try {
        await serveOnce(signal);
      } catch (error) {
        if (!signal.aborted && isWorthTelling(attempt))
          log.warn({ error, attempt }, "the engine cannot be used; trying on");
      }
      if (clock.nowMs() - startedMs > RECONNECT.capMs) attempt = 0;
      await sleep(clock, backoffMs(RECONNECT, attempt, random()), signal);
    }
  };

  return {
    changed: () => applies.addAfter(STATE, DEBOUNCE_MS),
    send,
    async run(signal) {
      await writePrivateFile(init.keyFile, authority.control.keyPem);
      await Promise.all([serveOn(signal), applies.run(signal)]);
    },
  };
}

/** The first of a row of failures, and then now and again. */
function isWorthTelling(attempt: number): boolean {
  return attempt === 0 || attempt % 30 === 29;
}
