/**
 * FabricNode: a member as people see and steer it.
 *
 *   identity without object     → make the object
 *   object deleted              → the identity ends in the ledger, then the object goes
 *   spec.revoked                → the identity is revoked in the ledger, for good
 *   always                      → status, from ledger, heartbeats and confirmations
 */
import type { FabricNode } from "@saf/crds";
import { addFinalizer, hasFinalizer, removeFinalizer } from "../../kube/finalizers.ts";
import type { Again } from "../../kube/work-queue.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { FABRIC_NODES } from "../resources.ts";
import type { Scope } from "../scope.ts";
import { writeStatus } from "../status-writer.ts";
import { applyNode } from "./apply-node.ts";
import { belongs, decideNode, type IssuedSnapshot } from "./decide.ts";
import type { Compiled } from "../snapshot/compile.ts";
import { NOWHERE } from "../snapshot/place.ts";

/** What the publisher last made for the nodes. */
export interface Published {
  readonly compiled: Compiled | undefined;
  readonly issuedTo: (nodeId: string) => IssuedSnapshot | null;
}

export function reconcileNode(
  scope: Scope,
  published: Published,
): (name: string) => Promise<Again | undefined> {
  const { caches, client, identities } = scope;
  return async (name) => {
    const node = caches.nodes.get(name);
    const identity = identities.byName(name);
    if (!node) {
      if (identity) await applyNode(client, identity);
      return undefined;
    }
    if (node.metadata.deletionTimestamp) return end(scope, node);
    if (belongs(node, identity)) await carryOut(scope, node, identity);
    return show(scope, published, node);
  };
}

async function end(scope: Scope, node: FabricNode): Promise<undefined> {
  const { client, identities, fleet, ledger, term } = scope;
  if (!hasFinalizer(node)) return;
  const identity = identities.byName(node.metadata.name);
  if (belongs(node, identity)) {
    const reason = "its FabricNode was deleted";
    await ledger.removeIdentity(term, { nodeId: identity.nodeId, actor: actorFor(node), reason });
    fleet.forget(identity.nodeId);
    await identities.refresh();
  }
  await removeFinalizer(client, FABRIC_NODES, node);
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
