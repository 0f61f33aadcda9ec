/**
 * The agent of one node: its parts wired together, and the answers of its local API.
 *
 * It starts from disk (starting-point.ts): as a member it applies the last known good snapshot before it hears from anyone.
 * It stops without undoing anything: the engine goes on by what it was told until that expires, so that an agent may be
 * restarted or upgraded while packets flow.
 */
import { randomUUID } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import type { Event, State } from "@saf/engine";
import { parseToken, type JoinToken } from "@saf/protocol";
import type { Health } from "@saf/telemetry";
import { gatherCandidates, type Interfaces } from "../candidates/candidates.ts";
import type { AgentConfig } from "../config.ts";
import { trustedDocuments, type TrustedDocuments } from "../documents/trusted-documents.ts";
import { createJoinRunner, type JoinRunner } from "../enrolment/join-runner.ts";
import { serviceAccountFrom, type ServiceAccount } from "../enrolment/service-account.ts";
import { createEngineLink, type ConnectEngine, type EngineLink } from "../engine-link/engine-link.ts";
import { AgentError, codeOf } from "../errors.ts";
import { CAPABILITIES, gatherFacts } from "../facts/facts.ts";
import {
  identityRecords,
  type IdentityRecords,
  type JoinAttempt,
  type Membership,
} from "../identity/membership.ts";
import { makeNodeKey, openNodeKey, type NodeKey } from "../identity/node-key.ts";
import type { JoinRequest, LocalApiHandlers } from "../local-api/local-api.ts";
import type { DiagnosticsView, PeersView, StatusView } from "../local-api/views.ts";
import { createNames, type Names, type NamesTarget } from "../names/names.ts";
import { nowSeconds, type Clock } from "../schedule/clock.ts";
import { createAgentMetrics } from "../telemetry/agent-metrics.ts";
import { createPulse, readiness } from "../telemetry/health.ts";
import type { Log } from "../telemetry/log.ts";
import { createMember, type Member } from "./member.ts";
import { createReporter, type Reporter } from "./reporter.ts";
import { startingPoint } from "./starting-point.ts";
import { peerViews, statusView } from "./node-views.ts";

export interface NodeAgentComponents {
  readonly config: Readonly<AgentConfig>;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  readonly connectEngine: ConnectEngine;
  readonly readInterfaces: () => Interfaces;
  /** Sockets for the name server that a supervisor opened. */
  readonly descriptors?: readonly number[];
  /** The last lines of the log. */
  readonly recentLog?: () => readonly string[];
}

export interface NodeAgent extends LocalApiHandlers {
  /** Reads the disk and begins; resolves once the node's state can be told. */
  start(): Promise<void>;
  /** Ends everything but what the engine does. */
  stop(): Promise<void>;
  /** What monitoring asks. */
  readonly live: () => Health;
  readonly ready: () => Health;
  readonly metrics: () => Promise<string>;
}

/** Fine enough for "at once" and for the one-second promises, and nothing to a CPU. */
const TICK_MS = 250;
/** An address change is heard of within this; reading the interfaces takes 50 µs. */
const CANDIDATES_INTERVAL_MS = 2000;
/** A new peer has its name within this, and a resolver that somebody else pointed elsewhere is pointed back. */
const NAMES_INTERVAL_MS = 1000;
/** With the operator there is nothing to learn that events do not tell; without it, why it refuses is only to be asked. */
const OBSERVE_MS = { connected: 5000, disconnected: 1000 } as const;
/** Prometheus gives up after 10 s; an engine answers within a millisecond. */
const METRICS_PATIENCE_MS = 2000;

export function createNodeAgent(components: NodeAgentComponents): NodeAgent {
  const { config, log, clock, random, connectEngine, readInterfaces } = components;
  const startedAt = nowSeconds(clock);
  const stopping = new AbortController();
  const metrics = createAgentMetrics({ status: statusNow, engine: () => (link.hello ? engine : null) });
  const pulse = createPulse(clock.elapsedMs);
  const reporter: Reporter = createReporter(log, clock, metrics.error);
  const folders = {
    identity: path.join(config.stateDir, "identity"),
    documents: path.join(config.stateDir, "documents"),
  };
  const records: IdentityRecords = identityRecords(folders.identity, onRecovered);
  const documents: TrustedDocuments = trustedDocuments({
    folder: folders.documents,
    onRecovered,
    onUnusable: (error) => void reporter.error(error, "reading documents"),
  });
  const joins: JoinRunner = createJoinRunner({
    record: records.joinAttempt,
    reporter,
    components: {
      nodeName: config.nodeName,
      facts: gatherFacts,
      capabilities: CAPABILITIES,
      candidates: () => candidates,
      serviceAccount: serviceAccountOf(config),
      clock,
      random,
    },
    onApproved: becomeMember,
  });
  const link: EngineLink = createEngineLink({
    connect: connectEngine,
    target: () => member?.target() ?? null,
    observer: { onConnected, onEvent, onApplied, onFailure: onEngineFailure },
    clock,
    random,
  });
  const names: Names = createNames({
    config: config.names,
    descriptors: components.descriptors ?? [],
    elapsedMs: clock.elapsedMs,
    onError: (error) => void reporter.error(error, "names"),
  });
  let key: NodeKey | null = null;
  let member: Member | null = null;
  let engine: State | null = null;
  /** Ids of the sessions that are up, for the log. Bounded by the peers that the engine may have. */
  const sessions = new Map<string, string>();
  let observedMs = Number.NEGATIVE_INFINITY;
  let candidates: readonly string[] = [];
  let background: Promise<unknown> = Promise.resolve();
  const begun = Promise.withResolvers<void>();

  reporter.onChange(() => member?.changed());

  // ---- beginning

  async function start(): Promise<void> {
    for (const folder of [config.stateDir, ...Object.values(folders)]) {
      await fs.mkdir(folder, { recursive: true, mode: 0o750 });
    }
    candidates = findCandidates();
    await names.start();
    await begin().catch((error: unknown) => lose(error));
    begun.resolve();
    background = Promise.all([
      link.run(stopping.signal),
      every(TICK_MS, () => {
        pulse.beat();
        member?.tick();
      }),
      every(CANDIDATES_INTERVAL_MS, refreshCandidates),
      every(OBSERVE_MS.disconnected, observeWhenDue),
      every(NAMES_INTERVAL_MS, () => names.refresh(namesTarget())),
    ]);
  }

  async function begin(): Promise<void> {
    key = await openNodeKey({ folder: folders.identity, onRecovered });
    const membership = await records.membership.load();
    const attempt = await joins.load();
    const offered = await readOfferedToken();
    const { fingerprint } = key;
    const byServiceAccount = serviceAccountOf(config) !== null;
    const offeredTokenId = offered?.id ?? null;
    switch (startingPoint({ membership, attempt, fingerprint, offeredTokenId, byServiceAccount })) {
      case "resumeJoin":
        return joins.resume(key);
      case "live":
        return membership ? live(membership) : undefined;
      case "keyLost":
        throw new AgentError("IDENTITY_LOST", "the membership is of another key than the one on disk");
      case "denied":
        return reporter.event({ type: "joinDenied", reason: attempt?.denied?.reason ?? "" });
      case "join":
        // A key whose membership is over is never asked for again.
        if (membership?.revoked) key = await makeNodeKey(folders.identity);
        return joinByConfiguration(offered);
      case "idle":
        return undefined;
    }
  }

  async function live(membership: Membership): Promise<void> {
    if (!membership.revoked) await documents.load(membership, nowSeconds(clock));
    enter(membership);
  }

  function enter(membership: Membership): void {
    if (!key) return;
    member = createMember({
      nodeName: config.nodeName,
      key,
      membership,
      record: records.membership,
      documents,
      candidates: () => candidates,
      send: link.send,
      sync: link.sync,
      reporter,
      clock,
      random,
    });
    if (engine) member.observe(engine);
    link.sync();
  }

  /** There is something on disk, but not enough to live by. Only a new join helps; the engine does nothing meanwhile. */
  function lose(error: unknown): void {
    member = null;
    reporter.event({ type: "membershipLost", reason: reporter.error(error, "reading state") });
  }

  // ---- joining

  async function join({
    server,
    token,
    requestedRoles,
  }: JoinRequest): Promise<{ state: typeof reporter.told.state }> {
    await begun.promise;
    const { state } = reporter.told;
    if (member && state !== "revoked" && state !== "expired") {
      throw new AgentError("ALREADY_ENROLLED", `this node is a member of ${member.membership.trustDomain}`);
    }
    await beginJoin({ server, requestedRoles }, token);
    return { state: reporter.told.state };
  }

  async function joinByConfiguration(token: JoinToken | null): Promise<void> {
    if (!config.join) return;
    await beginJoin(config.join, token).catch((error: unknown) => {
      reporter.event({ type: "joinRefused", reason: reporter.error(error, "join") });
    });
  }

  async function beginJoin(
    { server, requestedRoles }: Pick<JoinRequest, "server" | "requestedRoles">,
    token: JoinToken | null,
  ): Promise<void> {
    await joins.stop();
    // An identity that is over is never asked for again: its key goes with it.
    if (!key || member?.membership.revoked) key = await makeNodeKey(folders.identity);
    member = null;
    link.sync();
    const { id: tokenId, secret, pin } = token ?? { id: null, secret: null, pin: null };
    const asked = { server, tokenId, secret, pin, requestedRoles: [...requestedRoles] };
    await joins.begin({ ...asked, requestId: null, denied: null } satisfies JoinAttempt, key);
  }

  async function becomeMember(membership: Membership, trustRoot: string): Promise<void> {
    await documents.begin(trustRoot, membership, nowSeconds(clock));
    await records.membership.save(membership);
    log.info({ nodeId: membership.nodeId, trustDomain: membership.trustDomain }, "this node is a member");
    await forgetTokenFile();
    enter(membership);
  }

  async function readOfferedToken(): Promise<JoinToken | null> {
    if (config.join?.tokenFile === undefined) return null;
    try {
      return parseToken(await fs.readFile(config.join.tokenFile, "utf8"));
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT") {
        reporter.error(new AgentError("TOKEN_UNREADABLE", "cannot read the token file", { cause }), "join");
      }
      return null;
    }
  }

  async function forgetTokenFile(): Promise<void> {
    if (config.join?.tokenFile === undefined) return;
    await fs.rm(config.join.tokenFile, { force: true }).catch((cause: unknown) => {
      reporter.error(new AgentError("STATE_WRITE_FAILED", "cannot delete the token file", { cause }), "join");
    });
  }

  // ---- the engine

  function onConnected(state: State): void {
    engine = state;
    metrics.engineSeen(state);
    log.info(
      { instanceId: state.instanceId, version: state.engineVersion, revision: state.revision },
      "engine connected",
    );
    member?.observe(state);
    refreshCandidates();
  }

  function onEvent(event: Event): void {
    metrics.engineEvent(event);
    tellSession(event);
    if (event.type === "pathChanged") tellPath(event);
    if (event.type === "expired") log.info({ what: event.what }, "the engine let go of what had expired");
    if (event.type === "pressure") tellPressure(event);
    if (event.type === "resync") void observeEngine();
    else member?.engineEvent(event);
  }

  /** Both ends of a session under one id; the operator gives its own to the one with it (member.ts). */
  function tellSession(event: Event): void {
    if (event.type === "sessionReady") {
      const session = randomUUID();
      sessions.set(event.peer, session);
      log.info({ peer: event.peer, session, remote: event.remote }, "session ready");
    } else if (event.type === "sessionClosed") {
      const { peer, code, message } = event;
      log.info({ peer, session: sessions.get(peer), code, reason: message }, "session closed");
      sessions.delete(peer);
    }
  }

  /** Of interest is a path that worked and does no more; not every address of a peer can be reached from everywhere. */
  function tellPath({ peer, remote, status, reason }: Extract<Event, { type: "pathChanged" }>): void {
    const failed = reason !== null && reason !== "peer_unavailable" && status === "closed";
    if (failed) log.warn({ peer, remote, reason }, "a path to a peer failed");
    else log.debug({ peer, remote, status, reason }, "path");
  }

  /** At most once a second for the node and for each peer; what the status says of the node is seen anew. */
  function tellPressure({ peer, level, score, reasons }: Extract<Event, { type: "pressure" }>): void {
    const said = reasons.map(({ reason }) => reason);
    if (peer === null) {
      log.info({ level, score, reasons: said }, "pressure on this node");
      void observeEngine();
    } else log.debug({ peer, level, score, reasons: said }, "pressure on the way to a peer");
  }

  function onApplied(changed: readonly string[]): void {
    reporter.event({ type: "engineWorking" });
    member?.engineApplied();
    if (changed.length === 0) return;
    log.info({ changed: changed.slice(0, 16) }, "engine brought to the snapshot");
    void observeEngine();
  }

  function onEngineFailure(error: unknown): void {
    reporter.event({ type: "engineFailing", reason: reporter.error(error, "engine") });
    if (link.hello) return;
    engine = null;
    member?.engineLost();
  }

  async function observeWhenDue(): Promise<void> {
    const intervalMs = member?.operator.connected ? OBSERVE_MS.connected : OBSERVE_MS.disconnected;
    if (clock.elapsedMs() - observedMs >= intervalMs) await observeEngine();
  }

  async function observeEngine(): Promise<void> {
    if (!link.hello) return;
    observedMs = clock.elapsedMs();
    try {
      engine = await link.describe();
      metrics.engineSeen(engine);
      member?.observe(engine);
    } catch (error) {
      reporter.error(error, "describing the engine");
    }
  }

  // ---- the host

  function namesTarget(): NamesTarget | null {
    const snapshot = member?.snapshot;
    if (!snapshot) return null;
    const tunnel = engine?.tunnel;
    const tunnelLink =
      engine && tunnel ? { interface: tunnel.interface, instanceId: engine.instanceId } : null;
    return { body: snapshot.body, epoch: snapshot.epoch, link: tunnelLink };
  }

  function findCandidates(): readonly string[] {
    const { pools } = member?.snapshot?.body ?? {};
    const tunnel = engine?.tunnel?.interface;
    return gatherCandidates(readInterfaces(), {
      listenPort: config.listenPort,
      advertise: config.advertise,
      excludeInterfaces: tunnel
        ? [...config.candidateInterfacesExclude, tunnel]
        : config.candidateInterfacesExclude,
      overlay: pools ? [pools.ipv4, pools.ipv6] : [],
    });
  }

  function refreshCandidates(): void {
    const found = findCandidates();
    if (found.join() === candidates.join()) return;
    candidates = found;
    member?.changed();
  }

  async function every(intervalMs: number, work: () => void | Promise<void>): Promise<void> {
    while (!stopping.signal.aborted) {
      await work();
      await clock.sleep(intervalMs, stopping.signal).catch(() => undefined);
    }
  }

  function onRecovered(name: string): void {
    const recovered = new AgentError(
      "STATE_CORRUPT",
      `${name} was damaged; its last known good generation is in use`,
    );
    reporter.error(recovered, "reading state");
  }

  function statusNow(): StatusView {
    return statusView({
      config,
      reporter,
      key,
      member,
      documents,
      link,
      engine,
      candidates,
      names: names.view,
      attempt: joins.attempt,
      startedAt,
    });
  }

  async function peersNow(): Promise<PeersView> {
    return { peers: peerViews(member?.snapshot ?? null, link.hello ? await link.describe() : null) };
  }

  async function diagnostics(): Promise<DiagnosticsView> {
    await observeEngine();
    return {
      status: statusNow(),
      peers: { peers: peerViews(member?.snapshot ?? null, link.hello ? engine : null) },
      engine: link.hello ? engine : null,
      config,
      facts: gatherFacts(),
      health: { live: pulse.live(), ready: readiness(statusNow()) },
      log: components.recentLog?.() ?? [],
    };
  }

  /** As the engine is now; one that does not answer is told as it was last seen. */
  async function tellMetrics(): Promise<string> {
    const patience = new AbortController();
    await Promise.race([
      observeEngine(),
      clock.sleep(METRICS_PATIENCE_MS, patience.signal).catch(() => undefined),
    ]);
    patience.abort();
    return metrics.collect();
  }

  async function stop(): Promise<void> {
    stopping.abort();
    await joins.stop();
    await background;
    await names.stop();
    await member?.settled();
  }

  return {
    start,
    stop,
    join,
    status: statusNow,
    peers: peersNow,
    diagnostics,
    live: pulse.live,
    ready: () => readiness(statusNow()),
    metrics: tellMetrics,
  };
}

function serviceAccountOf({ join }: Pick<AgentConfig, "join">): ServiceAccount | null {
  const { serviceAccountTokenFile, pinFile } = join ?? {};
  if (serviceAccountTokenFile === undefined || pinFile === undefined) return null;
  return serviceAccountFrom({ serviceAccountTokenFile, pinFile });
}
