/** What the client needs to know of a kind of object in order to address it. */

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Who takes the object with it when it goes. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string | undefined;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

export interface KubeList<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[];
}

/** `T` is the shape of the kind's objects; it exists only for the compiler. */
export interface Resource<T extends KubeObject> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** Not namespaced. */
  readonly clusterScoped?: true;
  readonly shape?: T;
}

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface Secret extends KubeObject {
  readonly type?: string;
  /** base64 values. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** What is read of a Pod. */
export interface Pod extends KubeObject {
  readonly spec?: { readonly nodeName?: string; readonly serviceAccountName?: string };
  readonly status?: { readonly phase?: string };
}

/** What is read of a Kubernetes Node. */
export interface KubernetesNode extends KubeObject {
  readonly spec?: { readonly podCIDRs?: readonly string[] };
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
}

/** https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/ */
export interface TokenReview extends KubeObject {
  readonly spec?: { readonly token: string; readonly audiences: readonly string[] };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly error?: string;
    readonly user?: {
      readonly username?: string;
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
  };
}

export type Service = KubeObject;

/** Where a Service leads to (discovery.k8s.io/v1). */
export interface EndpointSlice extends KubeObject {
  readonly addressType: "IPv4" | "IPv6";
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol: "TCP" | "UDP";
  }[];
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly conditions: { readonly ready: boolean };
    readonly nodeName?: string;
  }[];
}

/** An Event of the core group: what `kubectl get events` and `kubectl describe` read best. */
export interface CoreEvent extends KubeObject {
  readonly involvedObject: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly uid?: string;
  };
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly reportingComponent: string;
  readonly reportingInstance: string;
  readonly source: { readonly component: string };
}

export const LEASES: Resource<Lease> = {
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  plural: "leases",
};
export const SERVICES: Resource<Service> = { apiVersion: "v1", kind: "Service", plural: "services" };
export const ENDPOINT_SLICES: Resource<EndpointSlice> = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  plural: "endpointslices",
};
export const SECRETS: Resource<Secret> = { apiVersion: "v1", kind: "Secret", plural: "secrets" };
export const CONFIG_MAPS: Resource<ConfigMap> = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps" };
export const PODS: Resource<Pod> = { apiVersion: "v1", kind: "Pod", plural: "pods" };
export const KUBERNETES_NODES: Resource<KubernetesNode> = {
  apiVersion: "v1",
  kind: "Node",
  plural: "nodes",
  clusterScoped: true,
};
export const TOKEN_REVIEWS: Resource<TokenReview> = {
  apiVersion: "authentication.k8s.io/v1",
  kind: "TokenReview",
  plural: "tokenreviews",
  clusterScoped: true,
};
export const EVENTS: Resource<CoreEvent> = { apiVersion: "v1", kind: "Event", plural: "events" };

/** Path of the collection, or of one object, or of its subresource. */
export function pathOf<T extends KubeObject>(
  resource: Resource<T>,
  namespace: string,
  name?: string,
  subresource?: "status",
): string {
  const root = resource.apiVersion.includes("/")
    ? `/apis/${resource.apiVersion}`
    : `/api/${resource.apiVersion}`;
  const tail = [name, subresource]
    .filter((part) => part !== undefined)
    .map((part) => `/${encodeURIComponent(part)}`);
  const scope = resource.clusterScoped ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${resource.plural}${tail.join("")}`;
}
