/** What a RoleAssignment's status says: whether the role is in force, and whether those who play it know. */
import type { RoleAssignment, RoleAssignmentStatus } from "@saf/crds";
import { conditionsFrom, finding, type Finding } from "../condition.ts";
import { phaseOf } from "../snapshot/roles.ts";

export interface AssignmentInput {
  readonly assignment: RoleAssignment;
  /** Node ids that it gives its role to now. */
  readonly targets: readonly string[];
  /** The decision by which the present targets learnt of it; null before it was published. */
  readonly epoch: number | null;
  /** The newest epoch that a node confirmed; null when none is known. */
  readonly confirmedBy: (nodeId: string) => number | null;
  readonly nowMs: number;
}

export interface AssignmentOutcome {
  readonly status: RoleAssignmentStatus;
  /** When time alone changes the outcome, unix ms. */
  readonly nextMs: number | null;
}

export function decideAssignment(input: AssignmentInput): AssignmentOutcome {
  const { assignment, targets, epoch, nowMs } = input;
  const { generation } = assignment.metadata;
  const findings = [inForce(input), propagated(input)];
  const conditions = conditionsFrom(findings, { previous: assignment.status?.conditions, generation, nowMs });
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const learnt = epoch === null ? {} : { epoch };
  const { notBefore, expiresAt } = assignment.spec;
  const bounds = [notBefore, expiresAt]
    .flatMap((time) => (time ? [Date.parse(time)] : []))
    .filter((ms) => ms > nowMs);
  return {
    status: { ...observed, conditions, nodes: targets.length, ...learnt },
    nextMs: bounds.length === 0 ? null : Math.min(...bounds),
  };
}

function inForce({ assignment, targets, nowMs }: AssignmentInput): Finding {
  const { notBefore, expiresAt, role } = assignment.spec;
  const phase = phaseOf(assignment, nowMs);
  if (phase === "Expired") return finding("Ready", "False", "Expired", `ended at ${expiresAt}`);
  if (phase === "Pending") return finding("Ready", "False", "Pending", `begins at ${notBefore}`);
  if (targets.length === 0) return finding("Ready", "False", "NoMatch", "no active node is meant by it");
  return finding("Ready", "True", "InForce", `${nodes(targets.length)} may act as ${role}`);
}

function propagated({ targets, epoch, confirmedBy }: AssignmentInput): Finding {
  if (epoch === null) return finding("Propagated", "False", "NotPublished", "no snapshot carries it yet");
  const waiting = targets.filter((nodeId) => (confirmedBy(nodeId) ?? -1) < epoch).length;
  if (waiting > 0)
    return finding(
      "Propagated",
      "False",
      "AwaitingNodes",
      `${waiting} of ${nodes(targets.length)} yet to confirm`,
    );
  return finding("Propagated", "True", "Confirmed", "every node concerned has confirmed");
}

function nodes(count: number): string {
  return count === 1 ? "1 node" : `${count} nodes`;
}
