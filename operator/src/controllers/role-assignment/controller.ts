/** RoleAssignment: shows what the snapshots made of it. The role itself travels with the snapshots (snapshot/). */
import type { RoleAssignment } from "@saf/crds";
import type { Again } from "../../kube/work-queue.ts";
import type { Published } from "../fabric-node/controller.ts";
import { ROLE_ASSIGNMENTS } from "../resources.ts";
import type { Scope } from "../scope.ts";
import { confirmedBy } from "../snapshot/confirmed.ts";
import { writeStatus } from "../status-writer.ts";
import { decideAssignment } from "./decide.ts";

export interface PublishedRoles extends Published {
  /** The epoch in which the present targets of an assignment were first published. */
  assignmentEpoch(assignment: RoleAssignment): number | null;
}

export function reconcileAssignment(
  scope: Scope,
  published: PublishedRoles,
): (name: string) => Promise<Again | undefined> {
  const { caches, clock } = scope;
  return async (name) => {
    const assignment = caches.assignments.get(name);
    const targets = published.compiled?.targets.get(name);
    // One that no edition has seen yet is looked at again with the next.
    if (!assignment || assignment.metadata.deletionTimestamp || !targets) return undefined;
    const nowMs = clock.nowMs();
    const epoch = published.assignmentEpoch(assignment);
    const { status, nextMs } = decideAssignment({
      assignment,
      targets,
      epoch,
      confirmedBy: (nodeId) => confirmedBy(scope, nodeId),
      nowMs,
    });
    await writeStatus(scope, ROLE_ASSIGNMENTS, assignment, status);
    return nextMs === null ? undefined : { afterMs: nextMs - nowMs };
  };
}
