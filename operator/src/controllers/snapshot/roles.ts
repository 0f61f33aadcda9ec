/** Which node holds which role now, from the RoleAssignments. */
import type { Role, RoleAssignment } from "@saf/crds";
import type { FleetNode } from "./fleet-node.ts";

export interface RolesInForce {
  /** By node id: distinct and sorted. */
  readonly roles: ReadonlyMap<string, readonly Role[]>;
  /** By assignment name: the node ids that it gives its role to now. */
  readonly targets: ReadonlyMap<string, readonly string[]>;
  /** When a bound in time changes this next, unix ms; null when none does. */
  readonly nextChangeMs: number | null;
}

export type Phase = "Pending" | "Active" | "Expired";

export function phaseOf({ spec }: RoleAssignment, nowMs: number): Phase {
  if (spec.expiresAt !== undefined && Date.parse(spec.expiresAt) <= nowMs) return "Expired";
  if (spec.notBefore !== undefined && Date.parse(spec.notBefore) > nowMs) return "Pending";
  return "Active";
}

export function rolesInForce(
  assignments: readonly RoleAssignment[],
  nodes: readonly FleetNode[],
  nowMs: number,
): RolesInForce {
  const roles = new Map<string, Set<Role>>(nodes.map(({ nodeId }) => [nodeId, new Set()]));
  const targets = new Map<string, string[]>();
  for (const assignment of assignments) {
    const active = phaseOf(assignment, nowMs) === "Active" && !assignment.metadata.deletionTimestamp;
    const chosen = active
      ? nodes.filter((node) => chooses(assignment, node)).map(({ nodeId }) => nodeId)
      : [];
    targets.set(assignment.metadata.name, chosen);
    chosen.forEach((nodeId) => roles.get(nodeId)?.add(assignment.spec.role));
  }
  const sorted = [...roles].map(([nodeId, held]) => [nodeId, [...held].sort()] as const);
  return { roles: new Map(sorted), targets, nextChangeMs: nextChange(assignments, nowMs) };
}

/** Whether the assignment means this node. A node that is out of the fabric holds no role. */
export function chooses({ spec }: RoleAssignment, node: FleetNode): boolean {
  if (node.state !== "Active") return false;
  if (spec.nodeName !== undefined) return spec.nodeName === node.nodeName;
  const wanted = Object.entries(spec.nodeSelector?.matchLabels ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => node.labels[key] === value);
}

function nextChange(assignments: readonly RoleAssignment[], nowMs: number): number | null {
  const bounds = assignments
    .flatMap(({ spec }) => [spec.notBefore, spec.expiresAt])
    .flatMap((time) => (time === undefined ? [] : [Date.parse(time)]))
    .filter((timeMs) => timeMs > nowMs);
  return bounds.length === 0 ? null : Math.min(...bounds);
}
