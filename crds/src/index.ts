/** @saf/crds: the Kubernetes API of the fabric. */
export { API_VERSION, CATEGORY, GROUP, VERSION } from "./v1alpha1/group.ts";
export { SchemaError, type SchemaErrorCode } from "./errors.ts";
export type { CustomResourceDefinition, KindDefinition, KubernetesObject } from "./schema/kind.ts";
export type { Condition } from "./v1alpha1/condition.ts";
export type { ObjectMeta } from "./v1alpha1/object-meta.ts";
export { GROUP_LABEL_PREFIX, groupLabels } from "./v1alpha1/group-label.ts";
export { ROLES, type Role } from "./v1alpha1/role.ts";
export {
  clusterKind,
  type Cluster,
  type ClusterSpec,
  type ClusterSpecInput,
  type ClusterStatus,
  type ServiceAccountPolicy,
} from "./v1alpha1/cluster.ts";
export {
  fabricNodeKind,
  type FabricNode,
  type FabricNodeSpec,
  type FabricNodeSpecInput,
  type FabricNodeStatus,
} from "./v1alpha1/fabric-node.ts";
export {
  roleAssignmentKind,
  type RoleAssignment,
  type RoleAssignmentSpec,
  type RoleAssignmentSpecInput,
  type RoleAssignmentStatus,
} from "./v1alpha1/role-assignment.ts";
export {
  joinTokenKind,
  type JoinToken,
  type JoinTokenSpec,
  type JoinTokenSpecInput,
  type JoinTokenStatus,
} from "./v1alpha1/join-token.ts";
export {
  joinRequestKind,
  type Approval,
  type JoinRequest,
  type JoinRequestSpec,
  type JoinRequestStatus,
  type PodAttestation,
} from "./v1alpha1/join-request.ts";
export { kinds } from "./v1alpha1/kinds.ts";
export { generateManifests } from "./generate.ts";
