/**
 * A real Kubernetes cluster on this machine: API server, controller manager and scheduler on one host, three nodes with
 * kubelets, and a host behind NAT that is not of the cluster.
 *
 *   await using cluster = await createCluster();
 *   $ kubectl --kubeconfig <cluster.controlPlane.kubeconfig> get nodes
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts } from "../../bootstrap/artifacts.ts";
import { type ControlPlane, startControlPlane } from "../../control-plane/control-plane.ts";
import { until } from "../../demo/wait.ts";
import { IMAGES } from "../../images/root-file-system.ts";
import { createLab, type Lab } from "../lab.ts";
import { enableForwarding, inNamespace, namespaceCommand, runCommand } from "../namespaces.ts";
import { bootClusterNode, type ClusterNode } from "./cluster-node.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { CLUSTER_DOMAIN } from "./node-config.ts";
import { makePauseImage } from "./pause-image.ts";
import { clusterTopology, CONTROL, NODES, OFF_CLUSTER } from "./topology.ts";

/** Fifteen seconds on two cores; a loaded machine takes longer. */
const READY_TIMEOUT_MS = 120_000;

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

export async function createCluster(): Promise<RealCluster> {
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
  addControlPrograms(lab, controlPlane);
  await joinPodNetworks(lab);
  const archives = IMAGES.map((image) => join(artifacts().images, `${image}.tar`));
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
        nameServer: control.address,
      });
      nodes.push(node);
      await node.importImage(pause);
      node.startKubelet();
      for (const archive of archives) await node.importImage(archive);
    }),
  );
  nodes.sort((a, b) => a.name.localeCompare(b.name));
  const env = { KUBECONFIG: controlPlane.kubeconfig };
  const kubectlWith = async (input: string, ...args: string[]): Promise<string> =>
    (await runCommand([artifacts().kubectl, ...args], { env, input })).stdout.trim();
  const kubectl = (...args: string[]): Promise<string> => kubectlWith("", ...args);
  await Promise.all(nodes.map((node) => tellPodNetwork(kubectl, node)));
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

/** What a cluster has beside API server and controller manager: the scheduler, and a name server for services. */
function addControlPrograms(lab: Lab, controlPlane: ControlPlane): void {
  const { namespace } = lab.host(CONTROL);
  const add = (program: string, command: readonly string[]): void =>
    void lab.supervisor.add({
      name: `${CONTROL}/${program}`,
      command: namespaceCommand(namespace, command),
      logFile: join(lab.directory, "logs", `${CONTROL}.${program}.log`),
    });
  const kubeconfig = controlPlane.kubeconfigOnSite("system:kube-scheduler");
  const settings = ["--leader-elect=false", "--secure-port=0"];
  add("scheduler", [artifacts().worker, "kube-scheduler", `--kubeconfig=${kubeconfig}`, ...settings]);
  const corefile = join(lab.directory, "Corefile");
  writeFileSync(corefile, nameServerConfig(controlPlane.kubeconfigOnSite("admin")));
  add("dns", [artifacts().clusterDns, "-conf", corefile]);
}

function nameServerConfig(kubeconfig: string): string {
  return `.:53 {
  errors
  kubernetes ${CLUSTER_DOMAIN} {
    kubeconfig ${kubeconfig}
  }
}
`;
}

/** What a cloud's address management does. */
async function tellPodNetwork(kubectl: RealCluster["kubectl"], node: ClusterNode): Promise<void> {
  const patch = JSON.stringify({ spec: { podCIDR: node.podNetwork, podCIDRs: [node.podNetwork] } });
  await until(
    `${node.name} has registered`,
    () => kubectl("patch", "node", node.name, "--type=merge", `--patch=${patch}`),
    { timeoutMs: READY_TIMEOUT_MS, everyMs: 200 },
  );
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
