/**
 * What the API server says of a pod's projected token, of the pod and of its Node, against what the Cluster allows. Pure.
 *
 *   token  → TokenReview for the Cluster's audiences → ServiceAccount, pod, Node that it is bound to
 *   pod    → still there, the same one, not ended, on that Node
 *   Node   → gives the node its name, and the addresses that the request may come from
 */
import { isIP } from "node:net";
import type { ServiceAccountPolicy } from "@saf/crds";
import {
  AddressError,
  addressToNumber,
  cidrContains,
  IdentityError,
  nodeNameOf,
  parseCidr,
} from "@saf/protocol";
import { EnrolmentError } from "../api/errors.ts";
import type { KubernetesNode, Pod, TokenReview } from "../kube/resource.ts";
import type { AttestedPod } from "../ledger/ledger.ts";

const USERNAME = /^system:serviceaccount:([^:]+):([^:]+)$/;
/** https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#additional-metadata-in-pod-bound-tokens */
const EXTRA = {
  podName: "authentication.kubernetes.io/pod-name",
  podUid: "authentication.kubernetes.io/pod-uid",
  nodeName: "authentication.kubernetes.io/node-name",
} as const;
const ENDED = new Set(["Succeeded", "Failed"]);
/** Of the API server's words in ours. */
const MAX_QUOTE = 256;

/** Whom a token speaks for, and what the Cluster says to that. */
export interface Bearer {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
  /** Kubernetes before 1.32 may not say. */
  readonly nodeName: string | undefined;
  readonly policy: ServiceAccountPolicy;
}

/** Throws SERVICE_ACCOUNT_TOKEN_REFUSED, SERVICE_ACCOUNT_NOT_ALLOWED, POD_UNPROVED. */
export function bearerOf(
  { status }: Pick<TokenReview, "status">,
  policies: readonly ServiceAccountPolicy[],
): Bearer {
  const [, namespace, serviceAccount] = USERNAME.exec(status?.user?.username ?? "") ?? [];
  if (status?.authenticated !== true || namespace === undefined || serviceAccount === undefined)
    throw new EnrolmentError(
      "SERVICE_ACCOUNT_TOKEN_REFUSED",
      `the API server does not accept the token for any audience of this Cluster (wrong audience, expired, or its pod is gone)${quote(status?.error)}`,
    );
  const policy = policies.find(
    (entry) =>
      entry.namespace === namespace &&
      entry.name === serviceAccount &&
      status.audiences?.includes(entry.audience),
  );
  if (!policy)
    throw new EnrolmentError(
      "SERVICE_ACCOUNT_NOT_ALLOWED",
      `the Cluster's spec.enrolment.serviceAccounts does not name ${namespace}/${serviceAccount} for this audience`,
    );
  const extra = (key: keyof typeof EXTRA): string | undefined => status.user?.extra?.[EXTRA[key]]?.[0];
  const [podName, podUid] = [extra("podName"), extra("podUid")];
  if (podName === undefined || podUid === undefined)
    throw new EnrolmentError(
      "POD_UNPROVED",
      "the token is not bound to a pod: use the one that a projected volume gives, not one made by hand",
    );
  return { namespace, serviceAccount, podName, podUid, nodeName: extra("nodeName"), policy };
}

function quote(error: string | undefined): string {
  return error === undefined || error === "" ? "" : `: ${error.slice(0, MAX_QUOTE)}`;
}

/** The Kubernetes Node that the bearer's pod runs on. Throws POD_ENDED, POD_UNPROVED. */
export function hostOf(bearer: Bearer, pod: Pod | undefined): string {
  if (!livesOn(bearer, pod))
    throw new EnrolmentError(
      "POD_ENDED",
      `the pod ${bearer.podName} has ended or is another one by now: only a running pod may ask`,
    );
  const node = pod.spec?.nodeName;
  const told = bearer.nodeName ?? node;
  if (node === undefined || node !== told || pod.spec?.serviceAccountName !== bearer.serviceAccount)
    throw new EnrolmentError("POD_UNPROVED", "the pod is not on the Node or of the account of its token");
  return node;
}

/** Whether it is the pod that the token was made for, and it has not ended. */
export function livesOn({ podUid }: Pick<Bearer, "podUid">, pod: Pod | undefined): pod is Pod {
  return (
    pod !== undefined &&
    pod.metadata.uid === podUid &&
    pod.metadata.deletionTimestamp === undefined &&
    !ENDED.has(pod.status?.phase ?? "")
  );
}

export interface Asked {
  /** The name that the node asks for. */
  readonly nodeName: string;
  /** Of the connection's other end. */
  readonly source: string;
}

/** Throws NODE_NAME_MISMATCH, SOURCE_NOT_NODE. */
export function attested(
  { namespace, serviceAccount, podName, podUid, policy }: Bearer,
  host: string,
  node: KubernetesNode | undefined,
  { nodeName, source }: Asked,
): AttestedPod {
  requireName(host, nodeName);
  const fromNode = node !== undefined && isFrom(node, source);
  if (!fromNode && policy.sourceAddress !== "Any")
    throw new EnrolmentError(
      "SOURCE_NOT_NODE",
      node === undefined
        ? `there is no Kubernetes Node ${host}`
        : `the request comes from ${source}, which is neither an address of the Node ${host} nor in its pod range; where address translation hides nodes, set sourceAddress: Any`,
    );
  const { audience } = policy;
  return {
    namespace,
    name: podName,
    uid: podUid,
    serviceAccount,
    audience,
    node: host,
    source,
    fromNode,
  };
}

function requireName(host: string, asked: string): void {
  let name: string;
  try {
    name = nodeNameOf(host);
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    throw new EnrolmentError("NODE_NAME_MISMATCH", `${host}: ${error.message}`, { cause: error });
  }
  if (name !== asked)
    throw new EnrolmentError(
      "NODE_NAME_MISMATCH",
      `the pod runs on the Node ${host}, so its node is called ${name}, not ${asked}`,
    );
}

/** What a host sends to a ClusterIP may bear an address of its pod range, which only that Node has. */
function isFrom({ spec, status }: KubernetesNode, source: string): boolean {
  if (isIP(source) === 0) return false;
  const own = (status?.addresses ?? []).some(
    ({ address }) =>
      isIP(address) === isIP(source) && isSo(() => addressToNumber(address) === addressToNumber(source)),
  );
  return own || (spec?.podCIDRs ?? []).some((cidr) => isSo(() => cidrContains(parseCidr(cidr), source)));
}

/** A Node's status is its kubelet's: an address with a zone, or nonsense, is none of its addresses. */
function isSo(check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}

/** The entry by which the pod was let in, as the Cluster has it now. */
export function policyFor(
  pod: AttestedPod,
  policies: readonly ServiceAccountPolicy[],
): ServiceAccountPolicy | undefined {
  return policies.find(
    ({ namespace, name, audience }) =>
      namespace === pod.namespace && name === pod.serviceAccount && audience === pod.audience,
  );
}

/** Whether no person is needed, as the Cluster has it now: it may allow fewer roles than when the pod asked. */
export function isAutoApproved(
  pod: AttestedPod,
  requestedRoles: readonly string[],
  policies: readonly ServiceAccountPolicy[],
): boolean {
  const policy = policyFor(pod, policies);
  if (policy?.autoApprove !== true || !(pod.fromNode || policy.sourceAddress === "Any")) return false;
  const allowed: readonly string[] = policy.allowedRoles ?? [];
  return requestedRoles.every((role) => allowed.includes(role));
}
