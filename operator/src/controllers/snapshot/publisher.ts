/**
 * From intent to nodes:
 *
 *   something changed ─(20 ms)─► gather ─► compile ─► differs? ─► ledger: next epoch ─► a new edition
 *   edition new, node connected, or half of a document's life over ─► sign ─► send over the control session
 *
 * Only connected nodes get documents; the others when they connect. A document is sent again to a node that says it lives by an
 * older one. Signing asks the ledger for the term, so a fenced operator publishes nothing.
 */
import type { RoleAssignment } from "@saf/crds";
import { compareOrder, type OperatorEnvelope } from "@saf/protocol";
import type { SignedDocument } from "../../authority/authority.ts";
import type { Again } from "../../kube/work-queue.ts";
import { createController } from "../controller.ts";
import type { IssuedSnapshot } from "../fabric-node/decide.ts";
import type { PublishedRoles } from "../role-assignment/controller.ts";
import type { Scope } from "../scope.ts";
import { compileSnapshots, type Compiled } from "./compile.ts";
import { differ, digestsOf, effectsOf, type Edition } from "./edition.ts";
import { gather } from "./gather.ts";

/** Changes that come together (an approval makes a node and its roles) become one epoch; a role still arrives well within 1 s. */
const DEBOUNCE_MS = 20;
/** In a burst (a rack of nodes arriving) not every change needs an epoch of its own that is sent to everybody. */
const EDITION_GAP_MS = 200;
/** A node that has not confirmed a document by then is sent it again. */
const RESEND_MS = 5_000;
/** A third of the shortest half-life that a Cluster can ask for. */
const MIN_REISSUE_SECONDS = 10;
const EDITION = "edition";

export interface PublisherInit {
  readonly scope: Scope;
  /** Resolves to whether it was handed to a session. */
  readonly send: (nodeId: string, envelope: OperatorEnvelope) => Promise<boolean>;
  readonly onFenced: (error: unknown) => void;
  /** A new edition is out: every status may read differently. */
  readonly onEdition: () => void;
}

export interface Publisher extends PublishedRoles {
  readonly epoch: number | null;
  /** Something that snapshots are made of may have changed. */
  changed(): void;
  /** The node connected, is behind, or holds a newer certificate: it may need a document. */
  attend(nodeId: string): void;
  /** What was signed for the node may now be signed for longer. */
  renew(nodeId: string): void;
  run(signal: AbortSignal): Promise<void>;
}

interface Delivery {
  readonly document: SignedDocument;
  readonly sentMs: number;
}

export function createPublisher({ scope, send, onFenced, onEdition }: PublisherInit): Publisher {
  const { authority, caches, clock, fleet, ledger, log, term } = scope;
  const documents = new Map<string, SignedDocument>();
  const deliveries = new Map<string, Delivery>();
  let edition: Edition | undefined;
  let signing: Promise<void> | undefined;

  const newEdition = async (compiled: Compiled, digests: ReadonlyMap<string, string>): Promise<Edition> => {
    const epoch = await ledger.advanceEpoch(term);
    log.info({ epoch, nodes: compiled.contents.size }, "new epoch");
    documents.clear();
    const assignments = effectsOf(caches.assignments.list(), compiled, epoch, edition?.assignments);
    return { epoch, sinceMs: clock.nowMs(), compiled, digests, assignments };
  };

  const publish = async (): Promise<Again | undefined> => {
    const compiled = compileSnapshots(gather(scope));
    const digests = digestsOf(compiled);
    if (!edition || differ(edition.digests, digests)) edition = await newEdition(compiled, digests);
    else {
      const assignments = effectsOf(caches.assignments.list(), compiled, edition.epoch, edition.assignments);
      edition = { ...edition, compiled, assignments };
    }
    onEdition();
    await sign();
    return compiled.nextChangeMs === null ? undefined : { afterMs: compiled.nextChangeMs - clock.nowMs() };
  };

  /** Signs for the connected nodes that lack a document of this edition, or whose document is past half its life. */
  const signDue = async (): Promise<void> => {
    if (!edition) return;
    const { epoch, compiled } = edition;
    const due = fleet.connected().filter((nodeId) => isDue(documents.get(nodeId), clock.nowMs()));
    const snapshots = due.flatMap((nodeId) => compiled.contents.get(nodeId) ?? []);
    if (snapshots.length === 0) return;
    const lifetimeSeconds = scope.cluster().spec.documents.snapshotLifetimeSeconds;
    const signed = await authority.signSnapshots({ epoch, lifetimeSeconds, snapshots });
    if (edition.epoch !== epoch) return;
    signed.forEach((document, nodeId) => documents.set(nodeId, document));
    [...signed.keys()].forEach(delivery.add);
  };

  /** One batch at a time: many nodes fall due together. */
  const sign = (): Promise<void> => {
    signing ??= signDue().finally(() => (signing = undefined));
    return signing;
  };

  const documentFor = async (nodeId: string): Promise<SignedDocument | undefined> => {
    // The batch under way may have begun without this node; the next one has it.
    for (let tries = 0; tries < 2 && isDue(documents.get(nodeId), clock.nowMs()); tries += 1) await sign();
    return documents.get(nodeId);
  };

  const deliver = async (nodeId: string): Promise<Again | undefined> => {
    const facts = fleet.facts(nodeId);
    if (!facts.session || !edition) return undefined;
    const document = await documentFor(nodeId);
    if (!document) return { afterMs: RESEND_MS };
    if (hasApplied(facts.heartbeat?.applied, document))
      return { afterMs: halfLifeMs(document) - clock.nowMs() };
    const last = deliveries.get(nodeId);
    const waitMs = last?.document === document ? last.sentMs + RESEND_MS - clock.nowMs() : 0;
    if (waitMs > 0) return { afterMs: waitMs };
    const sent = await send(nodeId, { kind: "document", body: { jws: document.jws } });
    if (sent) deliveries.set(nodeId, { document, sentMs: clock.nowMs() });
    return { afterMs: RESEND_MS };
  };

  const editions = createController({
    name: "snapshot",
    scope,
    onFenced,
    concurrency: 1,
    reconcile: publish,
  });
  const delivery = createController({ name: "delivery", scope, onFenced, reconcile: deliver });

  return {
    get epoch() {
      return edition?.epoch ?? null;
    },
    get edition() {
      return edition ? { epoch: edition.epoch, sinceMs: edition.sinceMs } : null;
    },
    get compiled() {
      return edition?.compiled;
    },
    issuedTo(nodeId): IssuedSnapshot | null {
      if (!edition?.compiled.contents.has(nodeId)) return null;
      return { term, epoch: edition.epoch, sinceMs: edition.sinceMs };
    },
    assignmentEpoch: ({ metadata }: RoleAssignment) => edition?.assignments.get(metadata.name)?.epoch ?? null,
    changed() {
      const gapMs = edition ? edition.sinceMs + EDITION_GAP_MS - clock.nowMs() : 0;
      editions.addAfter(EDITION, Math.max(DEBOUNCE_MS, gapMs));
    },
    attend(nodeId) {
      // A new session has nothing of what the former one was sent.
      if (!fleet.facts(nodeId).session) deliveries.delete(nodeId);
      else delivery.add(nodeId);
    },
    renew(nodeId) {
      documents.delete(nodeId);
      delivery.add(nodeId);
    },
    run: async (signal) => void (await Promise.all([editions.run(signal), delivery.run(signal)])),
  };
}

/** A document cut short by the end of its node's certificate must not be signed ever faster until then. */
function halfLifeMs({ issuedAt, expiresAt }: SignedDocument): number {
  return (issuedAt + Math.max((expiresAt - issuedAt) / 2, MIN_REISSUE_SECONDS)) * 1000;
}

function isDue(document: SignedDocument | undefined, nowMs: number): boolean {
  return document === undefined || halfLifeMs(document) <= nowMs;
}

function hasApplied(
  applied: Parameters<typeof compareOrder>[0] | null | undefined,
  document: SignedDocument,
): boolean {
  return applied ? compareOrder(applied, document) >= 0 : false;
}
