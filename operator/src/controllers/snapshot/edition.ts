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

/** The contents of a mesh share their peers, so each peer is digested once: 1000 nodes would else be 270 MB of text. */
export function digestsOf({ contents }: Pick<Compiled, "contents">): ReadonlyMap<string, string> {
  const known = new Map<object, string>();
  const digestOf = (part: object): string => {
    const digest = known.get(part) ?? sha256(JSON.stringify(part));
    known.set(part, digest);
    return digest;
  };
  return new Map(
    [...contents].map(([nodeId, { peers, revoked, trafficRules, ...rest }]) => {
      const parts = [
        ...peers.map(digestOf),
        "",
        digestOf(revoked),
        digestOf(trafficRules),
        JSON.stringify(rest),
      ];
      return [nodeId, sha256(parts.join("\n"))];
    }),
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("base64");
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
