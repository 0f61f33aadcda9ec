/** Everything the cluster's story is told with: the cluster, kubectl and Helm, `fabric`, and what the steps found out. */
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Cluster, FabricNode } from "@saf/crds";
import { artifacts } from "../../../bootstrap/artifacts.ts";
import { chart, helm, run, succeed } from "../../../chart/helm.ts";
import { watchPings, type PingWatch } from "../../../demo/ping-watch.ts";
import { CLUSTER_NAME, fabricNodes, readCluster, type Kubectl } from "../../../demo/resources.ts";
import { bundled } from "../../../images/bundle.ts";
import { runCommand } from "../../namespaces.ts";
import { createCluster, type RealCluster } from "../cluster.ts";
import { NODES, OFF_CLUSTER } from "../topology.ts";

export const NAMESPACE = "fabric";
export const RELEASE = "fabric";
export const AUDIENCE = "fabric-enrolment";
/** Of the Service of type NodePort. */
export const ENROLMENT_NODE_PORT = 30443;
export const CONTROL_NODE_PORT = 30743;
export const FABRIC_NODES: readonly string[] = [...NODES, OFF_CLUSTER];

/** The node whose agent is replaced, and that leaves: none of those whose packets are watched. */
export const CHANGED = "node-3";
export const WATCHED = [
  ["node-1", OFF_CLUSTER],
  [OFF_CLUSTER, "node-2"],
  ["node-1", "node-2"],
] as const;

/** A wait by kubectl that fails by its own timeout, not by this machine's. */
const KUBECTL_MARGIN_MS = 10_000;

export interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly containerID?: string;
      readonly restartCount: number;
    }[];
  };
}

export interface ClusterStage extends AsyncDisposable {
  /** Builds the cluster. */
  raise(): Promise<void>;
  readonly isUp: boolean;
  /** Throws before it is up. */
  readonly cluster: RealCluster;
  /** In the fabric's namespace. */
  readonly kubectl: Kubectl;
  /** For what takes longer than a question. */
  kubectlWithin(timeoutMs: number, ...args: string[]): Promise<string>;
  apply(object: object): Promise<string>;
  /** `kubectl wait`, in the fabric's namespace. */
  wait(condition: string, what: readonly string[], timeoutMs: number): Promise<string>;
  /** Runs `helm <verb> fabric <chart>` with the values. */
  release(verb: "install" | "upgrade", values: object): Promise<string>;
  helm(...args: string[]): Promise<string>;
  /** `fabric` of an admin. */
  fabric(...args: string[]): Promise<string>;
  fabricCluster(): Promise<Cluster>;
  fabricNode(name: string): Promise<FabricNode>;
  overlayOf(name: string): Promise<{ ipv4: string; ipv6: string }>;
  /** Of the chart's pods, those that are not on their way out. */
  pods(name: "fabric-operator" | "fabric-agent"): Promise<PodObject[]>;
  /** The operator's pod that holds the Lease. */
  ruler(): Promise<PodObject>;
  watchPings(pairs: readonly (readonly [string, string])[]): Promise<PingWatch>;
  /** What a step keeps for a later one. */
  readonly notes: Map<string, FabricNode>;
  /** The last lines of every program's and every pod's log. */
  lastWords(): Promise<string>;
}

export function createClusterStage(): ClusterStage {
  let standing: RealCluster | undefined;
  const cluster = (): RealCluster => {
    if (!standing) throw new Error("the cluster is not up");
    return standing;
  };
  const env = (): Record<string, string> => ({ KUBECONFIG: cluster().controlPlane.kubeconfig });
  const kubectlWith = async (input: string, timeoutMs: number, ...args: string[]): Promise<string> =>
    (
      await runCommand([artifacts().kubectl, "--namespace", NAMESPACE, ...args], {
        env: env(),
        input,
        timeoutMs,
      })
    ).stdout.trim();
  const kubectl: Kubectl = (...args) => kubectlWith("", 20_000, ...args);
  const fabricNode = async (name: string): Promise<FabricNode> => {
    const found = (await fabricNodes({ kubectl })).find(({ metadata }) => metadata.name === name);
    if (!found) throw new Error(`there is no FabricNode ${name}`);
    return found;
  };
  const overlayOf = async (name: string): Promise<{ ipv4: string; ipv6: string }> => {
    const { ipv4, ipv6 } = (await fabricNode(name)).status?.addresses ?? {};
    if (!ipv4 || !ipv6) throw new Error(`FabricNode ${name} has no address`);
    return { ipv4, ipv6 };
  };
  const pods = async (name: string): Promise<PodObject[]> => {
    const selector = `--selector=app.kubernetes.io/name=${name}`;
    const { items } = JSON.parse(await kubectl("get", "pods", selector, "--output=json")) as {
      items: PodObject[];
    };
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  };
  return {
    raise: async () => {
      standing = await createCluster();
    },
    get isUp() {
      return standing !== undefined;
    },
    get cluster() {
      return cluster();
    },
    kubectl,
    kubectlWithin: (timeoutMs, ...args) => kubectlWith("", timeoutMs, ...args),
    apply: (object) => kubectlWith(JSON.stringify(object), 20_000, "apply", "--filename", "-"),
    wait: (condition, what, timeoutMs) => {
      const words = ["wait", `--for=${condition}`, ...what, `--timeout=${timeoutMs / 1000}s`];
      return kubectlWith("", timeoutMs + KUBECTL_MARGIN_MS, ...words);
    },
    release: (verb, values) => succeed(helm([verb, RELEASE, chart, "--namespace", NAMESPACE], values, env())),
    helm: (...args) => succeed(run(artifacts().helm, [...args, "--namespace", NAMESPACE], { env: env() })),
    fabric: async (...args) => {
      const command = [process.execPath, bundled("fabric"), "--namespace", NAMESPACE, ...args];
      return (await runCommand(command, { env: env() })).stdout.trim();
    },
    fabricCluster: () => readCluster(kubectl),
    fabricNode,
    overlayOf,
    pods,
    ruler: async () => {
      const holder = await kubectl(
        "get",
        "lease",
        "fabric-operator",
        "--output=jsonpath={.spec.holderIdentity}",
      );
      const found = (await pods("fabric-operator")).find(({ metadata }) =>
        holder.startsWith(`${metadata.name}-`),
      );
      if (!found) throw new Error(`the Lease's holder is "${holder}", which is no operator's pod`);
      return found;
    },
    watchPings: async (pairs) =>
      watchPings(
        await Promise.all(
          pairs.map(async ([from, to]) => ({
            from: cluster().lab.host(from),
            address: (await overlayOf(to)).ipv6,
          })),
        ),
      ),
    notes: new Map(),
    lastWords: async () => {
      if (!standing) return "";
      const files = globSync(join(standing.lab.directory, "logs/*.log"));
      const hosts = files.map((file) => [basename(file), readFileSync(file, "utf8")] as const);
      const states = await kubectl("get", "all,fabric,events", "--output=wide").catch(String);
      const said = await Promise.all(
        ["operator", "agent"].map(async (container) => {
          const selector = `--selector=app.kubernetes.io/name=fabric-${container}`;
          const args = ["logs", selector, "--all-containers", "--prefix", "--tail=25"];
          return [`${container}s`, await kubectl(...args).catch(String)] as const;
        }),
      );
      return [...hosts, ["objects", states] as const, ...said]
        .map(
          ([name, text]) =>
            `    ${name}\n${text
              .trimEnd()
              .split("\n")
              .slice(name.endsWith(".log") ? -12 : -200)
              .join("\n")}`,
        )
        .join("\n");
    },
    [Symbol.asyncDispose]: async () => {
      await standing?.[Symbol.asyncDispose]();
    },
  };
}

export { CLUSTER_NAME };
