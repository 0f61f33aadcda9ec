/**
 * JoinRequest: shows the ledger's requests to people and carries their answer back.
 *
 *   row pending, no object      → make the object (also after an outage: the row waited)
 *   row pending, an answer      → decide in the ledger; the first decision is final
 *   row pending, a pod that the Cluster lets in without a person, and nobody answered → approve in the policy's name
 *   row approved, not yet shown → FabricNode and the roles asked for
 *   always                      → status
 */
import type { JoinRequest } from "@saf/crds";
import type { AttestedPod, JoinRequestRecord } from "../../ledger/ledger.ts";
import type { Again } from "../../kube/work-queue.ts";
import { isKubeError } from "../../kube/errors.ts";
import { codeOf } from "../controller.ts";
import { applyNode } from "../fabric-node/apply-node.ts";
import { JOIN_REQUESTS, ROLE_ASSIGNMENTS, FABRIC_NODES } from "../resources.ts";
import type { Scope } from "../scope.ts";
import { writeStatus } from "../status-writer.ts";
import {
  approvedByPolicy,
  decideRequestStatus,
  rolesOf,
  shows,
  specFor,
  tells,
  verdictOf,
  type Obstacle,
  type Verdict,
} from "./decide.ts";

/** An address or a name may become free at any time without an event that leads here. */
const OBSTACLE_RETRY_MS = 15_000;
/** For people; the API server's own messages can be long. */
const MAX_MESSAGE = 1_024;

export interface RequestHooks {
  /** The decision is in the ledger and its node can be met: whoever waits for it may be told. */
  decided(requestId: string): void;
  /** Whether the Cluster lets the pod in without a person, and it still runs. */
  autoApproves(pod: AttestedPod, requestedRoles: readonly string[]): Promise<boolean>;
}

export function reconcileRequest(
  scope: Scope,
  hooks: RequestHooks,
): (name: string) => Promise<Again | undefined> {
  const { caches, client, clock, ledger } = scope;
  return async (name) => {
    const request = caches.requests.get(name);
    const row = await ledger.joinRequest(name);
    if (!request) {
      if (row?.decision === "Pending")
        await client.apply(JOIN_REQUESTS, { metadata: { name }, spec: specFor(row) });
      return undefined;
    }
    const { after, ...decided } = await decide(scope, hooks, request, row);
    const due = after?.decision === "Approved" && shows(request, after) && !tells(request, after);
    const obstacle = due ? await admit(scope, after) : decided.obstacle;
    const status = decideRequestStatus({ request, row: after, obstacle, nowMs: clock.nowMs() });
    await writeStatus(scope, JOIN_REQUESTS, request, status);
    return obstacle ? { afterMs: OBSTACLE_RETRY_MS } : undefined;
  };
}

interface Decided {
  readonly after: JoinRequestRecord | undefined;
  readonly obstacle?: Obstacle;
}

async function decide(
  scope: Scope,
  hooks: RequestHooks,
  request: JoinRequest,
  row: JoinRequestRecord | undefined,
): Promise<Decided> {
  if (!row || row.decision !== "Pending" || !shows(request, row)) return { after: row };
  const verdict = verdictOf(request) ?? (await verdictOfPolicy(hooks, row));
  if (!verdict) return { after: row };
  const pools = scope.cluster().spec.addressPools;
  try {
    const after = await scope.ledger.decideJoin(scope.term, { requestId: row.requestId, pools, ...verdict });
    await scope.identities.refresh();
    hooks.decided(row.requestId);
    return { after };
  } catch (error) {
    const obstacle = obstacleFrom(error);
    if (!obstacle) throw error;
    return { after: row, obstacle };
  }
}

async function verdictOfPolicy(
  hooks: RequestHooks,
  { pod, requestedRoles }: JoinRequestRecord,
): Promise<Verdict> {
  if (!pod || !(await hooks.autoApproves(pod, requestedRoles))) return undefined;
  return approvedByPolicy(pod);
}

function obstacleFrom(error: unknown): Obstacle | undefined {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : "";
  if (code === "ADDRESS_POOL_EXHAUSTED") return { reason: "AddressPoolExhausted", message };
  if (code === "NODE_NAME_TAKEN") return { reason: "NodeNameTaken", message };
  return undefined;
}

/** An object of the same name that is not ours to change must not hide that the host was approved. */
async function admit(scope: Scope, row: JoinRequestRecord): Promise<Obstacle | undefined> {
  try {
    await makeObjects(scope, row);
    return undefined;
  } catch (error) {
    if (!isKubeError(error, "INVALID")) throw error;
    const message = `an object of the same name is in the way, delete it: ${error.message}`;
    return { reason: "ObjectInTheWay", message: message.slice(0, MAX_MESSAGE) };
  }
}

async function makeObjects(scope: Scope, row: JoinRequestRecord): Promise<void> {
  const identity = scope.identities.byName(row.nodeName);
  if (identity?.nodeId !== row.nodeId) return;
  const node = await applyNode(scope.client, identity);
  for (const role of rolesOf(row)) {
    const owner = {
      apiVersion: FABRIC_NODES.apiVersion,
      kind: FABRIC_NODES.kind,
      name: row.nodeName,
      uid: node.metadata.uid,
    };
    const metadata = { name: `${row.nodeName}-${role}`, ownerReferences: [owner] };
    await scope.client.apply(ROLE_ASSIGNMENTS, { metadata, spec: { role, nodeName: row.nodeName } });
  }
}
