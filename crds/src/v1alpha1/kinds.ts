/** Every kind of the group, in the order in which they are applied. */
import { clusterKind } from "./cluster.ts";
import { fabricNodeKind } from "./fabric-node.ts";
import { joinRequestKind } from "./join-request.ts";
import { joinTokenKind } from "./join-token.ts";
import { roleAssignmentKind } from "./role-assignment.ts";

export const kinds = [
  clusterKind,
  fabricNodeKind,
  roleAssignmentKind,
  joinTokenKind,
  joinRequestKind,
] as const;
