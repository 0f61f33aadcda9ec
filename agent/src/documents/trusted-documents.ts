/**
 * What this node believes: the trust root and its snapshot, each verified here before it is kept.
 *
 * accept: 1. verify the snapshot against the trust root in force, and never go back (protocol's verifyDocument)
 *         2. verify the trust root that travels in it; a newer one replaces ours, an older one is left alone
 *         3. keep both on disk, with the highest order seen
 * A disk that refuses (full, broken) does not keep a newer decision from taking effect, since it may be a revocation: it is
 * lived by at once, reported, and written as soon as the disk takes it (flush).
 *
 * load: what was kept is verified again, except that an expired snapshot is remembered as such instead of being an error.
 */
import path from "node:path";
import {
  compareOrder,
  DocumentError,
  MAX_DOCUMENT_BYTES,
  nodeSnapshotBody,
  signingKeysOf,
  verifyDocument,
  verifyTrustRoot,
  type DocumentOrder,
  type DocumentPayload,
  type NodeSnapshotBody,
  type TrustRoot,
} from "@saf/protocol";
import { z } from "zod";
import { AgentError } from "../errors.ts";
import { durableRecord, type DurableRecord } from "../state/durable-record.ts";

export type NodeSnapshot = DocumentPayload<NodeSnapshotBody>;

export interface Subject {
  readonly trustDomain: string;
  readonly nodeId: string;
}

/** All times are unix seconds. */
export interface TrustedDocuments {
  readonly trustRoot: TrustRoot | null;
  /** The snapshot to live by; it may have expired since it was accepted. */
  readonly snapshot: NodeSnapshot | null;
  /** Highest order believed so far. */
  readonly seen: DocumentOrder | null;
  readonly accepted: number;
  /** Refused documents by code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Whether something believed is not on disk yet. */
  readonly unsaved: boolean;
  /** Reads what was kept. Throws AgentError STATE_CORRUPT or DocumentError when there is no trust root to live by. */
  load(subject: Subject, now: number): Promise<void>;
  /** Begins a membership with the trust root that the pinned connection vouched for. Throws as a save does. */
  begin(trustRootJws: string, subject: Subject, now: number): Promise<void>;
  /** Throws DocumentError and counts it; what was believed before stays in force. */
  accept(jws: string, now: number): Promise<void>;
  /** Writes what is not on disk yet. Throws AgentError STATE_*. */
  flush(): Promise<void>;
  /** Forgets everything. */
  erase(): Promise<void>;
}

export interface TrustedDocumentsOptions {
  /** `<state folder>/documents`, which exists. */
  readonly folder: string;
  readonly onRecovered: (name: string) => void;
  /** A kept document that could not be used; another will come. */
  readonly onUnusable: (error: unknown) => void;
}

const jwsRecord = z.object({ jws: z.string().max(MAX_DOCUMENT_BYTES) });
const count = z.int().nonnegative();
const seenRecord = z.object({ term: count, epoch: count, issuedAt: count });

export function trustedDocuments(options: TrustedDocumentsOptions): TrustedDocuments {
  const { folder, onRecovered, onUnusable } = options;
  const at = (name: string, maxBytes: number) => ({ path: path.join(folder, name), maxBytes, onRecovered });
  const records = {
    trustRoot: durableRecord({ ...at("trust-root.jws", 128 * 1024), schema: jwsRecord }),
    snapshot: durableRecord({ ...at("node-snapshot.jws", MAX_DOCUMENT_BYTES + 1024), schema: jwsRecord }),
    seen: durableRecord({ ...at("seen", 4096), schema: seenRecord }),
  };
  /** Saves that are owed to the disk, oldest first. */
  const owed = new Map<keyof typeof records, () => Promise<void>>();
  const refused: Record<string, number> = {};
  let subject: Subject | null = null;
  let trustRoot: TrustRoot | null = null;
  let snapshot: NodeSnapshot | null = null;
  let seen: DocumentOrder | null = null;
  let accepted = 0;

  async function load(of: Subject, now: number): Promise<void> {
    subject = of;
    seen = await optional(records.seen);
    const notBefore = Math.max(now, seen?.issuedAt ?? 0); // a host without a clock battery wakes up in the past
    const root = await records.trustRoot.load();
    if (!root) throw new AgentError("STATE_CORRUPT", "there is a membership but no trust root");
    trustRoot = await verifyTrustRoot(root.jws, { cluster: of.trustDomain, now: notBefore });
    const kept = await optional(records.snapshot);
    if (kept) await adoptKept(kept.jws, notBefore);
  }

  /** A record that the node can do without: a newer one comes from the operator. */
  async function optional<T>(record: DurableRecord<T>): Promise<T | null> {
    try {
      return await record.load();
    } catch (error) {
      onUnusable(error);
      return null;
    }
  }

  async function adoptKept(jws: string, now: number): Promise<void> {
    try {
      // Not held against `seen`: after damage the last known good one may be a generation older, and is better than none.
      snapshot = await verifySnapshot(jws, now, null);
      seen = latest(seen, snapshot);
    } catch (error) {
      onUnusable(error);
    }
  }

  async function begin(jws: string, of: Subject, now: number): Promise<void> {
    await erase();
    subject = of;
    trustRoot = await verifyTrustRoot(jws, { cluster: of.trustDomain, now });
    await records.trustRoot.save({ jws });
  }

  async function accept(jws: string, now: number): Promise<void> {
    try {
      const next = await verifySnapshot(jws, now, seen);
      const root = await newerTrustRoot(next.body.trustRoot, now);
      adopt(jws, next, root);
    } catch (error) {
      if (error instanceof DocumentError) refused[error.code] = (refused[error.code] ?? 0) + 1;
      throw error;
    }
  }

  function adopt(jws: string, next: NodeSnapshot, root: TrustRoot | null): void {
    accepted += 1;
    snapshot = next;
    const order = latest(seen, next);
    seen = order;
    owed.set("snapshot", () => records.snapshot.save({ jws }));
    owed.set("seen", () => records.seen.save(order));
    if (!root) return;
    trustRoot = root;
    owed.set("trustRoot", () => records.trustRoot.save({ jws: next.body.trustRoot }));
  }

  async function flush(): Promise<void> {
    for (const [name, save] of owed) {
      await save();
      if (owed.get(name) === save) owed.delete(name); // unless a newer one came meanwhile
    }
  }

  async function erase(): Promise<void> {
    owed.clear();
    for (const record of Object.values(records)) await record.erase();
    [subject, trustRoot, snapshot, seen] = [null, null, null, null];
  }

  async function verifySnapshot(
    jws: string,
    now: number,
    after: DocumentOrder | null,
  ): Promise<NodeSnapshot> {
    if (!subject || !trustRoot)
      throw new DocumentError("UNKNOWN_KEY", "there is no trust root to verify it with");
    const { trustDomain: cluster, nodeId: scope } = subject;
    const keys = signingKeysOf(trustRoot.body);
    const expected = {
      type: "saf-node-snapshot",
      cluster,
      scope,
      body: nodeSnapshotBody,
      keys,
      now,
    } as const;
    const verified = await verifyDocument(jws, { ...expected, seen: after ?? undefined });
    if (verified.body.nodeId !== scope) throw new DocumentError("INVALID_BODY", "the body is another node's");
    return verified;
  }

  async function newerTrustRoot(jws: string, now: number): Promise<TrustRoot | null> {
    if (!trustRoot) return null;
    const root = await verifyTrustRoot(jws, { cluster: trustRoot.cluster, now, previous: trustRoot.body });
    return compareOrder(root, trustRoot) > 0 ? root : null;
  }

  return {
    get trustRoot() {
      return trustRoot;
    },
    get snapshot() {
      return snapshot;
    },
    get seen() {
      return seen;
    },
    get accepted() {
      return accepted;
    },
    get refused() {
      return refused;
    },
    get unsaved() {
      return owed.size > 0;
    },
    load,
    begin,
    accept,
    flush,
    erase,
  };
}

function latest(seen: DocumentOrder | null, { term, epoch, issuedAt }: DocumentOrder): DocumentOrder {
  const order = { term, epoch, issuedAt };
  return seen && compareOrder(seen, order) > 0 ? seen : order;
}
