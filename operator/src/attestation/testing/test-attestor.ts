/** An attestor before an API server of a few maps, whose words are those of a real one (e2e/attestation.e2e.test.ts). */
import type { ServiceAccountPolicy } from "@saf/crds";
import { ManualClock } from "../../kube/manual-clock.ts";
import { KubeError, type KubeErrorCode } from "../../kube/errors.ts";
import type { Happening } from "../../kube/event-recorder.ts";
import type { KubernetesNode, Pod, TokenReview } from "../../kube/resource.ts";
import type { AuditEntry } from "../../ledger/ledger.ts";
import { quiet } from "../../ledger/testing/test-postgres.ts";
import { createAttestor, type Attestor, type AttestorInit } from "../attestor.ts";

export const policy: ServiceAccountPolicy = {
  name: "fabric-agent",
  namespace: "fabric",
  audience: "fabric-enrolment",
  autoApprove: false,
  sourceAddress: "Node",
};

export const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "agent-x7", uid: "pod-uid-1" },
  spec: { nodeName: "worker-1.example", serviceAccountName: "fabric-agent" },
  status: { phase: "Running" },
};

export const kubernetesNode: KubernetesNode = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "worker-1.example" },
  spec: { podCIDRs: ["10.244.1.0/24", "fd00:1::/64"] },
  status: {
    addresses: [
      { type: "Hostname", address: "worker-1.example" },
      { type: "InternalIP", address: "127.0.0.1" },
      { type: "InternalIP", address: "2001:db8::1" },
    ],
  },
};

/** As the API server answers for the pod's projected token. */
export const reviewed: NonNullable<TokenReview["status"]> = {
  authenticated: true,
  audiences: ["fabric-enrolment"],
  user: {
    username: "system:serviceaccount:fabric:fabric-agent",
    extra: {
      "authentication.kubernetes.io/pod-name": ["agent-x7"],
      "authentication.kubernetes.io/pod-uid": ["pod-uid-1"],
      "authentication.kubernetes.io/node-name": ["worker-1.example"],
    },
  },
};

export interface World {
  policies: readonly ServiceAccountPolicy[];
  /** By token. */
  reviews: Map<string, TokenReview["status"]>;
  pods: Map<string, Pod>;
  nodes: Map<string, KubernetesNode>;
  /** What every call fails with. */
  failure: KubeErrorCode | undefined;
  readonly events: Happening[];
  readonly audit: AuditEntry[];
  readonly clock: ManualClock;
  /** `<plural> <name>` of each call. */
  readonly calls: string[];
}

export function createWorld(changes: Partial<World> = {}): World {
  return {
    policies: [policy],
    reviews: new Map([["good.pod.token", reviewed]]),
    pods: new Map([["fabric/agent-x7", pod]]),
    nodes: new Map([["worker-1.example", kubernetesNode]]),
    failure: undefined,
    events: [],
    audit: [],
    clock: new ManualClock(),
    calls: [],
    ...changes,
  };
}

export function createTestAttestor(world: World, ledger?: AttestorInit["ledger"], term = 1): Attestor {
  const called = (what: string): void => {
    world.calls.push(what);
    if (world.failure) throw new KubeError(world.failure, `cannot ${what}`);
  };
  const client = {
    get: (resource: { plural: string }, name: string, options: { namespace?: string } = {}) => {
      called(`get ${resource.plural} ${name}`);
      const found =
        resource.plural === "pods" ? world.pods.get(`${options.namespace}/${name}`) : world.nodes.get(name);
      return found ? Promise.resolve(found) : Promise.reject(new KubeError("NOT_FOUND", "none"));
    },
    create: (resource: { plural: string }, { spec }: { spec: { token: string; audiences: string[] } }) => {
      called(`create ${resource.plural} ${spec.audiences.join()}`);
      const status = world.reviews.get(spec.token) ?? {
        authenticated: false,
        error: "[invalid bearer token]",
      };
      return Promise.resolve({ status });
    },
  } as unknown as AttestorInit["client"];
  const cluster = () => ({
    metadata: { name: "home" },
    spec: { enrolment: { serviceAccounts: world.policies } },
  });
  return createAttestor({
    client,
    cluster: cluster as unknown as AttestorInit["cluster"],
    ledger: ledger ?? { audit: (_term, entry) => Promise.resolve(void world.audit.push(entry)) },
    term,
    events: { record: (happening) => void world.events.push(happening) },
    clock: world.clock,
    log: quiet,
  });
}
