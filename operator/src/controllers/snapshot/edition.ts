/**
 * An edition: what all nodes should know as of one epoch. A new one is due only when the content for some node differs from what
 * was published before; then every node's snapshot carries the new epoch, so that equal epochs mean equally fresh.
 */
import { createHash } from "node:crypto";
import type { RoleAssignment } from "@saf/crds";
import type { Compiled } from "./compile.ts";

export interface Edition {
  readonly epoch: number;
  /** Unix ms. */
  readonly sinceMs: number;
  readonly compiled: Compiled;
  /** By node id. */
  readonly digests: ReadonlyMap<string, string>;
  /** By assignment name: what it does, and the epoch since when. */
  readonly assignments: ReadonlyMap<string, AssignmentEffect>;
}

export interface AssignmentEffect {
  readonly effect: string;
  readonly epoch: number;
}

export function digestsOf({ contents }: Compiled): ReadonlyMap<string, string> {
  const digest = (content: unknown): string =>
    createHash("sha256").update(JSON.stringify(content)).digest("base64");
  return new Map([...contents].map(([nodeId, content]) => [nodeId, digest(content)]));
}

export function differ(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size !== b.size || [...a].some(([nodeId, digest]) => b.get(nodeId) !== digest);
}

/**
 * An assignment keeps its epoch while it does the same for the same nodes. After a restart of the operator the last word of its own
 * status is taken up, so that it need not be confirmed anew by nodes that knew it all along.
 */
export function effectsOf(
  assignments: readonly RoleAssignment[],
  { targets }: Pick<Compiled, "targets">,
  epoch: number,
  before: ReadonlyMap<string, AssignmentEffect> | undefined,
): ReadonlyMap<string, AssignmentEffect> {
  return new Map(
    assignments.map((assignment) => {
      const { name, uid } = assignment.metadata;
      const chosen = targets.get(name) ?? [];
      const effect = JSON.stringify([uid, assignment.spec.role, chosen]);
      const known = before ? before.get(name) : taken(assignment, effect, chosen.length);
      return [name, known?.effect === effect ? known : { effect, epoch }];
    }),
  );
}

function taken(
  { metadata, status }: RoleAssignment,
  effect: string,
  count: number,
): AssignmentEffect | undefined {
  const current = status?.observedGeneration === metadata.generation && status?.nodes === count;
  return current && status?.epoch !== undefined ? { effect, epoch: status.epoch } : undefined;
}
