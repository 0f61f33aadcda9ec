/**
 * A node of the cluster lab: a machine of its own with containerd, kubelet and kube-proxy.
 *
 *   <lab>/hosts/<node>/config/    configuration of the three
 *   <lab>/logs/<node>.{machine,containerd,kubelet,kube-proxy}.log
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts } from "../../bootstrap/artifacts.ts";
import { until } from "../../demo/wait.ts";
import type { Lab } from "../lab.ts";
import { type CommandOutput, inNamespace } from "../namespaces.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { containerdConfig, kubeletConfig, kubeProxyConfig, networkConfig } from "./node-config.ts";
import { POD_NETWORK } from "./topology.ts";

const CONTAINERD_TIMEOUT_MS = 20_000;
/** A second by itself; three nodes at once on a loaded machine take longer. */
const IMPORT_TIMEOUT_MS = 120_000;

export interface ClusterNodeOptions {
  /** Out of POD_NETWORK, and no other node's. */
  readonly podNetwork: string;
  /** Files of the control plane. */
  readonly kubeletKubeconfig: string;
  readonly kubeProxyKubeconfig: string;
  readonly caFile: string;
  /** Of services and pods. */
  readonly nameServer: string;
}

export interface ClusterNode extends Machine {
  readonly podNetwork: string;
  /** Gives containerd an image of a docker-archive. */
  importImage(archive: string): Promise<void>;
  startKubelet(): void;
}

/** Boots the machine and its containerd. */
export async function bootClusterNode(
  lab: Lab,
  name: string,
  options: ClusterNodeOptions,
): Promise<ClusterNode> {
  const { podNetwork, kubeletKubeconfig, kubeProxyKubeconfig, caFile, nameServer } = options;
  const { worker, containerRuntime } = artifacts();
  const host = lab.host(name);
  const config = join(host.directory, "config");
  const networks = join(config, "networks");
  mkdirSync(networks, { recursive: true });
  const write = (file: string, content: string | object): string => {
    const path = join(config, file);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content, null, 2));
    return path;
  };
  write("networks/10-pods.conflist", networkConfig(podNetwork));
  const containerd = write("containerd.toml", containerdConfig(containerRuntime, networks));
  const kubelet = write("kubelet.json", kubeletConfig(host.address, nameServer, caFile));
  const kubeProxy = write("kube-proxy.json", kubeProxyConfig(kubeProxyKubeconfig));

  await letPodsOut(host.namespace);
  const machine = await bootMachine(lab, name, { path: [join(containerRuntime, "bin")] });
  const ctr = (words: readonly string[], timeoutMs?: number): Promise<CommandOutput> =>
    machine.run(["ctr", "--namespace", "k8s.io", ...words], timeoutMs);
  machine.add("containerd", ["containerd", "--config", containerd]);
  await until(`containerd of ${name} answers`, () => ctr(["version"]), { timeoutMs: CONTAINERD_TIMEOUT_MS });

  return {
    ...machine,
    podNetwork,
    importImage: async (archive) => {
      await ctr(["images", "import", archive], IMPORT_TIMEOUT_MS);
    },
    startKubelet: () => {
      const identity = [`--hostname-override=${name}`, `--node-ip=${host.address}`];
      const access = [`--kubeconfig=${kubeletKubeconfig}`, `--config=${kubelet}`];
      machine.add("kubelet", [worker, "kubelet", ...access, ...identity]);
      machine.add("kube-proxy", [
        worker,
        "kube-proxy",
        `--config=${kubeProxy}`,
        `--hostname-override=${name}`,
      ]);
    },
  };
}

/** Towards anything but another pod, a pod bears its node's address: of the network, or of the overlay. */
async function letPodsOut(namespace: string): Promise<void> {
  const rules = `
    table ip pods {
      chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr ${POD_NETWORK} ip daddr != ${POD_NETWORK} masquerade
      }
    }`;
  await inNamespace(namespace, ["nft", "-f", "-"], { input: rules });
}
