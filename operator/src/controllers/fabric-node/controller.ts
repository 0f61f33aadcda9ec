/**
 * FabricNode: a member as people see and steer it.
 *
 *   identity without object     → make the object
 *   object deleted              → the node leaves (leave.ts), then the object goes
 *   spec.revoked                → the identity is revoked in the ledger, for good
 *   always                      → status, from ledger, heartbeats and confirmations
 */
import type { FabricNode } from "@saf/crds";
import { CLOCK_SKEW_SECONDS } from "@saf/protocol";
import { addFinalizer, hasFinalizer, removeFinalizer } from "../../kube/finalizers.ts";
import type { Again } from "../../kube/work-queue.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { FABRIC_NODES } from "../resources.ts";
import type { Scope } from "../scope.ts";
import { writeStatus } from "../status-writer.ts";
import { applyNode } from "./apply-node.ts";
import { keepGroupLabels } from "./group-labels.ts";
import { nextStep, type LeavingStep } from "./leave.ts";
import { belongs, decideNode, type IssuedSnapshot } from "./decide.ts";
import type { Compiled } from "../snapshot/compile.ts";
import { confirmedBy, confirmedByAll } from "../snapshot/confirmed.ts";
import { NOWHERE } from "../snapshot/place.ts";

/** What the publisher last made for the nodes. */
export interface Published {
  /** The edition: its epoch, and when it was made; null before the first. */
  readonly edition: { readonly epoch: number; readonly sinceMs: number } | null;
  readonly compiled: Compiled | undefined;
  readonly issuedTo: (nodeId: string) => IssuedSnapshot | null;
}

export interface NodeHooks {
  /** Says to the node, if it is in session, that its membership is over. */
  dismiss(nodeId: string, reason: string): Promise<unknown>;
}

export function reconcileNode(
  scope: Scope,
  published: Published,
  hooks: NodeHooks,
): (name: string) => Promise<Again | undefined> {
  const { caches, client, identities } = scope;
  const leave = createLeavers(scope, published, hooks);
  return async (name) => {
    const node = caches.nodes.get(name);
    const identity = identities.byName(name);
    if (!node) {
      if (identity) await applyNode(client, identity);
      return undefined;
    }
    if (node.metadata.deletionTimestamp) return leave(node);
    await keepGroupLabels(client, node);
    if (belongs(node, identity)) await carryOut(scope, node, identity);
    return show(scope, published, node);
  };
}

const DELETED = "its FabricNode was deleted";

/** Members whose objects are deleted, and when they were told. What is forgotten with the operator is said again. */
function createLeavers(
  scope: Scope,
  published: Published,
  hooks: NodeHooks,
): (node: FabricNode) => Promise<Again | undefined> {
  const { client, clock, events, fleet, identities, ledger, term } = scope;
  const told = new Map<string, number>();

  const stepFor = ({ nodeId, status }: Identity): LeavingStep => {
    const { compiled, edition } = published;
    const without = compiled && edition && !compiled.contents.has(nodeId) ? edition : undefined;
    return nextStep({
      status,
      connected: fleet.facts(nodeId).session !== null,
      toldMs: told.get(nodeId),
      editionWithout: without,
      unconfirmed: fleet
        .connected()
        .filter((other) => identities.byId(other)?.status === "Active")
        .filter((other) => (confirmedBy(scope, other) ?? -1) < (without?.epoch ?? 0)).length,
      nowMs: clock.nowMs(),
    });
  };

  const remove = async (node: FabricNode, { nodeId }: Identity): Promise<void> => {
    // Whoever got a certificate a moment ago can hold a snapshot too.
    await identities.refresh();
    const ends = identities.all().map(({ certificateNotAfter }) => certificateNotAfter ?? 0);
    await ledger.removeIdentity(term, {
      nodeId,
      actor: actorFor(node),
      reason: DELETED,
      epoch: published.edition?.epoch ?? Number.MAX_SAFE_INTEGER,
      // No snapshot outlives the certificate of the node that lives by it.
      heldUntil: Math.max(Math.floor(clock.nowMs() / 1000), ...ends) + CLOCK_SKEW_SECONDS,
    });
    await ledger.releaseAddresses(term, confirmedByAll(scope));
    told.delete(nodeId);
    fleet.forget(nodeId);
    await identities.refresh();
    const message = "it left the fabric; its address is free once no member's snapshot names it";
    events.record({ object: node, type: "Normal", reason: "Left", message });
  };

  return async (node) => {
    if (!hasFinalizer(node)) return undefined;
    for (;;) {
      const identity = identities.byName(node.metadata.name);
      if (!belongs(node, identity)) break;
      const { nodeId } = identity;
      const step = stepFor(identity);
      if (step === "tell") {
        told.set(nodeId, clock.nowMs());
        await hooks.dismiss(nodeId, DELETED);
      } else if (step === "revoke") {
        await ledger.revokeIdentity(term, { nodeId, actor: actorFor(node), reason: DELETED });
        await identities.refresh();
      } else if (step === "remove") {
        await remove(node, identity);
      } else {
        await show(scope, published, node);
        return { afterMs: step.waitMs };
      }
    }
    await removeFinalizer(client, FABRIC_NODES, node);
    return undefined;
  };
}

async function carryOut(scope: Scope, node: FabricNode, identity: Identity): Promise<void> {
  const { client, identities, ledger, term } = scope;
  await addFinalizer(client, FABRIC_NODES, node);
  const { revoked } = node.spec;
  if (!revoked || identity.status !== "Active") return;
  const { nodeId } = identity;
  await ledger.revokeIdentity(term, { nodeId, actor: actorFor(node), reason: revoked.reason });
  await identities.refresh();
}

/** The API server knows who changed the object and its audit log says so; from here only the object can be named. */
function actorFor({ metadata }: FabricNode): string {
  return `fabricnode/${metadata.name}`;
}

async function show(
  scope: Scope,
  { compiled, issuedTo }: Published,
  node: FabricNode,
): Promise<Again | undefined> {
  const { clock, fleet, identities } = scope;
  const { nodeId } = node.spec;
  const nowMs = clock.nowMs();
  const { status, nextMs } = decideNode({
    node,
    identity: identities.byName(node.metadata.name),
    facts: fleet.facts(nodeId),
    roles: compiled?.roles.get(nodeId) ?? [],
    place: compiled?.places.get(nodeId) ?? NOWHERE,
    issued: issuedTo(nodeId),
    reachability: scope.cluster().spec.reachability,
    nowMs,
  });
  await writeStatus(scope, FABRIC_NODES, node, status);
  return nextMs === null ? undefined : { afterMs: nextMs - nowMs };
}
