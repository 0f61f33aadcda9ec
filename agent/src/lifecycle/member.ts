/**
 * A node's life as a member of a fabric cluster.
 *
 *   snapshot (disk or operator) ─► verify ─► keep ─► target() ─► engine
 *   engine: sessions, messages  ─► inbox, one at a time ─► documents, certificate, revocation
 *   tick (4 a second)           ─► expiry, silence, heartbeat, renewal, writing what the disk refused
 *
 * It works without the operator until the snapshot expires, and then still listens for a new one until the certificate does.
 */
import type { Event, PeerFailure, State } from "@saf/engine";
import {
  createCsr,
  decodeEnvelope,
  encodeEnvelope,
  fromOperator,
  type AgentEnvelope,
  type OperatorEnvelope,
} from "@saf/protocol";
import { createControlPace } from "../control/control-pace.ts";
import type { NodeSnapshot, TrustedDocuments } from "../documents/trusted-documents.ts";
import { CAPABILITIES, gatherFacts } from "../facts/facts.ts";
import { checkCertificate, renewalTime, validityOf, type Validity } from "../identity/certificate.ts";
import type { Membership } from "../identity/membership.ts";
import type { NodeKey } from "../identity/node-key.ts";
import { compileIntents, OPERATOR_PEER, ownRevocation, type Intents } from "../peers/desired.ts";
import { nowSeconds, type Clock } from "../schedule/clock.ts";
import type { DurableRecord } from "../state/durable-record.ts";
import type { Reporter } from "./reporter.ts";

export interface MemberOptions {
  readonly nodeName: string;
  readonly key: NodeKey;
  readonly membership: Membership;
  readonly record: DurableRecord<Membership>;
  readonly documents: TrustedDocuments;
  readonly candidates: () => readonly string[];
  readonly send: (peer: string, kind: string, payload: Uint8Array) => Promise<void>;
  /** The target has changed. */
  readonly sync: () => void;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface Member {
  readonly membership: Membership;
  readonly certificate: Validity;
  /** The snapshot in force. */
  readonly snapshot: NodeSnapshot | null;
  readonly operator: {
    readonly connected: boolean;
    readonly lastAckMs: number | null;
    /** `ip:port` at which it saw this node last. */
    readonly observed: string | null;
    /** The session, by the id that the operator's log has it under. */
    readonly session: string | null;
  };
  /** Peers with a ready session, the operator not counted. */
  readonly directPeers: number;
  target(): Intents | null;
  /** What the engine is doing, after (re)connecting or from time to time. */
  observe(state: State): void;
  engineLost(): void;
  /** The engine lives by the last target. */
  engineApplied(): void;
  engineEvent(event: Event): void;
  /** Something that the operator should hear of. */
  changed(): void;
  tick(): void;
  /** Resolves when every message and write begun so far is done. */
  settled(): Promise<void>;
}

/** The operator sends a handful of messages at a time; a flood of them is dropped and reported. */
const MAX_INBOX = 64;
/** A full disk rarely empties within seconds, and what is unwritten is in force already. */
const FLUSH_RETRY_MS = 5000;
/** Ends of a handshake that say more than that the operator is away. */
const REFUSALS = new Set([
  "REVOKED",
  "UNKNOWN_PEER",
  "WRONG_TRUST_DOMAIN",
  "BAD_CHAIN",
  "PIN_MISMATCH",
  "EXPIRED",
]);

export function createMember(options: MemberOptions): Member {
  const { nodeName, key, record, documents, candidates, send, sync, reporter, clock, random } = options;
  const startedMs = clock.nowMs();
  const pace = createControlPace(clock.elapsedMs());
  /** The last session with the operator ended, and the last refusal that was looked at. */
  let [sessionEndedMs, refusedMs] = [startedMs, startedMs];
  const ready = new Set<string>();
  let membership = options.membership;
  let certificate = validityOf(membership.certificateChain[0] ?? "");
  let snapshot: NodeSnapshot | null = null;
  /** The snapshot in the last target handed out, and the one that the engine is known to live by. */
  let offered: NodeSnapshot | null = null;
  let applied: NodeSnapshot | null = null;
  let sequence = 0;
  let lastAckMs: number | null = null;
  let observed: string | null = null;
  let session: string | null = null;
  let unsavedMembership = false;
  let flushedMs = Number.NEGATIVE_INFINITY;
  let inboxLength = 0;
  let inbox: Promise<void> = Promise.resolve();

  pace.renewAt(renewalTime(certificate, random) * 1000);
  if (membership.revoked) reporter.event({ type: "revoked", reason: membership.revoked.reason });
  else live();

  function live(): void {
    reporter.event({ type: "joined" });
    expireCertificate();
    if (documents.snapshot) putInForce(documents.snapshot);
    else if (documents.seen) reporter.event({ type: "snapshotExpired" }); // there was one; it cannot be lived by any more
  }

  function target(): Intents | null {
    const root = documents.trustRoot;
    if (!root || membership.revoked || expired(certificate.notAfter)) return null;
    const { trustDomain, nodeId, certificateChain } = membership;
    const control = documents.snapshot?.body.control ?? membership.control;
    const { caCertificates } = root.body;
    offered = snapshot;
    const certificateNotAfter = certificate.notAfter;
    return compileIntents({
      trustDomain,
      nodeId,
      certificateChain,
      certificateNotAfter,
      caCertificates,
      control,
      snapshot,
    });
  }

  function expired(atSeconds: number): boolean {
    return clock.nowMs() >= atSeconds * 1000;
  }

  // ---- what the engine tells

  function observe(state: State): void {
    ready.clear();
    for (const peer of state.peers) if (peer.session === "ready") ready.add(peer.id);
    pace.session(ready.has(OPERATOR_PEER));
    const failure = state.peers.find(({ id }) => id === OPERATOR_PEER)?.lastFailure;
    if (failure && failure.atMs > Math.max(sessionEndedMs, refusedMs)) operatorRefuses(failure);
  }

  /**
   * The end of a session is no proof of anything: it also ends when either side's engine is told of another key. Being refused
   * at the door afterwards is, if the operator had proved who it is: without that, anyone on the path can say so.
   */
  function operatorRefuses({ code, atMs, refusedByPeer }: PeerFailure): void {
    refusedMs = atMs;
    if (code === "REVOKED" && refusedByPeer) take(() => revoke("the operator refuses this node as revoked"));
    else if (REFUSALS.has(code)) {
      reporter.error(
        Object.assign(new Error(`the operator and this node do not accept each other: ${code}`), { code }),
        "control session",
      );
    }
  }

  function engineLost(): void {
    ready.clear();
    pace.session(false);
  }

  function engineApplied(): void {
    if (applied !== offered) pace.changed();
    applied = offered;
  }

  function engineEvent(event: Event): void {
    switch (event.type) {
      case "sessionReady":
        ready.add(event.peer);
        return sessionsChanged();
      case "sessionClosed":
        ready.delete(event.peer);
        if (event.peer === OPERATOR_PEER) sessionEndedMs = clock.nowMs();
        return sessionsChanged();
      case "message":
        if (event.peer === OPERATOR_PEER) take(() => read(event.kind, event.payload));
        return undefined;
      default:
        return undefined;
    }
  }

  function sessionsChanged(): void {
    pace.session(ready.has(OPERATOR_PEER));
    pace.changed();
  }

  // ---- the inbox

  function take(work: () => Promise<void>): void {
    if (inboxLength >= MAX_INBOX) {
      reporter.error(new RangeError(`over ${MAX_INBOX} messages waiting; one is dropped`), "inbox");
      return;
    }
    inboxLength += 1;
    inbox = inbox
      .then(work)
      .catch((error: unknown) => void reporter.error(error, "message"))
      .finally(() => {
        inboxLength -= 1;
      });
  }

  async function read(kind: string, payload: Uint8Array): Promise<void> {
    if (membership.revoked) return;
    const envelope: OperatorEnvelope = decodeEnvelope(fromOperator, kind, payload);
    switch (envelope.kind) {
      case "heartbeat-ack":
        pace.acknowledged(clock.elapsedMs());
        lastAckMs = clock.nowMs();
        seenAs(envelope.body);
        return reporter.event({ type: "operatorHeard" });
      case "document":
        return acceptDocument(envelope.body.jws);
      case "renewed":
        return acceptCertificate(envelope.body.certificateChain);
      case "refused":
        return refused(envelope.body);
    }
  }

  function seenAs(body: { observed?: string | undefined; session?: string | undefined }): void {
    observed = body.observed ?? observed;
    if (body.session === undefined || body.session === session) return;
    session = body.session;
    reporter.log.info({ session, observed }, "control session with the operator");
  }

  async function acceptDocument(jws: string): Promise<void> {
    await documents.accept(jws, nowSeconds(clock));
    await flush();
    const next = documents.snapshot;
    if (!next) return;
    const revocation = ownRevocation(next, membership.nodeId, membership.fingerprint);
    if (revocation !== null) return revoke(revocation);
    putInForce(next);
    const { term, epoch } = next;
    reporter.log.info({ term, epoch, peers: next.body.peers.length }, "snapshot in force");
  }

  async function acceptCertificate(certificateChain: string[]): Promise<void> {
    certificate = checkCertificate(certificateChain, {
      ...membership,
      caCertificates: documents.trustRoot?.body.caCertificates ?? [],
      nowSeconds: nowSeconds(clock),
    });
    membership = { ...membership, certificateChain };
    unsavedMembership = true;
    await flush();
    pace.renewAt(renewalTime(certificate, random) * 1000);
    reporter.event({ type: "certificateRenewed" });
    reporter.log.info({ notAfter: certificate.notAfter }, "certificate renewed");
    sync();
    pace.changed();
  }

  async function refused({ code, message }: { code: string; message: string }): Promise<void> {
    if (code === "REVOKED") return revoke(message);
    reporter.error(Object.assign(new Error(message), { code }), "operator refused");
  }

  async function revoke(reason: string): Promise<void> {
    if (membership.revoked) return;
    membership = { ...membership, revoked: { reason: reason.slice(0, 512) } };
    unsavedMembership = true;
    reporter.event({ type: "revoked", reason });
    sync();
    await flush();
  }

  function putInForce(next: NodeSnapshot): void {
    snapshot = next;
    if (expireSnapshot()) return;
    reporter.event({ type: "snapshotApplied" });
    sync();
  }

  // ---- time

  function tick(): void {
    if (membership.revoked) return;
    const elapsedMs = clock.elapsedMs();
    expireSnapshot();
    expireCertificate();
    if (pace.silent(elapsedMs)) reporter.event({ type: "operatorSilent" });
    const due = pace.due(elapsedMs, clock.nowMs());
    if (due.heartbeat) void heartbeat().catch((error: unknown) => void reporter.error(error, "heartbeat"));
    if (due.renewal) void askForRenewal().catch((error: unknown) => void reporter.error(error, "renewal"));
    if ((documents.unsaved || unsavedMembership) && elapsedMs - flushedMs >= FLUSH_RETRY_MS) take(flush);
  }

  function expireSnapshot(): boolean {
    if (!snapshot || !expired(snapshot.expiresAt)) return false;
    snapshot = null;
    reporter.event({ type: "snapshotExpired" });
    sync();
    return true;
  }

  function expireCertificate(): void {
    if (expired(certificate.notAfter)) reporter.event({ type: "certificateExpired" });
  }

  async function heartbeat(): Promise<void> {
    sequence += 1;
    const degraded = reporter.told.state === "degraded";
    const peers = { known: snapshot?.body.peers.length ?? 0, direct: directPeers() };
    const self = { facts: gatherFacts(), capabilities: CAPABILITIES, candidates: [...candidates()] };
    const certificateNotAfter = certificate.notAfter;
    await tell({
      kind: "heartbeat",
      body: {
        sequence,
        ...self,
        applied: orderOf(applied),
        peers,
        degraded,
        certificateNotAfter,
      },
    });
  }

  async function askForRenewal(): Promise<void> {
    await tell({ kind: "renew", body: { csr: await createCsr(key.pem, nodeName) } });
  }

  async function tell(envelope: AgentEnvelope): Promise<void> {
    const { kind, payload } = encodeEnvelope(envelope);
    await send(OPERATOR_PEER, kind, payload);
  }

  /** Writes what is believed; a disk that refuses is reported and asked again later (see trusted-documents.ts). */
  async function flush(): Promise<void> {
    flushedMs = clock.elapsedMs();
    try {
      await documents.flush();
      if (unsavedMembership) await saveMembership();
      reporter.event({ type: "storageWorking" });
    } catch (error) {
      reporter.event({ type: "storageFailing", reason: reporter.error(error, "saving state") });
    }
  }

  async function saveMembership(): Promise<void> {
    const saving = membership;
    await record.save(saving);
    if (membership === saving) unsavedMembership = false;
  }

  function directPeers(): number {
    return ready.size - (ready.has(OPERATOR_PEER) ? 1 : 0);
  }

  return {
    get membership() {
      return membership;
    },
    get certificate() {
      return certificate;
    },
    get snapshot() {
      return snapshot;
    },
    get operator() {
      return { connected: pace.sessionReady, lastAckMs, observed, session };
    },
    get directPeers() {
      return directPeers();
    },
    target,
    observe,
    engineLost,
    engineApplied,
    engineEvent,
    changed: pace.changed,
    tick,
    settled: async () => inbox,
  };
}

function orderOf(snapshot: NodeSnapshot | null) {
  if (!snapshot) return null;
  const { term, epoch, issuedAt, expiresAt } = snapshot;
  return { term, epoch, issuedAt, expiresAt };
}
