/** The fabric's kinds as the Kubernetes client addresses them. */
import {
  API_VERSION,
  clusterKind,
  fabricNodeKind,
  joinRequestKind,
  joinTokenKind,
  roleAssignmentKind,
  type Cluster,
  type FabricNode,
  type JoinRequest,
  type JoinToken,
  type RoleAssignment,
} from "@saf/crds";
import type { KubeObject, Resource } from "../kube/resource.ts";

function resource<T extends KubeObject>({ kind, plural }: { kind: string; plural: string }): Resource<T> {
  return { apiVersion: API_VERSION, kind, plural };
}

export const CLUSTERS: Resource<Cluster> = resource(clusterKind);
export const FABRIC_NODES: Resource<FabricNode> = resource(fabricNodeKind);
export const ROLE_ASSIGNMENTS: Resource<RoleAssignment> = resource(roleAssignmentKind);
export const JOIN_TOKENS: Resource<JoinToken> = resource(joinTokenKind);
export const JOIN_REQUESTS: Resource<JoinRequest> = resource(joinRequestKind);
