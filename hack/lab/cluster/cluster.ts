/**
 * A real Kubernetes cluster on this machine: API server, controller manager and scheduler on one host, three nodes with
 * kubelets, and a host behind NAT that is not of the cluster.
 *
 *   await using cluster = await createCluster({ images: [archive] });
 *   $ kubectl --kubeconfig <cluster.controlPlane.kubeconfig> get nodes
 */
import { join } from "node:path";
import { artifacts } from "../../bootstrap/artifacts.ts";
import { type ControlPlane, startControlPlane } from "../../control-plane/control-plane.ts";
import { until } from "../../demo/wait.ts";
import { createLab, type Lab } from "../lab.ts";
import { enableForwarding, inNamespace, namespaceCommand, runCommand } from "../namespaces.ts";
import { bootClusterNode, type ClusterNode } from "./cluster-node.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { makePauseImage } from "./pause-image.ts";
import { clusterTopology, CONTROL, NODES, OFF_CLUSTER } from "./topology.ts";

/** Fifteen seconds on two cores; a loaded machine takes longer. */
const READY_TIMEOUT_MS = 120_000;

export interface ClusterOptions {
  /** Docker archives for every node; there is no registry. */
  readonly images?: readonly string[];
}

export interface RealCluster extends AsyncDisposable {
  readonly lab: Lab;
  readonly controlPlane: ControlPlane;
  readonly nodes: readonly ClusterNode[];
  node(name: string): ClusterNode;
  /** The host behind NAT that is no node of the cluster. */
  readonly offCluster: Machine;
  /** As admin; rejects unless it ends with 0. */
  kubectl(...args: string[]): Promise<string>;
  kubectlWith(input: string, ...args: string[]): Promise<string>;
}

export async function createCluster(options: ClusterOptions = {}): Promise<RealCluster> {
  await using building = new AsyncDisposableStack();
  const lab = building.use(await createLab(clusterTopology));
  const pause = makePauseImage(lab.directory);
  const control = lab.host(CONTROL);
  const controlPlane = building.use(
    await startControlPlane({
      site: { namespace: control.namespace, address: control.address },
      users: [
        { name: "system:kube-scheduler", groups: [] },
        { name: "system:kube-proxy", groups: [] },
        ...NODES.map((name) => ({ name: `system:node:${name}`, groups: ["system:nodes"] })),
      ],
    }),
  );
  lab.supervisor.add({
    name: `${CONTROL}/scheduler`,
    command: namespaceCommand(control.namespace, [
      artifacts().worker,
      "kube-scheduler",
      `--kubeconfig=${controlPlane.kubeconfigOnSite("system:kube-scheduler")}`,
      "--leader-elect=false",
      "--secure-port=0",
    ]),
    logFile: join(lab.directory, "logs", `${CONTROL}.scheduler.log`),
  });
  await joinPodNetworks(lab);
  const nodes: ClusterNode[] = [];
  const offCluster = await bootMachine(lab, OFF_CLUSTER);
  building.defer(async () => {
    await Promise.all([offCluster, ...nodes].map((machine) => machine.cutPower()));
  });
  await Promise.all(
    NODES.map(async (name, index) => {
      const node = await bootClusterNode(lab, name, {
        podNetwork: podNetworkOf(index),
        kubeletKubeconfig: controlPlane.kubeconfigOnSite(`system:node:${name}`),
        kubeProxyKubeconfig: controlPlane.kubeconfigOnSite("system:kube-proxy"),
        caFile: controlPlane.caFile,
      });
      nodes.push(node);
      await node.importImage(pause);
      node.startKubelet();
      for (const archive of options.images ?? []) await node.importImage(archive);
    }),
  );
  const env = { KUBECONFIG: controlPlane.kubeconfig };
  const kubectlWith = async (input: string, ...args: string[]): Promise<string> =>
    (await runCommand([artifacts().kubectl, ...args], { env, input })).stdout.trim();
  const kubectl = (...args: string[]): Promise<string> => kubectlWith("", ...args);
  await until("every node is Ready", () => allReady(kubectl), { timeoutMs: READY_TIMEOUT_MS, everyMs: 200 });
  const props = building.move();
  return {
    lab,
    controlPlane,
    nodes,
    node: (name) => {
      const found = nodes.find((each) => each.name === name);
      if (found === undefined) throw new Error(`no node ${name} in this cluster`);
      return found;
    },
    offCluster,
    kubectl,
    kubectlWith,
    [Symbol.asyncDispose]: () => props.disposeAsync(),
  };
}

function podNetworkOf(index: number): string {
  return `10.244.${index + 1}.0/24`;
}

/** What a cloud's route controller does. */
async function joinPodNetworks(lab: Lab): Promise<void> {
  for (const name of NODES) await enableForwarding(lab.host(name).namespace);
  for (const from of [CONTROL, ...NODES]) {
    for (const [index, to] of NODES.entries()) {
      if (to === from) continue;
      const route = ["ip", "route", "add", podNetworkOf(index), "via", lab.host(to).address];
      await inNamespace(lab.host(from).namespace, route);
    }
  }
}

async function allReady(kubectl: RealCluster["kubectl"]): Promise<true | undefined> {
  const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}';
  const states = (await kubectl("get", "nodes", "--output", `jsonpath=${path}`)).split("\n");
  return (states.length === NODES.length && states.every((state) => state === "True")) || undefined;
}
